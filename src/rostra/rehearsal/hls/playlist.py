"""A playlist as its text says it is. Source: draft-pantos-hls-rfc8216bis-22, clause 4."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

Attributes = Mapping[str, str]
"""By name; quoted strings without their quotes."""


def number(text: str) -> int | None:
    """A decimal integer below 2**64 (4.2), None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    found = int(text)
    return found if found < 1 << 64 else None


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind`: "encoding", "line", "attributes" or "number"."""

    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Part:
    uri: str
    duration_s: float
    independent: bool
    gap: bool
    byterange: tuple[int, int] | None
    """Length and offset."""


@dataclass(frozen=True, slots=True)
class Segment:
    msn: int
    uri: str
    """Empty while the segment is in the making."""
    duration_s: float | None
    """None where EXTINF is missing."""
    parts: tuple[Part, ...]
    date_s: float | None
    """EXT-X-PROGRAM-DATE-TIME as Unix time."""
    date_text: str
    gap: bool
    discontinuity: bool
    discontinuity_number: int
    map: str | None
    """URI of the EXT-X-MAP that applies."""
    byterange: tuple[int, int | None] | None
    late: tuple[str, ...]
    """Tags that came after the first part although they apply to it."""

    @property
    def whole(self) -> bool:
        return bool(self.uri)

    @property
    def length_s(self) -> float:
        """Of what is there by now."""
        return self.duration_s if self.duration_s is not None and self.uri else sum(p.duration_s for p in self.parts)


@dataclass(frozen=True, slots=True)
class Variant:
    """Of EXT-X-STREAM-INF, or of EXT-X-MEDIA with a URI of its own."""

    uri: str
    attributes: Attributes
    alternative: bool = False


@dataclass(frozen=True, slots=True)
class Playlist:
    """A media playlist or a multivariant one, or, in error, both."""

    text: str
    tags: Counter[str]
    faults: tuple[Fault, ...]
    version: int | None
    target_s: int | None
    msn: int
    discontinuity_sequence: int | None
    kind: str | None
    ended: bool
    control: Attributes | None
    part_target_s: float | None
    skipped: int | None
    segments: tuple[Segment, ...]
    """The last may be in the making: parts without a URI."""
    hints: tuple[Attributes, ...]
    reports: tuple[Attributes, ...]
    variants: tuple[Variant, ...]
    encrypted: bool
    misplaced: tuple[str, ...] = ()
    """Tags that came too late: EXT-X-MEDIA-SEQUENCE and EXT-X-DISCONTINUITY-SEQUENCE after a segment."""

    @property
    def multivariant(self) -> bool:
        return any(self.tags[tag] for tag in MULTIVARIANT_TAGS)

    @property
    def media(self) -> bool:
        return any(self.tags[tag] for tag in MEDIA_TAGS | SEGMENT_TAGS)

    @property
    def whole(self) -> tuple[Segment, ...]:
        return tuple(one for one in self.segments if one.whole)

    @property
    def duration_s(self) -> float:
        return sum(one.length_s for one in self.whole)

    @property
    def low_latency(self) -> bool:
        return bool(self.tags["EXT-X-PART"] or self.part_target_s)

    @property
    def live(self) -> bool:
        return not self.ended and self.kind is None

    @property
    def last(self) -> tuple[int, int]:
        """Media sequence number and part index (-1: no part) of the newest thing in it; (msn - 1, -1) when empty."""
        if not self.segments:
            return self.msn + (self.skipped or 0) - 1, -1
        newest = self.segments[-1]
        return newest.msn, len(newest.parts) - 1

    @property
    def last_whole(self) -> int:
        """Number of the last whole segment; one below the first if there is none."""
        whole = self.whole
        return whole[-1].msn if whole else self.msn + (self.skipped or 0) - 1

    def control_s(self, name: str) -> float | None:
        """A duration in EXT-X-SERVER-CONTROL."""
        return seconds((self.control or {}).get(name, ""))

    @property
    def blocks(self) -> bool:
        return (self.control or {}).get("CAN-BLOCK-RELOAD") == "YES"

    def segment(self, msn: int) -> Segment | None:
        return next((one for one in self.segments if one.msn == msn), None)


MEDIA_TAGS = frozenset(
    {
        "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE", "EXT-X-ENDLIST",
        "EXT-X-PLAYLIST-TYPE", "EXT-X-I-FRAMES-ONLY", "EXT-X-PART-INF", "EXT-X-SERVER-CONTROL",
    }
)  # fmt: skip
SEGMENT_TAGS = frozenset(
    {
        "EXTINF", "EXT-X-BYTERANGE", "EXT-X-DISCONTINUITY", "EXT-X-KEY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME", "EXT-X-GAP",
        "EXT-X-BITRATE", "EXT-X-PART",
    }
)  # fmt: skip
MULTIVARIANT_TAGS = frozenset(
    {
        "EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA", "EXT-X-SESSION-KEY",
        "EXT-X-CONTENT-STEERING",
    }
)  # fmt: skip
_OTHER_TAGS = frozenset(
    {
        "EXTM3U", "EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START", "EXT-X-DEFINE", "EXT-X-DATERANGE", "EXT-X-SKIP",
        "EXT-X-PRELOAD-HINT", "EXT-X-RENDITION-REPORT",
    }
)  # fmt: skip
KNOWN_TAGS = MEDIA_TAGS | SEGMENT_TAGS | MULTIVARIANT_TAGS | _OTHER_TAGS
_FLOAT = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


def seconds(text: str) -> float | None:
    """A decimal-floating-point or decimal-integer number (4.2); None for anything else."""
    return float(text) if _FLOAT.fullmatch(text) else None
