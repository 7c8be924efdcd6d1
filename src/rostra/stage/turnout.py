"""How many listen: the newest report of each edge, added up. Pure; times are monotonic seconds."""

from typing import Final

from rostra.space.events import Counted
from rostra.space.space import Space

STALE_S: Final = 30.0  # an edge that has not reported for this long has no listeners any more
EVERY_S: Final = 10.0
EVERY_ON_CHANGE_S: Final = 2.0
EDGES_MOST: Final = 256  # the one that has been quiet longest makes room


class Turnout:
    def __init__(self) -> None:
        self._reports: dict[str, tuple[int, str, float]] = {}
        self._told_at = float("-inf")

    def report(self, edge: str, count: int, method: str, now: float) -> None:
        self._reports.pop(edge, None)
        if len(self._reports) >= EDGES_MOST:
            del self._reports[next(iter(self._reports))]
        self._reports[edge] = (count, method, now)

    def now(self, now: float) -> int:
        return sum(count for count, _, at in self._reports.values() if now - at < STALE_S)

    def due(self, space: Space, now: float) -> Counted | None:
        """The event that should be on the record now: on a big change soon, on any change every EVERY_S."""
        count = self.now(now)
        change = abs(count - space.count)
        big = change >= 5 and change * 5 >= max(count, space.count)
        waited_s = now - self._told_at
        if not change or waited_s < (EVERY_ON_CHANGE_S if big else EVERY_S):
            return None
        self._told_at = now
        methods = sorted({method for _, method, at in self._reports.values() if now - at < STALE_S})
        return Counted(count, max(count, space.peak), ", ".join(methods) or space.count_method)
