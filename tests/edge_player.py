"""An edge on a real socket before a Space that is on the air, and a player who asks it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from broadcasts import SPACE, Broadcast

from rostra.edge.role import EdgeRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.sound.renditions import Rendition
from rostra.timeline.disk import DiskLibrary
from rostra.wire.client import Client


class Player:
    """Asks the edge as a player does, over kept connections."""

    def __init__(self, broadcast: Broadcast, role: EdgeRole, client: Client, url: str) -> None:
        self.broadcast = broadcast
        self.role = role
        self.client = client
        self.base = f"/s/{SPACE}/{url}/"

    async def get(self, path: str) -> tuple[int, str, str]:
        """Status, Cache-Control, body as text."""
        async with await self.client.request("GET", self.base + path) as answer:
            body = await answer.read()
            return answer.status, answer.header("cache-control"), body.decode("latin-1")

    async def playlist(self, query: str = "") -> str:
        status, _, text = await self.get(f"live.m3u8{query}")
        assert status == 200, text
        return text

    async def held(self, path: str) -> asyncio.Task[tuple[int, str, str]]:
        """A request that the edge is holding."""
        before = self._waiting()
        task = asyncio.create_task(self.get(path))
        async with asyncio.timeout(5):
            while self._waiting() == before:
                assert not task.done(), task.result()
                await asyncio.sleep(0.002)
        return task

    def _waiting(self) -> str:
        return self.role.metrics().split("\nrostra_edge_waiting ")[1].split("\n")[0]


def run(
    tmp_path: Path,
    test: Callable[[Player], Awaitable[None]],
    parts: int = 100,
    url: str = "hls",
    renditions: tuple[Rendition, ...] = tuple(Rendition),
) -> None:
    async def main() -> None:
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        library = DiskLibrary(tmp_path, SystemClock())
        role = EdgeRole(library=library, settings=Settings(port=21_450), clock=SystemClock(), log=Log("edge"), key="k")
        broadcast = Broadcast(tmp_path)
        await broadcast.schedule()
        await broadcast.begin(*renditions)
        await broadcast.add(parts, *renditions)
        client = Client(("127.0.0.1", int(one.getsockname()[1])))
        await role.start([one])
        try:
            await test(Player(broadcast, role, client, url))
        finally:
            await client.close()
            await role.stop(1)
            await broadcast.close()

    uvloop.run(main())
