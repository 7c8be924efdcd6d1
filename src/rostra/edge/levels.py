"""`levels.json`: how loud a Space was, part by part, and whose turn it was; what a seek bar is drawn from."""

import json
from collections.abc import Iterable, Sequence

from rostra.kernel.ids import SeatId
from rostra.sound.renditions import Rendition
from rostra.space.events import Ended, Event, Speaking
from rostra.space.space import Space
from rostra.timeline.ports import Entry

POINTS_MOST = 600
TURNS_MOST = 1000
_SHAPE = Rendition.OPUS.shape


def overview(space: Space, parts: Sequence[Entry], events: Iterable[tuple[int, Event]]) -> bytes:
    """The JSON of one Space.

    Args:
        parts: of the Opus rendition.
        events: those of the record with their wall microseconds; only who spoke is looked at.
    """
    began_us = _start_us(parts)
    length_s = len(parts) * _SHAPE.part_s
    turns = _few(_turns(events, began_us, length_s)) if began_us is not None else []
    named = [
        {"seat": seat, "name": _name(space, seat), "from_s": round(from_s, 1), "to_s": round(to_s, 1)}
        for seat, from_s, to_s in turns
    ]
    said = {"part_s": _SHAPE.part_s, "levels": _binned(parts), "parts": len(parts), "turns": named}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def _binned(parts: Sequence[Entry]) -> list[int]:
    """The loudest part of each of at most POINTS_MOST stretches of equal length."""
    levels = [entry.part.level_dbfs for entry in parts if entry.part is not None]
    width = max(1, -(-len(levels) // POINTS_MOST))
    return [max(levels[at : at + width]) for at in range(0, len(levels), width)]


def _start_us(parts: Sequence[Entry]) -> int | None:
    first = parts[0].part if len(parts) else None
    return first.start_us if first is not None else None


_Turn = tuple[SeatId, float, float]


def _turns(events: Iterable[tuple[int, Event]], began_us: int, length_s: float) -> list[_Turn]:
    turns: list[_Turn] = []
    speaking: dict[SeatId, float] = {}
    for at_us, event in events:
        if not isinstance(event, Speaking | Ended):
            continue
        at_s = min(max(0.0, (at_us - began_us) / 1e6), length_s)
        now = event.seats if isinstance(event, Speaking) else ()
        for seat in [one for one in speaking if one not in now]:
            turns.append((seat, speaking.pop(seat), at_s))
        for seat in now:
            speaking.setdefault(seat, at_s)
    turns += [(seat, from_s, length_s) for seat, from_s in speaking.items()]
    return sorted((turn for turn in turns if turn[2] > turn[1]), key=lambda turn: turn[1])


def _few(turns: list[_Turn]) -> list[_Turn]:
    """Join turns of one seat across short pauses, the longer the more there are."""
    pause_s = 1.0
    while True:
        joined: list[_Turn] = []
        last: dict[SeatId, int] = {}
        for seat, from_s, to_s in turns:
            at = last.get(seat)
            if at is not None and from_s - joined[at][2] <= pause_s:
                joined[at] = (seat, joined[at][1], max(joined[at][2], to_s))
            else:
                last[seat] = len(joined)
                joined.append((seat, from_s, to_s))
        if len(joined) <= TURNS_MOST:
            return joined
        turns, pause_s = joined, pause_s * 2


def _name(space: Space, seat: SeatId) -> str:
    known = space.seats.get(seat)
    return known.name if known is not None else ""
