"""The beat of a room: no tick too many, none lost that can be made up for, and no drift."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.stage.beat import CATCH_UP_TICKS, TICK_S, Beat
from rostra.stage.room import STALLED_S


def test_in_time_it_waits_for_each_tick_and_does_not_drift() -> None:
    beat, now = Beat(100.0), 100.0
    for number in range(1000):
        assert beat.wait_s(now) <= 0
        assert beat.begin(now + 0.003) == 0  # a little late each time
        beat.end()
        assert not beat.catching_up
        now += 0.003 + beat.wait_s(now + 0.003)
        assert now == pytest.approx(100.0 + (number + 1) * TICK_S)


def test_a_stall_is_noticed_once_and_made_up_for_tick_by_tick() -> None:
    beat = Beat(0.0)
    now = 10.5 * TICK_S
    assert beat.stalled(now)
    ticks = 0
    while beat.wait_s(now) <= 0:
        assert beat.begin(now) == 0
        beat.end()
        ticks += 1
        assert not (beat.catching_up and beat.stalled(now))
    assert ticks == 11
    assert not beat.catching_up


def test_a_stall_too_long_is_left_out_and_what_follows_is_in_time() -> None:
    beat = Beat(0.0)
    now = (CATCH_UP_TICKS + 1.5) * TICK_S
    assert beat.begin(now) == CATCH_UP_TICKS + 1
    assert 0 <= now - beat.due < TICK_S
    beat.end()
    assert 0 < beat.wait_s(now) < TICK_S


@given(st.lists(st.floats(0, 3), max_size=40))
def test_however_it_stalls_each_tick_is_done_or_left_out(pauses_s: list[float]) -> None:
    beat, now, ticks, left_out = Beat(0.0), 0.0, 0, 0
    for pause_s in pauses_s:
        now += pause_s
        while beat.wait_s(now) <= 0:
            gone = beat.begin(now)
            assert gone == 0 or gone > CATCH_UP_TICKS
            left_out += gone
            beat.end()
            ticks += 1
        assert ticks + left_out == pytest.approx(beat.due / TICK_S)
        assert 0 < beat.wait_s(now) <= TICK_S + 1e-9
        assert STALLED_S > TICK_S and not beat.stalled(now)
