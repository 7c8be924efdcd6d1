"""A Space as the public may see it: the words of state.json and of the API. No secrets, no hashes."""

from typing import Any

from rostra.kernel.clock import iso
from rostra.space.space import Space
from rostra.space.states import BEFORE, ON_AIR


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
        "counted": space.count_method,
        "seq": space.news,
    }


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
    }


def _elapsed_s(space: Space, now_us: int) -> float | None:
    if space.live_since_us is None:
        return None
    until = now_us if space.state in ON_AIR else space.over_us or now_us
    return round(max(0, until - space.live_since_us) / 1e6, 1)


def _iso(wall_us: int | None) -> str | None:
    return None if wall_us is None else iso(wall_us)
