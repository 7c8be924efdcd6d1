"""`recording.m4a`: the parts of the AAC rendition read again as one file, at any moment.

While live it is a fragmented MP4 that grows; once ended a progressive MP4 over the same bytes. Nothing is written anywhere.
Where each byte of it lies follows from the index beside the record. Only the table of sample sizes in the finished one's head
has to be gathered from the parts: as far as it is asked for, once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rostra.sound.fmp4 import lead_bytes, lead_sizes
from rostra.sound.progressive import HEAD, SIZES, Extent, VirtualFile, finished, growing
from rostra.sound.renditions import Rendition
from rostra.timeline.ports import Reader

_RENDITION: Final = Rendition.HLS
_LEAD_BYTES: Final = lead_bytes(_RENDITION)
_PARTS_AT_ONCE: Final = 128
"""Sizes are gathered from so many parts at once: 12 KB of them, out of about 1.8 MB of the record."""
_STRETCH_BYTES: Final = _PARTS_AT_ONCE * 4 * _RENDITION.shape.frames_per_part
_BLOCK_BYTES: Final = 512 * 1024


@dataclass(slots=True)
class Recording:
    """A file over one reader. See source.File.

    Attributes:
        ended: the progressive form; it will not change any more.
    """

    file: VirtualFile
    ended: bool
    _reader: Reader
    _sizes: dict[int, bytes] = field(default_factory=dict)
    """By number of the stretch of parts that they are of."""
    _gathering: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def size(self) -> int:
        return self.file.size

    def etag(self, size: int) -> str:
        """Strong: other bytes, other tag."""
        return f'"{"done" if self.ended else "live"}-{size}"'

    def still_begins_with(self, etag: str) -> bool:
        """Whether what `etag` named is how the file begins: then the rest of it may be fetched (If-Range)."""
        kind, _, size = etag.strip('"').partition("-")
        if not size.isdecimal() or len(size) > 15:
            return False
        if self.ended:
            return etag == self.etag(self.size)
        return kind == "live" and 0 < int(size) <= self.size

    def catch_up(self) -> None:
        """Take in the parts that came since."""
        if not self.ended:
            for _, length in self._reader.places(_RENDITION, self.file.parts):
                self.file.append(length)

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop). Raises OSError; ValueError: a part is not what it must be."""
        extents = self.file.extents(start, stop)
        for extent in extents:
            if extent.part == SIZES:
                await self._gather(extent)
        return await asyncio.to_thread(self._read, extents, stop - start)

    def _read(self, extents: Sequence[Extent], length: int) -> bytes:
        found = b"".join(map(self._bytes_of, extents))
        if len(found) < length:
            raise OSError("the record is shorter than its index says")
        return found

    def _bytes_of(self, extent: Extent) -> bytes:
        if extent.part == HEAD:
            return self.file.head[extent.offset : extent.offset + extent.length]
        if extent.part == SIZES:
            stretches = _stretches(extent)
            at = extent.offset - stretches.start * _STRETCH_BYTES
            return b"".join(self._sizes[one] for one in stretches)[at : at + extent.length]
        ((offset, _),) = self._reader.places(_RENDITION, extent.part, extent.part + 1)
        return self._reader.pieces(offset + extent.offset, extent.length)

    async def _gather(self, extent: Extent) -> None:
        """Have the sizes that this is of. However many ask for them, they are gathered once."""
        wanted = _stretches(extent)
        if all(one in self._sizes for one in wanted):
            return
        async with self._gathering:
            await asyncio.to_thread(self._gather_now, [one for one in wanted if one not in self._sizes])

    def _gather_now(self, stretches: Sequence[int]) -> None:
        for one in stretches:
            self._sizes[one] = self._sizes_of(one)

    def _sizes_of(self, stretch: int) -> bytes:
        first = stretch * _PARTS_AT_ONCE
        places = self._reader.places(_RENDITION, first, min(first + _PARTS_AT_ONCE, self.file.parts))
        end = places[-1][0] + _LEAD_BYTES
        sizes: list[bytes] = []
        block, block_at = memoryview(b""), 0
        for number, (offset, length) in enumerate(places, first):
            at = offset - block_at
            if at < 0 or at + _LEAD_BYTES > len(block):
                # Parts lie close together: read on in large pieces, not in thousands of small ones.
                block_at, at = offset, 0
                block = memoryview(self._reader.pieces(offset, min(_BLOCK_BYTES, end - offset)))
            sizes.append(lead_sizes(_RENDITION, number, block[at : at + _LEAD_BYTES], length))
        return b"".join(sizes)


def _stretches(extent: Extent) -> range:
    """Those that this piece of the sizes is of."""
    last = extent.offset + extent.length - 1
    return range(extent.offset // _STRETCH_BYTES, last // _STRETCH_BYTES + 1)


def growing_recording(reader: Reader, init: bytes) -> Recording:
    recording = Recording(growing(init), False, reader)
    recording.catch_up()
    return recording


def finished_recording(reader: Reader, init: bytes) -> Recording:
    """Raises ValueError: a part cannot be what it must be."""
    lengths = (length for _, length in reader.places(_RENDITION))
    return Recording(finished(_RENDITION, init, lengths), True, reader)
