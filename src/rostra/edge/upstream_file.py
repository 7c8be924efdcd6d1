"""The recording of an upstream edge, read in blocks, each asked for once however many listeners want it."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from rostra.edge.upstream import SMALL_MOST, Upstream, body_of
from rostra.kernel.errors import Unavailable

BLOCK_BYTES = 262_144
BLOCKS_MOST = 128
"""Blocks kept, of all recordings together; the least recently read are dropped."""

Key = tuple[str, str, int]


class Blocks:
    def __init__(self, most: int = BLOCKS_MOST) -> None:
        self._most = most
        self._held: OrderedDict[Key, bytes] = OrderedDict()
        self._coming: dict[tuple[Key, int], asyncio.Task[bytes]] = {}

    async def get(self, key: Key, length: int, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        """The block's bytes, at least `length` of them."""
        held = self._held.get(key)
        if held is not None and len(held) >= length:
            self._held.move_to_end(key)
            return held
        coming = self._coming.get((key, length))
        if coming is None:
            coming = self._coming[key, length] = asyncio.ensure_future(self._fetch(key, length, fetch))
        return await asyncio.shield(coming)

    async def close(self) -> None:
        coming = list(self._coming.values())
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)

    async def _fetch(self, key: Key, length: int, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            block = await fetch()
        finally:
            del self._coming[key, length]
        self._held[key] = block
        self._held.move_to_end(key)
        if len(self._held) > self._most:
            self._held.popitem(last=False)
        return block


class UpstreamFile:
    """See source.File. `size` and `ended` are as upstream had them when it was looked at."""

    def __init__(self, upstream: Upstream, blocks: Blocks, path: str, size: int, etag: str) -> None:
        self.size = size
        self.ended = not etag.startswith('"live-')
        self._upstream = upstream
        self._blocks = blocks
        self._path = path
        self._etag = etag

    def etag(self, size: int) -> str:
        return self._etag

    def still_begins_with(self, etag: str) -> bool:
        if self.ended:
            return etag == self._etag
        live = _LIVE.fullmatch(etag)
        return live is not None and 0 < int(live[1]) <= self.size

    async def read(self, start: int, stop: int) -> bytes:
        found = bytearray()
        at = start
        while at < stop:
            number = at // BLOCK_BYTES
            first = number * BLOCK_BYTES
            length = min(BLOCK_BYTES, self.size - first)
            # A growing file keeps its beginning, so a block of it stays good; a finished one is another file.
            kind = self._etag if self.ended else "live"
            block = await self._blocks.get((self._path, kind, number), length, lambda: self._range(first, length))  # noqa: B023 - awaited here
            piece = block[at - first : min(stop - first, length)]
            if not piece:
                raise OSError("the recording is shorter than upstream said")
            found += piece
            at += len(piece)
        return bytes(found)

    async def _range(self, first: int, length: int) -> bytes:
        headers = [("Range", f"bytes={first}-{first + length - 1}"), ("If-Range", self._etag)]
        answer = await self._upstream.get(self._path, *headers)
        async with answer:
            span = _SPAN.fullmatch(answer.header("content-range"))
            if answer.status != 206 or span is None or int(span[1]) != first:
                raise Unavailable("Upstream has another recording by now.")
            body = await body_of(answer, length)
        if len(body) != length:
            raise Unavailable("Upstream sent less of the recording than it was asked for.")
        return body


async def look(upstream: Upstream, blocks: Blocks, path: str) -> UpstreamFile:
    """The recording as it is now. Raises Unavailable."""
    answer = await upstream.get(path, ("Range", "bytes=0-0"))
    async with answer:
        span = _SPAN.fullmatch(answer.header("content-range"))
        if answer.status != 206 or span is None:
            raise Unavailable("Upstream does not give its recording in pieces.")
        await body_of(answer, SMALL_MOST)
    size = int(span[3])
    return UpstreamFile(upstream, blocks, path, size, answer.header("etag").removeprefix("W/") or f'"done-{size}"')


_LIVE = re.compile(r'"live-([0-9]{1,15})"')
_SPAN = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")
