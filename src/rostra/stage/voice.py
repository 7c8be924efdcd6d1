"""One speaker's sound, from packets to 20 ms of samples a tick: jitter buffer, decoder, concealment."""

from typing import Final

import numpy as np

from rostra.codec import opus
from rostra.sound.jitter import JitterBuffer, Lost, Packet, Silence
from rostra.sound.renditions import FRAME

# How loud the n-th concealed frame in a row ends; guesses turn metallic, so they leave within a tenth of a second.
_FADE: Final = (1.0, 0.9, 0.6, 0.3, 0.0)
_ONSET: Final = 240  # samples
# A frame more or less is not heard where it is as soft as this (-50 dBFS RMS), or far below what was just said.
_QUIET: Final = 0.003
_BELOW_SPEECH: Final = 0.1  # 20 dB
_REMEMBERED: Final = 0.985  # of a loudness, from tick to tick: half of it after a second
_SPLICE: Final = 480  # samples over which what came before a left-out frame goes over into what comes after it
_STEPS_MOST: Final = 16  # of the jitter buffer in one tick; a well-behaved one needs two


class Voice:
    """`put` what arrives, `frame` once a tick. Sound comes out whatever comes in.

    Attributes:
        heard: a packet of this speaker has been decoded.
        bad_total: packets that were not Opus.
    """

    def __init__(self) -> None:
        self.jitter = JitterBuffer()
        self.heard = False
        self.bad_total = 0
        self._decoder = opus.Decoder()
        self._left = np.zeros(0, np.float32)
        self._quiet = True
        self._loud = 0.0
        self._left_out: opus.Samples | None = None
        self._concealed = 0
        self._gain = 1.0

    def put(self, seq: int, timestamp: int, payload: bytes, now: float) -> None:
        if payload:  # padding alone, as some senders probe with, says nothing
            self.jitter.put(seq, timestamp, payload, now)

    def frame(self, now: float) -> opus.Samples:
        """The next 960 samples."""
        pieces, have = [self._left], self._left.size
        for _ in range(_STEPS_MOST):
            if have >= FRAME:
                break
            piece = self._step(self.jitter.pop(now, self._quiet))
            pieces.append(piece)
            have += piece.size
        else:
            pieces.append(np.zeros(max(0, FRAME - have), np.float32))
        sound = np.concatenate(pieces)
        self._left = sound[FRAME:]
        frame = np.ascontiguousarray(sound[:FRAME])
        loudness = float(np.sqrt(np.dot(frame, frame) / FRAME))
        self._loud = max(loudness, self._loud * _REMEMBERED)
        self._quiet = loudness < max(_QUIET, self._loud * _BELOW_SPEECH)
        return frame

    def _step(self, step: Packet | Lost | Silence) -> opus.Samples:
        if isinstance(step, Packet):
            sound = self._decoded(step)
            if step.skip:
                if self._left_out is None:
                    self._left_out = sound
                return sound[:0]
            return self._spliced(sound)
        if isinstance(step, Lost):
            return self._spliced(self._concealed_frame(step))
        self._left_out = None
        self._gain = 0.0
        return np.zeros(step.samples, np.float32)

    def _spliced(self, sound: opus.Samples) -> opus.Samples:
        """Begins as the frame that was left out did, so that no step is heard."""
        before, self._left_out = self._left_out, None
        if before is None:
            return sound
        size = min(_SPLICE, before.size, sound.size)
        rise = np.linspace(0.0, 1.0, size, dtype=np.float32)
        sound = sound.copy()
        sound[:size] = before[:size] * (1 - rise) + sound[:size] * rise
        return sound

    def _decoded(self, packet: Packet) -> opus.Samples:
        try:
            sound = self._decoder.decode(packet.payload)
        except opus.BadOpus:
            self.bad_total += 1
            return self._concealed_frame(Lost(packet.samples, None))
        self.heard = True
        self._concealed = 0
        return self._faded(sound, 1.0)

    def _concealed_frame(self, lost: Lost) -> opus.Samples:
        if lost.following is not None:
            try:
                return self._faded(self._decoder.recover(lost.following, lost.samples), 1.0)
            except opus.BadOpus:
                self.bad_total += 1
        self._concealed += 1
        return self._faded(self._decoder.conceal(lost.samples), _FADE[min(self._concealed, len(_FADE)) - 1])

    def _faded(self, sound: opus.Samples, gain: float) -> opus.Samples:
        if gain == self._gain == 1.0:
            return sound
        ramp = np.full(sound.size, gain, np.float32)
        # Leaving takes the whole piece; coming back must not cost the beginning of a word.
        size = sound.size if gain < self._gain else min(sound.size, _ONSET)
        ramp[:size] = np.linspace(self._gain, gain, size, dtype=np.float32)
        self._gain = gain
        return sound * ramp
