"""A server on real sockets, and a handler whose exchanges can be looked at."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import uvloop

from rostra.kernel.errors import Overloaded, PeerError, Refused
from rostra.wire.awaiting import awaiting
from rostra.wire.http1 import Limits, Prepared, Request, Response, prepared
from rostra.wire.listening import serve
from rostra.wire.server import Counters, Exchange, Handler, Server, Stream

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = Limits(
    head_deadline_s=0.2, body_deadline_s=0.2, idle_s=0.4, answer_deadline_s=0.3, write_deadline_s=0.3, linger_s=0.2,
    pipeline_bytes=2000, stream_bytes=300_000, body_bytes=100_000,
)  # fmt: skip


@dataclass
class Bench:
    """A server and a handler whose exchanges can be looked at."""

    server: Server
    counters: Counters
    port: int
    kept: list[Exchange] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    lasting: Prepared = field(default_factory=lambda: HELLO)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, data: bytes, *, shut: bool = False) -> bytes:
        """All that comes back until the server closes. `shut`: having said that it will ask no more."""
        reader, writer = await self.connect()
        writer.write(data)
        if shut:
            writer.write_eof()
        async with asyncio.timeout(5):
            whole = await reader.read()
        writer.close()
        return whole

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.005)


HELLO = Prepared(200, [("Content-Type", "text/plain")], b"hello")
BIG = b"x" * 30_000_000


def handler(bench: Bench, slow: Handler) -> Handler:
    def handle(exchange: Exchange) -> None:
        match exchange.request.path:
            case "/hello":
                exchange.send_prepared(HELLO)
            case "/lasting":
                exchange.send_lasting(bench.lasting, bench.told.append)
            case "/echo":
                exchange.send(prepared(200, [], exchange.request.body))
            case "/big":
                exchange.send(prepared(200, [], BIG))
            case "/hold" | "/hold2":
                bench.kept.append(exchange)
                exchange.hold(0.3)
                exchange.on_gone(lambda: bench.left.append(exchange.request.path))
            case "/silent":
                bench.kept.append(exchange)
            case "/trap":
                bench.kept.append(exchange)
                exchange.hold(0.3, _fail)
                exchange.on_drain(lambda: _fail(exchange))
            case "/stream":
                stream = exchange.stream(b"HTTP/1.1 200 OK\r\n\r\n")
                stream.on_gone(lambda: bench.left.append("stream"))
                bench.streams.append(stream)
            case "/fault":
                raise RuntimeError("a fault of ours")
            case _:
                slow(exchange)

    return handle


def _fail(_: Exchange) -> None:
    raise RuntimeError("a fault of ours")


async def answers(request: Request) -> Response:
    match request.path:
        case "/await":
            return Response(200, [], f"{request.peer} {len(request.body)}".encode())
        case "/refused":
            raise Refused("No.", "not-now")
        case "/bad":
            raise PeerError(405, "Only GET.", headers=(("Allow", "GET"),))
        case "/full":
            raise Overloaded("Full.", 7)
        case "/pieces":
            return Response(200, [], pieces(3))
        case "/counted":
            return Response(200, [("Content-Length", "10")], pieces(2))
        case "/broken":
            return Response(200, [], _broken())
        case "/endless":
            return Response(200, [("Content-Type", "text/event-stream")], pieces(10**9, 0.02), endless=True)
    raise RuntimeError("a fault of ours")


async def pieces(count: int, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"%05d" % number
        await asyncio.sleep(pause_s)


async def _broken() -> AsyncIterator[bytes]:
    yield b"begun"
    raise RuntimeError("a fault of ours")


def run(test: Callable[[Bench], Awaitable[None]], limits: Limits = QUICK) -> None:
    async def main() -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        counters = Counters()
        box: list[Bench] = []
        slow = awaiting(answers)
        server = await serve(
            lambda exchange: handler(box[0], slow)(exchange), [listening], limits, counters, sweep_s=0.1
        )
        box.append(Bench(server, counters, port))
        try:
            await test(box[0])
        finally:
            await server.drain(0.5)
            assert counters.open == 0
            assert server.places.refusing == 0

    uvloop.run(main())


async def head_and_body(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
        return head, await reader.readexactly(length)
