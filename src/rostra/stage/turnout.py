"""How many listen: the newest report of each edge, merged. Pure; times are monotonic seconds.

Now is the sum over the edges, less those seen by several of them. Unique is the union of all sketches ever told. A peak is
a number that stood for HOLDS_S: whoever reconnects elsewhere after an edge dies may count twice for a moment, and a
moment makes no peak.
"""

import math
from collections import deque
from typing import Final

from rostra.kernel.sketch import Sketch, overlaps
from rostra.space.count import EDGE, KINDS, Report, Tally, method_in_words, sampling_error
from rostra.space.events import Counted, Thinned
from rostra.space.space import Space

MISSED: Final = 3
"""Reports that an edge may leave out before its listeners count as gone."""
EVERY_S: Final = 10.0
EVERY_ON_CHANGE_S: Final = 2.0
HOLDS_S: Final = 15.0
SILENT_S: Final = 60.0
EDGES_MOST: Final = 256  # the one that has been quiet longest makes room

_SAMPLE_S: Final = 1.0


class Turnout:
    """Attributes:
    key: what the edges mark with: the first one's, so that it lives as long as any of us that knows the Space, in memory only.
    """

    def __init__(self, method: str = EDGE) -> None:
        """`method`: reports made otherwise are not listened to; two methods are never added.

        Nor are reports whose marks were made with another key than the others': whoever hears so marks anew and tells again.
        """
        self.key = b""
        self._method = method
        self._reports: dict[str, tuple[Report, float]] = {}
        self._seen = Sketch()
        self._heard_all: set[str] = set()
        self._one_in = 1
        self._samples: deque[tuple[float, int]] = deque()
        self._peak = 0
        self._tally, self._stale_at = Tally(method=method_in_words(method, 1)), float("inf")
        self._told_at = float("-inf")
        self._began: float | None = None

    def report(self, report: Report, now: float) -> None:
        if report.method != self._method or (self.key and report.key and report.key != self.key):
            return
        self.key = self.key or report.key
        self._reports.pop(report.edge, None)
        if len(self._reports) >= EDGES_MOST:
            del self._reports[next(iter(self._reports))]
        self._reports[report.edge] = report, now
        self._one_in = report.one_in
        if report.unique is not None and report.key == self.key:
            self._seen.merge(report.unique)
            self._heard_all.add(report.edge)
        self._merge(now)

    def wants_all(self, report: Report) -> bool:
        """The edge tells only what is new, and has told somebody before us."""
        return report.now > 0 and report.method == self._method and report.edge not in self._heard_all

    def now(self, now: float) -> int:
        return self.tally(now).now

    def tally(self, now: float) -> Tally:
        if now >= self._stale_at:
            self._merge(now)
        return self._tally

    def due(self, space: Space, now: float) -> Counted | None:
        """The event that should be on the record now: on a big change soon, on any change every EVERY_S."""
        tally = self.tally(now)
        self._watch(tally.now, now)
        change = abs(tally.now - space.count)
        big = change >= 5 and change * 5 >= max(tally.now, space.count)
        waited_s = now - self._told_at
        if waited_s < (EVERY_ON_CHANGE_S if big else EVERY_S):
            return None
        return self._counted(space, now)

    def last(self, space: Space, now: float) -> Counted | None:
        """The event that closes the count, before the end."""
        if not max(space.peak, self._peak) and self._samples:
            self._peak = max(one for _, one in self._samples)  # too short for anything to have stood
        return self._counted(space, now)

    def thinned(self, space: Space, now: float) -> list[Thinned]:
        """The events that should be on the record now, so that it says what each edge leaves out."""
        self._began = now if self._began is None else self._began
        here = {report.edge: report for report, at in self._reports.values() if now < _stale_at(report, at)}
        due = [
            Thinned(edge, report.step, report.why)
            for edge, report in here.items()
            if report.step != space.thinned.get(edge, 0)
        ]
        if now - self._began > SILENT_S:  # since the stage came back every edge has had its turn to report
            due += [Thinned(edge, 0, "it is not heard of any more") for edge in space.thinned if edge not in here]
        return due

    def _counted(self, space: Space, now: float) -> Counted | None:
        """None where it would say nothing new."""
        tally = self.tally(now)
        peak, unique = max(space.peak, self._peak), max(space.unique, tally.unique)
        if (tally.now, tally.kinds, peak, unique) == (space.count, space.kinds, space.peak, space.unique):
            return None
        self._told_at = now
        return Counted(
            tally.now, peak, tally.method, unique, tally.kinds, round(tally.error, 4), round(tally.unique_error, 4)
        )

    def _watch(self, count: int, now: float) -> None:
        """The peak is the highest of all lows of HOLDS_S."""
        samples = self._samples
        if samples and now - samples[-1][0] < _SAMPLE_S:
            return
        while len(samples) > 1 and samples[1][0] <= now - HOLDS_S:
            samples.popleft()
        samples.append((now, count))
        if now - samples[0][0] >= HOLDS_S:
            self._peak = max(self._peak, min(one for _, one in samples))

    def _merge(self, now: float) -> None:
        here: list[Report] = []
        self._stale_at = float("inf")
        for report, at in self._reports.values():
            until = _stale_at(report, at)
            if now < until:
                here.append(report)
                self._stale_at = min(self._stale_at, until)
        kinds: dict[str, int] = {}
        for report in here:
            for kind, count in report.kinds.items():
                kinds[kind] = kinds.get(kind, 0) + count
        named = [(kind, one.named[kind]) for kind in KINDS for one in here if kind in one.named and one.key == self.key]
        twice, twice_error = overlaps([sample for _, sample in named])
        for (kind, _), off in zip(named, twice, strict=True):
            kinds[kind] = max(0, kinds[kind] - off * self._one_in)
        count = sum(kinds.values())
        unique = self._seen.estimate() * self._one_in
        self._tally = Tally(
            now=count,
            unique=unique,
            kinds={kind: kinds[kind] for kind in sorted(kinds) if kinds[kind]},
            method=method_in_words(self._method, self._one_in),
            error=math.hypot(sampling_error(count, self._one_in), twice_error * self._one_in / count if count else 0.0),
            unique_error=math.hypot(self._seen.error, sampling_error(unique, self._one_in)),
        )


def _stale_at(report: Report, at: float) -> float:
    return at + MISSED * report.every_s + 1
