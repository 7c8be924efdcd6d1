"""How one record stands in the file: framed, checksummed, chained. Pure bytes.

    record  = header body crc32 chain
    header  = "Rt" kind:u8 zero:u8 length:u32 seq:u64 at_us:u64 boot_us:u64 boot:u32       (little endian, 36 bytes)
    crc32   = of header and body
    chain_n = SHA-256(chain_{n-1} header body);   chain_{-1} = SHA-256("rostra timeline 1" space id)

The checksum finds a torn or rotten record by itself; the chain makes every record vouch for all before it.
The body of a part is `part` (24 bytes) and then the bytes that listeners get; of an init one byte, the rendition, then its
bytes; of an event its JSON.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from rostra.kernel.errors import Damaged
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.timeline.ports import Kind, PartFlag, PartMeta

MAGIC: Final = b"Rt"
HEADER: Final = struct.Struct("<2sBBIQQQI")
TRAILER: Final = struct.Struct("<I32s")
PART: Final = struct.Struct("<BBbbIQQ")
BODY_MOST: Final = 4 << 20
"""No record is larger; a length beyond it is damage."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a record was appended. `boot`: a short hash of which boot of the machine `boot_us` counts from."""

    at_us: int
    boot_us: int
    boot: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read. `start` and `end` are its first and one-past-last byte in the file."""

    seq: int
    kind: Kind
    stamp: Stamp
    body: memoryview
    start: int
    end: int
    chain: bytes


def first_chain(space_id: SpaceId) -> bytes:
    return hashlib.sha256(b"rostra timeline 1" + space_id.encode()).digest()


def boot_hash(boot_id: str) -> int:
    return zlib.crc32(boot_id.encode())


def write(seq: int, kind: Kind, stamp: Stamp, body: bytes, chain: bytes) -> tuple[bytes, bytes]:
    """The record's bytes, and the chain value the next one builds on.

    Raises:
        ValueError: a body over BODY_MOST bytes.
    """
    if len(body) > BODY_MOST:
        raise ValueError(f"a record holds {BODY_MOST:,} bytes at most, not {len(body):,}")
    head = HEADER.pack(MAGIC, kind, 0, len(body), seq, stamp.at_us, stamp.boot_us, stamp.boot)
    framed = head + body
    linked = hashlib.sha256(chain + framed).digest()
    return framed + TRAILER.pack(zlib.crc32(framed), linked), linked


def read(data: memoryview, start: int, seq: int, chain: bytes | None) -> Record:
    """The record number `seq` that begins at `start`.

    Args:
        chain: the chain value before it; None leaves the chain unchecked (the checksum always is).
    Raises:
        Damaged: it is cut short, not a record, not number `seq`, or fails its checksum or chain.
    """
    if start + HEADER.size > len(data):
        raise Damaged(f"record {seq} is cut short in its header", seq, start)
    magic, kind, zero, length, found, at_us, boot_us, boot = HEADER.unpack_from(data, start)
    if magic != MAGIC or zero or kind not in _KINDS or length > BODY_MOST:
        raise Damaged(f"record {seq} does not begin like a record", seq, start)
    if found != seq:
        raise Damaged(f"record {seq} is missing: record {found} stands in its place", seq, start)
    body_start = start + HEADER.size
    body_end = body_start + length
    if body_end + TRAILER.size > len(data):
        raise Damaged(f"record {seq} is cut short", seq, start)
    crc, linked = TRAILER.unpack_from(data, body_end)
    with data[start:body_end] as framed:  # released, so that a raised error does not keep the file mapped
        sound = zlib.crc32(framed) == crc
        follows = chain is None or hashlib.sha256(chain + framed).digest() == linked
    if not sound:
        raise Damaged(f"record {seq} fails its checksum", seq, start)
    if not follows:
        raise Damaged(
            f"record {seq} does not follow from the records before it: one of them or it was altered", seq, start
        )
    body = data[body_start:body_end]
    return Record(seq, Kind(kind), Stamp(at_us, boot_us, boot), body, start, body_end + TRAILER.size, linked)


def number_at(data: memoryview, at: int) -> int | None:
    """The number of the record that seems to begin at `at`; None if none can."""
    if at + HEADER.size > len(data):
        return None
    magic, kind, zero, length, seq, *_ = HEADER.unpack_from(data, at)
    fits = length <= BODY_MOST and at + HEADER.size + length + TRAILER.size <= len(data)
    return seq if magic == MAGIC and not zero and kind in _KINDS and fits else None


def unproven(data: memoryview, start: int, seq: int) -> Record | None:
    """Record number `seq` by what its header says, whatever its checksum says; None where even that is no record's."""
    if number_at(data, start) != seq:
        return None
    _, kind, _, length, _, at_us, boot_us, boot = HEADER.unpack_from(data, start)
    end = start + HEADER.size + length + TRAILER.size
    body = data[start + HEADER.size : end - TRAILER.size]
    return Record(seq, Kind(kind), Stamp(at_us, boot_us, boot), body, start, end, bytes(data[end - 32 : end]))


def part_body(meta: PartMeta, boot_us: int, payload: bytes) -> bytes:
    level, peak = max(-127, min(0, meta.level_dbfs)), max(-127, min(0, meta.peak_dbfs))
    return PART.pack(meta.rendition, meta.flags, level, peak, meta.number, meta.start_us, boot_us) + payload


def part_meta(body: memoryview | bytes) -> PartMeta:
    """Raises ValueError where it is not a part's body."""
    if len(body) < PART.size:
        raise ValueError("a part is cut short")
    rendition, flags, level, peak, number, start_us, _ = PART.unpack_from(body)
    return PartMeta(Rendition(rendition), number, PartFlag(flags), level, peak, start_us)


_KINDS: Final = frozenset(int(kind) for kind in Kind)
