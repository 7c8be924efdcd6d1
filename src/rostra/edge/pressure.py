"""How hard pressed an edge is, and what it leaves out for that. Pure: what was measured and when go in, a change comes out.

Each step leaves out more than the one before it; none takes anything from who listens already:

    1  listeners are counted, and the stage told, more rarely
    2  newcomers get parts of twice the length: half the requests, up to half a second later
    3  newcomers of HLS begin with the low bit rate

A step is taken when any of three signals has stood at its mark for RISE_S, and taken back when all have stood below their lower
mark for EASE_S; one step at a time, STEP_S apart, so that each is told and stands on the record. How long a signal has stood
does not depend on the step, and EASE_S is longer than STEP_S: so of two edges the harder pressed one never thins less.
"""

from dataclasses import dataclass
from typing import Final

MOST: Final = 3
RISE_S: Final = 3.0
EASE_S: Final = 20.0
STEP_S: Final = 2.5
FEW: Final = 200
"""With fewer connections there is nothing to spare: what presses then is not the crowd."""

RARER_FROM: Final = 1
RARER: Final = 5
"""Counts are told this many times more rarely."""
WIDE_FROM: Final = 2
LOW_FROM: Final = 3


@dataclass(frozen=True, slots=True)
class Signals:
    """What was measured since the last look.

    Attributes:
        busy: share of the time that the process computed or waited for a core; at 1.0 its loop has no time left.
        late_s: how much later than asked the loop came round, on average.
        full: open connections as a share of those allowed.
        connections: open ones.
    """

    busy: float
    late_s: float
    full: float
    connections: int


@dataclass(frozen=True, slots=True)
class Change:
    """`why` in words, for the record and the log."""

    step: int
    why: str


@dataclass(frozen=True, slots=True)
class _Mark:
    busy: float
    late_s: float
    full: float

    def reached(self, signals: Signals) -> str:
        if signals.connections < FEW:
            return ""
        if signals.busy >= self.busy:
            return "the processor is busy"
        if signals.late_s >= self.late_s:
            return "answers come late"
        return "connections run out" if signals.full >= self.full else ""


_RISE: Final = (_Mark(0.60, 0.10, 0.70), _Mark(0.75, 0.20, 0.80), _Mark(0.88, 0.35, 0.90))
_EASE: Final = (_Mark(0.45, 0.04, 0.60), _Mark(0.60, 0.10, 0.70), _Mark(0.75, 0.20, 0.80))


@dataclass(frozen=True, slots=True)
class Patience:
    rise_s: float = RISE_S
    ease_s: float = EASE_S
    step_s: float = STEP_S


class Pressure:
    """Attributes:
    step: from 0 (nothing is left out) to MOST.
    why: what made it the step it is; "" at 0.
    """

    def __init__(self, now: float, patience: Patience = Patience()) -> None:  # noqa: B008 - it is frozen
        self.step = 0
        self.why = ""
        self._patience = patience
        self._changed_at = float("-inf")
        self._high_since: list[float | None] = [None] * MOST
        self._low_since: list[float | None] = [now] * MOST

    def look(self, signals: Signals, now: float) -> Change | None:
        """Judge what was measured up to `now`; the change of step that follows, if one does."""
        reached = [mark.reached(signals) for mark in _RISE]
        for at in range(MOST):
            self._high_since[at] = _since(self._high_since[at], bool(reached[at]), now)
            self._low_since[at] = _since(self._low_since[at], not _EASE[at].reached(signals), now)
        if now - self._changed_at < self._patience.step_s:
            return None
        if self.step < MOST and _stood(self._high_since[self.step], now, self._patience.rise_s):
            self.step, self.why, self._changed_at = self.step + 1, reached[self.step], now
            return Change(self.step, self.why)
        if self.step and _stood(self._low_since[self.step - 1], now, self._patience.ease_s):
            self.step, self._changed_at = self.step - 1, now
            self.why = self.why if self.step else ""
            return Change(self.step, "the pressure eased")
        return None


def _since(since: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if since is None else since


def _stood(since: float | None, now: float, long_s: float) -> bool:
    return since is not None and now - since >= long_s
