"""A record read from its first byte, with nothing to trust but itself: what stands on it, and where it ends.

Rot in the middle is stepped over where the index, or the rotten record's own header, says how the records behind it connect. Nothing
sound that was ever published is taken for the torn end of a crash.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rostra.kernel.errors import Damaged
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.events import from_json
from rostra.space.space import Space, evolve
from rostra.timeline import index, record
from rostra.timeline.ports import Entry, Kind

TAIL_BYTES: Final = 1 << 20
"""So much of what was never published a crash may leave in disorder: about a minute of sound. More is no torn end."""


@dataclass(slots=True)
class Recovered:
    """What a record holds.

    Attributes:
        rows: the index made anew, a row a record.
        size: where the next record belongs; what lies behind it is the torn end of a crash.
        seq: the next record's number; chain: the chain value it builds on.
        last_parts: the newest part of each rendition, and when it was appended.
        damaged: the records that were stepped over.
        disorder: sound records lie behind `size`, or published ones are missing there: keep those bytes.
    """

    space: Space
    chain: bytes
    rows: bytearray = field(default_factory=bytearray)
    size: int = 0
    seq: int = 0
    last_parts: dict[Rendition, tuple[Entry, record.Stamp]] = field(default_factory=dict)
    inits: set[Rendition] = field(default_factory=set)
    damaged: tuple[int, ...] = ()
    disorder: bool = False


def read_through(
    data: memoryview, space_id: SpaceId, *, committed: int, known_rows: bytes = b"", snapshot: Space | None = None
) -> Recovered:
    """
    Args:
        data: the whole file.
        committed: how many records were published, as far as that is known; 0 if not.
        known_rows: the index as it was found, perhaps short or wrong.
        snapshot: the Space as it was last written down; stands in for events that can no longer be read.
    Raises:
        Damaged: published records lie behind a gap over which nothing leads. Nothing may be appended, or cut.
    """
    found = Recovered(Space(space_id), record.first_chain(space_id))
    while found.size < len(data):
        try:
            one = record.read(data, found.size, found.seq, found.chain)
        except Damaged as wrong:
            if not _step_over(found, data, committed, known_rows, snapshot, wrong):
                break
        else:
            _take(found, one)
    found.disorder |= found.size < len(data) and found.seq < committed
    return found


def begins_like_a_record(start: bytes, space_id: SpaceId) -> bool:
    """Whether the first record is whole in these first bytes of the file."""
    with memoryview(start) as data:
        try:
            record.read(data, 0, 0, record.first_chain(space_id)).body.release()
        except Damaged:
            return False
        return True


def _take(found: Recovered, one: record.Record) -> None:
    with one.body as body:
        meta = record.part_meta(body) if one.kind is Kind.PART else None
        entry = index.entry_at(one.seq, one.kind, one.stamp.at_us, one.start, len(body), meta)
        rendition = Rendition(body[0]) if one.kind is Kind.INIT else None
        if one.kind is Kind.EVENT and one.seq > found.space.seq:
            found.space = evolve(found.space, from_json(bytes(body)), entry.at_us, entry.seq)
    if rendition:
        found.inits.add(rendition)
    if meta:
        found.last_parts[meta.rendition] = entry, one.stamp
    found.rows += index.row_of(entry, rendition)
    found.chain, found.size, found.seq = one.chain, one.end, one.seq + 1


def _step_over(
    found: Recovered, data: memoryview, committed: int, known_rows: bytes, snapshot: Space | None, wrong: Damaged
) -> bool:
    """Go on behind what cannot be read. False: it is the end."""
    behind = next(_sound_records(data, found.size, found.seq), None)
    stop_seq, stop = (behind.seq, behind.start) if behind else (max(committed, found.seq), len(data))
    rows = _rows_of(known_rows, found.seq, stop_seq, found.size, stop if behind else None, len(data))
    if rows is None and behind and behind.seq == found.seq + 1:
        rows = _row_by_header(found, data, behind.start)
    if rows is None:
        if behind is None:
            return False
        behind.body.release()
        if found.seq < committed or len(data) - found.size > TAIL_BYTES:
            raise wrong
        found.disorder = True
        return False
    for at in range(0, len(rows), index.ROW.size):
        _skip(found, rows[at : at + index.ROW.size], data, snapshot)
    if behind:
        _take(found, behind)
    return True


def _skip(found: Recovered, row: bytes, data: memoryview, snapshot: Space | None) -> None:
    """A record that is rotten, and stays as it is: `timeline verify` goes on naming it."""
    entry, seq = index.entry_of(row, 0), found.seq
    found.damaged = (*found.damaged, seq)
    found.rows += row
    if entry.part:
        found.last_parts[entry.part.rendition] = entry, record.Stamp(entry.at_us, 0, 0)
    if entry.kind is Kind.EVENT and snapshot is not None and snapshot.seq >= seq > found.space.seq:
        found.space = snapshot
    found.size, found.seq = index.end_of(entry), seq + 1
    found.chain = bytes(data[found.size - 32 : found.size])


def _sound_records(data: memoryview, start: int, seq: int) -> Iterator[record.Record]:
    """Records behind `start` with a number above `seq` whose checksum holds."""
    whole, at = data.obj, start
    assert isinstance(whole, mmap.mmap | bytes)
    while (at := whole.find(record.MAGIC, at + 1)) >= 0:
        number = record.number_at(data, at)
        if number is None or not seq < number <= seq + len(data) // record.HEADER.size:
            continue
        try:
            yield record.read(data, at, number, None)
        except (Damaged, ValueError):
            continue


def _rows_of(known: bytes, seq: int, stop_seq: int, start: int, stop: int | None, size: int) -> bytes | None:
    """The index's rows of these records, if they lie one behind the other from `start` to exactly `stop` (or within the file)."""
    rows = known[seq * index.ROW.size : stop_seq * index.ROW.size]
    if not rows or len(rows) != (stop_seq - seq) * index.ROW.size:
        return None
    at = start
    for number in range(stop_seq - seq):
        try:
            entry = index.entry_of(rows, number)
        except ValueError:
            return None
        if index.start_of(entry) != at:
            return None
        at = index.end_of(entry)
    return rows if at == stop or stop is None and at <= size else None


def _row_by_header(found: Recovered, data: memoryview, stop: int) -> bytes | None:
    """The row of one rotten record by its own header, if that leads to `stop` and fits what came before."""
    one = record.unproven(data, found.size, found.seq)
    if one is None:
        return None
    with one.body as body:
        try:
            meta = record.part_meta(body) if one.kind is Kind.PART else None
        except ValueError:
            return None
        entry = index.entry_at(one.seq, one.kind, one.stamp.at_us, one.start, len(body), meta)
    if one.end != stop or one.kind is Kind.INIT:
        return None
    if meta:
        last = found.last_parts.get(meta.rendition)
        follows = last[0].part.number + 1 if last and last[0].part else 0
        if meta.number != follows:
            return None
    return index.row_of(entry)
