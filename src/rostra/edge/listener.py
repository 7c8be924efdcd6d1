"""One listener to an endless stream, as its crowd knows it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rostra.wire.stream import Stream

if TYPE_CHECKING:
    from rostra.edge.crowd import Crowd
    from rostra.edge.ranks import Group


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
        self.crowd: Crowd | None = None
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


def _nowhere(_: bytes) -> None:
    """Of listeners that have not joined yet."""
