"""Floor, target and jitter of the way that packets take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.sound.transit import TARGET_LEAST_S, TARGET_MOST_S, Transit


def travelled(*transits_s: float) -> Transit:
    transit = Transit()
    for one in transits_s:
        transit.measure(one)
    return transit


def test_a_steady_way_asks_for_the_least_and_has_no_jitter() -> None:
    transit = travelled(*[5.0] * 300)
    assert (transit.floor_s, transit.target_s, transit.jitter_s) == (5.0, TARGET_LEAST_S, 0.0)


def test_the_target_catches_98_of_100() -> None:
    late_s = [0.1 if number % 20 == 0 else 0.0 for number in range(256)]
    assert travelled(*late_s).target_s == pytest.approx(0.1)
    rarely_s = [0.1 if number % 100 == 0 else 0.0 for number in range(256)]
    assert travelled(*rarely_s).target_s == TARGET_LEAST_S


def test_the_floor_is_forgotten_when_the_way_gets_longer_and_taken_at_once_when_it_gets_shorter() -> None:
    transit = travelled(*[0.0] * 256, *[0.5] * 256)
    assert transit.floor_s == 0.5
    transit.measure(0.2)
    assert transit.floor_s == 0.2


def test_the_target_grows_at_once_and_shrinks_only_when_enough_is_known() -> None:
    transit = travelled(0.0, *[0.12] * 7)
    assert transit.target_s == pytest.approx(0.12)
    transit.begin_anew(transit.target_s)
    for _ in range(63):
        transit.measure(0.0)
    assert transit.target_s == pytest.approx(0.12)
    transit.measure(0.0)
    assert transit.target_s == TARGET_LEAST_S


def test_the_jitter_goes_on_when_all_else_begins_anew() -> None:
    transit = travelled(0.0, 0.016)
    assert transit.jitter_s == pytest.approx(0.001)  # RFC 3550 6.4.1: a sixteenth of the difference
    transit.begin_anew()
    assert transit.jitter_s == pytest.approx(0.001)
    transit.measure(9.0)
    assert transit.jitter_s == pytest.approx(0.001)
    assert transit.floor_s == transit.last_s == 9.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=600))
def test_whatever_is_measured_the_floor_is_below_and_the_target_within_its_bounds(transits_s: list[float]) -> None:
    transit = Transit()
    for one in transits_s:
        transit.measure(one)
        assert transit.floor_s <= one
        assert TARGET_LEAST_S <= transit.target_s <= TARGET_MOST_S
        assert transit.jitter_s >= 0
