"""What one edge says of a Space's listeners, and how such counts are made. The words that edges and stage share."""

import base64
import binascii
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from rostra.kernel.errors import PeerError
from rostra.kernel.sketch import Sample, Sketch

KINDS: Final = ("web", "hls", "stream", "replay")
"""Our page; HLS players; endless streams; whoever hears what was said more than 24 s ago, with whatever player."""
EDGE, BEACON = "edge", "beacon"
METHODS: Final = (EDGE, BEACON)
WINDOW_S: Final = 10
BEACON_EVERY_S: Final = 30
KEY_BYTES: Final = 16
REPORT_BYTES_MOST: Final = 131_072

_LISTENERS_MOST: Final = 100_000_000
_NAME_MOST: Final = 100
_STEP_MOST: Final = 3
_EVERY_MOST_S: Final = 60.0
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Report:
    """One edge's listeners at one moment.

    Attributes:
        edge: its name, the same after a restart.
        kinds: listeners now by kind of player; no kind that has none. Their sum is `now`.
        method: "edge" or "beacon".
        one_in: of the players that could, one in so many reports (beacon).
        every_s: when the next report is to be expected.
        key: what the marks in the sketches were made with.
        unique: everybody it has seen so far; None where nothing changed since the last report.
        step, why: what the edge leaves out under pressure (events.Thinned).
        named: of those now here who named themselves, by kind, so that who is seen by two edges counts once.
    """

    edge: str
    kinds: dict[str, int]
    method: str = EDGE
    one_in: int = 1
    every_s: float = 2.0
    key: bytes = b""
    unique: Sketch | None = None
    named: dict[str, Sample] = field(default_factory=dict)
    step: int = 0
    why: str = ""

    @property
    def now(self) -> int:
        return sum(self.kinds.values())

    def to_plain(self) -> dict[str, Any]:
        return {
            "edge": self.edge,
            "now": self.now,
            "kinds": self.kinds,
            "method": self.method,
            "one_in": self.one_in,
            "every_s": self.every_s,
            "key": base64.b64encode(self.key).decode(),
            "unique": _text(self.unique),
            "named": {kind: _text(sample) for kind, sample in self.named.items()},
            "step": self.step,
            "why": self.why,
        }


def parse_report(plain: dict[str, Any]) -> Report:
    """Raises PeerError 400 for what no edge can have sent."""
    edge, kinds, method = plain.get("edge"), plain.get("kinds"), plain.get("method")
    one_in, every_s, key = plain.get("one_in", 1), plain.get("every_s", 2.0), plain.get("key", "")
    if not isinstance(edge, str) or not edge or not _shown(edge):
        raise _cannot("A count names its edge.")
    if not isinstance(kinds, dict) or any(kind not in KINDS or not _whole(n, 0) for kind, n in kinds.items()):
        raise _cannot(f"A count gives listeners by kind: {', '.join(KINDS)}.")
    if not _whole(plain.get("now"), 0) or plain["now"] != sum(kinds.values()):
        raise _cannot("The kinds of a count add up to its listeners.")
    if method not in METHODS or not _whole(one_in, 1) or (method == EDGE and one_in != 1):
        raise _cannot(f"A count is made by one of: {', '.join(METHODS)}.")
    if not isinstance(every_s, int | float) or isinstance(every_s, bool) or not 0.1 <= every_s <= _EVERY_MOST_S:
        raise _cannot("A count says within a minute when the next comes.")
    marked_with = _bytes(key)
    if len(marked_with) not in (0, KEY_BYTES):
        raise _cannot(f"The key of a count has {KEY_BYTES} bytes.")
    unique, named = _read(plain.get("unique"), Sketch.from_bytes), plain.get("named", {})
    if not isinstance(named, dict) or not set(named) <= set(kinds):
        raise _cannot("A count has samples of the kinds that it counts.")
    samples = {kind: sample for kind, text in named.items() if (sample := _read(text, Sample.from_bytes)) is not None}
    step, why = plain.get("step", 0), plain.get("why", "")
    if not _whole(step, 0) or step > _STEP_MOST or not isinstance(why, str) or not _shown(why):
        raise _cannot(f"A count says with a step from 0 to {_STEP_MOST} what its edge leaves out, and why.")
    return Report(edge, dict(kinds), method, one_in, float(every_s), marked_with, unique, samples, step, why)


@dataclass(frozen=True, slots=True)
class Tally:
    """Listeners of a Space. `error` and `unique_error`: standard errors of `now` and `unique`, as shares of them."""

    now: int = 0
    unique: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    method: str = ""
    error: float = 0.0
    unique_error: float = 0.0


def method_in_words(method: str, one_in: int) -> str:
    """To follow "We count"."""
    if method == EDGE:
        return f"players that fetched sound in the last {WINDOW_S} s"
    which = "which say" if one_in == 1 else f"one in {one_in} of which says"
    return f"web players, {which} every {BEACON_EVERY_S} s that they are here"


def sampling_error(listeners: int, one_in: int) -> float:
    """Standard error, as a share, of a count scaled up from a sample of one in `one_in`."""
    return math.sqrt((one_in - 1) / listeners) if listeners else 0.0


def _whole(n: Any, least: int) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and least <= n <= _LISTENERS_MOST


def _shown(text: str) -> bool:
    """Whether it can stand on the record and on a page: no control, and no half of a character, which cannot be written."""
    return len(text) <= _NAME_MOST and text.isprintable()


def _text(sketch: Sketch | Sample | None) -> str | None:
    return None if sketch is None else base64.b64encode(sketch.to_bytes()).decode()


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise _cannot("Keys and sketches in a count are base64.") from None


def _read(text: Any, read: Callable[[bytes], Read]) -> Read | None:
    if text is None:
        return None
    try:
        return read(_bytes(text))
    except ValueError:
        raise _cannot("That is no sketch.") from None


def _cannot(sentence: str) -> PeerError:
    return PeerError(400, sentence, "bad-count")
