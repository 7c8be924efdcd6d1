"""MP3 made part by part: each from nothing but its two Opus parts, and all together one stream without seams."""

from functools import cache

import av
import numpy as np

from rostra.broadcast.mp3_part import mp3_part
from rostra.codec import mp3, opus
from rostra.sound import fmp4
from rostra.sound.mp3 import FRAME_BYTES, FRAME_SAMPLES, frames_of_part
from rostra.sound.renditions import RATE, Rendition

PARTS = 13
DELAY = 1105
"""Samples that MP3's own filters take, coder and decoder together (LAME's encoder delay and the decoder's 529)."""


@cache
def voice() -> np.ndarray:
    """Something like speech: a buzz through a moving formant, in syllables."""
    at = np.arange(PARTS * 24_000) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * at)) / RATE
    buzz = sum(np.sin(k * pitch) / k for k in range(1, 30))
    colour = np.sin(2 * np.pi * np.cumsum(600 + 300 * np.sin(2 * np.pi * 2.3 * at)) / RATE)
    return (0.12 * buzz * (1 + colour) * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * at))).astype(np.float32)


@cache
def opus_parts() -> list[bytes]:
    encoder = opus.Encoder(Rendition.OPUS.shape.bitrate_bps)
    frames = [encoder.encode(voice()[at : at + 960]) for at in range(0, voice().size, 960)]
    return [fmp4.part(Rendition.OPUS, n, frames[25 * n : 25 * n + 25], 10**15 + n * 500_000) for n in range(PARTS)]


@cache
def mp3_parts() -> list[bytes]:
    parts = opus_parts()
    return [mp3_part(number, parts[number - 1] if number else None, parts[number]) for number in range(PARTS)]


def decoded_opus() -> np.ndarray:
    decoder = opus.Decoder()
    return np.concatenate([decoder.decode(packet) for part in opus_parts() for packet in fmp4.frames_of(part)])


def decoded(stream: bytes) -> np.ndarray:
    context = av.CodecContext.create("mp3float", "r")
    frames = [stream[at : at + FRAME_BYTES] for at in range(0, len(stream), FRAME_BYTES)]
    return np.concatenate([out.to_ndarray()[0] for frame in frames for out in context.decode(av.Packet(frame))])


def error_db(sound: np.ndarray) -> np.ndarray:
    """By frame, below the sound."""
    true = decoded_opus()
    size = min(true.size, sound.size - DELAY) // FRAME_SAMPLES * FRAME_SAMPLES
    wrong = (sound[DELAY : DELAY + size] - true[:size]).reshape(-1, FRAME_SAMPLES)
    power = (true[:size].reshape(-1, FRAME_SAMPLES) ** 2).mean(axis=1)
    return 10 * np.log10((wrong**2).mean(axis=1) / power)


def test_a_part_holds_its_frames_and_each_may_be_the_first() -> None:
    for number, part in enumerate(mp3_parts()):
        frames = [part[at : at + FRAME_BYTES] for at in range(0, len(part), FRAME_BYTES)]
        assert len(frames) == len(frames_of_part(number))
        for frame in frames:
            # MPEG-1 layer III without checksum, 64 kb/s, 48 kHz, no padding, one channel; main data begins in this frame.
            assert frame[:3] == b"\xff\xfb\x54" and frame[3] >> 6 == 3
            assert frame[4] == 0 and frame[5] >> 7 == 0


def test_a_part_is_the_same_bytes_whenever_it_is_made() -> None:
    parts = opus_parts()
    assert mp3_part(7, parts[6], parts[7]) == mp3_parts()[7]


def test_seams_between_parts_are_no_worse_than_what_lies_between() -> None:
    error = error_db(decoded(b"".join(mp3_parts())))
    seams = {frames_of_part(number).start + beside for number in range(1, PARTS) for beside in (-1, 0)}
    at_seams = np.array([error[frame] for frame in seams if frame < error.size])
    between = np.array([error[frame] for frame in range(2, error.size) if frame not in seams])
    assert np.median(between) < -18
    assert at_seams.max() < between.max() + 1
    assert abs(np.median(at_seams) - np.median(between)) < 2


def test_it_is_the_stream_of_an_encoder_that_never_stops() -> None:
    encoder, sound = mp3.Encoder(), decoded_opus()
    never_stopped: list[bytes] = []
    for at in range(0, sound.size - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        never_stopped += encoder.encode(sound[at : at + FRAME_SAMPLES])
    stream = b"".join(mp3_parts())
    frames = [stream[at : at + FRAME_BYTES] for at in range(0, len(stream), FRAME_BYTES)]
    assert len(frames) == len(never_stopped)
    same = sum(ours == theirs for ours, theirs in zip(frames, never_stopped, strict=True))
    assert same / len(frames) > 0.9
