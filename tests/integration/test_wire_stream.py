"""Answers written piece by piece, on real sockets."""

import asyncio

import pytest
from wire_world import GET, Bench, run

from rostra.wire import connection as connection_module


def test_a_stream_says_when_its_reader_is_behind_and_never_buffers_without_bound() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/stream")
        await bench.until(lambda: bench.streams)
        stream = bench.streams[0]
        assert stream.write(b"first")
        while stream.write(b"y" * 100_000):
            await asyncio.sleep(0)
        assert stream.behind
        reading = asyncio.create_task(reader.read())
        assert await stream.drained()
        reading.cancel()
        stalled_reader, stalled = await bench.connect()
        stalled.write(GET % b"/stream")
        await bench.until(lambda: len(bench.streams) == 2)
        for _ in range(200):
            bench.streams[1].write(b"y" * 100_000)
        await bench.until(lambda: bench.left)
        assert bench.counters.stream_overflows == 1
        assert not await bench.streams[1].drained()
        writer.close()
        stalled.close()

    run(test)


def test_a_peer_that_shuts_its_sending_side_hears_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HALF_CLOSED_S", 0.1)

    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/stream")
        writer.write_eof()
        await bench.until(lambda: bench.streams)
        for _ in range(20):
            await asyncio.sleep(0.05)
            bench.streams[0].write(b"more")
        bench.streams[0].close()
        assert (await reader.read()).endswith(b"\r\n\r\n" + b"more" * 20)
        assert not bench.left
        assert (await bench.ask(GET % b"/pieces", shut=True)).endswith(b"0\r\n\r\n")
        assert (await bench.ask(GET % b"/counted", shut=True)).endswith(b"0000000001")
        writer.close()

    run(test)


def test_a_peer_that_has_left_is_found_out_by_what_is_written_to_it_or_by_its_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "HALF_CLOSED_S", 0.1)

    async def test(bench: Bench) -> None:
        for written in (True, False):
            reader, writer = await bench.connect()
            writer.write(GET % b"/stream")
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await asyncio.sleep(0.05)
            if written:
                bench.streams[-1].write(b"one")
                await asyncio.sleep(0.02)
                bench.streams[-1].write(b"two")
            await bench.until(lambda: bench.counters.open == 0)
        assert bench.left == ["stream", "stream"]

    run(test)
