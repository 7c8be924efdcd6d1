"""HLS playlists of one rendition, and what a request for one must wait for.

Source: draft-pantos-hls-rfc8216bis-22 (clauses named below). The two renditions of AAC share a multivariant playlist; Opus has one
of its own, because Apple's players refuse Opus in HLS. Each media playlist has a wide sister, whose parts are twice as long;
a multivariant playlist names either the wide ones or the others, because the variants of one must promise the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Final

from rostra.kernel.clock import iso
from rostra.sound.renditions import RATE, TARGET_DURATION_S, Rendition, Shape

MIME: Final = "application/vnd.apple.mpegurl"

SKIP_UNTIL_S: Final = 6 * TARGET_DURATION_S
BLOCK_MOST_S: Final = 3 * TARGET_DURATION_S
"""A blocked playlist request that waited this long is answered 503 (6.2.5.2)."""

# Cache lifetimes in seconds, appendix B.1.
BLOCKING_PLAYLIST_MAX_AGE_S: Final = 6 * TARGET_DURATION_S
PLAIN_PLAYLIST_MAX_AGE_S: Final = TARGET_DURATION_S // 2
MEDIA_MAX_AGE_S: Final = 6 * TARGET_DURATION_S

_SEGMENTS_WITH_PARTS: Final = 3
"""The one in the making and two before it: no part is listed that ended more than three target durations ago (6.2.2)."""


LIVE: Final = "live.m3u8"
WIDE: Final = "wide.m3u8"


def multivariant(rendition: Rendition, *further: Rendition, at: Rendition | None = None, wide: bool = False) -> bytes:
    """Players begin with the first variant.

    Args:
        further: the other variants, in order.
        at: the rendition in whose folder the playlist lies, if it is not the first.
    """
    lines = ["#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n"]
    for one in (rendition, *further):
        shape = one.shape
        lines.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={shape.bandwidth_bps},AVERAGE-BANDWIDTH={shape.average_bps},"
            f'CODECS="{shape.codec}"\n'
            f"{_beside(at or rendition, one, wide)}\n"
        )
    return "".join(lines).encode()


def advance_part_limit(shape: Shape) -> int:
    """How many parts past the newest one a request may name (6.2.5.2)."""
    return ceil(3 / shape.part_s) if shape.part_s < 1 else 3


@dataclass(frozen=True, slots=True)
class Ready:
    """Answer now. `skip`: with a delta update (unless the playlist has nothing to skip)."""

    skip: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Answer when this part exists, or with 503 after BLOCK_MOST_S."""

    part: int
    skip: bool


@dataclass(frozen=True, slots=True)
class Reject:
    status: int
    sentence: str


def resolve(
    rendition: Rendition, query: Mapping[str, str], newest_part: int | None, ended: bool, *, wide: bool = False
) -> Ready | Wait | Reject:
    """What to do with a request for the live playlist (6.2.5). Other query parameters than delivery directives do not count.

    Args:
        newest_part: None before the first.
        wide: the playlist of wide parts is asked for; part numbers here and in the answer are of these.
    """
    if ended:
        # "A Server MUST ignore _HLS_msn and _HLS_part if the Playlist contains an EXT-X-ENDLIST tag", _HLS_skip too.
        return Ready(False)
    shape = rendition.wide if wide else rendition.shape
    skip = query.get("_HLS_skip") in ("YES", "v2")
    msn_text, part_text = query.get("_HLS_msn"), query.get("_HLS_part")
    if msn_text is None:
        if part_text is not None:
            return Reject(400, "_HLS_part needs _HLS_msn beside it.")
        return Ready(skip)
    msn = _decimal_integer(msn_text)
    if msn is None:
        return Reject(400, "_HLS_msn must be a whole number.")
    newest = -1 if newest_part is None else newest_part
    if msn > shape.segments_complete(newest + 1) - 1 + 2:
        return Reject(400, "_HLS_msn is too far ahead of the playlist.")
    if part_text is None:
        wanted = shape.first_part(msn + 1) - 1
    else:
        index = _decimal_integer(part_text)
        if index is None:
            return Reject(400, "_HLS_part must be a whole number.")
        # "treat the request as one for Part Index 0 of the following Parent Segment"
        wanted = shape.first_part(msn) + min(index, shape.parts_per_segment)
        if wanted > newest + advance_part_limit(shape):
            return Reject(400, "_HLS_part is too far ahead of the playlist.")
    return Ready(skip) if wanted <= newest else Wait(wanted, skip)


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another rendition of the same multivariant playlist, as it is now. `parts`: how many parts (not wide ones) it has."""

    rendition: Rendition
    parts: int


class Playlists:
    """The media playlists of one rendition of one Space, grown part by part."""

    def __init__(self, rendition: Rendition, window_s: float = 60.0) -> None:
        self._rendition = rendition
        self._shape = shape = rendition.shape
        # Never fewer than three target durations may remain (6.2.2).
        self._window = ceil(max(window_s, 3.0 * TARGET_DURATION_S) / shape.segment_s)
        self._parts = 0
        self._ended = False
        self._starts: list[str] = []
        self._next_start_us = 0
        self._extinf = _extinf(shape, shape.parts_per_segment)
        self._last_extinf = self._extinf
        self._replay = bytearray(
            "#EXTM3U\n"
            "#EXT-X-VERSION:6\n"
            f"#EXT-X-TARGETDURATION:{TARGET_DURATION_S}\n"
            "#EXT-X-PLAYLIST-TYPE:EVENT\n"
            "#EXT-X-MEDIA-SEQUENCE:0\n"
            "#EXT-X-INDEPENDENT-SEGMENTS\n"
            "#EXT-X-START:TIME-OFFSET=0\n"
            '#EXT-X-MAP:URI="init.mp4"\n'.encode()
        )

    @property
    def parts(self) -> int:
        """How many parts there are; also the number of the next."""
        return self._parts

    @property
    def ended(self) -> bool:
        return self._ended

    def add(self, start_us: int) -> None:
        """Take note of the next part.

        Args:
            start_us: wall microseconds of its first sample.
        """
        assert not self._ended
        shape = self._shape
        if shape.index_in_segment(self._parts) == 0:
            self._starts.append(f"#EXT-X-PROGRAM-DATE-TIME:{iso(self._unambiguous(start_us))}\n")
        self._parts += 1
        if shape.index_in_segment(self._parts) == 0:
            self._replay += self._segment(len(self._starts) - 1).encode()

    def resume(self, parts: int, starts_us: Sequence[int]) -> None:
        """Take note of everything that there was before the first `add`, at the cost of its segments, not of its parts.

        Args:
            starts_us: of each segment, wall microseconds of its first sample.
        """
        assert not self._parts and not self._ended
        begun = ceil(parts / self._shape.parts_per_segment)
        self._starts = [f"#EXT-X-PROGRAM-DATE-TIME:{iso(self._unambiguous(one))}\n" for one in starts_us[:begun]]
        self._parts = parts
        whole = range(self._shape.segments_complete(parts))
        self._replay += "".join(f"{self._starts[msn]}{self._extinf}seg/{msn}.m4s\n" for msn in whole).encode()

    def end(self) -> None:
        """No further part will come. A last segment that is not full is listed with the length it has."""
        if self._ended:
            return
        self._ended = True
        rest = self._shape.index_in_segment(self._parts)
        if rest:
            self._last_extinf = _extinf(self._shape, rest)
            self._replay += self._segment(len(self._starts) - 1).encode()
        self._replay += b"#EXT-X-ENDLIST\n"

    def live(self, skip: bool = False, *, wide: bool = False, siblings: Sequence[Sibling] = ()) -> bytes:
        """The low-latency playlist as it is now: the last `window_s`, parts at the edge, the hint for the next part.

        Args:
            skip: give a delta update (6.2.5.1), the whole if there is nothing to skip.
            wide: with parts of twice the length.
            siblings: those to report on (4.4.5.4, B.1).
        """
        shape, parts = (self._rendition.wide, self._parts // 2) if wide else (self._shape, self._parts)
        begun = len(self._starts) if self._ended else ceil(parts / shape.parts_per_segment)
        listed = self._segments_listed()
        first = max(0, listed - self._window)
        lines = [_head(shape), f"#EXT-X-MEDIA-SEQUENCE:{first}\n"]
        begin = max(first, _skip_boundary(shape, parts)) if skip and not self._ended else first
        if begin > first:
            # EXT-X-MAP is among the tags that the skipped segments take with them; the client has it.
            lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={begin - first}\n")
        else:
            lines.append('#EXT-X-MAP:URI="init.mp4"\n')
        # After the end there is no live edge and so no parts: hls.js waits for ever if ENDLIST comes beside a new part.
        with_parts = begun - (0 if self._ended else _SEGMENTS_WITH_PARTS)
        lines += [self._segment(msn) for msn in range(begin, min(listed, with_parts))]
        folder = "wide" if wide else "part"
        for msn in range(max(begin, with_parts), begun):
            lines.append(self._starts[msn])
            lines += _part_lines(shape, folder, parts, msn)
            if msn < listed:
                lines += (self._length_of(msn), f"seg/{msn}.m4s\n")
        if self._ended:
            lines.append("#EXT-X-ENDLIST\n")
        else:
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{folder}/{parts}.m4s"\n')
            lines += [self._report(one, wide) for one in siblings]
        return "".join(lines).encode()

    def replay(self) -> bytes:
        """Every whole segment from the beginning: an EVENT that grows, complete once ended."""
        return bytes(self._replay)

    def _segments_listed(self) -> int:
        return len(self._starts) if self._ended else self._shape.segments_complete(self._parts)

    def _segment(self, msn: int) -> str:
        return f"{self._starts[msn]}{self._length_of(msn)}seg/{msn}.m4s\n"

    def _length_of(self, msn: int) -> str:
        return self._last_extinf if msn == len(self._starts) - 1 else self._extinf

    def _report(self, sibling: Sibling, wide: bool) -> str:
        shape, parts = sibling.rendition.shape, sibling.parts
        if wide:
            shape, parts = sibling.rendition.wide, parts // 2
        if not parts:
            return ""
        last = parts - 1
        return (
            f'#EXT-X-RENDITION-REPORT:URI="{_beside(self._rendition, sibling.rendition, wide)}",'
            f"LAST-MSN={shape.segment_of_part(last)},LAST-PART={shape.index_in_segment(last)}\n"
        )

    def _unambiguous(self, start_us: int) -> int:
        """Dates must not overlap by a second or more (6.2.1): a wall clock set back does not take the playlist with it."""
        if start_us <= self._next_start_us - 1_000_000:
            start_us = self._next_start_us
        self._next_start_us = start_us + self._shape.part_us * self._shape.parts_per_segment
        return start_us


def _beside(at: Rendition, other: Rendition, wide: bool) -> str:
    name = WIDE if wide else LIVE
    return name if other is at else f"../{other.shape.url}/{name}"


@cache
def _head(shape: Shape) -> str:
    return (
        "#EXTM3U\n"
        "#EXT-X-VERSION:9\n"
        f"#EXT-X-TARGETDURATION:{TARGET_DURATION_S}\n"
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={SKIP_UNTIL_S:.1f},"
        f"HOLD-BACK={3 * shape.segment_s:.5f},PART-HOLD-BACK={3 * shape.part_s:.5f}\n"
        f"#EXT-X-PART-INF:PART-TARGET={shape.part_s:.5f}\n"
    )


def _extinf(shape: Shape, parts: int) -> str:
    """The length of so many parts, told two millionths short where a frame is no whole number of them.

    Browsers count in whole millionths and cut off the rest, so that AAC ends one earlier in their buffers than it does. hls.js (1.7) then takes
    the segment for unfinished and, if it changed renditions within it, asks for no further part until the buffer is empty.
    In an hour it makes two thousandths of a second, far below what 4.4.4.1 asks for.
    """
    short_s = 0.000_002 if shape.frame_samples * 1_000_000 % RATE else 0.0
    return f"#EXTINF:{parts * shape.part_s - short_s:.6f},\n"


def _part_lines(shape: Shape, folder: str, parts: int, msn: int) -> list[str]:
    duration = f"{shape.part_s:.5f}"
    numbers = range(shape.first_part(msn), min(shape.first_part(msn + 1), parts))
    return [f'#EXT-X-PART:DURATION={duration},URI="{folder}/{number}.m4s",INDEPENDENT=YES\n' for number in numbers]


def _skip_boundary(shape: Shape, parts: int) -> int:
    """First msn that must stay: a skipped one ends more than SKIP_UNTIL_S before the end."""
    old_parts = parts - SKIP_UNTIL_S / shape.part_s
    return max(0, ceil(old_parts / shape.parts_per_segment) - 1)


def _decimal_integer(text: str) -> int | None:
    """Digits that make a number below 2**64 (4.2)."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    number = int(text)
    return number if number < 1 << 64 else None
