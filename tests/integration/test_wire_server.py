"""The server: what it does for all of its connections at once, on real sockets."""

import asyncio
from dataclasses import replace

import pytest
from wire_world import GET, QUICK, Bench, head_and_body, pieces, run

from rostra.wire.http1 import Limits, Response, prepared


def test_draining_answers_who_waits_lets_answers_end_and_closes_the_rest() -> None:
    async def test(bench: Bench) -> None:
        held = asyncio.create_task(bench.ask(GET % b"/hold"))
        better = asyncio.create_task(bench.ask(GET % b"/hold2"))
        endless = asyncio.create_task(bench.ask(GET % b"/endless"))
        working = asyncio.create_task(bench.ask(GET % b"/silent"))
        idle = asyncio.create_task(bench.ask(b""))
        await bench.until(lambda: len(bench.kept) == 3 and bench.counters.open == 5)
        by_path = {exchange.request.path: exchange for exchange in bench.kept}
        by_path["/hold2"].on_drain(lambda: by_path["/hold2"].send(prepared(200, [], b"better")))
        draining = asyncio.create_task(bench.server.drain(2))
        await asyncio.sleep(0.02)
        by_path["/silent"].send(prepared(200, [], b"done"))
        await draining
        assert (await held).startswith(b"HTTP/1.1 503 ")
        assert (await better).endswith(b"better")
        assert b"Connection: close" in await better
        assert (await endless).endswith(b"\r\n0\r\n\r\n")
        assert (await working).endswith(b"done")
        assert await idle == b""
        with pytest.raises(OSError):
            await bench.connect()

    run(test, Limits())


def test_a_callback_that_fails_takes_neither_the_sweep_nor_the_drain_with_it() -> None:
    async def test(bench: Bench) -> None:
        links = [await bench.connect() for _ in range(20)]  # some in each slice of the sweep
        for _, writer in links:
            writer.write(GET % b"/trap")
        await bench.until(lambda: len(bench.kept) == 20)
        reader, writer = await bench.connect()
        writer.write(GET % b"/hello")
        await head_and_body(reader)
        async with asyncio.timeout(5):
            assert await reader.read() == b""  # idle for too long, which somebody noticed
            for trapped, _ in links:
                assert await trapped.read() == b""
        assert bench.counters.faults == 20
        again = [await bench.connect() for _ in range(3)]
        for _, one in again:
            one.write(GET % b"/trap")
        await bench.until(lambda: len(bench.kept) == 23)
        await bench.server.drain(2)
        for trapped, _ in again:
            assert await trapped.read() == b""
        assert bench.counters.faults == 23
        for _, one in (*links, *again, (reader, writer)):
            one.close()

    run(test, replace(QUICK, answer_deadline_s=60))


def test_what_begins_to_wait_or_to_stream_while_the_server_drains_does_not_hold_it_up() -> None:
    async def test(bench: Bench) -> None:
        streaming = asyncio.create_task(bench.ask(GET % b"/silent"))
        holding = asyncio.create_task(bench.ask(GET % b"/silent"))
        await bench.until(lambda: len(bench.kept) == 2)
        began = asyncio.get_running_loop().time()
        draining = asyncio.create_task(bench.server.drain(10))
        await asyncio.sleep(0.02)
        bench.kept[0].send_response(Response(200, [], pieces(10**9, 0.02), endless=True))
        bench.kept[1].hold(60)
        await draining
        assert asyncio.get_running_loop().time() - began < 2
        got = await asyncio.gather(streaming, holding)
        assert sorted(whole[9:12] for whole in got) == [b"200", b"503"]
        assert next(whole for whole in got if b" 200 " in whole).endswith(b"\r\n0\r\n\r\n")

    run(test, Limits())
