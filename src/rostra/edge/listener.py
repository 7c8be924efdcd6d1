"""One listener to an endless stream, as its crowd knows it, and the group that it stands in while it is in step."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from rostra.wire.stream import Stream


class Company(Protocol):
    """What a listener needs of the crowd it is in: to be told what has become of its connection."""

    def fell_behind(self, listener: "Listener") -> None: ...

    def caught_up(self, listener: "Listener") -> None: ...

    def leave(self, listener: "Listener") -> None: ...


class Listener:
    """One connection. While it is in step, what of this changes from part to part stands in its group.

    Attributes:
        number: the next part to write; in step, the first that came to it in a round.
        left: bytes until its next title; 0: it wants none.
        told: which title it was told last.
        first: the part it began with, where that makes a difference to its bytes; else 0.
        group, place: where it is in step.
        straight: its connection's own way to write.
        file: its socket's descriptor; -1 where only `straight` will do.
    """

    __slots__ = ("crowd", "file", "first", "group", "left", "number", "on_end", "place", "straight", "stream", "told")

    def __init__(self, stream: Stream, on_end: Callable[[], None]) -> None:
        """`on_end` is called once, when it listens no more."""
        self.stream = stream
        self.on_end = on_end
        self.crowd: Company | None = None
        self.group: Group | None = None
        self.place = 0
        self.number = 0
        self.left = 0
        self.told = 0
        self.first = 0
        self.file = -1
        self.straight: Callable[[bytes], None] = _nowhere

    # As a wire.stream.Watcher.

    def fell_behind(self) -> None:
        if self.crowd is not None:
            self.crowd.fell_behind(self)

    def caught_up(self) -> None:
        if self.crowd is not None:
            self.crowd.caught_up(self)

    def gone(self) -> None:
        if self.crowd is not None:
            self.crowd.leave(self)

    def stop(self) -> None:
        """The player sees an end, and asks again."""
        self.gone()
        self.stream.close()


@dataclass(slots=True)
class Group:
    """Listeners who get the same bytes next. A place that somebody left stays empty until no round is under way."""

    left: int
    told: int
    first: int
    members: list[Listener | None] = field(default_factory=list)
    files: "array[int]" = field(default_factory=lambda: array("i"))
    empty: int = 0

    def __len__(self) -> int:
        return len(self.members) - self.empty

    def take(self, listener: Listener) -> None:
        listener.group, listener.place = self, len(self.members)
        self.members.append(listener)
        self.files.append(listener.file)

    def drop(self, listener: Listener) -> None:
        listener.group = None
        self.members[listener.place] = None
        self.files[listener.place] = -1
        self.empty += 1

    def present(self) -> list[Listener]:
        return [one for one in self.members if one is not None]

    def close_up(self) -> None:
        """Let no place be empty."""
        members = self.present()
        self.members, self.files, self.empty = [], array("i"), 0
        for listener in members:
            self.take(listener)


def _nowhere(_: bytes) -> None:
    """Of listeners that have not joined yet."""
