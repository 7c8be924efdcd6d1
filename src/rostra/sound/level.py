"""How loud, and who speaks. 0 dBFS is a full-scale square wave; a full-scale sine has -3.0 dBFS rms.

Full scale is 1.0; silence is FLOOR_DBFS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FLOOR_DBFS: Final = -127.0
_FLOOR: Final = 10 ** (FLOOR_DBFS / 20)

Samples = NDArray[np.float32]


def rms_dbfs(samples: Samples) -> float:
    """Of one frame of any length."""
    return _dbfs(float(np.sqrt(np.dot(samples, samples) / max(1, samples.size))))


def peak_dbfs(samples: Samples) -> float:
    return _dbfs(float(np.abs(samples).max(initial=0.0)))


def levels_dbfs(frames: Mapping[str, Samples]) -> dict[str, float]:
    """rms of each speaker's frame; all frames of the same length."""
    if not frames:
        return {}
    voices = np.stack(list(frames.values()))
    power = np.einsum("ij,ij->i", voices, voices) / voices.shape[1]
    decibels = 10 * np.log10(np.maximum(power, _FLOOR**2))
    return dict(zip(frames, decibels.tolist(), strict=True))


class PartLevel:
    """Adds up the level of a part while its samples pass."""

    def __init__(self) -> None:
        self._power = 0.0
        self._samples = 0
        self._peak = 0.0

    def add(self, samples: Samples) -> None:
        self._power += float(np.dot(samples, samples))
        self._samples += samples.size
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))

    def take(self) -> tuple[int, int]:
        """(rms, peak) in whole dBFS since the last call, 0 to -127."""
        rms = _dbfs(float(np.sqrt(self._power / max(1, self._samples))))
        peak = _dbfs(self._peak)
        self._power, self._samples, self._peak = 0.0, 0, 0.0
        return min(0, round(rms)), min(0, round(peak))


class Meter:
    """What a level meter shows: up at once, down at 26 dB a second (about a type I programme meter, IEC 60268-10)."""

    _FALL_DB_PER_S: Final = 26.0

    def __init__(self) -> None:
        self._shown: dict[str, float] = {}

    def update(self, levels: Mapping[str, float], elapsed_s: float) -> dict[str, float]:
        """Take the newest levels in dBFS; a seat that is not in them is forgotten."""
        fall_db = self._FALL_DB_PER_S * elapsed_s
        self._shown = {seat: max(now, self._shown.get(seat, FLOOR_DBFS) - fall_db) for seat, now in levels.items()}
        return dict(self._shown)


@dataclass(slots=True)
class _Voice:
    above_s: float = 0.0
    quiet_s: float = 0.0
    speaking: bool = False


class Speaking:
    """Who speaks: begins after 60 ms above -42 dBFS, ends after 600 ms below -50 dBFS.

    Two thresholds and two times, so that neither a click counts as speech nor a breath ends it.
    """

    BEGINS_DBFS: Final = -42.0
    ENDS_DBFS: Final = -50.0
    BEGINS_AFTER_S: Final = 0.060
    ENDS_AFTER_S: Final = 0.600

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}

    def update(self, levels: Mapping[str, float], elapsed_s: float) -> tuple[str, ...]:
        """Take the rms of each seat's last `elapsed_s`; give the seats that speak, in the order of `levels`."""
        self._voices = {seat: self._voices.get(seat) or _Voice() for seat in levels}
        for seat, level in levels.items():
            self._follow(self._voices[seat], level, elapsed_s)
        return tuple(seat for seat, voice in self._voices.items() if voice.speaking)

    def _follow(self, voice: _Voice, level_dbfs: float, elapsed_s: float) -> None:
        voice.above_s = voice.above_s + elapsed_s if level_dbfs > self.BEGINS_DBFS else 0.0
        voice.quiet_s = voice.quiet_s + elapsed_s if level_dbfs < self.ENDS_DBFS else 0.0
        # Times are sums of ticks: half a millisecond makes up for their rounding.
        if voice.above_s >= self.BEGINS_AFTER_S - 0.0005:
            voice.speaking = True
        elif voice.quiet_s >= self.ENDS_AFTER_S - 0.0005:
            voice.speaking = False


def _dbfs(amplitude: float) -> float:
    return 20 * float(np.log10(max(amplitude, _FLOOR)))
