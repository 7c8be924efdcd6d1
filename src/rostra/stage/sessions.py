"""The speakers' sessions of one Space: on their way, in the room, gone."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Final

from rostra.kernel.clock import Clock
from rostra.kernel.errors import Overloaded, Refused
from rostra.kernel.ids import SeatId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.sound import jitter
from rostra.stage import sdp
from rostra.stage.peer import Peer, PeerState
from rostra.stage.room import Chair, Room
from rostra.stage.session import Session, Via

SILENT_PEER_S: Final = 20.0  # a connection that brings no packet for this long is given up
CLOSE_DEADLINE_S: Final = 5.0
OF_A_SEAT_MOST: Final = 6  # connections open, those that are closing included; one more is refused with 503


class Sessions:
    """Who is heard: of each seat the session that connected last. Changes nothing on the record; its owner does that."""

    def __init__(self, room: Room, settings: Settings, clock: Clock, log: Log, nudge: Callable[[], None]) -> None:
        """`nudge` is called, now and then, when `look` would find something new."""
        self.by_id: dict[str, Session] = {}
        self.begun_total = 0
        self.failed_total = 0
        self.packets_of_gone = jitter.Counters()
        self._room, self._settings, self._clock, self._log, self._nudge = room, settings, clock, log, nudge
        self._why_left: dict[SeatId, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._open: Counter[SeatId] = Counter()
        self._serials = itertools.count(1)
        self._newest: dict[SeatId, int] = {}  # serial of the newest that was added

    def begin(self, seat: SeatId, via: Via, offer: sdp.Offer) -> Session:
        """A session that is not among us yet: let its peer answer, then `add` or `let_go` it.

        Raises:
            Overloaded: this seat has begun many sessions in a moment.
        """
        if self._open[seat] >= OF_A_SEAT_MOST:
            raise Overloaded("This seat begins one connection after another. Wait a moment.", 3)
        self._open[seat] += 1

        def connected() -> None:
            session.connected_at = self._clock.monotonic()
            self._nudge()

        def gone(why: str) -> None:
            session.why = session.why or why
            self._nudge()

        peer = Peer(
            self._settings,
            self._clock,
            self._log,
            on_connected=connected,
            on_packet=lambda packet, at: chair.packet(packet, at),
            on_gone=gone,
        )
        chair = Chair(seat, peer, via.value, self._room.pulse)
        session = Session(seat, via, chair, offer.ufrag, next(self._serials))
        return session

    def add(self, session: Session) -> None:
        """It may connect. A seat has at most one session in the room and one on its way; the newer one counts.

        Raises:
            Refused: answering this one took so long that a newer one was there first.
        """
        if session.serial < self._newest.get(session.seat, 0):
            session.why = "replaced"
            raise Refused("A newer connection has taken this seat meanwhile.", "replaced")
        self._newest[session.seat] = session.serial
        for other in [one for one in self.by_id.values() if one.seat == session.seat and not one.seated]:
            self.let_go(other, "replaced")
        self.by_id[session.id] = session
        self.begun_total += 1

    def look(self) -> None:
        """Seat who has connected, let go who is gone or silent for too long."""
        now = self._clock.monotonic()
        for session in list(self.by_id.values()):
            peer = session.chair.peer
            if not session.why and session.connected_at is not None:
                heard_at = max(session.connected_at, peer.last_packet_at or 0.0)
                session.why = "connection lost" if now - heard_at > SILENT_PEER_S else ""
            if session.why:
                self.let_go(session, session.why)
            elif peer.state is PeerState.CONNECTED and not session.seated:
                for other in [one for one in self.by_id.values() if one.seat == session.seat and one.seated]:
                    self.let_go(other, "replaced")
                session.seated = True
                self._room.chairs[session.seat] = session.chair

    def unrecorded(self) -> list[Session]:
        """In the room, but the record does not say so yet."""
        return [one for one in self.by_id.values() if one.seated and not one.joined]

    def why_left(self, seat: SeatId) -> str:
        return self._why_left.pop(seat, "connection lost")

    def let_go(self, session: Session, why: str) -> None:
        """Out of the room at once; its connection closes on its own time."""
        if session.let_go:
            return
        session.let_go = True
        session.why = session.why or why
        self.packets_of_gone.take(session.chair.voice.jitter.counters)
        self.by_id.pop(session.id, None)
        if self._room.chairs.get(session.seat) is session.chair:
            del self._room.chairs[session.seat]
            self._why_left[session.seat] = session.why
        if session.connected_at is None and session.why not in ("replaced", "left", "ended"):
            self.failed_total += 1
            self._log.info("a speaker did not get through", seat=session.seat, via=session.via.value, why=session.why)
        task = asyncio.create_task(session.chair.peer.close(session.why), name=f"let go {session.seat}")
        self._closing.add(task)
        task.add_done_callback(lambda done: self._closed(done, session.seat))

    def let_go_all(self, why: str, seat: SeatId | None = None) -> None:
        for session in [one for one in self.by_id.values() if seat is None or one.seat == seat]:
            self.let_go(session, why)

    def _closed(self, task: asyncio.Task[None], seat: SeatId) -> None:
        self._closing.discard(task)
        self._open[seat] -= 1
        if not task.cancelled() and task.exception() is not None:
            self._log.error("a speaker's connection did not close cleanly", trace=task.exception())

    async def close(self, why: str) -> None:
        self.let_go_all(why)
        if self._closing:
            await asyncio.wait(set(self._closing), timeout=CLOSE_DEADLINE_S)
