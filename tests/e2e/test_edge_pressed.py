"""An edge whose loop is really late, or really busy: newcomers are offered less, and who listens plays on as before."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rostra_process import Rostra, environment, free_ports

from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SpaceId
from rostra.space.events import Thinned
from rostra.timeline.disk import DiskLibrary

pytestmark = pytest.mark.timeout(180)
TESTS = Path(__file__).parents[1]
CROWD = 230
"""More than there must be for an edge to think that it is the crowd that presses."""
STOPPED_S, RUNS_S = 1.2, 0.05
AHEAD = 16
USUAL = ["live.m3u8", "../low/live.m3u8"]
WIDE = ["wide.m3u8", "../low/wide.m3u8"]
LOW = ["../low/wide.m3u8", "wide.m3u8"]


@dataclass(frozen=True)
class OnAir:
    server: Rostra
    space: str

    @property
    def port(self) -> int:
        return self.server.port + 1

    def offered(self) -> tuple[list[str], str]:
        """What a newcomer is told to play by HLS, and how many parts the web player shall ask for at once."""
        with urllib.request.urlopen(f"{self.server.sound}/s/{self.space}/hls/index.m3u8", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        with urllib.request.urlopen(f"{self.server.sound}/s/{self.space}/opus/join.mp4", timeout=20) as answer:
            step = answer.headers["rostra-step"] or "1"
        return [line for line in lines if not line.startswith("#")], step

    def thinned(self) -> tuple[int, int | None]:
        """By the page's state, and by the metrics of the edge, which it may be too late to give."""
        asked = urllib.request.Request(
            f"{self.server.door}/metrics", headers={"Authorization": f"Bearer {self.server.key}"}
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:
            found = re.search(r'^rostra_edge_thinned\{role="edge"\} (\d)$', answer.read().decode(), re.MULTILINE)
        return self.server.state(self.space)["thinned"], int(found[1]) if found else None

    def told(self) -> list[tuple[int, str]]:
        """The steps on the record, with their reasons."""
        library = DiskLibrary(self.server.data, SystemClock())
        reader = library.reader(SpaceId(self.space))
        try:
            reader.refresh()
            events = [reader.event(entry) for entry in reader.events()]
        finally:
            reader.close()
            library.close()
        return [(event.step, event.why) for event in events if isinstance(event, Thinned) and event.edge == "edge"]


@pytest.fixture(scope="module")
def on_air(tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]) -> Iterator[OnAir]:
    """One edge, and a Space that somebody speaks in."""
    place = tmp_path_factory.mktemp("pressed")
    data, tone = place / "data", place / "tone.wav"
    data.mkdir()
    (data / "rostra.toml").write_text("edges = 1\n")
    subprocess.run(
        ["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", str(tone), "synth", "10", "sine", "330", "norm", "-12"],
        check=True,
    )
    with Rostra(data, free_ports(5)) as server:
        space = server.run("space", "create", "--title", "Hard pressed")
        speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone), "--loop")
        try:
            eventually(lambda: server.state(space["id"])["state"] == "live", 20)
            on_air = OnAir(server, space["id"])
            eventually(lambda: on_air.offered() == (USUAL, "1"), 20)
            yield on_air
        finally:
            speaking.interrupt()
            speaking.result(30)


@dataclass
class Player:
    """Plays HLS as it began: reloads its playlist, then takes the part that is new.

    Attributes:
        heard: part numbers in the order they came.
        targets: what the playlist said of the length of its parts.
    """

    on_air: OnAir
    heard: list[int] = field(default_factory=list)
    targets: set[str] = field(default_factory=set)

    async def play(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.on_air.port)
        try:
            hint = re.search(r'PRELOAD-HINT:TYPE=PART,URI="part/(\d+)\.m4s"', (await self._get("live.m3u8")).decode())
            assert hint is not None
            number = int(hint[1])
            while True:
                text = (await self._get(f"live.m3u8?_HLS_msn={number // 8}&_HLS_part={number % 8}")).decode()
                assert "wide" not in text
                self.targets |= set(re.findall(r"(?:PART-TARGET=|TARGETDURATION:)[\d.]+", text))
                assert b"mdat" in await self._get(f"part/{number}.m4s")
                self.heard.append(number)
                number += 1
        finally:
            self._writer.close()

    async def _get(self, path: str) -> bytes:
        self._writer.write(f"GET /s/{self.on_air.space}/hls/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        async with asyncio.timeout(20):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 200 "), (path, head)
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None
            return await self._reader.readexactly(int(length[1]))


Pressed = Callable[[OnAir], AbstractAsyncContextManager[None]]


async def come_to(on_air: OnAir, step: int, playing: asyncio.Task[None]) -> None:
    """Until the page and the edge's metrics both say that this much is left out."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(on_air.thinned) != (step, step):
            if playing.done():
                playing.result()
            await asyncio.sleep(0.1)


async def plays_on(player: Player, playing: asyncio.Task[None], parts: int = 4) -> None:
    more = len(player.heard) + parts
    async with asyncio.timeout(30):
        while len(player.heard) < more:
            if playing.done():
                playing.result()
            await asyncio.sleep(0.05)


async def through(on_air: OnAir, pressed: Pressed, step: int, offers: list[str]) -> Player:
    """From nothing to this step and back, with one who listens all the while."""
    player = Player(on_air)
    playing = asyncio.create_task(player.play())
    try:
        await plays_on(player, playing)
        async with pressed(on_air):
            await come_to(on_air, step, playing)
            assert await asyncio.to_thread(on_air.offered) == (offers, "2")
            await plays_on(player, playing)
        await come_to(on_air, 0, playing)
        assert await asyncio.to_thread(on_air.offered) == (USUAL, "1")
        await plays_on(player, playing)
        return player
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


@asynccontextmanager
async def crowd(on_air: OnAir, ahead: int) -> AsyncIterator[int]:
    """Gives its process."""
    path = f"/s/{on_air.space}/hls/init.mp4"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(TESTS / "pressing.py"), str(on_air.port), path, str(CROWD), str(ahead),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"in\n"
        yield process.pid
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def late(on_air: OnAir) -> AsyncIterator[None]:
    """Few ask for anything, and again and again the machine does not let the edge run for a second."""
    edge = on_air.server.pids()["edge"]

    async def stall() -> None:
        while True:
            os.kill(edge, signal.SIGSTOP)
            try:
                await asyncio.sleep(STOPPED_S)
            finally:
                os.kill(edge, signal.SIGCONT)
            await asyncio.sleep(RUNS_S)

    async with crowd(on_air, 0):
        stalling = asyncio.create_task(stall())
        try:
            yield
        finally:
            stalling.cancel()
            await asyncio.gather(stalling, return_exceptions=True)


@asynccontextmanager
async def busy(on_air: OnAir) -> AsyncIterator[None]:
    """A crowd asks for more than the edge can answer, and somebody else computes on its core."""
    edge, cores = on_air.server.pids()["edge"], os.sched_getaffinity(0)
    own = min(cores)
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    os.sched_setaffinity(other.pid, {own})
    os.sched_setaffinity(edge, {own})
    try:
        async with crowd(on_air, AHEAD) as asking:
            os.sched_setaffinity(asking, cores - {own} or cores)
            yield
    finally:
        os.sched_setaffinity(edge, cores)
        other.kill()
        await other.wait()


def test_an_edge_that_comes_late_offers_newcomers_less_and_takes_it_back(on_air: OnAir) -> None:
    told = len(on_air.told())
    player = asyncio.run(through(on_air, late, 2, WIDE))
    judge(player, on_air.told()[told:], 2, "answers come late")


@pytest.mark.alone
def test_an_edge_that_is_busy_offers_newcomers_less_and_takes_it_back(on_air: OnAir) -> None:
    told = len(on_air.told())
    player = asyncio.run(through(on_air, busy, 3, LOW))
    judge(player, on_air.told()[told:], 3, "the processor is busy")


def judge(player: Player, told: list[tuple[int, str]], step: int, why: str) -> None:
    assert player.heard == list(range(player.heard[0], player.heard[-1] + 1)), "a part was missed"
    assert len(player.targets) == 2, "what a playlist says of its lengths never changes"
    # The record says it when the stage is told; of steps close together it may be told the last only.
    up, down = told[: told.index((step, why)) + 1], told[told.index((step, why)) + 1 :]
    assert [one for one, _ in up] == sorted(one for one, _ in up) and {reason for _, reason in up} == {why}
    assert [one for one, _ in down] == sorted((one for one, _ in down), reverse=True) and down[-1][0] == 0
