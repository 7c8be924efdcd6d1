"""Edges on real sockets, one behind the other, and a cache between them that does what caches do."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broadcasts import SPACE, Broadcast

from rostra.edge.role import EdgeRole
from rostra.edge.upstream import Upstream
from rostra.edge.upstream_source import UpstreamSource
from rostra.kernel.clock import Clock, SystemClock
from rostra.kernel.errors import Unavailable
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.timeline.disk import DiskLibrary
from rostra.wire.client import Client, ClientLimits
from rostra.wire.http1 import Limits, Response
from rostra.wire.listening import serve
from rostra.wire.server import Counters, Exchange, Server

KEY = "the operator's key"


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(port: int, path: str, method: str = "GET", **headers: str) -> Got:
    """One request on its own connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(30):
        whole = await reader.read()
    writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    pairs = [one.split(": ", 1) for one in fields]
    return Got(int(status.split()[1]), {name.lower(): value for name, value in pairs}, body)


async def get(port: int, path: str, **headers: str) -> Got:
    """A path below the Space."""
    return await ask(port, f"/s/{SPACE}/{path}", **headers)


async def until(done: Callable[[], bool], deadline_s: float = 20) -> None:
    async with asyncio.timeout(deadline_s):
        while not done():
            await asyncio.sleep(0.005)


def bound(port: int = 0) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", port))
    return one


@dataclass
class Edge:
    role: EdgeRole
    port: int

    def number(self, name: str) -> float:
        """A figure of its metrics that has no labels."""
        for line in self.role.metrics().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise KeyError(name)

    async def waiting(self, count: int) -> None:
        await until(lambda: self.number("rostra_edge_waiting") == count)


async def origin(data: Path, port: int = 0, clock: Clock | None = None) -> Edge:
    listening = bound(port)
    clock = clock or SystemClock()
    settings = Settings(port=21_900)
    role = EdgeRole(library=DiskLibrary(data, clock), settings=settings, clock=clock, log=Log("edge"), key=KEY)
    edge = Edge(role, int(listening.getsockname()[1]))
    await role.start([listening])
    return edge


async def downstream(upstream_url: str, name: str = "second") -> Edge:
    listening = bound()
    source = UpstreamSource(Upstream(upstream_url, name), SystemClock())
    role = EdgeRole(
        settings=Settings(port=21_900), clock=SystemClock(), log=Log("edge"), key=KEY, name=name, source=source
    )
    edge = Edge(role, int(listening.getsockname()[1]))
    await role.start([listening])
    return edge


@dataclass
class Cache:
    """Hands every question on, and its answers back after `bend` had its way with them. Counts both.

    `bend` gets the target and the answer and gives what to send; it may be slow.
    """

    port: int
    to: str = ""
    bend: Callable[[str, Response], Any] | None = None
    asked: list[str] = field(default_factory=list)
    _server: Server | None = None

    def of(self, ending: str) -> int:
        """How often a target with this ending was asked for."""
        return sum(one.endswith(ending) for one in self.asked)

    def handle(self, exchange: Exchange) -> None:
        exchange.server.spawn(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        self.asked.append(request.target)
        kept = [(name, value) for name, value in request.headers.items() if name != "accept-encoding"]
        host, _, port = self.to.removeprefix("http://").partition(":")
        client = Client((host, int(port)), ClientLimits(connect_s=2.0))
        try:
            async with await client.request(request.method, request.target, kept) as answer:
                headers = [pair for pair in answer.headers if pair[0] != "date"]
                response = Response(answer.status, headers, await answer.read())
        except Unavailable:
            response = Response(502, [("Cache-Control", "no-store")], b"away")
        finally:
            await client.close()
        if self.bend is not None:
            response = await self.bend(request.target, response)
        if not exchange.gone:
            exchange.send_response(response)


@asynccontextmanager
async def cache(to: str) -> Any:
    listening = bound()
    made = Cache(int(listening.getsockname()[1]), to)
    server = await serve(made.handle, [listening], Limits(), Counters())
    try:
        yield made
    finally:
        await server.drain(0.2)


@asynccontextmanager
async def chain(data: Path) -> Any:
    """A broadcast, the edge at its record, an edge that follows that one through a cache."""
    broadcast = Broadcast(data, "off")
    first = await origin(data)
    async with cache(f"http://127.0.0.1:{first.port}") as between:
        second = await downstream(f"http://127.0.0.1:{between.port}")
        world = Chain(data, broadcast, first, between, second)
        try:
            yield world
        finally:
            await second.role.stop(0.5)
            await world.first.role.stop(0.5)
            await broadcast.close()


@dataclass
class Chain:
    data: Path
    broadcast: Broadcast
    first: Edge
    between: Cache
    second: Edge

    async def get(self, path: str, **headers: str) -> Got:
        """From the edge at the end of the chain."""
        return await get(self.second.port, path, **headers)

    async def die(self) -> None:
        await self.first.role.stop(0)

    async def return_(self) -> None:
        self.first = await origin(self.data, self.first.port)
