"""What a peer sends ahead, in pieces and slowly, on real sockets."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from wire_world import GET, QUICK, Bench, head_and_body, run

from rostra.wire.http1 import prepared


def test_many_pipelined_requests_are_answered_in_order_however_they_are_cut() -> None:
    async def test(bench: Bench) -> None:
        data = b"".join(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n%02d" % n if n % 3 else GET % b"/await"
            for n in range(20)
        )
        reader, writer = await bench.connect()
        for at in range(0, len(data), 37):
            writer.write(data[at : at + 37])
            await asyncio.sleep(0)
        bodies = [(await head_and_body(reader))[1] for _ in range(20)]
        assert bodies == [b"%02d" % n if n % 3 else b"127.0.0.1 0" for n in range(20)]
        writer.close()

    run(test)


def test_sending_too_much_ahead_ends_the_connection_after_the_answer() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/hold")
        await bench.until(lambda: bench.kept)
        writer.write(GET % b"/hello" * 200)
        await bench.until(lambda: bench.counters.pipeline_overflows)
        bench.kept[0].send(prepared(200, [], b"held"))
        async with asyncio.timeout(5):
            whole = await reader.read()
        assert b"Connection: close" in whole
        assert whole.endswith(b"held")
        writer.close()

    run(test)


def test_continue_is_sent_when_the_body_is_waited_for() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await head_and_body(reader))[1] == b"ok"
        writer.close()

    run(test)


@pytest.mark.parametrize("start", [b"GET /hel", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n"])
def test_a_request_that_drips_in_is_timed_from_its_first_byte(start: bytes) -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(start)

        async def drip() -> None:
            with contextlib.suppress(OSError):
                while True:
                    await asyncio.sleep(0.03)
                    writer.write(b"x")

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(2):
            whole = await reader.read()
        dripping.cancel()
        assert whole.startswith(b"HTTP/1.1 408 ")
        assert bench.counters.head_timeouts == 1
        writer.close()

    run(test)


def test_what_comes_ahead_in_one_piece_is_bounded_as_well() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/hold" + GET % b"/hello" * 200)
        await bench.until(lambda: bench.kept)
        await bench.until(lambda: bench.counters.pipeline_overflows)
        bench.kept[0].send(prepared(200, [], b"held"))
        async with asyncio.timeout(5):
            assert (await reader.read()).endswith(b"held")
        writer.close()

    run(test)


def test_too_much_ahead_of_an_answer_that_is_still_being_read_ends_the_connection_behind_it() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/big")
        await bench.until(lambda: bench.counters.requests)
        writer.write(GET % b"/hello" * 200)
        await bench.until(lambda: bench.counters.pipeline_overflows)
        async with asyncio.timeout(5):
            assert (await reader.read()).endswith(b"xxx")
        writer.close()

    run(test, replace(QUICK, idle_s=60, write_deadline_s=60))
