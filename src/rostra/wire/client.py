"""A small keep-alive HTTP/1.1 client between the roles of one installation.

Requests go out whole; a response's body is read as it comes, and a reader that stands still stops the sender (bounded
buffer), so that an endless stream can be handed on. Every wait has a deadline.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from rostra.kernel.errors import Unavailable
from rostra.wire.reply import ReplyHead, parse_reply_head


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds of one client."""

    connections: int = 1024  # in use at once; one more request waits, within its own deadline
    idle_kept: int = 16  # kept open between requests; more are closed
    connect_s: float = 2.0  # a role that refuses is asked again for so long: its supervisor is restarting it
    answer_s: float = 30.0  # from the request to the head of its response
    piece_s: float = 75.0  # between two pieces of a body
    read_bytes: int = 8_388_608  # most that `read` gives back


class Answer:
    """A response. Use it as `async with`: a body not read to its end closes the connection.

    Attributes:
        headers: as sent, names in lower case, without those that concern one connection only.
    """

    __slots__ = ("_client", "_head", "_left", "_link", "headers", "status")

    def __init__(self, client: "Client", link: "_Link", head: ReplyHead, bodiless: bool) -> None:
        self._client = client
        self._link: _Link | None = link
        self._head = head
        self._left = head.length
        self.status = head.status
        self.headers = head.headers
        if bodiless or head.length == 0 and not head.chunked:
            self._release(reusable=head.keep_alive)

    def header(self, name: str) -> str:
        """The first header of that name (lower case), or ""."""
        return next((value for key, value in self.headers if key == name), "")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, none of it larger than 32 KiB.

        Raises:
            Unavailable: it ended early, broke its framing, or stood still too long.
        """
        try:
            while self._link is not None:
                async with asyncio.timeout(self._client.limits.piece_s):
                    piece = await self._piece(self._link)
                if piece:
                    yield piece
        except _BROKEN:
            raise Unavailable("A part of this server stopped in the middle of an answer.") from None
        finally:
            self.close()

    async def read(self, most: int | None = None) -> bytes:
        """The whole body; Unavailable if it is longer than `most`, or than `read_bytes` where that is not given."""
        most = self._client.limits.read_bytes if most is None else most
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) > most:
                self.close()
                raise Unavailable("An answer from inside is too large.")
        return bytes(body)

    def close(self) -> None:
        """Read no more."""
        self._release(reusable=False)

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def _piece(self, link: "_Link") -> bytes:
        if self._head.chunked and not self._left:
            match = _CHUNK.fullmatch(await link.reader.readuntil(b"\r\n"))
            if match is None:
                raise ValueError("a chunk without its size")
            self._left = int(match[1], 16)
            if not self._left:
                while await link.reader.readuntil(b"\r\n") != b"\r\n":
                    pass
                self._release(reusable=self._head.keep_alive)
                return b""
        piece = await link.reader.read(_PIECE_BYTES if self._left is None else min(self._left, _PIECE_BYTES))
        if not piece and self._left is not None:
            raise ConnectionError("the answer ended early")
        if self._left is None:
            if not piece:
                self._release(reusable=False)
            return piece
        self._left -= len(piece)
        if not self._left:
            if not self._head.chunked:
                self._release(reusable=self._head.keep_alive)
            elif await link.reader.readexactly(2) != b"\r\n":
                raise ValueError("a chunk without its end")
        return piece

    def _release(self, reusable: bool) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._client.give_back(link, reusable)


class Client:
    """Talks to one role. Connections come back to it when an answer is read to its end, or closed."""

    def __init__(
        self,
        address: tuple[str, int] | str,
        limits: ClientLimits | None = None,
        secure: ssl.SSLContext | None = None,
    ) -> None:
        """`address`: host and port, or the path of a Unix socket. `secure`: speak TLS to that host."""
        self.limits = limits or ClientLimits()
        self._address = address
        self._secure = secure
        self._idle: list[_Link] = []
        self._places = asyncio.Semaphore(self.limits.connections)
        self._closed = False

    async def request(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        answer_s: float | None = None,
    ) -> Answer:
        """Send one request and give its response once the head is in.

        Host, Content-Length and Connection are ours to set: those in `headers` are left out. When a kept connection turns out
        to be closed, a request that is safe to repeat is sent once more on a fresh one.

        Raises:
            Unavailable: the role is away or did not answer in time. Anything but a GET may have been carried out.
        """
        whole = _encode(self._address, method, target, headers, body)
        try:
            async with asyncio.timeout(self.limits.answer_s if answer_s is None else answer_s):
                await self._places.acquire()
                try:
                    return await self._ask(whole, method)
                except BaseException:
                    self._places.release()
                    raise
        except TimeoutError:
            raise Unavailable("A part of this server did not answer in time.") from None
        except _BROKEN:
            raise Unavailable("A part of this server is away for a moment. Please try again.") from None

    def give_back(self, link: "_Link", reusable: bool) -> None:
        """An answer is done with its connection. Called by the answer."""
        self._places.release()
        if reusable and not self._closed and len(self._idle) < self.limits.idle_kept:
            self._idle.append(link)
        else:
            link.writer.close()

    async def close(self) -> None:
        """Close what is idle; a connection in use closes with its answer."""
        self._closed = True
        while self._idle:
            self._idle.pop().writer.close()

    async def _ask(self, whole: bytes, method: str) -> Answer:
        while self._idle:
            link = self._idle.pop()
            if link.stale:
                link.writer.close()
                continue
            try:
                return await self._converse(link, whole, method)
            except (ConnectionError, EOFError):
                # The other side may close a kept connection just as we write. That is no answer to the request.
                if method not in _REPEATABLE:
                    raise
                break
        return await self._converse(await self._connect(), whole, method)

    async def _converse(self, link: "_Link", whole: bytes, method: str) -> Answer:
        try:
            link.writer.write(whole)
            await link.writer.drain()
            while True:
                head = parse_reply_head(await link.reader.readuntil(b"\r\n\r\n"))
                if head.status >= 200:
                    return Answer(self, link, head, method == "HEAD" or head.status in (204, 304))
        except BaseException:
            link.writer.close()
            raise

    async def _connect(self) -> "_Link":
        loop = asyncio.get_running_loop()
        end = loop.time() + self.limits.connect_s
        while True:
            try:
                async with asyncio.timeout_at(end):
                    return _Link(*await _open(self._address, self._secure))
            except (ConnectionRefusedError, FileNotFoundError):
                if loop.time() + _ASK_AGAIN_S >= end:
                    raise
                await asyncio.sleep(_ASK_AGAIN_S)


@dataclass(frozen=True, slots=True)
class _Link:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def stale(self) -> bool:
        """The other side has closed it, or sent what nobody asked for."""
        return self.reader.at_eof() or self.writer.is_closing()


_BUFFER_BYTES = 65536
_PIECE_BYTES = 32768
_ASK_AGAIN_S = 0.1
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_REPEATABLE = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
_OURS = frozenset(
    ("host", "content-length", "connection", "transfer-encoding", "keep-alive", "expect", "te", "upgrade")
)
# TimeoutError is an OSError.
_BROKEN = (OSError, EOFError, ValueError, asyncio.LimitOverrunError)


async def _open(
    address: tuple[str, int] | str, secure: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not isinstance(address, str):
        return await asyncio.open_connection(*address, limit=_BUFFER_BYTES, ssl=secure)
    directory = os.open(os.path.dirname(address), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # However deep it lies: a Unix address has room for 108 bytes.
        short = f"/proc/self/fd/{directory}/{os.path.basename(address)}"
        return await asyncio.open_unix_connection(short, limit=_BUFFER_BYTES)
    finally:
        os.close(directory)


def _encode(
    address: tuple[str, int] | str, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {_host(address)}"]
    for name, value in headers:
        if name.lower() not in _OURS:
            if "\r" in name + value or "\n" in name + value:
                raise ValueError("a header with a line end in it")
            lines.append(f"{name}: {value}")
    if body or method not in ("GET", "HEAD", "DELETE", "OPTIONS"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _host(address: tuple[str, int] | str) -> str:
    if isinstance(address, str):
        return "localhost"
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
