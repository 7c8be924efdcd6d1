from hypothesis import given
from hypothesis import strategies as st

from rostra.control.throttle import Throttle


def test_a_peer_has_its_burst_and_then_waits() -> None:
    throttle = Throttle(burst=3, per_s=0.5)
    assert [throttle.wait_s("192.0.2.1", 0.0) for _ in range(4)] == [0, 0, 0, 2]
    assert throttle.wait_s("192.0.2.1", 1.9) > 0
    assert throttle.wait_s("192.0.2.1", 2.0) == 0


def test_one_peer_does_not_slow_another() -> None:
    throttle = Throttle(burst=1, per_s=0.1)
    throttle.wait_s("192.0.2.1", 0.0)
    assert throttle.wait_s("192.0.2.1", 0.0) > 0
    assert throttle.wait_s("192.0.2.2", 0.0) == 0


def test_addresses_of_one_household_share_one_pace() -> None:
    throttle = Throttle(burst=1, per_s=0.1)
    throttle.wait_s("2001:db8:1:2::1", 0.0)
    assert throttle.wait_s("2001:db8:1:2:ffff::9", 0.0) > 0
    assert throttle.wait_s("2001:db8:1:3::1", 0.0) == 0


def test_a_flood_of_peers_takes_no_more_room() -> None:
    throttle = Throttle(peers_most=10)
    for number in range(1000):
        throttle.wait_s(f"192.0.{number // 250}.{number % 250}", 0.0)
    assert len(throttle) == 10
    assert throttle.forgotten == 990


@given(st.lists(st.tuples(st.sampled_from(["192.0.2.1", "::1", "nonsense"]), st.floats(0, 10)), max_size=60))
def test_no_peer_gets_more_than_its_burst_and_what_has_filled_since(tries: list[tuple[str, float]]) -> None:
    throttle, now, passed = Throttle(burst=3, per_s=0.5), 0.0, dict[str, int]()
    for peer, later in tries:
        now += later
        passed[peer] = passed.get(peer, 0) + (throttle.wait_s(peer, now) == 0)
    assert all(count <= 3 + now * 0.5 + 1e-6 for count in passed.values())
