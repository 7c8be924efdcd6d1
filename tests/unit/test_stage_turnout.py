from rostra.kernel.ids import SpaceId
from rostra.space.events import Counted
from rostra.space.space import Space
from rostra.stage.turnout import EDGES_MOST, EVERY_ON_CHANGE_S, EVERY_S, STALE_S, Turnout

SPACE = Space(SpaceId("abcdefghjk"))


def test_the_newest_reports_of_all_edges_add_up_and_old_ones_fall_away() -> None:
    turnout = Turnout()
    turnout.report("a", 10, "requests", 0.0)
    turnout.report("b", 5, "requests", 1.0)
    turnout.report("a", 12, "requests", 2.0)
    assert turnout.now(3.0) == 17
    assert turnout.now(1.5 + STALE_S) == 12
    assert turnout.now(3 + STALE_S) == 0


def test_a_small_change_waits_and_a_big_one_does_not() -> None:
    turnout = Turnout()
    turnout.report("a", 100, "requests", 0.0)
    assert turnout.due(SPACE, 0.0) == Counted(100, 100, "requests")
    told = Space(SPACE.id, count=100, peak=120)
    turnout.report("a", 101, "requests", 1.0)
    assert turnout.due(told, EVERY_S - 0.1) is None
    assert turnout.due(told, EVERY_S) == Counted(101, 120, "requests")
    turnout.report("a", 200, "requests", EVERY_S)
    assert turnout.due(told, EVERY_S + EVERY_ON_CHANGE_S / 2) is None
    assert turnout.due(told, EVERY_S + EVERY_ON_CHANGE_S) == Counted(200, 200, "requests")


def test_no_change_is_no_event() -> None:
    assert Turnout().due(SPACE, 100.0) is None


def test_edges_without_end_do_not_grow_without_end() -> None:
    turnout = Turnout()
    for number in range(2 * EDGES_MOST):
        turnout.report(f"e{number}", 1, "requests", 0.0)
    assert turnout.now(0.0) == EDGES_MOST
