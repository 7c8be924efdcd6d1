"""Which timelines an edge goes on following, and which give way: on real sockets, with a clock that the test moves."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from broadcasts import SPACE, Broadcast, payload
from edge_world import Edge, Got, ask, get, origin

from rostra.edge.count import TURN_S
from rostra.edge.role import SWEEP_EVERY_S
from rostra.edge.shelf import CLOSED_AFTER_TURNS, Shelf
from rostra.kernel.clock import ManualClock
from rostra.kernel.errors import Unavailable
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.wire.client import Client

OTHERS = [SpaceId(letter * 10) for letter in "abc"]
NOBODYS = SpaceId("zzzzzzzzzz")
LONG = 2 * CLOSED_AFTER_TURNS
"""Turns after which whatever nobody asks for is closed."""


@dataclass
class World:
    edge: Edge
    clock: ManualClock
    broadcast: Broadcast

    @property
    def shelf(self) -> Shelf:
        return self.edge.role._shelf

    @property
    def followed(self) -> list[SpaceId]:
        return list(self.shelf.followers)

    async def get(self, path: str) -> Got:
        return await get(self.edge.port, path)

    async def newcomer(self, space_id: SpaceId) -> int:
        """The status that somebody gets who asks for this Space's first part."""
        return (await ask(self.edge.port, f"/s/{space_id}/opus/part/0.m4s")).status

    def turns(self, count: int) -> None:
        """So many turns of the sweep go by, and what is counted meanwhile is taken in as it is when the stage is told."""
        for _ in range(count):
            for _ in range(round(SWEEP_EVERY_S / TURN_S)):
                self.clock.advance(TURN_S)
                self.edge.role.metrics()
            self.shelf.sweep()


@dataclass
class Ear:
    """Asks as a player does, part by part on one connection."""

    world: World
    client: Client
    headers: list[tuple[str, str]]
    next: int

    async def hear(self) -> None:
        """Wait for the next part, until it has come; the one after it has not been asked for then."""
        path = f"/s/{SPACE}/opus/part/{self.next}.m4s"
        asking = asyncio.create_task(self._get(path))
        await self.world.edge.waiting(1)
        await self.world.broadcast.add(1)
        assert await asking == payload(Rendition.OPUS, self.next)
        self.next += 1
        await self.world.edge.waiting(0)

    async def _get(self, path: str) -> bytes:
        async with await self.client.request("GET", path, self.headers) as answer:
            assert answer.status == 200
            return await answer.read()


@asynccontextmanager
async def ear(world: World, *headers: tuple[str, str]) -> AsyncIterator[Ear]:
    client = Client(("127.0.0.1", world.edge.port))
    assert (await world.get("opus/init.mp4")).status == 200
    try:
        yield Ear(world, client, list(headers), world.broadcast.next[Rendition.OPUS])
    finally:
        await client.close()


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        for space_id in OTHERS:
            other = Broadcast(tmp_path)
            await other.go_live(space_id)
            await other.add(1)
            await other.close()
        broadcast, clock = Broadcast(tmp_path), ManualClock()
        edge = await origin(tmp_path, clock=clock)
        try:
            await test(World(edge, clock, broadcast))
        finally:
            await edge.role.stop(1)
            await broadcast.close()

    uvloop.run(main())


def test_a_timeline_nobody_asks_for_is_closed_and_opened_again(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(60)
        await world.get("opus/part/59.m4s")
        await world.get("hls/seg/6.m4s")
        world.turns(LONG)
        assert not world.followed
        assert not world.shelf.hot
        await world.broadcast.add(1)
        assert (await world.get("opus/part/60.m4s")).body == payload(Rendition.OPUS, 60)
        held = asyncio.create_task(world.get("opus/part/61.m4s"))
        await world.edge.waiting(1)
        world.turns(LONG)
        await world.broadcast.add(1)
        assert (await held).status == 200

    run(tmp_path, test)


def test_a_timeline_where_everybody_has_waited_in_vain_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rostra.edge.waiting.BLOCK_MOST_S", 0.05)

    async def test(world: World) -> None:
        await world.broadcast.schedule()
        paths = ("opus/join.mp4", "opus/part/0.m4s", "hls/live.m3u8", "opus/wide/0.m4s")
        assert {got.status for got in await asyncio.gather(*map(world.get, paths))} == {503}
        world.turns(LONG)
        assert not world.followed

    run(tmp_path, test)


def test_for_one_more_timeline_the_one_asked_for_longest_ago_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rostra.edge.shelf.FOLLOWED_MOST", 2)

    async def test(world: World) -> None:
        for space_id in OTHERS[:2]:
            assert await world.newcomer(space_id) == 200
        assert await world.newcomer(OTHERS[2]) == 503
        world.turns(1)
        assert await world.newcomer(OTHERS[2]) == 503  # those who asked may be about to ask again
        world.turns(1)
        assert await world.newcomer(OTHERS[2]) == 200
        assert world.followed == OTHERS[1:]

    run(tmp_path, test)


@pytest.mark.parametrize("headers", [(), (("Rostra-Edge", "elsewhere"),)], ids=["a listener", "another edge"])
def test_who_hears_it_part_by_part_is_never_put_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: tuple[tuple[str, str], ...]
) -> None:
    """Nothing is held whenever somebody looks: the part has just come, and the next has not been asked for."""
    monkeypatch.setattr("rostra.edge.shelf.FOLLOWED_MOST", 1)

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(2)
        async with ear(world, *headers) as listener:
            for _ in range(LONG):
                await listener.hear()
                world.turns(1)
                assert await world.newcomer(OTHERS[0]) == 503
            assert world.followed == [SPACE]
            assert world.shelf.opened == 1

    run(tmp_path, test)


def test_who_asks_for_a_space_that_never_was_takes_nobodys_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rostra.edge.shelf.FOLLOWED_MOST", 1)

    async def test(world: World) -> None:
        assert await world.newcomer(OTHERS[0]) == 200
        world.turns(3)
        assert await world.newcomer(NOBODYS) == 404
        assert world.followed == OTHERS[:1]

    run(tmp_path, test)


def test_a_place_that_is_free_for_one_is_given_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rostra.edge.shelf.FOLLOWED_MOST", 1)

    async def test(world: World) -> None:
        assert await world.newcomer(OTHERS[0]) == 200
        world.turns(3)
        assert sorted(await asyncio.gather(*map(world.newcomer, OTHERS[1:]))) == [200, 503]
        assert len(world.followed) == 1

    run(tmp_path, test)


def test_what_is_being_read_is_read_to_its_end_though_its_timeline_has_to_be_closed(tmp_path: Path) -> None:
    """A file that is closed under a reader may be another one's by the time it reads on."""
    place = tmp_path / "spaces" / SPACE

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(1500)
        whole = (await world.get("recording.m4a")).body
        assert len(whole) > 8_000_000
        async with slow_reader(world.edge.port) as (reader, writer):
            writer.write(f"GET /s/{SPACE}/recording.m4a HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            files = open_below(place)
            await damage(world, place / "index")
            assert world.followed == [] and world.shelf.damaged == 1
            assert open_below(place) == files
            async with asyncio.timeout(20):
                assert await reader.readexactly(len(whole)) == whole
                while open_below(place) >= files:
                    await asyncio.sleep(0.002)

    run(tmp_path, test)


def test_who_begins_to_read_after_the_closing_is_told_so(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        assert await world.newcomer(OTHERS[0]) == 200
        (follower,) = world.shelf.followers.values()
        world.turns(LONG)
        assert not world.followed
        with follower.reading(), pytest.raises(Unavailable):
            _ = follower.feed

    run(tmp_path, test)


@asynccontextmanager
async def slow_reader(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection of which little is on the way that has not been read."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    one.connect(("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=one, limit=65_536)
    try:
        yield reader, writer
    finally:
        writer.close()


async def damage(world: World, index: Path) -> None:
    """The edge finds an index that is shorter than the record says."""
    role = world.edge.role
    stop_hearing, role._stop_hearing = role._stop_hearing, None
    assert stop_hearing is not None
    stop_hearing()
    await world.broadcast.add(1)
    index.write_bytes(index.read_bytes()[:-10])
    world.shelf.heard(SPACE)


def open_below(place: Path) -> int:
    """How many files of this folder the process has open."""
    links = (f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith(str(place)) for link in links if os.path.islink(link))
