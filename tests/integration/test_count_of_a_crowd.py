"""Five thousand known listeners of mixed kinds over two edge processes: the figure that is published is theirs."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rostra_process import environment
from stage_world import World, world

from rostra.app.cli import main as rostra
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.count import Tally
from rostra.stage.turnout import HOLDS_S

TESTS = Path(__file__).parents[1]
KINDS = {"web": 2000, "web-unnamed": 1000, "hls": 500, "hls-cmcd": 1000, "stream": 500}
LISTENERS = sum(KINDS.values())
SHOWN = {"hls": 1500, "stream": 500, "web": 3000}
EDGES = ("edge", "edge-2")
DEADLINE_S = 40.0
SHARE = 0.01
HOLD_S = HOLDS_S + 3
"""Longer than anybody is counted who has gone (12 s), and than a number must stand to be a peak."""


@asynccontextmanager
async def process(*command: str, sockets: tuple[socket.socket, ...] = ()) -> AsyncIterator[asyncio.subprocess.Process]:
    """Python with these arguments; its standard input is closed at the end."""
    numbers = tuple(one.fileno() for one in sockets)
    running = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pass_fds=numbers,
        env=environment(),
    )  # fmt: skip
    try:
        yield running
    finally:
        assert running.stdin is not None
        running.stdin.close()
        try:
            async with asyncio.timeout(5):
                await running.wait()
        except TimeoutError:
            running.kill()


async def said(running: asyncio.subprocess.Process, word: str) -> None:
    assert running.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        assert (await running.stdout.readline()).decode().strip() == word


@asynccontextmanager
async def edges(data: Path, stage_port: int, names: tuple[str, ...]) -> AsyncIterator[int]:
    """One process for each name, all on the port given."""
    sockets: list[socket.socket] = []
    for _ in names:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", sockets[0].getsockname()[1] if sockets else 0))
        sockets.append(one)
    script = str(TESTS / "edge_process.py")
    commands = [
        process(script, str(data), str(stage_port), name, str(one.fileno()), sockets=(one,))
        for name, one in zip(names, sockets, strict=True)
    ]
    async with commands[0] as first, commands[1] as second:
        await said(first, "ready")
        await said(second, "ready")
        port = int(sockets[0].getsockname()[1])
        for one in sockets:
            one.close()  # theirs alone now: what connects is never left with us
        yield port


async def on_air(one: World) -> tuple[SpaceId, str]:
    space, host = await one.space()
    for command in ("open", "go_live"):
        assert (await one.command(space, host, type=command)).status_code == 200
    async with asyncio.timeout(DEADLINE_S):
        while len(one.events(space)) < 3 or not parts(one, space):
            await asyncio.sleep(0.1)
    return space, host


def parts(one: World, space: SpaceId) -> int:
    reader = one.library.reader(space)
    try:
        reader.refresh()
        return len(reader.parts(Rendition.HLS))
    finally:
        reader.close()


class Watch:
    """Looks at every tally that the stage makes, from when it has first been told of nearly everybody."""

    def __init__(self, one: World, space: SpaceId) -> None:
        self._one, self._space = one, space
        self._highest = Tally()
        self.wrong: list[Tally] = []

    async def until_in(self) -> None:
        """Nobody is counted twice on the way up either."""
        turnout = (await self._one.role._registry.loop(self._space)).turnout
        async with asyncio.timeout(DEADLINE_S):
            while (tally := turnout.tally(self._one.clock.monotonic())).now < LISTENERS * (1 - SHARE):
                await asyncio.sleep(0.05)
        self._judge(tally)

    async def hold(self, seconds: float) -> Tally:
        """The last tally of so long."""
        turnout = (await self._one.role._registry.loop(self._space)).turnout
        end = self._one.clock.monotonic() + seconds
        while (now := self._one.clock.monotonic()) < end:
            self._judge(tally := turnout.tally(now))
            await asyncio.sleep(0.05)
        return tally

    def _judge(self, tally: Tally) -> None:
        if not near(tally.now, LISTENERS) or not all(
            near(tally.kinds.get(kind, 0), count, 0.02) for kind, count in SHOWN.items()
        ):
            self.wrong.append(tally)


async def told_since(one: World, space: SpaceId, names: tuple[str, ...], moment: float) -> None:
    """Each edge has counted and told since then."""
    turnout = (await one.role._registry.loop(space)).turnout
    async with asyncio.timeout(DEADLINE_S):
        while any(turnout._reports[name][1] < moment for name in names):
            await asyncio.sleep(0.05)


def near(count: int, wanted: int, share: float = SHARE) -> bool:
    return abs(count - wanted) <= share * wanted


def test_five_thousand_known_listeners_are_counted_to_one_in_a_hundred(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> SpaceId:
        async with world(tmp_path) as one:
            stage_port = int(str(one.http.base_url).rpartition(":")[2].rstrip("/"))
            space, host = await on_air(one)
            async with edges(tmp_path, stage_port, EDGES) as port:
                crowd = [f"{kind}={count}" for kind, count in KINDS.items()]
                begin = str(parts(one, space))
                async with process(str(TESTS / "listeners.py"), str(port), space, begin, *crowd) as listeners:
                    watch = Watch(one, space)
                    await said(listeners, "in")
                    await watch.until_in()
                    before = await watch.hold(HOLD_S)
                    assert watch.wrong == []
                    assert before.unique == LISTENERS
                    assert (before.error, before.unique_error) == (0.0, 0.0)

                    assert listeners.stdin is not None
                    listeners.stdin.write(b"400\n")
                    await said(listeners, "moved")
                    await told_since(one, space, EDGES, one.clock.monotonic() + 0.5)
                    after = await watch.hold(HOLD_S)
                    assert watch.wrong == []
                    assert after.unique == LISTENERS
                    assert (await one.command(space, host, type="end")).status_code == 200
            return space

    space = asyncio.run(test())
    monkeypatch.setattr(sys, "argv", ["rostra", "timeline", "counts", space, "--data", str(tmp_path), "--json"])
    rostra()
    record = json.loads(capsys.readouterr().out)
    last = record["counts"][-1]
    assert near(last["now"], LISTENERS) and near(last["peak"], LISTENERS) and last["unique"] == LISTENERS, last
    assert all(one["peak"] <= LISTENERS * (1 + SHARE) for one in record["counts"])
    for kind, count in SHOWN.items():
        assert near(last["kinds"][kind], count, 0.02), last
    assert record["over"] and len(record["chain"]) == 64
