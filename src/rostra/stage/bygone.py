"""The studios of Spaces that are over. They show how it ended, and need neither a loop nor the record opened for writing."""

from collections.abc import AsyncIterator
from typing import Final

from rostra.kernel.clock import Clock
from rostra.kernel.errors import Overloaded
from rostra.kernel.ids import SeatId, SpaceId
from rostra.kernel.settings import Settings
from rostra.space.space import Space
from rostra.stage.studio import Studio

STUDIOS_MOST: Final = 1000  # that somebody looks at; one more is refused with 503


class Bygone:
    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._studios: dict[SpaceId, Studio] = {}

    def check_room(self, space_id: SpaceId, seat: SeatId | None) -> None:
        """Raises Overloaded."""
        studio = self._studios.get(space_id)
        if not studio.has_room(seat) if studio else len(self._studios) >= STUDIOS_MOST:
            raise Overloaded("Too many studio pages are open. Close one and try again.", 10)

    async def watch(self, space: Space, seat: SeatId | None) -> AsyncIterator[bytes]:
        """What a studio page is told (see studio.Watcher). Raises Overloaded."""
        self.check_room(space.id, seat)
        studio = self._studios.setdefault(space.id, Studio(self._settings, self._clock))
        watcher, stop = studio.watch(seat)
        studio.show(space, {}, {}, space.count, None)
        try:
            async for event in watcher.events():
                yield event
        finally:
            stop()
            if not studio.watchers and self._studios.get(space.id) is studio:
                del self._studios[space.id]

    def changed(self, space_id: SpaceId) -> None:
        """Its pages ask again."""
        studio = self._studios.pop(space_id, None)
        if studio is not None:
            studio.close()

    def close(self) -> None:
        for space_id in list(self._studios):
            self.changed(space_id)
