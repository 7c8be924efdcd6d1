"""One request and its one answer, kept and sent later, on real sockets."""

import asyncio

import pytest
from wire_world import GET, Bench, head_and_body, run

from rostra.wire.http1 import prepared


def test_a_held_request_is_answered_when_the_handler_sends() -> None:
    async def test(bench: Bench) -> None:
        asking = asyncio.create_task(bench.ask(GET[:-2] % b"/hold" + b"Connection: close\r\n\r\n"))
        await bench.until(lambda: bench.kept)
        bench.kept[0].send(prepared(200, [], b"at last"))
        assert (await asking).endswith(b"at last")
        with pytest.raises(RuntimeError):
            bench.kept[0].send(b"again")

    run(test)


def test_a_held_request_past_its_deadline_is_503_and_a_later_answer_is_dropped() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/hold")
        head, _ = await head_and_body(reader)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in head
        assert bench.kept[0].gone
        bench.kept[0].send(prepared(200, [], b"late"))
        writer.write(GET % b"/hello")
        assert (await head_and_body(reader))[1] == b"hello"
        writer.close()

    run(test)


def test_a_handler_that_forgets_its_request_is_answered_for() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/silent")
        assert (await head_and_body(reader))[0].startswith(b"HTTP/1.1 503 ")
        assert bench.counters.answer_timeouts == 1
        writer.close()

    run(test)


def test_a_peer_that_leaves_is_noticed_while_its_request_is_held() -> None:
    async def test(bench: Bench) -> None:
        _, writer = await bench.connect()
        writer.write(GET % b"/hold")
        await bench.until(lambda: bench.kept)
        writer.close()
        await bench.until(lambda: bench.left)
        assert bench.kept[0].gone
        bench.kept[0].send(b"nobody hears this")

    run(test)
