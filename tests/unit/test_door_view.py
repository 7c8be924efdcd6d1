"""What the door says of a Space."""

from urllib.parse import unquote

import pytest
from door_world import START_US, space
from hypothesis import given
from hypothesis import strategies as st

from rostra.door import view
from rostra.space.states import State


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_lamp_and_a_sentence(state: State) -> None:
    assert view.LAMP[state]
    assert view.sentence(space(state), START_US).endswith(".")


def test_a_start_is_said_in_utc_and_marked_for_the_readers_zone() -> None:
    said = view.sentence(space(State.SCHEDULED), START_US)
    assert said == (
        'We start at <time datetime="2027-01-15T08:12:00.000Z" data-is="starts">08:12 UTC on Friday 15 January</time>. '
        "Stay here; it begins by itself."
    )


@given(st.integers(-90_000_000, 90_000_000), st.sampled_from(list(State)), st.booleans())
def test_until_the_named_moment_nothing_changes_and_at_it_something_does(
    left_ms: int, state: State, timed: bool
) -> None:
    one = space(state, starts_us=START_US + 1000 * left_ms if timed else None)

    def said(at_us: int) -> tuple[object, ...]:
        return view.sentence(one, at_us), view.next_poll_s(one, at_us), view.overdue(one, at_us)

    until_us = view.stands_until_us(one, START_US)
    if until_us is None:
        assert said(START_US) == said(START_US + 10**15)
    else:
        assert said(START_US) == said(until_us - 1) != said(until_us)


def test_a_start_that_has_passed_is_not_promised_any_more() -> None:
    late = space(State.DELAYED, starts_us=START_US, reason="Waiting for our guest")
    assert str(view.sentence(late, START_US + 4_900_000)).startswith("Starting late: now <time ")
    said = view.sentence(late, START_US + 5_000_000)
    assert said == (
        'It should have begun at <time datetime="2027-01-15T08:00:00.000Z" data-is="starts">08:00 UTC on Friday 15 January</time>. '
        "The speakers are not on yet. Stay here; it begins by itself."
    )


def test_a_late_start_names_the_new_time_and_the_reason() -> None:
    late = space(State.DELAYED, starts_us=START_US + 3_000_000_000, reason="waiting for our <guest>")
    said = str(view.sentence(late, START_US))
    assert said.startswith("Starting late: now <time ")
    assert "The host says: <bdi>waiting for our &lt;guest&gt;</bdi>. Stay here;" in said


@pytest.mark.parametrize("reason", ["Our guest is ill.", "Why not tomorrow?", "See you tomorrow!", "We wait…"])
def test_a_reason_that_ends_as_a_sentence_is_left_so(reason: str) -> None:
    said = view.sentence(space(State.CANCELLED, reason=reason), START_US)
    assert said == f"This will not take place. The host says: <bdi>{reason}</bdi>"


def test_a_page_asks_often_only_when_something_can_happen() -> None:
    def poll(state: State, left_s: float | None) -> int:
        starts = None if left_s is None else START_US + int(left_s * 1e6)
        return view.next_poll_s(space(state, starts_us=starts), START_US)

    by_time_left = [poll(State.SCHEDULED, left) for left in (86400, 1800, 120, 30, -60, -86400, None)]
    assert by_time_left == [60, 20, 10, 2, 2, 15, 5]
    assert poll(State.OPEN, 3600) == 2 and poll(State.LIVE, 0) == 10
    assert poll(State.ENDED, 0) == poll(State.CANCELLED, 0) == 300


def test_state_json_holds_what_the_player_needs_and_no_secret() -> None:
    plain = view.state_json(space(), START_US + 5_000_000, "http://127.0.0.1:8001")
    assert (
        plain["sound"] == "http://127.0.0.1:8001/s/abcdefghjk" and plain["part_s"] == 0.5 and plain["elapsed_s"] == 5.0
    )
    assert plain["speakers"][0] == {
        "seat": "s1", "name": "Ada Lovelace", "role": "host", "muted": False, "on_stage": True,
    }  # fmt: skip
    assert "hash" not in str(plain)


@given(st.text(min_size=1, max_size=140))
def test_any_title_fits_a_calendar_file(title: str) -> None:
    link = view.calendar_link(space(State.SCHEDULED, title=title), "https://example.org/s/abcdefghjk", START_US)
    assert link.startswith("data:text/calendar;charset=utf-8,")
    text = unquote(link.partition(",")[2])
    assert "DTSTART:20270115T081200Z\r\n" in text
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))


def test_initials_are_of_the_first_and_the_last_name() -> None:
    assert [view.initials(name) for name in ("Ada", "Ada Lovelace", "Chiara de la Torre", "")] == ["A", "AL", "CT", ""]


def test_nobody_is_counted_before_it_begins() -> None:
    assert view.counted(space(State.SCHEDULED)) == ""
    assert view.counted(space(State.LIVE, count=1240)) == "1,240 listening"
    assert view.counted(space(State.ENDED, peak=1300)) == "Up to 1,300 at once"
