"""The listeners of one endless stream: each new part written to all of them in turns, the same bytes, one write each.

Those in step have been written every part so far. Who asked for titles needs them after so many bytes of his own, and an Ogg
page is numbered from where its listener began; listeners for whom this comes out the same share one piece, made once, so there
are as many pieces as there are different places, not as there are listeners. What a round needs of its listeners, their sockets'
numbers, lies side by side: looking at each listener's own objects would cost more than what is done with them. A listener whose
kernel buffer is full falls out of step, is written nothing, and when it takes bytes again is given what it missed from the ring;
what the ring has no longer is skipped, by whole parts, and counted. So nobody makes us keep more than the ring, which is kept
anyway.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from rostra.edge.icy import METAINT, interleave
from rostra.edge.listener import Listener
from rostra.edge.ranks import Ranks
from rostra.edge.rounds import Round, Rounds
from rostra.edge.tally import Tally
from rostra.wire.fanout import Fanout

BURST_PARTS: Final = 4
"""Given to a newcomer at once (2 s): enough for players to begin, little enough to be near the speaker."""
RING_PARTS: Final = 40
"""Kept for those who fall behind (20 s)."""
UNSENT_BYTES: Final = 32_768
"""What the kernel may hold for one listener without having sent it: about 4 s. It must take a newcomer's burst."""
_CATCH_UP_PARTS: Final = 8


class Piece(Protocol):
    def since(self, first: int) -> bytes:
        """The part as it stands in a stream that began with part `first`."""


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
        self._ring: deque[Piece] = deque(maxlen=RING_PARTS)
        self._ranks = Ranks()
        self._behind: set[Listener] = set()
        self._rounds = Rounds(fanout, tally, self._written)
        self._title = b"\0"
        self._title_number = 0
        self._tail: Callable[[int], bytes] | None = None
        self.over = False

    @property
    def listeners(self) -> int:
        return len(self._ranks) + len(self._behind)

    @property
    def behind(self) -> int:
        return len(self._behind)

    @property
    def ring(self) -> int:
        """How many parts there are to begin with."""
        return len(self._ring)

    def start_at(self, number: int) -> None:
        """The next `add` is part `number`; nobody hears what lies between."""
        self._tally.parts_skipped += (number - self.number) * len(self._ranks)
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
        oldest = self._rounds.oldest
        if oldest is None:
            self._ranks.tidy()
        elif number - oldest >= RING_PARTS:
            # The loop is that far behind: what it could not write in time is left out, rather than waiting without end.
            self._tally.parts_skipped += len(self._ranks)
            return
        for group in self._ranks.step():
            piece, left, told = self._titled(data.since(group.first), group.left, group.told)
            self._rounds.add(Round(group, len(group.members), piece, number, left, told))
            self._ranks.stand(group, left, told)
        self._rounds.run()

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
        if not self._rounds.running:
            self._finish()

    def cut(self) -> None:
        """Break all streams off, so that players see that something is wrong and ask again."""
        self.over = True
        self._rounds.clear()
        for listener in [*self._ranks.listeners(), *self._behind]:
            self.leave(listener)
            listener.stream.abort()

    def _titled(self, data: bytes, left: int, told: int) -> tuple[bytes, int, int]:
        if not left:
            return data, 0, told
        due = self._title if told != self._title_number else b"\0"
        piece, left, sent = interleave(data, left, due)
        return piece, left, self._title_number if sent else told

    def _written(self) -> None:
        if self._tail is not None:
            self._finish()

    def _finish(self) -> None:
        """The end of all who are in step. The others catch up first."""
        for listener in self._ranks.listeners():
            self._part_with(listener)

    def _part_with(self, listener: Listener) -> None:
        assert self._tail is not None
        self.leave(listener)
        tail = self._tail(listener.first)
        if tail:
            # After this nothing more is written, so what the kernel does not take at once may wait in the transport.
            listener.straight(tail)
        listener.stream.close()

    # Out of step.

    def fell_behind(self, listener: Listener) -> None:
        """Its buffer is full: called from inside the write of a round, of a catching up, or of the head."""
        group, current = listener.group, self._rounds.writing
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
        if self._tail is not None and not self._rounds.running:
            self._part_with(listener)
            return
        self._behind.discard(listener)
        self._ranks.take(listener)

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
