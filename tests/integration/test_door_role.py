"""The door on real sockets: its own pages, and what it hands on to roles that are there, slow, or away."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from broadcasts import SPACE, Broadcast
from rostra_process import free_ports

from rostra.door.role import DoorRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.errors import PeerError
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.space import events as e
from rostra.wire.awaiting import awaiting
from rostra.wire.http1 import Limits, Request, Response
from rostra.wire.listening import serve
from rostra.wire.server import Counters

pytestmark = pytest.mark.anyio
KEY = "the-operators-own-key"


@asynccontextmanager
async def door_on(
    data: Path, **roles: Callable[[Request], AsyncIterator[Response]]
) -> AsyncIterator[httpx.AsyncClient]:
    """The door over this data; `roles` answer at the stage's or control's address."""
    settings = Settings(port=free_ports())
    broadcast = Broadcast(data)
    role = DoorRole(library=broadcast.library, settings=settings, clock=SystemClock(), log=Log("door"), key=KEY)
    behind = []
    for name, answer in roles.items():
        listening = socket.create_server(settings.address(name))
        behind.append(await serve(awaiting(answer), [listening], Limits(), Counters(), sweep_s=0.1))  # type: ignore[arg-type]
    await role.start([socket.create_server(settings.address("door"))])
    try:
        async with httpx.AsyncClient(base_url=settings.door_base, timeout=10) as client:
            client.headers.clear()
            yield client
    finally:
        await role.stop(1)
        for server in behind:
            await server.drain(0.5)


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Broadcast]:
    broadcast = Broadcast(tmp_path)
    await broadcast.schedule()
    yield broadcast
    await broadcast.writer.close()


async def test_the_page_of_a_space_is_there_in_every_state_of_its_life(made: Broadcast, tmp_path: Path) -> None:
    async with door_on(tmp_path) as door:

        async def becomes(said: str) -> None:
            async with asyncio.timeout(5):
                while True:
                    page = await door.get(f"/s/{SPACE}")
                    assert page.status_code == 200
                    if said in page.text:
                        return
                    await asyncio.sleep(0.05)

        await becomes("No time is set yet.")
        for event, said in (
            (e.Delayed(1_900_000_000_000_000, "a late train", "s1"), "a late train"),
            (e.Opened("s1"), "About to start"),
            (e.WentLive("s1"), "It is on the air now."),
            (e.StageLeft("connection lost"), "We are holding the line"),
            (e.StageReturned(2.0), "It is on the air now."),
            (e.Ended("s1", ""), "It ended at"),
        ):
            await made.writer.append_event(event)
            await becomes(said)
        state = (await door.get(f"/s/{SPACE}/state.json")).json()
        assert state["state"] == "ended" and state["lobby"] is None and state["next_poll_s"] == 300


async def test_of_a_space_that_cannot_be_read_page_and_studio_say_so_and_not_that_it_never_was(
    made: Broadcast, tmp_path: Path
) -> None:
    place = tmp_path / "spaces" / SPACE
    await made.begin()
    await made.add(2)
    await made.writer.close()
    (place / "snapshot").write_text("{")
    os.truncate(place / "index", 0)
    with (place / "timeline").open("r+b") as file:  # and something over which nothing leads without an index
        file.seek(250)
        file.write(bytes(300))
    async with door_on(tmp_path) as door:
        for path in (f"/s/{SPACE}", f"/s/{SPACE}/state.json", f"/studio/{SPACE}"):
            page = await door.get(path)
            assert (page.status_code, page.headers["retry-after"]) == (503, "5"), path
            assert "cannot be read just now" in page.text and "There is no Space" not in page.text


async def test_what_sharing_hangs_on_to_a_link_does_not_come_between_a_listener_and_the_page(
    made: Broadcast, tmp_path: Path
) -> None:
    async with door_on(tmp_path) as door:
        page = f"/s/{SPACE}"
        for query in ("?utm_source=a&utm_source=b", "?from=caf%E9", "?ref=%F0%9F%8E%99&ref="):
            assert (await door.get(page + query)).status_code == 200
            moved = await door.get(f"{page}/{query}")
            assert (moved.status_code, moved.headers["location"]) == (308, page + query)
            moved = await door.get(f"/studio/{SPACE}/{query}")
            assert (moved.status_code, moved.headers["location"]) == (308, f"/studio/{SPACE}{query}")


async def test_an_id_written_in_capitals_leads_to_the_space_that_was_meant(made: Broadcast, tmp_path: Path) -> None:
    """People hear it over the telephone, and their keyboards begin with a capital."""
    async with door_on(tmp_path) as door:
        for shown in (SPACE.upper(), SPACE.title()):
            for path in ("/s/{}", "/s/{}?a=b", "/s/{}/state.json", "/s/{}/hls/index.m3u8?_HLS_msn=1", "/studio/{}"):
                moved = await door.get(path.format(shown))
                assert (moved.status_code, moved.headers["location"]) == (308, path.format(SPACE))
        assert (await door.post(f"/s/{SPACE.upper()}/whip")).status_code == 404
        assert (await door.get("/s/ABC")).status_code == 404


async def test_a_space_that_never_was_is_a_plain_page_with_404(made: Broadcast, tmp_path: Path) -> None:
    async with door_on(tmp_path) as door:
        for path in ("/s/zzzzzzzzzz", "/s/UPPERCASE1", "/s/short", "/s/abcdefghjkk", "/studio/zzzzzzzzzz"):
            page = await door.get(path)
            assert page.status_code == 404 and "There is no Space at this address" in page.text
        assert (await door.get("/nothing")).status_code == 404
        assert (await door.get(f"/s/{SPACE}/nothing")).status_code == 404


async def test_who_has_the_page_is_not_sent_it_again(made: Broadcast, tmp_path: Path) -> None:
    async with door_on(tmp_path) as door:
        page = await door.get(f"/s/{SPACE}", headers={"Accept-Encoding": "gzip"})
        assert page.headers["content-encoding"] == "gzip" and "set-cookie" not in page.headers
        again = await door.get(
            f"/s/{SPACE}", headers={"Accept-Encoding": "gzip", "If-None-Match": page.headers["etag"]}
        )
        assert again.status_code == 304 and not again.content


async def test_sound_is_sent_to_the_edge_with_its_query(made: Broadcast, tmp_path: Path) -> None:
    async with door_on(tmp_path) as door:
        for tail in ("hls/live.m3u8?_HLS_msn=3&_HLS_part=1", "opus/part/7.m4s", "recording.m4a", "live.mp3"):
            moved = await door.get(f"/s/{SPACE}/{tail}")
            edge = str(door.base_url.copy_with(port=(door.base_url.port or 0) + 1)).rstrip("/")
            assert moved.status_code == 307 and moved.headers["location"] == f"{edge}/s/{SPACE}/{tail}"


async def test_pages_can_only_be_read(made: Broadcast, tmp_path: Path) -> None:
    async with door_on(tmp_path) as door:
        for path in ("/", f"/s/{SPACE}", f"/s/{SPACE}/state.json", "/operator", "/web/x.js"):
            refused = await door.post(path)
            assert refused.status_code == 405 and refused.headers["allow"] == "GET, HEAD"
        head = await door.head(f"/s/{SPACE}")
        assert head.status_code == 200 and not head.content and int(head.headers["content-length"]) > 1000


async def test_a_page_of_another_site_may_ask_what_it_may_ask(made: Broadcast, tmp_path: Path) -> None:
    """Its browser asks before a request with a header of its own, and does not follow a redirect for it."""
    async with door_on(tmp_path) as door:
        for path in ("/hls/live.m3u8", "/recording.m4a", "/state.json", ""):
            asked = await door.options(f"/s/{SPACE}{path}")
            assert (asked.status_code, asked.content) == (204, b"")
            assert asked.headers["access-control-allow-methods"] == asked.headers["allow"] == "GET, HEAD, OPTIONS"
            assert "Range" in asked.headers["access-control-allow-headers"]


async def test_who_asks_for_the_head_alone_hears_of_the_answer_that_would_come(made: Broadcast, tmp_path: Path) -> None:
    async def page(request: Request) -> Response:
        if request.method != "GET":
            raise PeerError(405, "Read only.", "bad-method")
        return Response(200, [("Content-Type", "text/html")], b"x" * 1234)

    async with door_on(tmp_path, stage=page, control=page) as door:
        for path in ("/api/docs", "/metrics", f"/s/{SPACE}/stage/ice"):
            head = await door.head(path)
            assert (head.status_code, head.headers["content-length"], head.content) == (200, "1234", b"")


async def test_home_knows_a_new_space_within_a_second_or_so(tmp_path: Path) -> None:
    broadcast = Broadcast(tmp_path)
    async with door_on(tmp_path) as door:
        assert "nothing is planned" in (await door.get("/")).text
        await broadcast.schedule()
        async with asyncio.timeout(5):
            while f"/s/{SPACE}" not in (await door.get("/")).text:
                await asyncio.sleep(0.1)
    await broadcast.writer.close()


async def test_requests_for_stage_and_control_go_on_as_they_came(made: Broadcast, tmp_path: Path) -> None:
    async def echo(request: Request) -> Response:
        said = {
            "method": request.method,
            "target": request.target,
            "headers": dict(request.headers),
            "body": request.body.decode(),
        }
        return Response(
            201,
            [("Content-Type", "application/json"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")],
            json.dumps(said).encode(),
        )

    async with door_on(tmp_path, stage=echo, control=echo) as door:
        sent = {"Authorization": "Bearer x", "X-Forwarded-For": "6.6.6.6, 192.0.2.1", "Cookie": "rostra=1"}
        for method, target in (
            ("POST", f"/s/{SPACE}/whip"), ("PATCH", f"/s/{SPACE}/stage/ab12?x=1&y=%20"), ("DELETE", f"/s/{SPACE}/whip/ab12"),
            ("POST", f"/s/{SPACE}/commands"), ("OPTIONS", f"/s/{SPACE}/whip"), ("GET", "/api/spaces?limit=2"), ("GET", "/metrics"),
        ):  # fmt: skip
            got = await door.request(
                method, target, headers=sent, content=b"hello" if method in ("POST", "PATCH") else None
            )
            assert got.status_code == 201, (method, target, got.text)
            assert got.headers.get_list("set-cookie") == ["a=1", "b=2"]
            passed = got.json()
            assert (passed["method"], passed["target"]) == (method, target)
            assert passed["body"] == ("hello" if method in ("POST", "PATCH") else "")
            assert passed["headers"]["authorization"] == "Bearer x" and passed["headers"]["cookie"] == "rostra=1"
            assert passed["headers"]["x-forwarded-for"] == "192.0.2.1"
            assert passed["headers"]["x-forwarded-host"] == f"{door.base_url.host}:{door.base_url.port}"
            assert passed["headers"]["x-forwarded-proto"] == "http"


async def test_events_are_passed_on_as_they_come_and_end_with_the_role(made: Broadcast, tmp_path: Path) -> None:
    go_on, gone = asyncio.Event(), asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        try:
            yield b"event: state\ndata: {}\n\n"
            await go_on.wait()
            yield b": ping\n\n"
            await asyncio.Event().wait()
        finally:
            gone.set()

    async def answer(request: Request) -> Response:
        return Response(200, [("Content-Type", "text/event-stream")], events(), endless=True)

    async with door_on(tmp_path, stage=answer) as door, door.stream("GET", f"/s/{SPACE}/stage/events") as stream:
        pieces = stream.aiter_raw()
        assert await anext(pieces) == b"event: state\ndata: {}\n\n"
        go_on.set()
        assert await anext(pieces) == b": ping\n\n"
        await stream.aclose()
        async with asyncio.timeout(5):
            await gone.wait()


async def test_a_role_that_is_away_is_said_to_be_and_asked_again_soon(made: Broadcast, tmp_path: Path) -> None:
    async with door_on(tmp_path) as door:
        program, person = await asyncio.gather(
            door.post(f"/s/{SPACE}/commands", json={"type": "open"}),
            door.get("/api/docs", headers={"Accept": "text/html,application/xhtml+xml"}),
        )
        assert program.status_code == 503 and program.headers["retry-after"] == "2"
        assert program.json() == {
            "code": "unavailable", "message": "The stage is away for a moment. It returns by itself; try again.",
        }  # fmt: skip
        assert person.status_code == 503 and person.headers["content-type"].startswith("text/html")
        assert "The office is away for a moment." in person.text and person.headers["retry-after"] == "2"
        assert (await door.get(f"/s/{SPACE}")).status_code == 200


async def test_a_body_beyond_the_limit_never_reaches_the_role(made: Broadcast, tmp_path: Path) -> None:
    reached = False

    async def answer(request: Request) -> Response:
        nonlocal reached
        reached = True
        return Response(200)

    async with door_on(tmp_path, stage=answer) as door:
        refused = await door.post(f"/s/{SPACE}/whip", content=b"x" * 65_537)
        assert refused.status_code == 413 and not reached


async def test_the_doors_own_numbers_are_the_operators(made: Broadcast, tmp_path: Path) -> None:
    async with door_on(tmp_path) as door:
        refused = await door.get("/door/metrics")
        assert refused.status_code == 401 and refused.headers["www-authenticate"].startswith("Bearer")
        assert (await door.get("/door/metrics", headers={"Authorization": "Bearer wrong"})).status_code == 401
        page = await door.get("/door/metrics", headers={"Authorization": f"Bearer {KEY}"})
        assert page.status_code == 200 and 'rostra_door_handed_total{to="stage"} 0' in page.text
        assert (await door.get("/healthz")).text == "ok\n"
