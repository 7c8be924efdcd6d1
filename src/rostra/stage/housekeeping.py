"""What a Space's stage notices by itself: who is heard, that nobody is, how much disk is left, that it is time to end.

It only says what should follow; the owner of the Space does it. Times are monotonic seconds, so that a wall clock which
jumps ends nothing.
"""

from collections.abc import Callable
from typing import Final

from rostra.kernel.clock import Clock
from rostra.kernel.ids import SeatId
from rostra.kernel.settings import Settings
from rostra.sound.renditions import SHAPES
from rostra.space import commands as c
from rostra.space import events as e
from rostra.space.space import Space
from rostra.space.states import ON_AIR, State
from rostra.stage.room import Room, Tick
from rostra.stage.sessions import Sessions
from rostra.stage.turnout import Turnout
from rostra.timeline.ports import Writer

AWAY_AFTER_S: Final = 1.6  # after the half second in which a voice counts as there
SPEAKING_EVERY_S: Final = 0.4
DISK_EVERY_S: Final = 5.0
DISK_LOW_MINUTES: Final = 30
DISK_FINE_MINUTES: Final = 45
BYTES_PER_S: Final = sum(shape.average_bps for shape in SHAPES.values()) / 8 + 1000  # and frames, events, index


class House:
    def __init__(self, settings: Settings, clock: Clock, room: Room, sessions: Sessions, turnout: Turnout) -> None:
        self.room_left_s: float | None = None
        self._settings, self._clock, self._room, self._sessions, self._turnout = (
            settings,
            clock,
            room,
            sessions,
            turnout,
        )
        self._present_at = clock.monotonic()
        self._present = False
        self._heard: tuple[SeatId, ...] = ()
        self._speaking: tuple[SeatId, ...] = ()
        self._speaking_told_at = float("-inf")
        self._away_since: float | None = None
        self._restarted = False
        self._disk_at = float("-inf")
        self._refusals: dict[type[c.Command], str] = {}

    def ticked(self, tick: Tick, now: float) -> None:
        """Note what the room has just heard. Called every 20 ms."""
        self._present, self._heard = tick.present, tick.heard
        self._speaking = tick.speaking
        if tick.present:
            self._present_at = now
            self._restarted = False

    def went_live(self) -> None:
        self._present_at = self._clock.monotonic()

    def taken_up(self, space: Space) -> e.Event | None:
        """After a restart of the process: the end, if the stage has been empty too long, else nothing."""
        self._restarted = True
        if space.state is State.BREAK and space.break_since_us is not None:
            away_s = max(0, self._clock.wall_us() - space.break_since_us) / 1e6
            self._away_since = self._clock.monotonic() - away_s
            if away_s > self._settings.end_after_away_minutes * 60:
                return e.Ended("system", self._overdue())
        return None

    def reserve(self, writer: Writer) -> None:
        writer.reserve(round(self._settings.reserve_minutes * 60 * BYTES_PER_S))

    def commands(self, space: Space) -> list[tuple[c.Command, c.Actor]]:
        """What the stage asks of the Space now."""
        now = self._clock.monotonic()
        if space.state is State.OPEN and space.auto_live:
            for seat in self._heard:
                chair, held = self._room.chairs.get(seat), space.seats.get(seat)
                if chair is not None and chair.via == "whip" and held is not None and held.role == "host":
                    return [(c.GoLive(), c.Actor("seat", seat))]
        if space.state is State.LIVE:
            self._away_since = None
            if now - self._present_at > AWAY_AFTER_S:
                return [(c.StageAway(self._why_away()), c.SYSTEM)]
        if space.state is State.BREAK:
            if self._present:
                return [(c.StageBack(), c.SYSTEM)]
            self._away_since = now if self._away_since is None else self._away_since
            if now - self._away_since > self._settings.end_after_away_minutes * 60:
                return [(c.End(self._overdue()), c.SYSTEM)]
        return []

    def events(self, space: Space, writer: Writer) -> list[e.Event]:
        """What should be put on the record now."""
        if space.state not in ON_AIR:
            return []
        now = self._clock.monotonic()
        due: list[e.Event] = []
        if self._speaking != space.speaking and now - self._speaking_told_at >= SPEAKING_EVERY_S:
            self._speaking_told_at = now
            due.append(e.Speaking(self._speaking))
        counted = self._turnout.due(space, now)
        if counted is not None:
            due.append(counted)
        due += self._turnout.thinned(space, now)
        if now - self._disk_at >= DISK_EVERY_S:
            self._disk_at = now
            due += self._disk(space, writer)
        return due

    def notices(self, tell: Callable[[str, str | None], None]) -> None:
        low = self.room_left_s is not None and self.room_left_s < DISK_LOW_MINUTES * 60
        if low and self.room_left_s is not None:
            minutes = int(self.room_left_s // 60)
            tell("disk-low", f"The disk has room for about {minutes} more minutes of this broadcast. Free some space.")
        elif self.room_left_s is not None and self.room_left_s > DISK_FINE_MINUTES * 60:
            tell("disk-low", None)

    def refused(self, command: c.Command, why: str, tell: Callable[[str, str | None], None]) -> None:
        if self._refusals.get(type(command)) != why:
            self._refusals[type(command)] = why
            tell(f"could-not-{type(command).__name__.lower()}", why)

    def done(self, command: c.Command, tell: Callable[[str, str | None], None]) -> None:
        if self._refusals.pop(type(command), None):
            tell(f"could-not-{type(command).__name__.lower()}", None)

    def _disk(self, space: Space, writer: Writer) -> list[e.Event]:
        self.room_left_s = writer.room().seconds(BYTES_PER_S)
        minutes, told = int(self.room_left_s // 60), space.disk_low_minutes
        if minutes < DISK_LOW_MINUTES and (told is None or minutes <= told // 2 < told):
            return [e.DiskLow(minutes)]
        if told is not None and minutes > DISK_FINE_MINUTES:
            return [e.DiskFine()]
        return []

    def _why_away(self) -> str:
        if self._restarted:
            return "restart"
        return "connection lost" if self._room.chairs else "all left"

    def _overdue(self) -> str:
        return f"Nobody was on the stage for {self._settings.end_after_away_minutes} minutes."
