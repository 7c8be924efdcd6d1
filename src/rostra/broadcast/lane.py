"""One rendition in the making: encoder, cutter, and what is known of each part's loudness."""

from dataclasses import dataclass, field
from functools import cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rostra.codec import aac, opus
from rostra.sound.cutter import Cut, Cutter
from rostra.sound.level import FLOOR_DBFS, PartLevel
from rostra.sound.renditions import FRAME, RATE, Rendition
from rostra.timeline.ports import PartFlag

OPUS_COMPLEXITY: Final = 10  # 65 µs a frame here, against 40 µs at 5: half a hundredth of a core for the best there is


class Encoder(Protocol):
    def encode(self, sound: NDArray[np.float32]) -> list[bytes]: ...


class _Opus:
    """Opus by the interface that both encoders share."""

    def __init__(self) -> None:
        self._encoder = opus.Encoder(Rendition.OPUS.shape.bitrate_bps, complexity=OPUS_COMPLEXITY)

    def encode(self, sound: NDArray[np.float32]) -> list[bytes]:
        return [self._encoder.encode(sound)]


@dataclass(frozen=True, slots=True)
class Finished:
    """A whole part before it is boxed."""

    rendition: Rendition
    cut: Cut
    flags: PartFlag
    level_dbfs: int
    peak_dbfs: int


@dataclass(slots=True)
class _Loudness:
    level: PartLevel = field(default_factory=PartLevel)
    frames: int = 0
    fill: int = 0
    away: int = 0


@dataclass(slots=True)
class Lane:
    """Takes the mix from the first sample of part `first_part` on, frame by frame, without a hole."""

    rendition: Rendition
    first_part: int
    position: int = field(init=False)
    """The sample that the next frame begins at."""
    _encoder: Encoder = field(init=False)
    _cutter: Cutter = field(init=False)
    _loudness: dict[int, _Loudness] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.position = self.rendition.shape.first_sample(self.first_part)
        self._encoder = _encoder(self.rendition)
        self._cutter = Cutter(self.rendition, self.first_part)

    @property
    def number(self) -> int:
        """The part in the making."""
        return self._cutter.number

    def pad_to(self, sample: int, before_us: int) -> list[Finished]:
        """Silence up to `sample`, which sounds at `before_us`; marked as filled in."""
        finished: list[Finished] = []
        while self.position < sample:
            size = min(FRAME, sample - self.position)
            at_us = before_us - (sample - self.position) * 1_000_000 // RATE
            finished += self.push(np.zeros(size, np.float32), at_us, PartFlag.FILL)
        return finished

    def push(self, frame: NDArray[np.float32], at_us: int, flags: PartFlag) -> list[Finished]:
        """Take the next samples (960; AAC takes any number); give the parts that became whole.

        Args:
            at_us: wall microseconds of the frame's first sample.
        """
        begins, self.position = self.position, self.position + frame.size
        self._note(begins, frame, flags)
        finished: list[Finished] = []
        for unit in self._encoder.encode(frame):
            unit_us = at_us + (self._cutter.next_sample - begins) * 1_000_000 // RATE
            cut = self._cutter.add(unit, unit_us)
            if cut is not None:
                finished.append(self._finished(cut))
        return finished

    def finish(self, at_us: int) -> list[Finished]:
        """Encoded silence until the part in the making is whole and holds all that was pushed."""
        end, finished = self.position, []
        while self._cutter.next_sample < end or self._cutter.missing:
            whole = self.push(np.zeros(FRAME, np.float32), at_us, PartFlag.AWAY)
            finished += whole
            at_us += FRAME * 1_000_000 // RATE
            if whole and self.rendition.shape.first_sample(whole[-1].cut.number + 1) >= end:
                break
        return finished

    def _note(self, begins: int, frame: NDArray[np.float32], flags: PartFlag) -> None:
        loudness = self._loudness.setdefault(begins // self.rendition.shape.part_samples, _Loudness())
        loudness.frames += 1
        loudness.fill += bool(flags & PartFlag.FILL)
        loudness.away += bool(flags & PartFlag.AWAY)
        loudness.level.add(frame)

    def _finished(self, cut: Cut) -> Finished:
        loudness = self._loudness.pop(cut.number, _Loudness())
        for old in [number for number in self._loudness if number < cut.number]:
            del self._loudness[old]
        flags = PartFlag.NONE
        if loudness.frames and loudness.fill == loudness.frames:
            flags = PartFlag.FILL
        elif loudness.frames and loudness.fill + loudness.away >= loudness.frames:
            flags = PartFlag.AWAY
        return Finished(self.rendition, cut, flags, *loudness.level.take())


@cache
def silent_frame(rendition: Rendition) -> bytes:
    """An encoded frame of silence, as the encoder gives it after long silence; it decodes to silence anywhere."""
    encoder = _encoder(rendition, floor=False)
    units: list[bytes] = []
    while len(units) < 16:
        units += encoder.encode(np.zeros(FRAME, np.float32))
    return units[-1]


def silent_part(rendition: Rendition, number: int, start_us: int) -> Finished:
    """A whole part of prepared silence, thousands a second."""
    frames = (silent_frame(rendition),) * rendition.shape.frames_per_part
    return Finished(rendition, Cut(number, frames, start_us), PartFlag.FILL, round(FLOOR_DBFS), round(FLOOR_DBFS))


def _encoder(rendition: Rendition, *, floor: bool = True) -> Encoder:
    shape = rendition.shape
    return _Opus() if rendition is Rendition.OPUS else aac.Encoder(shape.bitrate_bps, shape.channels, floor=floor)
