"""The edge behind Debian's nginx, Varnish and HAProxy, with the files that deploy/ offers."""

import asyncio
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import fronts
import pytest
import uvloop
from broadcasts import SPACE, Broadcast, payload
from edge_world import Edge, downstream, get, origin, until

from rostra.sound.renditions import Rendition
from rostra.wire.answer import Answer
from rostra.wire.client import Client, ClientLimits

OPUS = Rendition.OPUS


class Front:
    """Asks through a front, each question on a connection of its own unless the front is done with another."""

    def __init__(self, port: int, authority: Path | None) -> None:
        self.port = port
        self.secure = None if authority is None else ssl.create_default_context(cafile=authority)
        self.client = Client(("localhost", port), ClientLimits(idle_kept=500), self.secure)

    async def get(self, path: str, **headers: str) -> tuple[Answer, bytes]:
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        answer = await self.client.request("GET", f"/s/{SPACE}/{path}", pairs)
        async with answer:
            return answer, await answer.read()


Test = Callable[[Broadcast, Edge, Front], Awaitable[None]]


def run(tmp_path: Path, start: Callable[..., AbstractContextManager[Any]], test: Test) -> None:
    async def main() -> None:
        broadcast = Broadcast(tmp_path / "data", "off")
        edge = await origin(tmp_path / "data")
        running = ExitStack()
        try:
            # Varnish compiles its configuration; the loop shall not stand meanwhile.
            begun = start(tmp_path / "front", edge.port, edge.port)
            started = await asyncio.to_thread(running.enter_context, begun)
            port, authority = started if isinstance(started, tuple) else (started, None)
            front = Front(port, authority)
            await broadcast.go_live()
            await broadcast.add(30)
            await test(broadcast, edge, front)
            await front.client.close()
        finally:
            await asyncio.to_thread(running.close)
            await edge.role.stop(0.5)
            await broadcast.close()

    uvloop.run(main())


def asked(edge: Edge) -> int:
    return edge.role._counters.requests


async def lateness_s(broadcast: Broadcast, edge: Edge, front: Front, listeners: int, held: int) -> float:
    """Ten parts, each asked for by so many before it exists: how long after it was there the last had it, in the median.

    `held`: how many of their questions reach the edge.
    """
    late = []
    for number in range(broadcast.next[OPUS], broadcast.next[OPUS] + 10):
        waiting = [asyncio.create_task(front.get(f"opus/part/{number}.m4s")) for _ in range(listeners)]
        await edge.waiting(held)
        await asyncio.sleep(0.05)
        before = time.monotonic()
        await broadcast.add(1)
        got = await asyncio.gather(*waiting)
        late.append(time.monotonic() - before)
        assert {(answer.status, body) for answer, body in got} == {(200, payload(OPUS, number))}
    return sorted(late)[5]


def test_varnish_asks_once_however_many_wait_and_wakes_them_at_once(tmp_path: Path) -> None:
    async def test(broadcast: Broadcast, edge: Edge, front: Front) -> None:
        await front.get("opus/join.mp4")
        before = asked(edge)
        assert await lateness_s(broadcast, edge, front, listeners=50, held=1) < 0.25
        assert asked(edge) - before == 10
        before = asked(edge)
        lists = await asyncio.gather(*(front.get("hls/live.m3u8", Accept_Encoding="gzip") for _ in range(50)))
        old = await asyncio.gather(*(front.get(f"hls/seg/1.m4s?CMCD=sid%3D%22{n}%22") for n in range(50)))
        assert {answer.status for answer, _ in lists} == {answer.status for answer, _ in old} == {200}
        assert asked(edge) - before == 2

    run(tmp_path, fronts.varnish, test)


def test_varnish_tells_how_old_a_list_is_and_keeps_no_refusal(tmp_path: Path) -> None:
    async def test(broadcast: Broadcast, edge: Edge, front: Front) -> None:
        await front.get("hls/live.m3u8")
        await asyncio.sleep(1.1)
        listed, _ = await front.get("hls/live.m3u8")
        assert listed.header("age") in ("1", "2") and listed.header("x-cache") == "hit"
        assert listed.header("cache-control") == "public, max-age=2"
        refused, _ = await front.get("opus/part/39.m4s")
        assert (refused.status, refused.header("cache-control")) == (404, "no-store")
        await broadcast.add(10)
        await until(lambda: edge.role._shelf.followers[SPACE].channels[OPUS].parts == 40)
        assert (await front.get("opus/part/39.m4s"))[1] == payload(OPUS, 39)
        part, _ = await front.get("opus/part/39.m4s", If_None_Match='"p39"')
        assert part.status == 304
        ranged, body = await front.get("recording.m4a", Range="bytes=100-199")
        assert (ranged.status, len(body)) == (206, 100)

    run(tmp_path, fronts.varnish, test)


def test_an_edge_behind_varnish_passes_on_the_age_of_what_it_relays(tmp_path: Path) -> None:
    async def test(broadcast: Broadcast, edge: Edge, front: Front) -> None:
        await front.get("opus/part/3.m4s")
        await asyncio.sleep(1.1)
        second = await downstream(f"http://127.0.0.1:{front.port}")
        try:
            old = await get(second.port, "opus/part/3.m4s")
            assert old.body == payload(OPUS, 3)
            assert 1 <= int(old.headers["age"]) <= 3
            asking = asyncio.create_task(get(second.port, "opus/part/30.m4s"))
            await second.waiting(1)
            await broadcast.add(1)
            assert (await asking).body == payload(OPUS, 30)
        finally:
            await second.role.stop(0.5)

    run(tmp_path, fronts.varnish, test)


def test_nginx_adds_nothing_to_the_wait_and_keeps_what_never_changes(tmp_path: Path) -> None:
    async def test(broadcast: Broadcast, edge: Edge, front: Front) -> None:
        await front.get("opus/join.mp4")
        # Far from the half second at which those who wait for nginx's lock would look.
        assert await lateness_s(broadcast, edge, front, listeners=20, held=20) < 0.25
        before = asked(edge)
        said = ["", "?sid=one-of-our-tabs", *(f"?CMCD=bl%3D{n}00%2Csid%3D%22player-{n}%22" for n in range(18))]
        old = [await front.get(f"hls/seg/1.m4s{query}") for query in said]
        assert {(answer.status, body) for answer, body in old} == {(200, old[0][1])}
        assert asked(edge) - before == 1
        assert old[-1][0].header("x-cache-status") == "HIT"
        # What HLS asks for makes another question of it.
        await front.get("hls/seg/1.m4s?_HLS_msn=1&_HLS_part=0")
        await front.get("hls/seg/1.m4s?_HLS_msn=1&_HLS_part=1&CMCD=sid%3D%22a%22")
        await front.get("hls/seg/1.m4s?CMCD=sid%3D%22a%22&_HLS_part=1&_HLS_msn=1")
        assert asked(edge) - before == 3
        # A list is never given from the cache, as nginx would not say how old it is.
        before = asked(edge)
        for _ in range(3):
            listed, _ = await front.get("hls/live.m3u8?_HLS_msn=2")
            assert listed.status == 200 and not listed.header("age")
        assert asked(edge) - before == 3
        refused, _ = await front.get("opus/part/99.m4s")
        assert (refused.status, refused.header("cache-control")) == (404, "no-store")

    run(tmp_path, partial(fronts.nginx, keeps=True), test)


@pytest.mark.parametrize("start", [fronts.nginx, fronts.haproxy])
def test_listeners_behind_a_front_are_counted_each_as_one(
    tmp_path: Path, start: Callable[..., AbstractContextManager[Any]]
) -> None:
    """Of each kind eight at addresses of their own; one of them claims to be many."""

    async def test(broadcast: Broadcast, edge: Edge, front: Front) -> None:
        async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(
                "127.0.0.1", front.port, ssl=front.secure, server_hostname="localhost", local_addr=(address, 0)
            )

        async def ask(number: int, *paths: str, claims: str = "") -> asyncio.StreamWriter:
            reader, writer = await connect(f"127.0.0.{number}")
            for path in paths:
                claim = f"X-Forwarded-For: {claims}\r\n" if claims else ""
                player = f"User-Agent: {path.partition('/')[0]}\r\n"
                writer.write(f"GET /s/{SPACE}/{path} HTTP/1.1\r\nHost: localhost\r\n{player}{claim}\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert head.split()[1] == "200", head
                length = next((one for one in head.split("\r\n") if one.lower().startswith("content-length:")), "")
                await reader.readexactly(int(length[15:] or 1))
            return writer

        async with asyncio.timeout(20):
            each = range(10, 18)
            writers = [await ask(number, "hls/init.mp4", "hls/seg/2.m4s", "hls/part/29.m4s") for number in each]
            writers += [await ask(number, "live.opus") for number in each]
            writers += [await ask(number, f"opus/join.mp4?sid=the-tab-{number}", "opus/part/29.m4s") for number in each]
            for claimed in range(50):
                writers.append(await ask(10, "hls/part/29.m4s", claims=f"192.0.2.{claimed}"))
        ears = edge.role._shelf.followers[SPACE].ears
        now = edge.role._clock.monotonic()
        assert ears.kinds(now) == {"hls": 8, "stream": 8, "web": 8}
        seen = ears.report("edge", now).unique
        assert seen is not None and seen.estimate() == 24
        for writer in writers:
            writer.close()

    run(tmp_path, start, test)


def test_haproxy_passes_everything_through(tmp_path: Path) -> None:
    async def test(broadcast: Broadcast, edge: Edge, front: Front) -> None:
        await front.get("opus/join.mp4")
        assert await lateness_s(broadcast, edge, front, listeners=20, held=20) < 0.25
        ranged, body = await front.get("recording.m4a", Range="bytes=100-199")
        assert (ranged.status, len(body)) == (206, 100)

    run(tmp_path, fronts.haproxy, test)


@pytest.mark.parametrize("start", [fronts.nginx, fronts.haproxy])
def test_a_front_offers_http_2_to_players(tmp_path: Path, start: Callable[..., AbstractContextManager[Any]]) -> None:
    async def test(broadcast: Broadcast, edge: Edge, front: Front) -> None:
        fronts.need("curl")
        url = f"https://localhost:{front.port}/s/{SPACE}/hls/live.m3u8"
        done = await asyncio.to_thread(
            subprocess.run,
            ["curl", "-s", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--cacert",
             str(tmp_path / "front" / "authority.pem"), url],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert done.stdout == "2 200", done.stderr

    run(tmp_path, start, test)
