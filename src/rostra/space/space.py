"""A Space as it stands: the fold of its events."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from rostra.kernel.ids import SeatId, SpaceId, same_secret
from rostra.space import events as e
from rostra.space.states import MOVING, STAGE_UP, TRANSITIONS, State


@dataclass(frozen=True, slots=True)
class Seat:
    """One place on the stage. `token_hashes`: the secrets that open it, newest last, at most four."""

    seat: SeatId
    name: str
    role: str
    token_hashes: tuple[str, ...]
    on_stage: bool = False
    via: str = ""
    muted: bool = False
    muted_by: str = ""
    unmute_asked: bool = False
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Space:
    """Times are wall microseconds; None where it has not happened. `seq`: the last event folded in.

    `news`: the last event that a page must fetch the state for; turns of speech and counts ride along with the sound.
    """

    id: SpaceId
    state: State = State.SCHEDULED
    title: str = ""
    host_name: str = ""
    starts_us: int | None = None
    first_starts_us: int | None = None
    reason: str = ""
    auto_live: bool = True
    created_us: int = 0
    opened_us: int | None = None
    live_since_us: int | None = None
    over_us: int | None = None
    break_since_us: int | None = None
    break_why: str = ""
    seats: dict[SeatId, Seat] = field(default_factory=dict)
    speaking: tuple[SeatId, ...] = ()
    count: int = 0
    peak: int = 0
    unique: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    count_method: str = ""
    count_error: float = 0.0
    unique_error: float = 0.0
    thinned: dict[str, int] = field(default_factory=dict)
    """Edges under pressure, and how much each leaves out (see events.Thinned)."""
    disk_low_minutes: int | None = None
    seq: int = -1
    news: int = -1

    def sitting(self) -> list[Seat]:
        """The seats that were not taken away, in the order they were made."""
        return [seat for seat in self.seats.values() if not seat.removed]

    def seat_of(self, token: str) -> Seat | None:
        """The seat that this secret opens, if any. Compares with every seat in constant time each."""
        found = None
        for seat in self.sitting():
            for stored in seat.token_hashes:
                if same_secret(token, stored):
                    found = seat
        return found


def evolve(space: Space, event: e.Event, at_us: int, seq: int) -> Space:
    """The Space after `event`. Never refuses: what is on the record has happened."""
    if event.type in MOVING:
        state = TRANSITIONS.get((space.state, event.type), space.state)
        space = replace(space, state=state)
    match event:
        case e.Scheduled():
            space = replace(
                space, title=event.title, host_name=event.host_name, starts_us=event.starts_us,
                first_starts_us=event.starts_us, auto_live=event.auto_live, created_us=at_us,
            )  # fmt: skip
        case e.Edited():
            space = replace(space, title=event.title)
        case e.Opened():
            space = replace(space, opened_us=at_us)
        case e.Delayed():
            first = space.first_starts_us if space.first_starts_us is not None else event.starts_us
            space = replace(space, starts_us=event.starts_us, first_starts_us=first, reason=event.reason)
        case e.WentLive():
            space = replace(space, live_since_us=at_us, reason="")
        case e.StageLeft():
            space = replace(space, break_since_us=at_us, break_why=event.why)
        case e.StageReturned():
            space = replace(space, break_since_us=None, break_why="")
        case e.Ended():
            space = _cleared(
                replace(space, over_us=at_us, reason=event.why, break_since_us=None, speaking=(), thinned={})
            )
        case e.Cancelled():
            space = _cleared(replace(space, over_us=at_us, reason=event.reason, speaking=()))
        case e.Speaking():
            space = replace(space, speaking=event.seats)
        case e.Counted():
            space = replace(
                space, count=event.now, peak=event.peak, unique=event.unique, kinds=event.kinds,
                count_method=event.method, count_error=event.error, unique_error=event.unique_error,
            )  # fmt: skip
        case e.Thinned():
            others = {edge: step for edge, step in space.thinned.items() if edge != event.edge}
            space = replace(space, thinned={**others, event.edge: event.step} if event.step else others)
        case e.DiskLow():
            space = replace(space, disk_low_minutes=event.minutes_left)
        case e.DiskFine():
            space = replace(space, disk_low_minutes=None)
        case e.StageRestarted():
            space = _cleared(space)
        case e.SeatInvited():
            fresh = Seat(event.seat, event.name, event.role, (event.token_hash,))
            space = replace(space, seats={**space.seats, event.seat: fresh})
        case _:
            space = _seat_changed(space, event)
    riding = isinstance(event, e.Speaking | e.Counted | e.Thinned | e.Unknown)
    return replace(space, seq=seq, news=space.news if riding else seq)


def to_plain(space: Space) -> dict[str, Any]:
    """For the snapshot beside the record: `from_plain` gives the same Space back."""
    plain = {one.name: getattr(space, one.name) for one in fields(space)}
    plain["seats"] = [{one.name: getattr(seat, one.name) for one in fields(seat)} for seat in space.seats.values()]
    return plain


def from_plain(plain: dict[str, Any]) -> Space:
    """Raises TypeError, KeyError or ValueError where `plain` is not what `to_plain` made."""
    seats = [Seat(**{**seat, "token_hashes": tuple(seat["token_hashes"])}) for seat in plain["seats"]]
    known = {**plain, "seats": {seat.seat: seat for seat in seats}, "speaking": tuple(plain["speaking"])}
    return Space(**{**known, "state": State(plain["state"])})


def _seat_changed(space: Space, event: e.Event) -> Space:
    seat = space.seats.get(getattr(event, "seat", SeatId("")))
    if seat is None:
        return space
    match event:
        case e.LinkRenewed():
            # The first link is the one in somebody's encoder or letter: fresh ones for a signed-in host do not push it out.
            old = (*seat.token_hashes[:1], *seat.token_hashes[1:][-2:]) if event.keep_old else ()
            seat = replace(seat, token_hashes=(*old, event.token_hash))
        case e.SeatRemoved():
            seat = replace(seat, removed=True, on_stage=False, token_hashes=())
        case e.SpeakerJoined():
            seat = replace(seat, on_stage=True, via=event.via)
        case e.SpeakerLeft():
            seat = replace(seat, on_stage=False, via="", unmute_asked=False)
        case e.Muted():
            seat = replace(seat, muted=True, muted_by=event.by, unmute_asked=False)
        case e.Unmuted():
            seat = replace(seat, muted=False, muted_by="", unmute_asked=False)
        case e.UnmuteAsked():
            seat = replace(seat, unmute_asked=True)
        case _:
            return space
    speaking = (
        space.speaking if seat.on_stage and not seat.muted else tuple(s for s in space.speaking if s != seat.seat)
    )
    return replace(space, seats={**space.seats, seat.seat: seat}, speaking=speaking)


def _cleared(space: Space) -> Space:
    """Nobody is connected: after a restart of the stage, and once it is over."""
    down = {key: replace(seat, on_stage=False, via="", unmute_asked=False) for key, seat in space.seats.items()}
    return replace(space, seats=down, speaking=())


def stage_is_up(space: Space) -> bool:
    return space.state in STAGE_UP
