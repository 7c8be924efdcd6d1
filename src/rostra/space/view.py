"""A Space as the public may see it: the words of state.json and of the API. No secrets, no hashes."""

from typing import Any

from rostra.kernel.clock import iso, parse_iso
from rostra.kernel.ids import SeatId, SpaceId
from rostra.space.space import Seat, Space
from rostra.space.states import BEFORE, ON_AIR, State


def public(space: Space, now_us: int) -> dict[str, Any]:
    """Everything a listener's page says of the Space. Times are ISO 8601 UTC or null; `elapsed_s` counts from going live."""
    return {
        "id": space.id,
        "title": space.title,
        "state": str(space.state),
        "host": space.host_name,
        "starts": _iso(space.starts_us),
        "first_starts": _iso(space.first_starts_us),
        "late": space.state in BEFORE and space.starts_us != space.first_starts_us,
        "reason": space.reason,
        "opened": _iso(space.opened_us),
        "live_since": _iso(space.live_since_us),
        "ended": _iso(space.over_us),
        "elapsed_s": _elapsed_s(space, now_us),
        "away_since": _iso(space.break_since_us),
        "away_why": space.break_why,
        "speakers": [
            {"seat": seat.seat, "name": seat.name, "role": seat.role, "muted": seat.muted, "on_stage": seat.on_stage}
            for seat in space.sitting()
        ],
        "count": space.count,
        "peak": space.peak,
        "unique": space.unique,
        "kinds": space.kinds,
        "counted": space.count_method,
        "count_error": space.count_error,
        "unique_error": space.unique_error,
        "thinned": max(space.thinned.values(), default=0),
        "seq": space.news,
    }


def from_public(plain: dict[str, Any]) -> Space:
    """The Space as far as `public` told of it: no secrets, nothing that happened before.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: `plain` is nothing that `public` made.
    """
    seats = [
        Seat(
            SeatId(one["seat"]),
            str(one["name"]),
            str(one["role"]),
            (),
            on_stage=bool(one["on_stage"]),
            muted=bool(one["muted"]),
        )
        for one in plain["speakers"]
    ]
    return Space(
        SpaceId(plain["id"]),
        state=State(plain["state"]),
        title=str(plain["title"]),
        host_name=str(plain["host"]),
        starts_us=_us(plain["starts"]),
        first_starts_us=_us(plain["first_starts"]),
        reason=str(plain["reason"]),
        opened_us=_us(plain["opened"]),
        live_since_us=_us(plain["live_since"]),
        over_us=_us(plain["ended"]),
        break_since_us=_us(plain["away_since"]),
        break_why=str(plain["away_why"]),
        seats={seat.seat: seat for seat in seats},
        count=int(plain["count"]),
        peak=int(plain["peak"]),
        news=int(plain["seq"]),
    )


def links(space_id: str, door_base: str, sound_base: str) -> dict[str, str]:
    """The addresses of a Space that never change, as the commands and the API print them."""
    page, sound = f"{door_base}/s/{space_id}", f"{sound_base}/s/{space_id}"
    return {
        "page": page,
        "studio": f"{door_base}/studio/{space_id}",
        "whip": f"{page}/whip",
        "hls": f"{sound}/hls/index.m3u8",
        "opus_hls": f"{sound}/opus/index.m3u8",
        "replay": f"{sound}/hls/replay.m3u8",
        "recording": f"{sound}/recording.m4a",
        "mp3": f"{sound}/live.mp3",
        "ogg": f"{sound}/live.opus",
    }


def _elapsed_s(space: Space, now_us: int) -> float | None:
    if space.live_since_us is None:
        return None
    until = now_us if space.state in ON_AIR else space.over_us or now_us
    return round(max(0, until - space.live_since_us) / 1e6, 1)


def _iso(wall_us: int | None) -> str | None:
    return None if wall_us is None else iso(wall_us)


def _us(moment: str | None) -> int | None:
    return None if moment is None else parse_iso(moment)
