"""What every endpoint has at hand, and how it asks the store: in a thread, with a deadline."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from fastapi import Depends, Request

from rostra.control.stage import StageLine
from rostra.control.throttle import Throttle
from rostra.kernel.clock import Clock
from rostra.kernel.errors import Unavailable
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.store.ports import Store
from rostra.timeline.ports import Library

_P = ParamSpec("_P")
_T = TypeVar("_T")

READING_DEADLINE_S: Final = 8.0
"""Longer than the store itself waits for its turn."""
_THREADS: Final = 4
_SEAT_KEYS_MOST: Final = 1000


@dataclass(slots=True)
class Desk:
    """Made once per role; `close` when it stops. `own_metrics` gives this role's page."""

    settings: Settings
    library: Library
    store: Store
    clock: Clock
    log: Log
    key: str
    stage: StageLine
    own_metrics: Callable[[], str]
    throttle: Throttle = field(default_factory=Throttle)
    signed_in: "Counter[str]" = field(default_factory=Counter)
    seat_keys: "OrderedDict[tuple[str, SpaceId], str]" = field(default_factory=OrderedDict)
    """(account, Space) → the host's seat key last given out. Of more than a thousand the oldest is forgotten: a new one is made."""
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "control"))

    def keep_seat_key(self, at: tuple[str, SpaceId], key: str) -> None:
        self.seat_keys[at] = key
        self.seat_keys.move_to_end(at)
        if len(self.seat_keys) > _SEAT_KEYS_MOST:
            self.seat_keys.popitem(last=False)

    def forget_seat_keys(self, account: str) -> list[SpaceId]:
        """The Spaces in which this account was given a key of the host's seat since the last time this was asked."""
        given = [at for at in self.seat_keys if at[0] == account]
        for at in given:
            del self.seat_keys[at]
        return [space_id for _, space_id in given]

    async def read(self, ask: Callable[_P, _T], *args: _P.args, **named: _P.kwargs) -> _T:
        """`ask(…)` away from the loop: for the store and for files.

        Raises:
            Unavailable: no answer in time; a change may still come to pass.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READING_DEADLINE_S):
                return await loop.run_in_executor(self._threads, lambda: ask(*args, **named))
        except TimeoutError:
            raise Unavailable("The disk did not answer in time. Try again in a moment.", 2) from None

    def now_us(self) -> int:
        return self.clock.wall_us()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _desk(request: Request) -> Any:
    return request.app.state.desk


AtDesk = Annotated[Desk, Depends(_desk)]
