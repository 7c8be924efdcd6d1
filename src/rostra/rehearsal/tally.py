"""What a crowd has seen, counted in bounded memory, so that many processes can add theirs together. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

GAP_S = 1.5
"""A listener who hears nothing new for longer has a gap: a player's store is empty by then."""


class Histogram:
    """Milliseconds, whole, up to two minutes; what is longer counts as two minutes, what is below zero as zero."""

    TOP_MS = 120_000
    __slots__ = ("_counts",)

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self._counts: dict[int, int] = dict(counts or {})

    def add(self, seconds: float) -> None:
        at = int(seconds * 1000)
        at = 0 if at < 0 else min(at, self.TOP_MS)
        self._counts[at] = self._counts.get(at, 0) + 1

    def merge(self, other: "Histogram") -> None:
        for at, count in other._counts.items():
            self._counts[at] = self._counts.get(at, 0) + count

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def above(self, limit_ms: float) -> int:
        return sum(count for at, count in self._counts.items() if at > limit_ms)

    def quantile_ms(self, share: float) -> int | None:
        """The smallest value that this share of all does not exceed; None when there are none."""
        total = self.total
        seen = 0
        for at in sorted(self._counts):
            seen += self._counts[at]
            if seen >= share * total:
                return at
        return None

    def summary(self) -> dict[str, int | None]:
        return {name: self.quantile_ms(share) for name, share in _QUANTILES.items()}

    def plain(self) -> dict[str, int]:
        return {str(at): count for at, count in self._counts.items()}

    @classmethod
    def of(cls, plain: dict[str, int]) -> Self:
        return cls({int(at): count for at, count in plain.items()})


_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "most": 1.0}


@dataclass(slots=True)
class Tally:
    """Of the listeners of one kind."""

    listeners: int = 0
    joined: int = 0
    """Have heard something."""
    inside: int = 0
    """Are connected and waiting for more, or being sent to."""
    answers: int = 0
    """Whole ones; of a stream, each arrival."""
    sounds: int = 0
    """Of the answers, those that brought sound."""
    bytes: int = 0
    gaps: int = 0
    with_gaps: int = 0
    """Listeners who had at least one."""
    longest_gap_s: float = 0.0
    late: int = 0
    """Sounds that came more than their own length after the moment at which they could have been there."""
    reconnects: int = 0
    ended: int = 0
    """Were told that the broadcast is over."""
    first_sound: Histogram = field(default_factory=Histogram)
    """From the moment at which the listener was to come."""
    lateness: Histogram = field(default_factory=Histogram)
    errors: Counter[str] = field(default_factory=Counter)

    def merge(self, other: "Tally") -> None:
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_gap_s = max(self.longest_gap_s, other.longest_gap_s)
        self.first_sound.merge(other.first_sound)
        self.lateness.merge(other.lateness)
        self.errors.update(other.errors)

    def brief(self) -> dict[str, int]:
        """For a line of progress."""
        return {
            "listeners": self.listeners, "joined": self.joined, "inside": self.inside, "gaps": self.gaps, "late": self.late,
            "errors": sum(self.errors.values()),
        }  # fmt: skip

    def plain(self) -> dict[str, Any]:
        """As JSON carries it from one process to another."""
        found = {name: getattr(self, name) for name in (*_SUMS, "longest_gap_s")}
        return {
            **found,
            "first_sound": self.first_sound.plain(),
            "lateness": self.lateness.plain(),
            "errors": dict(self.errors),
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        return cls(
            **{name: plain[name] for name in (*_SUMS, "longest_gap_s")},
            first_sound=Histogram.of(plain["first_sound"]),
            lateness=Histogram.of(plain["lateness"]),
            errors=Counter(plain["errors"]),
        )


_SUMS = (
    "listeners", "joined", "inside", "answers", "sounds", "bytes", "gaps", "with_gaps", "late", "reconnects", "ended",
)  # fmt: skip


@dataclass(slots=True)
class Effort:
    """What one process of the generator did, and whether it kept its own time."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    busiest: float = 0.0
    """Share of one core in the busiest five seconds."""
    steady_cpu_s: float = 0.0
    steady_answers: int = 0
    """Both from when the last listener had come."""
    joins_late: Histogram = field(default_factory=Histogram)
    """How long after the intended moment a listener set out."""
    lag: Histogram = field(default_factory=Histogram)
    """How late the loop came back to a timer set every tenth of a second."""

    def plain(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in _NUMBERS}, "joins_late": self.joins_late.plain(), "lag": self.lag.plain(),
        }  # fmt: skip

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        return cls(
            **{name: plain[name] for name in _NUMBERS},
            joins_late=Histogram.of(plain["joins_late"]),
            lag=Histogram.of(plain["lag"]),
        )


_NUMBERS = ("cpu_s", "wall_s", "busiest", "steady_cpu_s", "steady_answers")
BUSY_MOST = 0.80
JOINS_LATE_MOST_MS = 250
LAG_MOST_MS = 250


def why_void(efforts: list[Effort]) -> list[str]:
    """Sentences that say how the generator, not the server, was the limit. Empty: the figures are the server's."""
    reasons = []
    for at, one in enumerate(efforts, 1):
        if one.busiest > BUSY_MOST:
            reasons.append(
                f"Process {at} of the generator used {one.busiest:.0%} of a core in its busiest five seconds."
            )
        late_ms, lag_ms = one.joins_late.quantile_ms(0.99), one.lag.quantile_ms(0.99)
        if late_ms is not None and late_ms > JOINS_LATE_MOST_MS:
            reasons.append(f"Process {at} of the generator sent listeners off up to {late_ms} ms late (p99).")
        if lag_ms is not None and lag_ms > LAG_MOST_MS:
            reasons.append(f"Process {at} of the generator came back to its timers {lag_ms} ms late (p99).")
    return reasons


class Grid:
    """When each moment of the broadcast could first be heard, from when it was: the best offset seen so far.

    A part is made when its last sample was spoken, and the broadcast runs at the speed of time; so what the quickest part took is
    what each could have taken, and the rest of another's delay is lateness, even if all got that one late.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def due(self, end_s: float, now: float) -> float:
        """The moment at which sound that ends `end_s` into the broadcast was due; seen now for the first time."""
        offset = now - end_s
        if self._offset is None or offset < self._offset:
            self._offset = offset
        return self._offset + end_s


def summary(tallies: dict[str, Tally]) -> dict[str, Any]:
    """All kinds together, and each."""
    whole = Tally()
    for one in tallies.values():
        whole.merge(one)
    return {**_said(whole), "kinds": {kind: _said(one) for kind, one in tallies.items() if one.listeners}}


def _said(tally: Tally) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(tally, name) for name in _SUMS}
    found["longest_gap_s"] = round(tally.longest_gap_s, 2)
    found["first_sound_ms"] = tally.first_sound.summary()
    found["lateness_ms"] = tally.lateness.summary()
    found["errors"] = dict(tally.errors)
    return found
