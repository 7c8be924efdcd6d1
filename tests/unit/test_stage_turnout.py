"""Reports of many edges become one count."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.kernel.ids import SpaceId
from rostra.kernel.sketch import Sample, Sketch
from rostra.space.count import BEACON, Report
from rostra.space.events import Counted
from rostra.space.space import Space
from rostra.stage.turnout import EDGES_MOST, EVERY_ON_CHANGE_S, EVERY_S, HOLDS_S, MISSED, Turnout

SPACE = Space(SpaceId("abcdefghjk"))
HOW = "players that fetched sound in the last 10 s"
KEY, OTHER = b"k" * 16, b"o" * 16
STALE_S = MISSED * 2.0 + 1


def web(edge: str, count: int, **more: object) -> Report:
    return Report(edge, {"web": count} if count else {}, key=KEY, **more)  # type: ignore[arg-type]


def names(first: int, last: int) -> Sample:
    return Sample(number << 24 for number in range(first, last))


def seen(*marks: int) -> Sketch:
    return Sketch(marks)


def counted(now: int, peak: int, **more: object) -> Counted:
    return Counted(now, peak, HOW, kinds={"web": now} if now else {}, **more)  # type: ignore[arg-type]


def watch(turnout: Turnout, until: float, since: float = 0.0) -> None:
    for second in range(int(since), int(until) + 1):
        turnout.due(SPACE, float(second))


def test_the_newest_reports_of_all_edges_add_up_by_kind_and_old_ones_fall_away() -> None:
    turnout = Turnout()
    turnout.report(web("a", 10), 0.0)
    turnout.report(Report("b", {"web": 2, "hls": 3}), 1.0)
    turnout.report(web("a", 12), 2.0)
    assert turnout.now(3.0) == 17
    assert turnout.tally(3.0).kinds == {"hls": 3, "web": 14}
    assert turnout.now(1.5 + STALE_S) == 12
    assert turnout.now(3 + STALE_S) == 0


def test_an_edge_that_reports_rarely_stays_longer() -> None:
    turnout = Turnout()
    turnout.report(web("a", 10, every_s=10.0), 0.0)
    assert turnout.now(30.0) == 10
    assert turnout.now(32.0) == 0


def test_a_small_change_waits_and_a_big_one_does_not() -> None:
    turnout = Turnout()
    turnout.report(web("a", 100), 0.0)
    assert turnout.due(SPACE, 0.0) == counted(100, 0)
    told = Space(SPACE.id, count=100, peak=120, kinds={"web": 100})
    turnout.report(web("a", 101), 1.0)
    assert turnout.due(told, EVERY_S / 2) is None
    turnout.report(web("a", 101), EVERY_S - 1)
    assert turnout.due(told, EVERY_S) == counted(101, 120)
    turnout.report(web("a", 200), EVERY_S)
    assert turnout.due(told, EVERY_S + EVERY_ON_CHANGE_S / 2) is None
    assert turnout.due(told, EVERY_S + EVERY_ON_CHANGE_S) == counted(200, 120)


def test_no_change_is_no_event() -> None:
    assert Turnout().due(SPACE, 100.0) is None
    turnout = Turnout()
    turnout.report(web("a", 5, unique=seen(1, 2)), 0.0)
    told = Space(SPACE.id, count=5, kinds={"web": 5}, unique=2)
    assert turnout.due(told, 1.0) is None


def test_a_peak_has_stood_for_a_while() -> None:
    turnout = Turnout()
    for second in range(60):
        # An edge dies at 30: for as long as its last report counts, its listeners do so twice.
        turnout.report(web("a", 100 if second < 30 else 200), float(second))
        if second < 30:
            turnout.report(web("b", 100), float(second))
        turnout.due(SPACE, float(second))
        if second < HOLDS_S:
            assert turnout._peak == 0
    assert turnout.last(SPACE, 60.0) == counted(200, 200)


def test_a_broadcast_too_short_for_that_has_the_most_it_had() -> None:
    turnout = Turnout()
    turnout.report(web("a", 3), 0.0)
    watch(turnout, 4)
    assert turnout.last(SPACE, 5.0) == counted(3, 3)


def test_who_is_seen_by_two_edges_counts_once() -> None:
    turnout = Turnout()
    one = {"web": names(0, 50), "hls": names(50, 80)}
    two = {"web": names(40, 60), "hls": names(75, 90), "replay": names(0, 5)}
    turnout.report(Report("a", {"web": 60, "hls": 40}, key=KEY, named=one), 0.0)
    turnout.report(Report("b", {"web": 20, "hls": 15, "replay": 5}, key=KEY, named=two), 0.0)
    tally = turnout.tally(0.0)
    # Web: 40 to 49 twice. HLS: 50 to 59 are web at b, 75 to 79 twice. The replay of b is web at a.
    assert tally.kinds == {"web": 70, "hls": 40}
    assert (tally.now, tally.error) == (110, 0.0)


def test_unique_is_the_union_and_an_edge_that_restarts_doubles_nobody() -> None:
    turnout = Turnout()
    turnout.report(web("a", 3, unique=seen(1, 2, 3)), 0.0)
    turnout.report(web("b", 3, unique=seen(3, 4)), 0.0)
    assert turnout.tally(0.0).unique == 4
    turnout.report(Report("a", {"web": 9}, key=OTHER, unique=seen(7, 8, 9)), 1.0)  # as it begins, with a key of its own
    # Not taken: whom it has in common with others would not be seen. It is told the key and says all again at once.
    assert (turnout.tally(1.0).unique, turnout.tally(1.0).now, turnout.key) == (4, 6, KEY)
    turnout.report(web("a", 3, unique=seen(1, 2, 3)), 2.0)
    assert turnout.tally(2.0).unique == 4


def test_a_stage_that_restarts_is_told_all_again_and_never_goes_back() -> None:
    told = Space(SPACE.id, count=3, peak=50, kinds={"web": 3}, unique=400)
    turnout = Turnout()
    report = web("a", 4)
    turnout.report(report, 0.0)
    assert turnout.wants_all(report)
    report = web("a", 4, unique=Sketch(range(390)))
    turnout.report(report, 1.0)
    assert not turnout.wants_all(report) and not turnout.wants_all(web("a", 4))
    assert turnout.due(told, 3.0) == counted(4, 50, unique=400)


def test_two_methods_are_never_added() -> None:
    turnout = Turnout(BEACON)
    turnout.report(web("a", 1000), 0.0)
    turnout.report(Report("a", {"web": 300}, method=BEACON, one_in=10, key=KEY, unique=Sketch(range(30))), 0.0)
    turnout.report(web("b", 1000), 0.0)
    tally = turnout.tally(0.0)
    assert (tally.now, tally.unique) == (300, 300)
    assert tally.method == "web players, one in 10 of which says every 30 s that they are here"
    assert round(tally.error, 3) == round((9 / 300) ** 0.5, 3)


def test_edges_without_end_do_not_grow_without_end() -> None:
    turnout = Turnout()
    for number in range(2 * EDGES_MOST):
        turnout.report(web(f"e{number}", 1), 0.0)
    assert turnout.now(0.0) == EDGES_MOST


@settings(max_examples=40)
@given(st.lists(st.sets(st.integers(0, 60), max_size=30), min_size=1, max_size=6), st.integers(0, 2**32))
def test_whatever_each_edge_saw_named_listeners_count_once_each(edges: list[set[int]], seed: int) -> None:
    turnout = Turnout()
    order = list(enumerate(edges))
    random.Random(seed).shuffle(order)
    for number, marks in order:
        named = {"web": Sample(mark << 24 for mark in marks)} if marks else {}
        report = web(f"e{number}", len(marks), named=named, unique=Sketch(marks))
        turnout.report(report, 0.0)
    everybody = len(set().union(*edges))
    tally = turnout.tally(0.0)
    assert (tally.now, tally.unique, sum(tally.kinds.values())) == (everybody, everybody, everybody)
