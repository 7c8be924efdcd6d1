"""Reading a playlist strictly: what cannot be read is noted as a fault, and reading goes on.

Source: draft-pantos-hls-rfc8216bis-22, clause 4.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from rostra.rehearsal.hls.playlist import Attributes, Fault, Part, Playlist, Segment, Variant, number, seconds

_LISTS = frozenset(
    {
        "EXT-X-START", "EXT-X-PART-INF", "EXT-X-SERVER-CONTROL", "EXT-X-KEY", "EXT-X-MAP", "EXT-X-PART", "EXT-X-DATERANGE",
        "EXT-X-SKIP", "EXT-X-PRELOAD-HINT", "EXT-X-RENDITION-REPORT", "EXT-X-MEDIA", "EXT-X-STREAM-INF",
    }
)  # fmt: skip
_BEFORE_PARTS = ("EXT-X-DISCONTINUITY", "EXT-X-KEY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME")
_CONTROL = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PAIR = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,|$)')


def read(body: bytes) -> Playlist:
    """Never raises; `faults` says what is wrong."""
    reading = _Reading()
    reading.text = reading.decode(body)
    reading.all(reading.text)
    return reading.playlist()


@dataclass(slots=True)
class _Reading:
    text: str = ""
    tags: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    numbers: dict[str, int | None] = field(default_factory=dict)
    kind: str | None = None
    control: Attributes | None = None
    part_target_s: float | None = None
    skipped: int | None = None
    segments: list[Segment] = field(default_factory=list)
    hints: list[Attributes] = field(default_factory=list)
    reports: list[Attributes] = field(default_factory=list)
    variants: list[Variant] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    encrypted: bool = False
    map: str | None = None
    stream: Attributes | None = None
    discontinuities: int = 0
    # Of the segment in the making.
    duration_s: float | None = None
    date: tuple[float | None, str] = (None, "")
    gap: bool = False
    discontinuity: bool = False
    byterange: tuple[int, int | None] | None = None
    parts: list[Part] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    def decode(self, body: bytes) -> str:
        if body.startswith(b"\xef\xbb\xbf"):
            self._fault("encoding", "It begins with a byte order mark.")
            body = body[3:]
        try:
            text = body.decode()
        except UnicodeDecodeError as wrong:
            self._fault("encoding", f"Byte {wrong.start} is not UTF-8.")
            text = body.decode("utf-8", "replace")
        for odd in sorted(set(_CONTROL.findall(text))):
            self._fault("encoding", f"It holds the control character U+{ord(odd):04X}.")
        return text

    def all(self, text: str) -> None:
        lines = text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        for at, line in enumerate(lines, 1):
            line = line.removesuffix("\r")
            if "\r" in line:
                self._fault("line", f"Line {at} holds a carriage return that ends no line.")
            if not line:
                continue
            if line != line.strip() or (not line.startswith("#") and " " in line):
                self._fault("line", f"Line {at} has blanks where none may be: {_short(line)}")
            if line.startswith("#EXT"):
                name, _, value = line[1:].partition(":")
                self.tags[name] += 1
                self._tag(name, value, at)
            elif not line.startswith("#"):
                self._uri(self._address(line.strip(), at))
        if self.stream is not None:
            self._fault("line", "The last EXT-X-STREAM-INF has no URI line after it.")

    def playlist(self) -> Playlist:
        if self.parts:
            self._segment("")
        return Playlist(
            text=self.text,
            tags=self.tags,
            faults=tuple(self.faults),
            version=self.numbers.get("EXT-X-VERSION"),
            target_s=self.numbers.get("EXT-X-TARGETDURATION"),
            msn=self.numbers.get("EXT-X-MEDIA-SEQUENCE") or 0,
            discontinuity_sequence=self.numbers.get("EXT-X-DISCONTINUITY-SEQUENCE"),
            kind=self.kind,
            ended=bool(self.tags["EXT-X-ENDLIST"]),
            control=self.control,
            part_target_s=self.part_target_s,
            skipped=self.skipped,
            segments=tuple(self.segments),
            hints=tuple(self.hints),
            reports=tuple(self.reports),
            variants=tuple(self.variants),
            encrypted=self.encrypted,
            misplaced=tuple(self.misplaced),
        )

    def _tag(self, name: str, value: str, line: int) -> None:
        attributes = self._attributes(name, value, line) if name in _LISTS else {}
        if "URI" in attributes:
            attributes["URI"] = self._address(attributes["URI"], line)
        if name in _BEFORE_PARTS and self.parts:
            self.late.append(name)
        match name:
            case "EXT-X-VERSION" | "EXT-X-TARGETDURATION":
                self.numbers[name] = self._whole(name, value)
            case "EXT-X-MEDIA-SEQUENCE" | "EXT-X-DISCONTINUITY-SEQUENCE":
                self.numbers[name] = self._whole(name, value)
                if self.segments or self.parts or (name[6] == "D" and self.discontinuity):
                    self.misplaced.append(name)
            case "EXT-X-PLAYLIST-TYPE":
                self.kind = value
                if value not in ("EVENT", "VOD"):
                    self._fault("number", f"EXT-X-PLAYLIST-TYPE is {_short(value)}, neither EVENT nor VOD.")
            case "EXT-X-SERVER-CONTROL":
                self.control = attributes
                for key in ("CAN-SKIP-UNTIL", "HOLD-BACK", "PART-HOLD-BACK"):
                    if key in attributes:
                        self._seconds(name, attributes, key)
            case "EXT-X-PART-INF":
                self.part_target_s = self._seconds(name, attributes, "PART-TARGET")
            case "EXT-X-SKIP":
                self.skipped = self._whole(name, attributes.get("SKIPPED-SEGMENTS", ""))
            case "EXTINF":
                duration, comma, _ = value.partition(",")
                self.duration_s = seconds(duration)
                if self.duration_s is None or not comma:
                    self._fault("number", f"Line {line}: EXTINF must be a duration and a comma, not {_short(value)}.")
            case "EXT-X-PROGRAM-DATE-TIME":
                self.date = (_date(value), value)
                if self.date[0] is None:
                    self._fault("number", f"Line {line}: {_short(value)} is no ISO 8601 date and time.")
            case "EXT-X-DISCONTINUITY":
                self.discontinuity = True
                self.discontinuities += 1
            case "EXT-X-GAP":
                self.gap = True
            case "EXT-X-MAP":
                self.map = attributes.get("URI")
            case "EXT-X-KEY":
                self.encrypted |= attributes.get("METHOD") != "NONE"
            case "EXT-X-BYTERANGE":
                self.byterange = self._range(value, line)
            case "EXT-X-PART":
                self._part(attributes, line)
            case "EXT-X-PRELOAD-HINT":
                self.hints.append(attributes)
            case "EXT-X-RENDITION-REPORT":
                self.reports.append(attributes)
            case "EXT-X-STREAM-INF":
                self.stream = attributes
            case "EXT-X-MEDIA":
                if "URI" in attributes:
                    self.variants.append(Variant(attributes["URI"], attributes, True))

    def _uri(self, line: str) -> None:
        if self.stream is not None:
            self.variants.append(Variant(line, self.stream))
            self.stream = None
        else:
            self._segment(line)

    def _segment(self, uri: str) -> None:
        msn = (self.numbers.get("EXT-X-MEDIA-SEQUENCE") or 0) + (self.skipped or 0) + len(self.segments)
        run = (self.numbers.get("EXT-X-DISCONTINUITY-SEQUENCE") or 0) + self.discontinuities
        self.segments.append(
            Segment(
                msn,
                uri,
                self.duration_s,
                tuple(self.parts),
                *self.date,
                self.gap,
                self.discontinuity,
                run,
                self.map,
                self.byterange,
                tuple(self.late),
            )  # fmt: skip
        )
        self.duration_s, self.date, self.gap, self.discontinuity = None, (None, ""), False, False
        self.byterange, self.parts, self.late = None, [], []

    def _part(self, attributes: Attributes, line: int) -> None:
        bounds = attributes.get("BYTERANGE")
        found = self._range(bounds, line) if bounds is not None else None
        before = self.parts[-1].byterange if self.parts else None
        offset = 0 if found is None else found[1] if found[1] is not None else sum(before) if before else 0
        self.parts.append(
            Part(
                attributes.get("URI", ""),
                self._seconds("EXT-X-PART", attributes, "DURATION") or 0.0,
                attributes.get("INDEPENDENT") == "YES",
                attributes.get("GAP") == "YES",
                None if found is None else (found[0], offset),
            )
        )

    def _address(self, uri: str, line: int) -> str:
        """The URI; of one that nobody can follow, a name that leads nowhere."""
        try:
            parts = urlsplit(uri)
            _ = parts.port, parts.hostname
        except ValueError:
            self._fault("line", f"Line {line}: {_short(uri)} is no URI.")
            return quote(uri)
        return uri

    def _attributes(self, name: str, value: str, line: int) -> dict[str, str]:
        found: dict[str, str] = {}
        at = 0
        while at < len(value):
            pair = _PAIR.match(value, at)
            if pair is None:
                self._fault(
                    "attributes", f"Line {line}: the attributes of {name} cannot be read at {_short(value[at:])}"
                )
                break
            if pair[1] in found:
                self._fault("attributes", f"Line {line}: {name} has {pair[1]} twice.")
            found[pair[1]] = pair[2].strip('"')
            at = pair.end()
        if value.endswith(","):
            self._fault("attributes", f"Line {line}: {name} ends with a comma.")
        return found

    def _whole(self, name: str, text: str) -> int | None:
        found = number(text)
        if found is None:
            self._fault("number", f"{name} is {_short(text)}, no decimal integer.")
        return found

    def _seconds(self, name: str, attributes: Attributes, key: str) -> float | None:
        value = seconds(attributes.get(key, ""))
        if value is None:
            self._fault("number", f"{key} of {name} is {_short(attributes.get(key, 'missing'))}, no decimal number.")
        return value

    def _range(self, text: str, line: int) -> tuple[int, int | None] | None:
        said, at, offset = text.partition("@")
        length, begin = number(said), number(offset) if at else None
        if length is None or (at and begin is None):
            self._fault("number", f"Line {line}: {_short(text)} is no byte range.")
            return None
        return length, begin

    def _fault(self, kind: str, sentence: str) -> None:
        self.faults.append(Fault(kind, sentence))


def _date(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
