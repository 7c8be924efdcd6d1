"""`live.mp3` and `live.opus` on real sockets: an edge, a radio, real records, and clients that read bytes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from broadcasts import SPACE, Broadcast
from edge_world import Edge, ask, bound, cache, get, until
from ogg_pages import Page, pages
from sounding import frames, part, sound

from rostra.broadcast.mp3_part import mp3_part
from rostra.broadcast.radio import RadioRole
from rostra.edge import streams as streaming
from rostra.edge.crowd import BURST_PARTS, RING_PARTS, UNSENT_BYTES
from rostra.edge.icy import METAINT
from rostra.edge.mp3 import RemoteMp3
from rostra.edge.role import EdgeRole
from rostra.edge.upstream import Upstream
from rostra.edge.upstream_source import UpstreamSource
from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.sound.renditions import Rendition
from rostra.timeline.disk import DiskLibrary

SETTINGS = Settings(port=22_300)


class Listening:
    """One client of a stream."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: str, headers: dict[str, str]
    ):
        self.reader, self.writer, self.status, self.headers = reader, writer, status, headers

    async def take(self, size: int) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Until the server ends the stream."""
        async with asyncio.timeout(20):
            return await self.reader.read()

    async def pages(self, count: int) -> list[Page]:
        found = []
        for _ in range(count):
            start = await self.take(27)
            sizes = await self.take(start[26])
            found += pages(start + sizes + await self.take(sum(sizes)))
        return found

    def close(self) -> None:
        self.writer.close()


async def listen(port: int, path: str, *headers: str, version: str = "1.1", receive_bytes: int = 0) -> Listening:
    connection = socket.create_connection(("127.0.0.1", port))
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection, limit=2048 if receive_bytes else 65536)
    lines = [f"GET /s/{SPACE}/{path} HTTP/{version}", *(["Host: a"] if version == "1.1" else []), *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *fields = head[:-4].split("\r\n")
    pairs = (one.split(": ", 1) for one in fields)
    return Listening(reader, writer, status, {name.lower(): value for name, value in pairs})


@dataclass
class World:
    data: Path
    broadcast: Broadcast
    edge: Edge
    radio: RadioRole
    radio_at: tuple[str, int]

    @property
    def port(self) -> int:
        return self.edge.port

    async def restart_radio(self) -> None:
        self.radio = await radio(self.data, self.radio_at[1])

    def number(self, name: str) -> float:
        return self.edge.number(name)


async def radio(data: Path, port: int) -> RadioRole:
    role = RadioRole(library=DiskLibrary(data, SystemClock()), clock=SystemClock(), log=Log("radio"))
    await role.start([bound(port)])
    return role


async def start_edge(data: Path, radio_port: int) -> Edge:
    listening = bound()
    role = EdgeRole(
        library=DiskLibrary(data, SystemClock()), settings=SETTINGS, clock=SystemClock(), log=Log("edge"), key="key",
        mp3=RemoteMp3(Upstream(f"http://127.0.0.1:{radio_port}", "edge")),
    )  # fmt: skip
    edge = Edge(role, int(listening.getsockname()[1]))
    await role.start([listening])
    return edge


@asynccontextmanager
async def world(data: Path) -> AsyncIterator[World]:
    with bound() as free:
        port = int(free.getsockname()[1])
    broadcast = Broadcast(data)
    made = World(data, broadcast, await start_edge(data, port), await radio(data, port), ("127.0.0.1", port))
    try:
        yield made
    finally:
        await made.edge.role.stop(0.5)
        await made.radio.stop(0.5)
        await broadcast.close()


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with world(tmp_path) as made:
            await test(made)

    frames(0)  # the sound is made here, not on the loop
    uvloop.run(main())


def mp3(number: int) -> bytes:
    return mp3_part(number, part(number - 1) if number else None, part(number))


def mp3s(*numbers: int) -> bytes:
    return b"".join(mp3(number) for number in numbers)


def test_opus_begins_with_the_newest_two_seconds_and_goes_on_page_by_page(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 12)
        one = await listen(world.port, "live.opus")
        assert (one.status, one.headers["content-type"]) == ("HTTP/1.1 200 OK", "audio/ogg")
        assert one.headers["connection"] == "close" and one.headers["cache-control"] == "no-store"
        assert "content-length" not in one.headers and "transfer-encoding" not in one.headers
        head, tags, *burst = await one.pages(2 + BURST_PARTS)
        assert head.packets[0].startswith(b"OpusHead") and b"TITLE=The big one" in tags.packets[0]
        assert [page.packets for page in burst] == [list(frames(number)) for number in (8, 9, 10, 11)]
        for number in (12, 13, 14):
            await sound(world.broadcast)
            (page,) = await one.pages(1)
            assert page.packets == list(frames(number))
            assert (page.number, page.granule) == (number - 8 + 2, (number - 8 + 1) * 24_000)
        one.close()

    run(tmp_path, test)


def test_mp3_is_the_radios_parts_one_after_the_other(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 12)
        one = await listen(world.port, "live.mp3")
        assert one.headers["content-type"] == "audio/mpeg"
        assert (one.headers["icy-name"], one.headers["icy-br"]) == ("The big one", "64")
        assert "icy-metaint" not in one.headers
        wanted = mp3s(8, 9, 10, 11)
        assert await one.take(len(wanted)) == wanted
        await sound(world.broadcast, 2)
        wanted = mp3s(12, 13)
        assert await one.take(len(wanted)) == wanted
        one.close()

    run(tmp_path, test)


def test_a_stream_is_made_once_however_many_listen(tmp_path: Path) -> None:
    wanted = mp3s(4, 5, 6, 7)

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        many = [await listen(world.port, "live.mp3") for _ in range(20)]
        for one in many:
            assert await one.take(len(wanted)) == wanted
        await sound(world.broadcast)
        for one in many:
            assert await one.take(len(mp3(8))) == mp3(8)
        assert "rostra_radio_made_total 5\n" in world.radio.metrics()
        assert 'rostra_edge_stream_listeners{kind="mp3"} 20\n' in world.edge.role.metrics()
        for one in many:
            one.close()
        await until(lambda: 'rostra_edge_stream_listeners{kind="mp3"} 0\n' in world.edge.role.metrics())

    run(tmp_path, test)


def test_who_asks_for_titles_is_told_title_and_speaker_between_the_bytes(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        one = await listen(world.port, "live.mp3", "Icy-MetaData: 1")
        assert one.headers["icy-metaint"] == str(METAINT)
        heard, titles = b"", []

        async def interval() -> bytes:
            piece = await one.take(METAINT)
            text = await one.take(16 * (await one.take(1))[0])
            if text:
                titles.append(text.rstrip(b"\0").decode())
            return piece

        heard += await interval()
        assert titles == [f"StreamTitle='The big one';StreamUrl='http://127.0.0.1:22300/s/{SPACE}';"]
        await world.broadcast.speak("s1")
        await sound(world.broadcast, 4)
        heard += await interval()
        heard += await interval()
        assert [title.split(";")[0] for title in titles[1:]] == ["StreamTitle='Ada - The big one'"]
        assert mp3s(*range(4, 12)).startswith(heard)
        one.close()

    run(tmp_path, test)


def test_titles_stand_in_an_ogg_stream_too_where_they_are_asked_for(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        one = await listen(world.port, "live.opus", "Icy-MetaData: 1")
        first = await one.take(METAINT)
        title = await one.take(16 * (await one.take(1))[0])
        assert title.startswith(b"StreamTitle='The big one'")
        await sound(world.broadcast, 4)
        found = pages(first + await one.take(7000))
        assert [page.packets for page in found[2:6]] == [list(frames(number)) for number in (4, 5, 6, 7)]
        one.close()

    run(tmp_path, test)


def test_a_player_of_the_last_century_is_answered_in_its_own_version(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        one = await listen(world.port, "live.mp3", "User-Agent: WinampMPEG/5.0", "Icy-MetaData:1", version="1.0")
        assert one.status == "HTTP/1.0 200 OK"
        assert one.headers["icy-metaint"] == str(METAINT)
        assert mp3s(4, 5, 6, 7).startswith(await one.take(METAINT))
        one.close()

    run(tmp_path, test)


def test_head_tells_what_the_stream_is_and_sends_none_of_it(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        for kind, mime in (("mp3", "audio/mpeg"), ("opus", "audio/ogg")):
            got = await ask(world.port, f"/s/{SPACE}/live.{kind}", "HEAD")
            assert (got.status, got.headers["content-type"], got.body) == (200, mime, b"")
        assert world.number("rostra_edge_streams") == 0

    run(tmp_path, test)


def test_who_asks_before_the_beginning_hears_the_first_word(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.schedule()
        asking = [asyncio.create_task(listen(world.port, f"live.{kind}")) for kind in ("mp3", "opus")]
        await world.edge.waiting(2)
        await world.broadcast.begin()
        await sound(world.broadcast, 2)
        one, other = [await each for each in asking]
        assert await one.take(len(mp3s(0, 1))) == mp3s(0, 1)
        assert [page.number for page in await other.pages(4)] == [0, 1, 2, 3]
        one.close()
        other.close()

    run(tmp_path, test)


def test_the_end_of_the_space_is_the_end_of_its_streams(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 6)
        one, other = await listen(world.port, "live.mp3"), await listen(world.port, "live.opus")
        await one.take(len(mp3s(2, 3, 4, 5)))
        await other.pages(6)
        await sound(world.broadcast)
        await world.broadcast.end()
        assert await one.rest() == mp3(6)
        last, end = pages(await other.rest())
        assert last.packets == list(frames(6)) and end.flags == 4
        got = await get(world.port, "live.mp3")
        assert (got.status, got.headers["rostra-ended"]) == (404, "1")

    run(tmp_path, test)


def test_a_position_in_the_past_is_played_from_there(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 200)
        for path, first in (("?from=10", 20), ("?back=30.2", 140), ("?from=0", 0), ("?back=1000", 0)):
            one = await listen(world.port, f"live.opus{path}")
            found = await one.pages(2 + BURST_PARTS)
            assert [page.packets for page in found[2:]] == [list(frames(first + at)) for at in range(BURST_PARTS)]
            assert [page.number for page in found] == list(range(2 + BURST_PARTS))
            one.close()
            one = await listen(world.port, f"live.mp3{path}", "Icy-MetaData: 1")
            wanted = mp3s(*range(first, first + BURST_PARTS))
            assert await one.take(METAINT) == wanted[:METAINT]
            one.close()
        await until(lambda: world.number("rostra_edge_stream_past") == 0)

    run(tmp_path, test)


def test_the_past_comes_at_the_pace_it_had(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 60)
        one = await listen(world.port, "live.opus?from=3")
        loop = asyncio.get_running_loop()
        await one.pages(2 + BURST_PARTS)
        began = loop.time()
        await one.pages(3)
        assert loop.time() - began > 0.9
        one.close()

    run(tmp_path, test)


def test_what_has_ended_can_be_played_from_any_position_to_its_end(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 30)
        await world.broadcast.end()
        one, other = await listen(world.port, "live.mp3?from=13.5"), await listen(world.port, "live.opus?back=1.5")
        assert await one.rest() == mp3s(27, 28, 29)
        *_, last, end = pages(await other.rest())
        assert last.packets == list(frames(29)) and end.flags == 4
        assert (await get(world.port, "live.opus?from=15")).status == 404

    run(tmp_path, test)


@pytest.mark.parametrize("query", ["from=-1", "from=nan", "from=1e9", "back=", "from=x", "back=1_0e"])
def test_nonsense_positions_are_refused(tmp_path: Path, query: str) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 3)
        assert (await get(world.port, f"live.mp3?{query}")).status == 400

    run(tmp_path, test)


def test_the_past_has_room_for_so_many_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PAST_MOST", 2)

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 30)
        inside = [await listen(world.port, "live.opus?from=1") for _ in range(2)]
        assert (await get(world.port, "live.opus?from=1")).status == 503
        for one in inside:
            await one.pages(3)
            one.close()

    run(tmp_path, test)


def test_a_listener_that_does_not_read_costs_no_more_than_the_ring_and_is_skipped_forward(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 4)
        slow = await listen(world.port, "live.opus", receive_bytes=4096)
        quick = await listen(world.port, "live.opus")
        await quick.pages(2 + BURST_PARTS)
        sent = 0
        while not world.number("rostra_edge_stream_behind"):
            await sound(world.broadcast)
            await quick.pages(1)
            sent += 1
            # What it may have in the kernels' buffers: little, whatever a modern kernel would take.
            assert sent * 2800 < UNSENT_BYTES + 300_000
        for _ in range(RING_PARTS + 10):
            await sound(world.broadcast)
            await quick.pages(1)
        written = world.number("rostra_edge_stream_parts_written_total")
        await sound(world.broadcast)
        await quick.pages(1)
        assert world.number("rostra_edge_stream_parts_written_total") == written + 1
        newest = world.broadcast.next[next(iter(world.broadcast.next))] - 1
        heard = await slow.pages(2)
        while heard[-1].number - 2 < newest:
            heard += await slow.pages(1)
        numbers = [page.number - 2 for page in heard[2:]]
        gaps = [(a, b) for a, b in zip(numbers, numbers[1:], strict=False) if b != a + 1]
        assert len(gaps) == 1 and numbers[-BURST_PARTS:] == list(range(newest - BURST_PARTS + 1, newest + 1))
        assert world.number("rostra_edge_stream_parts_skipped_total") == gaps[0][1] - gaps[0][0] - 1
        slow.close()
        quick.close()

    run(tmp_path, test)


def test_a_restart_of_the_radio_leaves_no_hole(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        one = await listen(world.port, "live.mp3")
        await one.take(len(mp3s(4, 5, 6, 7)))
        await world.radio.stop(0)
        await sound(world.broadcast, 3)
        await until(lambda: world.number("rostra_edge_stream_failed_total") > 0)
        await world.restart_radio()
        await sound(world.broadcast, 2)
        wanted = mp3s(8, 9, 10, 11, 12)
        assert await one.take(len(wanted)) == wanted
        one.close()

    run(tmp_path, test)


def test_while_the_radio_is_away_a_newcomer_is_told_and_opus_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BLOCK_MOST_S", 0.2)

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        await world.radio.stop(0)
        got = await get(world.port, "live.mp3")
        assert (got.status, got.headers["retry-after"]) == (503, "1")
        one = await listen(world.port, "live.opus")
        await one.pages(6)
        one.close()

    run(tmp_path, test)


def test_an_edge_behind_an_edge_asks_for_each_part_once(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        # An edge takes all renditions from upstream, or none.
        await world.broadcast.add(8, *[one for one in Rendition if one is not Rendition.OPUS])
        async with cache(f"http://127.0.0.1:{world.port}") as between:
            url = f"http://127.0.0.1:{between.port}"
            listening = bound()
            role = EdgeRole(
                settings=SETTINGS, clock=SystemClock(), log=Log("second"), key="key", name="second",
                source=UpstreamSource(Upstream(url, "second"), SystemClock()), mp3=RemoteMp3(Upstream(url, "second")),
            )  # fmt: skip
            await role.start([listening])
            port = int(listening.getsockname()[1])
            try:
                many = [await listen(port, "live.mp3") for _ in range(5)]
                ogg = await listen(port, "live.opus")
                wanted = mp3s(4, 5, 6, 7)
                for one in many:
                    assert await one.take(len(wanted)) == wanted
                await sound(world.broadcast, 2)
                for one in many:
                    assert await one.take(len(mp3s(8, 9))) == mp3s(8, 9)
                    one.close()
                found = await ogg.pages(2 + BURST_PARTS + 2)
                assert [page.packets for page in found[2:]] == [list(frames(number)) for number in range(4, 10)]
                ogg.close()
                assert [between.of(f"/mp3/part/{number}.mp3") for number in range(4, 10)] == [1] * 6
            finally:
                await role.stop(0.5)

    run(tmp_path, test)


def test_an_edge_that_stops_ends_its_streams(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 8)
        several = [await listen(world.port, path) for path in ("live.opus", "live.mp3", "live.opus?from=1")]
        for one in several:
            await one.take(27)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await world.edge.role.stop(5)
        for one in several:
            await one.rest()
        assert loop.time() - began < 2

    run(tmp_path, test)


def test_the_listing_is_in_icecasts_form(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        got = await ask(world.port, "/status-json.xsl")
        empty = json.loads(got.body)["icestats"]
        assert got.headers["content-type"].startswith("application/json") and "source" not in empty
        assert {"admin", "host", "location", "server_id", "server_start", "server_start_iso8601"} <= set(empty)

    run(tmp_path, test)


def test_the_listing_names_what_is_on_the_air_and_how_many_listen(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.schedule(SpaceId("bbbbbbbbbb"))
        await world.broadcast.writer.close()
        await world.broadcast.go_live()
        await sound(world.broadcast, 4)
        one = await listen(world.port, "live.opus")
        sources = json.loads((await ask(world.port, "/status-json.xsl")).body)["icestats"]["source"]
        assert [(source["listenurl"], source["listeners"]) for source in sources] == [
            (f"http://127.0.0.1:22301/s/{SPACE}/live.mp3", 0),
            (f"http://127.0.0.1:22301/s/{SPACE}/live.opus", 1),
        ]
        assert [source["server_type"] for source in sources] == ["audio/mpeg", "audio/ogg"]
        assert {source["server_name"] for source in sources} == {"The big one"}
        one.close()

    run(tmp_path, test)


def test_the_listing_names_what_nobody_listens_to_here(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 4)
        sources = json.loads((await ask(world.port, "/status-json.xsl")).body)["icestats"]["source"]
        assert [(source["listenurl"].rpartition("/")[2], source["listeners"]) for source in sources] == [
            ("live.mp3", 0),
            ("live.opus", 0),
        ]
        assert world.number("rostra_edge_followed") == 0

    run(tmp_path, test)


def test_a_playlist_of_one_line_leads_to_the_stream(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.schedule()
        got = await get(world.port, "live.m3u")
        assert got.headers["content-type"].startswith("audio/x-mpegurl")
        assert got.body.decode().splitlines() == [
            "#EXTM3U",
            "#EXTINF:-1,The big one",
            f"http://127.0.0.1:22301/s/{SPACE}/live.mp3",
        ]

    run(tmp_path, test)
