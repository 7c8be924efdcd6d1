import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.sound import level
from rostra.sound.level import FLOOR_DBFS, Meter, PartLevel, Speaking
from rostra.sound.renditions import FRAME, RATE

TICK_S = 0.02


def tone(amplitude: float, samples: int = FRAME) -> level.Samples:
    return (amplitude * np.sin(2 * np.pi * 1000 / RATE * np.arange(samples))).astype(np.float32)


def test_a_full_scale_sine_has_minus_three_decibels_rms_and_none_peak() -> None:
    assert level.rms_dbfs(tone(1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level.peak_dbfs(tone(1.0)) == pytest.approx(0.0, abs=0.01)


def test_silence_is_the_floor() -> None:
    silence = np.zeros(FRAME, np.float32)
    assert level.rms_dbfs(silence) == level.peak_dbfs(silence) == pytest.approx(FLOOR_DBFS)
    assert level.levels_dbfs({"s1": silence}) == {"s1": pytest.approx(FLOOR_DBFS)}
    assert level.peak_dbfs(silence[:0]) == pytest.approx(FLOOR_DBFS)


def test_all_speakers_are_measured_as_each_alone() -> None:
    frames = {"s1": tone(0.5), "s2": tone(0.05), "s3": tone(0.0)}
    assert level.levels_dbfs(frames) == {
        seat: pytest.approx(level.rms_dbfs(frame), abs=1e-4) for seat, frame in frames.items()
    }
    assert level.levels_dbfs({}) == {}


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=8))
def test_a_parts_level_does_not_depend_on_how_it_was_cut(lengths: list[int]) -> None:
    whole = tone(0.5, sum(lengths))
    once, piecewise = PartLevel(), PartLevel()
    once.add(whole)
    for piece in np.split(whole, np.cumsum(lengths)[:-1]):
        piecewise.add(piece)
    # Sums in another order may round to the neighbouring whole number.
    assert np.allclose(piecewise.take(), once.take(), atol=1)
    assert piecewise.take() == once.take() == (-127, -127)


def test_a_parts_level_is_whole_decibels_and_never_above_zero() -> None:
    part = PartLevel()
    part.add(tone(0.5, 24_000))
    assert part.take() == (-9, -6)
    part.add(tone(1.5, 24_000))
    assert part.take() == (0, 0)


def test_the_meter_rises_at_once_and_falls_26_decibels_a_second() -> None:
    meter = Meter()
    assert meter.update({"s1": -20.0}, TICK_S) == {"s1": -20.0}
    for _ in range(50):
        shown = meter.update({"s1": -90.0}, TICK_S)
    assert shown == {"s1": pytest.approx(-46.0)}
    assert meter.update({"s1": -10.0}, TICK_S) == {"s1": -10.0}
    assert meter.update({}, TICK_S) == {}


def follow(speaking: Speaking, levels: list[float]) -> list[bool]:
    return [speaking.update({"s1": one}, TICK_S) == ("s1",) for one in levels]


def test_speech_begins_after_60_ms_and_ends_after_600_ms() -> None:
    told = follow(Speaking(), [-25.0] * 10 + [-80.0] * 40)
    assert told.index(True) == 2
    assert told[10:39] == [True] * 29
    assert told[39:] == [False] * 11


def test_a_click_is_no_speech_and_a_breath_does_not_end_it() -> None:
    assert not any(follow(Speaking(), ([-10.0, -10.0] + [-80.0] * 10) * 5))
    assert all(follow(Speaking(), [-25.0] * 3 + ([-80.0] * 28 + [-25.0] * 2) * 5)[2:])


def test_between_the_two_thresholds_nothing_changes() -> None:
    assert not any(follow(Speaking(), [-46.0] * 100))
    assert all(follow(Speaking(), [-25.0] * 3 + [-46.0] * 100)[2:])


def test_who_left_the_stage_does_not_speak_any_more() -> None:
    speaking = Speaking()
    for _ in range(5):
        speaking.update({"s1": -20.0, "s2": -20.0}, TICK_S)
    assert speaking.update({"s2": -20.0}, TICK_S) == ("s2",)
    assert speaking.update({"s1": -20.0, "s2": -20.0}, TICK_S) == ("s2",)
