"""Who gets in, how, and who does not."""

import asyncio
from pathlib import Path

import pytest
from control_world import KEY, World, in_world, world

from rostra.kernel.ids import SpaceId
from rostra.store import ports
from rostra.store.ports import Role
from rostra.wire.http1 import Response


def link(w: World) -> str:
    return w.store.make_link(w.store.operator(w.now).id, w.now) or ""


@in_world
async def test_a_link_signs_in_once_and_the_cookie_keeps_scripts_and_other_sites_out(w: World) -> None:
    browser, other, token = w.client(), w.client(), link(w)
    done = await browser.post("/api/sign-in", json={"token": token})
    assert (done.status_code, done.json()["role"], done.json()["by"]) == (200, "operator", "session")
    cookie = done.headers["set-cookie"].lower()
    assert cookie.startswith("rostra=")
    for attribute in ("httponly", "samesite=lax", "path=/", "max-age="):
        assert attribute in cookie
    assert "secure" not in cookie
    assert (await browser.get("/api/me")).json()["name"] == "Operator"

    again = await other.post("/api/sign-in", json={"token": token})
    assert (again.status_code, again.json()["code"]) == (403, "link-used")
    assert "set-cookie" not in again.headers
    assert (await other.get("/api/me")).status_code == 401


def test_over_tls_the_cookie_is_bound_to_this_host(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, public_url="https://live.example.org") as w:
            done = await w.client().post("/api/sign-in", json={"token": link(w)})
            cookie = done.headers["set-cookie"]
            assert cookie.startswith("__Host-rostra=")
            assert "secure" in cookie.lower()
            assert "domain" not in cookie.lower()
            sent = cookie.partition(";")[0]
            assert (await w.client(Cookie=sent).get("/api/me")).status_code == 200
            assert (await w.client(Cookie=sent.replace("__Host-", "")).get("/api/me")).status_code == 401

    asyncio.run(story())


@in_world
async def test_a_link_that_is_too_old_or_made_up_signs_nobody_in(w: World) -> None:
    old = link(w)
    w.clock.advance(ports.LINK_LIVES_US / 1e6)
    browser = w.client()
    for token, code in ((old, "link-expired"), ("guess", "link-unknown"), ("", "link-unknown"), ("x" * 201, "invalid")):
        answer = await browser.post("/api/sign-in", json={"token": token})
        assert answer.json()["code"] == code
        assert answer.status_code in (403, 422)
    assert not browser.cookies


@in_world
async def test_tries_to_sign_in_are_paced_for_each_peer_the_door_names(w: World) -> None:
    guesser, friend = w.client(**{"X-Forwarded-For": "192.0.2.66"}), w.client(**{"X-Forwarded-For": "192.0.2.7"})
    answers = [await guesser.post("/api/sign-in", json={"token": f"guess {number}"}) for number in range(21)]
    assert [one.status_code for one in answers] == [403] * 20 + [429]
    assert answers[-1].json()["code"] == "too-many-tries"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert (await friend.post("/api/sign-in", json={"token": link(w)})).status_code == 200
    w.clock.advance(10)
    assert (await guesser.post("/api/sign-in", json={"token": link(w)})).status_code == 200


@in_world
async def test_signing_out_ends_the_session_on_the_server(w: World) -> None:
    browser = await w.browser()
    kept = dict(browser.cookies)
    assert (await browser.post("/api/sign-out")).status_code == 204
    assert not browser.cookies
    stolen = w.client(Cookie="; ".join(f"{name}={value}" for name, value in kept.items()))
    answer = await stolen.get("/api/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "signed-out")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@in_world
async def test_a_session_left_alone_ends_and_one_in_use_goes_on(w: World) -> None:
    browser = await w.browser()
    for _ in range(3):
        w.clock.advance(10 * 24 * 3600)
        assert (await browser.get("/api/me")).status_code == 200
    w.clock.advance(14 * 24 * 3600)
    assert (await browser.get("/api/me")).status_code == 401


@in_world
async def test_sessions_are_shown_to_their_owner_and_ended_one_or_all(w: World) -> None:
    first, stranger = await w.browser(), await w.browser(name="Eve")
    me = (await first.get("/api/me")).json()
    made = (await first.post("/api/links")).json()
    second = w.client(**{"User-Agent": "Telephone 1.0", "Sec-Fetch-Site": "same-origin"})
    await second.post("/api/sign-in", json={"token": made["link"].partition("token=")[2]})
    shown = (await first.get("/api/sessions")).json()["sessions"]
    assert [one["this"] for one in shown].count(True) == 1
    other = next(one for one in shown if not one["this"])
    assert other["user_agent"] == "Telephone 1.0"

    foreign = await stranger.delete(f"/api/sessions/{other['id']}")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown-session")
    assert (await second.get("/api/me")).json()["id"] == me["id"]
    assert (await first.delete(f"/api/sessions/{other['id']}")).status_code == 204
    assert (await second.get("/api/me")).status_code == 401

    token = (await first.post("/api/links", json={})).json()["link"].partition("token=")[2]
    await second.post("/api/sign-in", json={"token": token})
    assert (await second.delete("/api/sessions")).json() == {"ended": 1}
    assert (await first.get("/api/me")).status_code == 401
    assert (await second.get("/api/me")).status_code == 200


@in_world
async def test_a_link_is_for_oneself_unless_the_operator_makes_it(w: World) -> None:
    host, operator = await w.browser(), w.program()
    me = (await host.get("/api/me")).json()["id"]
    chief = w.store.operator(w.now).id
    refused = await host.post("/api/links", json={"account": chief})
    assert (refused.status_code, refused.json()["code"]) == (403, "operator-only")
    made = await operator.post("/api/links", json={"account": me})
    assert made.status_code == 201
    assert made.json()["link"].startswith(f"{w.settings.door_base}/sign-in#token=")
    back = await w.client().post("/api/sign-in", json={"token": made.json()["link"].partition("token=")[2]})
    assert back.json()["id"] == me
    assert (await operator.post("/api/links", json={"account": "nobody"})).status_code == 404


@in_world
async def test_the_key_acts_as_the_operator_and_nothing_else_does(w: World) -> None:
    assert (await w.program().get("/api/me")).json()["by"] == "key"
    for wrong in (f"Bearer {KEY}x", "Bearer", f"Basic {KEY}", KEY, f"Bearer {KEY} {KEY}", "Bearer \xe9\xff"):
        answer = await w.client().get("/api/me", headers=[(b"Authorization", wrong.encode("latin-1"))])
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong-key"), wrong


@in_world
async def test_a_wrong_key_is_not_helped_by_a_good_cookie(w: World) -> None:
    browser = await w.browser(Role.OPERATOR)
    assert (await browser.get("/api/me", headers={"Authorization": "Bearer wrong"})).status_code == 401


@in_world
async def test_an_invitation_makes_one_account_of_the_invited_role(w: World) -> None:
    operator = w.program()
    made = await operator.post("/api/people/invitations", json={"name": "Ada", "role": "host"})
    assert made.status_code == 201
    token = made.json()["link"].partition("#invitation=")[2]
    browser = w.client()
    done = await browser.post("/api/people/accept", json={"token": token, "name": "  Ada \u202eL.  "})
    assert (done.status_code, done.json()["name"], done.json()["role"]) == (201, "Ada L.", "host")
    second = await w.client().post("/api/people/accept", json={"token": token, "name": "Eve"})
    assert (second.status_code, second.json()["code"]) == (403, "invitation-used")
    listed = (await operator.get("/api/people")).json()
    assert [one["name"] for one in listed["people"]] == ["Operator", "Ada L."]
    assert listed["invitations"] == []


@in_world
async def test_a_name_that_is_empty_or_too_long_leaves_the_invitation_unused(w: World) -> None:
    token, _ = w.store.invite(w.store.operator(w.now).id, Role.HOST, "Ada", w.now)
    browser = w.client()
    for name, code in (("", "text-empty"), ("\u202e\x00", "text-empty"), ("x" * 10_000, "text-too-long")):
        answer = await browser.post("/api/people/accept", json={"token": token, "name": name})
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await browser.post("/api/people/accept", json={"token": token, "name": "Ada"})).status_code == 201


@in_world
async def test_only_operators_see_and_change_people(w: World) -> None:
    host, nobody = await w.browser(), w.client()
    for method, path, body in (
        ("GET", "/api/people", None),
        ("POST", "/api/people/invitations", {"name": "Eve"}),
        ("DELETE", f"/api/people/{w.store.operator(w.now).id}", None),
        ("DELETE", "/api/people/invitations/123", None),
        ("GET", "/metrics", None),
        ("GET", "/api/settings", None),
    ):
        assert (await host.request(method, path, json=body)).status_code == 403, path
        assert (await nobody.request(method, path, json=body)).status_code == 401, path


@in_world
async def test_a_removed_person_is_out_at_once_and_the_last_operator_stays(w: World) -> None:
    first = w.store.operator(w.now)
    w.clock.advance(1)
    operator, host = await w.browser(Role.OPERATOR, "Chief"), await w.browser()
    me = (await host.get("/api/me")).json()["id"]
    assert (await operator.delete(f"/api/people/{me}")).status_code == 204
    assert (await host.get("/api/me")).status_code == 401
    assert (await operator.delete(f"/api/people/{me}")).json()["code"] == "unknown-person"
    assert (await operator.delete(f"/api/people/{first.id}")).status_code == 204
    last = await operator.delete(f"/api/people/{(await operator.get('/api/me')).json()['id']}")
    assert (last.status_code, last.json()["code"]) == (409, "last-operator")


@in_world
async def test_while_the_stage_is_away_nobody_is_half_removed(w: World) -> None:
    operator, host = w.program(), await w.browser()
    me = (await host.get("/api/me")).json()["id"]
    space = (await host.post("/api/spaces", json={"title": "Mine"})).json()
    w.stage.fails = Response(503, [("Retry-After", "3")], b"")
    assert (await operator.delete(f"/api/people/{me}")).status_code == 503
    assert (await host.get("/api/me")).status_code == 200
    w.stage.fails = None
    assert (await operator.delete(f"/api/people/{me}")).status_code == 204
    assert w.library.snapshot(SpaceId(space["id"])).seat_of(space["token"]) is None


@in_world
async def test_a_withdrawn_invitation_lets_nobody_in(w: World) -> None:
    operator = await w.browser(Role.OPERATOR)
    made = (await operator.post("/api/people/invitations", json={"name": "Ada"})).json()
    assert [one["id"] for one in (await operator.get("/api/people")).json()["invitations"]] == [made["id"]]
    assert (await operator.delete(f"/api/people/invitations/{made['id']}")).status_code == 204
    assert (await operator.delete(f"/api/people/invitations/{made['id']}")).status_code == 404
    token = made["link"].partition("#invitation=")[2]
    refused = await w.client().post("/api/people/accept", json={"token": token, "name": "Ada"})
    assert refused.json()["code"] == "invitation-unknown"


@in_world
async def test_nothing_that_signs_in_stands_in_the_log(w: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    made = (await w.program().post("/api/people/invitations", json={"name": "Ada"})).json()
    token = made["link"].partition("#invitation=")[2]
    browser = w.client()
    await browser.post("/api/people/accept", json={"token": token, "name": "Ada"})
    session = browser.cookies["rostra"]
    ours = [(one.getMessage(), getattr(one, "fields", {})) for one in caplog.records if one.name == "rostra"]
    assert ours
    for secret in (token, session, KEY, "Ada"):
        assert secret not in repr(ours)
