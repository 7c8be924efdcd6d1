"""The life of a Space: one table, all else derived.

scheduled ──▶ open ──▶ live ◀──▶ break
  │  ▲ │       │        │          │
  ▼  │ ▼       ▼        ▼          ▼
delayed  cancelled    ended ◀──────┘
"""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    SCHEDULED = "scheduled"
    DELAYED = "delayed"
    OPEN = "open"  # the green room: speakers hear each other, the public does not
    LIVE = "live"
    BREAK = "break"  # live, but the stage is away; the broadcast goes on with silence
    ENDED = "ended"
    CANCELLED = "cancelled"


TRANSITIONS: Final[dict[tuple[State, str], State]] = {
    (State.SCHEDULED, "opened"): State.OPEN,
    (State.SCHEDULED, "delayed"): State.DELAYED,
    (State.SCHEDULED, "cancelled"): State.CANCELLED,
    (State.DELAYED, "opened"): State.OPEN,
    (State.DELAYED, "delayed"): State.DELAYED,
    (State.DELAYED, "cancelled"): State.CANCELLED,
    (State.OPEN, "delayed"): State.OPEN,  # the green room stays; only the promise to the public moves
    (State.OPEN, "went_live"): State.LIVE,
    (State.OPEN, "cancelled"): State.CANCELLED,
    (State.LIVE, "stage_left"): State.BREAK,
    (State.LIVE, "ended"): State.ENDED,
    (State.BREAK, "stage_returned"): State.LIVE,
    (State.BREAK, "ended"): State.ENDED,
}
"""(state, type of event) → state. An event that is not here for a state cannot happen in it."""

MOVING: Final = frozenset(event for _, event in TRANSITIONS)
"""The events that change the state."""

BEFORE: Final = frozenset({State.SCHEDULED, State.DELAYED, State.OPEN})
ON_AIR: Final = frozenset({State.LIVE, State.BREAK})
OVER: Final = frozenset({State.ENDED, State.CANCELLED})
STAGE_UP: Final = frozenset({State.OPEN, State.LIVE, State.BREAK})
"""The states in which speakers may be on the stage."""
