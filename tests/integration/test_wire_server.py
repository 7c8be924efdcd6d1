"""The server on real sockets: order, deadlines, slow readers, limits, draining."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
import uvloop

from rostra.kernel.errors import Overloaded, PeerError, Refused
from rostra.wire.http1 import Limits, Prepared, Request, Response, prepared
from rostra.wire.server import Counters, Exchange, Handler, Server, Stream, awaiting, serve

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = Limits(
    head_deadline_s=0.2, body_deadline_s=0.2, idle_s=0.4, answer_deadline_s=0.3, write_deadline_s=0.3, linger_s=0.2, pipeline=4,
    pipeline_bytes=2000, stream_bytes=300_000, body_bytes=100_000,
)  # fmt: skip


@dataclass
class Bench:
    """A server and a handler whose exchanges can be looked at."""

    server: Server
    counters: Counters
    port: int
    kept: list[Exchange] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    lasting: Prepared = field(default_factory=lambda: HELLO)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, data: bytes) -> bytes:
        """All that comes back until the server closes."""
        reader, writer = await self.connect()
        writer.write(data)
        async with asyncio.timeout(5):
            whole = await reader.read()
        writer.close()
        return whole

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.005)


HELLO = Prepared(200, [("Content-Type", "text/plain")], b"hello")
BIG = b"x" * 30_000_000


def handler(bench: Bench, slow: Handler) -> Handler:
    def handle(exchange: Exchange) -> None:
        match exchange.request.path:
            case "/hello":
                exchange.send_prepared(HELLO)
            case "/lasting":
                exchange.send_lasting(bench.lasting, bench.told.append)
            case "/echo":
                exchange.send(prepared(200, [], exchange.request.body))
            case "/big":
                exchange.send(prepared(200, [], BIG))
            case "/hold" | "/hold2":
                bench.kept.append(exchange)
                exchange.hold(0.3)
                exchange.on_gone(lambda: bench.left.append(exchange.request.path))
            case "/silent":
                bench.kept.append(exchange)
            case "/stream":
                stream = exchange.stream(b"HTTP/1.1 200 OK\r\n\r\n")
                stream.on_gone(lambda: bench.left.append("stream"))
                bench.streams.append(stream)
            case "/fault":
                raise RuntimeError("a fault of ours")
            case _:
                slow(exchange)

    return handle


async def answers(request: Request) -> Response:
    match request.path:
        case "/await":
            return Response(200, [], f"{request.peer} {len(request.body)}".encode())
        case "/refused":
            raise Refused("No.", "not-now")
        case "/bad":
            raise PeerError(405, "Only GET.", headers=(("Allow", "GET"),))
        case "/full":
            raise Overloaded("Full.", 7)
        case "/pieces":
            return Response(200, [], _pieces(3))
        case "/counted":
            return Response(200, [("Content-Length", "10")], _pieces(2))
        case "/broken":
            return Response(200, [], _broken())
        case "/endless":
            return Response(200, [("Content-Type", "text/event-stream")], _pieces(10**9, 0.02), endless=True)
    raise RuntimeError("a fault of ours")


async def _pieces(count: int, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"%05d" % number
        await asyncio.sleep(pause_s)


async def _broken() -> AsyncIterator[bytes]:
    yield b"begun"
    raise RuntimeError("a fault of ours")


def run(test: Callable[[Bench], Awaitable[None]], limits: Limits = QUICK) -> None:
    async def main() -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        counters = Counters()
        box: list[Bench] = []
        slow = awaiting(answers)
        server = await serve(
            lambda exchange: handler(box[0], slow)(exchange), [listening], limits, counters, sweep_s=0.1
        )
        box.append(Bench(server, counters, port))
        try:
            await test(box[0])
        finally:
            await server.drain(0.5)
            assert counters.open == 0
            assert server.refusing == 0

    uvloop.run(main())


async def head_and_body(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
        return head, await reader.readexactly(length)


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


def test_what_an_awaiting_handler_raises_becomes_its_status() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        for path, status, header, word in (
            (b"/refused", b"409", b"Cache-Control: no-store", b"not-now"), (b"/bad", b"405", b"Allow: GET", b"Only GET"),
            (b"/full", b"503", b"Retry-After: 7", b"Full"),
        ):  # fmt: skip
            writer.write(GET % path)
            head, body = await head_and_body(reader)
            assert head.startswith(b"HTTP/1.1 " + status)
            assert header in head
            assert word in body
        writer.close()

    run(test)


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
        await bench.until(lambda: bench.server.refusing == knocks)
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
        idle = [await bench.connect() for _ in range(bench.server.refusals_most)]
        await bench.until(lambda: bench.server.refusing == bench.server.refusals_most)
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


def test_a_lasting_answer_is_given_to_the_same_bytes_and_everyone_is_told_of_but_not_for_long() -> None:
    async def play(bench: Bench) -> None:
        links = [await bench.connect() for _ in range(3)]

        async def each() -> list[bytes]:
            got = []
            for reader, writer in links:
                writer.write(GET % b"/lasting")
                got.append((await reader.readuntil(b"hello" if bench.lasting is HELLO else b"other"))[-5:])
            return got

        bench.server._sweeper.cancel()  # time stands still for the sweep
        for _ in range(3):
            assert await each() == [b"hello"] * 3
        assert len(bench.server.again) == 1
        assert len(bench.told) == 9 and len(set(bench.told)) == 3
        assert bench.counters.requests == 9
        bench.lasting = Prepared(200, [], b"other")
        bench.server._sweep()
        assert not bench.server.again
        assert await each() == [b"other"] * 3
        for _, writer in links:
            writer.close()

    run(play)


def test_only_a_plain_get_that_was_alone_gets_a_lasting_answer() -> None:
    async def play(bench: Bench) -> None:
        for _ in range(3):
            got = await bench.ask(b"HEAD /lasting HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert got.endswith(b"\r\n\r\n")
            two = await bench.ask((GET % b"/lasting") + b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert two.count(b"HTTP/1.1 200") == 2
        assert not bench.server.again

    run(play)


def test_thousands_of_different_requests_leave_nothing_behind() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        for number in range(0, 2000, 4):
            writer.write(b"".join(GET % b"/hello?n=%d" % n for n in range(number, number + 4)))
            for _ in range(4):
                await head_and_body(reader)
        assert len(bench.server.known) <= 4096
        assert bench.counters.requests == 2000
        writer.close()

    run(test)
