"""A view of a timeline on disk: the index in memory, the sound on the disk."""

import json
import mmap
import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rostra.kernel.errors import Damaged, UnknownSpace
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.events import Event, from_json
from rostra.space.space import Space, evolve, from_plain
from rostra.timeline.index import ROW, Entries, Head, entry_of, places_of
from rostra.timeline.ports import Entry, Kind
from rostra.timeline.recovery import Recovered, begins_like_a_record, read_through


class DiskReader:
    """See ports.Reader.

    Where head or index is lost, the record itself is read through instead, once; such a reader does not grow any more.
    """

    def __init__(self, place: Path, space_id: SpaceId) -> None:
        self._id = space_id
        self._place = place
        try:
            self._fd = os.open(place / "timeline", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UnknownSpace(f"There is no Space {space_id}.") from None
        self._index_fd = _opened(place / "index")
        self._head = _head_of(place)
        self._follows = self._index_fd is not None and self._head is not None and self._head.committed > 0
        if not self._follows and not begins_like_a_record(os.pread(self._fd, _FIRST_BYTES, 0), space_id):
            # A crash in the moment of its making; nobody was ever told of it.
            self.close()
            raise UnknownSpace(f"There is no Space {space_id}.")
        self._rows = bytearray()
        self._seen = 0
        self._parts = {one: array("I") for one in Rendition}
        self._events = array("I")
        self._inits: dict[Rendition, Entry] = {}
        self._space = Space(space_id)
        self._folded = 0  # of self._events

    @property
    def space_id(self) -> SpaceId:
        return self._id

    @property
    def behind(self) -> bool:
        """Whether a refresh would bring something."""
        if not self._follows or self._head is None:
            return not self._seen
        return self._head.committed > self._seen

    @property
    def space(self) -> Space:
        for seq in self._events[self._folded :]:
            entry = entry_of(self._rows, seq)
            self._space = evolve(self._space, self.event(entry), entry.at_us, seq)
        self._folded = len(self._events)
        return self._space

    def refresh(self) -> Sequence[Entry]:
        fresh = self._fresh_rows()
        committed = self._seen + len(fresh) // ROW.size
        if committed == self._seen:
            return ()
        self._rows += fresh
        for seq, row in enumerate(ROW.iter_unpack(fresh), self._seen):
            match row[5]:
                case Kind.PART:
                    parts = self._parts[row[6]]
                    if row[4] != len(parts):
                        raise Damaged(f"part {row[4]} stands where part {len(parts)} belongs", seq, row[0])
                    parts.append(seq)
                case Kind.EVENT:
                    self._events.append(seq)
                case _:
                    self._inits[Rendition(row[6])] = entry_of(self._rows, seq)
        started, self._seen = self._seen, committed
        return Entries(self._rows, range(started, committed))

    def _fresh_rows(self) -> bytes:
        if self._follows and self._head is not None and self._index_fd is not None:
            size = max(0, self._head.committed - self._seen) * ROW.size
            fresh = os.pread(self._index_fd, size, self._seen * ROW.size) if size else b""
            if len(fresh) == size:
                return fresh
            if self._seen:
                raise Damaged("the index is shorter than the record says", self._seen, 0)
            self._follows = False
        if self._seen:
            return b""
        committed = self._head.committed if self._head is not None else 0
        known = os.pread(self._index_fd, os.fstat(self._index_fd).st_size, 0) if self._index_fd is not None else b""
        rows = read_record(self._fd, self._id, committed, known).rows
        return bytes(rows[: committed * ROW.size] if committed else rows)

    def payload(self, entry: Entry) -> bytes:
        return os.pread(self._fd, entry.length, entry.offset)

    def pieces(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def event(self, entry: Entry) -> Event:
        return from_json(self.payload(entry))

    def events(self) -> Sequence[Entry]:
        return Entries(self._rows, self._events)

    def init(self, rendition: Rendition) -> bytes | None:
        entry = self._inits.get(rendition)
        return self.payload(entry) if entry else None

    def parts(self, rendition: Rendition) -> Sequence[Entry]:
        return Entries(self._rows, self._parts[rendition])

    def places(self, rendition: Rendition, first: int = 0, stop: int | None = None) -> Sequence[tuple[int, int]]:
        return places_of(self._rows, self._parts[rendition][first:stop])

    def close(self) -> None:
        if self._head is not None:
            self._head.close()
        os.close(self._fd)
        if self._index_fd is not None:
            os.close(self._index_fd)


def read_snapshot(place: Path, space_id: SpaceId) -> Space:
    """The Space from its snapshot, or folded from the record where that is missing or of another version."""
    space = snapshot_in(place)
    if space is not None:
        return space
    reader = DiskReader(place, space_id)
    try:
        reader.refresh()
        return reader.space
    finally:
        reader.close()


def snapshot_in(place: Path) -> Space | None:
    """The Space as it was last written down; None where nothing can be made of that."""
    try:
        return from_plain(json.loads((place / "snapshot").read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_record(
    fd: int, space_id: SpaceId, committed: int, known_rows: bytes = b"", snapshot: Space | None = None
) -> Recovered:
    """The record in this file, read through. See recovery.read_through."""
    size = os.fstat(fd).st_size
    if not size:
        return read_through(memoryview(b""), space_id, committed=committed)
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as data:
        return read_through(data, space_id, committed=committed, known_rows=known_rows, snapshot=snapshot)


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _head_of(place: Path) -> Head | None:
    try:
        return Head(place / "head", write=False)
    except (FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return None


_FIRST_BYTES: Final = 64 * 1024
"""Holds the first record, which is an event."""
