"""What a check found, gathered: each rule once for each place, with how often and what was seen first."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from rostra.rehearsal.hls.answers import ANSWERS
from rostra.rehearsal.hls.findings import Finding, Rule, Severity
from rostra.rehearsal.hls.low_latency import LOW_LATENCY
from rostra.rehearsal.hls.master import MASTER, SIBLINGS
from rostra.rehearsal.hls.media import MEDIA
from rostra.rehearsal.hls.one import ONE
from rostra.rehearsal.hls.succession import DELTA, SUCCESSION

UNANSWERED: Final = Rule(
    "unanswered", Severity.ERROR, "6.2.1", "What a playlist lists must answer; look at the server and the network."
)
UNREAD: Final = Rule("unread-media", Severity.NOTE, "3.1", "Only unencrypted fragmented MP4 is looked into.")
BOOKS: Final = {
    "a multivariant playlist": MASTER.rules,
    "its media playlists together": SIBLINGS.rules,
    "a media playlist": ONE.rules,
    "its low-latency parts": LOW_LATENCY.rules,
    "a version after another": SUCCESSION.rules,
    "a delta update": DELTA.rules,
    "an answer": [*ANSWERS.rules, UNANSWERED],
    "media": [*MEDIA.rules, UNREAD],
}
"""All rules by what they are about."""
RULES: Final = sum(map(len, BOOKS.values()))
NOT_CHECKED: Final = (
    "HTTP/2 or HTTP/3 with priorities (B.1): requests are made over HTTP/1.1",
    "503 after three target durations (6.2.5.2): only where the stream stalls by itself",
    "segments kept after they left the playlist (6.2.2)",
    "whether decoded sound is what was spoken: 'rostra listen' hears that",
)
_PLACES_MOST: Final = 1000


@dataclass(slots=True)
class Seen:
    times: int
    sentence: str


@dataclass(slots=True)
class Watched:
    """One media playlist: how it stood and what was taken of it."""

    url: str
    live: bool = False
    low_latency: bool = False
    target_s: int | None = None
    part_target_s: float | None = None
    versions: int = 0
    segments: int = 0
    parts: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Report:
    """Filled as the check goes on; `summary` at any time."""

    url: str
    seconds: float = 0.0
    requests: int = 0
    playlists: dict[str, Watched] = field(default_factory=dict)
    found: dict[tuple[Rule, str], Seen] = field(default_factory=dict)

    def add(self, findings: Iterable[Finding], where: str) -> None:
        for one in findings:
            seen = self.found.get((one.rule, where))
            if seen is not None:
                seen.times += 1
            elif len(self.found) < _PLACES_MOST:
                self.found[one.rule, where] = Seen(1, one.sentence)

    def count(self, severity: Severity) -> int:
        return sum(rule.severity is severity for rule, _ in self.found)

    @property
    def ok(self) -> bool:
        return not self.count(Severity.ERROR) and bool(self.playlists)

    def summary(self) -> dict[str, Any]:
        order = list(Severity)
        found = sorted(self.found.items(), key=lambda one: (order.index(one[0][0].severity), one[0][1], one[0][0].name))
        return {
            "url": self.url,
            "ok": self.ok,
            "errors": self.count(Severity.ERROR),
            "warnings": self.count(Severity.WARNING),
            "notes": self.count(Severity.NOTE),
            "seconds": round(self.seconds, 1),
            "requests": self.requests,
            "rules": RULES,
            "playlists": [
                {
                    "url": one.url, "live": one.live, "low_latency": one.low_latency, "target_s": one.target_s,
                    "part_target_s": one.part_target_s, "versions": one.versions, "segments": one.segments,
                    "parts": one.parts, "bytes": one.bytes,
                }
                for one in self.playlists.values()
            ],
            "findings": [
                {
                    "rule": rule.name, "severity": rule.severity, "clause": rule.clause, "where": where,
                    "times": seen.times, "sentence": seen.sentence, "remedy": rule.remedy,
                }
                for (rule, where), seen in found
            ],
            "not_checked": list(NOT_CHECKED),
        }  # fmt: skip
