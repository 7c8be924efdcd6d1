"""Several edges on one port: what the death of one means to the listeners of all."""

import asyncio
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rostra_process import Rostra, free_ports

pytestmark = pytest.mark.timeout(180)
LISTENERS = 30


@pytest.fixture
def three_edges(tmp_path: Path) -> Iterator[Rostra]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "rostra.toml").write_text("edges = 3\n")
    with Rostra(data, free_ports(5)) as running:
        yield running


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


def listeners_by_edge(server: Rostra) -> dict[str, int]:
    request = urllib.request.Request(f"{server.door}/metrics", headers={"Authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    for edge in ("edge", "edge-2", "edge-3"):
        assert f'rostra_up{{role="{edge}"}} 1' in text
    found = re.findall(r'^rostra_edge_listeners\{role="([^"]+)",[^}]*\} (\d+)', text, re.MULTILINE)
    return {edge: int(count) for edge, count in found}


def test_a_killed_edge_costs_its_listeners_one_reconnect_and_the_others_nothing(
    three_edges: Rostra, eventually: Callable[..., Any], tmp_path: Path
) -> None:
    server = three_edges
    tone = tmp_path / "tone.wav"
    subprocess.run(
        ["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", str(tone), "synth", "10", "sine", "330"], check=True
    )
    space = server.run("space", "create", "--title", "Side by side")
    speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone), "--loop")
    try:
        eventually(lambda: server.state(space["id"])["state"] == "live", 20)
        listeners, victim, before = asyncio.run(_listen_through_a_death(server, space["id"]))
        after = listeners_by_edge(server)
    finally:
        speaking.interrupt()
    hit = [one for one in listeners if one.reconnects]
    others = [one for one in listeners if not one.reconnects]
    assert sum(before.values()) == LISTENERS and set(before) == {"edge", "edge-2", "edge-3"}
    assert len(hit) == before[victim]
    for one in listeners:
        assert one.heard == list(range(one.heard[0], one.heard[0] + len(one.heard))), "a part was missed"
    assert {one.reconnects for one in hit} == {1}
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
