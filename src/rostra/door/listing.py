"""What the home page lists: on the air now, next, past."""

import asyncio
from typing import Final

from rostra.door.answer import Answer
from rostra.door.pages import HOME_AGE_S, Pages
from rostra.door.view import overdue
from rostra.kernel.clock import Clock
from rostra.kernel.errors import RostraError
from rostra.kernel.ids import SpaceId
from rostra.space.space import Space
from rostra.space.states import BEFORE, ON_AIR, OVER
from rostra.timeline.ports import Library

SHOWN: Final = 20
"""Most Spaces under each heading."""
KNOWN_MOST: Final = 2000
"""Most Spaces kept in mind; of more, those longest over are forgotten first. Their own pages stay."""
_RENEW_EVERY_S: Final = 1.0
_LOOK_ANYWAY_S: Final = 10.0
"""How soon the list follows where the bell was not heard."""
_LOOKED_AT_ONCE: Final = 64
_PROMISE_HOLDS_US: Final = 24 * 3_600_000_000


class Listing:
    """Knows a Space's snapshot from when it was last listed; those that grew since are looked at again."""

    def __init__(self, library: Library, pages: Pages, clock: Clock) -> None:
        self._library, self._pages, self._clock = library, pages, clock
        self._spaces: dict[SpaceId, Space] = {}
        self._grown: dict[SpaceId, None] = {}
        self._seen: set[SpaceId] = set()
        self._looked_anyway_at = float("-inf")
        self._answer: Answer | None = None
        self._shown: list[list[Space]] = []  # on air, next, past
        self._overdue: list[bool] = []  # of those that come next
        self._looked_at = 0.0

    async def read(self) -> None:
        """Read what there is, a few files at a time, so that the loop goes on. Newly heard Spaces come by `grew`."""
        for number, space_id in enumerate(self._library.ids()):
            self._look(space_id)
            if number % _LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._looked_at = 0.0

    def grew(self, space_id: SpaceId) -> None:
        self._grown[space_id] = None

    def home(self) -> Answer:
        now = self._clock.monotonic()
        if self._answer is None or now - self._looked_at >= _RENEW_EVERY_S:
            self._looked_at = now
            self._look_anyway(now)
            for space_id in list(self._grown)[:_LOOKED_AT_ONCE]:
                del self._grown[space_id]
                self._look(space_id)
            shown = self._sorted()
            until_us = self._clock.wall_us() + int((_RENEW_EVERY_S + HOME_AGE_S) * 1e6)
            late = [overdue(one, until_us) for one in shown[1]]
            if self._answer is None or shown != self._shown or late != self._overdue:
                self._shown, self._overdue = shown, late
                self._answer = self._pages.home(*shown, until_us=until_us)
        return self._answer

    def _look_anyway(self, now: float) -> None:
        if now - self._looked_anyway_at < _LOOK_ANYWAY_S:
            return
        self._looked_anyway_at = now
        for space_id in set(self._library.ids()) - self._seen:
            self.grew(space_id)
        for one in self._shown[:2]:
            for space in one:
                self.grew(space.id)

    def _look(self, space_id: SpaceId) -> None:
        self._seen.add(space_id)
        try:
            self._spaces[space_id] = self._library.snapshot(space_id)
        except (OSError, ValueError, RostraError):
            return  # its own page says what is the matter; a list can do without it
        if len(self._spaces) > KNOWN_MOST:
            del self._spaces[min(self._spaces.values(), key=_importance).id]

    def _sorted(self) -> list[list[Space]]:
        wall_us = self._clock.wall_us()
        spaces = self._spaces.values()
        now = [one for one in spaces if one.state in ON_AIR]
        soon = [
            one
            for one in spaces
            if one.state in BEFORE and (one.starts_us or one.created_us) > wall_us - _PROMISE_HOLDS_US
        ]
        past = [one for one in spaces if one.state in OVER and one.live_since_us is not None]
        now.sort(key=lambda one: (-one.count, -(one.live_since_us or 0)))
        soon.sort(key=lambda one: (one.starts_us is None, one.starts_us or one.created_us))
        past.sort(key=lambda one: -(one.over_us or 0))
        return [now[:SHOWN], soon[:SHOWN], past[:SHOWN]]


def _importance(space: Space) -> tuple[bool, int]:
    return space.state not in OVER, space.over_us or space.starts_us or space.created_us
