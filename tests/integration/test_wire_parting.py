"""Who is told no sees it, on real sockets."""

import asyncio

import pytest
from wire_world import GET, Bench, run

from rostra.wire.http1 import Limits


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"), (b"\x16\x03\x01\x02\x00", b"400"), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (b"GET /" + b"a" * 70_000, b"414"), (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, b"431"), (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", b"501"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n" + b"x" * 500_000, b"413"),
    ],
)  # fmt: skip
def test_what_is_not_http_is_answered_and_closed(data: bytes, status: bytes) -> None:
    async def test(bench: Bench) -> None:
        whole = await bench.ask(data)
        assert whole.startswith(b"HTTP/1.1 " + status)
        assert b"Connection: close\r\n" in whole
        assert bench.counters.bad_requests == 1

    run(test)


def test_what_is_sent_on_after_a_refusal_is_read_and_not_heard() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(b"nonsense\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
            writer.write(GET % b"/hello" * 10)
            await reader.read()
            await bench.until(lambda: not bench.counters.open)
        assert (bench.counters.requests, bench.counters.bad_requests) == (0, 1)
        writer.close()

    run(test)


def test_who_is_being_told_no_does_not_hold_a_drain_up() -> None:
    async def test(bench: Bench) -> None:
        _, inside = await bench.connect()
        await bench.until(lambda: bench.counters.open == 1)
        reader, waiting = await bench.connect()
        await bench.until(lambda: bench.server.places.refusing == 1)
        async with asyncio.timeout(1):
            await bench.server.drain(10)
            assert await reader.read() == b""
        inside.close()
        waiting.close()

    run(test, Limits(connections=1))
