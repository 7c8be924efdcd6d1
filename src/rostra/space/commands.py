"""What people ask of a Space, who may ask it, and what follows.

`decide` is the only place where a Space says no. It changes nothing: it gives the events that the owner then appends.
"""

from dataclasses import dataclass
from typing import Final

from rostra.kernel.errors import PeerError, Refused
from rostra.kernel.ids import SeatId
from rostra.space import events as e
from rostra.space.space import Seat, Space
from rostra.space.states import BEFORE, ON_AIR, OVER, STAGE_UP, TRANSITIONS, State
from rostra.space.text import NAME_MOST, REASON_MOST, TITLE_MOST, clean

DELAY_MOST_MINUTES: Final = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `kind`: "operator" (also the Space's signed-in owner), "seat", or "system" for what the stage itself sees."""

    kind: str
    seat: SeatId | None = None

    @property
    def name(self) -> str:
        return self.seat if self.kind == "seat" and self.seat else self.kind


OPERATOR: Final = Actor("operator")
SYSTEM: Final = Actor("system")


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""


@dataclass(frozen=True, slots=True)
class Open(Command):
    pass


@dataclass(frozen=True, slots=True)
class GoLive(Command):
    pass


@dataclass(frozen=True, slots=True)
class Delay(Command):
    """Later by `minutes` than promised (or than now, where that time has passed or none was given)."""

    minutes: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cancel(Command):
    reason: str = ""


@dataclass(frozen=True, slots=True)
class End(Command):
    """End it: on the air it has then ended, before that it is cancelled."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Edit(Command):
    title: str


@dataclass(frozen=True, slots=True)
class Invite(Command):
    """A further seat. The caller made the secret and keeps it; only its hash comes here."""

    name: str
    token_hash: str
    role: str = "speaker"


@dataclass(frozen=True, slots=True)
class RenewLink(Command):
    seat: SeatId
    token_hash: str
    keep_old: bool = False


@dataclass(frozen=True, slots=True)
class Remove(Command):
    seat: SeatId


@dataclass(frozen=True, slots=True)
class Mute(Command):
    seat: SeatId


@dataclass(frozen=True, slots=True)
class Unmute(Command):
    seat: SeatId


@dataclass(frozen=True, slots=True)
class AskUnmute(Command):
    seat: SeatId


@dataclass(frozen=True, slots=True)
class Join(Command):
    """A speaker's connection stands. `via`: "browser" or "whip"."""

    seat: SeatId
    via: str


@dataclass(frozen=True, slots=True)
class Leave(Command):
    seat: SeatId
    why: str


@dataclass(frozen=True, slots=True)
class StageAway(Command):
    why: str


@dataclass(frozen=True, slots=True)
class StageBack(Command):
    pass


# Who may: the operator and the host everything a person can ask; a speaker only what touches himself.
_SELF_TOO: Final = (Mute, Unmute)
_SYSTEM_ONLY: Final = (Join, Leave, StageAway, StageBack)


def schedule(
    title: str, host_name: str, starts_us: int | None, token_hash: str, now_us: int, *, auto_live: bool = True
) -> list[e.Event]:
    """The first events of a new Space: that it exists, and its host's seat, "s1".

    Raises:
        PeerError: a title or name that is empty or too long, or a start more than a day in the past.
    """
    if starts_us is not None and starts_us < now_us - 86_400_000_000:
        raise PeerError(
            400, "The start lies more than a day in the past. Give a time from now on, or none.", "starts-past"
        )
    title = clean(title, "The title", TITLE_MOST)
    host_name = clean(host_name, "The host's name", NAME_MOST)
    return [
        e.Scheduled(title, host_name, starts_us, auto_live),
        e.SeatInvited(SeatId("s1"), host_name, "host", token_hash, "operator"),
    ]


def decide(space: Space, command: Command, actor: Actor, now_us: int, *, seats_most: int = 13) -> list[e.Event]:
    """The events that follow from `command`, none where it is already so.

    Raises:
        Refused: the state does not allow it (409), or the actor may not ask for it (403).
        PeerError: a text, seat or number that is not valid (400, 404).
    """
    _check_may(space, command, actor)
    by = actor.name
    match command:
        case Open():
            return [] if space.state in STAGE_UP else [_moving(space, e.Opened(by))]
        case GoLive():
            return _go_live(space, by)
        case Delay():
            return [_moving(space, _delayed(space, command, by, now_us))]
        case Cancel():
            reason = clean(command.reason, "The reason", REASON_MOST, least=0)
            return [] if space.state is State.CANCELLED else [_moving(space, e.Cancelled(by, reason))]
        case End():
            return _end(space, command, by)
        case Edit():
            if space.state is State.CANCELLED:
                raise Refused("This Space was cancelled; its title stays as it was.", "over")
            title = clean(command.title, "The title", TITLE_MOST)
            return [] if title == space.title else [e.Edited(title, by)]
        case Invite():
            return [_invited(space, command, by, seats_most)]
        case StageAway():
            return [_moving(space, e.StageLeft(command.why))] if space.state is State.LIVE else []
        case StageBack():
            if space.state is not State.BREAK:
                return []
            away_s = max(0, now_us - (space.break_since_us or now_us)) / 1e6
            return [_moving(space, e.StageReturned(round(away_s, 3)))]
        case _:
            return _seat_events(space, command, by)


def _check_may(space: Space, command: Command, actor: Actor) -> None:
    if isinstance(command, _SYSTEM_ONLY):
        if actor.kind != "system":
            raise Refused("Only the stage itself reports that.", "not-yours", 403)
        return
    if actor.kind in ("operator", "system"):
        if isinstance(command, Unmute) and actor.kind == "operator":
            raise Refused("A microphone is opened only by its speaker. Ask them to unmute.", "ask-instead", 403)
        return
    seat = space.seats.get(actor.seat) if actor.seat else None
    if seat is None or seat.removed:
        raise Refused("This link does not open a seat in this Space any more.", "no-seat", 403)
    own = getattr(command, "seat", None) == seat.seat
    if isinstance(command, Unmute) and not own:
        raise Refused("A microphone is opened only by its speaker. Ask them to unmute.", "ask-instead", 403)
    if seat.role == "host" or own and isinstance(command, _SELF_TOO):
        return
    raise Refused("Only the host can do that.", "host-only", 403)


def _moving(space: Space, event: e.Event) -> e.Event:
    if (space.state, event.type) in TRANSITIONS:
        return event
    if space.state in OVER:
        over = "has ended" if space.state is State.ENDED else "was cancelled"
        raise Refused(f"This Space {over}. Schedule a new one.", "over")
    said = {
        "went_live": "Open the green room first, then go live.",
        "delayed": "This Space is on the air already; it cannot start later.",
        "cancelled": "This Space is on the air. End it instead.",
        "opened": "This Space is open already.",
    }
    raise Refused(said.get(event.type, f"That is not possible while the Space is {space.state}."), f"is-{space.state}")


def _go_live(space: Space, by: str) -> list[e.Event]:
    if space.state in ON_AIR:
        return []
    if space.state in (State.SCHEDULED, State.DELAYED):
        raise Refused("Open the green room first, then go live.", f"is-{space.state}")
    return [_moving(space, e.WentLive(by))]


def _delayed(space: Space, command: Delay, by: str, now_us: int) -> e.Delayed:
    if not 1 <= command.minutes <= DELAY_MOST_MINUTES:
        raise PeerError(400, f"A delay is from 1 to {DELAY_MOST_MINUTES} minutes.", "bad-delay")
    promised = max(space.starts_us or 0, now_us)
    reason = clean(command.reason, "The reason", REASON_MOST, least=0)
    return e.Delayed(promised + command.minutes * 60_000_000, reason, by)


def _end(space: Space, command: End, by: str) -> list[e.Event]:
    if space.state in OVER:
        return []
    why = clean(command.why, "The reason", REASON_MOST, least=0)
    return [e.Cancelled(by, why)] if space.state in BEFORE else [_moving(space, e.Ended(by, why))]


def _invited(space: Space, command: Invite, by: str, seats_most: int) -> e.SeatInvited:
    if space.state in OVER:
        raise Refused("This Space is over; nobody can join its stage.", "over")
    if len(space.sitting()) >= seats_most:
        raise Refused(f"All {seats_most} seats are given. Remove somebody first.", "stage-full")
    if command.role not in ("host", "speaker"):
        raise PeerError(400, "A seat's role is host or speaker.", "bad-role")
    number = 1 + max((int(seat[1:]) for seat in space.seats), default=0)
    if number > 9999:
        raise Refused("This Space has given out all the links it can.", "stage-full")
    return e.SeatInvited(
        SeatId(f"s{number}"), clean(command.name, "The name", NAME_MOST), command.role, command.token_hash, by
    )


def _seat_events(space: Space, command: Command, by: str) -> list[e.Event]:
    seat = _sitting(space, command)
    match command:
        case RenewLink():
            return [e.LinkRenewed(seat.seat, command.token_hash, command.keep_old, by)]
        case Remove():
            hosts = [one for one in space.sitting() if one.role == "host"]
            if seat.role == "host" and len(hosts) == 1:
                raise Refused("The last host cannot be removed. End the Space instead.", "last-host")
            left: list[e.Event] = [e.SpeakerLeft(seat.seat, "removed")] if seat.on_stage else []
            return [*left, e.SeatRemoved(seat.seat, by)]
        case Mute():
            return [] if seat.muted else [e.Muted(seat.seat, by)]
        case Unmute():
            return [e.Unmuted(seat.seat, by)] if seat.muted else []
        case AskUnmute():
            return [e.UnmuteAsked(seat.seat, by)] if seat.muted and not seat.unmute_asked else []
        case Join():
            if space.state not in STAGE_UP:
                raise Refused("The stage of this Space is not open.", f"is-{space.state}")
            gone: list[e.Event] = [e.SpeakerLeft(seat.seat, "replaced")] if seat.on_stage else []
            return [*gone, e.SpeakerJoined(seat.seat, command.via)]
        case Leave():
            return [e.SpeakerLeft(seat.seat, command.why)] if seat.on_stage else []
        case _:
            raise AssertionError(f"no rule for {command}")


def _sitting(space: Space, command: Command) -> Seat:
    seat = space.seats.get(getattr(command, "seat", SeatId("")))
    if seat is None or seat.removed:
        raise PeerError(404, "There is no such seat in this Space.", "no-seat")
    return seat
