"""Several edges on one port: what the death of one, and one that is full, mean to the listeners of all."""

import asyncio
import re
import resource
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from rostra_process import Rostra, free_ports

from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SpaceId
from rostra.space.events import Thinned
from rostra.timeline.disk import DiskLibrary

pytestmark = pytest.mark.timeout(180)
LISTENERS = 30
FILES = 700
ALLOWED = FILES - 128
"""Connections that so many files leave room for."""
NEWCOMERS = 2000


@dataclass(frozen=True)
class OnAir:
    server: Rostra
    space_id: str


@pytest.fixture(scope="module")
def on_air(tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]) -> Iterator[OnAir]:
    """Three edges, and a Space that somebody speaks in."""
    place = tmp_path_factory.mktemp("edges")
    data, tone = place / "data", place / "tone.wav"
    data.mkdir()
    (data / "rostra.toml").write_text("edges = 3\n")
    subprocess.run(
        ["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", str(tone), "synth", "10", "sine", "330", "norm", "-12"],
        check=True,
    )
    with Rostra(data, free_ports(5)) as server:
        space = server.run("space", "create", "--title", "Side by side")
        speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone), "--loop")
        try:
            eventually(lambda: server.state(space["id"])["state"] == "live", 20)
            yield OnAir(server, space["id"])
        finally:
            speaking.interrupt()
            speaking.result(30)


@dataclass
class Listener:
    """Asks for one numbered part after the other on one connection, as the web player does.

    Attributes:
        heard: part numbers in the order they came.
        gaps_s: between two of them.
    """

    port: int
    space_id: str
    heard: list[int] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    reconnects: int = 0

    async def run(self, until: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        status, head, _ = await self._ask(reader, writer, "join.mp4")
        assert status == 200
        match = re.search(r"rostra-next: (\d+)", head, re.IGNORECASE)
        assert match is not None
        number, came = int(match[1]), time.monotonic()
        while not until.is_set():
            try:
                status, _, body = await self._ask(reader, writer, f"part/{number}.m4s")
            except (OSError, EOFError):
                self.reconnects += 1
                writer.close()
                await asyncio.sleep(0.1)  # a short way there and back
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                continue
            assert status == 200 and b"mdat" in body, status
            now = time.monotonic()
            self.heard.append(number)
            self.gaps_s.append(now - came)
            number, came = number + 1, now
        writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str
    ) -> tuple[int, str, bytes]:
        writer.write(f"GET /s/{self.space_id}/opus/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        async with asyncio.timeout(20):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None
            body = await reader.readexactly(int(length[1]))
        return int(head.split()[1]), head, body


def _metrics(server: Rostra) -> str:
    request = urllib.request.Request(f"{server.door}/metrics", headers={"Authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def listeners_by_edge(server: Rostra) -> dict[str, int]:
    text = _metrics(server)
    for edge in ("edge", "edge-2", "edge-3"):
        assert f'rostra_up{{role="{edge}"}} 1' in text
    found = re.findall(r'^rostra_edge_listeners\{role="([^"]+)",[^}]*\} (\d+)', text, re.MULTILINE)
    return {edge: int(count) for edge, count in found}


def test_a_killed_edge_costs_its_listeners_one_reconnect_and_the_others_nothing(on_air: OnAir) -> None:
    listeners, victim, before = asyncio.run(_listen_through_a_death(on_air.server, on_air.space_id))
    after = listeners_by_edge(on_air.server)
    hit = [one for one in listeners if one.reconnects]
    others = [one for one in listeners if not one.reconnects]
    assert sum(before.values()) == LISTENERS and set(before) == {"edge", "edge-2", "edge-3"}
    assert len(hit) == before[victim]
    for one in listeners:
        assert one.heard == list(range(one.heard[0], one.heard[0] + len(one.heard))), "a part was missed"
    # Who was back before the death was noticed is sent on once more.
    assert {one.reconnects for one in hit} <= {1, 2}
    assert max(max(one.gaps_s) for one in hit) < 5, before
    assert max(max(one.gaps_s) for one in others) < 3, before
    assert sum(after.values()) == LISTENERS


async def _listen_through_a_death(server: Rostra, space_id: str) -> tuple[list[Listener], str, dict[str, int]]:
    async def counted() -> None:
        async with asyncio.timeout(40):
            while (await asyncio.to_thread(server.state, space_id))["count"] != LISTENERS:
                await asyncio.sleep(0.25)

    listeners = [Listener(server.port + 1, space_id) for _ in range(LISTENERS)]
    until = asyncio.Event()
    running = [asyncio.create_task(one.run(until)) for one in listeners]
    await counted()
    before = await asyncio.to_thread(listeners_by_edge, server)
    victim = max(before, key=lambda edge: before[edge])
    server.kill_role(victim)
    heard = [len(one.heard) for one in listeners]
    async with asyncio.timeout(30):
        while any(len(one.heard) < had + 8 for one, had in zip(listeners, heard, strict=True)):
            await asyncio.sleep(0.1)
    await counted()
    until.set()
    await asyncio.gather(*running)
    return listeners, victim, before


def test_a_full_edge_tells_newcomers_so_and_those_inside_hear_on(on_air: OnAir) -> None:
    story = asyncio.run(_crowd_one_edge(on_air))
    answers = Counter(status for status, _, _ in story.newcomers)
    full = [(head, body) for status, head, body in story.newcomers if status == 503]
    # Two of three edges have room; the third is full. Nobody is left without an answer.
    assert answers[200] + answers[503] == NEWCOMERS and answers[503] > NEWCOMERS / 6, answers
    for head, body in full:
        assert re.search(r"^retry-after: [1-9]\d*\r$", head, re.IGNORECASE | re.MULTILINE)
        assert b"full" in body and b"try again" in body
    for one in story.inside:
        assert one.reconnects == 0
        assert one.heard == list(range(one.heard[0], one.heard[0] + len(one.heard))), "a part was missed"
        assert max(one.gaps_s) < 3
    assert story.afterwards == 200, "with the crowd gone there is room again"
    told = _thinned(on_air)
    assert [(event.edge, event.step) for event in told[:3]] == [("edge-2", 1), ("edge-2", 2), ("edge-2", 3)]
    assert {event.why for event in told[:3]} == {"connections run out"}
    assert story.thinned == 3


@dataclass
class Story:
    inside: list[Listener]
    newcomers: list[tuple[int, str, bytes]] = field(default_factory=list)
    thinned: int = 0
    afterwards: int = 0


async def _crowd_one_edge(on_air: OnAir) -> Story:
    server, port = on_air.server, on_air.server.port + 1
    # What the supervisor may open is what the next life of a role may.
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    killed = server.kill_role("edge-2")
    async with asyncio.timeout(30):
        while server.pids()["edge-2"] == killed or not _ready(server):
            await asyncio.sleep(0.05)
    story = Story([Listener(port, on_air.space_id) for _ in range(LISTENERS)])
    until = asyncio.Event()
    running = [asyncio.create_task(one.run(until)) for one in story.inside]
    async with asyncio.timeout(20):
        while not all(one.heard for one in story.inside):
            await asyncio.sleep(0.1)
    crowd: list[asyncio.StreamWriter] = []
    try:
        async with asyncio.timeout(60):
            while (room := ALLOWED - await _open(server)) > 0:
                for _ in range(max(3, room)):  # of which a third comes to this edge
                    crowd.append((await asyncio.open_connection("127.0.0.1", port))[1])
                    crowd[-1].write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")  # who says nothing does not stay
        turns = asyncio.Semaphore(30)
        story.newcomers = await asyncio.gather(*(_knock(port, on_air.space_id, turns) for _ in range(NEWCOMERS)))
        async with asyncio.timeout(40):
            while story.thinned < 3:
                story.thinned = (await asyncio.to_thread(server.state, on_air.space_id))["thinned"]
                await asyncio.sleep(0.2)
    finally:
        for writer in crowd:
            writer.close()
    async with asyncio.timeout(10):
        while await _open(server) > ALLOWED / 2:
            await asyncio.sleep(0.1)
    again = await asyncio.gather(*(_knock(port, on_air.space_id, turns) for _ in range(60)))
    story.afterwards = max(status for status, _, _ in again)
    until.set()
    await asyncio.gather(*running)
    return story


async def _knock(port: int, space_id: str, turns: asyncio.Semaphore) -> tuple[int, str, bytes]:
    async with turns, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET /s/{space_id}/opus/join.mp4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            whole = await reader.read()
        except ConnectionError:
            return 0, "", b""
        finally:
            writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, head.decode() + "\r\n", body


def _ready(server: Rostra) -> bool:
    return '"role ready"' in server.log().rpartition('"role started"')[2]


async def _open(server: Rostra) -> int:
    """Connections at the edge."""
    while True:
        metrics = await asyncio.to_thread(_metrics, server)
        found = re.search(r'^rostra_wire_open\{role="edge-2"[^}]*\} (\d+)$', metrics, re.MULTILINE)
        if found:
            return int(found[1])
        await asyncio.sleep(0.1)  # too busy to say


def _thinned(on_air: OnAir) -> list[Thinned]:
    library = DiskLibrary(on_air.server.data, SystemClock())
    reader = library.reader(SpaceId(on_air.space_id))
    try:
        reader.refresh()
        events = [reader.event(entry) for entry in reader.events()]
        return [event for event in events if isinstance(event, Thinned)]
    finally:
        reader.close()
        library.close()
