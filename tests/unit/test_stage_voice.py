"""A voice over a scripted way: what is lost, late and reordered is decided here, packet by packet."""

import random
from typing import cast

import numpy as np
import pytest

from rostra.codec import opus
from rostra.kernel.ids import SeatId
from rostra.sound.renditions import FRAME, RATE
from rostra.stage import rtp
from rostra.stage.peer import Peer
from rostra.stage.room import Chair, Pulse
from rostra.stage.voice import Voice

SECONDS = 6.0


def spoken() -> np.ndarray:
    t = np.arange(round(SECONDS * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(180 + 40 * np.sin(2 * np.pi * 0.5 * t)) / RATE
    return (0.2 * np.sin(phase) + 0.1 * np.sin(3 * phase)).astype(np.float32)


def packets() -> list[bytes]:
    encoder = opus.Encoder(48_000, expected_loss_pct=10, tuned_for="voice")
    return [encoder.encode(frame) for frame in np.split(spoken(), round(SECONDS * 50))]


def heard(sent: list[bytes], loss: float, jitter_s: float, seed: int = 1) -> tuple[Voice, np.ndarray]:
    chance = random.Random(seed)
    arrivals = sorted(
        (number * 0.02 + chance.uniform(0, jitter_s), number)
        for number in range(len(sent))
        if chance.random() >= loss or number < 5
    )
    voice, frames, at = Voice(), [], 0
    for tick in range(len(sent) + 20):
        now = tick * 0.02 + 0.001
        while at < len(arrivals) and arrivals[at][0] <= now:
            arrived, number = arrivals[at]
            voice.put(number & 0xFFFF, (number * 960) & 0xFFFFFFFF, sent[number], arrived)
            at += 1
        frames.append(voice.frame(now))
    return voice, np.concatenate(frames)


def delay_s(sound: np.ndarray, part: slice) -> float:
    """How much later than spoken this part is heard, by correlation."""
    reference = spoken()[part]
    lags = range(0, round(0.3 * RATE), 48)
    best = max(lags, key=lambda lag: float(np.dot(reference, sound[part.start + lag : part.stop + lag])))
    return best / RATE


@pytest.mark.parametrize(("loss", "jitter_s"), [(0.0, 0.0), (0.01, 0.0), (0.05, 0.03), (0.10, 0.06)])
def test_neither_loss_nor_jitter_leaves_a_lasting_delay(loss: float, jitter_s: float) -> None:
    voice, sound = heard(packets(), loss, jitter_s)
    late = slice(round(4.5 * RATE), round(5.5 * RATE))
    assert delay_s(sound, late) <= 0.08 + jitter_s
    assert voice.heard


@pytest.mark.parametrize("loss", [0.05, 0.10])
def test_losses_are_repaired_so_that_the_voice_never_falls_silent(loss: float) -> None:
    voice, sound = heard(packets(), loss, 0.0)
    body = sound[round(0.5 * RATE) : round(5.5 * RATE)].reshape(-1, FRAME)
    loudness = np.sqrt((body**2).mean(axis=1))
    assert float((loudness < 0.02).mean()) < 0.01
    assert voice.jitter.counters.repairable > 0


def test_a_frame_left_out_of_a_steady_sound_leaves_no_step() -> None:
    t = np.arange(round(10 * RATE)) / RATE
    encoder = opus.Encoder(64_000, tuned_for="voice")
    sent = [encoder.encode(one) for one in np.split((0.2 * np.sin(2 * np.pi * 205 * t)).astype(np.float32), 500)]
    voice, frames = Voice(), []
    for tick in range(500):
        # The first second comes in bursts of 120 ms, what follows on time: the delay has to shrink.
        due = tick if tick >= 60 else tick // 6 * 6
        if tick < 60 and tick % 6 == 0:
            for number in range(max(0, tick - 6), tick):
                voice.put(number, number * 960, sent[number], tick * 0.02)
        elif tick >= 60 and due == tick:
            for number in range(54 if tick == 60 else tick, tick + 1):
                voice.put(number, number * 960, sent[number], tick * 0.02)
        frames.append(voice.frame(tick * 0.02 + 0.001))
    steady = np.concatenate(frames[100:])
    assert voice.jitter.counters.skipped > 0
    assert float(np.abs(np.diff(steady)).max()) < 0.012  # the sound itself moves by 0.0054 a sample at most


def test_every_tick_gives_a_frame_even_of_nonsense() -> None:
    voice, chance = Voice(), random.Random(3)
    for tick in range(300):
        voice.put(tick, tick * 960, chance.randbytes(chance.randrange(0, 60)), tick * 0.02)
        frame = voice.frame(tick * 0.02)
        assert frame.shape == (FRAME,) and frame.dtype == np.float32 and bool(np.isfinite(frame).all())


def test_a_voice_that_stops_fades_and_is_then_silent() -> None:
    sent = packets()[:100]
    _, sound = heard(sent, 0.0, 0.0)
    assert float(np.max(np.abs(sound[-10 * FRAME :]))) == 0.0
    steps = np.abs(np.diff(sound[95 * FRAME :]))
    assert float(steps.max()) < 0.05  # no click


def test_packets_of_other_lengths_fill_the_same_ticks() -> None:
    lib_frame = 480
    voice = Voice()
    encoder = opus.Encoder(48_000)
    double = [encoder.encode(frame) for frame in np.split(spoken()[: 100 * FRAME], 100)]
    for number in range(100):
        voice.put(number, number * 960, double[number], number * 0.02)
        assert voice.frame(number * 0.02 + 0.001).size == 2 * lib_frame


def test_a_stall_of_our_own_is_made_up_for_and_is_not_taken_for_the_networks_jitter() -> None:
    sent, pulse = packets(), Pulse()
    chair = Chair(SeatId("s1"), cast(Peer, None), "whip", pulse)
    frames = []
    for tick in range(len(sent)):
        now = tick * 0.02
        if 100 <= tick < 125:
            continue  # half a second in which this process does not run
        read = range(100, 126) if tick == 125 else [tick]
        for number in read:
            chair.packet(rtp.Packet(111, number, number * 960, 1, sent[number]), now)
        for due in read:
            pulse.at = due * 0.02 + 0.001
            frames.append(chair.voice.frame(pulse.at))
    assert chair.voice.jitter.target_s < 0.05
    assert chair.voice.jitter.counters.lost + chair.voice.jitter.counters.skipped == 0
    late = slice(round(4.5 * RATE), round(5.5 * RATE))
    assert delay_s(np.concatenate(frames), late) <= 0.08
