"""Opus in Ogg pages: what `live.opus` is made of.

A part makes one page, the same for every listener, numbered by the part's number. Who begins in the middle gets the two head
pages first and sees that pages between are missing, which is true, and what every player of live Ogg is used to. Numbering the
head pages so that no gap shows was tried: libogg expects its first page to be number 0 and loses the head.
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
_COMMENT_BYTES_MOST: Final = 8000  # two of them fit on a page


def serial_of(space_id: SpaceId) -> int:
    """The stream's serial number: the same at every edge."""
    return zlib.crc32(space_id.encode())


def head(space_id: SpaceId, first_part: int, comments: Sequence[tuple[str, str]]) -> bytes:
    """The two pages before the first page of sound, which is that of `first_part`.

    Args:
        comments: names (ASCII, without "=") and texts for the listener's display.
    """
    skip = JOINED_PRE_SKIP if first_part else OPUS_PRE_SKIP
    # RFC 7845, 5.1: version 1, channels, pre-skip, input rate, gain 0, mapping family 0.
    opus_head = _HEAD.pack(b"OpusHead", 1, _SHAPE.channels, skip, RATE, 0, 0)
    serial = serial_of(space_id)
    return page(serial, 0, 0, [opus_head], BEGINS) + page(serial, 1, 0, [_tags(comments)])


def part_page(space_id: SpaceId, part: int, packets: Sequence[bytes]) -> bytes:
    """The page of one part: all its packets, and the position of its last sample."""
    return page(serial_of(space_id), part + _HEAD_PAGES, (part + 1) * _SHAPE.part_samples, packets)


def end_page(space_id: SpaceId, parts: int) -> bytes:
    """An empty page that says the stream is over; `parts` is how many there were."""
    return page(serial_of(space_id), parts + _HEAD_PAGES, NO_GRANULE, [], ENDS)


def page(serial: int, number: int, granule: int, packets: Sequence[bytes], flags: int = 0) -> bytes:
    """One page of whole packets.

    Raises:
        ValueError: they need more than SEGMENTS_MOST lacing values.
    """
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    if len(lacing) > SEGMENTS_MOST:
        raise ValueError("the packets do not fit on one page")
    number &= 0xFFFF_FFFF
    start = _HEADER.pack(b"OggS", 0, flags, granule, serial, number, 0, len(lacing))
    whole = b"".join((start, lacing, *packets))
    return whole[:_CRC_AT] + struct.pack("<I", checksum(whole)) + whole[_CRC_AT + 4 :]


def checksum(page_bytes: bytes) -> int:
    """RFC 3533, 6: CRC-32 with polynomial 0x04c11db7, first bit first, no inversion, over the page with its own field zero."""
    # zlib has the same polynomial with each byte's bits the other way round and both ends inverted: undo all three.
    inverted = zlib.crc32(page_bytes.translate(_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(inverted.to_bytes(4, "little").translate(_MIRRORED), "big")


def _tags(comments: Sequence[tuple[str, str]]) -> bytes:
    """RFC 7845, 5.2: the vendor, then NAME=text, each with its length."""
    lines = [
        f"{name}={text}".encode()[:_COMMENT_BYTES_MOST].decode("utf-8", "ignore").encode() for name, text in comments
    ]
    parts = [b"OpusTags", _counted(b"Rostra"), struct.pack("<I", len(lines)), *map(_counted, lines)]
    return b"".join(parts)


def _counted(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text
