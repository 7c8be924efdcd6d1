"""How many listen here, by kind of player, in bounded memory. docs/how/counting.md is the method in words.

An ear is the session id of a player that gives one (`sid` in the query of our own player's join, CMCD for others), else a
connection. It counts as long as it last asked for sound at most WINDOW_S ago (give or take a turn), or a stream runs to it.

    request ──add──▶ the turn's set ──at each report──▶ named, marked, sketched ──▶ Report

Only `add` is on the way of a request. Names become marks when they are taken in.
"""

import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Final

from rostra.edge.ear import APART, Ear, connection_of, ear_of
from rostra.kernel.sketch import Mark, Sample, Sketch
from rostra.sound.renditions import Rendition
from rostra.space.count import BEACON, BEACON_EVERY_S, EDGE, KEY_BYTES, KINDS, WINDOW_S, Report
from rostra.wire.server import Exchange

TURN_S: Final = 2.0
UNIQUE_EVERY_S: Final = 10.0
"""How often what has been seen in all is told: it grows slowly, and taking it in costs the stage a millisecond."""

NAMES_MOST: Final = 8
"""Names that one connection may speak for in one turn; a browser shares its connections among its tabs, a forger among thousands."""

_BEACON_WINDOW_S: Final = BEACON_EVERY_S * 4 / 3


class Heard:
    """Ears of one kind. `add` costs a set's add.

    Attributes:
        overflowed: times an ear came when the turn was full; the count is then a lower bound.
    """

    __slots__ = ("_keys", "_most", "_speaks", "_staying", "overflowed")

    def __init__(self, most: int) -> None:
        self.overflowed = 0
        self._speaks: dict[int, int] = {}
        self._keys: set[Ear] = set()
        self._staying: dict[Ear, int] = {}
        self._most = most

    def add(self, ear: Ear) -> None:
        """An ear asked for sound."""
        keys = self._keys
        if len(keys) < self._most:
            keys.add(ear)
        elif ear not in keys:
            self.overflowed += 1

    def hear(self, exchange: Exchange) -> None:
        """As `add`, for whoever asks here."""
        if exchange.request.anonymous:
            self.add(exchange.connection_id)
            return
        ear = ear_of(exchange)
        if isinstance(ear, str) and ear not in self._keys:
            connection = connection_of(exchange)
            speaks = self._speaks.get(connection, 0) + 1
            if speaks > NAMES_MOST and connection < APART:
                self.overflowed += 1
                ear = connection
            else:
                self._speaks[connection] = speaks
        if ear is not None:
            self.add(ear)

    def stay(self, ear: Ear) -> Callable[[], None]:
        """A stream begins to run to this ear; call what is returned, once, when it ends."""
        self.add(ear)
        staying = self._staying
        staying[ear] = staying.get(ear, 0) + 1

        def leave() -> None:
            staying[ear] -= 1
            if not staying[ear]:
                del staying[ear]

        return leave

    def take(self) -> set[Ear]:
        """Who was heard since this was last asked."""
        keys, self._keys = self._keys, set()
        self._speaks.clear()
        return keys

    @property
    def staying(self) -> Collection[Ear]:
        return self._staying


class Ears:
    """The ears of one Space at one edge.

    Attributes:
        web, hls, stream, replay: told of each request for sound, by kind.
        beacon: told of each "I am here".
        key: what names are marked with; the stage's, as soon as it has told us.
    """

    __slots__ = (
        "_agreed", "_came", "_day", "_kinds", "_mark", "_marked", "_marks", "_most", "_named", "_overflowed", "_seen", "_told", "_told_at",
        "_turned_at", "_turns", "beacon", "hls", "key", "replay", "stream", "web",
    )  # fmt: skip

    def __init__(self, now: float, most: int = 100_000) -> None:
        """`most`: ears of one kind in one turn, names known, newcomers in one turn."""
        self.web, self.hls, self.stream, self.replay, self.beacon = (Heard(most) for _ in range(5))
        self._kinds = {"web": self.web, "hls": self.hls, "stream": self.stream, "replay": self.replay}
        windows = [(kind, WINDOW_S) for kind in KINDS] + [(BEACON, _BEACON_WINDOW_S)]
        self._turns = {kind: deque([set[int]()], maxlen=round(window_s / TURN_S) + 1) for kind, window_s in windows}
        self._most = most
        self._overflowed = 0
        self._named: dict[int, str] = {}
        self._came: set[int] = set()
        self._day = secrets.token_hex(8)
        self._turned_at = now
        self._told_at = float("-inf")
        self._told = Sketch()
        self._marks: dict[str, int] = {}
        self._marked: dict[str, int] = {}  # in the turn before: a name that is not heard for two turns is forgotten
        self._agreed = False
        self._rekey(secrets.token_bytes(KEY_BYTES))

    @property
    def overflowed(self) -> int:
        return self._overflowed + self.beacon.overflowed + sum(one.overflowed for one in self._kinds.values())

    def of(self, rendition: Rendition) -> Heard:
        """Where who asks for the newest sound of this rendition is heard."""
        return self.web if rendition is Rendition.OPUS else self.hls

    def name(self, ear: Ear, sid: str) -> None:
        """What comes from this ear comes from a player that calls itself `sid`."""
        if isinstance(ear, int):
            self._named.pop(ear, None)
            if len(self._named) >= self._most:
                del self._named[next(iter(self._named))]
            self._named[ear] = sid

    def came(self, ear: Ear) -> None:
        """A player begins here. One that has no name counts in `unique` by this; who only goes on, after a restart, does not."""
        if isinstance(ear, int):
            if len(self._came) < self._most:
                self._came.add(ear)
            else:
                self._overflowed += 1

    def count(self, now: float) -> int:
        """Ears of the last WINDOW_S that fetched sound."""
        return sum(self.kinds(now).values())

    def kinds(self, now: float) -> dict[str, int]:
        """The same by kind: each ear in the first kind that it belongs to."""
        return {kind: len(ears) for kind, ears in self._present(now).items()}

    def report(self, edge: str, now: float, *, method: str = EDGE, one_in: int = 1, every_s: float = TURN_S) -> Report:
        """What to tell the stage. By the beacon's method, who said "here" stands for all, and no other request counts."""
        present = self._present(now)
        if method == BEACON:
            here = set[int]().union(*self._turns[BEACON])
            present = {"web": here} if here else {}
        kinds = {kind: len(ears) * one_in for kind, ears in present.items()}
        named = {kind: Sample(marks) for kind, ears in present.items() if (marks := {ear for ear in ears if ear >= 0})}
        seen, unique = self._seen[method], None
        if now - self._told_at >= UNIQUE_EVERY_S and seen != self._told:
            unique = seen.copy()
        return Report(edge, kinds, method, one_in, every_s, self.key, unique, named)

    def told(self, report: Report, key: bytes, again: bool, now: float) -> None:
        """The stage has taken this report.

        Args:
            key: what it marks with; what was marked otherwise is counted anew.
            again: it knows nothing of what was told before: tell all.
        """
        self._agreed = True
        if key != self.key:
            self._rekey(key)
        elif again:
            self._told, self._told_at = Sketch(), float("-inf")
        elif report.unique is not None:
            self._told, self._told_at = report.unique, now

    def _present(self, now: float) -> dict[str, set[int]]:
        """The ears of the window by kind: marks, and as negative numbers those without a name. No kind that has none."""
        self._take_in(now)
        seen: set[int] = set()
        present: dict[str, set[int]] = {}
        for kind in KINDS:
            ears = set[int]().union(*self._turns[kind]) - seen
            if ears:
                present[kind] = ears
                seen |= ears
        return present

    def _rekey(self, key: bytes) -> None:
        self.key = key
        self._mark = Mark(key)
        self._seen = {EDGE: Sketch(), BEACON: Sketch()}
        self._told, self._told_at = Sketch(), float("-inf")
        # Whose name is still known is marked anew; that is everybody, where the edge has only just begun.
        anew = {mark: self._mark(name) for name, mark in (self._marked | self._marks).items()}
        self._marks = {name: anew[mark] for name, mark in (self._marked | self._marks).items()}
        self._marked = {}
        for kind, turns in self._turns.items():
            for number, turn in enumerate(turns):
                turns[number] = {ear if ear < 0 else anew[ear] for ear in turn if ear < 0 or ear in anew}
                for mark in turns[number]:
                    if mark >= 0:
                        self._seen[BEACON if kind == BEACON else EDGE].add(mark)

    def _take_in(self, now: float) -> None:
        turns = int((now - self._turned_at) / TURN_S)
        for kind, heard in (*self._kinds.items(), (BEACON, self.beacon)):
            window, seen = self._turns[kind], self._seen[BEACON if kind == BEACON else EDGE]
            self._put(heard.take(), window[-1], seen)
            for _ in range(min(turns, window.maxlen or 0)):
                window.append(set())
            self._put(heard.staying, window[-1], seen)
        for connection in self._came:
            if connection not in self._named:
                self._seen[EDGE].add(self._mark(f"{self._day} {connection}"))
        if self._agreed:
            self._came.clear()  # before, they may have to be marked anew
        if turns > 0:
            self._turned_at += turns * TURN_S
            self._marked, self._marks = self._marks, {}

    def _put(self, ears: Iterable[Ear], into: set[int], seen: Sketch) -> None:
        for ear in ears:
            name = self._named.get(ear) if isinstance(ear, int) else ear
            if name is not None:
                mark = self._marks.get(name)
                if mark is None:
                    mark = self._marks[name] = self._marked.get(name) or self._mark(name)
                    seen.add(mark)
                into.add(mark)
            elif isinstance(ear, int):
                into.add(~ear)
