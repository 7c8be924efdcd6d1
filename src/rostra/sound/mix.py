"""One room's mix: what the public hears, and for each speaker the same without himself (mix-minus).

Frames are float32, mono, FRAME samples; full scale is 1.0. All speakers are one matrix, so a tick is a handful of numpy calls.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rostra.sound.renditions import FRAME, RATE

Frame = NDArray[np.float32]

CEILING: Final = 0.891
"""-1 dBFS; no sample leaves above it."""
_KNEE: Final = 0.79
"""-2 dBFS: up to here nothing is changed at all."""

_LOUDEST: Final = np.float32(4.0)

_FADE: Final = RATE * 5 // 1000
# A raised cosine: its slope is zero at both ends, so neither end is heard.
_FADE_IN: Final[Frame] = (0.5 - 0.5 * np.cos(np.pi * (np.arange(_FADE) + 0.5) / _FADE)).astype(np.float32)
_FADE_OUT: Final[Frame] = _FADE_IN[::-1].copy()

_ATTACK: Final = RATE * 2 // 1000
_ATTACK_RAMP: Final[Frame] = ((np.arange(_ATTACK) + 1) / _ATTACK).astype(np.float32)
_FRAME_RAMP: Final[Frame] = ((np.arange(FRAME) + 1) / FRAME).astype(np.float32)
_RELEASE: Final = 1 - float(np.exp(-FRAME / RATE / 0.25))  # of the way back, each frame; 250 ms


@dataclass(frozen=True, slots=True)
class Mix:
    total: Frame
    """Everybody."""
    minus: dict[str, Frame]
    """Everybody else, for each who is heard in this frame. Whoever is not in it hears `total`."""

    def heard_by(self, seat: str) -> Frame:
        return self.minus.get(seat, self.total)


class Mixer:
    """Fades 5 ms whenever a voice begins or ends: at join, leave, mute, unmute and around missing frames."""

    def __init__(self) -> None:
        # The last sample of each voice that sounded in the previous frame.
        self._sounding: dict[str, float] = {}
        self._limiter = Limiter()

    def mix(self, frames: Mapping[str, Frame], muted: Collection[str] = ()) -> Mix:
        """One tick.

        Args:
            frames: of each speaker who has a frame now. Not changed, not kept.
            muted: seats whose frames do not count.
        """
        # A frame that only fades out still counts: it is what makes the end soft.
        names = [seat for seat in frames if seat not in muted or seat in self._sounding]
        gone = [seat for seat, last in self._sounding.items() if seat not in frames and last != 0.0]
        voices = np.zeros((len(names) + len(gone), FRAME), np.float32)
        for row, seat in enumerate(names):
            voices[row] = frames[seat]
        # A decoder fed with nonsense must not silence the room.
        broken = ~np.isfinite(voices).all(axis=1)
        if broken.any():
            voices[broken] = 0.0
        np.clip(voices, -_LOUDEST, _LOUDEST, out=voices)
        sounding: dict[str, float] = {}
        for row, seat in enumerate(names):
            if seat in muted:
                voices[row, :_FADE] *= _FADE_OUT
                voices[row, _FADE:] = 0.0
                continue
            if seat not in self._sounding:
                voices[row, :_FADE] *= _FADE_IN
            sounding[seat] = float(voices[row, -1])
        for row, seat in enumerate(gone, len(names)):
            # Nothing came to fade out: let the last sample die away.
            voices[row, :_FADE] = self._sounding[seat] * _FADE_OUT
        self._sounding = sounding
        seats = names + gone
        total = voices.sum(axis=0, dtype=np.float32)
        heard = [row for row in range(len(seats)) if voices[row].any()]
        outputs = np.empty((1 + len(heard), FRAME), np.float32)
        outputs[0] = total
        np.subtract(total, voices[heard], out=outputs[1:])
        self._limiter.limit(["", *(seats[row] for row in heard)], outputs)
        return Mix(outputs[0], {seats[row]: outputs[1 + place] for place, row in enumerate(heard)})


class Limiter:
    """Keeps many signals below CEILING, each with its own gain. Below the knee it changes nothing, bit for bit.

    The gain falls within 2 ms and comes back with 250 ms, always as a ramp without a step at a frame's border; what the
    2 ms let through is bent smoothly into the rest above the knee.
    """

    def __init__(self) -> None:
        self._gains: dict[str, float] = {}

    def limit(self, names: list[str], signals: Frame) -> None:
        """Change `signals` (one row a name) in place."""
        peaks = np.abs(signals).max(axis=1)
        gains = self._gains
        reduced: dict[str, float] = {}
        for row, (name, peak) in enumerate(zip(names, peaks.tolist(), strict=True)):
            before = gains.get(name, 1.0)
            if before == 1.0 and peak <= _KNEE:
                continue
            after = self._next_gain(before, peak)
            signal = signals[row]
            if after < before:
                signal[:_ATTACK] *= before + (after - before) * _ATTACK_RAMP
                signal[_ATTACK:] *= after
            else:
                signal *= before + (after - before) * _FRAME_RAMP
            _bend(signal)
            if after < 1.0:
                reduced[name] = after
        self._gains = reduced

    def _next_gain(self, before: float, peak: float) -> float:
        needed = min(1.0, _KNEE / peak) if peak > 0 else 1.0
        if needed < before:
            return needed
        after = min(needed, before + (1.0 - before) * _RELEASE)
        return 1.0 if after > 0.999 else after


def _bend(signal: Frame) -> None:
    """Above the knee, approach the ceiling without ever passing it; the slope goes on smoothly from 1."""
    size = np.abs(signal)
    over = size > _KNEE
    if not over.any():
        return
    room = CEILING - _KNEE
    beyond = size[over] - _KNEE
    signal[over] = np.copysign(_KNEE + room * np.tanh(beyond / room), signal[over])
