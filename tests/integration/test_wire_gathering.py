"""Requests that wait for the same thing: however they came and whatever they are, each gets its answer once."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from certificates import make

from rostra.wire.http1 import Limits, Prepared
from rostra.wire.listening import serve
from rostra.wire.secure import certificate_of
from rostra.wire.server import Counters, Exchange, Gathering, Server

ANSWER = Prepared(200, [("Content-Type", "text/plain")], b"here it is")
BIG = b"x" * 5_000_000
IN_VAIN = Prepared(503, [], b"in vain")
ASK = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Bench:
    """A server whose every request waits in one gathering, until `answer`."""

    server: Server
    port: int
    counters: Counters
    gathering: Gathering
    most: int = 1000
    told: list[int] = field(default_factory=list)
    handled: int = 0
    trust: ssl.SSLContext | None = None

    def handle(self, exchange: Exchange) -> None:
        self.handled += 1
        self.gathering.join(exchange, lasting=True)

    def gather(self) -> None:
        self.gathering = Gathering(self.told.append, lambda one: one.send_prepared(IN_VAIN), hold_s=0.3, most=self.most)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust)

    async def waiting(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.gathering.exchanges) != count:
                await asyncio.sleep(0.005)

    def answer(self) -> None:
        gathering = self.gathering
        self.gather()
        gathering.answer(ANSWER)


def run(
    test: Callable[[Bench], Awaitable[None]], *, most: int = 1000, folder: Path | None = None, sweep_s: float = 60
) -> None:
    async def main() -> None:
        counters = Counters()
        listening = socket.create_server(("127.0.0.1", 0))
        secure = certificate_of(*map(str, make(folder)[1:])) if folder is not None else None
        bench: Bench
        server = await serve(
            lambda exchange: bench.handle(exchange), [listening], Limits(), counters, sweep_s=sweep_s, secure=secure
        )
        bench = Bench(server, listening.getsockname()[1], counters, None, most)  # type: ignore[arg-type]
        if folder is not None:
            bench.trust = ssl.create_default_context()
            bench.trust.check_hostname, bench.trust.verify_mode = False, ssl.CERT_NONE
        bench.gather()
        try:
            await test(bench)
        finally:
            await server.drain(1)

    asyncio.run(main())


async def status_and_body(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(one[15:]) for one in head.split(b"\r\n") if one.lower().startswith(b"content-length:"))
        return int(head[9:12]), await reader.readexactly(size)


@pytest.mark.parametrize("tls", [False, True])
def test_a_crowd_waits_and_each_is_answered_once(tmp_path: Path, tls: bool) -> None:
    async def test(bench: Bench) -> None:
        links = [await bench.connect() for _ in range(20)]
        for turn in range(3):
            for _, writer in links:
                writer.write(ASK)
            await bench.waiting(20)
            bench.answer()
            assert [await status_and_body(reader) for reader, _ in links] == [(200, b"here it is")] * 20, turn
        assert bench.counters.requests == bench.counters.held == 60
        # Only the first of them were looked at; the rest were recognised by their bytes, and somebody was told of each.
        assert len(bench.told) == 60 - bench.handled and bench.handled <= 8
        for _, writer in links:
            writer.close()

    run(test, folder=tmp_path if tls else None)


def test_each_is_answered_as_it_asked() -> None:
    async def test(bench: Bench) -> None:
        kinds = {
            "plain": ASK,
            "head": ASK.replace(b"GET", b"HEAD"),
            "last": ASK.replace(b"Host", b"Connection: close\r\nHost"),
            "two": ASK + ASK,
            "gone": ASK,
        }
        links = {name: await bench.connect() for name in kinds}
        for name, asked in kinds.items():
            links[name][1].write(asked)
        await bench.waiting(5)
        links["gone"][1].transport.abort()
        await asyncio.sleep(0.05)
        bench.answer()
        for name in ("plain", "last", "two"):
            assert await status_and_body(links[name][0]) == (200, b"here it is")
        head = await links["head"][0].readuntil(b"\r\n\r\n")
        assert b"Content-Length: 10" in head
        assert await links["last"][0].read() == b""
        await bench.waiting(1)  # the second of two waits for the next
        bench.answer()
        assert await status_and_body(links["two"][0]) == (200, b"here it is")
        links["head"][1].write(ASK)
        await bench.waiting(1)  # nothing came behind the head
        bench.answer()
        assert await status_and_body(links["head"][0]) == (200, b"here it is")
        assert bench.counters.faults == 0
        for _, writer in links.values():
            writer.close()

    run(test)


def test_nobody_joins_what_has_been_answered_nor_what_is_full() -> None:
    async def test(bench: Bench) -> None:
        links = [await bench.connect() for _ in range(6)]
        for _, writer in links:
            writer.write(ASK)
        await bench.waiting(6)
        # Two by the short way had room; the rest were looked at, by whoever may refuse them.
        assert bench.handled >= 3
        bench.answer()
        for reader, _ in links:
            await status_and_body(reader)
        handled = bench.handled
        links[0][1].write(ASK)
        await bench.waiting(1)
        assert bench.handled == handled + 1
        for _, writer in links:
            writer.close()

    run(test, most=3)


def test_who_waits_too_long_is_told_and_may_ask_again() -> None:
    async def test(bench: Bench) -> None:
        links = [await bench.connect() for _ in range(4)]
        for _, writer in links:
            writer.write(ASK)
        await bench.waiting(4)
        assert [await status_and_body(reader) for reader, _ in links] == [(503, b"in vain")] * 4
        bench.gathering.forget_the_gone()
        assert not bench.gathering.exchanges
        links[0][1].write(ASK)
        await bench.waiting(1)
        bench.answer()
        assert await status_and_body(links[0][0]) == (200, b"here it is")
        for _, writer in links:
            writer.close()

    run(test, sweep_s=0.1)


def test_a_slow_reader_among_them_gets_the_rest_later() -> None:
    async def test(bench: Bench) -> None:
        links = [await bench.connect() for _ in range(3)]
        for _, writer in links:
            writer.write(ASK)
        await bench.waiting(3)
        gathering = bench.gathering
        bench.gather()
        gathering.answer(Prepared(200, [], BIG))
        for reader, _ in links:
            assert await status_and_body(reader) == (200, BIG)
        for _, writer in links:
            writer.close()

    run(test)
