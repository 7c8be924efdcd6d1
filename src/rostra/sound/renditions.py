"""The renditions of a broadcast and their arithmetic: number and time are the same thing.

Parts are numbered from 0 without a hole. Part n covers samples [n·part_samples, (n+1)·part_samples) of the broadcast;
sample 0 is the moment of going live. Eight parts make a segment, whose number is its media sequence number (msn).
The two of AAC are cut at the same samples, so that a player changes from one to the other at any part.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

RATE: Final = 48_000
"""Samples per second, everywhere, and the timescale of every decode time."""
FRAME: Final = 960
"""Samples of one room tick (20 ms)."""
TARGET_DURATION_S: Final = 4
"""EXT-X-TARGETDURATION of all renditions: a segment's length, rounded."""


class Rendition(IntEnum):
    OPUS = 1
    HLS = 2
    LOW = 3

    @property
    def shape(self) -> "Shape":
        return SHAPES[self]

    @property
    def wide(self) -> "Shape":
        """The same sound in parts of twice the length: wide part n is parts 2n and 2n + 1."""
        return _WIDE[self]


@dataclass(frozen=True, slots=True)
class Shape:
    url: str
    """Name of the rendition in addresses: …/s/ID/<url>/part/N.m4s."""
    codec: str
    """As in CODECS and in MSE's addSourceBuffer (RFC 6381)."""
    channels: int
    bitrate_bps: int
    bandwidth_bps: int
    """Peak of any segment, boxes included; the bound that BANDWIDTH promises."""
    average_bps: int
    frame_samples: int
    frames_per_part: int
    parts_per_segment: int

    @property
    def part_samples(self) -> int:
        return self.frame_samples * self.frames_per_part

    @property
    def segment_samples(self) -> int:
        return self.part_samples * self.parts_per_segment

    @property
    def frames_per_segment(self) -> int:
        return self.frames_per_part * self.parts_per_segment

    @property
    def part_s(self) -> float:
        return self.part_samples / RATE

    @property
    def segment_s(self) -> float:
        return self.segment_samples / RATE

    @property
    def part_us(self) -> int:
        return self.part_samples * 1_000_000 // RATE

    @property
    def mime(self) -> str:
        return f'audio/mp4; codecs="{self.codec}"'

    def first_sample(self, part: int) -> int:
        """The part's decode time (tfdt)."""
        return part * self.part_samples

    def part_of_sample(self, sample: int) -> int:
        return sample // self.part_samples

    def part_at(self, position_s: float) -> int:
        """The part that sounds at this position of the broadcast."""
        return int(position_s * RATE) // self.part_samples

    def segment_of_part(self, part: int) -> int:
        return part // self.parts_per_segment

    def index_in_segment(self, part: int) -> int:
        return part % self.parts_per_segment

    def first_part(self, msn: int) -> int:
        return msn * self.parts_per_segment

    def parts_of_segment(self, msn: int) -> range:
        return range(msn * self.parts_per_segment, (msn + 1) * self.parts_per_segment)

    def segments_complete(self, parts: int) -> int:
        """How many whole segments the first `parts` parts make."""
        return parts // self.parts_per_segment


SHAPES: Final = {
    Rendition.OPUS: Shape(
        url="opus",
        codec="opus",
        channels=1,
        bitrate_bps=48_000,
        bandwidth_bps=80_000,
        average_bps=56_000,
        frame_samples=960,
        frames_per_part=25,
        parts_per_segment=8,
    ),
    Rendition.HLS: Shape(
        url="hls",
        codec="mp4a.40.2",
        channels=2,
        bitrate_bps=96_000,
        bandwidth_bps=128_000,
        average_bps=112_000,
        frame_samples=1024,
        frames_per_part=24,
        parts_per_segment=8,
    ),
    Rendition.LOW: Shape(
        url="low",
        codec="mp4a.40.2",
        channels=1,
        bitrate_bps=48_000,
        bandwidth_bps=72_000,
        average_bps=56_000,
        frame_samples=1024,
        frames_per_part=24,
        parts_per_segment=8,
    ),
}

_WIDE: Final = {
    rendition: replace(shape, frames_per_part=2 * shape.frames_per_part, parts_per_segment=shape.parts_per_segment // 2)
    for rendition, shape in SHAPES.items()
}
_BY_URL: Final = {shape.url: rendition for rendition, shape in SHAPES.items()}


def rendition_of_url(name: str) -> Rendition | None:
    """'opus', 'hls' or 'low' as found in an address; None for anything else."""
    return _BY_URL.get(name)
