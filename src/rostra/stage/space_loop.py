"""One task owns one Space: every change to it passes through its inbox, one after the other.

    HTTP ──ask──▶ inbox ──decide──▶ append ──▶ effects
    _keep_time: every 20 ms the room's sound, never waiting for disk or people
    _keep_house: every 200 ms, through the inbox: who came, who went, who speaks, what is due

If any of the three fails, the Space's stage is taken down and begun anew from its record; no other Space notices.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rostra.kernel.clock import Clock, iso
from rostra.kernel.errors import Overloaded, PeerError, Refused, RostraError, Unavailable
from rostra.kernel.ids import SeatId, SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.sound import jitter
from rostra.space import commands as c
from rostra.space import events as e
from rostra.space.space import Space
from rostra.space.states import ON_AIR, STAGE_UP, State
from rostra.stage import sdp
from rostra.stage.beat import TICK_S, Beat
from rostra.stage.housekeeping import House
from rostra.stage.inbox import Inbox
from rostra.stage.ports import Broadcasting, MixSink
from rostra.stage.room import Room
from rostra.stage.session import Session, Via
from rostra.stage.sessions import Sessions
from rostra.stage.studio import Studio
from rostra.stage.turnout import Turnout
from rostra.timeline.ports import Writer

RETURNS_LATE_S: Final = 0.1  # sound older than this is not sent to speakers any more
SOCKET_TURNS: Final = 3
HOUSE_EVERY_S: Final = 0.2
IDLE_CLOSE_S: Final = 30.0  # a Space whose stage is down and that nobody watches is let go


@dataclass(slots=True)
class Counters:
    """Over all Spaces of the process."""

    ticks: int = 0
    ticks_skipped: int = 0
    sessions: int = 0
    sessions_failed: int = 0
    restarts: int = 0
    commands: int = 0
    refused: int = 0
    packets_of_gone: jitter.Counters = field(default_factory=jitter.Counters)


class SpaceLoop:
    """`run` it as a task; ask of it through the other methods, from anywhere on the same loop."""

    def __init__(
        self,
        writer: Writer,
        *,
        settings: Settings,
        clock: Clock,
        log: Log,
        broadcasting: Broadcasting,
        admit: Callable[[SpaceId], None],
        counters: Counters,
    ) -> None:
        """`admit` raises Overloaded where no further Space may have its stage up."""
        self.id = writer.space_id
        self._writer, self._settings, self._clock = writer, settings, clock
        self._log = log.bind(space=self.id)
        self._broadcasting, self._admit, self._counters = broadcasting, admit, counters
        self._room = Room(self._log)
        self.sessions = Sessions(self._room, settings, clock, self._log, self._nudge)
        self.studio = Studio(settings, clock)
        self.turnout = Turnout(settings.count_by)
        self._house = House(settings, clock, self._room, self.sessions, self.turnout)
        self._programme: MixSink | None = None
        self._inbox = Inbox("The stage of this Space")
        self._stop = asyncio.Event()
        self._news = asyncio.Event()
        self._idle_since = clock.monotonic()

    @property
    def space(self) -> Space:
        return self._writer.space

    @property
    def open(self) -> bool:
        """Whether it still takes requests."""
        return self._inbox.open

    @property
    def stage_up(self) -> bool:
        return self.space.state in STAGE_UP

    async def command(self, command: c.Command, actor: c.Actor) -> list[e.Event]:
        """The events that followed. Raises what `decide` raises, and DiskFull, Overloaded, Unavailable."""
        return await self._inbox.ask(lambda: self._command(command, actor))

    async def offer(self, seat: SeatId, text: str, via: Via) -> tuple[Session, str]:
        """Answer a speaker's offer: the session, and the SDP answer.

        Raises:
            PeerError: not a usable offer. Refused: not now. Overloaded, Unavailable.
        """
        offer = sdp.parse_offer(text, returns=via.returns)
        await self._inbox.ask(lambda: self._welcome(seat, via))
        session = self.sessions.begin(seat, via, offer)
        try:
            answer = await session.chair.peer.answer(offer, returns=via.returns)
            await self._inbox.ask(lambda: self._add(session))
        except BaseException:
            self.sessions.let_go(session, "not admitted")
            raise
        return session, answer

    async def hang_up(self, session: Session) -> None:
        """The speaker ends his session; when this returns the record says so."""
        session.why = session.why or "left"
        await self._inbox.ask(self._keep_record_of_sessions)

    def stop(self) -> None:
        """Go off duty; the Space stays as it is on the record, and is taken up again by the next process."""
        self._stop.set()

    async def run(self) -> None:
        """Until the Space needs no stage any more, or `stop`. Everything it opened is closed when it returns."""
        try:
            await self._recover()
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._inbox.serve(), name=f"space {self.id}")
                keeping = tasks.create_task(self._keep_time(), name=f"room {self.id}")
                await self._keep_house()
                serving.cancel()
                keeping.cancel()
        finally:
            await self._release()

    # The owner

    async def _command(self, command: c.Command, actor: c.Actor) -> list[e.Event]:
        self._counters.commands += 1
        now_us = self._clock.wall_us()
        try:
            events = c.decide(self.space, command, actor, now_us, seats_most=self._settings.speakers_most)
        except PeerError:
            self._counters.refused += 1
            raise
        if any(isinstance(event, e.Opened | e.WentLive) for event in events):
            self._admit(self.id)
        for event in events:
            await self._append(event)
        return events

    async def _append(self, event: e.Event) -> None:
        if isinstance(event, e.Ended):
            await self._stop_programme()  # the end comes after the last sound
            counted = self.turnout.last(self.space, self._clock.monotonic())
            if counted is not None:
                await self._writer.append_event(counted)
        await self._writer.append_event(event)
        if not isinstance(event, e.Speaking | e.Counted):
            self._log.info(
                "event", type=event.type, by=getattr(event, "by", "system"), seat=getattr(event, "seat", None)
            )
        match event:
            case e.Opened():
                self._house.reserve(self._writer)
            case e.WentLive():
                self._house.went_live()
                await self._keep_programme()
            case e.SeatRemoved() | e.LinkRenewed(keep_old=False):
                self.sessions.let_go_all("removed", event.seat)
                self.studio.drop(event.seat)
            case e.Ended() | e.Cancelled():
                self.sessions.let_go_all("ended")
            case _:
                pass
        self._show()

    async def _welcome(self, seat: SeatId, via: Via) -> None:
        """Raises Refused where this seat may not be taken now. An encoder of the host opens the Space that is due."""
        held, state = self.space.seats.get(seat), self.space.state
        if via is Via.WHIP and held is not None and held.role == "host" and state in (State.SCHEDULED, State.DELAYED):
            early, starts_us = self._settings.open_early_minutes, self.space.starts_us
            if starts_us is not None and starts_us - self._clock.wall_us() > early * 60_000_000:
                raise Refused(
                    f"This Space starts at {iso(starts_us)}. An encoder may connect from {early} minutes before."
                    " To let it in now, open the Space by hand.",
                    "too-early",
                )
            await self._command(c.Open(), c.Actor("seat", seat))
        c.decide(self.space, c.Join(seat, via.value), c.SYSTEM, self._clock.wall_us())

    async def _add(self, session: Session) -> None:
        c.decide(self.space, c.Join(session.seat, session.via.value), c.SYSTEM, self._clock.wall_us())
        self.sessions.add(session)

    async def _recover(self) -> None:
        """Take up a Space whose stage was up when its process ended."""
        if not self.stage_up:
            return
        self._house.reserve(self._writer)
        over = self._house.taken_up(self.space)
        if over is not None:
            await self._append(over)
            return
        await self._keep_programme()
        filled_s = self._programme.filled_s if self._programme else 0.0
        await self._try(e.StageRestarted(filled_s, self._writer.cut_bytes))
        self._log.info("the stage was taken up again", state=str(self.space.state), filled_s=filled_s)

    # The sound

    async def _keep_time(self) -> None:
        """Twenty milliseconds at a time, as the beat says."""
        beat = Beat(self._clock.monotonic())
        while True:
            if not self.stage_up:
                self._news.clear()
                await self._news.wait()
                beat = Beat(self._clock.monotonic())
                continue
            now = self._clock.monotonic()
            wait_s = beat.wait_s(now)
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            if beat.stalled(now):
                for _ in range(SOCKET_TURNS):  # what arrived meanwhile is read first, and known to have waited for us
                    await asyncio.sleep(0)
            left_out = beat.begin(now)
            if left_out:
                self._leave_out(left_out)
            self._room.pulse.at = beat.due
            self._tick(beat.due, now - beat.due)
            beat.end()
            if beat.catching_up:
                await asyncio.sleep(0)  # nor may it keep packets and people waiting

    def _tick(self, due: float, late_s: float) -> None:
        self._counters.ticks += 1
        muted = frozenset(seat.seat for seat in self.space.seats.values() if seat.muted)
        tick = self._room.tick(due, muted, returns=late_s < RETURNS_LATE_S)
        self._house.ticked(tick, due)
        if self._programme is not None:
            at_us = self._clock.wall_us() - round((late_s + TICK_S) * 1e6)
            self._programme.push(tick.frame, at_us=at_us, away=not tick.present)

    def _leave_out(self, ticks: int) -> None:
        self._counters.ticks_skipped += ticks
        self._room.skip(ticks)
        if self._programme is not None:
            self._programme.skip(ticks)

    async def _keep_programme(self) -> None:
        """A Space on the air has a programme; where the disk refused it, this tries again."""
        if self.space.state not in ON_AIR or self._programme is not None:
            return
        try:
            self._programme = await self._broadcasting.start(self._writer, self._tell)
        except RostraError as refusal:
            self._tell("no-broadcast", f"The broadcast could not begin: {refusal}")
        else:
            self._tell("no-broadcast", None)

    async def _stop_programme(self) -> None:
        programme, self._programme = self._programme, None
        if programme is not None:
            await programme.close()

    # The house

    async def _keep_house(self) -> None:
        while not self._stop.is_set():
            try:
                await self._inbox.ask(self._look_round)
            except (Overloaded, Unavailable) as busy:
                self._log.warning("housekeeping waits", why=str(busy))
            if self._idle():
                return
            try:
                async with asyncio.timeout(HOUSE_EVERY_S):
                    await self._stop.wait()
            except TimeoutError:
                pass

    async def _look_round(self) -> None:
        await self._keep_record_of_sessions()
        await self._keep_programme()
        for command, actor in self._house.commands(self.space):
            await self._try_command(command, actor)
        for event in self._house.events(self.space, self._writer):
            await self._try(event)
        self._house.notices(self._tell)
        self._show()

    async def _keep_record_of_sessions(self) -> None:
        self.sessions.look()
        for session in self.sessions.unrecorded():
            if await self._try_command(c.Join(session.seat, session.via.value), c.SYSTEM):
                session.joined = True
        for seat in self.space.sitting():
            if seat.on_stage and seat.seat not in self._room.chairs:
                await self._try_command(c.Leave(seat.seat, self.sessions.why_left(seat.seat)), c.SYSTEM)

    async def _try_command(self, command: c.Command, actor: c.Actor) -> bool:
        """What the stage itself sees must not stop it: a refusal is noted, and tried again while it is still so."""
        try:
            await self._command(command, actor)
        except RostraError as refusal:
            self._house.refused(command, str(refusal), self._tell)
            return False
        self._house.done(command, self._tell)
        return True

    async def _try(self, event: e.Event) -> None:
        try:
            await self._append(event)
        except RostraError as refusal:
            self._tell("record", str(refusal))
        else:
            self._tell("record", None)

    def _show(self) -> None:
        self._news.set()
        count = self.turnout.now(self._clock.monotonic())
        self.studio.show(self.space, self._room.chairs, self._room.levels, count, self._house.room_left_s)

    def _tell(self, code: str, sentence: str | None) -> None:
        """What the people in the studio must know, until it is over."""
        if sentence is None:
            self.studio.notices.pop(code, None)
        elif self.studio.notices.get(code) != sentence:
            self.studio.notices[code] = sentence
            self._log.warning("notice", code=code, sentence=sentence)

    def _nudge(self) -> None:
        """Somebody connected or left: look at once, if the inbox has room; else at the next round."""
        self._inbox.post(self._keep_record_of_sessions)

    def _idle(self) -> bool:
        now = self._clock.monotonic()
        if self.stage_up or self.sessions.by_id or self.studio.watchers or not self._inbox.empty:
            self._idle_since = now
        elif now - self._idle_since > IDLE_CLOSE_S:
            self._inbox.open = False
        return not self._inbox.open

    async def _release(self) -> None:
        self._inbox.close()
        self.studio.close()
        self._counters.sessions += self.sessions.begun_total
        self._counters.sessions_failed += self.sessions.failed_total
        await asyncio.gather(self.sessions.close("restart"), self._stop_programme())
        self._counters.packets_of_gone.take(self.sessions.packets_of_gone)
        self.sessions.packets_of_gone = jitter.Counters()
        await self._writer.close()
