"""From packets as the network brings them to a steady stream for one speaker's decoder.

Playout follows the speaker's own clock at a distance. A packet is late by its transit above the floor (sound.transit);
playing at `floor + delay` catches all packets that are late by less than `delay`. So three quantities suffice:

    target   what the delay should be, as sound.transit reckons it
    delay    what it is: now − position in seconds − floor
    position the timestamp that plays next

A missing packet costs concealment and never time: position goes on with the clock. Only a delay below its target holds
position back, so the delay cannot grow beyond the target, whatever is lost.
"""

from bisect import insort
from dataclasses import dataclass, fields
from typing import Final

from rostra.sound import opus_packet
from rostra.sound.renditions import FRAME, RATE
from rostra.sound.transit import TARGET_LEAST_S, Transit

CAPACITY: Final = 64
"""Packets held at most; one more pushes the oldest out (counted as overflow)."""

# The band round the target in which the delay is left alone: wider than one 20 ms correction, or it would swing.
_TOO_SHORT_S: Final = 0.001
_TOO_LONG_S: Final = 0.021
# So much too long is cut at once; less waits for a quiet frame, but not longer than the patience.
_FAR_TOO_LONG_S: Final = 0.100
_PATIENCE_S: Final = 4.0  # people pause for breath more often than that
_BETWEEN_CORRECTIONS_S: Final = 0.3

_CONCEAL_MOST: Final = 5  # frames in a row (100 ms); what follows is silence
_FORGET_POSITION_S: Final = 1.0  # without any packet

# A packet this far from where its predecessors point is on probation (compare RFC 3550 A.1).
_STRAY_SEQ: Final = 500
_STRAY_S: Final = 2.0
_PROBATION: Final = 3
_LATE_RUN: Final = 5
_LATE_RUN_S: Final = 0.1

_STEP: Final = 120  # samples; libopus conceals multiples of 2.5 ms only


@dataclass(frozen=True, slots=True)
class Packet:
    """Decode this. `skip`: decode it to keep the decoder's state, do not play it, and ask again."""

    payload: bytes
    samples: int
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """Conceal `samples`; `following` is the next packet, whose in-band FEC may hold what is missing."""

    samples: int
    following: bytes | None


@dataclass(frozen=True, slots=True)
class Silence:
    """The speaker sends nothing (discontinuous transmission), or has not begun."""

    samples: int


@dataclass(slots=True)
class Counters:
    received: int = 0
    played: int = 0
    lost: int = 0
    """Gaps played as Lost because a later packet was there; those with `following` count too."""
    repairable: int = 0
    dry: int = 0
    """Frames concealed because no packet at all was there."""
    late: int = 0
    duplicates: int = 0
    malformed: int = 0
    strays: int = 0
    overflow: int = 0
    skipped: int = 0
    stretched: int = 0
    restarts: int = 0

    def take(self, other: "Counters") -> None:
        """Count what `other` counted too."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(frozen=True, slots=True, order=True)
class _Held:
    timestamp: int
    seq: int
    payload: bytes
    samples: int

    @property
    def end(self) -> int:
        return self.timestamp + self.samples


class JitterBuffer:
    """One speaker's. `put` on arrival; on each tick of the room `pop` until 20 ms are decoded. `now` is monotonic seconds."""

    _newest: tuple[int, int] | None
    _position: int | None
    _uneasy_since: float | None

    def __init__(self) -> None:
        self.counters = Counters()
        self._transit = Transit()
        self._held: list[_Held] = []
        self._probation: list[tuple[int, int, bytes, float]] = []
        self._restart()

    @property
    def jitter_s(self) -> float:
        return self._transit.jitter_s

    @property
    def target_s(self) -> float:
        return self._transit.target_s

    @property
    def depth(self) -> int:
        """Packets held now."""
        return len(self._held)

    def delay_s(self, now: float) -> float:
        """How long after the earliest possible moment sound plays at present; 0 while nothing plays."""
        return 0.0 if self._position is None else now - self._position / RATE - self._transit.floor_s

    def put(self, seq: int, timestamp: int, payload: bytes, now: float) -> None:
        """Take a packet off the network.

        Args:
            seq: RTP sequence number, 16 bits.
            timestamp: RTP timestamp, 32 bits, 48 kHz.
            payload: one Opus packet.
        """
        counters = self.counters
        counters.received += 1
        try:
            samples = opus_packet.samples(payload)
        except ValueError:
            counters.malformed += 1
            return
        if self._newest is None:
            self._newest = (seq & 0xFFFF, timestamp & 0xFFFF_FFFF)
        newest_seq, newest_timestamp = self._newest
        seq_step = _signed(seq - newest_seq, 16)
        timestamp_step = _signed(timestamp - newest_timestamp, 32)
        long_seq, long_timestamp = newest_seq + seq_step, newest_timestamp + timestamp_step
        transit_s = now - long_timestamp / RATE
        last_s = self._transit.last_s
        if last_s is not None and (abs(seq_step) > _STRAY_SEQ or abs(transit_s - last_s) > _STRAY_S):
            self._judge_stray(seq, timestamp, payload, now)
            return
        self._probation.clear()
        self._transit.measure(transit_s)
        if seq_step > 0:
            self._newest = (long_seq, long_timestamp)
        self._keep(_Held(long_timestamp, long_seq, payload, samples), now)

    def pop(self, now: float, quiet: bool = False) -> Packet | Lost | Silence:
        """What plays next.

        Args:
            quiet: whether the sound just decoded was quiet, so that a frame more or less is not heard.
        """
        if self._position is None and not self._begin(now):
            return Silence(FRAME)
        assert self._position is not None
        excess_s = self.delay_s(now) - self._transit.target_s
        if excess_s > _FAR_TOO_LONG_S:
            self._jump(excess_s)
        elif self._held and self._may_correct(now, excess_s, quiet):
            self._corrected_at = now
            if excess_s > 0:
                self.counters.skipped += 1
                first = self._held[0]
                if first.timestamp <= self._position:
                    return self._play(skip=True)
                self._position = min(first.timestamp, self._position + FRAME)
            else:
                return self._stretch()
        if not self._held:
            return self._dry(now)
        gap = self._held[0].timestamp - self._position
        if gap < _STEP:
            return self._play()
        return self._fill(gap, now)

    def _begin(self, now: float) -> bool:
        """Start to play as soon as the first packet has waited as long as the target asks."""
        if not self._held or now - self._held[0].timestamp / RATE - self._transit.floor_s < self._transit.target_s:
            return False
        self._position = self._held[0].timestamp
        self._last_played_seq = self._held[0].seq - 1
        self._concealed_samples = 0
        self._last_packet_at = now
        return True

    def _play(self, skip: bool = False) -> Packet:
        one = self._held.pop(0)
        self._position = one.end
        self._last_played_seq = one.seq
        self._last_samples = one.samples
        self._resting = opus_packet.is_dtx(one.payload)
        self._concealed = self._concealed_samples = 0
        self.counters.played += not skip
        return Packet(one.payload, one.samples, skip)

    def _fill(self, gap: int, now: float) -> Lost | Silence:
        """A later packet is here, the one for this moment is not: lost, or never sent."""
        assert self._position is not None
        following = self._held[0]
        samples = min(gap, self._last_samples) // _STEP * _STEP
        missing = (following.seq - self._last_played_seq - 1) * self._last_samples - self._concealed_samples
        adjoining = gap - samples < _STEP
        rests = missing <= 0 or self._concealed >= _CONCEAL_MOST and not adjoining
        if not rests and self.delay_s(now) < self._transit.target_s - _TOO_SHORT_S:
            # It may still come: what is missing to the target is spent on waiting for it.
            return self._stretch()
        self._position += samples
        self._concealed_samples += samples
        if rests:
            return Silence(samples)
        self._concealed += 1
        self.counters.lost += 1
        self.counters.repairable += adjoining
        return Lost(samples, following.payload if adjoining else None)

    def _dry(self, now: float) -> Lost | Silence:
        """No packet at all is here: late, lost, or the speaker rests."""
        assert self._position is not None
        if now - self._last_packet_at > _FORGET_POSITION_S:
            self._position = None
            return Silence(FRAME)
        if self._resting or self._concealed >= _CONCEAL_MOST:
            self._position += FRAME
            return Silence(FRAME)
        if self.delay_s(now) < self._transit.target_s - _TOO_SHORT_S:
            return self._stretch()
        self._position += FRAME
        self._concealed += 1
        self._concealed_samples += FRAME
        self.counters.dry += 1
        return Lost(FRAME, None)

    def _stretch(self) -> Lost:
        """Play a frame that does not exist; the delay grows by it."""
        self._concealed += 1
        self.counters.stretched += 1
        return Lost(FRAME, None)

    def _may_correct(self, now: float, excess_s: float, quiet: bool) -> bool:
        if -_TOO_SHORT_S <= excess_s <= _TOO_LONG_S:
            self._uneasy_since = None
            return False
        if self._uneasy_since is None:
            self._uneasy_since = now
        if now - self._corrected_at < _BETWEEN_CORRECTIONS_S:
            return False
        # Too short a delay is lengthened in quiet or when a packet is missing; too long a one must end some time.
        return quiet or excess_s > 0 and now - self._uneasy_since > _PATIENCE_S

    def _jump(self, excess_s: float) -> None:
        """Far too much waits (the way got shorter, or the room stood still): go on at the target."""
        assert self._position is not None
        self._position += round(excess_s * RATE) // _STEP * _STEP
        while self._held and self._held[0].end <= self._position:
            self._last_played_seq = self._held.pop(0).seq
            self.counters.skipped += 1
        if self._held:
            self._position = min(self._position, self._held[0].timestamp)
        self._concealed_samples = 0

    def _keep(self, one: _Held, now: float) -> None:
        held = self._held
        if any(one.timestamp == other.timestamp or one.seq == other.seq for other in held):
            self.counters.duplicates += 1
            return
        if self._position is not None and one.end <= self._position:
            self.counters.late += 1
            self._transit.reckon()
            self._count_late_run(one, now)
            return
        self._late_run = 0
        self._last_packet_at = now
        insort(held, one)
        if len(held) > CAPACITY:
            self.counters.overflow += 1
            del held[0]

    def _count_late_run(self, one: _Held, now: float) -> None:
        """Late without exception, and for longer than a burst takes: the way got longer. Begin anew on it."""
        if one.seq == self._last_played_seq:
            return
        if self._late_run == 0:
            self._late_since = now
        self._late_run += 1
        if self._late_run < _LATE_RUN or now - self._late_since < _LATE_RUN_S or self._held:
            return
        newest, transit_s = self._newest, self._transit.last_s
        assert transit_s is not None  # this packet's own
        self._restart(self._transit.target_s)
        self.counters.restarts += 1
        self._newest = newest
        self._transit.measure(transit_s)
        self._keep(one, now)

    def _judge_stray(self, seq: int, timestamp: int, payload: bytes, now: float) -> None:
        """A jump is believed when the packets after it follow on from each other; a lone stray is dropped."""
        self.counters.strays += 1
        row = self._probation
        if row:
            last_seq, last_timestamp, _, last_now = row[-1]
            step_s = _signed(timestamp - last_timestamp, 32) / RATE
            follows = _signed(seq - last_seq, 16) == 1 and abs(step_s - (now - last_now)) < _STRAY_S / 2
            if not (follows and step_s > 0):
                row.clear()
        row.append((seq, timestamp, payload, now))
        if len(row) < _PROBATION:
            return
        believed = list(row)
        row.clear()
        self._held.clear()
        self._restart()
        self.counters.restarts += 1
        self.counters.strays -= len(believed)
        self.counters.received -= len(believed)
        for one_seq, one_timestamp, one_payload, one_now in believed:
            self.put(one_seq, one_timestamp, one_payload, one_now)

    def _restart(self, target_s: float = TARGET_LEAST_S) -> None:
        self._transit.begin_anew(target_s)
        self._newest = None
        self._position = None
        self._uneasy_since = None
        self._corrected_at = float("-inf")
        self._last_packet_at = float("-inf")
        self._last_played_seq = 0
        self._last_samples = FRAME
        self._resting = False
        self._concealed = 0
        self._concealed_samples = 0
        self._late_run = 0
        self._late_since = 0.0


def _signed(difference: int, bits: int) -> int:
    """The difference of two wrapping counters as the nearest signed number."""
    half = 1 << bits - 1
    return (difference + half) % (1 << bits) - half
