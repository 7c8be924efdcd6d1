"""From packets to samples, and from samples to what a listener would say about them."""

import wave
from collections import deque
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from rostra.kernel.errors import Fault
from rostra.rehearsal.boxes import Fragment, Init
from rostra.rehearsal.playout import RATE, Span

_SILENT_DBFS = -55.0
_WINDOW = RATE // 10

Samples = NDArray[np.float32]


class Decoder:
    """One continuous decoder of a rendition; sound comes back as mono float at 48 kHz, one sample for each announced.

    Attributes:
        broken: packets that would not decode; silence stands in for them.
    """

    def __init__(self, init: Init) -> None:
        self.broken = 0
        self._codec = av.CodecContext.create("libopus" if init.codec == "opus" else "aac", "r")
        self._codec.sample_rate = init.rate
        self._codec.layout = "mono" if init.channels == 1 else "stereo"
        if init.extradata:
            self._codec.extradata = init.extradata

    def decode(self, fragment: Fragment) -> Samples:
        pieces: list[Samples] = []
        for packet, duration in zip(fragment.packets, fragment.durations, strict=True):
            try:
                frames = [
                    _mono(frame.to_ndarray(), frame.format.name, len(frame.layout.channels))
                    for frame in self._codec.decode(av.Packet(packet))
                ]
            except av.FFmpegError:
                frames, self.broken = [], self.broken + 1
            heard = np.concatenate(frames) if frames else np.zeros(0, np.float32)
            pieces.append(np.pad(heard, (0, max(0, duration - len(heard))))[:duration])
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


class Ear:
    """Keeps decoded sound until the play clock reaches it, measures it, and writes it down if asked.

    Attributes:
        heard: samples of sound that came out.
        silent: of those and the gaps, samples in tenths of a second quieter than -55 dBFS.
        longest_silence: the longest run of them: how long a person heard nothing, whatever the reason.
        level_dbfs: RMS of all that came out and was not silent.
    """

    def __init__(self, out: Path | None = None) -> None:
        self.heard = 0
        self.silent = 0
        self.longest_silence = 0
        self._silence = 0
        self._energy, self._loud = 0.0, 0
        self._store: deque[tuple[int, Samples]] = deque()
        self._window = np.zeros(0, np.float32)
        self._file: wave.Wave_write | None = None
        if out is not None:
            _check_writable(out)
            self._file = wave.open(str(out), "wb")  # noqa: SIM115 - closed by close()
            self._file.setparams((1, 2, RATE, 0, "NONE", ""))

    def keep(self, start: int, samples: Samples) -> None:
        self._store.append((start, samples))

    def play(self, spans: list[Span]) -> None:
        for span in spans:
            if span.start is None:
                self._sound(np.zeros(span.length, np.float32))
            else:
                self.heard += span.length
                self._sound(self._take(span.start, span.length))

    @property
    def level_dbfs(self) -> float | None:
        return round(10 * float(np.log10(self._energy / self._loud)), 1) if self._loud and self._energy else None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _take(self, start: int, length: int) -> Samples:
        taken = np.zeros(length, np.float32)
        while self._store and self._store[0][0] + len(self._store[0][1]) <= start:
            self._store.popleft()
        for begin, samples in self._store:
            if begin >= start + length:
                break
            from_, to = max(begin, start), min(begin + len(samples), start + length)
            taken[from_ - start : to - start] = samples[from_ - begin : to - begin]
        return taken

    def _sound(self, samples: Samples) -> None:
        if self._file is not None:
            self._file.writeframes(np.clip(np.rint(samples * 32767), -32768, 32767).astype("<i2").tobytes())
        self._window = np.concatenate((self._window, samples))
        whole = len(self._window) // _WINDOW * _WINDOW
        if not whole:
            return
        energies = np.square(self._window[:whole].reshape(-1, _WINDOW)).sum(axis=1)
        quiet = energies / _WINDOW < 10 ** (_SILENT_DBFS / 10)
        self.silent += int(quiet.sum()) * _WINDOW
        for one in quiet:
            self._silence = self._silence + _WINDOW if one else 0
            self.longest_silence = max(self.longest_silence, self._silence)
        self._energy += float(energies[~quiet].sum())
        self._loud += int((~quiet).sum()) * _WINDOW
        self._window = self._window[whole:]


def _check_writable(out: Path) -> None:
    try:
        out.open("wb").close()
    except OSError as wrong:
        raise Fault(
            f"{out} cannot be written: {wrong.strerror}.", "Name a file in a directory that is there."
        ) from None


def _mono(samples: NDArray[np.generic], format_name: str, channels: int) -> Samples:
    """Frames come as (channels, n) when planar and (1, n * channels) when packed; s16 or float."""
    sound = samples.astype(np.float32)
    if format_name.startswith("s16"):
        sound /= 32768
    sound = sound if format_name.endswith("p") else sound.reshape(-1, channels).T
    return np.asarray(sound.mean(axis=0), dtype=np.float32)
