"""Files that are never written: the recording as byte ranges over the parts that exist anyway.

While live, the recording is the init segment followed by all payloads (fragmented MP4, growing). Once ended, it is a
progressive MP4 with its index in front, whose mdat is nothing but the frames of all parts, one after the other. All of that file
but the sizes of single frames follows from the lengths of the payloads, as everything else in a part has a fixed size.
"""

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from rostra.sound.boxes import box, full_box, movie
from rostra.sound.fmp4 import audio_config_of, lead_bytes
from rostra.sound.renditions import Rendition

HEAD: Final = -1
"""`Extent.part` of bytes that come from the file's own head."""
SIZES: Final = -2
"""`Extent.part` of bytes that come from the table of sample sizes: of part after part, as they stand in its trun."""
_U32: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Extent:
    """`length` bytes from `offset` of the payload of part `part`, of the head where that is HEAD, of the sizes where SIZES."""

    part: int
    offset: int
    length: int


class VirtualFile:
    """A head, then one run of bytes out of each part's payload.

    Within the head there may be a table of sample sizes. Where everything stands is known without it, so a file can be told
    the length of, and be read anywhere, before the sizes have been gathered from the parts.

    Attributes:
        head: without the sizes.
        sizes_at: where in the head they are put in.
        sizes_bytes: how many there are.
    """

    def __init__(self, head: bytes, run_offset: int = 0, sizes_at: int = 0, sizes_bytes: int = 0) -> None:
        """`run_offset`: where in its payload each part's run begins; it ends with the payload."""
        self.head = head
        self.sizes_at = sizes_at
        self.sizes_bytes = sizes_bytes
        self._offset = run_offset
        # Where part i begins in the file; one longer than the parts.
        self._begins = array("Q", [len(head) + sizes_bytes])

    @property
    def size(self) -> int:
        return self._begins[-1]

    @property
    def parts(self) -> int:
        return len(self._begins) - 1

    def append(self, length: int) -> None:
        """The next part, whose payload has so many bytes."""
        self._begins.append(self._begins[-1] + length - self._offset)

    def extents(self, start: int, stop: int) -> list[Extent]:
        """What makes up the bytes [start, stop) of the file; `stop` may lie beyond its end."""
        start, stop = max(0, start), min(stop, self.size)
        found: list[Extent] = []
        if start >= stop:
            return found
        begins = self._begins
        table, table_end = self.sizes_at, self.sizes_at + self.sizes_bytes
        stretches = (
            (HEAD, 0, table, 0),
            (SIZES, table, table_end, table),
            (HEAD, table_end, begins[0], self.sizes_bytes),
        )
        for source, begin, end, origin in stretches:
            first, last = max(start, begin), min(stop, end)
            if first < last:
                found.append(Extent(source, first - origin, last - first))
        start = max(start, begins[0])
        part = bisect_right(begins, start) - 1
        while start < stop:
            length = min(stop, begins[part + 1]) - start
            found.append(Extent(part, self._offset + start - begins[part], length))
            start += length
            part += 1
        return found


def growing(init: bytes) -> VirtualFile:
    """The recording while live. Append the length of each payload."""
    return VirtualFile(init)


def finished(rendition: Rendition, init: bytes, lengths: Iterable[int]) -> VirtualFile:
    """The recording after the end: ftyp, moov, then the mdat of all frames.

    Args:
        init: the rendition's init segment; tells how the encoder was set up.
        lengths: of the payloads of all parts, which have no message.

    Raises:
        ValueError: a part that cannot have the frames that it must have, or an init segment that is not ours.
    """
    lead, frames = lead_bytes(rendition), rendition.shape.frames_per_part
    media = [length - lead for length in lengths]
    if media and min(media) < frames:
        raise ValueError("a part does not have the frames that it must have")
    begins = array("Q", accumulate(media, initial=0))
    head, sizes_at = _head(rendition, begins, audio_config_of(init))
    file = VirtualFile(head, lead, sizes_at, 4 * frames * len(media))
    file._begins = array("Q", [file.size + begin for begin in begins])
    return file


def _head(rendition: Rendition, begins: Sequence[int], audio_config: bytes | None) -> tuple[bytes, int]:
    """Everything before the frames but the sample sizes, and where those belong."""
    shape = rendition.shape
    media_length, chunks = begins[-1], len(begins) - 1
    samples = chunks * shape.frames_per_part
    # One chunk is one part. The offsets' own size does not depend on their values, so measure first, then write.
    wide = media_length > _U32 - (1 << 28)
    kind, letter = (b"co64", "Q") if wide else (b"stco", "I")
    ftyp = box(b"ftyp", b"M4A ", bytes(4), b"M4A isomiso2mp41")
    stts = full_box(b"stts", 0, 0, struct.pack(">III", 1, samples, shape.frame_samples) if samples else bytes(4))
    stsc = full_box(b"stsc", 0, 0, struct.pack(">IIII", 1, 1, shape.frames_per_part, 1) if samples else bytes(4))
    stsz = full_box(b"stsz", 0, 0, struct.pack(">II", 0, samples), bytes(4 * samples))

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
    whole = before_mdat(media_at)
    sizes_at = whole.index(stsz) + len(stsz) - 4 * samples
    return whole[:sizes_at] + whole[sizes_at + 4 * samples :] + mdat, sizes_at
