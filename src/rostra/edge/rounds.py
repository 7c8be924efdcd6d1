"""The pieces that are on their way to a crowd: written in turns, so that a crowd does not keep the loop from everything else."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rostra.edge.listener import Group
from rostra.edge.tally import Tally
from rostra.wire.fanout import AT_ONCE, Fanout

AT_A_TIME: Final = AT_ONCE
"""Listeners written to in one turn of the loop; then everybody else is served before the next."""


@dataclass(slots=True)
class Round:
    """One piece on its way to those who were in a group when it came: its first `count` places."""

    group: Group
    count: int
    piece: bytes
    number: int
    left: int
    told: int
    begin: int = 0


class Rounds:
    """Attributes:
    running: there will be another turn.
    writing: the round whose piece is being written at this moment.
    """

    def __init__(self, fanout: Fanout, tally: Tally, over: Callable[[], None]) -> None:
        """`over` is called when nothing is on its way any more."""
        self.running = False
        self.writing: Round | None = None
        self._fanout = fanout
        self._tally = tally
        self._over = over
        self._rounds: deque[Round] = deque()

    @property
    def oldest(self) -> int | None:
        """The number of the part that is longest on its way."""
        return self._rounds[0].number if self._rounds else None

    def add(self, one: Round) -> None:
        self._rounds.append(one)

    def clear(self) -> None:
        self._rounds.clear()

    def run(self) -> None:
        if not self.running and self._rounds:
            self.running = True
            self._turn()

    def _turn(self) -> None:
        rounds, room = self._rounds, AT_A_TIME
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
        self.running = False
        self._over()

    def _write(self, current: Round, stop: int) -> None:
        """Give the piece to the listeners up to this place."""
        group, piece, begin = current.group, current.piece, current.begin
        self.writing = current
        for place, sent in self._fanout.send(group.files[begin:stop], piece):
            listener = group.members[begin + place]
            if listener is not None:
                # Full, or broken, or not to be written to this way: its connection finds out which.
                listener.straight(piece[sent:])
        self.writing = None
        self._tally.parts_written += stop - begin
