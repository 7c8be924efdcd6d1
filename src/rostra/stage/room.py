"""The sound of one stage: each tick takes 20 ms from every voice, mixes, and sends every speaker the others.

Whoever is silent gets the one shared encoding of the whole mix; only those who sound need an encoding of their own.
"""

from dataclasses import dataclass, field
from typing import Final

from rostra.codec import opus
from rostra.kernel.ids import SeatId
from rostra.kernel.log import Log
from rostra.sound.level import FLOOR_DBFS, Meter, Speaking, levels_dbfs
from rostra.sound.mix import Frame, Mixer
from rostra.sound.renditions import FRAME, RATE
from rostra.stage import rtp
from rostra.stage.peer import Peer, PeerState
from rostra.stage.voice import Voice

RETURN_BPS: Final = 40_000
RETURN_COMPLEXITY: Final = 4
RETURN_LOSS_PCT: Final = 5  # what its in-band FEC is made for
STALLED_S: Final = 0.060  # without a tick: the process did not run
PRESENT_S: Final = 0.5  # a voice without a packet for this long is not there
_TICK_S: Final = FRAME / RATE
_OWN_FROM_DBFS: Final = -65.0  # quieter than this, nobody notices himself in the mix
_OWN_HOLD_TICKS: Final = 100  # two seconds, so that breathing does not switch encodings


@dataclass(slots=True)
class Pulse:
    """Up to when the room has kept time, monotonic seconds."""

    at: float = float("inf")


@dataclass(slots=True)
class Chair:
    """A speaker who is connected."""

    seat: SeatId
    peer: Peer
    via: str
    pulse: Pulse
    voice: Voice = field(default_factory=Voice)
    own: opus.Encoder | None = None
    own_ticks: int = 0
    _last: tuple[int, float] | None = None  # timestamp and arrival of the newest packet

    def packet(self, packet: rtp.Packet, now: float) -> None:
        """Take a packet that is read now. If we have just stood still, it came before: our stall is not the network's jitter."""
        arrived = now
        if self._last is not None and now - self.pulse.at > STALLED_S:
            ahead = (packet.timestamp - self._last[0]) & 0xFFFFFFFF
            if ahead < 2 * RATE:
                arrived = min(now, self._last[1] + ahead / RATE)
        self._last = (packet.timestamp, arrived)
        self.voice.put(packet.seq, packet.timestamp, packet.payload, arrived)

    def present(self, now: float) -> bool:
        last = self.peer.last_packet_at
        return self.peer.state is PeerState.CONNECTED and last is not None and now - last < PRESENT_S


@dataclass(frozen=True, slots=True)
class Tick:
    """What a tick gave. `present`: somebody's packets arrive. `heard`: seats whose first sound has been decoded."""

    frame: Frame
    speaking: tuple[SeatId, ...]
    present: bool
    heard: tuple[SeatId, ...]


class Room:
    """All on one loop; `tick` never waits and is not stopped by one voice's failure."""

    def __init__(self, log: Log) -> None:
        self.chairs: dict[SeatId, Chair] = {}
        self.levels: dict[str, float] = {}
        self.pulse = Pulse()
        self._log = log
        self._mixer = Mixer()
        self._meter = Meter()
        self._speaking = Speaking()
        self._shared: opus.Encoder | None = None
        self._clock_samples = 0

    def skip(self, ticks: int) -> None:
        """The room stood still for this long; its clock goes on."""
        self._clock_samples += ticks * FRAME

    def tick(self, now: float, muted: frozenset[SeatId], *, returns: bool = True) -> Tick:
        """The next 20 ms. A muted seat is drained but neither heard nor shown as speaking.

        Args:
            now: when this tick is due, monotonic seconds; in the past while catching up.
            returns: whether speakers are sent what they hear; old sound is no use to people who talk.
        """
        frames: dict[str, Frame] = {}
        for seat, chair in self.chairs.items():
            chair.peer.tick()
            frames[seat] = self._frame(chair, now)
        mix = self._mixer.mix(frames, muted)
        levels = levels_dbfs(frames)
        heard = {seat: FLOOR_DBFS if seat in muted else level for seat, level in levels.items()}
        self.levels = self._meter.update(heard, _TICK_S)
        speaking = self._speaking.update(heard, _TICK_S)
        if returns:
            self._return(mix.total, mix.minus, heard)
        self._clock_samples += FRAME
        return Tick(
            mix.total,
            tuple(SeatId(seat) for seat in speaking if seat not in muted),
            any(chair.present(now) for chair in self.chairs.values()),
            tuple(seat for seat, chair in self.chairs.items() if chair.voice.heard),
        )

    def _frame(self, chair: Chair, now: float) -> Frame:
        try:
            return chair.voice.frame(now)
        except Exception as bug:  # noqa: BLE001  one voice's failure must not silence the room
            self._log.error("A voice failed and begins anew.", trace=bug, seat=chair.seat)
            chair.voice = Voice()
            return chair.voice.frame(now)

    def _return(self, total: Frame, minus: dict[str, Frame], levels: dict[str, float]) -> None:
        shared: bytes | None = None
        for seat, chair in self.chairs.items():
            if chair.peer.sending is None or chair.peer.state is not PeerState.CONNECTED:
                continue
            if levels[seat] > _OWN_FROM_DBFS:
                if chair.own_ticks == 0 and chair.own is not None:
                    chair.own.reset()
                chair.own_ticks = _OWN_HOLD_TICKS
            if chair.own_ticks:
                chair.own_ticks -= 1
                chair.own = chair.own or _encoder()
                chair.peer.send(chair.own.encode(minus.get(seat, total)), self._clock_samples)
                continue
            if shared is None:
                self._shared = self._shared or _encoder()
                shared = self._shared.encode(total)
            chair.peer.send(shared, self._clock_samples)


def _encoder() -> opus.Encoder:
    return opus.Encoder(RETURN_BPS, complexity=RETURN_COMPLEXITY, expected_loss_pct=RETURN_LOSS_PCT, tuned_for="voice")
