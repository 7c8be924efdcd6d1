"""What each figure must reach. A benchmark that misses one ends `make bench` with 1; those of the edge stand in figures.py."""

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]

_DEMANDS: dict[str, list[tuple[str, Callable[[Row], bool]]]] = {
    "mouth_to_ear": [
        ("a web listener hears within 1.5 s (p95)", lambda row: row["web_player_delay_s"]["p95"] <= 1.5),
        ("an LL-HLS listener hears within 2.5 s (p95)", lambda row: row["ll_hls_delay_s"]["p95"] <= 2.5),
        ("a speaker hears another within 200 ms (p95)", lambda row: row["speaker_to_speaker_delay_s"]["p95"] <= 0.2),
        ("what is heard is what was spoken", lambda row: row["web_player"]["correlation"]["median"] > 0.9),
        ("over HLS too", lambda row: row["hls_by_ffmpeg"]["correlation"]["median"] > 0.9),
        ("its level is within 1 dB", lambda row: abs(row["web_player"]["level_db"]["median"]) <= 1),
        ("no gap", lambda row: row["web_player_gaps"] == 0),
        ("first sound within 1 s (p95)", lambda row: row["openings"]["first_sound_s"]["p95"] <= 1),
        ("at most five requests before it", lambda row: row["openings"]["requests_before_sound"] <= 5),
    ],
    "kills": [
        ("the page never fails", lambda row: not row["page_failed"]),
        ("a listener is back within 5 s", lambda row: row["listener"]["longest_gap_s"] <= 5),
        ("an HLS listener too", lambda row: row["hls_listener"]["longest_gap_s"] <= 5),
        ("the record is whole after each", lambda row: row["verified_after_kills"] == sum(row["kills"].values())),
    ],
    "stage": [
        ("thirteen speakers cost at most 0.6 of a core", lambda row: row["cores"] <= 0.6),
    ],
    "cold_replay": [
        ("two hours open within 200 ms", lambda row: row["ms"]["open_replay"]["median"] <= 200),
        ("any part sounds within 200 ms", lambda row: row["ms"]["seek_part"]["max"] <= 200),
        ("any segment too", lambda row: row["ms"]["seek_segment"]["max"] <= 200),
        ("the recording as a file begins within 200 ms", lambda row: row["ms"]["open_recording"]["max"] <= 200),
        ("so does any range of it", lambda row: row["ms"]["seek_recording"]["max"] <= 200),
    ],
}


def missed(bench: str, row: Row) -> list[str]:
    """What of it this row does not reach."""
    return [what for what, reached in _DEMANDS.get(bench, []) if not reached(row)]
