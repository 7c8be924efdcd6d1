"""Ears: each counted once, for ten seconds, in bounded memory, by kind of player."""

import secrets
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.edge.count import NAMES_MOST, UNIQUE_EVERY_S, Ears
from rostra.edge.ear import APART, Ear, connection_of, ear_of, sid_of
from rostra.kernel.sketch import Sketch
from rostra.space.count import BEACON, BEACON_EVERY_S, WINDOW_S
from rostra.wire.http1 import Request
from rostra.wire.server import Exchange

KEY = b"k" * 16


class Asking:
    """What counting looks at of an exchange."""

    def __init__(
        self, connection: int = 1, query: str = "", keep_alive: bool = True, peer: str = "192.0.2.7", **headers: str
    ):
        pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.request = Request("GET", "/x", "/x", pairs, named, keep_alive=keep_alive)
        self.connection_id = connection
        self.peer = peer


def asking(*args: object, **named: object) -> Exchange:
    return cast(Exchange, Asking(*args, **named))  # type: ignore[arg-type]


def test_an_ear_counts_once_however_often_it_asks() -> None:
    ears = Ears(0.0)
    for _ in range(10):
        ears.web.add(1)
        ears.web.add(2)
    assert ears.count(0.1) == 2


def test_an_ear_that_fell_silent_is_forgotten() -> None:
    ears = Ears(0.0)
    ears.hls.add(1)
    assert ears.count(WINDOW_S - 0.1) == 1
    assert ears.count(WINDOW_S + 2.1) == 0


def test_an_ear_that_goes_on_asking_stays() -> None:
    ears = Ears(0.0)
    for turn in range(100):
        ears.web.add(7)
        assert ears.count(turn * 0.5) == 1


def test_a_stream_counts_as_long_as_it_runs() -> None:
    ears = Ears(0.0)
    first, second = ears.stream.stay(5), ears.stream.stay(5)
    assert ears.kinds(100.0) == {"stream": 1}
    first()
    assert ears.count(200.0) == 1
    second()
    ears.count(200.0)
    assert ears.count(200.0 + WINDOW_S + 2.1) == 0


def test_a_flood_of_keys_is_bounded_and_said() -> None:
    ears = Ears(0.0, most=100)
    for key in range(1000):
        ears.web.add(key)
    for key in range(1000):
        ears.name(key, f"sid {key}")
        ears.came(key)
    assert ears.count(0.0) == 100
    assert ears.overflowed == 900 + 900


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
        ears.web.add(key)
        last[key] = now


def test_kinds_add_up_and_who_goes_back_in_time_counts_once() -> None:
    ears = Ears(0.0)
    for key in range(10):
        ears.web.add(key)
    ears.hls.add("name")
    for key in (3, 20):
        ears.replay.add(key)
    assert ears.kinds(0.1) == {"web": 10, "hls": 1, "replay": 1}
    assert ears.count(0.1) == 12


def test_a_named_player_is_one_on_whatever_connection() -> None:
    ears = Ears(0.0)
    for connection in (1, 2, 3):
        ears.name(connection, "tab")
        ears.web.add(connection)
        ears.came(connection)
    report = ears.report("e", 0.1)
    assert report.kinds == {"web": 1}
    assert report.unique is not None and report.unique.estimate() == 1
    assert len(report.named["web"].starts) == 1


def test_a_connection_that_gets_a_name_counts_under_it_from_then_on() -> None:
    ears = Ears(0.0)
    for turn in range(8):
        ears.web.add(1)
        ears.web.add(2)
        if turn == 1:
            ears.name(1, "tab")
            ears.name(2, "tab")
        ears.count(turn * 2.0)
    assert ears.kinds(16.0) == {"web": 1}


def test_who_only_goes_on_is_no_new_listener() -> None:
    """After a restart of the edge everybody comes back in the middle."""
    ears = Ears(0.0)
    for connection in range(50):
        ears.web.add(connection)
    ears.came(50)
    ears.web.add(50)
    report = ears.report("e", 0.1)
    assert report.now == 51
    assert report.unique is not None and report.unique.estimate() == 1


def test_what_was_seen_is_told_once_and_again_when_the_stage_asks() -> None:
    ears = Ears(0.0)
    ears.came(1)
    first = ears.report("e", 0.1)
    assert first.unique is not None
    ears.told(first, first.key, False, 0.1)
    assert ears.report("e", 2.0).unique is None
    ears.came(2)
    assert ears.report("e", 4.0).unique is None  # not every two seconds
    later = ears.report("e", 0.1 + UNIQUE_EVERY_S)
    assert later.unique is not None and later.unique.estimate() == 2
    ears.told(later, first.key, False, 0.1 + UNIQUE_EVERY_S)
    assert ears.report("e", 30.0).unique is None
    ears.told(ears.report("e", 30.0), first.key, True, 30.0)
    assert ears.report("e", 31.0).unique == later.unique


def test_two_edges_with_the_stages_key_make_the_same_marks() -> None:
    edges = [Ears(0.0), Ears(0.0)]
    for ears in edges:
        report = ears.report("e", 0.0)
        ears.told(report, KEY, False, 0.0)
        ears.web.add("the same tab")
    one, two = (ears.report("e", 0.1) for ears in edges)
    assert one.key == two.key == KEY and one.unique == two.unique


def test_the_key_is_its_own_until_the_stage_gives_one_and_nobody_is_lost_or_doubled_by_that() -> None:
    ears, other = Ears(0.0), Ears(0.0)
    assert other.key != ears.key
    ears.web.add("tab")
    ears.web.add(7)
    ears.came(7)
    before = ears.report("e", 0.1)
    ears.told(before, KEY, False, 0.1)
    ears.web.add("tab")
    after = ears.report("e", 0.3)
    assert before.kinds == after.kinds == {"web": 2}
    assert after.unique is not None and after.unique.estimate() == 2
    other.web.add("tab")
    other.told(other.report("o", 0.1), KEY, False, 0.1)
    assert other.report("o", 0.2).named == after.named and after.named["web"] != before.named["web"]


def test_beacons_stand_for_all_where_they_count() -> None:
    ears = Ears(0.0)
    for number in range(30):
        ears.beacon.add(f"listener {number}")
    ears.web.add(1)
    report = ears.report("e", 1.0, method=BEACON, one_in=10)
    assert report.kinds == {"web": 300} and report.one_in == 10
    assert report.unique is not None and report.unique.estimate() == 30
    assert ears.report("e", BEACON_EVERY_S * 1.1, method=BEACON, one_in=10).now == 300
    assert ears.report("e", BEACON_EVERY_S * 1.5, method=BEACON, one_in=10).now == 0


def test_one_connection_cannot_speak_for_thousands() -> None:
    ears = Ears(0.0)
    for _ in range(1000):
        ears.hls.hear(asking(7, cmcd_session=f'sid="{secrets.token_hex(8)}"'))
    assert ears.count(0.1) == NAMES_MOST + 1
    assert ears.overflowed == 1000 - NAMES_MOST


@pytest.mark.parametrize(
    ("exchange", "ear"),
    [
        (asking(7), 7),
        (asking(7, user_agent="a"), 7),
        (asking(7, "CMCD=sid=\"abc\",v=1".replace("&", "")), "abc"),
        (asking(7, 'CMCD=bl=100,sid="abc"'), "abc"),
        (asking(7, cmcd_session='v=1, sid="abc"'), "abc"),
        (asking(7, cmcd_session='sid="' + "x" * 65 + '"'), 7),
        (asking(7, cmcd_session="sid=abc"), 7),
        (asking(7, 'CMCD=xsid="abc"'), 7),
        (asking(7, x_forwarded_for="198.51.100.1"), 7),  # nobody's front
        (asking(7, rostra_edge="other"), None),
    ],
)  # fmt: skip
def test_who_asks(exchange: Exchange, ear: Ear | None) -> None:
    assert ear_of(exchange) == ear
    assert ear_of(exchange) == ear


def test_behind_a_front_the_address_it_names_tells_listeners_apart() -> None:
    def front(address: str, browser: str) -> Exchange:
        return asking(7, peer="127.0.0.1", x_forwarded_for=address, user_agent=browser)

    ears = {connection_of(front(address, browser)) for address in ("192.0.2.1", "192.0.2.2") for browser in "ab"}
    assert len(ears) == 4 and min(ears) >= APART
    assert connection_of(front("192.0.2.1", "a")) in ears


def test_behind_a_front_that_appends_nobody_is_many_by_claiming_other_addresses() -> None:
    claimed = [f"198.51.100.{number}, 192.0.2.1" for number in range(100)] + ["192.0.2.1", "a,b,c,192.0.2.1 "]
    assert len({connection_of(asking(7, peer="::1", x_forwarded_for=one, user_agent="a")) for one in claimed}) == 1


def test_who_makes_a_connection_for_each_request_is_one_ear() -> None:
    ears = Ears(0.0)
    for connection in range(20):
        ears.hls.hear(asking(connection, keep_alive=False, user_agent="old player"))
    assert ears.count(0.1) == 1


@pytest.mark.parametrize(
    ("query", "sid"), [("sid=abcdefgh", "abcdefgh"), ("sid=short", None), ("sid=" + "x" * 65, None), ("", None)]
)
def test_a_session_id_of_our_player_has_a_size(query: str, sid: str | None) -> None:
    assert sid_of(asking(1, query).request) == sid


def test_names_are_forgotten_and_the_sketch_stays() -> None:
    ears = Ears(0.0)
    ears.web.add("tab")
    assert isinstance(ears.report("e", 0.1).unique, Sketch)
    for second in range(2, 40, 2):
        ears.count(float(second))
    assert "tab" not in ears._known["web"] and "tab" not in ears._last["web"]
    unique = ears.report("e", 40.0).unique
    assert unique is not None and unique.estimate() == 1
