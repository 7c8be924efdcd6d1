"""The index beside a record: one fixed row a record, so that two hours open in milliseconds. Derived; made anew if lost.

Row number n speaks of record n. A reader trusts only the rows that `Head` counts as committed.
"""

import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, overload

from rostra.sound.renditions import Rendition
from rostra.timeline.ports import Entry, Kind, PartFlag, PartMeta
from rostra.timeline.record import HEADER, PART, TRAILER

ROW: Final = struct.Struct("<QQQIIBBBbb3x")
"""payload offset, at_us, start_us, payload length, part number, kind, rendition, flags, level, peak."""
_PLACE: Final = struct.Struct("<Q16xI")


def row_of(entry: Entry, rendition: Rendition | None = None) -> bytes:
    """`rendition` for an init; a part names its own."""
    part = entry.part
    if part is None:
        return ROW.pack(entry.offset, entry.at_us, 0, entry.length, 0, entry.kind, rendition or 0, 0, 0, 0)
    return ROW.pack(
        entry.offset, entry.at_us, part.start_us, entry.length, part.number,
        entry.kind, part.rendition, part.flags, part.level_dbfs, part.peak_dbfs,
    )  # fmt: skip


def entry_of(rows: bytes | bytearray | memoryview, seq: int) -> Entry:
    offset, at_us, start_us, length, number, kind, rendition, flags, level, peak = ROW.unpack_from(rows, seq * ROW.size)
    meta = None
    if kind == Kind.PART:
        meta = PartMeta(Rendition(rendition), number, PartFlag(flags), level, peak, start_us)
    return Entry(seq, Kind(kind), at_us, offset, length, meta)


def places_of(rows: bytes | bytearray, seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Offset and length of the payloads of these records."""
    return [_PLACE.unpack_from(rows, seq * ROW.size) for seq in seqs]


def entry_at(seq: int, kind: Kind, at_us: int, start: int, body: int, meta: PartMeta | None) -> Entry:
    """The entry of a record that begins at `start` and whose body has so many bytes.

    The payload lies behind the header and, in a part or an init, behind the body's leading fields.
    """
    lead = _LEAD[kind]
    return Entry(seq, kind, at_us, start + HEADER.size + lead, body - lead, meta)


def start_of(entry: Entry) -> int:
    """Where its record begins in the file."""
    return entry.offset - _LEAD[entry.kind] - HEADER.size


def end_of(entry: Entry) -> int:
    """Where the record behind it begins."""
    return entry.offset + entry.length + TRAILER.size


_LEAD: Final = {Kind.PART: PART.size, Kind.INIT: 1, Kind.EVENT: 0}


class Entries(Sequence[Entry]):
    """Entries by number, made when looked at. `seqs` may go on growing."""

    def __init__(self, rows: bytearray, seqs: Sequence[int]) -> None:
        self._rows = rows
        self._seqs = seqs

    def __len__(self) -> int:
        return len(self._seqs)

    def __iter__(self) -> Iterator[Entry]:
        return (entry_of(self._rows, seq) for seq in self._seqs)

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> "Entries": ...
    def __getitem__(self, at: int | slice) -> "Entry | Entries":
        if isinstance(at, slice):
            return Entries(self._rows, self._seqs[at])
        return entry_of(self._rows, self._seqs[at])


class Head:
    """How many records are committed: one number in a shared page, written after the sync, read at the cost of a load.

    An aligned store of eight bytes is seen whole by other processes on every machine that CPython 3.11 supports.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        flags = os.O_RDWR | os.O_CREAT if write else os.O_RDONLY
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            if write and os.fstat(fd).st_size < 8:
                os.pwrite(fd, bytes(8), 0)
            access = mmap.PROT_READ | mmap.PROT_WRITE if write else mmap.PROT_READ
            self._map = mmap.mmap(fd, 8, mmap.MAP_SHARED, access)
        finally:
            os.close(fd)
        self._cell = memoryview(self._map).cast("Q")

    @property
    def committed(self) -> int:
        return self._cell[0]

    @committed.setter
    def committed(self, records: int) -> None:
        self._cell[0] = records

    def close(self) -> None:
        self._cell.release()
        self._map.close()
