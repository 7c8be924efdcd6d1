"""The response that a client gets: its body as it comes, at the pace it is read."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from rostra.kernel.errors import Unavailable
from rostra.wire.link import BROKEN, ClientLimits, Link
from rostra.wire.reply import ReplyHead


class Lender(Protocol):
    """Whose link an answer comes by: the client that asked."""

    limits: ClientLimits

    def give_back(self, link: Link, reusable: bool) -> None:
        """Called once, when nothing more of the answer is read."""


class Answer:
    """A response. Use it as `async with`: a body not read to its end closes the connection.

    Attributes:
        headers: as sent, names in lower case, without those that concern one connection only.
    """

    __slots__ = ("_client", "_head", "_left", "_link", "headers", "status")

    def __init__(self, client: Lender, link: Link, head: ReplyHead, bodiless: bool) -> None:
        self._client = client
        self._link: Link | None = link
        self._head = head
        self._left = head.length
        self.status = head.status
        self.headers = head.headers
        if bodiless or head.length == 0 and not head.chunked:
            self._release(reusable=head.keep_alive)

    def header(self, name: str) -> str:
        """The first header of that name (lower case), or ""."""
        return next((value for key, value in self.headers if key == name), "")

    async def pieces(self) -> AsyncGenerator[bytes, None]:
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
        except BROKEN:
            raise Unavailable("A part of this server stopped in the middle of an answer.") from None
        finally:
            self.close()

    async def read(self, most: int | None = None) -> bytes:
        """The whole body; Unavailable if it is longer than `most`, or than `read_bytes` where that is not given."""
        most = self._client.limits.read_bytes if most is None else most
        body = bytearray()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > most:
                    raise Unavailable("An answer from inside is too large.")
        return bytes(body)

    def close(self) -> None:
        """Read no more."""
        self._release(reusable=False)

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def _piece(self, link: Link) -> bytes:
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


_PIECE_BYTES = 32768
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
