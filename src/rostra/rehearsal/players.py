"""What each kind of player asks, one question after the other. Pure; many listeners share the questions and their answers.

A `Question` is made once per process however many ask it, and keeps the newest answer it got: who gets the same bytes again
need not read them, and so every byte of every answer is checked for the price of a comparison.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urljoin, urlsplit

from rostra.rehearsal.boxes import NotMp4, read_fragment, split
from rostra.rehearsal.tally import Grid

KINDS: Final = ("web", "hls", "stream", "ogg")
"""The web player; an LL-HLS player; MP3 and Ogg Opus as streams without end."""

_WAYS_IN: Final = {"hls": "hls/index.m3u8", "stream": "live.mp3", "ogg": "live.opus"}
_RATE: Final = 48_000
_QUESTIONS_MOST: Final = 4000


@dataclass(frozen=True, slots=True)
class Origin:
    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Wrong(Exception):
    """The answer is not what a player can use; the text names the kind of error, the same for all of that kind."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an answer means.

    Attributes:
        next: what to ask now; None: the broadcast is over.
        sound: it brought sound.
        due: when that was due, in the clock of `now`; None: it was there before we asked.
        lasts_s: how long the sound is.
        wait_s: ask the next only after this long.
        error: a kind of error to count.
    """

    next: "Question | None"
    sound: bool = False
    due: float | None = None
    lasts_s: float = 0.0
    wait_s: float = 0.0
    error: str | None = None


Reading = Callable[[Answer, float], Step]
"""Read an answer that came at a moment. Raises: Wrong."""


@dataclass(slots=True, eq=False)
class Question:
    """Attributes:
    at: the same object for the same origin.
    known, step: the newest whole answer and what it meant.
    endless: the answer is a stream.
    """

    at: Origin
    request: bytes
    read: Reading
    endless: bool = False
    known: bytes = b""
    step: Step | None = None


@dataclass(slots=True)
class Players:
    """The way in for each kind of player, and every question that is asked.

    Args:
        page: the Space's address.
        sound: where its sound lives, as state.json says.
        consented: the origins that may be asked; a redirect anywhere else is an error.
    """

    page: str
    sound: str
    consented: frozenset[Origin]
    _questions: dict[tuple[object, ...], Question] = field(default_factory=dict)
    _grids: dict[str, Grid] = field(default_factory=dict)
    _origins: dict[Origin, Origin] = field(default_factory=dict)

    def first(self, kind: str) -> Question:
        if kind == "web":
            return self._ask(self.page, self._page_read)
        url = f"{self.page}/{_WAYS_IN[kind]}"
        return self._ask(url, partial(self._redirected, kind), endless=kind != "hls")

    def again(self, kind: str) -> Question:
        """Start at the newest sound, as a player does that lost its place."""
        return self._ask(f"{self.sound}/opus/join.mp4", self._join_read) if kind == "web" else self.first(kind)

    # The web player: page, join.mp4, then numbered parts, each asked before it exists.

    def _page_read(self, answer: Answer, now: float) -> Step:
        _expect(answer, b"<")
        return Step(self.again("web"))

    def _join_read(self, answer: Answer, now: float) -> Step:
        if answer.status != 200:
            return self._refused(answer, self.again("web"))
        try:
            number = int(answer.headers["rostra-next"])
            fragments = [read_fragment(part) for part in split(answer.body)[1]]
        except (KeyError, ValueError, NotMp4):
            raise Wrong("join.mp4 cannot be used") from None
        wide = answer.headers.get("rostra-step") == "2"
        for one, following in zip(fragments, fragments[1:], strict=False):
            if one.start + one.length != following.start:
                raise Wrong("parts out of order")
        if not fragments:
            raise Wrong("join.mp4 without sound")
        end = fragments[-1].start + fragments[-1].length
        return Step(self._part(number, end, wide), sound=True, lasts_s=sum(one.length for one in fragments) / _RATE)

    def _part(self, number: int, start: int, wide: bool) -> Question:
        path = f"wide/{number // 2}.m4s" if wide else f"part/{number}.m4s"
        return self._ask(f"{self.sound}/opus/{path}", partial(self._part_read, number, start, wide), number, start)

    def _part_read(self, number: int, start: int, wide: bool, answer: Answer, now: float) -> Step:
        if answer.status != 200:
            return self._refused(answer, self._part(number, start, wide))
        end = _check_sound(answer.body, start)
        following = self._part(number + (2 if wide else 1), end, wide)
        due = self._grid("wide" if wide else "opus").due(end / _RATE, now)
        return Step(following, True, due, (end - start) / _RATE)

    # An LL-HLS player: playlists, init segment, parts from the hold-back on; then a held reload before each part.

    def _index_read(self, url: str, answer: Answer, now: float) -> Step:
        if answer.status != 200:
            return self._refused(answer, self.first("hls"))
        lines = [line for line in _text(answer).splitlines() if line and not line.startswith("#")]
        if not lines:
            raise Wrong("a multivariant playlist without variants")
        return Step(self._live(urljoin(url, lines[0])))

    def _live(self, url: str) -> Question:
        return self._ask(url, partial(self._live_read, url))

    def _live_read(self, url: str, answer: Answer, now: float) -> Step:
        """The first media playlist: begin three parts back, after the init segment."""
        if answer.status != 200:
            return self._refused(answer, self._live(url))
        text = _text(answer)
        pieces = _pieces(text)
        init = re.search(r'#EXT-X-MAP:.*?URI="([^"]+)"', text)
        if not pieces or init is None:
            raise Wrong("a playlist without sound")
        ahead = tuple(pieces[-3:])
        return Step(self._ask(urljoin(url, init[1]), partial(self._init_read, url, ahead), ahead))

    def _init_read(self, url: str, ahead: tuple["_Piece", ...], answer: Answer, now: float) -> Step:
        _expect(answer, b"\0")
        return Step(self._piece(url, ahead, None, False))

    def _piece(self, url: str, ahead: tuple["_Piece", ...], start: int | None, held: bool) -> Question:
        read = partial(self._piece_read, url, ahead, start, held)
        return self._ask(urljoin(url, ahead[0].uri), read, ahead, start, held)

    def _piece_read(
        self, url: str, ahead: tuple["_Piece", ...], start: int | None, held: bool, answer: Answer, now: float
    ) -> Step:
        if answer.status != 200:
            return self._refused(answer, self._piece(url, ahead, start, held))
        begin = start if start is not None else _start_of(answer.body)
        end = _check_sound(answer.body, begin)
        following = self._piece(url, ahead[1:], end, held) if len(ahead) > 1 else self._reload(url, ahead[0], end)
        # What was there when we came cannot be late.
        due = self._grid(url).due(end / _RATE, now) if held else None
        return Step(following, True, due, (end - begin) / _RATE)

    def _reload(self, url: str, after: "_Piece", start: int) -> Question:
        asked = f"{url}?_HLS_msn={after.msn}&_HLS_part={after.part + 1}"
        return self._ask(asked, partial(self._reload_read, url, after, start), after, start)

    def _reload_read(self, url: str, after: "_Piece", start: int, answer: Answer, now: float) -> Step:
        if answer.status != 200:
            return self._refused(answer, self._reload(url, after, start))
        text = _text(answer)
        ahead = tuple(one for one in _pieces(text) if (one.msn, one.part) > (after.msn, after.part))
        if ahead:
            return Step(self._piece(url, ahead, start, True))
        if "#EXT-X-ENDLIST" in text:
            return Step(None)
        raise Wrong("a held playlist without the part that was asked for")

    # A stream without end.

    def _stream_read(self, url: str, answer: Answer, now: float) -> Step:
        """Of the head alone: what follows is sound."""
        if answer.status != 200:
            return self._refused(answer, self._ask(url, partial(self._stream_read, url), endless=True))
        if not answer.headers.get("content-type", "").startswith(("audio/", "application/ogg")):
            raise Wrong("a stream that is not sound")
        return Step(None)

    # What they share.

    def _redirected(self, kind: str, answer: Answer, now: float) -> Step:
        """The door sends players of other makes on to where the sound lives."""
        url = f"{self.page}/{_WAYS_IN[kind]}"
        sent_on = answer.status in (302, 307, 308)
        if sent_on:
            url = urljoin(url, answer.headers.get("location", ""))
            if Origin.of(url) not in self.consented:
                raise Wrong("sent to a server that has not consented")
        read = partial(self._index_read if kind == "hls" else self._stream_read, url)
        return Step(self._ask(url, read, endless=kind != "hls")) if sent_on else read(answer, now)

    def _refused(self, answer: Answer, same: Question) -> Step:
        if answer.headers.get("rostra-ended"):
            return Step(None)
        if answer.status in (429, 503):
            after = answer.headers.get("retry-after", "")
            wait_s = min(float(after), 10.0) if after.isdigit() else 1.0
            return Step(same, wait_s=wait_s, error=f"status {answer.status}")
        raise Wrong(f"status {answer.status}")

    def _grid(self, name: str) -> Grid:
        return self._grids.setdefault(name, Grid())

    def _ask(self, url: str, read: Reading, *but_for: object, endless: bool = False) -> Question:
        """The one question with this address and these circumstances."""
        key = (url, *but_for)
        found = self._questions.get(key)
        if found is None:
            if len(self._questions) >= _QUESTIONS_MOST:
                for old in list(self._questions)[: _QUESTIONS_MOST // 2]:
                    del self._questions[old]
            parts = urlsplit(url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: rostra-rehearsal\r\n\r\n".encode()
            at = Origin.of(url)
            found = self._questions[key] = Question(self._origins.setdefault(at, at), request, read, endless)
        return found


@dataclass(frozen=True, slots=True)
class _Piece:
    msn: int
    part: int
    uri: str


def _pieces(text: str) -> list[_Piece]:
    """The parts of a media playlist; of segments without parts, nothing."""
    found: list[_Piece] = []
    msn = part = 0
    for line in text.splitlines():
        if line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            msn = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-SKIP:"):
            msn += int(line.partition("SKIPPED-SEGMENTS=")[2].partition(",")[0])
        elif line.startswith("#EXT-X-PART:"):
            uri = re.search(r'URI="([^"]+)"', line)
            if uri is not None:
                found.append(_Piece(msn, part, uri[1]))
            part += 1
        elif line and not line.startswith("#"):
            msn, part = msn + 1, 0
    return found


def _start_of(body: bytes) -> int:
    try:
        return read_fragment(split(body)[1][0]).start
    except (NotMp4, IndexError):
        raise Wrong("a part that is not sound") from None


def _check_sound(body: bytes, start: int) -> int:
    """Every fragment of the part must follow what came before; gives where it ends, in samples."""
    try:
        fragments = [read_fragment(one) for one in split(body)[1]]
    except NotMp4:
        raise Wrong("a part that is not sound") from None
    if not fragments:
        raise Wrong("a part without sound")
    for one in fragments:
        if one.start != start:
            raise Wrong("parts out of order")
        start += one.length
    return start


def _expect(answer: Answer, begins: bytes) -> None:
    if answer.status != 200:
        raise Wrong(f"status {answer.status}")
    if not answer.body.lstrip().startswith(begins):
        raise Wrong("an answer of another kind")


def _text(answer: Answer) -> str:
    return answer.body.decode("utf-8", "replace")
