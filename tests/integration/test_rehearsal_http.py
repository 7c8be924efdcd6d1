"""The strangers' own client, against answers written out by hand."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rostra.rehearsal.http import Answer, Client, HttpError

Story = Callable[[Client, str], Awaitable[None]]


def told(answers: list[bytes | None], story: Story) -> list[str]:
    """Run the story against a server that gives these answers in turn (None: hang up); the requests it saw."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
                answer = answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = Client()
        try:
            async with asyncio.timeout(5):
                await story(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            client.close()
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)

    asyncio.run(main())
    return seen


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def get(client: Client, url: str) -> Answer:
    return await client.request("GET", url, headers={"Authorization": "Bearer t"}, deadline_s=1)


@pytest.mark.may_leak("the hand-written server's last reader")
def test_one_connection_serves_request_after_request() -> None:
    async def story(client: Client, base: str) -> None:
        assert (await get(client, f"{base}/1")).body == b"ok"
        assert (await get(client, f"{base}/2")).body == b"ok"
        assert client.reopened == 0

    assert [line.split()[1] for line in told([OK, OK], story)] == ["/1", "/2"]


@pytest.mark.may_leak("the hand-written server's last reader")
def test_a_kept_connection_that_died_is_opened_again_for_a_get() -> None:
    async def story(client: Client, base: str) -> None:
        await get(client, base)
        assert (await get(client, base)).body == b"ok"
        assert client.reopened == 1

    told([OK, None, OK], story)


@pytest.mark.may_leak("the hand-written server's last reader")
def test_chunks_and_interim_answers_are_put_together() -> None:
    chunked = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"

    async def story(client: Client, base: str) -> None:
        assert (await get(client, base)).body == b"abcde"

    told([chunked], story)


@pytest.mark.may_leak("the hand-written server's last reader")
def test_what_has_no_length_is_read_until_the_other_side_closes() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in (b"HTTP/1.0 200 OK\r\n\r\n", b"one ", b"two ", b"three"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = Client()
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert (await get(client, url)).body == b"one two three"
        with pytest.raises(HttpError, match="does not end"):
            await client.request("GET", url, most=10)
        client.close()
        server.close()
        await server.wait_closed()

    asyncio.run(main())


@pytest.mark.may_leak("the hand-written server's last reader")
@pytest.mark.parametrize(
    "location",
    ["http://[bad", "http://127.0.0.1:999999/", "http://127.0.0.1:x/", f"http://{'a' * 80}.example/", "file:///"],
)
def test_a_redirect_to_nowhere_is_one_kind_of_error(location: str) -> None:
    async def story(client: Client, base: str) -> None:
        with pytest.raises(HttpError):
            await get(client, base)

    told([f"HTTP/1.1 302 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()], story)


@pytest.mark.may_leak("the hand-written server's last reader")
def test_a_redirect_is_followed_and_the_bearer_goes_to_the_same_host_only() -> None:
    same = b"HTTP/1.1 307 Over there\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"

    async def story(client: Client, base: str) -> None:
        assert (await get(client, base)).url.endswith("/there")
        elsewhere = base.replace("127.0.0.1", "localhost")
        answers.insert(0, f"HTTP/1.1 307 x\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode())
        await get(client, base)

    answers: list[bytes | None] = [same, OK, OK]
    seen = told(answers, story)
    assert ["Bearer" in one for one in seen] == [True, True, True, False]


@pytest.mark.may_leak("the hand-written server's last reader")
@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_an_answer_that_is_none_is_one_kind_of_error(answer: bytes | None) -> None:
    async def story(client: Client, base: str) -> None:
        with pytest.raises(HttpError):
            await get(client, base)

    told([answer], story)
