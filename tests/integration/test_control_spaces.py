"""Spaces through the API: made, steered, owned, and what the stage says passed on."""

import sqlite3
from pathlib import Path
from typing import Any

import httpx
from control_world import World, in_world

from rostra.control.desk import _SEAT_KEYS_MOST
from rostra.kernel.ids import SpaceId
from rostra.store.ports import Role
from rostra.wire.http1 import Response


async def made(browser: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await browser.post("/api/spaces", json={"title": "The big one", **fields})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


@in_world
async def test_a_new_space_comes_with_every_address_and_its_hosts_key(w: World) -> None:
    space = await made(await w.browser(name="Ada"), starts="2027-02-01T20:00:00+01:00")
    door, sound, id_ = w.settings.door_base, w.settings.sound_base, space["id"]
    assert (space["state"], space["host"], space["starts"]) == ("scheduled", "Ada", "2027-02-01T19:00:00.000Z")
    assert space["page"] == f"{door}/s/{id_}"
    assert space["studio"] == f"{door}/studio/{id_}#key={space['token']}"
    assert space["whip"] == f"{door}/s/{id_}/whip"
    assert space["hls"] == f"{sound}/s/{id_}/hls/index.m3u8"
    assert space["opus_hls"] == f"{sound}/s/{id_}/opus/index.m3u8"
    assert (space["mp3"], space["ogg"]) == (f"{sound}/s/{id_}/live.mp3", f"{sound}/s/{id_}/live.opus")
    assert space["replay"] == f"{sound}/s/{id_}/hls/replay.m3u8"
    assert space["recording"] == f"{sound}/s/{id_}/recording.m4a"
    seat = w.library.snapshot(SpaceId(id_)).seat_of(space["token"])
    assert seat and seat.role == "host"


@in_world
async def test_the_key_of_the_host_is_shown_once(w: World) -> None:
    browser = await w.browser()
    space = await made(browser)
    shown = (await browser.get(f"/api/spaces/{space['id']}")).json()
    assert "token" not in shown
    assert shown["studio"] == f"{w.settings.door_base}/studio/{space['id']}"
    assert space["token"] not in (await browser.get("/api/spaces")).text


@in_world
async def test_a_space_lives_its_life_through_the_api(w: World) -> None:
    browser = await w.browser()
    at = f"/api/spaces/{(await made(browser))['id']}"
    states = []
    for step, body in (
        ("delay", {"minutes": 10, "reason": "waiting"}),
        ("open", None),
        ("live", None),
        ("end", {"reason": "done"}),
    ):
        answer = await browser.post(f"{at}/{step}", json=body)
        assert answer.status_code == 200, answer.text
        states.append(answer.json()["state"])
    assert states == ["delayed", "open", "live", "ended"]
    late = await browser.post(f"{at}/open")
    assert (late.status_code, late.json()["code"]) == (409, "over")


@in_world
async def test_what_the_state_forbids_is_refused_in_the_stages_own_words(w: World) -> None:
    browser = await w.browser()
    at = f"/api/spaces/{(await made(browser))['id']}"
    early = await browser.post(f"{at}/live")
    assert early.status_code == 409
    assert early.json() == {"code": "is-scheduled", "message": "Open the green room first, then go live."}
    odd = await browser.post(f"{at}/delay", json={"minutes": 0})
    assert (odd.status_code, odd.json()["code"]) == (400, "bad-delay")
    assert (await browser.post(f"{at}/cancel")).json()["state"] == "cancelled"


@in_world
async def test_a_title_can_be_changed(w: World) -> None:
    browser = await w.browser()
    at = f"/api/spaces/{(await made(browser))['id']}"
    assert (await browser.patch(at, json={"title": " A better  one "})).json()["title"] == "A better one"
    assert (await browser.get(at)).json()["title"] == "A better one"


@in_world
async def test_titles_are_text_whatever_stands_in_them(w: World) -> None:
    browser = await w.browser()
    for given, kept in (
        ("<script>alert(1)</script>&amp;", "<script>alert(1)</script>&amp;"),
        ("\u202eevil\u2066 \u200b\x00\x1b[31mtitle\n", "evil [31mtitle"),
        ("שלום עולם", "שלום עולם"),
        ("é" * 140, "é" * 140),
        ("🎙️ on air", "🎙️ on air"),
    ):
        assert (await made(browser, title=given))["title"] == kept


@in_world
async def test_titles_that_cannot_be_are_refused_and_make_no_space(w: World) -> None:
    browser = await w.browser()
    for title, status, code in (
        ("", 400, "text-empty"),
        (" \u202e ", 400, "text-empty"),
        ("x" * 141, 400, "text-too-long"),
        ("x" * 10_000, 400, "text-too-long"),
        (None, 422, "invalid"),
        (7, 422, "invalid"),
        (["x"], 422, "invalid"),
    ):
        answer = await browser.post("/api/spaces", json={"title": title})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert w.library.ids() == []


@in_world
async def test_a_start_that_is_no_time_is_refused(w: World) -> None:
    browser = await w.browser()
    for start in ("tomorrow", "", "2027-13-01T00:00", "99999-01-01", "1999-01-01T00:00Z", "2027-01-01T00:00+99:00"):
        answer = await browser.post("/api/spaces", json={"title": "x", "starts": start})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-start"), start
    past = await browser.post("/api/spaces", json={"title": "x", "starts": "2026-01-01T00:00Z"})
    assert (past.status_code, past.json()["code"]) == (400, "starts-past")


@in_world
async def test_hosts_see_and_steer_their_own_spaces_and_operators_all(w: World) -> None:
    ada, ben, chief = await w.browser(name="Ada"), await w.browser(name="Ben"), await w.browser(Role.OPERATOR, "Chief")
    hers = await made(ada)
    w.clock.advance(1)
    his = await made(ben)
    at, asked = f"/api/spaces/{hers['id']}", len(w.stage.asked)
    for method, path, body in (
        ("GET", at, None),
        ("PATCH", at, {"title": "Mine now"}),
        ("GET", f"{at}/studio", None),
        ("POST", f"{at}/open", None),
        ("POST", f"{at}/live", None),
        ("POST", f"{at}/delay", {"minutes": 5}),
        ("POST", f"{at}/cancel", None),
        ("POST", f"{at}/end", None),
        ("POST", f"{at}/speakers", {"name": "Eve"}),
        ("DELETE", f"{at}/speakers/s1", None),
        ("POST", f"{at}/speakers/s1/mute", None),
        ("POST", f"{at}/speakers/s1/ask-unmute", None),
        ("POST", f"{at}/speakers/s1/link", None),
    ):
        answer = await ben.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-yours"), path
        assert (await w.client().request(method, path, json=body)).status_code == 401, path
    assert len(w.stage.asked) == asked, "the stage never heard of it"

    async def listed(browser: httpx.AsyncClient) -> list[str]:
        return [one["id"] for one in (await browser.get("/api/spaces")).json()["spaces"]]

    assert await listed(ada) == [hers["id"]]
    assert await listed(ben) == [his["id"]]
    assert await listed(chief) == await listed(w.program()) == [his["id"], hers["id"]]
    assert (await chief.post(f"{at}/open")).json()["state"] == "open"


@in_world
async def test_the_list_is_cut_and_says_so(w: World) -> None:
    program = w.program()
    for _ in range(3):
        await made(program)
    listed = (await program.get("/api/spaces?limit=2")).json()
    assert (len(listed["spaces"]), listed["more"]) == (2, True)
    assert (await program.get("/api/spaces?limit=3")).json()["more"] is False
    for wrong in ("0", "501", "x", "1e9", ""):
        assert (await program.get(f"/api/spaces?limit={wrong}")).status_code == 422


@in_world
async def test_one_space_that_cannot_be_read_hides_no_other(w: World, tmp_path: Path) -> None:
    program = w.program()
    good, bad = await made(program), await made(program)
    place = tmp_path / "spaces" / bad["id"]
    for derived in ("snapshot", "timeline", "index", "head"):
        (place / derived).unlink(missing_ok=True)
    listed = (await program.get("/api/spaces")).json()
    assert [one["id"] for one in listed["spaces"]] == [good["id"]]
    assert listed["damaged"] == [bad["id"]]


@in_world
async def test_a_speaker_gets_a_link_a_new_link_and_is_removed(w: World) -> None:
    browser = await w.browser()
    space = await made(browser)
    id_, at = SpaceId(space["id"]), f"/api/spaces/{space['id']}/speakers"
    first = await browser.post(at, json={"name": "Ben <b>"})
    assert first.status_code == 201
    seat, token = first.json()["seat"], first.json()["token"]
    assert first.json()["link"] == f"{w.settings.door_base}/studio/{id_}#key={token}"
    opened = w.library.snapshot(id_).seat_of(token)
    assert opened and (opened.seat, opened.name, opened.role) == (seat, "Ben <b>", "speaker")

    renewed = (await browser.post(f"{at}/{seat}/link")).json()["token"]
    assert w.library.snapshot(id_).seat_of(token) is None
    assert w.library.snapshot(id_).seat_of(renewed)

    muted = (await browser.post(f"{at}/{seat}/mute")).json()
    assert [one["muted"] for one in muted["speakers"]] == [False, True]
    assert (await browser.post(f"{at}/{seat}/ask-unmute")).status_code == 200

    left = (await browser.delete(f"{at}/{seat}")).json()
    assert [one["seat"] for one in left["speakers"]] == ["s1"]
    assert w.library.snapshot(id_).seat_of(renewed) is None
    last = await browser.delete(f"{at}/s1")
    assert (last.status_code, last.json()["code"]) == (409, "last-host")


@in_world
async def test_a_full_stage_takes_no_further_speaker(w: World) -> None:
    browser = await w.browser()
    at = f"/api/spaces/{(await made(browser))['id']}/speakers"
    for number in range(12):
        assert (await browser.post(at, json={"name": f"Speaker {number}"})).status_code == 201
    full = await browser.post(at, json={"name": "One more"})
    assert (full.status_code, full.json()["code"]) == (409, "stage-full")


@in_world
async def test_ids_that_are_none_are_not_found_and_reach_no_file(w: World) -> None:
    program = w.program()
    await made(program)
    for wrong in (
        "..",
        "%2e%2e",
        "..%2f..%2fetc",
        "abcdefghj",
        "abcdefghjk",
        "ABCDEFGHJK",
        "abcdefghjk%00",
        "é" * 10,
        "x" * 3000,
    ):
        answer = await program.get(f"/api/spaces/{wrong}")
        assert answer.status_code == 404, wrong
        assert set(answer.json()) == {"code", "message"}
    at = f"/api/spaces/{w.library.ids()[0]}/speakers"
    for wrong in ("s0", "s99999", "..", "s1%00", "s1 or 1"):
        answer = await program.post(f"{at}/{wrong}/mute")
        assert answer.status_code == 404, wrong


@in_world
async def test_the_studio_gives_the_host_a_key_that_leaves_an_encoders_key_alone(w: World) -> None:
    browser = await w.browser()
    space = await made(browser)
    id_, at = SpaceId(space["id"]), f"/api/spaces/{space['id']}/studio"
    keys = [(await browser.get(at)).json() for _ in range(8)]
    assert keys == [keys[0]] * 8, "looking again makes no further keys"
    now = w.library.snapshot(id_)
    for token in (keys[0]["token"], space["token"]):
        seat = now.seat_of(token)
        assert seat and (seat.seat, seat.role) == ("s1", "host")


@in_world
async def test_the_studios_key_is_made_anew_when_the_old_one_is_void(w: World) -> None:
    browser = await w.browser()
    at = f"/api/spaces/{(await made(browser))['id']}"
    first = (await browser.get(f"{at}/studio")).json()["token"]
    await browser.post(f"{at}/speakers/s1/link")
    assert (await browser.get(f"{at}/studio")).json()["token"] != first


@in_world
async def test_keys_of_more_than_a_thousand_studios_are_not_kept(w: World) -> None:
    desk = w.role._desk
    assert desk
    for number in range(_SEAT_KEYS_MOST + 5):
        desk.keep_seat_key(("a", SpaceId(str(number))), "key")
    assert len(desk.seat_keys) == _SEAT_KEYS_MOST
    assert ("a", SpaceId("0")) not in desk.seat_keys


@in_world
async def test_a_stage_that_is_away_is_said_so_and_reading_goes_on(w: World) -> None:
    browser = await w.browser()
    space = await made(browser)
    await w.stage.stop()
    away = await browser.post(f"/api/spaces/{space['id']}/open")
    assert (away.status_code, away.json()["code"]) == (503, "unavailable")
    assert "stage does not answer" in away.json()["message"]
    assert int(away.headers["retry-after"]) >= 1
    assert (await browser.get(f"/api/spaces/{space['id']}")).json()["state"] == "scheduled"
    assert (await browser.get("/api/me")).status_code == 200


@in_world
async def test_what_the_stage_answers_is_passed_on_truthfully(w: World) -> None:
    browser = await w.browser()
    at = f"/api/spaces/{(await made(browser))['id']}/open"
    for answer, status, code, sentence in (
        (
            Response(503, [("Retry-After", "7")], b'{"code":"x","message":"Twenty Spaces are live."}'),
            503,
            "unavailable",
            "Twenty Spaces are live.",
        ),
        (Response(403, [], b'{"code":"no","message":"Not you."}'), 403, "no", "Not you."),
        (Response(401, [], b"{}"), 503, "unavailable", "different keys"),
        (Response(500, [], b"<html>"), 503, "unavailable", "The stage refused that."),
        (Response(200, [], b"[1, 2"), 200, None, ""),
    ):
        w.stage.fails = answer
        told = await browser.post(at)
        assert told.status_code == status
        assert code is None or (told.json()["code"] == code and sentence in told.json()["message"])
        if "Retry-After" in dict(answer.headers):
            assert told.headers["retry-after"] == "7"


@in_world
async def test_a_space_whose_owner_cannot_be_written_is_called_off(w: World, tmp_path: Path) -> None:
    browser = await w.browser()
    with sqlite3.connect(tmp_path / "people.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = await browser.post("/api/spaces", json={"title": "Orphan"})
        other.execute("ROLLBACK")
    assert answer.status_code == 503
    assert [w.library.snapshot(one).state for one in w.library.ids()] == ["cancelled"]
