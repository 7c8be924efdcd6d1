"""MP3 through LAME in FFmpeg: 48 kHz, mono, constant bit rate, no bit reservoir.

Without the reservoir a frame needs no other frame's bytes, so a listener may begin at any.
"""

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from rostra.kernel.errors import Fault
from rostra.sound.mp3 import BITRATE_BPS, FRAME_SAMPLES
from rostra.sound.renditions import RATE


def known() -> bool:
    """Whether this installation's FFmpeg can make MP3."""
    return "libmp3lame" in av.codecs_available


class Encoder:
    """One stream: for each frame of sound that goes in, the frame before it comes out (nothing for the first)."""

    def __init__(self) -> None:
        """Raises Fault where FFmpeg was built without LAME."""
        if not known():
            raise Fault("This installation cannot make MP3.", "Reinstall the av package: its wheels can.")
        context = av.CodecContext.create("libmp3lame", "w")
        context.sample_rate = RATE
        context.layout = "mono"
        context.format = "fltp"
        context.bit_rate = BITRATE_BPS
        context.options = {"reservoir": "0"}
        context.open()
        self._context = context
        self._given_samples = 0

    def encode(self, frame: NDArray[np.float32]) -> list[bytes]:
        """Take FRAME_SAMPLES mono samples; the frames that became ready, none or one."""
        if frame.shape != (FRAME_SAMPLES,):
            raise ValueError(f"not a frame of {FRAME_SAMPLES} samples: {frame.shape}")
        sound = AudioFrame.from_ndarray(frame[np.newaxis], format="fltp", layout="mono")
        sound.sample_rate = RATE
        sound.pts = self._given_samples
        self._given_samples += FRAME_SAMPLES
        return [bytes(packet) for packet in self._context.encode(sound)]
