"""One connection on real sockets: one answer after the other, and peers that are slow or leave."""

import asyncio
from dataclasses import replace

from wire_world import BIG, GET, QUICK, Bench, head_and_body, run

from rostra.wire.http1 import prepared


def test_answers_come_in_order_on_one_connection() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(
            GET % b"/hello" + b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none" + GET % b"/await"
        )
        assert [(await head_and_body(reader))[1] for _ in range(3)] == [b"hello", b"one", b"127.0.0.1 0"]
        for _ in range(3):  # the third time it is known by its bytes
            writer.write(GET % b"/hello")
            head, body = await head_and_body(reader)
            assert body == b"hello"
            assert b"\r\nDate: " in head
        writer.close()

    run(test)


def test_http_1_0_and_connection_close_end_the_connection() -> None:
    async def test(bench: Bench) -> None:
        for data in (b"GET /hello HTTP/1.0\r\n\r\n", b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):
            for _ in range(3):
                whole = await bench.ask(data)
                assert b"Connection: close\r\n" in whole
                assert whole.endswith(b"hello")

    run(test)


def test_head_gives_the_head_alone() -> None:
    async def test(bench: Bench) -> None:
        whole = await bench.ask(b"HEAD /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert whole.endswith(b"Content-Length: 5\r\n\r\n")
        whole = await bench.ask(b"HEAD /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert whole.endswith(b"\r\n\r\n")

    run(test)


def test_a_connection_that_sends_nothing_is_closed_when_a_head_would_be_due() -> None:
    async def test(bench: Bench) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await bench.ask(b"") == b""
        assert 0.1 < loop.time() - began < 2
        assert bench.counters.idle_closed == 1

    run(test, replace(QUICK, idle_s=60))


def test_a_connection_that_has_asked_may_be_idle_for_longer() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        await asyncio.sleep(0.1)  # connected ahead of need, as browsers do
        for pause_s in (0.5, 0.5, 0):
            writer.write(GET % b"/hello")
            assert (await head_and_body(reader))[1] == b"hello"
            await asyncio.sleep(pause_s)
        writer.close()

    run(test, replace(QUICK, idle_s=60))


def test_a_peer_that_shuts_its_sending_side_still_gets_its_answer() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/silent")
        writer.write_eof()
        await bench.until(lambda: bench.kept)
        await asyncio.sleep(0.01)
        bench.kept[0].send(prepared(200, [], b"still here"))
        assert (await reader.read()).endswith(b"still here")
        writer.close()

    run(test)


def test_our_fault_is_a_plain_500_and_the_connection_lives() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        for path in (b"/fault", b"/nothing"):
            writer.write(GET % path)
            head, body = await head_and_body(reader)
            assert head.startswith(b"HTTP/1.1 500 ")
            assert b"RuntimeError" not in body
        assert bench.counters.faults == 2
        writer.close()

    run(test)


def test_a_slow_reader_costs_one_response_and_is_aborted() -> None:
    async def test(bench: Bench) -> None:
        _, writer = await bench.connect()
        writer.write(GET % b"/big" * 3)
        await bench.until(lambda: bench.counters.slow_readers)
        assert bench.counters.requests == 1
        writer.close()

    run(test)


def test_a_reader_that_catches_up_gets_the_next_answer() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/big" + GET % b"/hello")
        await asyncio.sleep(0.05)
        assert len((await head_and_body(reader))[1]) == len(BIG)
        assert (await head_and_body(reader))[1] == b"hello"
        writer.close()

    run(test)
