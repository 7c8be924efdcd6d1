"""A speaker's session: one offer answered, at one address, until it is deleted, replaced or lost."""

import secrets
from dataclasses import dataclass, field
from enum import Enum

from rostra.kernel.ids import SeatId
from rostra.stage.room import Chair


class Via(Enum):
    BROWSER = "browser"  # sendrecv: hears the others
    WHIP = "whip"  # recvonly by RFC 9725: speaks only

    @property
    def returns(self) -> bool:
        return self is Via.BROWSER


@dataclass(slots=True)
class Session:
    """`id` is unguessable and part of the session's address; `etag` names its one ICE generation. `serial`: the order in which
    the offers came.

    `seated`: its sound is in the room. `joined`: that is on the record. `why`: set once it is gone.
    """

    seat: SeatId
    via: Via
    chair: Chair
    ufrag: str
    serial: int
    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    etag: str = field(default_factory=lambda: f'"{secrets.token_hex(8)}"')
    connected_at: float | None = None
    seated: bool = False
    joined: bool = False
    why: str = ""
    let_go: bool = False
