"""Bodies that come in pieces, on real sockets."""

import asyncio
import contextlib
import gc

from wire_world import GET, Bench, head_and_body, run

from rostra.wire.http1 import Response


def test_pieces_are_sent_in_chunks_and_the_connection_lives_on() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        writer.write(GET % b"/pieces" + GET % b"/counted" + GET % b"/hello")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert await reader.readexactly(35) == b"5\r\n00000\r\n5\r\n00001\r\n5\r\n00002\r\n0\r\n\r\n"
        assert (await head_and_body(reader))[1] == b"0000000001"
        assert (await head_and_body(reader))[1] == b"hello"
        old = await bench.ask(b"GET /pieces HTTP/1.0\r\n\r\n")
        assert old.endswith(b"\r\n\r\n000000000100002")
        writer.close()

    run(test)


def test_pieces_that_fail_cut_the_connection_so_that_nobody_takes_them_for_the_whole() -> None:
    async def test(bench: Bench) -> None:
        with contextlib.suppress(ConnectionResetError):
            assert not (await bench.ask(GET % b"/broken")).endswith(b"0\r\n\r\n")
        assert bench.counters.faults == 1

    run(test)


def test_pieces_for_a_peer_that_has_just_left_are_closed() -> None:
    class Pieces:
        closed = False

        def __aiter__(self) -> "Pieces":
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

        async def aclose(self) -> None:
            self.closed = True

    async def test(bench: Bench) -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        _, writer = await bench.connect()
        writer.write(GET % b"/silent")
        await bench.until(lambda: bench.kept)
        pieces = Pieces()
        assert bench.kept[0].connection is not None
        bench.kept[0].connection.abort()
        bench.kept[0].send_response(Response(200, [], pieces))
        await bench.until(lambda: not bench.counters.open)
        await asyncio.sleep(0.01)
        gc.collect()
        assert pieces.closed
        assert not faults
        writer.close()

    run(test)
