"""The timelines that this edge follows: opened when somebody asks, closed when nobody has asked for a while."""

import json
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakKeyDictionary

from rostra.edge import answers
from rostra.edge.count import Heard
from rostra.edge.follower import Follower, follow
from rostra.edge.hot import Hot
from rostra.edge.source import Source
from rostra.kernel.clock import Clock
from rostra.kernel.errors import Overloaded, RostraError, Unavailable, UnknownSpace
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.space.space import Space
from rostra.space.view import public
from rostra.wire.http1 import Prepared
from rostra.wire.server import Exchange

FOLLOWED_MOST = 256
"""Timelines open at once. For one more that exists, the one out of use for the longest is closed; if all are in use: 503."""
CLOSED_AFTER_TURNS = 6
"""Turns (of `sweep`) out of use before a timeline is closed."""
AWAY_LINE_EVERY_S = 10.0
STATE_S = 1
"""How long a state.json stands."""
WARM_BYTES = 64 * 1024 * 1024
"""Answers read from records, of all Spaces together; the oldest are dropped."""


class Shelf:
    """Attributes:
    followers: by Space; the one asked for the longest ago first, as far as `sweep` has noticed.
    hot: answers that can be written at once, by path.
    """

    def __init__(self, source: Source, clock: Clock, log: Log, window_s: float) -> None:
        self.followers: dict[SpaceId, Follower] = {}
        self.hot = Hot()
        self.warm = Warm(WARM_BYTES)
        self.opened = 0
        self.damaged = 0
        self._quiet_until = 0.0
        self._states: WeakKeyDictionary[Follower, tuple[float, Space, Prepared]] = WeakKeyDictionary()
        self._source = source
        self._clock = clock
        self._log = log
        self._window_s = window_s
        self._opening: dict[SpaceId, list[tuple[Exchange, Callable[[], None]]]] = {}

    def open(self, space_id: SpaceId, exchange: Exchange, again: Callable[[], None]) -> None:
        """Begin to follow, then call `again`; or answer why not. However many ask meanwhile, it is opened once."""
        if self._source.name and exchange.request.headers.get("rostra-edge") == self._source.name:
            exchange.send_prepared(answers.CIRCLE)
            return
        waiting = self._opening.get(space_id)
        if waiting is not None:
            waiting.append((exchange, again))
            return
        if len(self._opening) >= FOLLOWED_MOST - len(self.followers) + len(self._out_of_use()):
            exchange.send_prepared(answers.CROWDED)
            return
        self._opening[space_id] = [(exchange, again)]
        exchange.server.spawn(self._open(space_id))

    def heard(self, space_id: SpaceId) -> None:
        """The bell rang for this Space."""
        follower = self.followers.get(space_id)
        if follower is None:
            return
        try:
            follower.grow()
        except (RostraError, OSError, ValueError) as error:
            self._say_damaged(space_id, error)
            self._close(follower, answers.DAMAGED)

    def state(self, follower: Follower) -> Prepared:
        """`state.json` as another edge needs it; a listener's page asks the door."""
        now = self._clock.monotonic()
        made = self._states.get(follower)
        if made is None or made[1] != follower.space or now - made[0] >= STATE_S:
            said = json.dumps(public(follower.space, self._clock.wall_us()), ensure_ascii=False, separators=(",", ":"))
            answer = answers.text(said.encode(), "application/json", answers.fresh_for(STATE_S), zipped=False)
            made = self._states[follower] = now, follower.space, answer
        return made[2]

    def sweep(self) -> None:
        """One turn: close what nobody asks for."""
        now = self._clock.monotonic()
        for follower in list(self.followers.values()):
            follower.forget_the_gone()
            if follower.in_use(now):
                follower.rest()
                follower.idle_turns = 0
                self.followers[follower.space_id] = self.followers.pop(follower.space_id)
                continue
            follower.idle_turns += 1
            if follower.idle_turns >= CLOSED_AFTER_TURNS:
                self._close(follower, answers.CROWDED)

    def close(self) -> None:
        for follower in list(self.followers.values()):
            self._close(follower, answers.CROWDED)

    async def _open(self, space_id: SpaceId) -> None:
        why = answers.DAMAGED
        try:
            follower = await self._follow(space_id)
            if self._make_room():
                self.followers[space_id] = follower
                self.opened += 1
            else:
                follower.close(answers.CROWDED)
                why = answers.CROWDED
        except UnknownSpace:
            why = answers.NO_SPACE
        except Overloaded:
            why = answers.CROWDED
        except Unavailable as away:
            why = answers.AWAY
            self._say_away(space_id, away)
        except (RostraError, OSError, ValueError) as error:
            self._say_damaged(space_id, error)
        finally:
            # Cancelled too: nobody may be left waiting.
            opened = space_id in self.followers
            for exchange, again in self._opening.pop(space_id):
                if not opened:
                    exchange.send_prepared(why)
                elif not exchange.gone:
                    again()

    async def _follow(self, space_id: SpaceId) -> Follower:
        feed = await self._source.open(space_id)
        try:
            return await follow(feed, self._window_s, self.hot, self._clock.monotonic())
        except BaseException:
            feed.close()
            raise

    def _make_room(self) -> bool:
        """For a timeline that exists: who asks for what never was takes nobody's place."""
        if len(self.followers) < FOLLOWED_MOST:
            return True
        for follower in self._out_of_use():
            self._close(follower, answers.CROWDED)
            return True
        return False

    def _out_of_use(self) -> list[Follower]:
        """Those that may give way when all places are taken: nobody has used them for a whole turn, nor does now."""
        if len(self.followers) < FOLLOWED_MOST:
            return []
        now = self._clock.monotonic()
        return [one for one in self.followers.values() if one.idle_turns and not one.in_use(now)]

    def _close(self, follower: Follower, why: Prepared) -> None:
        del self.followers[follower.space_id]
        follower.close(why)

    def _say_away(self, space_id: SpaceId, away: Unavailable) -> None:
        """One line is enough for all who ask meanwhile."""
        now = self._clock.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + AWAY_LINE_EVERY_S
            self._log.warning("a Space cannot be had from upstream", space=space_id, why=str(away))

    def _say_damaged(self, space_id: SpaceId, error: Exception) -> None:
        self.damaged += 1
        self._log.error("a timeline cannot be followed", space=space_id, why=str(error))


class Warm:
    """Answers by path with where who asks is heard, the least recently asked dropped when they grow beyond `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: OrderedDict[str, tuple[Prepared, Heard, int]] = OrderedDict()
        self.bytes = 0
        self.dropped = 0

    def get(self, path: str) -> tuple[Prepared, Heard] | None:
        held = self._held.get(path)
        if held is None:
            return None
        self._held.move_to_end(path)
        return held[0], held[1]

    def put(self, path: str, answer: Prepared, ears: Heard, size_bytes: int) -> None:
        old = self._held.pop(path, None)
        if old is not None:
            self.bytes -= old[2]
        self._held[path] = (answer, ears, size_bytes)
        self.bytes += size_bytes
        while self.bytes > self._most:
            _, (_, _, size) = self._held.popitem(last=False)
            self.bytes -= size
            self.dropped += 1
