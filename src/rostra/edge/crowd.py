"""The listeners of one endless stream: each new part written to all of them in turns, the same bytes, one write each.

Those in step have been written every part so far. Who asked for titles needs them after so many bytes of his own, and an Ogg
page is numbered from where its listener began; listeners for whom this comes out the same share one piece, made once, so there
are as many pieces as there are different places, not as there are listeners. What a round needs of its listeners, their sockets'
numbers, lies side by side: looking at each listener's own objects would cost more than what is done with them. A listener whose
kernel buffer is full falls out of step, is written nothing, and when it takes bytes again is given what it missed from the ring;
what the ring has no longer is skipped, by whole parts, and counted. So nobody makes us keep more than the ring, which is kept
anyway.
"""

import asyncio
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from rostra.edge.icy import METAINT, interleave
from rostra.wire.fanout import AT_ONCE, Fanout
from rostra.wire.server import Stream

BURST_PARTS: Final = 4
"""Given to a newcomer at once (2 s): enough for players to begin, little enough to be near the speaker."""
RING_PARTS: Final = 40
"""Kept for those who fall behind (20 s)."""
UNSENT_BYTES: Final = 32_768
"""What the kernel may hold for one listener without having sent it: about 4 s. It must take a newcomer's burst."""
_CATCH_UP_PARTS: Final = 8
_AT_A_TIME: Final = AT_ONCE


class Piece(Protocol):
    def since(self, first: int) -> bytes:
        """The part as it stands in a stream that began with part `first`."""


@dataclass(slots=True)
class Tally:
    """Attributes:
    parts_written: to listeners, one for each.
    fell_behind: times a listener's buffer was full.
    parts_skipped: left out for listeners who came back too late.
    """

    parts_written: int = 0
    fell_behind: int = 0
    parts_skipped: int = 0


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
        self.group: _Group | None = None
        self.place = 0
        self.number = 0
        self.left = 0
        self.told = 0
        self.first = 0
        self.file = -1
        self.straight: Callable[[bytes], None] = _nowhere

    # as a wire.stream.Watcher.

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
class _Group:
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


@dataclass(slots=True)
class _Round:
    """One piece on its way to those who were in a group when it came: its first `count` places."""

    group: _Group
    count: int
    piece: bytes
    number: int
    left: int
    told: int
    begin: int = 0


class Crowd:
    """Attributes:
    number: of the next part.
    listeners: how many there are, in step or behind.
    """

    def __init__(self, tally: Tally, fanout: Fanout, *, counted_from_first: bool = False) -> None:
        """`counted_from_first`: what a listener is written depends on the part it began with."""
        self.number = 0
        self._counted = counted_from_first
        self._tally = tally
        self._fanout = fanout
        self._ring: deque[Piece] = deque(maxlen=RING_PARTS)
        self._groups: dict[tuple[int, int, int], _Group] = {}
        self._alike: list[_Group] = []  # groups that came to stand where another stands already
        self._behind: set[Listener] = set()
        self._rounds: deque[_Round] = deque()
        self._writing: _Round | None = None
        self._running = False
        self._title = b"\0"
        self._title_number = 0
        self._tail: Callable[[int], bytes] | None = None
        self.over = False

    @property
    def listeners(self) -> int:
        return sum(map(len, self._in_step())) + len(self._behind)

    @property
    def behind(self) -> int:
        return len(self._behind)

    @property
    def ring(self) -> int:
        """How many parts there are to begin with."""
        return len(self._ring)

    def start_at(self, number: int) -> None:
        """The next `add` is part `number`; nobody hears what lies between."""
        self._tally.parts_skipped += (number - self.number) * (self.listeners - self.behind)
        self.number = number
        self._ring.clear()

    def entitle(self, block: bytes) -> None:
        """What `icy.block` made of the title from now on."""
        if block != self._title:
            self._title = block
            self._title_number += 1

    def add(self, data: Piece) -> None:
        """The next part. Nothing may be added after `end`."""
        number = self.number
        self.number = number + 1
        self._ring.append(data)
        if self._rounds and number - self._rounds[0].number >= RING_PARTS:
            # The loop is that far behind: what it could not write in time is left out, rather than waiting without end.
            self._tally.parts_skipped += self.listeners - self.behind
            return
        if not self._rounds:
            self._tidy()
        groups, self._groups, self._alike = self._in_step(), {}, []
        for group in groups:
            if not len(group):
                continue
            piece, left, told = self._titled(data.since(group.first), group.left, group.told)
            self._rounds.append(_Round(group, len(group.members), piece, number, left, told))
            group.left, group.told = left, told
            if self._groups.setdefault((left, told, group.first), group) is not group:
                self._alike.append(group)
        self._run()

    def begins_with(self) -> int:
        """The part that a newcomer would hear first."""
        return self.number - min(BURST_PARTS, len(self._ring))

    def join(self, listener: Listener, titles: bool, head: bytes) -> None:
        """Write `head` and the newest parts at once, then every part that comes."""
        listener.left = METAINT if titles else 0
        listener.number = self.begins_with()
        listener.first = listener.number if self._counted else 0
        listener.crowd, stream = self, listener.stream
        listener.straight = stream.straight(listener, UNSENT_BYTES)
        listener.file = stream.file
        self._behind.add(listener)
        if head:
            # Titles are counted from the first byte after the header, whatever that is.
            head, listener.left, listener.told = self._titled(head, listener.left, listener.told)
            stream.write(head)
        if not stream.behind:
            self.caught_up(listener)

    def end(self, tail: Callable[[int], bytes]) -> None:
        """No further part: when all is written, the `tail` of a stream that began with that part is, and then it is over.

        Who is behind still gets what the ring has of it, as fast as it reads; who does not read is cut off by its deadline.
        """
        self.over = True
        self._tail = tail
        if not self._running:
            self._finish()

    def cut(self) -> None:
        """Break all streams off, so that players see that something is wrong and ask again."""
        self.over = True
        self._rounds.clear()
        for listener in self._all():
            self.leave(listener)
            listener.stream.abort()

    def _titled(self, data: bytes, left: int, told: int) -> tuple[bytes, int, int]:
        if not left:
            return data, 0, told
        due = self._title if told != self._title_number else b"\0"
        piece, left, sent = interleave(data, left, due)
        return piece, left, self._title_number if sent else told

    def _group(self, left: int, told: int, first: int) -> _Group:
        group = self._groups.get((left, told, first))
        if group is None:
            group = self._groups[left, told, first] = _Group(left, told, first)
        return group

    # Rounds. One turn of the loop writes to _AT_A_TIME listeners, then everybody else is served before the next.

    def _run(self) -> None:
        if not self._running and self._rounds:
            self._running = True
            self._turn()

    def _turn(self) -> None:
        rounds, room = self._rounds, _AT_A_TIME
        while rounds and room > 0:
            current = rounds[0]
            stop = min(current.begin + room, current.count)
            room -= stop - current.begin
            self._write(current, stop)
            current.begin = stop
            if stop == current.count and rounds:
                rounds.popleft()
        if rounds:
            asyncio.get_running_loop().call_soon(self._turn)
            return
        self._running = False
        if self._tail is not None:
            self._finish()

    def _write(self, current: _Round, stop: int) -> None:
        """Give the piece to the listeners up to this place."""
        group, piece, begin = current.group, current.piece, current.begin
        self._writing = current
        for place, sent in self._fanout.send(group.files[begin:stop], piece):
            listener = group.members[begin + place]
            if (
                listener is not None
            ):  # full, or broken, or not to be written to this way: its connection finds out which
                listener.straight(piece[sent:])
        self._writing = None
        self._tally.parts_written += stop - begin

    def _in_step(self) -> list[_Group]:
        return [*self._groups.values(), *self._alike]

    def _tidy(self) -> None:
        """While no round is under way: groups that stand at the same place become one, and places that many left are closed up."""
        for group in self._alike:
            other = self._groups[group.left, group.told, group.first]
            for listener in group.present():
                other.take(listener)
        self._alike = []
        for group in self._groups.values():
            if 4 * group.empty > len(group.members):
                group.close_up()

    def _finish(self) -> None:
        """The end of all who are in step. The others catch up first."""
        for group in self._in_step():
            for listener in group.present():
                self._part_with(listener)

    def _part_with(self, listener: Listener) -> None:
        assert self._tail is not None
        self.leave(listener)
        tail = self._tail(listener.first)
        if tail:
            # After this nothing more is written, so what the kernel does not take at once may wait in the transport.
            listener.straight(tail)
        listener.stream.close()

    def _all(self) -> list[Listener]:
        return [one for group in self._in_step() for one in group.present()] + list(self._behind)

    # Out of step.

    def fell_behind(self, listener: Listener) -> None:
        """Its buffer is full: called from inside the write of a round, of a catching up, or of the head."""
        group, current = listener.group, self._writing
        if group is None:
            return
        group.drop(listener)
        if current is not None:
            listener.number, listener.left, listener.told = current.number + 1, current.left, current.told
        else:
            listener.number, listener.left, listener.told = self.number, group.left, group.told
        self._behind.add(listener)
        self._tally.fell_behind += 1

    def caught_up(self, listener: Listener) -> None:
        """Its buffer is empty: give what it missed, and when that is all, let it go in step."""
        if listener not in self._behind:
            return
        write = listener.stream.write
        while listener.number < self.number:
            if not write(b"".join(self._missed(listener, _CATCH_UP_PARTS))):
                return
        if self._tail is not None and not self._running:
            self._part_with(listener)
            return
        self._behind.discard(listener)
        self._group(listener.left, listener.told, listener.first).take(listener)

    def _missed(self, listener: Listener, most: int) -> list[bytes]:
        oldest = self.number - len(self._ring)
        if listener.number < oldest:
            begin = self.begins_with()
            self._tally.parts_skipped += begin - listener.number
            listener.number = begin
        pieces: list[bytes] = []
        while listener.number < self.number and len(pieces) < most:
            data = self._ring[listener.number - oldest].since(listener.first)
            piece, listener.left, listener.told = self._titled(data, listener.left, listener.told)
            pieces.append(piece)
            listener.number += 1
        self._tally.parts_written += len(pieces)
        return pieces

    def leave(self, listener: Listener) -> None:
        if listener.group is not None:
            listener.group.drop(listener)
        self._behind.discard(listener)
        listener.on_end()


def _nowhere(_: bytes) -> None:
    """Of listeners that have not joined yet."""
