"""`recording.m4a`: the parts of the AAC rendition read again as one file, at any moment.

While live it is a fragmented MP4 that grows; once ended a progressive MP4 over the same bytes. Nothing is written anywhere.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rostra.sound.fmp4 import read_part
from rostra.sound.progressive import HEAD, Extent, VirtualFile, finished, growing
from rostra.sound.renditions import Rendition
from rostra.timeline.ports import Entry, Reader

_RENDITION = Rendition.HLS
_READ_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class Recording:
    """A file over one reader. See source.File.

    Attributes:
        ended: the progressive form; it will not change any more.
    """

    file: VirtualFile
    ended: bool
    _reader: Reader
    _entries: Sequence[Entry]

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
            for number in range(self.file.parts, len(self._entries)):
                self.file.append(0, self._entries[number].length)

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop). Raises OSError."""
        return await asyncio.to_thread(self._read, start, stop)

    def _read(self, start: int, stop: int) -> bytes:
        found = b"".join(self._bytes_of(extent) for extent in self.file.extents(start, stop))
        if len(found) < stop - start:
            raise OSError("the record is shorter than its index says")
        return found

    def _bytes_of(self, extent: Extent) -> bytes:
        if extent.part == HEAD:
            return self.file.head[extent.offset : extent.offset + extent.length]
        return self._reader.pieces(self._entries[extent.part].offset + extent.offset, extent.length)


def growing_recording(reader: Reader, init: bytes) -> Recording:
    recording = Recording(growing(init), False, reader, reader.parts(_RENDITION))
    recording.catch_up()
    return recording


def finished_recording(reader: Reader, init: bytes) -> Recording:
    """Reads the head of every part, some tenths of a second for two hours.

    Raises:
        ValueError, OSError: a part is not what it must be.
    """
    entries = reader.parts(_RENDITION)
    views: list[tuple[bytes, int, int]] = []
    block, block_at = b"", 0
    for entry in entries:
        at = entry.offset - block_at
        if at < 0 or at + entry.length > len(block):
            # Parts lie close together: read on in large pieces, not in thousands of small ones.
            block_at, at = entry.offset, 0
            block = reader.pieces(block_at, max(_READ_BYTES, entry.length))
        view = read_part(memoryview(block)[at : at + entry.length])
        views.append((view.sizes, view.media_offset, view.media_length))
    return Recording(finished(_RENDITION, init, views), True, reader, entries)
