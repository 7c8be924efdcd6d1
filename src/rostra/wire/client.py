"""A small keep-alive HTTP/1.1 client between the roles of one installation.

Requests go out whole; a response's body is read as it comes, and a reader that stands still stops the sender (bounded
buffer), so that an endless stream can be handed on. Every wait has a deadline.
"""

import asyncio
import ssl
from collections.abc import Sequence

from rostra.kernel.errors import Unavailable
from rostra.wire.answer import Answer
from rostra.wire.link import BROKEN, ClientLimits, Link, open_link
from rostra.wire.reply import parse_reply_head

__all__ = ["Client", "ClientLimits"]


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
        self._idle: list[Link] = []
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
        except BROKEN:
            raise Unavailable("A part of this server is away for a moment. Please try again.") from None

    def give_back(self, link: Link, reusable: bool) -> None:
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

    async def _converse(self, link: Link, whole: bytes, method: str) -> Answer:
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

    async def _connect(self) -> Link:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.limits.connect_s
        while True:
            try:
                async with asyncio.timeout_at(end):
                    return await open_link(self._address, self._secure)
            except (ConnectionRefusedError, FileNotFoundError):
                if loop.time() + _ASK_AGAIN_S >= end:
                    raise
                await asyncio.sleep(_ASK_AGAIN_S)


_ASK_AGAIN_S = 0.1
_REPEATABLE = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
_OURS = frozenset(
    ("host", "content-length", "connection", "transfer-encoding", "keep-alive", "expect", "te", "upgrade")
)


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
