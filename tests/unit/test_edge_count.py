"""Ears: each counted once, for ten seconds, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from rostra.edge.count import WINDOW_S, Ears


def test_an_ear_counts_once_however_often_it_asks() -> None:
    ears = Ears(0.0)
    for _ in range(10):
        ears.add(1)
        ears.add(2)
    assert ears.count(0.1) == 2


def test_an_ear_that_fell_silent_is_forgotten() -> None:
    ears = Ears(0.0)
    ears.add(1)
    assert ears.count(WINDOW_S - 0.1) == 1
    assert ears.count(WINDOW_S + 2.1) == 0
    assert ears.peak == 1


def test_an_ear_that_goes_on_asking_stays() -> None:
    ears = Ears(0.0)
    for turn in range(100):
        ears.add(7)
        assert ears.count(turn * 0.5) == 1


def test_a_flood_of_keys_is_bounded_and_said() -> None:
    ears = Ears(0.0, most=100)
    for key in range(1000):
        ears.add(key)
    assert ears.count(0.0) == 100
    assert ears.overflowed == 900


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0.0, 3.0)), max_size=60))
def test_the_count_is_that_of_a_naive_list_within_one_turn(asked: list[tuple[int, float]]) -> None:
    ears, now = Ears(0.0), 0.0
    last: dict[int, float] = {}
    for key, pause_s in asked:
        now += pause_s
        count = ears.count(now)
        assert (
            sum(now - at < WINDOW_S - 2 for at in last.values())
            <= count
            <= sum(now - at <= WINDOW_S + 2.01 for at in last.values())
        )
        ears.add(key)
        last[key] = now
