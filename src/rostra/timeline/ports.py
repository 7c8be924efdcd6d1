"""What the roles know of a timeline: who writes it, who reads it, and how a reader hears that it grew.

A timeline is one append-only sequence of records, numbered from 0: events, init segments, and parts of sound. The
parts of one rendition are numbered from 0 without a hole, so a part's number says when it sounds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Protocol

from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.events import Event
from rostra.space.space import Space


class Kind(IntEnum):
    EVENT = 1
    INIT = 2
    PART = 3


class PartFlag(IntFlag):
    NONE = 0
    FILL = 1  # silence put in later, for a time when no process was there to write
    AWAY = 2  # silence while nobody was on the stage


@dataclass(frozen=True, slots=True)
class PartMeta:
    """What the record says of a part besides its bytes.

    Attributes:
        number: from 0, without a hole; covers samples [number, number + 1) times the rendition's part_samples.
        level_dbfs: RMS of the part, 0 to -127.
        peak_dbfs: highest sample, 0 to -127.
        start_us: wall microseconds at which its first sample was heard on the stage.
    """

    rendition: Rendition
    number: int
    flags: PartFlag
    level_dbfs: int
    peak_dbfs: int
    start_us: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One record. `offset` and `length` (bytes) are of its payload in the file; `part` is set where kind is PART."""

    seq: int
    kind: Kind
    at_us: int
    offset: int
    length: int
    part: PartMeta | None


@dataclass(frozen=True, slots=True)
class RoomLeft:
    """`reserved_bytes` are ours whatever else fills the disk; `free_bytes` are what the disk says is free."""

    reserved_bytes: int
    free_bytes: int

    def seconds(self, bytes_per_s: float) -> float:
        return (self.reserved_bytes + self.free_bytes) / bytes_per_s


class Writer(Protocol):
    """The one pen of a Space's timeline; lives in the process that owns the Space.

    Every append returns when the record is durable by the `sync` setting and readers have been told. Appends keep
    their order. At most `PENDING_MOST` records wait for the disk; one more raises Overloaded.
    """

    @property
    def space_id(self) -> SpaceId: ...

    @property
    def space(self) -> Space:
        """The fold of all events on the record."""

    @property
    def last_parts(self) -> Mapping[Rendition, Entry]:
        """The newest part of each rendition that has any."""

    @property
    def inits(self) -> frozenset[Rendition]:
        """The renditions whose init segment is on the record."""

    @property
    def cut_bytes(self) -> int:
        """How many bytes of a torn record were cut off when this writer opened the file."""

    async def append_event(self, event: Event) -> int:
        """Append, fold into `space`, and give the record's number. Raises DiskFull, Overloaded, Unavailable."""

    async def append_init(self, rendition: Rendition, payload: bytes) -> int:
        """Raises as append_event, and ValueError where there is one already."""

    async def append_part(self, meta: PartMeta, payload: bytes) -> int:
        """Raises as append_event, and ValueError where the number is not the next one."""

    async def append_parts(self, parts: Sequence[tuple[PartMeta, bytes]]) -> int:
        """Many parts with one sync (filling a gap). All or none. Gives the last record's number."""

    def age_us(self, entry: Entry) -> int:
        """Microseconds since `entry` was appended: by the boot clock within one boot, else by the wall clock; never negative."""

    def reserve(self, size_bytes: int) -> None:
        """Keep this much disk for us beyond what is written, as far as there is room."""

    def room(self) -> RoomLeft: ...

    async def close(self) -> None:
        """Write what waits, give back the reserve. Further appends raise Unavailable."""


class Reader(Protocol):
    """A view of one timeline that grows when `refresh` is called. Holds an open file and a small index, no sound."""

    @property
    def space_id(self) -> SpaceId: ...

    @property
    def space(self) -> Space:
        """The fold of the events seen so far; at least as new as the last `refresh`."""

    def refresh(self) -> Sequence[Entry]:
        """The records committed since the last call (the first call: all). Entries are made as they are looked at.

        Raises:
            Damaged: the index does not fit the record.
        """

    def payload(self, entry: Entry) -> bytes: ...

    def pieces(self, offset: int, length: int) -> bytes:
        """Raw bytes of the file: for mapping the recording's ranges onto parts."""

    def event(self, entry: Entry) -> Event: ...

    def events(self) -> Sequence[Entry]: ...

    def init(self, rendition: Rendition) -> bytes | None: ...

    def parts(self, rendition: Rendition) -> Sequence[Entry]:
        """All parts seen so far; index == part number."""

    def places(self, rendition: Rendition, first: int = 0, stop: int | None = None) -> Sequence[tuple[int, int]]:
        """Offset and length of the payloads of the parts [first, stop): ten times as fast as looking at each entry."""

    def close(self) -> None: ...


class Library(Protocol):
    """All timelines of this installation."""

    def ids(self) -> list[SpaceId]: ...

    def reader(self, space_id: SpaceId) -> Reader:
        """Raises UnknownSpace."""

    def snapshot(self, space_id: SpaceId) -> Space:
        """The Space as it stands, read from the small file its owner keeps beside the record. Raises UnknownSpace."""

    def complete(self, space_id: SpaceId) -> bool:
        """Whether what is derived from the record stands beside it. If not, readers work harder until a writer was open once."""

    def hear(self, heard: Callable[[SpaceId], None]) -> Callable[[], None]:
        """Call `heard` on the running loop soon after a timeline grew (calls for one Space may be merged). Gives the way to stop."""

    async def writer(self, space_id: SpaceId, *, create: bool = False) -> Writer:
        """Open the one pen: recovers after a crash by cutting a torn tail. Raises UnknownSpace, Damaged, DiskFull."""
