"""What a browser really takes in and gives out: taps put into a page from outside, and measures of what they caught.

The taps listen at the browser's own doors (getUserMedia, RTCPeerConnection's track, the first media element that
plays), so they work on any page and know nothing of ours.
"""

import base64
import json
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

RATE = 48_000

TAPS = r"""
(() => {
  const caught = (window.caught = {});
  let ctx = null;
  const context = () => (ctx ??= new AudioContext({ sampleRate: 48000 }));
  function tap(name, source, through) {
    const node = context().createScriptProcessor(2048, 1, 1);
    const blocks = [];
    const at = [];
    caught[name] = { blocks, at };
    node.onaudioprocess = (event) => {
      // When the first sample of this block passed, on the wall clock: now, less what the context has run on since.
      const late = context().currentTime - (event.playbackTime - 2048 / 48000);
      at.push(performance.timeOrigin + performance.now() - late * 1000);
      blocks.push(new Float32Array(event.inputBuffer.getChannelData(0)));
    };
    source.connect(node);
    node.connect(context().destination);
    if (through) source.connect(context().destination);
    context().resume();
  }
  window.caughtAs = (name) => {
    const one = caught[name];
    if (!one) return null;
    const whole = new Int16Array(one.blocks.length * 2048);
    one.blocks.forEach((block, i) => block.forEach((v, j) => (whole[i * 2048 + j] = Math.max(-32768, Math.min(32767, v * 32767)))));
    let text = "";
    const bytes = new Uint8Array(whole.buffer);
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return JSON.stringify({ at: one.at, pcm: btoa(text) });
  };
  const devices = navigator.mediaDevices;
  if (devices) {
    const real = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (asked) => {
      const stream = await real(asked);
      tap("microphone", context().createMediaStreamSource(stream), false);
      return stream;
    };
  }
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...rest) {
      super(...rest);
      this.addEventListener("track", (event) => {
        // Chrome gives a remote track to Web Audio only while an element plays it.
        const element = new Audio();
        element.srcObject = new MediaStream([event.track]);
        element.muted = true;
        realPlay.call(element).catch(() => {});
        tap("return", context().createMediaStreamSource(new MediaStream([event.track])), false);
      });
    }
  };
  const realPlay = HTMLMediaElement.prototype.play;
  const tapped = new WeakSet();
  HTMLMediaElement.prototype.play = function () {
    if (!tapped.has(this) && !this.srcObject) {
      tapped.add(this);
      tap("played", context().createMediaElementSource(this), true);
    }
    return realPlay.call(this);
  };
})();
"""


@dataclass(frozen=True, slots=True)
class Caught:
    """Mono float samples at 48 kHz and the wall time (seconds) of the first."""

    sound: np.ndarray
    at_s: float

    def save(self, path: Path) -> None:
        write_wav(path, self.sound)


def caught(page: Any, name: str) -> Caught:
    """What the tap `name` ("microphone", "return", "played") has caught so far in this Playwright page."""
    text = page.evaluate("(name) => caughtAs(name)", name)
    assert text, f"the page never opened '{name}'"
    plain = json.loads(text)
    sound = np.frombuffer(base64.b64decode(plain["pcm"]), np.int16).astype(np.float32) / 32767
    starts = np.array(plain["at"]) / 1000 - np.arange(len(plain["at"])) * 2048 / RATE
    return Caught(sound, float(np.median(starts)))


def lag_of(heard: np.ndarray, spoken: np.ndarray) -> int:
    """The sample of `heard` at which `spoken` begins, by the highest cross-correlation."""
    size = 1 << (len(heard) + len(spoken) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(spoken, size)), size)
    lag = int(np.argmax(product[: len(heard)]))
    before = product[size - len(spoken) :]
    if len(before) and before.max() > product[lag]:
        return int(np.argmax(before)) - len(spoken)
    return lag


def likeness(heard: np.ndarray, spoken: np.ndarray) -> tuple[float, float, int]:
    """Correlation after alignment, level difference in dB (heard less spoken), and where `spoken` begins in `heard`."""
    lag = lag_of(heard, spoken)
    start = max(0, lag)
    part = heard[start : lag + len(spoken)]
    same = spoken[start - lag : start - lag + len(part)]
    if len(part) < len(spoken) // 2:
        return 0.0, 0.0, lag
    correlation = float(np.dot(part, same) / (np.linalg.norm(part) * np.linalg.norm(same) + 1e-12))
    level_db = 20 * float(np.log10((np.linalg.norm(part) + 1e-12) / (np.linalg.norm(same) + 1e-12)))
    return correlation, level_db, lag


def longest_silence_s(sound: np.ndarray, below_dbfs: float = -70.0) -> float:
    """The longest run of 5 ms blocks below the level: a gap in the middle of a steady sound."""
    block = RATE // 200
    rows = sound[: len(sound) // block * block].reshape(-1, block)
    quiet = 10 * np.log10((rows**2).mean(axis=1) + 1e-12) < below_dbfs
    longest = run = 0
    for one in quiet:
        run = run + 1 if one else 0
        longest = max(longest, run)
    return longest * block / RATE


def dented_s(tone: np.ndarray, by_db: float = 1.0) -> float:
    """For how long a steady tone was not as loud as it is, in steps of 10 ms."""
    rows = tone[: len(tone) // 480 * 480].reshape(-1, 480)
    levels = 10 * np.log10((rows**2).mean(axis=1) + 1e-12)
    return float((abs(levels - np.median(levels)) > by_db).sum()) / 100


def silent_s(sound: np.ndarray, below_dbfs: float = -70.0) -> float:
    """How much of it, in blocks of 5 ms, is below the level."""
    block = RATE // 200
    rows = sound[: len(sound) // block * block].reshape(-1, block)
    return float((10 * np.log10((rows**2).mean(axis=1) + 1e-12) < below_dbfs).sum()) / 200


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE and file.getsampwidth() == 2, "48 kHz, 16 bits"
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32767
        return samples.reshape(-1, file.getnchannels()).mean(axis=1)


def write_wav(path: Path, sound: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes())


def delays_s(heard: Caught, spoken: Caught, window_s: float = 1.5, most_s: float = 6.0) -> list[tuple[float, float]]:
    """How long after it was spoken each window of `heard` sounded, and how surely (its correlation, 0 to 1).

    Windows that hold no sound are left out; those below 0.6 fell on a place where something was cut or is unlike speech.
    """
    size, found = int(window_s * RATE), []
    for start in range(0, len(heard.sound) - size, size // 2):
        window = heard.sound[start : start + size]
        if 10 * np.log10(float((window**2).mean()) + 1e-12) < -50:
            continue
        at_s = heard.at_s + start / RATE
        first = max(0, int((at_s - most_s - spoken.at_s) * RATE))
        searched = spoken.sound[first : max(0, int((at_s - spoken.at_s) * RATE)) + size]
        if len(searched) < size * 2:
            continue
        correlation, _, lag = likeness(searched, window)
        found.append((at_s - (spoken.at_s + (first + lag) / RATE), correlation))
    return found


def decoded(address: str) -> np.ndarray:
    """All the sound at an address that ffmpeg can read to its end."""
    command = ["ffmpeg", "-v", "error", "-i", address, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
    sound = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=True).stdout
    return np.frombuffer(sound, np.int16).astype(np.float32) / 32767


def pieces(heard: np.ndarray, true: np.ndarray, window_s: float = 1.5) -> tuple[list[float], list[float]]:
    """Correlation and level (dB) of each window of what was heard with `true`, in which it must be somewhere.

    Windows that hold no sound are left out. Each is aligned as one, so whatever moves the sound in time within it, if only by a
    millisecond (a browser's clock put right, the end of its microphone's file, a player that catches up), costs it its likeness.
    """
    size = int(window_s * RATE)
    windows = [heard[start : start + size] for start in range(0, len(heard) - size, size // 2)]
    rows = [likeness(true, one) for one in windows if 10 * np.log10(float((one**2).mean()) + 1e-12) > -50]
    return [row[0] for row in rows], [-row[1] for row in rows]


def share_alike(correlations: list[float], least: float = 0.9) -> float:
    """Which share of the windows was alike what was spoken."""
    return sum(one > least for one in correlations) / max(1, len(correlations))
