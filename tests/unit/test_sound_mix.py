import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.sound.mix import CEILING, Frame, Mixer
from rostra.sound.renditions import FRAME, RATE

NOWHERE = np.zeros(FRAME, np.float32)


def tone(tick: int, hertz: float = 440.0, amplitude: float = 0.2) -> Frame:
    at = np.arange(tick * FRAME, (tick + 1) * FRAME)
    return (amplitude * np.sin(2 * np.pi * hertz / RATE * at)).astype(np.float32)


def steepest(samples: Frame) -> float:
    return float(np.abs(np.diff(samples)).max())


def decibels(ratio: float) -> float:
    return 20 * float(np.log10(ratio))


def test_each_speaker_hears_everybody_but_himself() -> None:
    mixer = Mixer()
    for tick in range(5):
        frames = {f"s{n}": tone(tick, 200.0 + 150 * n, 0.05) for n in range(1, 5)}
        mix = mixer.mix(frames)
    assert np.allclose(mix.total, sum(frames.values()), atol=1e-6)
    for seat in frames:
        others = sum(frame for other, frame in frames.items() if other != seat)
        assert decibels(float(np.abs(mix.heard_by(seat) - others).max()) / 0.05 + 1e-12) < -100


def test_all_who_are_silent_share_one_mix() -> None:
    mixer = Mixer()
    for tick in range(3):
        mix = mixer.mix({"s1": tone(tick), "s2": NOWHERE, "s3": NOWHERE})
    assert mix.heard_by("s2") is mix.heard_by("s3") is mix.heard_by("a stranger") is mix.total
    assert set(mix.minus) == {"s1"}
    assert not mix.heard_by("s1").any()


def test_a_normal_level_passes_bit_for_bit() -> None:
    mixer = Mixer()
    mixer.mix({"s1": tone(0)})
    assert np.array_equal(mixer.mix({"s1": tone(1)}).total, tone(1))


def test_nobody_on_stage_is_silence() -> None:
    mix = Mixer().mix({})
    assert mix.total.shape == (FRAME,)
    assert not mix.total.any()
    assert mix.minus == {}


@pytest.mark.parametrize("how", ["join", "mute", "unmute", "leave", "gap"])
def test_a_voice_begins_and_ends_without_a_click(how: str) -> None:
    # A constant is the hardest case: any jump of it is heard, and nothing of its own hides a click.
    constant = np.full(FRAME, 0.2, np.float32)
    heard = []
    mixer = Mixer()
    for tick in range(20):
        here = {"join": tick >= 8, "leave": tick < 8, "gap": tick != 8}.get(how, True)
        muted = {"mute": tick >= 8, "unmute": tick < 8}.get(how, False)
        heard.append(mixer.mix({"s1": constant} if here else {}, muted={"s1"} if muted else ()).total)
    whole = np.concatenate(heard)
    # The steepest place of a 5 ms raised cosine, and a little for rounding.
    assert steepest(whole) <= 0.2 * np.pi / 2 / 240 * 1.01
    assert steepest(whole) > 0
    ends = {"mute": 0.0, "leave": 0.0}
    assert whole[-1] == pytest.approx(ends.get(how, 0.2))


def test_a_muted_speaker_is_neither_heard_nor_subtracted() -> None:
    mixer = Mixer()
    for tick in range(3):
        mix = mixer.mix({"s1": tone(tick), "s2": tone(tick, 700)}, muted=["s1"])
    assert np.array_equal(mix.total, tone(2, 700))
    assert mix.heard_by("s1") is mix.total


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.0, 4.0), min_size=1, max_size=13), st.integers(0, 2**31))
def test_nothing_leaves_above_the_ceiling(amplitudes: list[float], seed: int) -> None:
    chance, mixer = np.random.default_rng(seed), Mixer()
    for _ in range(6):
        frames = {
            f"s{n}": (chance.standard_normal(FRAME) * amplitude).astype(np.float32)
            for n, amplitude in enumerate(amplitudes)
        }
        mix = mixer.mix(frames)
        for output in (mix.total, *mix.minus.values()):
            assert float(np.abs(output).max()) <= CEILING + 1e-6


def test_a_loud_moment_is_turned_down_and_back_up_without_a_click() -> None:
    mixer, heard, gains = Mixer(), [], []
    for tick in range(120):
        spoken = tone(tick, 100.0, 1.5 if 10 <= tick < 20 else 0.5)
        output = mixer.mix({"s1": spoken}).total
        heard.append(output)
        gains.append(decibels(float(np.sqrt(np.mean(output**2)) / np.sqrt(np.mean(spoken**2)))))
    # No steeper than the loudest undistorted 100 Hz tone that fits, but for the attack's own ramp.
    loudest_slope = 2 * np.pi * 100 / RATE * 1.5
    assert steepest(np.concatenate(heard[1:])) <= loudest_slope
    assert gains[9] == 0.0
    assert -6.5 < gains[15] < -5
    # A tone keeps its shape while it is held down: no distortion but in the first 2 ms.
    assert np.allclose(heard[15], tone(15, 100.0, 1.5) * 10 ** (gains[15] / 20), atol=1e-3)
    assert -1 < gains[60] <= 0
    assert gains[-1] == 0.0


def test_three_people_talking_at_once_stay_within_a_decibel() -> None:
    mixer, voices = Mixer(), [("s1", 173.0), ("s2", 311.0), ("s3", 457.0)]
    spoken, heard = [], []
    for tick in range(50):
        frames = {seat: tone(tick, hertz, 0.25) for seat, hertz in voices}
        spoken.append(sum(frames.values()))
        heard.append(mixer.mix(frames).total)
    power_in, power_out = np.mean(np.concatenate(spoken) ** 2), np.mean(np.concatenate(heard) ** 2)
    assert abs(10 * np.log10(power_out / power_in)) < 1


def test_a_decoder_gone_mad_does_not_take_the_others_along() -> None:
    mixer = Mixer()
    mad = {"nan": np.full(FRAME, np.nan, np.float32), "inf": np.full(FRAME, np.inf, np.float32)}
    for tick in range(3):
        mix = mixer.mix({"s1": tone(tick), **mad})
        assert np.isfinite(mix.total).all()
    assert np.array_equal(mix.total, tone(2))
    huge = mixer.mix({"s1": tone(3), "s2": np.full(FRAME, 3e38, np.float32)})
    assert np.isfinite(huge.total).all() and np.isfinite(huge.minus["s1"]).all()


def test_the_frames_given_are_not_changed() -> None:
    mixer, given_frame = Mixer(), tone(0, amplitude=2.0)
    mixer.mix({"s1": given_frame})
    assert np.array_equal(given_frame, tone(0, amplitude=2.0))
