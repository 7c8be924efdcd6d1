from hypothesis import given
from hypothesis import strategies as st

from rostra.rehearsal.playout import RATE, Playout, Span

HALF = RATE // 2


def started(parts: int = 2, behind_s: float = 0.8) -> Playout:
    playout = Playout(behind_s)
    for number in range(parts):
        playout.arrive(number * HALF, HALF, 0.0)
    playout.start(0.0)
    return playout


def test_starts_behind_the_newest_sound() -> None:
    assert started().position == RATE - round(0.8 * RATE)


def test_plays_at_the_speed_of_time() -> None:
    playout = started()
    assert playout.advance(0.5) == [Span(9600, RATE // 2 - 9600), Span(HALF, 9600)]
    assert playout.position == 9600 + HALF


def test_a_part_that_comes_in_time_leaves_no_gap() -> None:
    playout = started()
    playout.arrive(2 * HALF, HALF, 0.5)
    playout.advance(1.2)
    assert playout.gaps == 0


def test_a_late_part_is_a_gap_and_a_rest_so_that_the_next_is_not_late_too() -> None:
    playout = started()
    spans = playout.arrive(2 * HALF, HALF, 1.3)
    assert spans[-1] == Span(None, round(0.65 * RATE))
    assert (playout.gaps, round(playout.gap_s, 6)) == (1, 0.65)


def test_goes_on_where_it_stopped_after_a_short_gap() -> None:
    playout = started()
    playout.arrive(2 * HALF, HALF, 1.0)
    assert playout.advance(1.4)[0] == Span(2 * HALF, HALF // 2)
    assert playout.skipped_s == 0


def test_jumps_near_the_newest_sound_when_much_comes_at_once() -> None:
    playout = started()
    for number in range(2, 10):
        playout.arrive(number * HALF, HALF, 4.0)
    assert playout.ahead_s <= 2.0
    assert playout.skipped_s > 2.0


def test_a_replay_starts_at_the_beginning_and_never_jumps() -> None:
    playout = Playout(jump_s=None)
    for number in range(20):
        playout.arrive(number * HALF, HALF, 0.0)
    playout.start(0.0)
    assert playout.position == 0
    assert sum(span.length for span in playout.finish(10.0, ended=True)) == 10 * RATE


def test_the_end_of_a_broadcast_is_no_gap() -> None:
    playout = started()
    playout.finish(5.0, ended=True)
    assert playout.gaps == 0


def test_a_drought_at_the_end_of_listening_is_a_gap() -> None:
    playout = started()
    playout.finish(5.0)
    assert playout.gaps == 1


def test_each_part_is_heard_once_at_its_moment() -> None:
    playout = started()
    playout.arrive(2 * HALF, HALF, 0.4)
    playout.advance(1.0)
    assert [(heard.start, round(heard.at, 6)) for heard in playout.heard()] == [
        (9600, 0.0),
        (HALF, 0.3),
        (2 * HALF, 0.8),
    ]


def steadily(playout: Playout, numbers: range, first: float, late_s: dict[int, float] | None = None) -> float:
    """Parts that are made each half second from `first` on, in order, some of them late. Gives how far behind the last it ends."""
    now = 0.0
    for at, number in enumerate(numbers):
        now = max(now, first + at / 2 + (late_s or {}).get(number, 0.0))
        playout.arrive(number * HALF, HALF, now)
    return (numbers.stop * HALF - playout.position) / RATE


def test_what_a_gap_cost_in_latency_is_won_back() -> None:
    playout = started(3, 0.8)
    before_s = steadily(playout, range(3, 10), 0.4)
    after_s = steadily(playout, range(10, 14), 3.9, {10: 1.2})
    assert playout.gaps == 1
    assert after_s > before_s + 0.3
    later_s = steadily(playout, range(14, 200), 5.9)
    assert later_s < before_s + 0.2
    assert (playout.gaps, playout.rate, playout.skipped_s) == (1, 1.0, 0.0)


def test_a_line_that_wobbles_within_its_margin_costs_no_gap_by_catching_up() -> None:
    playout = started(3, 1.2)
    steadily(playout, range(3, 400), 0.1, dict.fromkeys(range(3, 400, 2), 0.2))
    assert playout.gaps == 0
    assert playout.skipped_s == 0


def test_nobody_catches_up_in_a_replay() -> None:
    playout = Playout(jump_s=None)
    for number in range(20):
        playout.arrive(number * HALF, HALF, 0.0)
    playout.start(0.0)
    for number in range(20, 40):
        playout.arrive(number * HALF, HALF, 0.1)
    assert playout.rate == 1.0


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30))
def test_what_came_out_lasts_as_long_as_the_time_that_passed(delays: list[float]) -> None:
    playout, now, length, faster = started(), 0.0, 0, False
    for number, delay in enumerate(delays, 2):
        now += delay
        length += sum(span.length for span in playout.arrive(number * HALF, HALF, now))
        faster |= playout.rate > 1
    length += sum(span.length for span in playout.finish(now + 1))
    most = 0.1 * (now + 1) * RATE if faster else 0
    # A drought just begun is no gap yet.
    assert -0.02 * RATE - len(delays) <= length - (now + 1) * RATE <= 0.02 * RATE + len(delays) + most


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30))
def test_no_sample_is_played_twice_or_out_of_order(delays: list[float]) -> None:
    playout, now, spans = started(), 0.0, []
    for number, delay in enumerate(delays, 2):
        now += delay
        spans += playout.arrive(number * HALF, HALF, now)
    spans += playout.finish(now + 1)
    played = [span for span in spans if span.start is not None]
    for before, after in zip(played, played[1:], strict=False):
        assert after.start is not None and before.start is not None
        assert after.start >= before.start + before.length
