"""A view of a timeline on disk: the index in memory, the sound on the disk."""

import json
import os
from array import array
from collections.abc import Sequence
from pathlib import Path

from rostra.kernel.errors import Damaged, UnknownSpace
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.events import Event, from_json
from rostra.space.space import Space, evolve, from_plain
from rostra.timeline.index import ROW, Entries, Head, entry_of
from rostra.timeline.ports import Entry, Kind


class DiskReader:
    """See ports.Reader."""

    def __init__(self, place: Path, space_id: SpaceId) -> None:
        self._id = space_id
        try:
            self._fd = os.open(place / "timeline", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UnknownSpace(f"There is no Space {space_id}.") from None
        self._index_fd = os.open(place / "index", os.O_RDONLY | os.O_CLOEXEC)
        self._head = Head(place / "head", write=False)
        if not self._head.committed:  # a crash in the moment of its making; nobody was ever told of it
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
    def committed(self) -> int:
        return self._head.committed

    @property
    def behind(self) -> bool:
        """Whether a refresh would bring something."""
        return self._head.committed > self._seen

    @property
    def space(self) -> Space:
        for seq in self._events[self._folded :]:
            entry = entry_of(self._rows, seq)
            self._space = evolve(self._space, self.event(entry), entry.at_us, seq)
        self._folded = len(self._events)
        return self._space

    def refresh(self) -> Sequence[Entry]:
        committed = self._head.committed
        if committed <= self._seen:
            return ()
        fresh = os.pread(self._index_fd, (committed - self._seen) * ROW.size, self._seen * ROW.size)
        if len(fresh) != (committed - self._seen) * ROW.size:
            raise Damaged("the index is shorter than the record says", self._seen, 0)
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

    def close(self) -> None:
        self._head.close()
        os.close(self._fd)
        os.close(self._index_fd)


def read_snapshot(place: Path, space_id: SpaceId) -> Space:
    """The Space from its snapshot, or folded from the record where that is missing or of another version."""
    try:
        return from_plain(json.loads((place / "snapshot").read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        reader = DiskReader(place, space_id)
        try:
            reader.refresh()
            return reader.space
        finally:
            reader.close()
