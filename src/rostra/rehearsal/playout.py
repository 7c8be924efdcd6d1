"""What a listener's loudspeaker does: a play clock over the sound that has arrived. Pure; `now` is an argument.

It starts a little behind the newest sound, runs at the speed of time, stands still when it has nothing left (a gap that a
person hears), and goes on when sound comes. When more waits than a live player should hold (the sound of a long gap came
all at once), it jumps near the newest sound again; when a little more waits than it needs, it plays a little faster, as the web
player does, so that what a gap cost in latency is won back.
"""

from collections import deque
from dataclasses import dataclass

RATE = 48_000
_REST_S = 0.15
"""After a gap, wait this much longer before going on: parts come one at a time, and the next may be as late again."""

_PART_S = 0.5
_MARGIN_S = 0.26
"""Sound that should be left when the next part comes, on a good line."""
_MARGIN_MOST_S = 1.2
_MARGIN_AFTER_GAP_S = 0.2
_MARGIN_FORGOTTEN_S = 0.002
_ARRIVALS = 6
"""As many in a row must have come early before the clock runs faster."""
_FASTER, _MUCH_FASTER = 1.05, 1.1


@dataclass(frozen=True, slots=True)
class Span:
    """What came out of the loudspeaker: samples [start, start + length) of the broadcast, or nothing for that long."""

    start: int | None
    length: int


@dataclass(frozen=True, slots=True)
class Heard:
    """The first sample of an arrived stretch reached the ear at `at` (the clock of `now`)."""

    start: int
    at: float


class Playout:
    """Deals in samples at 48,000 a second.

    Args:
        behind_s: where to start: this far behind the end of what has arrived.
        jump_s: skip forward when more than this waits to be played. None: never skip, and start at the beginning (a replay).

    Attributes:
        started_at: when the first sample was played, or None.
        gaps: times the listener heard nothing because nothing was there.
        gap_s: their sum.
        longest_gap_s: the longest of them.
        skipped_s: sound that was never played because the player jumped, or because it never came.
        rate: how fast the clock runs; above 1 while it catches up.
    """

    def __init__(self, behind_s: float = 0.8, jump_s: float | None = 2.0) -> None:
        self.started_at: float | None = None
        self.gaps = 0
        self.gap_s = 0.0
        self.longest_gap_s = 0.0
        self.skipped_s = 0.0
        self.rate = 1.0
        self._least_margin_s = self._margin_s = max(_MARGIN_S, behind_s - _PART_S)
        self._slack_s: deque[float] = deque(maxlen=_ARRIVALS)
        self._behind = round(behind_s * RATE)
        self._jump = None if jump_s is None else round(jump_s * RATE)
        self._ready: deque[tuple[int, int]] = deque()
        self._position = 0
        self._clock = 0.0
        self._dry_since: float | None = None
        self._heard: list[Heard] = []

    @property
    def ahead_s(self) -> float:
        """Sound that waits to be played, seconds."""
        return sum(end - max(start, self._position) for start, end in self._ready) / RATE

    @property
    def position(self) -> int:
        return self._position

    def arrive(self, start: int, length: int, now: float) -> list[Span]:
        """A stretch is decoded and ready. Stretches come in order; one that overlaps what came before is cut."""
        spans = self.advance(now)
        newest = self._ready[-1][1] if self._ready else self._position
        if self.started_at is not None or self._ready:
            length -= max(0, newest - start)
            start = max(start, newest)
        if length <= 0:
            return spans
        if self.started_at is not None and self._jump is not None:
            self._pace(self.ahead_s)
        self._ready.append((start, start + length))
        if self._dry_since is not None:
            spans += self._go_on(now)
        elif self.started_at is not None and self._jump is not None and self.ahead_s * RATE > self._jump:
            self._skip_to(start + length - self._behind)
            self._drop()
            self._slack_s.clear()
            self._note(now)
        return spans

    def start(self, now: float) -> None:
        """Press play on what has arrived."""
        end = self._ready[-1][1]
        self._position = max(self._ready[0][0], end - self._behind) if self._jump is not None else self._ready[0][0]
        self._drop()
        self._clock = self.started_at = now
        self._note(now)

    def advance(self, now: float) -> list[Span]:
        """Let time pass: what came out since the last call."""
        spans: list[Span] = []
        if self.started_at is None:
            return spans
        while self._dry_since is None:
            due = round((now - self._clock) * RATE * self.rate)
            if due <= 0:
                break
            end = self._ready[0][1]
            length = min(due, end - self._position)
            spans.append(Span(self._position, length))
            self._position += length
            self._clock += length / RATE / self.rate
            if self._position < end:
                break
            self._ready.popleft()
            if self._ready:
                self._skip_to(self._ready[0][0])
                self._note(self._clock)
            else:
                self._dry_since = self._clock
                self.rate = 1.0
        return spans

    def finish(self, now: float, ended: bool = False) -> list[Span]:
        """The last of it. A drought that is still going on counts as a gap, unless the broadcast had simply ended."""
        spans = self.advance(now)
        if self._dry_since is not None and not ended and now - self._dry_since > 0.02:
            spans.append(self._count_gap(now))
        return spans

    def heard(self) -> list[Heard]:
        """The stretches whose first sample was played since the last call."""
        found, self._heard = self._heard, []
        return found

    def _pace(self, slack_s: float) -> None:
        """`slack_s`: what was left to play when this stretch came."""
        self._slack_s.append(slack_s)
        self._margin_s = max(self._least_margin_s, self._margin_s - _MARGIN_FORGOTTEN_S)
        least_s = min(self._slack_s) if len(self._slack_s) == _ARRIVALS else 0.0
        if self.rate > 1 and slack_s < self._margin_s + 0.04:
            self.rate = 1.0
        elif least_s > self._margin_s + 0.16:
            self.rate = _MUCH_FASTER if least_s > _MARGIN_MOST_S + self._least_margin_s else _FASTER

    def _go_on(self, now: float) -> list[Span]:
        assert self._dry_since is not None
        resume = max(now, self._dry_since) + _REST_S
        spans = [self._count_gap(resume)]
        self._dry_since, self._clock = None, resume
        # A line that did this once may do it again; forgotten within minutes.
        self._margin_s = min(_MARGIN_MOST_S + self._least_margin_s, self._margin_s + _MARGIN_AFTER_GAP_S)
        self._slack_s.clear()
        self._skip_to(self._ready[0][0])
        self._note(resume)
        return spans

    def _count_gap(self, now: float) -> Span:
        assert self._dry_since is not None
        length_s = now - self._dry_since
        self.gaps += 1
        self.gap_s += length_s
        self.longest_gap_s = max(self.longest_gap_s, length_s)
        return Span(None, round(length_s * RATE))

    def _skip_to(self, position: int) -> None:
        self.skipped_s += max(0, position - self._position) / RATE
        self._position = max(self._position, position)

    def _drop(self) -> None:
        while self._ready and self._ready[0][1] <= self._position:
            self._ready.popleft()

    def _note(self, at: float) -> None:
        self._heard.append(Heard(self._position, at))
