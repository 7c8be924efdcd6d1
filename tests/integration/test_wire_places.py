"""A full server, on real sockets."""

import asyncio
import resource

import pytest
from wire_world import GET, Bench, head_and_body, run

from rostra.wire.http1 import Limits


def test_a_full_server_says_so_and_those_inside_are_untouched() -> None:
    async def test(bench: Bench) -> None:
        inside = [await bench.connect() for _ in range(3)]
        await bench.until(lambda: bench.counters.open == 3)
        whole = await bench.ask(GET % b"/hello")
        assert whole.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in whole
        for reader, writer in inside:
            writer.write(GET % b"/hello")
            assert (await head_and_body(reader))[1] == b"hello"
        inside[0][1].close()
        await bench.until(lambda: bench.counters.open == 2)
        assert (await bench.ask(b"GET /hello HTTP/1.0\r\n\r\n")).endswith(b"hello")
        assert bench.counters.refused_full == 1
        for _, writer in inside:
            writer.close()

    run(test, Limits(connections=3))


def test_a_thousand_who_knock_at_once_at_a_full_server_are_all_told_so() -> None:
    knocks = 1000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 20_000:
        pytest.skip(f"this machine allows {hard} open files, and a sixteenth of them is less than a thousand")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        await bench.until(lambda: bench.counters.open == 1)
        crowd = await asyncio.gather(*(bench.connect() for _ in range(knocks)))
        await bench.until(lambda: bench.server.places.refusing == knocks)
        for _, one in crowd:
            one.write(GET % b"/hello")
        async with asyncio.timeout(20):
            told = await asyncio.gather(*(one.read() for one, _ in crowd))
        assert all(whole.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 5\r\n" in whole for whole in told)
        assert (bench.counters.refused_full, bench.counters.aborted_full) == (knocks, 0)
        writer.write(GET % b"/hello")
        assert (await head_and_body(reader))[1] == b"hello"
        for _, one in (*crowd, (reader, writer)):
            one.close()

    run(test, Limits(connections=1))


def test_idle_connections_cannot_keep_a_full_server_from_saying_so_to_others() -> None:
    async def test(bench: Bench) -> None:
        inside = await bench.connect()
        await bench.until(lambda: bench.counters.open == 1)
        idle = [await bench.connect() for _ in range(bench.server.places.refusals_most)]
        await bench.until(lambda: bench.server.places.refusing == bench.server.places.refusals_most)
        # All at once: there is no room to wait for what one more asks, and nobody has had his time yet.
        reader, writer = await bench.connect()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
        writer.close()
        assert bench.counters.aborted_full == 1
        await asyncio.sleep(1.05)
        for _ in range(5):
            assert (await bench.ask(GET % b"/hello")).startswith(b"HTTP/1.1 503 ")
        # Those who asked for nothing were told as well, and let go.
        assert (await idle[0][0].read()).startswith(b"HTTP/1.1 503 ")
        assert bench.counters.aborted_full == 1
        for _, writer in (inside, *idle):
            writer.close()

    run(test, Limits(connections=1, refusals=16))


def test_who_is_being_told_that_we_are_full_holds_nobodys_place() -> None:
    async def test(bench: Bench) -> None:
        inside = await bench.connect()
        await bench.until(lambda: bench.counters.open == 1)
        knocking = [await bench.connect() for _ in range(3)]
        await bench.until(lambda: bench.server.places.refusing == 3)
        inside[1].close()
        await bench.until(lambda: bench.counters.open == 3)
        assert (await bench.ask(b"GET /hello HTTP/1.0\r\n\r\n")).endswith(b"hello")
        for _, writer in knocking:
            writer.close()

    run(test, Limits(connections=1))
