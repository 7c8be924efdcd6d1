"""Opus in Ogg pages: what `live.opus` is made of.

A part makes one page. Its packets are the same for every listener; its number and position count from the part that the
listener began with, so that everybody has a whole stream of his own, from page 0 on and without a gap. Pages that kept
their numbers wherever one joins were tried: most players do not mind, but VLC takes the first position for a late one and
leaves out sound for half a minute.
Sources: RFC 3533 (pages), RFC 7845 (Opus in them).
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

from rostra.kernel.ids import SpaceId
from rostra.sound.boxes import OPUS_PRE_SKIP
from rostra.sound.renditions import RATE, Rendition

BEGINS: Final = 2
ENDS: Final = 4
"""Bits of a page's header type (RFC 3533, 6)."""
NO_GRANULE: Final = 0xFFFF_FFFF_FFFF_FFFF
"""Granule position of a page on which no packet ends."""
JOINED_PRE_SKIP: Final = 3840
"""Samples a decoder that begins in the middle needs to converge, and leaves out (RFC 7845, 4.2)."""
SEGMENTS_MOST: Final = 255

_HEADER: Final = struct.Struct("<4sBBQIIIB")
_CRC_AT: Final = 22
_HEAD: Final = struct.Struct("<8sBBHIhB")
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SHAPE: Final = Rendition.OPUS.shape
_HEAD_PAGES: Final = 2
_ALL_ONES: Final = 0xFFFF_FFFF
_COMMENT_BYTES_MOST: Final = 8000  # two of them fit on a page


def serial_of(space_id: SpaceId) -> int:
    """The stream's serial number: the same at every edge."""
    return zlib.crc32(space_id.encode())


def head(space_id: SpaceId, first_part: int, comments: Sequence[tuple[str, str]]) -> bytes:
    """The two pages before the sound of a stream that begins with `first_part`.

    Args:
        comments: names (ASCII, without "=") and texts for the listener's display.
    """
    skip = JOINED_PRE_SKIP if first_part else OPUS_PRE_SKIP
    # RFC 7845, 5.1: version 1, channels, pre-skip, input rate, gain 0, mapping family 0.
    opus_head = _HEAD.pack(b"OpusHead", 1, _SHAPE.channels, skip, RATE, 0, 0)
    serial = serial_of(space_id)
    return page(serial, 0, 0, [opus_head], BEGINS) + page(serial, 1, 0, [_tags(comments)])


class PartPage:
    """The page of one part, less where it stands in a stream."""

    __slots__ = ("_body", "_mirrored", "_number", "_segments", "_serial")

    def __init__(self, space_id: SpaceId, number: int, packets: Sequence[bytes]) -> None:
        """Raises ValueError as `page`."""
        lacing = _lacing(packets)
        self._serial, self._number, self._segments = serial_of(space_id), number, len(lacing)
        self._body = b"".join((lacing, *packets))
        self._mirrored = self._body.translate(_MIRRORED)

    def since(self, first_part: int) -> bytes:
        """As it stands in a stream that begins with `first_part`: a microsecond or two."""
        number = self._number - first_part
        granule = (number + 1) * _SHAPE.part_samples
        start = _HEADER.pack(b"OggS", 0, 0, granule, self._serial, number + _HEAD_PAGES, 0, self._segments)
        crc = _checksum(zlib.crc32(self._mirrored, zlib.crc32(start.translate(_MIRRORED), _ALL_ONES)))
        return b"".join((start[:_CRC_AT], crc, start[_CRC_AT + 4 :], self._body))


def end_page(space_id: SpaceId, parts: int, first_part: int) -> bytes:
    """An empty page that says the stream is over; `parts` is how many the Space has."""
    return page(serial_of(space_id), parts - first_part + _HEAD_PAGES, NO_GRANULE, [], ENDS)


def page(serial: int, number: int, granule: int, packets: Sequence[bytes], flags: int = 0) -> bytes:
    """One page of whole packets.

    Raises:
        ValueError: they need more than SEGMENTS_MOST lacing values.
    """
    lacing = _lacing(packets)
    start = _HEADER.pack(b"OggS", 0, flags, granule, serial, number & 0xFFFF_FFFF, 0, len(lacing))
    whole = b"".join((start, lacing, *packets))
    return whole[:_CRC_AT] + checksum(whole) + whole[_CRC_AT + 4 :]


def checksum(page_bytes: bytes) -> bytes:
    """RFC 3533, 6: CRC-32 with polynomial 0x04c11db7, first bit first, no inversion, over the page with its own field zero."""
    return _checksum(zlib.crc32(page_bytes.translate(_MIRRORED), _ALL_ONES))


def _checksum(mirrored_crc: int) -> bytes:
    """zlib has the same polynomial with each byte's bits the other way round and both ends inverted: undo all three."""
    return (mirrored_crc ^ _ALL_ONES).to_bytes(4, "big").translate(_MIRRORED)


def _lacing(packets: Sequence[bytes]) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    if len(lacing) > SEGMENTS_MOST:
        raise ValueError("the packets do not fit on one page")
    return lacing


def _tags(comments: Sequence[tuple[str, str]]) -> bytes:
    """RFC 7845, 5.2: the vendor, then NAME=text, each with its length."""
    lines = [
        f"{name}={text}".encode()[:_COMMENT_BYTES_MOST].decode("utf-8", "ignore").encode() for name, text in comments
    ]
    parts = [b"OpusTags", _counted(b"Rostra"), struct.pack("<I", len(lines)), *map(_counted, lines)]
    return b"".join(parts)


def _counted(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text
