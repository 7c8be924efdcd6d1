"""The overview of a Space: levels in bins, turns of speech."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rostra.edge.levels import POINTS_MOST, TURNS_MOST, overview
from rostra.kernel.ids import SeatId, SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.events import Ended, Event, Speaking
from rostra.space.space import Seat, Space
from rostra.timeline.ports import Entry, Kind, PartFlag, PartMeta

BEGAN_US = 1_000_000_000
SPACE = Space(SpaceId("abcdefghjk"), seats={SeatId("s1"): Seat(SeatId("s1"), "Ada <b>", "host", ())})


def parts(levels: list[int]) -> list[Entry]:
    return [
        Entry(n, Kind.PART, 0, 0, 1, PartMeta(Rendition.OPUS, n, PartFlag.NONE, level, level, BEGAN_US + n * 500_000))
        for n, level in enumerate(levels)
    ]


def said(levels: list[int], events: list[tuple[float, Event]]) -> dict[str, Any]:
    timed = [(BEGAN_US + round(at_s * 1e6), event) for at_s, event in events]
    plain: dict[str, Any] = json.loads(overview(SPACE, parts(levels), timed))
    return plain


def speaking(*seats: str) -> Speaking:
    return Speaking(tuple(SeatId(seat) for seat in seats))


def test_nothing_yet_is_an_empty_overview() -> None:
    assert said([], [(0.0, speaking("s1"))]) == {"part_s": 0.5, "levels": [], "parts": 0, "turns": []}


@given(st.lists(st.integers(-127, 0), max_size=3000))
def test_levels_are_few_and_keep_what_is_loudest(levels: list[int]) -> None:
    told = said(levels, [])["levels"]
    assert len(told) <= POINTS_MOST
    assert max(told, default=None) == max(levels, default=None)
    if len(levels) <= POINTS_MOST:
        assert told == levels


def test_turns_follow_who_speaks() -> None:
    events = [(1.0, speaking("s1")), (3.0, speaking("s1", "s2")), (5.0, speaking("s2")), (8.0, Ended("s1", "over"))]
    assert said([-20] * 40, events)["turns"] == [
        {"seat": "s1", "name": "Ada <b>", "from_s": 1.0, "to_s": 5.0},
        {"seat": "s2", "name": "", "from_s": 3.0, "to_s": 8.0},
    ]


def test_a_turn_under_way_lasts_until_now_and_short_pauses_do_not_end_one() -> None:
    events = [(1.0, speaking("s1")), (3.0, speaking()), (3.5, speaking("s1"))]
    (turn,) = said([-20] * 20, events)["turns"]
    assert (turn["from_s"], turn["to_s"]) == (1.0, 10.0)


def test_a_restless_night_has_a_bounded_number_of_turns() -> None:
    events = [(n * 1.5, speaking("s1") if n % 2 else speaking("s2")) for n in range(9000)]
    turns = said([-20] * 28_000, events)["turns"]
    assert 0 < len(turns) <= TURNS_MOST


def test_events_from_before_the_sound_count_from_its_beginning() -> None:
    assert said([-20] * 10, [(-5.0, speaking("s1")), (2.0, speaking())])["turns"][0]["from_s"] == 0.0
