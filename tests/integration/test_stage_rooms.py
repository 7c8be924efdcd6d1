"""Speakers of another WebRTC implementation on a real stage: who hears whom, and what the record says of it."""

import asyncio
import base64
import json
import os
import re
import resource
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from stage_world import KEY, OPERATOR, World, until, world

from rostra.kernel.clock import Clock, SystemClock
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space import events as e
from rostra.space.count import Report
from rostra.timeline.ports import PartFlag


def run(data: Path, test: Callable[[World], Awaitable[None]], *, clock: Clock | None = None, **settings: Any) -> None:
    async def inside() -> None:
        async with world(data, clock=clock, **settings) as one:
            await test(one)

    asyncio.run(inside())


class JumpingClock(SystemClock):
    """The machine's clock, with a wall that somebody sets."""

    ahead_us = 0

    def wall_us(self) -> int:
        return super().wall_us() + self.ahead_us


async def on_air(one: World, **asked: Any) -> tuple[SpaceId, str]:
    space, host = await one.space(**asked)
    for command in ("open", "go_live"):
        assert (await one.command(space, host, type=command)).status_code == 200
    return space, host


def kinds(one: World, space: SpaceId) -> list[str]:
    return [event.type for event in one.events(space)]


def parts(one: World, space: SpaceId, rendition: Rendition = Rendition.OPUS) -> list[PartFlag]:
    reader = one.library.reader(space)
    try:
        reader.refresh()
        return [entry.part.flags for entry in reader.parts(rendition) if entry.part]
    finally:
        reader.close()


def test_everybody_hears_the_others_and_nobody_himself(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        await one.command(space, host, type="open")
        ada = await one.join(space, host, 400)
        bo = await one.join(space, await one.guest(space, host), 700)
        cy = await one.join(space, await one.guest(space, host, "Cy"), 1100)
        await until(lambda: ada.strength(700) > 0.2 and bo.strength(1100) > 0.2 and cy.strength(400) > 0.2)
        await asyncio.sleep(0.5)
        assert ada.strength(400) < 0.01 and bo.strength(700) < 0.01 and cy.strength(1100) < 0.01
        assert ada.strength(1100) > 0.2

    run(tmp_path, test)


def test_a_muted_speaker_is_heard_by_nobody_and_only_he_unmutes(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        guest = await one.guest(space, host)
        ada = await one.join(space, host, 400)
        await one.join(space, guest, 700)
        await until(lambda: ada.strength(700) > 0.2)
        assert (await one.command(space, host, type="mute", seat="s2")).status_code == 200
        await until(lambda: ada.strength(700) < 0.01)
        assert (await one.command(space, host, type="unmute", seat="s2")).status_code == 403
        assert (await one.command(space, guest, type="mute", seat="s1")).status_code == 403
        assert (await one.command(space, guest, type="unmute", seat="s2")).status_code == 200
        await until(lambda: ada.strength(700) > 0.2)

    run(tmp_path, test)


def test_a_new_session_on_a_seat_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        ada = await one.join(space, host, 400)
        guest = await one.guest(space, host)
        before = await one.join(space, guest, 700)
        await until(lambda: ada.strength(700) > 0.2)
        await one.join(space, guest, 1100)
        await until(lambda: ada.strength(1100) > 0.2 and ada.strength(700) < 0.01)
        assert (await one.http.get(before.location)).status_code == 404
        left = [event for event in one.events(space) if isinstance(event, e.SpeakerLeft)]
        assert [(event.seat, event.why) for event in left] == [("s2", "replaced")]

    run(tmp_path, test)


def test_a_removed_speaker_is_out_at_once_and_his_link_is_dead(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        guest = await one.guest(space, host)
        bo = await one.join(space, guest, 700)
        await until(lambda: "speaker_joined" in kinds(one, space))
        assert (await one.command(space, host, type="remove", seat="s2")).status_code == 200
        await until(lambda: bo.connection.connectionState == "closed")
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            await one.join(space, guest)

    run(tmp_path, test)


def test_a_new_link_ends_what_the_old_one_opened_unless_the_old_one_is_kept(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        guest = await one.guest(space, host)
        bo = await one.join(space, guest, 700)
        await until(lambda: "speaker_joined" in kinds(one, space))
        kept = await one.command(space, host, type="renew_link", seat="s2", keep_old=True)
        assert kept.status_code == 200
        assert (await one.http.get(bo.location)).status_code == 405  # still there
        renewed = await one.command(space, host, type="renew_link", seat="s2")
        await until(lambda: bo.connection.connectionState == "closed")
        await one.join(space, renewed.json()["token"])
        assert (await one.command(space, kept.json()["token"], type="mute", seat="s2")).status_code == 401

    run(tmp_path, test)


def test_an_encoder_of_the_host_goes_live_by_its_sound_unless_told_not_to(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        waiting, other = await one.space(auto_live=False)
        await one.join(space, host, whip=True)
        await one.join(waiting, other, whip=True)
        await until(lambda: one.state(space) == "live")
        await asyncio.sleep(0.5)
        assert one.state(waiting) == "open"
        await until(lambda: len(parts(one, space)) >= 2)

    run(tmp_path, test)


def test_when_the_stage_falls_away_the_broadcast_goes_on_and_says_so(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        ada = await one.join(space, host)
        await until(lambda: len(parts(one, space)) >= 1)
        await ada.vanish()
        gone_at = time.monotonic()
        await until(lambda: one.state(space) == "break")
        assert 1.5 < time.monotonic() - gone_at < 4
        await until(lambda: parts(one, space)[-1] == PartFlag.AWAY)
        await one.join(space, host)
        await until(lambda: one.state(space) == "live")
        assert [event for event in one.events(space) if isinstance(event, e.StageLeft)] == [
            e.StageLeft("connection lost")
        ]
        await until(lambda: parts(one, space)[-1] == PartFlag.NONE)

    run(tmp_path, test)


def test_a_space_ends_with_whole_parts_in_step_and_frees_everybody(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        ada = await one.join(space, host)
        await asyncio.sleep(1.3)
        assert (await one.command(space, host, type="end", why="done")).status_code == 200
        assert kinds(one, space)[-1] == "ended"
        opus, hls = len(parts(one, space)) * 0.5, len(parts(one, space, Rendition.HLS)) * 0.512
        assert abs(opus - hls) < 0.52 and opus >= 1.3
        await until(lambda: ada.connection.connectionState == "closed")
        assert (await one.command(space, host, type="go_live")).status_code == 409

    run(tmp_path, test)


def test_a_failure_in_one_space_is_caught_there_and_that_space_goes_on(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        broken, host = await on_air(one)
        healthy, other = await on_air(one)
        guest = await one.guest(healthy, other)
        ada = await one.join(healthy, other, 400)
        await one.join(healthy, guest, 700)
        await until(lambda: ada.strength(700) > 0.2)
        loop = one.role._registry.running(broken)
        assert loop is not None
        loop._room._mixer = None  # type: ignore[assignment]  # what no test foresaw
        await until(lambda: "stage_restarted" in kinds(one, broken))
        assert one.state(broken) in ("live", "break")
        await one.join(broken, host)
        count = len(parts(one, broken))
        await until(lambda: len(parts(one, broken)) > count)
        assert ada.strength(700) > 0.2 and kinds(one, healthy).count("speaker_left") == 0
        assert "rostra_stage_restarts_total 1" in one.role.metrics()

    run(tmp_path, test)


def test_a_live_space_is_taken_up_by_the_next_process_with_no_time_missing(tmp_path: Path) -> None:
    made: list[tuple[SpaceId, str]] = []

    async def first(one: World) -> None:
        made.append(await on_air(one))
        await one.join(*made[0])
        await until(lambda: len(parts(one, made[0][0])) >= 2)

    async def second(one: World) -> None:
        space, host = made[0]
        await until(lambda: "stage_restarted" in kinds(one, space))
        seats = one.library.snapshot(space).seats.values()
        assert one.state(space) == "live" and not any(seat.on_stage for seat in seats)
        await one.join(space, host)
        await asyncio.sleep(1)
        began_us = one.library.snapshot(space).live_since_us or 0
        assert (await one.command(space, host, type="end")).status_code == 200
        for rendition in Rendition:
            made_s = len(parts(one, space, rendition)) * rendition.shape.part_s
            assert abs(made_s - (one.clock.wall_us() - began_us) / 1e6) < 0.7

    run(tmp_path, first)
    time.sleep(1.5)
    run(tmp_path, second)


def test_what_was_lost_beside_a_record_is_made_anew_when_the_stage_starts(tmp_path: Path) -> None:
    made: list[SpaceId] = []

    async def first(one: World) -> None:
        made.append((await one.space(title="Restored"))[0])

    async def second(one: World) -> None:
        await until(lambda: one.library.complete(made[0]))
        assert one.state(made[0]) == "scheduled"

    run(tmp_path, first)
    for name in ("index", "head", "snapshot"):
        (tmp_path / "spaces" / made[0] / name).unlink()
    run(tmp_path, second)


def test_a_wall_clock_that_jumps_ends_nothing(tmp_path: Path) -> None:
    clock = JumpingClock()

    async def test(one: World) -> None:
        space, host = await on_air(one)
        await one.join(space, host)
        await until(lambda: len(parts(one, space)) >= 1)
        for ahead_s in (86_400, -86_400):
            clock.ahead_us = ahead_s * 1_000_000
            count = len(parts(one, space))
            await until(lambda before=count: len(parts(one, space)) >= before + 2)
            assert one.state(space) == "live"
        assert all(flag is PartFlag.NONE for flag in parts(one, space)[1:])

    run(tmp_path, test, clock=clock, end_after_away_minutes=1)


def test_a_full_disk_is_told_and_the_speakers_go_on_hearing_each_other(tmp_path: Path) -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def test(one: World) -> None:
        space, host = await on_air(one)
        guest = await one.guest(space, host)
        ada = await one.join(space, host, 400)
        await one.join(space, guest, 700)
        await until(lambda: ada.strength(700) > 0.2 and len(parts(one, space)) > 1)
        loop = one.role._registry.running(space)
        assert loop is not None
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))
            await until(lambda: "disk-full" in loop.studio.notices)
            refused = await one.command(space, host, type="edit", title="Another")
            assert refused.status_code == 503 and "disk is full" in refused.json()["message"]
            assert ada.strength(700) > 0.2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        await until(lambda: "disk-full" not in loop.studio.notices)
        assert (await one.command(space, host, type="end")).status_code == 200
        assert PartFlag.FILL not in parts(one, space)

    run(tmp_path, test)


def test_edges_counts_add_up_on_the_record(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        for edge, count, key in (("one", 40, b"one"), ("two", 2, b"two"), ("two", 2, b"one")):
            report = Report(edge, {"web": count}, key=key.ljust(16)).to_plain()
            answer = await one.http.post(f"/spaces/{space}/count", json=report, headers=OPERATOR)
            assert answer.status_code == 200
            assert base64.b64decode(answer.json()["key"]) == b"one".ljust(16)
            seat = {"authorization": f"Bearer {host}"}
            assert (await one.http.post(f"/spaces/{space}/count", json=report, headers=seat)).status_code == 403
        await until(lambda: one.library.snapshot(space).count == 42)

    run(tmp_path, test)


def test_the_studio_sees_the_state_when_it_changes_and_the_levels_all_the_time(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        guest = await one.guest(space, host)
        await one.join(space, host)
        seen: dict[str, list[Any]] = {"state": [], "levels": []}

        async def look() -> None:
            kind, headers = "", {"authorization": f"Bearer {guest}"}
            async with one.http.stream("GET", f"/s/{space}/stage/events", headers=headers) as answer:
                assert answer.headers["content-type"] == "text/event-stream"
                async for line in answer.aiter_lines():
                    if line.startswith("event: "):
                        kind = line[7:]
                    elif line.startswith("data: "):
                        seen[kind].append(json.loads(line[6:]))

        looking = asyncio.create_task(look())
        await until(lambda: any(levels.get("s1", -127) > -20 for levels in seen["levels"]))
        await one.command(space, host, type="edit", title="Changed")
        await until(lambda: seen["state"][-1]["title"] == "Changed")
        last = seen["state"][-1]
        assert last["you"] == {"seat": "s2", "role": "speaker"} and last["seats"][0]["on_stage"]
        assert "token" not in json.dumps(last)
        await one.command(space, host, type="remove", seat="s2")
        await asyncio.wait_for(looking, 3)  # the page of a removed seat sees nothing more

    run(tmp_path, test)


def test_the_studio_of_a_space_that_is_over_is_shown_without_opening_its_record(tmp_path: Path) -> None:
    made: list[tuple[SpaceId, str]] = []

    async def before(one: World) -> None:
        space, host = await on_air(one)
        await one.command(space, host, type="end", why="done")
        made.append((space, host))

    async def after(one: World) -> None:
        space, host = made[0]
        bearer = {"authorization": f"Bearer {host}"}
        shown: list[Any] = []

        async def look() -> None:
            async with one.http.stream("GET", f"/s/{space}/stage/events", headers=bearer) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: ") and "title" in line:
                        shown.append(json.loads(line[6:]))

        looking = asyncio.create_task(look())
        await until(lambda: len(shown) == 1)
        assert (shown[0]["state"], shown[0]["reason"], shown[0]["you"]["role"]) == ("ended", "done", "host")
        assert (await one.http.get(f"/s/{space}/stage/ice", headers=bearer)).status_code == 200
        refused = await one.http.get(f"/s/{space}/stage/events", headers={"authorization": "Bearer nobody"})
        assert refused.status_code == 401
        assert one.role._registry.running(space) is None
        assert (await one.command(space, host, type="edit", title="Another")).status_code == 200
        await asyncio.wait_for(looking, 3)  # the page asks again, and sees what has changed
        looking = asyncio.create_task(look())
        await until(lambda: len(shown) == 2)
        assert shown[1]["title"] == "Another"
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    async def at_the_end(one: World) -> None:
        space, host = made[0]
        bearer = {"authorization": f"Bearer {host}"}
        async with one.http.stream("GET", f"/s/{space}/stage/events", headers=bearer) as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            began = time.monotonic()
            await one.role.stop(5)
            async for _ in lines:
                pass
            assert time.monotonic() - began < 2

    run(tmp_path, before)
    run(tmp_path, after)
    run(tmp_path, at_the_end)


def test_a_slow_disk_that_strangers_make_us_read_does_not_hold_the_sound(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, _ = await one.space()
        snapshot = tmp_path / "spaces" / space / "snapshot"
        snapshot.unlink(missing_ok=True)
        os.mkfifo(snapshot)  # opened, it keeps its reader waiting until somebody writes
        there_at_last = threading.Timer(1.0, lambda: snapshot.write_text(""))
        there_at_last.start()
        asked = asyncio.create_task(one.command(space, "nobody", type="open"))
        assert (await one.http.get("/healthz")).status_code == 200
        assert there_at_last.is_alive()
        assert (await asked).status_code == 401

    run(tmp_path, test)


def test_strangers_steer_nothing(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, _ = await on_air(one)
        _, foreign = await one.space()
        for token in ("nobody", foreign, KEY + "x"):
            assert (await one.command(space, token, type="end")).status_code == 401
        assert (await one.http.post(f"/s/{space}/commands", json={"type": "end"})).status_code == 401
        assert (await one.http.post("/spaces", json={}, headers={"authorization": "Bearer x"})).status_code == 403
        assert (await one.command("zzzzzzzzzz", KEY, type="end")).status_code == 404
        assert (await one.http.get("/metrics")).status_code == 401
        assert one.state(space) in ("live", "break")

    run(tmp_path, test)


def test_coming_and_going_leaves_nothing_behind(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)

        loop = one.role._registry.running(space)
        assert loop is not None

        async def come_and_go() -> None:
            ada = await one.join(space, host)
            await until(lambda: one.library.snapshot(space).seats["s1"].on_stage)
            await until(lambda: all(session.chair.peer.last_packet_at for session in loop.sessions.by_id.values()))
            await one.http.delete(ada.location, headers={"authorization": f"Bearer {host}"})
            await ada.connection.close()
            await asyncio.sleep(0.1)

        await come_and_go()
        tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await come_and_go()
        assert len(asyncio.all_tasks()) <= tasks and len(os.listdir("/proc/self/fd")) <= files + 1
        received = re.search(r'rostra_stage_packets_total\{fate="received"\} (\d+)', one.role.metrics())
        assert received is not None and int(received[1]) > 0  # of speakers who are gone

    run(tmp_path, test)


def test_an_offer_that_never_connects_is_forgotten(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await on_air(one)
        loop = one.role._registry.running(space)
        assert loop is not None
        for _ in range(5):
            connection = await one.offer()
            text = connection.localDescription.sdp
            await connection.close()
            headers = {"content-type": "application/sdp", "authorization": f"Bearer {host}"}
            assert (await one.http.post(f"/s/{space}/stage", content=text, headers=headers)).status_code == 201
        assert len(loop.sessions.by_id) == 1  # a newer offer of a seat replaces the one on its way

    run(tmp_path, test)
