"""The client between roles, against the server and against servers that misbehave."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from rostra.kernel.errors import Unavailable
from rostra.wire.awaiting import awaiting
from rostra.wire.client import Client, ClientLimits
from rostra.wire.http1 import Limits, Request, Response
from rostra.wire.listening import serve
from rostra.wire.server import Counters

QUICK = ClientLimits(connect_s=0.4, answer_s=0.6, piece_s=0.3, connections=3, idle_kept=2)


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def listening() -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    return one


async def answers(request: Request) -> Response:
    match request.path:
        case "/echo":
            said = f"{request.method} {request.query} {request.headers.get('authorization')} ".encode()
            return Response(201, [("Location", "/s/x"), ("Connection", "keep-alive")], said + request.body)
        case "/events":
            return Response(200, [("Content-Type", "text/event-stream")], _ticks(), endless=True)
        case "/none":
            return Response(204)
        case "/stall":
            await asyncio.sleep(5)
        case "/stalled-body":
            return Response(200, [], _stalled())
    return Response(404, [], b"no")


async def _ticks() -> AsyncIterator[bytes]:
    number = 0
    while True:
        yield b"data: %d\n\n" % number
        number += 1
        await asyncio.sleep(0.001)


async def _stalled() -> AsyncIterator[bytes]:
    yield b"begun"
    await asyncio.sleep(5)


def run(
    test: Callable[[Client, Counters], Awaitable[None]], limits: ClientLimits = QUICK, server: Limits | None = None
) -> None:
    async def main() -> None:
        one = listening()
        counters = Counters()
        serving = await serve(awaiting(answers), [one], server or Limits(), counters, sweep_s=0.05)
        client = Client(("127.0.0.1", port_of(one)), limits)
        try:
            await test(client, counters)
        finally:
            await client.close()
            await serving.drain(0.2)

    uvloop.run(main())


def test_a_request_goes_through_whole_and_the_connection_is_kept() -> None:
    async def test(client: Client, counters: Counters) -> None:
        for _ in range(5):
            headers = [("Authorization", "Bearer t"), ("Host", "other"), ("Connection", "close")]
            async with await client.request("POST", "/echo?a=1", headers, b"body") as answer:
                assert (answer.status, answer.header("location")) == (201, "/s/x")
                assert await answer.read() == b"POST {'a': '1'} Bearer t body"
                assert "connection" not in dict(answer.headers)
        assert counters.connections == 1
        async with await client.request("HEAD", "/echo") as answer:
            assert await answer.read() == b""
        async with await client.request("GET", "/none") as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        assert counters.connections == 1

    run(test)


def test_an_endless_answer_is_handed_on_piece_by_piece_and_can_be_left() -> None:
    async def test(client: Client, counters: Counters) -> None:
        async with await client.request("GET", "/events") as answer:
            got = b""
            async for piece in answer.pieces():
                got += piece
                if got.count(b"\n\n") > 20:
                    break
        assert got.startswith(b"data: 0\n\ndata: 1\n\n")
        async with asyncio.timeout(2):
            while counters.open:
                await asyncio.sleep(0.01)

    run(test)


def test_a_kept_connection_that_the_role_closed_is_replaced() -> None:
    async def test(client: Client, counters: Counters) -> None:
        for _ in range(3):
            async with await client.request("POST", "/echo", (), b"x") as answer:
                assert answer.status == 201
                await answer.read()
            await asyncio.sleep(0.25)
        assert counters.connections == 3

    run(test, server=Limits(idle_s=0.05))


def test_a_role_that_comes_back_within_its_time_is_waited_for() -> None:
    async def main() -> None:
        one = listening()
        client = Client(("127.0.0.1", port_of(one)), QUICK)
        asking = asyncio.create_task(client.request("POST", "/echo", (), b"x"))
        await asyncio.sleep(0.05)
        serving = await serve(awaiting(answers), [one], Limits(), Counters())
        async with await asking as answer:
            assert answer.status == 201
        await client.close()
        await serving.drain(0.2)

    uvloop.run(main())


def test_a_role_that_stays_away_is_unavailable_in_time() -> None:
    async def main() -> None:
        one = listening()
        client = Client(("127.0.0.1", port_of(one)), QUICK)
        with pytest.raises(Unavailable):
            await client.request("GET", "/")
        one.close()

    uvloop.run(main())


def test_an_answer_that_does_not_come_is_unavailable_in_time() -> None:
    async def test(client: Client, counters: Counters) -> None:
        with pytest.raises(Unavailable):
            await client.request("GET", "/stall", answer_s=0.1)
        answer = await client.request("GET", "/stalled-body")
        with pytest.raises(Unavailable):
            await answer.read()

    run(test)


def test_more_requests_than_connections_wait_for_their_turn() -> None:
    async def test(client: Client, counters: Counters) -> None:
        async def ask() -> int:
            async with await client.request("GET", "/echo") as answer:
                await answer.read()
                return answer.status

        assert await asyncio.gather(*(ask() for _ in range(20))) == [201] * 20
        assert counters.connections <= 3

    run(test)


def test_a_header_with_a_line_end_is_refused() -> None:
    async def test(client: Client, counters: Counters) -> None:
        with pytest.raises(ValueError, match="line end"):
            await client.request("GET", "/", [("A", "b\r\nC: d")])

    run(test)
