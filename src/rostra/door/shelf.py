"""Prepared pages of the Spaces that people ask for."""

import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from rostra.door.answer import Answer
from rostra.door.pages import Pages
from rostra.door.view import beacon, state_json
from rostra.kernel.clock import Clock
from rostra.kernel.errors import RostraError
from rostra.kernel.ids import SpaceId
from rostra.kernel.settings import Settings
from rostra.space.space import Space
from rostra.timeline.ports import Library
from rostra.wire.http1 import Prepared

LOOK_EVERY_S: Final = 0.2
"""How soon a page follows a Space that changed."""
LOOK_ANYWAY_S: Final = 2.0
"""How soon it follows where the bell was not heard."""
RENEW_EVERY_S: Final = 1.0
"""How often at most it is made anew where only numbers moved, and how long a state.json stands."""


@dataclass(slots=True)
class _Kept:
    space: Space
    page: Answer
    page_at: float
    page_until_us: float
    state: Prepared
    state_at: float
    looked_at: float
    grown: bool = False


class Shelf:
    """Pages and states by Space, made when asked for and kept while nothing changes and no moment comes that a page hangs on.

    At most `most` Spaces; the one asked for longest ago goes first (`put_away` counts). Where the record cannot be read for
    a moment, what is kept goes on being served.
    """

    def __init__(self, library: Library, pages: Pages, settings: Settings, clock: Clock, most: int = 256) -> None:
        self._library, self._pages, self._clock = library, pages, clock
        self._sound_base, self._beacon = settings.sound_base, beacon(settings)
        self._most = most
        self._kept: OrderedDict[SpaceId, _Kept] = OrderedDict()
        self.rendered = 0
        self.put_away = 0

    def grew(self, space_id: SpaceId) -> None:
        """The record of this Space is longer than it was; whether anything in it concerns a page is seen when one is asked for."""
        kept = self._kept.get(space_id)
        if kept is not None:
            kept.grown = True

    def page(self, space_id: SpaceId) -> Answer:
        """Raises UnknownSpace; OSError or Damaged where the record cannot be read and nothing is kept."""
        kept = self._current(space_id)
        if self._clock.wall_us() >= kept.page_until_us:
            self._make(kept, self._clock.monotonic())
        return kept.page

    def state(self, space_id: SpaceId) -> Prepared:
        """Raises as `page`."""
        kept = self._current(space_id)
        now = self._clock.monotonic()
        if now - kept.state_at >= RENEW_EVERY_S:
            kept.state, kept.state_at = self._state(kept.space), now
        return kept.state

    def _current(self, space_id: SpaceId) -> _Kept:
        kept = self._kept.get(space_id)
        now = self._clock.monotonic()
        if kept is None:
            space = self._library.snapshot(space_id)
            kept = _Kept(space, *self._page(space, now), self._state(space), now, now)
            self._kept[space_id] = kept
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
                self.put_away += 1
            return kept
        self._kept.move_to_end(space_id)
        if now - kept.looked_at >= (LOOK_EVERY_S if kept.grown else LOOK_ANYWAY_S):
            self._look(space_id, kept, now)
        return kept

    def _look(self, space_id: SpaceId, kept: _Kept, now: float) -> None:
        try:
            space = self._library.snapshot(space_id)
        except (OSError, ValueError, RostraError):
            kept.looked_at = now
            return
        kept.looked_at = now
        if space == kept.space:
            kept.grown = False
            return
        if _still(space) == _still(kept.space) and now - kept.page_at < RENEW_EVERY_S:
            return
        kept.grown = False
        kept.space = space
        self._make(kept, now)
        kept.state, kept.state_at = self._state(space), now

    def _make(self, kept: _Kept, now: float) -> None:
        kept.page, kept.page_at, kept.page_until_us = self._page(kept.space, now)

    def _page(self, space: Space, now: float) -> tuple[Answer, float, float]:
        self.rendered += 1
        wall_us = self._clock.wall_us()
        return self._pages.space(space, wall_us), now, self._pages.fresh_until_us(space, wall_us)

    def _state(self, space: Space) -> Prepared:
        plain = state_json(space, self._clock.wall_us(), self._sound_base, self._beacon)
        headers = [
            ("Content-Type", "application/json"),
            ("Cache-Control", "public, max-age=1"),
            ("X-Content-Type-Options", "nosniff"),
            ("Access-Control-Allow-Origin", "*"),
        ]
        return Prepared(200, headers, json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode())


def _still(space: Space) -> Space:
    """The Space without the numbers that move all the time."""
    return replace(space, speaking=(), count=0, peak=0, unique=0, kinds={}, count_error=0.0, unique_error=0.0, seq=0)
