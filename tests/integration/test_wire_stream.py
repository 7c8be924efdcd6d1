"""Answers written piece by piece, on real sockets."""

import asyncio

from wire_world import GET, Bench, run


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
