"""What the stage notices by itself, on a clock moved by hand."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from rostra.kernel.clock import ManualClock
from rostra.kernel.ids import SeatId, SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.space import commands as c
from rostra.space import events as e
from rostra.space.space import Space, evolve
from rostra.stage.housekeeping import AWAY_AFTER_S, BYTES_PER_S, SPEAKING_EVERY_S, House
from rostra.stage.room import Room, Tick
from rostra.stage.sessions import Sessions
from rostra.stage.turnout import Turnout
from rostra.timeline.ports import RoomLeft, Writer

SETTINGS = replace(Settings(), end_after_away_minutes=10)
SILENCE = np.zeros(960, np.float32)
S1 = SeatId("s1")


class Disk:
    """The one thing of a writer that is asked for here: how much room is left."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes

    def room(self) -> RoomLeft:
        return RoomLeft(0, round(self.minutes * 60 * BYTES_PER_S))


def house(clock: ManualClock) -> House:
    log = Log("test")
    room = Room(log)
    return House(SETTINGS, clock, room, Sessions(room, SETTINGS, clock, log, lambda: None), Turnout())


def space(clock: ManualClock, *events: e.Event) -> Space:
    at = Space(SpaceId("abcdefghjk"))
    for seq, event in enumerate((e.Scheduled("T", "H", None, True), e.Opened("s1"), *events)):
        at = evolve(at, event, clock.wall_us(), seq)
    return at


def heard(speaking: tuple[SeatId, ...] = (), *, present: bool = True) -> Tick:
    return Tick(SILENCE, speaking, present, ())


def disk(minutes: float) -> Writer:
    return cast(Writer, Disk(minutes))


def test_a_stage_that_falls_silent_for_two_seconds_is_away_and_one_packet_brings_it_back() -> None:
    clock = ManualClock()
    one, live = house(clock), space(clock, e.WentLive("s1"))
    one.ticked(heard(), clock.monotonic())
    clock.advance(AWAY_AFTER_S - 0.1)
    one.ticked(heard(present=False), clock.monotonic())
    assert one.commands(live) == []
    clock.advance(0.2)
    assert one.commands(live) == [(c.StageAway("all left"), c.SYSTEM)]
    gone = space(clock, e.WentLive("s1"), e.StageLeft("all left"))
    assert one.commands(gone) == []
    one.ticked(heard(), clock.monotonic())
    assert one.commands(gone) == [(c.StageBack(), c.SYSTEM)]


def test_a_space_ends_when_its_stage_was_empty_too_long_whatever_the_wall_clock_says() -> None:
    clock = ManualClock()
    one, gone = house(clock), space(clock, e.WentLive("s1"), e.StageLeft("all left"))
    assert one.commands(gone) == []
    clock.jump_wall(86_400)
    assert one.commands(gone) == []
    clock.advance(10 * 60 + 1)
    assert [type(command) for command, _ in one.commands(gone)] == [c.End]


@pytest.mark.parametrize(("away_min", "over"), [(9, False), (11, True)])
def test_a_break_that_lasted_over_a_restart_counts_whole(away_min: int, over: bool) -> None:
    clock = ManualClock()
    gone = space(clock, e.WentLive("s1"), e.StageLeft("restart"))
    clock.advance(away_min * 60)
    assert (house(clock).taken_up(gone) is not None) == over


def test_after_a_restart_an_empty_stage_is_said_to_be_the_restarts_fault() -> None:
    clock = ManualClock()
    one, live = house(clock), space(clock, e.WentLive("s1"))
    assert one.taken_up(live) is None
    clock.advance(3)
    assert one.commands(live) == [(c.StageAway("restart"), c.SYSTEM)]


def test_turns_of_speech_are_put_down_but_not_more_often_than_anybody_can_follow() -> None:
    clock = ManualClock()
    one, live = house(clock), space(clock, e.WentLive("s1"))
    one.ticked(heard((S1,)), clock.monotonic())
    assert e.Speaking((S1,)) in one.events(live, disk(999))
    one.ticked(heard(()), clock.monotonic())
    speaking = evolve(live, e.Speaking((S1,)), 0, 9)
    assert one.events(speaking, disk(999)) == []
    clock.advance(SPEAKING_EVERY_S)
    assert one.events(speaking, disk(999)) == [e.Speaking(())]


def test_before_it_is_live_nothing_of_that_is_on_the_record() -> None:
    clock = ManualClock()
    one = house(clock)
    one.ticked(heard((S1,)), clock.monotonic())
    assert one.events(space(clock), disk(1)) == []


def test_a_disk_that_runs_low_is_told_at_each_halving_and_when_it_is_fine_again() -> None:
    clock = ManualClock()
    one, live = house(clock), space(clock, e.WentLive("s1"))
    told = []
    for minutes in (100, 29, 28, 14, 13, 6, 40, 46):
        clock.advance(10)
        for event in one.events(live, disk(minutes)):
            told.append(event)
            live = evolve(live, event, 0, 9)
    assert told == [e.DiskLow(29), e.DiskLow(14), e.DiskLow(6), e.DiskFine()]
