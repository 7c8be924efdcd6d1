"""Where an edge's sound comes from: the record on its own disk, or another edge over HTTP.

A `Source` opens the Spaces that are asked for; a `Feed` is one of them: what was there when it was opened, what comes, and
what is asked for again later. Shelf, follower, channel and desk are the same code over both.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.space import Space


@dataclass(frozen=True, slots=True)
class Part:
    """The next part of its rendition. `start_us`: wall microseconds of its first sample."""

    rendition: Rendition
    payload: bytes
    start_us: int


@dataclass(frozen=True, slots=True)
class Init:
    rendition: Rendition
    payload: bytes


@dataclass(frozen=True, slots=True)
class Past:
    """What a rendition had when its feed was opened.

    Attributes:
        parts: how many parts; what comes later begins with this number.
        dates: wall microseconds of the first sample of each segment, one for the segment in the making included.
        newest: the last parts with their numbers, without a hole up to `parts`.
    """

    parts: int = 0
    dates: Sequence[int] = ()
    newest: Sequence[tuple[int, bytes]] = ()
    init: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """`age_s`: how long it lay in caches between its maker and us."""

    body: bytes
    age_s: int = 0


class File(Protocol):
    """The recording as one file. While live it grows at its end; what it says of itself is of the moment it was asked for.

    Attributes:
        ended: it will not change any more.
    """

    @property
    def size(self) -> int: ...

    @property
    def ended(self) -> bool: ...

    def etag(self, size: int) -> str: ...

    def still_begins_with(self, etag: str) -> bool:
        """Whether what `etag` named is how the file begins: then the rest of it may be fetched (If-Range)."""

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop), all of them. Raises OSError, ValueError, Unavailable."""


class Feed(Protocol):
    """One Space. Attributes: `space` as of the last `take`."""

    @property
    def space_id(self) -> SpaceId: ...

    @property
    def space(self) -> Space: ...

    @property
    def past(self) -> Mapping[Rendition, Past]: ...

    def take(self) -> Iterable[Part | Init]:
        """What came since the last call, in order; never waits. To be used up. Raises Damaged, OSError, ValueError."""

    async def stored(self, rendition: Rendition, numbers: range) -> Stored:
        """These parts, joined. They exist. Raises OSError, Damaged, Unavailable."""

    async def levels(self) -> Stored:
        """The body of levels.json as of now. Raises OSError, ValueError, Damaged, Unavailable."""

    async def recording(self) -> File:
        """There is at least one part. One call at a time. Raises OSError, ValueError, Damaged, Unavailable."""

    def close(self) -> None:
        """No call may be under way."""


class Source(Protocol):
    """Attributes: `name`: what this edge calls itself to others whom it asks, "" where it asks nobody."""

    @property
    def name(self) -> str: ...

    async def open(self, space_id: SpaceId) -> Feed:
        """Raises UnknownSpace, Damaged, OSError, ValueError; Unavailable, Overloaded where it lies elsewhere."""

    def hear(self, heard: Callable[[SpaceId], None]) -> Callable[[], None]:
        """Call `heard` on the running loop soon after an open feed has something to take. Gives the way to stop."""

    def metrics(self) -> str: ...

    async def close(self) -> None: ...
