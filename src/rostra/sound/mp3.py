"""The arithmetic of MP3 parts: `mp3/part/N.mp3` on the same half-second grid as the Opus parts.

A frame of 1152 samples does not divide a part, so parts hold 20 or 21 whole frames; the pattern returns after six parts. A part
holds the frames that an encoder has given when it was fed up to the part's end. So its sound lies about 70 ms behind its number,
and it needs nothing of the parts after it. Source: ISO/IEC 11172-3 (frames), LAME's encoder (look-ahead).
"""

from typing import Final

from rostra.sound.renditions import Rendition

FRAME_SAMPLES: Final = 1152
BITRATE_BPS: Final = 64_000
FRAME_BYTES: Final = 144 * BITRATE_BPS // 48_000
"""Constant at 48 kHz: no padding byte is ever due."""
LOOKAHEAD_FRAMES: Final = 1
"""How many further frames the encoder must be fed before it gives one."""

_PART_SAMPLES: Final = Rendition.OPUS.shape.part_samples


def frames_of_part(number: int) -> range:
    """The frames in part `number`. Frame k is what comes out when frames 0 to k + LOOKAHEAD_FRAMES have gone in."""
    return range(_given_by(number), _given_by(number + 1))


def _given_by(part: int) -> int:
    """How many frames have come out when all samples before `part` went in."""
    return max(0, part * _PART_SAMPLES // FRAME_SAMPLES - LOOKAHEAD_FRAMES)
