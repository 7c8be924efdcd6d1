"""One Space's record followed by the radio, while its MP3 is asked for."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rostra.broadcast.mp3_part import mp3_part
from rostra.kernel.errors import Unavailable
from rostra.sound.renditions import Rendition
from rostra.space.states import OVER
from rostra.timeline.ports import Reader

AHEAD_MOST: Final = 6
"""How far ahead of the newest part a request may wait; the same as at the edges."""


class Tuner:
    """Attributes:
    asked_at: when somebody last asked, by the monotonic clock.
    """

    def __init__(self, reader: Reader, now: float) -> None:
        self.asked_at = now
        self._reader = reader
        self._growth: asyncio.Future[None] | None = None
        self._using = 0
        self._closed = False

    def read(self) -> None:
        """Take in the record as it is now; for a thread: it may take long. Raises Damaged, OSError."""
        self._reader.refresh()
        _ = self._reader.space

    def grew(self) -> None:
        """The bell rang. Raises Damaged, OSError."""
        self._reader.refresh()
        self._wake()

    @property
    def busy(self) -> bool:
        """Parts are being made in other threads."""
        return self._using > 0

    @property
    def over(self) -> bool:
        return self._reader.space.state in OVER

    @property
    def parts(self) -> int:
        return len(self._reader.parts(Rendition.OPUS))

    async def until(self, number: int) -> bool:
        """Wait for part `number`; False when it will never be. Raises Unavailable when this is closed."""
        while not self._closed:
            if number < self.parts:
                return True
            if self.over:
                return False
            if self._growth is None:
                self._growth = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._growth)
        raise Unavailable("This part is not being made just now. Please ask again.")

    @contextmanager
    def maker(self, number: int) -> Iterator[Callable[[], bytes]]:
        """What makes the MP3 of a part that there is; for a thread, raises OSError and ValueError. The record stays open meanwhile."""
        reader, parts = self._reader, self._reader.parts(Rendition.OPUS)
        before, this = parts[number - 1] if number else None, parts[number]
        self._using += 1
        try:
            yield lambda: mp3_part(number, reader.payload(before) if before is not None else None, reader.payload(this))
        finally:
            self._using -= 1
            if self._closed and not self._using:
                reader.close()

    def close(self) -> None:
        """Whoever waits is told to ask again."""
        if self._closed:
            return
        self._closed = True
        self._wake()
        if not self._using:
            self._reader.close()

    def _wake(self) -> None:
        growth, self._growth = self._growth, None
        if growth is not None:
            growth.set_result(None)
