"""Collects the encoded frames of one rendition into exact parts."""

from dataclasses import dataclass

from rostra.sound.renditions import Rendition


@dataclass(frozen=True, slots=True)
class Cut:
    """A whole part, not yet boxed."""

    number: int
    frames: tuple[bytes, ...]
    start_us: int


class Cutter:
    """Every part has exactly `frames_per_part` frames: whoever ends a broadcast fills the last one with encoded silence."""

    def __init__(self, rendition: Rendition, first_part: int = 0) -> None:
        self._shape = rendition.shape
        self._number = first_part
        self._frames: list[bytes] = []
        self._start_us = 0

    @property
    def number(self) -> int:
        """The part in the making."""
        return self._number

    @property
    def next_sample(self) -> int:
        """Position in the broadcast where the next frame begins."""
        return self._shape.first_sample(self._number) + len(self._frames) * self._shape.frame_samples

    @property
    def missing(self) -> int:
        """Frames until the part in the making is whole; 0 if none is begun."""
        return self._shape.frames_per_part - len(self._frames) if self._frames else 0

    def add(self, frame: bytes, at_us: int) -> Cut | None:
        """Take the next frame; give the part that it completes.

        Args:
            at_us: wall microseconds of the frame's first sample.
        """
        if not self._frames:
            self._start_us = at_us
        self._frames.append(frame)
        if len(self._frames) < self._shape.frames_per_part:
            return None
        cut = Cut(self._number, tuple(self._frames), self._start_us)
        self._number += 1
        self._frames.clear()
        return cut
