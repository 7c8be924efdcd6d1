"""What has happened to a Space. Facts: they cannot be refused, only appended and folded.

On the record each is a JSON object {"type": …, fields…}. A type that this version does not know is kept as Unknown,
so that an older reader can follow a newer record.
"""

import json
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Final

from rostra.kernel.ids import SeatId


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. `by` is who did it: "operator", "system" or a seat's id."""

    type: ClassVar[str]

    def to_json(self) -> bytes:
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return json.dumps({"type": self.type, **plain}, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Scheduled(Event):
    """The Space exists. `starts_us`: wall microseconds, or None where no time was promised."""

    type: ClassVar[str] = "scheduled"
    title: str
    host_name: str
    starts_us: int | None
    auto_live: bool


@dataclass(frozen=True, slots=True)
class Edited(Event):
    type: ClassVar[str] = "edited"
    title: str
    by: str


@dataclass(frozen=True, slots=True)
class Opened(Event):
    type: ClassVar[str] = "opened"
    by: str


@dataclass(frozen=True, slots=True)
class Delayed(Event):
    type: ClassVar[str] = "delayed"
    starts_us: int
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class WentLive(Event):
    type: ClassVar[str] = "went_live"
    by: str


@dataclass(frozen=True, slots=True)
class StageLeft(Event):
    """Nobody sends sound any more. `why`: "all left", "connection lost" or "restart"."""

    type: ClassVar[str] = "stage_left"
    why: str


@dataclass(frozen=True, slots=True)
class StageReturned(Event):
    type: ClassVar[str] = "stage_returned"
    away_s: float


@dataclass(frozen=True, slots=True)
class Ended(Event):
    type: ClassVar[str] = "ended"
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Cancelled(Event):
    type: ClassVar[str] = "cancelled"
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SeatInvited(Event):
    """A personal link was made. `role`: "host" or "speaker". Only the hash of its secret is on the record."""

    type: ClassVar[str] = "seat_invited"
    seat: SeatId
    name: str
    role: str
    token_hash: str
    by: str


@dataclass(frozen=True, slots=True)
class LinkRenewed(Event):
    """A further secret for the same seat. `keep_old`: earlier links go on working."""

    type: ClassVar[str] = "link_renewed"
    seat: SeatId
    token_hash: str
    keep_old: bool
    by: str


@dataclass(frozen=True, slots=True)
class SeatRemoved(Event):
    type: ClassVar[str] = "seat_removed"
    seat: SeatId
    by: str


@dataclass(frozen=True, slots=True)
class SpeakerJoined(Event):
    """`via`: "browser" or "whip"."""

    type: ClassVar[str] = "speaker_joined"
    seat: SeatId
    via: str


@dataclass(frozen=True, slots=True)
class SpeakerLeft(Event):
    """`why`: "left", "connection lost", "removed", "replaced", "ended" or "restart"."""

    type: ClassVar[str] = "speaker_left"
    seat: SeatId
    why: str


@dataclass(frozen=True, slots=True)
class Muted(Event):
    type: ClassVar[str] = "muted"
    seat: SeatId
    by: str


@dataclass(frozen=True, slots=True)
class Unmuted(Event):
    type: ClassVar[str] = "unmuted"
    seat: SeatId
    by: str


@dataclass(frozen=True, slots=True)
class UnmuteAsked(Event):
    type: ClassVar[str] = "unmute_asked"
    seat: SeatId
    by: str


@dataclass(frozen=True, slots=True)
class Speaking(Event):
    """Who is heard from now on: the turns of speech."""

    type: ClassVar[str] = "speaking"
    seats: tuple[SeatId, ...]


@dataclass(frozen=True, slots=True)
class Counted(Event):
    """Listeners at this moment, and how they were counted (docs/how/counting.md).

    `peak`: the most so far that stood for some time. `unique`: all who have listened so far. `kinds`: `now` by kind of
    player. `error`, `unique_error`: standard errors of `now` and `unique`, as shares of them.
    """

    type: ClassVar[str] = "counted"
    now: int
    peak: int
    method: str
    unique: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    error: float = 0.0
    unique_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Thinned(Event):
    """An edge is under pressure and leaves out more, or less, than before. `step`: 0 nothing, 1 counts come more rarely, 2
    newcomers get longer parts, 3 newcomers begin with the low bit rate."""

    type: ClassVar[str] = "thinned"
    edge: str
    step: int
    why: str


@dataclass(frozen=True, slots=True)
class StageRestarted(Event):
    """The process that holds the stage came back. `filled_s`: seconds of silence put in so that no time is missing."""

    type: ClassVar[str] = "stage_restarted"
    filled_s: float
    cut_bytes: int


@dataclass(frozen=True, slots=True)
class DiskLow(Event):
    """The record will not fit much longer."""

    type: ClassVar[str] = "disk_low"
    minutes_left: int


@dataclass(frozen=True, slots=True)
class DiskFine(Event):
    type: ClassVar[str] = "disk_fine"


@dataclass(frozen=True, slots=True)
class Unknown(Event):
    """An event of a later version, kept as it was read."""

    type: ClassVar[str] = "unknown"
    text: str

    def to_json(self) -> bytes:
        return self.text.encode()


EVENTS: Final[dict[str, type[Event]]] = {
    one.type: one
    for one in (
        Scheduled, Edited, Opened, Delayed, WentLive, StageLeft, StageReturned, Ended, Cancelled, SeatInvited,
        LinkRenewed, SeatRemoved, SpeakerJoined, SpeakerLeft, Muted, Unmuted, UnmuteAsked, Speaking, Counted,
        Thinned, StageRestarted, DiskLow, DiskFine,
    )
}  # fmt: skip


def from_json(body: bytes) -> Event:
    """The event that `Event.to_json` wrote.

    Raises:
        ValueError: not a JSON object with a type, or a known type with missing or other fields. What was added to a type
            later has a default, so that older records still read.
    """
    plain: Any = json.loads(body)
    if not isinstance(plain, dict) or not isinstance(plain.get("type"), str):
        raise ValueError("an event must be a JSON object with a type")
    kind = EVENTS.get(plain.pop("type"))
    if kind is None:
        return Unknown(body.decode())
    known = {one.name for one in fields(kind)}
    needed = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
    wrong = (set(plain) - known) | (needed - set(plain))
    if wrong:
        raise ValueError(f"{kind.type}: fields {sorted(wrong)} are missing or unknown")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()})
