"""Spaces that do not exist, remembered for a moment, so that those who ask for what is not there do not reach upstream."""

from collections import OrderedDict

from rostra.kernel.ids import SpaceId

REMEMBERED_S = 5.0
REMEMBERED_MOST = 4096
FRESH_PER_S = 10.0
"""Questions upstream that may turn out to be for no Space; while more come, no Space is opened that is not open already."""
FRESH_AT_ONCE = 50.0


class Unknown:
    """Attributes:
    refused: counter: openings put off because too many asked for no Space.
    """

    def __init__(self, now: float) -> None:
        self.refused = 0
        self._until: OrderedDict[SpaceId, float] = OrderedDict()
        self._left = FRESH_AT_ONCE
        self._counted_at = now

    def holds(self, space_id: SpaceId, now: float) -> bool:
        return self._until.get(space_id, 0.0) > now

    def add(self, space_id: SpaceId, now: float) -> None:
        """Upstream knows of no such Space."""
        self._until[space_id] = now + REMEMBERED_S
        self._until.move_to_end(space_id)
        if len(self._until) > REMEMBERED_MOST:
            self._until.popitem(last=False)
        self._fill(now)
        self._left -= 1

    def may_ask(self, now: float) -> bool:
        self._fill(now)
        if self._left < 1:
            self.refused += 1
        return self._left >= 1

    def _fill(self, now: float) -> None:
        self._left = min(FRESH_AT_ONCE, self._left + (now - self._counted_at) * FRESH_PER_S)
        self._counted_at = now
