"""The responses that a client gets: bodies of every framing, whole and broken, from a server that says just these bytes."""

import asyncio

import pytest

from rostra.kernel.errors import Unavailable
from rostra.wire.client import Client, ClientLimits

QUICK = ClientLimits(connect_s=0.4, answer_s=0.6, piece_s=0.3)


async def scripted(reply: bytes) -> tuple[asyncio.Server, int]:
    """A server that answers each connection's first request with these bytes and closes."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    return server, int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ],
)  # fmt: skip
def test_an_answer_that_is_broken_is_unavailable(reply: bytes) -> None:
    async def main() -> None:
        server, port = await scripted(reply)
        client = Client(("127.0.0.1", port), QUICK)
        with pytest.raises(Unavailable):
            async with await client.request("POST", "/") as answer:
                await answer.read()
        server.close()

    asyncio.run(main())


@pytest.mark.parametrize("size", [b"-5", b"+5", b"1_0", b"0x5", b" 5", b"", b"123456789"])
def test_a_chunk_whose_size_is_no_size_is_not_read(size: bytes) -> None:
    """Below zero it would have been read to the end of the connection, whatever comes until then."""

    async def main() -> None:
        server, port = await scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nabcde")
        client, got = Client(("127.0.0.1", port), QUICK), list[bytes]()
        with pytest.raises(Unavailable):
            async with await client.request("POST", "/") as answer:
                async for piece in answer.pieces():
                    got.append(piece)
        assert not got
        server.close()

    asyncio.run(main())


def test_a_chunk_may_say_more_than_its_size() -> None:
    async def main() -> None:
        body = b"5;a=b\r\nabcde\r\n00A ; c\r\n0123456789\r\n2  \r\nfg\r\n0\r\nX: y\r\n\r\n"
        server, port = await scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        client = Client(("127.0.0.1", port), QUICK)
        async with await client.request("GET", "/") as answer:
            assert await answer.read() == b"abcde0123456789fg"
        await client.close()
        server.close()

    asyncio.run(main())


def test_an_answer_that_ends_with_its_connection_is_read_to_its_end() -> None:
    async def main() -> None:
        server, port = await scripted(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nto the end")
        client = Client(("127.0.0.1", port), QUICK)
        async with await client.request("GET", "/") as answer:
            assert await answer.read() == b"to the end"
        server.close()

    asyncio.run(main())


@pytest.mark.parametrize("framing", [b"Content-Length: 3000", b"X: ends with the connection"])
def test_an_answer_larger_than_allowed_is_not_read(framing: bytes) -> None:
    async def main() -> None:
        server, port = await scripted(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + b"x" * 3000)
        client = Client(("127.0.0.1", port), ClientLimits(read_bytes=1000))
        async with await client.request("GET", "/") as answer:
            with pytest.raises(Unavailable):
                await answer.read()
        server.close()

    asyncio.run(main())
