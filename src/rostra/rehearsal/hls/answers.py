"""Rules on how a server answers: what it says in its headers, and what it does with requests that should wait or be refused."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto

from rostra.rehearsal.hls.findings import Book
from rostra.rehearsal.hls.playlist import Playlist

_PLAYLIST_TYPES = ("application/vnd.apple.mpegurl", "audio/mpegurl", "application/x-mpegurl")
_ONE_PACKET_BYTES = 1200
"""A playlist below this is one packet, compressed or not."""
_TRANSFER_S = 0.25
"""How long the bytes of one part may take from first to last on any network that plays it."""


class Kind(StrEnum):
    PLAIN = auto()
    """A playlist, no directives."""
    BLOCKING = auto()
    """A playlist that names a part (or segment) to come."""
    OLD = auto()
    """A playlist that names what has long been there."""
    MEDIA = auto()
    """Init section, segment or part that is listed."""
    HINTED = auto()
    """The part that the hint names, asked for before it exists."""
    UNKNOWN = auto()
    """Media that no playlist names."""
    PART_WITHOUT_MSN = auto()
    MSN_AHEAD = auto()
    """Three or more segments after the last."""
    PART_AHEAD = auto()
    """More parts ahead than the advance part limit."""
    AFTER_END = auto()
    """Directives to a playlist that has ended."""


@dataclass(frozen=True, slots=True)
class Answered:
    """`first_byte_s` and `took_s` count from the request; `asked` is what had to be in the playlist for an answer (msn, part;
    part -1: the whole segment)."""

    kind: Kind
    url: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    first_byte_s: float = 0.0
    took_s: float = 0.0
    target_s: int = 0
    part_target_s: float = 0.0
    asked: tuple[int, int] | None = None
    playlist: Playlist | None = None


ANSWERS = Book[Answered]()


@ANSWERS.must("status", "6.2.1", "What a playlist lists can be fetched, from the moment it is listed.")
def _(it: Answered) -> Iterator[str]:
    if it.kind in (Kind.PLAIN, Kind.OLD, Kind.MEDIA, Kind.AFTER_END) and it.status != 200:
        yield f"{it.url} answered {it.status}."


@ANSWERS.must("content-type", "4", "Serve playlists as application/vnd.apple.mpegurl.")
def _(it: Answered) -> Iterator[str]:
    kind = it.headers.get("content-type", "").partition(";")[0].strip().lower()
    by_name = it.url.partition("?")[0].endswith((".m3u8", ".m3u"))
    if it.playlist is not None and kind not in _PLAYLIST_TYPES and not by_name:
        yield f"{it.url} came as {kind or 'nothing'}."


@ANSWERS.should("content-type-named", "Apple 10", "Serve playlists as application/vnd.apple.mpegurl.")
def _(it: Answered) -> Iterator[str]:
    kind = it.headers.get("content-type", "").partition(";")[0].strip().lower()
    if it.kind is Kind.PLAIN and it.status == 200 and kind not in _PLAYLIST_TYPES:
        yield f"{it.url} came as {kind or 'nothing'}."


@ANSWERS.should("gzip", "6.2.1", "Compress playlists for players that accept gzip.")
def _(it: Answered) -> Iterator[str]:
    worth = it.playlist is not None and len(it.playlist.text) > _ONE_PACKET_BYTES
    if it.kind is Kind.PLAIN and worth and "gzip" not in it.headers.get("content-encoding", ""):
        yield f"{it.url} came uncompressed."


@ANSWERS.should(
    "vary", "RFC 9110 12.5.5", "Say Vary: Accept-Encoding, or a cache gives gzip to those who cannot read it."
)
def _(it: Answered) -> Iterator[str]:
    if it.headers.get("content-encoding") and "accept-encoding" not in it.headers.get("vary", "").lower():
        yield f"{it.url} came compressed without Vary."


@ANSWERS.must("stale-playlist", "B.1", "Let caches keep a live playlist for half a target duration at most.")
def _(it: Answered) -> Iterator[str]:
    age_s = _max_age_s(it.headers)
    live = it.playlist is not None and not it.playlist.ended
    if it.kind is Kind.PLAIN and live and it.target_s and age_s is not None and age_s > max(1, it.target_s / 2):
        yield f"{it.url} may be kept for {age_s} s; the target duration is {it.target_s} s."


@ANSWERS.should(
    "cache-blocking", "B.1", "Let caches keep a playlist that was waited for; it is the same for everybody."
)
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.BLOCKING and it.status == 200 and not _max_age_s(it.headers):
        yield f"No cache may keep {it.url}."


@ANSWERS.should("cache-media", "B.1", "Let caches keep parts and segments for six target durations; they never change.")
def _(it: Answered) -> Iterator[str]:
    age_s = _max_age_s(it.headers)
    if it.kind in (Kind.MEDIA, Kind.HINTED) and it.status == 200 and it.target_s and (age_s or 0) < it.target_s:
        yield f"{it.url} may be kept for {'no time' if not age_s else f'{age_s} s'}."


@ANSWERS.should(
    "cache-refusal", "B.1", "Let a refusal be kept for four target durations at most, and a 503 not at all."
)
def _(it: Answered) -> Iterator[str]:
    age_s = _max_age_s(it.headers)
    most_s = 0 if it.status >= 500 else 4 * it.target_s
    if it.status >= 400 and age_s is not None and age_s > most_s:
        yield f"{it.url} answered {it.status}, to be kept for {age_s} s."


@ANSWERS.may(
    "cors", "Fetch 3.2", "Say Access-Control-Allow-Origin, so that players in web pages elsewhere may read it."
)
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.PLAIN and it.status == 200 and "access-control-allow-origin" not in it.headers:
        yield f"{it.url} came without Access-Control-Allow-Origin."


@ANSWERS.must("reload-unmet", "6.2.5.2", "Answer a blocking request when the playlist has what it names, not before.")
def _(it: Answered) -> Iterator[str]:
    if it.kind in (Kind.BLOCKING, Kind.OLD) and it.status == 200 and it.asked and it.playlist and not it.playlist.ended:
        msn, part = it.asked
        if not _has(it.playlist, msn, part):
            yield f"{it.url} was answered with a playlist that ends with {it.playlist.last} (segment, part)."


@ANSWERS.must("reload-refused", "6.2.5.2", "Hold a request for the next part or segment until it exists.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.BLOCKING and 400 <= it.status < 500:
        yield f"{it.url} names what comes next and was answered {it.status}."


@ANSWERS.should("reload-503", "6.2.5.2", "After three target durations of waiting answer 503.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.BLOCKING and it.target_s and it.took_s > 3 * it.target_s + 1 and it.status != 503:
        yield f"{it.url} was answered {it.status} after {it.took_s:.1f} s."


@ANSWERS.must("reload-old", "6.2.5.2", "Answer a request for what is there already with the whole playlist.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.OLD and it.status == 200 and it.playlist is not None and not it.playlist.segments:
        yield f"{it.url} was answered with an empty playlist."


@ANSWERS.should("reload-old-late", "6.2.5.2", "Answer a request for what is there already at once.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.OLD and it.part_target_s and it.took_s > it.part_target_s + _TRANSFER_S:
        yield f"{it.url} names what was there and took {it.took_s:.2f} s."


@ANSWERS.must("part-without-msn", "6.2.5.2", "Answer _HLS_part without _HLS_msn with 400.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.PART_WITHOUT_MSN and it.status != 400:
        yield f"{it.url} was answered {it.status}."


@ANSWERS.should("msn-ahead", "6.2.5.2", "Answer _HLS_msn more than two after the last segment with 400, at once.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.MSN_AHEAD and (it.status != 400 or it.took_s > it.target_s > 0):
        yield f"{it.url} was answered {it.status} after {it.took_s:.1f} s."


@ANSWERS.should("part-ahead", "6.2.5.2", "Answer _HLS_part beyond the advance part limit with 400, at once.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.PART_AHEAD and (it.status != 400 or it.took_s > it.target_s > 0):
        yield f"{it.url} was answered {it.status} after {it.took_s:.1f} s."


@ANSWERS.should("unknown-media", "6.2.6", "Answer 404 to a request for media that does not exist and is not hinted.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.UNKNOWN and it.status not in (404, 410):
        yield f"{it.url} was answered {it.status}."


@ANSWERS.must("hinted-refused", "6.2.6", "Hold a request for the hinted part, and answer it when the part exists.")
def _(it: Answered) -> Iterator[str]:
    if it.kind is Kind.HINTED and it.status not in (200, 206):
        yield f"The hinted {it.url} was answered {it.status}."


@ANSWERS.must(
    "hinted-trickles",
    "6.2.6",
    "Send nothing of a part before all of it can be sent; players measure the network by it.",
)
def _(it: Answered) -> Iterator[str]:
    trickle_s = it.took_s - it.first_byte_s
    if it.kind is Kind.HINTED and it.status in (200, 206) and trickle_s > max(_TRANSFER_S, it.part_target_s / 2):
        yield f"The hinted {it.url} came over {trickle_s:.2f} s from its first byte."


def _has(it: Playlist, msn: int, part: int) -> bool:
    if part < 0:
        return it.last_whole >= msn
    last_msn, last_part = it.last
    one = it.segment(msn)
    if last_msn > msn or (one is not None and one.whole):
        return True
    return last_msn == msn and last_part >= part


def _max_age_s(headers: Mapping[str, str]) -> int | None:
    """How long a shared cache may keep it. None: not said."""
    said = headers.get("cache-control", "").lower()
    if "no-store" in said or "no-cache" in said or "private" in said:
        return 0
    found = re.search(r"s-maxage=([0-9]{1,15})", said) or re.search(r"max-age=([0-9]{1,15})", said)
    return int(found[1]) if found else None
