"""What the studio is shown: the whole state when it changes, the levels five times a second.

Each watcher holds only what is newest; one that reads slowly misses what lay between, never the latest.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from rostra.kernel.clock import Clock, iso
from rostra.kernel.errors import Overloaded
from rostra.kernel.ids import SeatId
from rostra.kernel.settings import Settings
from rostra.space.space import Seat, Space
from rostra.space.states import ON_AIR
from rostra.stage.room import Chair

WATCHERS_MOST: Final = 64  # one more is refused with 503
OF_A_SEAT_MOST: Final = 8  # one more closes the seat's oldest
PING_S: Final = 5.0
HEALTH_EVERY_S: Final = 1.0

_POOR_LOSS, _SHAKY_LOSS = 0.10, 0.03
_POOR_RTT_S, _SHAKY_RTT_S = 0.6, 0.3
_SHAKY_JITTER_S: Final = 0.03


class Watcher:
    """One studio page that looks on. `seat` is None for the operator."""

    def __init__(self, seat: SeatId | None) -> None:
        self.seat = seat
        self.sent = ""
        self._state: str | None = None
        self._levels: str | None = None
        self.closed = False
        self._news = asyncio.Event()

    def show_state(self, text: str) -> None:
        self._state = text
        self._news.set()

    def show_levels(self, text: str) -> None:
        self._levels = text
        self._news.set()

    def close(self) -> None:
        self.closed = True
        self._news.set()

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events until closed (WHATWG HTML 9.2)."""
        yield b": the studio\n\n"
        while not self.closed:
            try:
                await asyncio.wait_for(self._news.wait(), PING_S)
            except TimeoutError:
                yield b": ping\n\n"
                continue
            self._news.clear()
            state, self._state = self._state, None
            levels, self._levels = self._levels, None
            if state is not None:
                yield f"event: state\ndata: {state}\n\n".encode()
            if levels is not None:
                yield f"event: levels\ndata: {levels}\n\n".encode()


class Studio:
    """Of one Space. `show` often; it sends only what differs from what was sent."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.notices: dict[str, str] = {}
        self._settings, self._clock = settings, clock
        self._watchers: dict[Watcher, None] = {}  # oldest first
        self._health: dict[SeatId, dict[str, Any]] = {}
        self._health_at = float("-inf")

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def has_room(self, seat: SeatId | None) -> bool:
        return len(self._watchers) < WATCHERS_MOST or len(self._of(seat)) >= OF_A_SEAT_MOST

    def watch(self, seat: SeatId | None) -> tuple[Watcher, Callable[[], None]]:
        """A watcher, and the way to stop. No seat can take the room of all the others. Raises Overloaded."""
        if not self.has_room(seat):
            raise Overloaded("Too many studio pages are open on this Space. Close one and try again.", 5)
        for oldest in self._of(seat)[: 1 - OF_A_SEAT_MOST]:
            self._let_go(oldest)
        watcher = Watcher(seat)
        self._watchers[watcher] = None
        return watcher, lambda: self._watchers.pop(watcher, None)

    def show(
        self, space: Space, chairs: dict[SeatId, Chair], levels: dict[str, float], count: int, room_left_s: float | None
    ) -> None:
        """Levels to everybody; the state to those whose view of it has changed."""
        if not self._watchers:
            return
        now = self._clock.monotonic()
        if now - self._health_at >= HEALTH_EVERY_S or self._health.keys() != chairs.keys():
            self._health_at = now
            self._health = {seat: health(chair, now) for seat, chair in chairs.items()}
        shown = json.dumps({seat: round(level) for seat, level in levels.items()}, separators=(",", ":"))
        base = self._state(space, count, room_left_s)
        for watcher in self._watchers:
            seat = space.seats.get(watcher.seat) if watcher.seat else None
            you = {"seat": seat.seat, "role": seat.role} if seat else {"seat": None, "role": "operator"}
            self._tell(watcher, {**base, "you": you})
            watcher.show_levels(shown)

    def drop(self, seat: SeatId) -> None:
        """A seat was taken away, or its links are void: its pages see nothing more."""
        for watcher in self._of(seat):
            self._let_go(watcher)

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()
        self._watchers.clear()

    def _of(self, seat: SeatId | None) -> list[Watcher]:
        return [one for one in self._watchers if one.seat == seat]

    def _let_go(self, watcher: Watcher) -> None:
        watcher.close()
        self._watchers.pop(watcher, None)

    def _tell(self, watcher: Watcher, state: dict[str, Any]) -> None:
        text = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
        if text != watcher.sent:
            watcher.sent = text
            # The time is added last: it alone is no news.
            watcher.show_state(f'{text[:-1]},"now":"{iso(self._clock.wall_us())}"}}')

    def _state(self, space: Space, count: int, room_left_s: float | None) -> dict[str, Any]:
        return {
            "id": space.id,
            "title": space.title,
            "state": str(space.state),
            "reason": space.reason,
            "starts": None if space.starts_us is None else iso(space.starts_us),
            "live_since": None if space.live_since_us is None else iso(space.live_since_us),
            "ended": None if space.over_us is None else iso(space.over_us),
            "away_since": None if space.break_since_us is None else iso(space.break_since_us),
            "away_why": space.break_why,
            "auto_live": space.auto_live,
            "count": count if space.state in ON_AIR else space.count,
            "peak": space.peak,
            "room_left_s": None if room_left_s is None else int(room_left_s // 60 * 60),
            "notices": [{"code": code, "message": text} for code, text in self.notices.items()],
            "speaking": list(space.speaking),
            "seats": [self._seat(seat) for seat in space.sitting()],
            "page": f"{self._settings.door_base}/s/{space.id}",
        }

    def _seat(self, seat: Seat) -> dict[str, Any]:
        return {
            "seat": seat.seat,
            "name": seat.name,
            "role": seat.role,
            "on_stage": seat.on_stage,
            "via": seat.via,
            "muted": seat.muted,
            "muted_by": seat.muted_by,
            "unmute_asked": seat.unmute_asked,
            "connection": self._health.get(seat.seat),
        }


def health(chair: Chair, now: float) -> dict[str, Any]:
    """A connection in numbers, rounded so that it is no news when nothing has changed, and in words."""
    peer = chair.peer
    loss = max(peer.lost_share, peer.sending.lost_share if peer.sending else 0.0)
    rtt_s, jitter_s = peer.rtt_s, peer.reception.jitter_s
    if not chair.present(now):
        words = "no sound arrives"
    elif loss > _POOR_LOSS or (rtt_s or 0) > _POOR_RTT_S:
        words = "poor"
    elif loss > _SHAKY_LOSS or (rtt_s or 0) > _SHAKY_RTT_S or jitter_s > _SHAKY_JITTER_S:
        words = "shaky"
    else:
        words = "good"
    return {
        "loss_pct": round(loss * 100),
        "rtt_ms": None if rtt_s is None else round(rtt_s * 100) * 10 if rtt_s >= 0.01 else round(rtt_s * 1000),
        "jitter_ms": round(jitter_s * 1000),
        "words": words,
    }
