import pytest

from rostra.kernel.clock import ManualClock
from rostra.kernel.errors import Overloaded
from rostra.kernel.ids import SeatId
from rostra.kernel.settings import Settings
from rostra.stage.studio import OF_A_SEAT_MOST, WATCHERS_MOST, Studio, Watcher

HOST, GUEST = SeatId("s1"), SeatId("s2")


def studio() -> Studio:
    return Studio(Settings(), ManualClock())


def test_pages_of_one_seat_do_not_lock_the_hosts_out() -> None:
    full = studio()
    host, _ = full.watch(HOST)
    guests = [full.watch(GUEST)[0] for _ in range(WATCHERS_MOST + 5)]
    assert full.watchers == 1 + OF_A_SEAT_MOST and not host.closed
    assert [one.closed for one in guests] == [True] * (len(guests) - OF_A_SEAT_MOST) + [False] * OF_A_SEAT_MOST


def test_a_studio_has_room_for_so_many_pages_and_a_seat_may_always_change_its_own() -> None:
    full = studio()
    for number in range(WATCHERS_MOST // OF_A_SEAT_MOST):
        for _ in range(OF_A_SEAT_MOST):
            full.watch(SeatId(f"s{number + 1}"))
    late = SeatId("s99")
    assert not full.has_room(late) and full.has_room(HOST)
    with pytest.raises(Overloaded):
        full.watch(late)
    full.watch(HOST)
    assert full.watchers == WATCHERS_MOST


def test_whoever_stops_makes_room() -> None:
    one = studio()
    watching: list[Watcher] = []
    for _ in range(3):
        watcher, stop = one.watch(HOST)
        watching.append(watcher)
        stop()
        stop()
    assert one.watchers == 0 and not any(watcher.closed for watcher in watching)
