"""A Space under way whose Opus is real sound: a tone that tells by its pitch which part it is in."""

from functools import cache

import numpy as np
from broadcasts import Broadcast, start_us

from rostra.codec import opus
from rostra.sound import fmp4
from rostra.sound.renditions import Rendition
from rostra.timeline.ports import PartFlag, PartMeta

OPUS = Rendition.OPUS
_LOOP = 16


@cache
def _frames() -> list[tuple[bytes, ...]]:
    """Of _LOOP parts, which are said over and over."""
    encoder = opus.Encoder(OPUS.shape.bitrate_bps, complexity=1)
    at = np.arange(24_000) / 48_000
    parts = []
    for number in range(_LOOP):
        tone = (0.2 * np.sin(2 * np.pi * (300 + 50 * number) * at)).astype(np.float32)
        parts.append(tuple(encoder.encode(tone[begin : begin + 960]) for begin in range(0, 24_000, 960)))
    return parts


def frames(number: int) -> tuple[bytes, ...]:
    return _frames()[number % _LOOP]


def part(number: int) -> bytes:
    return fmp4.part(OPUS, number, frames(number), start_us(OPUS, number))


async def sound(broadcast: Broadcast, parts: int = 1) -> None:
    """The next parts of Opus."""
    batch = []
    for _ in range(parts):
        number = broadcast.next[OPUS]
        broadcast.next[OPUS] = number + 1
        batch.append((PartMeta(OPUS, number, PartFlag.NONE, -20, -17, start_us(OPUS, number)), part(number)))
        broadcast.clock.advance(0.5)
    await broadcast.writer.append_parts(batch)
