"""Files that are never written: the recording as byte ranges over the parts that exist anyway.

While live, the recording is the init segment followed by all payloads (fragmented MP4, growing). Once ended, it is a
progressive MP4 with its index in front, whose mdat is nothing but the frames of all parts, one after the other.
"""

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from rostra.sound.boxes import box, full_box, movie
from rostra.sound.fmp4 import audio_config_of
from rostra.sound.renditions import Rendition

HEAD: Final = -1
"""`Extent.part` of bytes that come from the file's own head."""
_U32: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Extent:
    """`length` bytes from `offset` of the payload of part `part`, or of the head where that is HEAD."""

    part: int
    offset: int
    length: int


class VirtualFile:
    """A head, then one run of bytes out of each part's payload."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self._offsets: list[int] = []
        # Where part i begins in the file; one longer than the parts.
        self._begins = [len(head)]

    @property
    def size(self) -> int:
        return self._begins[-1]

    @property
    def parts(self) -> int:
        return len(self._offsets)

    def append(self, offset: int, length: int) -> None:
        """The next part's run: `length` bytes (at least one) from `offset` of its payload."""
        self._offsets.append(offset)
        self._begins.append(self._begins[-1] + length)

    def extents(self, start: int, stop: int) -> list[Extent]:
        """What makes up the bytes [start, stop) of the file; `stop` may lie beyond its end."""
        start, stop = max(0, start), min(stop, self.size)
        found: list[Extent] = []
        if start >= stop:
            return found
        begins = self._begins
        if start < begins[0]:
            found.append(Extent(HEAD, start, min(stop, begins[0]) - start))
            start = begins[0]
        part = bisect_right(begins, start) - 1
        while start < stop:
            length = min(stop, begins[part + 1]) - start
            found.append(Extent(part, self._offsets[part] + start - begins[part], length))
            start += length
            part += 1
        return found


def growing(init: bytes) -> VirtualFile:
    """The recording while live. Append (0, length of payload) for each part."""
    return VirtualFile(init)


def finished(rendition: Rendition, init: bytes, parts: Iterable[tuple[bytes, int, int]]) -> VirtualFile:
    """The recording after the end: ftyp, moov, then the mdat of all frames.

    Args:
        init: the rendition's init segment; tells how the encoder was set up.
        parts: of each part its PartView's sizes, media_offset and media_length.

    Raises:
        ValueError: a part that has not the exact number of frames, or an init segment that is not ours.
    """
    tables: list[bytes] = []
    offsets: list[int] = []
    lengths: list[int] = []
    for sizes, offset, length in parts:
        tables.append(sizes)
        offsets.append(offset)
        lengths.append(length)
    shape = rendition.shape
    size_bytes = 4 * shape.frames_per_part
    if any(len(sizes) != size_bytes for sizes in tables):
        raise ValueError("a part does not have the frames that it must have")
    begins = list(accumulate(lengths, initial=0))
    file = VirtualFile(_head(rendition, b"".join(tables), begins, audio_config_of(init)))
    file._offsets = offsets
    file._begins = [len(file.head) + begin for begin in begins]
    return file


def _head(rendition: Rendition, sizes: bytes, begins: list[int], audio_config: bytes | None) -> bytes:
    shape = rendition.shape
    media_length, chunks = begins[-1], len(begins) - 1
    samples = len(sizes) // 4
    # One chunk is one part. The offsets' own size does not depend on their values, so measure first, then write.
    wide = media_length > _U32 - (1 << 28)
    kind, letter = (b"co64", "Q") if wide else (b"stco", "I")
    ftyp = box(b"ftyp", b"M4A ", bytes(4), b"M4A isomiso2mp41")
    stts = full_box(b"stts", 0, 0, struct.pack(">III", 1, samples, shape.frame_samples) if samples else bytes(4))
    stsc = full_box(b"stsc", 0, 0, struct.pack(">IIII", 1, 1, shape.frames_per_part, 1) if samples else bytes(4))
    stsz = full_box(b"stsz", 0, 0, struct.pack(">II", 0, samples), sizes)

    def before_mdat(media_at: int) -> bytes:
        places = array(letter, [media_at + begin for begin in begins[:-1]])
        if sys.byteorder == "little":
            places.byteswap()
        chunk_offsets = full_box(kind, 0, 0, struct.pack(">I", chunks), places.tobytes())
        return ftyp + movie(rendition, samples * shape.frame_samples, (stts, stsc, stsz, chunk_offsets), audio_config)

    if wide:
        mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + media_length)
    else:
        mdat = struct.pack(">I4s", 8 + media_length, b"mdat")
    media_at = len(before_mdat(0)) + len(mdat)
    return before_mdat(media_at) + mdat
