"""What an Opus packet says about itself without being decoded. Source: RFC 6716 section 3."""

from typing import Final

MOST_SAMPLES: Final = 5760
"""120 ms at 48 kHz, the longest packet (3.4 R5)."""

# Frame length of each configuration number, table 2: SILK 10 20 40 60 ms (three bandwidths), hybrid 10 20 ms (two), CELT 2.5 5 10 20 ms (four).
_FRAME_SAMPLES: Final = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
# A frame of at most two bytes is what an encoder sends when it has nothing to say (3.1, discontinuous transmission).
_DTX_BYTES: Final = 2


def samples(packet: bytes) -> int:
    """How long the packet sounds, at 48 kHz.

    Raises:
        ValueError: empty, without its frame count, without frames, or longer than 120 ms.
    """
    if not packet:
        raise ValueError("an Opus packet has at least one byte")
    frame_samples, code = _FRAME_SAMPLES[packet[0] >> 3], packet[0] & 3
    if code < 3:
        return frame_samples * (1, 2, 2)[code]
    if len(packet) < 2:
        raise ValueError("the packet's frame count is missing")
    total = frame_samples * (packet[1] & 0x3F)
    if not 0 < total <= MOST_SAMPLES:
        raise ValueError("the packet's frames do not make between 2.5 and 120 ms")
    return total


def is_dtx(packet: bytes) -> bool:
    """Whether the encoder says with this packet that silence follows."""
    return len(packet) <= _DTX_BYTES
