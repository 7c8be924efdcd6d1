"""One listener led through the past of a Space in real time."""

import asyncio
from typing import Final

from rostra.edge import icy
from rostra.edge.air import Parts
from rostra.edge.crowd import BURST_PARTS, Piece
from rostra.kernel.errors import RostraError
from rostra.sound.renditions import Rendition
from rostra.wire.server import Stream

_TRIES: Final = 20
_RETRY_S: Final = 0.5


class Playing:
    """From part `first` on: a burst, then a part each half second, to the end of the Space.

    A listener that is slow is waited for, and is then further behind; nothing is left out for it.
    """

    def __init__(self, stream: Stream, parts: Parts, first: int, title_block: bytes | None) -> None:
        self._stream = stream
        self._parts = parts
        self._first = first
        self._title = title_block
        self._left = icy.METAINT
        self._over = False
        stream.on_drain(self._stop)

    async def run(self) -> None:
        stream, number = self._stream, self._first
        loop = asyncio.get_running_loop()
        due = loop.time() - BURST_PARTS * _PART_S
        stream.write(self._titled(self._parts.head(number)))
        while not (stream.gone or self._over):
            data = await self._part(number)
            if data is None:
                break
            written = stream.write(self._titled(data.since(self._first)))
            number += 1
            due += _PART_S
            if not written:
                if not await stream.drained():
                    return
                due = max(due, loop.time() - BURST_PARTS * _PART_S)
            await asyncio.sleep(due - loop.time())
        tail = self._parts.tail(number, self._first)
        if tail:
            stream.write(self._titled(tail))
        stream.close()

    def _stop(self) -> None:
        """The server stops: the player sees an end, and asks again."""
        self._over = True
        self._stream.close()

    async def _part(self, number: int) -> Piece | None:
        """As Parts.part; asked for again for a while, then the stream is cut off."""
        for _ in range(_TRIES):
            try:
                return await self._parts.part(number)
            except (RostraError, OSError, ValueError):
                await asyncio.sleep(_RETRY_S)
        self._stream.abort()
        return None

    def _titled(self, data: bytes) -> bytes:
        if self._title is None:
            return data
        piece, self._left, sent = icy.interleave(data, self._left, self._title)
        if sent:
            self._title = icy.NOTHING_NEW
        return piece


_PART_S: Final = Rendition.OPUS.shape.part_s
