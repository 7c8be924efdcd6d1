"""The radio on a real socket, following real records: MP3 part by part, made when asked for and not before."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from broadcasts import SPACE, Broadcast
from edge_world import Got, ask, bound, until
from sounding import frames, part, sound

from rostra.broadcast import radio
from rostra.broadcast.mp3_part import mp3_part
from rostra.broadcast.radio import RadioRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.timeline.disk import DiskLibrary


@dataclass
class World:
    role: RadioRole
    broadcast: Broadcast
    port: int

    async def part(self, number: int | str, space: str = SPACE) -> Got:
        return await ask(self.port, f"/s/{space}/mp3/part/{number}.mp3")

    def number(self, name: str) -> int:
        (line,) = [line for line in self.role.metrics().splitlines() if line.startswith(f"{name} ")]
        return int(line.split()[1])


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        listening = bound()
        library = DiskLibrary(tmp_path, SystemClock())
        role = RadioRole(library=library, clock=SystemClock(), log=Log("radio"))
        broadcast = Broadcast(tmp_path)
        await role.start([listening])
        try:
            await test(World(role, broadcast, int(listening.getsockname()[1])))
        finally:
            await role.stop(1)
            await broadcast.close()
            library.close()

    frames(0)  # the sound is made here, not on the loop
    uvloop.run(main())


def mp3(number: int) -> bytes:
    return mp3_part(number, part(number - 1) if number else None, part(number))


def test_a_part_is_made_of_the_record(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 9)
        for number in (0, 4, 8):
            got = await world.part(number)
            assert (got.status, got.body) == (200, mp3(number))
            assert got.headers["content-type"] == "audio/mpeg"
            assert "immutable" in got.headers["cache-control"]

    run(tmp_path, test)


def test_a_part_to_come_is_waited_for_and_made_once_for_all(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 2)
        asking = [asyncio.create_task(world.part(number)) for number in (2, 2, 2, 3)]
        await until(lambda: any(one._growth is not None for one in world.role._tuners.values()))
        assert (await world.part(8)).status == 404
        await sound(world.broadcast, 1)
        assert [(await one).body for one in asking[:3]] == [mp3(2)] * 3
        assert world.number("rostra_radio_made_total") == 1
        await sound(world.broadcast, 1)
        assert (await asking[3]).body == mp3(3)

    run(tmp_path, test)


def test_however_much_is_asked_of_the_past_who_listens_now_does_not_wait_for_it(tmp_path: Path) -> None:
    asked = radio.MAKING_MOST + 40

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, asked + 40)
        past = [asyncio.create_task(world.part(number)) for number in range(asked)]
        await until(lambda: len(world.role._making) > 200)
        await sound(world.broadcast, 1)
        got = await world.part(asked + 40)
        assert (got.status, got.body) == (200, mp3(asked + 40))
        assert sum(one.done() and one.result().status == 200 for one in past) < 100
        assert {one.status for one in await asyncio.gather(*past)} == {200, 503}

    run(tmp_path, test)


def test_nothing_is_made_while_nobody_asks(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 50)
        assert (await world.part(49)).status == 200
        await sound(world.broadcast, 50)
        assert (world.number("rostra_radio_made_total"), world.number("rostra_radio_tuned")) == (1, 1)

    run(tmp_path, test)


def test_who_is_not_asked_for_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radio, "LET_GO_S", 0.0)
    monkeypatch.setattr(radio, "_SWEEP_S", 0.01)

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 1)
        assert (await world.part(0)).status == 200
        await until(lambda: world.number("rostra_radio_tuned") == 0)
        assert (await world.part(0)).body == mp3(0)

    run(tmp_path, test)


def test_after_the_end_there_is_no_further_part(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 3)
        waiting = asyncio.create_task(world.part(3))
        assert (await world.part(2)).body == mp3(2)
        await world.broadcast.end()
        got = await waiting
        assert (got.status, got.headers["rostra-ended"]) == (404, "1")
        assert (await world.part(2)).body == mp3(2)

    run(tmp_path, test)


def test_who_waits_in_vain_is_told_to_ask_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radio, "HOLD_S", 0.05)

    async def test(world: World) -> None:
        await world.broadcast.schedule()
        got = await world.part(0)
        assert (got.status, got.headers["retry-after"]) == (503, "1")

    run(tmp_path, test)


def test_who_waits_when_it_stops_is_told_to_ask_again(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 1)
        assert (await world.part(0)).status == 200
        waiting = asyncio.create_task(world.part(1))
        await until(lambda: any(one._growth is not None for one in world.role._tuners.values()))
        await world.role.stop(1)
        assert (await waiting).status == 503

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/s/{SPACE}/mp3/part/-1.mp3", 404),
        (f"/s/{SPACE}/mp3/part/00.mp3", 404),
        (f"/s/{SPACE}/mp3/part/9999999999.mp3", 404),
        (f"/s/{SpaceId('zzzzzzzzzz')}/mp3/part/0.mp3", 404),
        ("/s/../../etc/passwd", 400),
        ("/nothing", 404),
        ("/healthz", 200),
    ],
)
def test_other_paths(tmp_path: Path, path: str, status: int) -> None:
    async def test(world: World) -> None:
        await world.broadcast.schedule()
        assert (await ask(world.port, path)).status == status

    run(tmp_path, test)


def test_packets_that_no_encoder_made_take_their_time_as_silence_would(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(8)
        for number in range(8):
            assert len((await world.part(number)).body) == len(mp3(number))

    run(tmp_path, test)


def test_a_record_that_cannot_be_read_is_said_and_counted(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await sound(world.broadcast, 3)
        record = tmp_path / "spaces" / SPACE / "timeline"
        whole = record.read_bytes()
        record.write_bytes(whole.replace(b"mdat", b"tadm"))
        got = await world.part(1)
        assert (got.status, got.headers["retry-after"]) == (503, "5")
        assert world.number("rostra_radio_damaged_total") == 1
        record.write_bytes(whole)
        assert (await world.part(1)).body == mp3(1)

    run(tmp_path, test)
