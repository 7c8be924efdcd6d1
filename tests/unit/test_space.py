"""The life of a Space: the table, the commands, and that events alone rebuild it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rostra.kernel.errors import PeerError, Refused
from rostra.kernel.ids import SeatId, SpaceId, secret_hash
from rostra.space import commands as c
from rostra.space import events as e
from rostra.space.space import Space, evolve, from_plain, to_plain
from rostra.space.states import OVER, TRANSITIONS, State
from rostra.space.text import clean
from rostra.space.view import public

NOW = 1_800_000_000_000_000
HOST = c.Actor("seat", SeatId("s1"))
SPEAKER = c.Actor("seat", SeatId("s2"))


def fold(space: Space, events: list[e.Event], at_us: int = NOW) -> Space:
    for event in events:
        space = evolve(space, e.from_json(event.to_json()), at_us, space.seq + 1)
    return space


def fresh(starts_us: int | None = NOW + 3_600_000_000) -> Space:
    events = c.schedule("The big one", "Ada", starts_us, secret_hash("host"), NOW)
    return fold(Space(SpaceId("abcdefghjk")), events)


def told(space: Space, *commands: c.Command, actor: c.Actor = HOST, at_us: int = NOW) -> Space:
    for command in commands:
        space = fold(space, c.decide(space, command, actor, at_us), at_us)
    return space


def on_air() -> Space:
    return told(fresh(), c.Open(), c.Invite("Ben", secret_hash("ben")), c.GoLive())


def test_a_space_goes_from_schedule_to_end() -> None:
    space = fresh()
    seen = [space.state]
    for command in (c.Open(), c.GoLive(), c.End()):
        space = told(space, command)
        seen.append(space.state)
    assert seen == [State.SCHEDULED, State.OPEN, State.LIVE, State.ENDED]


def test_commands_that_change_nothing_give_no_events() -> None:
    space = told(fresh(), c.Open())
    assert c.decide(space, c.Open(), HOST, NOW) == []
    live = told(space, c.GoLive())
    assert c.decide(live, c.GoLive(), HOST, NOW) == []
    ended = told(live, c.End())
    assert c.decide(ended, c.End(), HOST, NOW) == []


def test_ending_before_the_air_is_cancelling() -> None:
    assert told(fresh(), c.End()).state is State.CANCELLED
    assert told(fresh(), c.Open(), c.End()).state is State.CANCELLED


def test_a_delay_moves_the_promise_and_remembers_the_first() -> None:
    space = told(fresh(), c.Delay(40, "Waiting for our guest"))
    assert space.state is State.DELAYED
    assert space.starts_us == NOW + 3_600_000_000 + 40 * 60_000_000
    assert space.first_starts_us == NOW + 3_600_000_000
    assert space.reason == "Waiting for our guest"


def test_a_delay_after_the_promised_time_counts_from_now() -> None:
    late = NOW + 7_200_000_000
    space = told(fresh(), c.Delay(10), at_us=late)
    assert space.starts_us == late + 10 * 60_000_000


def test_a_delay_keeps_the_green_room_open() -> None:
    space = told(fresh(), c.Open(), c.Delay(5))
    assert space.state is State.OPEN
    assert public(space, NOW)["late"] is True


def test_the_stage_can_go_away_and_return_while_live() -> None:
    space = told(on_air(), c.StageAway("all left"), actor=c.SYSTEM)
    assert space.state is State.BREAK
    assert space.break_why == "all left"
    space = told(space, c.StageBack(), actor=c.SYSTEM, at_us=NOW + 5_000_000)
    assert space.state is State.LIVE


@pytest.mark.parametrize(
    "command", [c.Open(), c.GoLive(), c.End(), c.Delay(5), c.Invite("Eve", "x"), c.Mute(SeatId("s1"))]
)
def test_a_speaker_cannot_do_what_is_the_hosts(command: c.Command) -> None:
    with pytest.raises(Refused) as refused:
        c.decide(on_air(), command, SPEAKER, NOW)
    assert refused.value.status == 403


def test_nobody_opens_somebody_elses_microphone() -> None:
    space = told(on_air(), c.Mute(SeatId("s2")))
    for actor in (HOST, c.OPERATOR):
        with pytest.raises(Refused, match="Ask them"):
            c.decide(space, c.Unmute(SeatId("s2")), actor, NOW)
    asked = told(space, c.AskUnmute(SeatId("s2")))
    assert asked.seats[SeatId("s2")].unmute_asked
    assert not told(asked, c.Unmute(SeatId("s2")), actor=SPEAKER).seats[SeatId("s2")].muted


def test_a_removed_speakers_link_opens_nothing() -> None:
    space = told(on_air(), c.Remove(SeatId("s2")))
    assert space.seat_of("ben") is None
    with pytest.raises(Refused):
        c.decide(space, c.Mute(SeatId("s2")), SPEAKER, NOW)


def test_the_last_host_stays() -> None:
    with pytest.raises(Refused, match="last host"):
        c.decide(on_air(), c.Remove(SeatId("s1")), HOST, NOW)


def test_the_fourteenth_seat_is_refused() -> None:
    space = on_air()
    for number in range(11):
        space = told(space, c.Invite(f"Guest {number}", secret_hash(str(number))))
    assert len(space.sitting()) == 13
    with pytest.raises(Refused, match="All 13"):
        c.decide(space, c.Invite("One more", "x"), HOST, NOW)


def test_a_second_connection_takes_the_same_seat_over() -> None:
    space = told(on_air(), c.Join(SeatId("s2"), "browser"), actor=c.SYSTEM)
    events = c.decide(space, c.Join(SeatId("s2"), "whip"), c.SYSTEM, NOW)
    assert [event.type for event in events] == ["speaker_left", "speaker_joined"]


def test_a_renewed_link_closes_the_old_one_unless_kept() -> None:
    kept = told(on_air(), c.RenewLink(SeatId("s2"), secret_hash("new"), keep_old=True))
    assert kept.seat_of("ben") and kept.seat_of("new")
    often = told(on_air(), *(c.RenewLink(SeatId("s2"), secret_hash(str(n)), keep_old=True) for n in range(9)))
    assert often.seat_of("ben") and often.seat_of("8") and often.seat_of("6") and not often.seat_of("3")
    closed = told(on_air(), c.RenewLink(SeatId("s2"), secret_hash("new")))
    assert closed.seat_of("ben") is None and closed.seat_of("new")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Two\n\nlines\t ", "Two lines"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("שלום עולם", "שלום עולם"),
        ("a\x00b\x1bc\u200bd", "abcd"),
        ("e\u0301", "é"),
    ],
)
def test_titles_are_kept_as_text_and_made_harmless(typed: str, kept: str) -> None:
    assert clean(typed, "The title", 140) == kept


@pytest.mark.parametrize("typed", ["", "   ", "\u202e\u202c", "x" * 141, "x" * 10_000])
def test_titles_that_are_empty_or_too_long_are_refused(typed: str) -> None:
    with pytest.raises(PeerError) as refused:
        c.schedule(typed, "Ada", None, "h", NOW)
    assert refused.value.status == 400


@given(st.text(max_size=400))
def test_cleaning_twice_changes_nothing_more(typed: str) -> None:
    try:
        once = clean(typed, "The title", 400, least=0)
    except PeerError:
        return
    assert clean(once, "The title", 400, least=0) == once


def test_the_public_view_holds_no_secret() -> None:
    space = on_air()
    text = json.dumps(public(space, NOW))
    assert secret_hash("host") not in text and "token" not in text


def test_events_of_a_later_version_are_kept_and_passed_over() -> None:
    body = b'{"type":"teleported","to":"the moon"}'
    event = e.from_json(body)
    assert event.to_json() == body
    assert evolve(fresh(), event, NOW, 9).state is State.SCHEDULED


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"type":"opened"}', b'{"type":"opened","by":"x","more":1}', b"nonsense"]
)
def test_a_text_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        e.from_json(body)


class LifeOfASpace(RuleBasedStateMachine):
    """Whatever is asked in whatever order: only moves of the table, and events alone give the same Space."""

    @initialize()
    def begin(self) -> None:
        self.space = fresh()
        self.events: list[e.Event] = c.schedule("The big one", "Ada", NOW + 3_600_000_000, secret_hash("host"), NOW)

    @rule(
        command=st.sampled_from([
            c.Open(), c.GoLive(), c.Delay(3), c.Cancel(), c.End(), c.Edit("Other"), c.Invite("Ben", "h"),
            c.Mute(SeatId("s2")), c.Unmute(SeatId("s2")), c.AskUnmute(SeatId("s2")), c.Remove(SeatId("s2")),
            c.Join(SeatId("s1"), "whip"), c.Leave(SeatId("s1"), "left"), c.StageAway("all left"), c.StageBack(),
        ]),
        actor=st.sampled_from([HOST, SPEAKER, c.OPERATOR, c.SYSTEM]),
    )  # fmt: skip
    def ask(self, command: c.Command, actor: c.Actor) -> None:
        before = self.space
        try:
            events = c.decide(before, command, actor, NOW)
        except PeerError:
            return
        self.events += events
        self.space = fold(before, events)
        if self.space.state is not before.state:
            assert any(TRANSITIONS.get((before.state, event.type)) is self.space.state for event in events)

    @invariant()
    def events_alone_rebuild_it(self) -> None:
        if hasattr(self, "space"):
            assert fold(Space(SpaceId("abcdefghjk")), self.events) == self.space
            assert from_plain(json.loads(json.dumps(to_plain(self.space)))) == self.space
            assert self.space.state not in OVER or not any(seat.on_stage for seat in self.space.sitting())


TestLifeOfASpace = LifeOfASpace.TestCase
