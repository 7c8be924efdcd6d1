"""How many listen here, by kind of player, in bounded memory. docs/how/counting.md is the method in words.

An ear is the session id of a player that gives one (`sid` in the query of our own player's join, CMCD for others), else a
connection. It counts as long as it last asked for sound at most WINDOW_S ago (give or take a turn), or a stream runs to it.

    request ──add──▶ the turn's set ──at each report──▶ named, marked, sketched ──▶ Report

Only `add` is on the way of a request. Names become marks when they are taken in.
"""

import secrets
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from rostra.edge.ear import APART, Ear, connection_of, ear_of
from rostra.kernel.sketch import Mark, Sample, Sketch
from rostra.sound.renditions import Rendition
from rostra.space.count import BEACON, BEACON_EVERY_S, EDGE, KEY_BYTES, KINDS, WINDOW_S, Report
from rostra.wire.server import Exchange

TURN_S: Final = 2.0
UNIQUE_EVERY_S: Final = 10.0
"""How often what has been seen in all is told: it grows slowly, and taking it in costs the stage some milliseconds."""

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
        self._staying[ear] = self._staying.get(ear, 0) + 1
        return _Leave(self._staying, ear)

    def take(self) -> set[Ear]:
        """Who was heard since this was last asked."""
        keys, self._keys = self._keys, set()
        self._speaks.clear()
        return keys

    @property
    def staying(self) -> Collection[Ear]:
        return self._staying


class _Leave:
    """One for each listener of a stream; a function of its own would weigh five times as much."""

    __slots__ = ("_ear", "_staying")

    def __init__(self, staying: dict[Ear, int], ear: Ear) -> None:
        self._staying, self._ear = staying, ear

    def __call__(self) -> None:
        self._staying[self._ear] -= 1
        if not self._staying[self._ear]:
            del self._staying[self._ear]


class Ears:
    """The ears of one Space at one edge.

    Attributes:
        web, hls, stream, replay: told of each request for sound, by kind.
        beacon: told of each "I am here".
        key: what names are marked with; the stage's, as soon as it has told us.
    """

    __slots__ = (
        "_agreed", "_came", "_came_early", "_day", "_kinds", "_known", "_last", "_mark", "_most", "_named", "_overflowed", "_seen", "_told", "_told_at",
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
        self._came_early: set[int] = set()  # and were marked before the stage has told us its key
        self._day = secrets.token_hex(8)
        self._turned_at = now
        self._told_at = float("-inf")
        self._told = Sketch()
        # What each ear heard lately stands for; who is not heard for two turns is forgotten.
        self._known: dict[str, dict[Ear, int]] = {kind: {} for kind, _ in windows}
        self._last: dict[str, set[Ear]] = {kind: set() for kind, _ in windows}
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
            for known in self._known.values():
                known.pop(ear, None)
            self._named.pop(ear, None)
            if len(self._named) >= self._most:
                del self._named[next(iter(self._named))]
            self._named[ear] = sid

    def came(self, ear: Ear) -> None:
        """A player begins here. One that has no name counts in `unique` by this; who only goes on, after a restart, does not."""
        if isinstance(ear, int):
            if len(self._came) + len(self._came_early) < self._most:
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
        """Who is known by this turn or the one before is marked anew; that is everybody, where the edge has only just begun."""
        self.key, self._mark = key, Mark(key)
        self._came |= self._came_early
        self._came_early = set()
        self._seen = {EDGE: Sketch(), BEACON: Sketch()}
        self._told, self._told_at = Sketch(), float("-inf")
        for kind, turns in self._turns.items():
            known = self._known[kind]
            anew = {known.pop(ear): self._resolve(ear, known, kind) for ear in list(known)}
            for number, turn in enumerate(turns):
                turns[number] = {anew[ear] for ear in turn if ear in anew}

    def _take_in(self, now: float) -> None:
        turns = int((now - self._turned_at) / TURN_S)
        for kind, heard in (*self._kinds.items(), (BEACON, self.beacon)):
            window, known = self._turns[kind], self._known[kind]
            ears = heard.take()
            # Only who is new costs more than a look-up; a crowd is taken in at the speed of sets.
            for ear in ears.difference(known):
                self._resolve(ear, known, kind)
            window[-1].update(map(known.__getitem__, ears))
            for _ in range(min(turns, window.maxlen or 0)):
                window.append(set())
            window[-1].update(known.get(ear) or self._resolve(ear, known, kind) for ear in heard.staying)
            if turns > 0:
                lately = (*self._last[kind], *ears, *heard.staying)
                self._known[kind] = {ear: known[ear] for ear in lately if ear in known}
                self._last[kind] = ears
        for connection in self._came:
            if connection not in self._named:
                self._seen[EDGE].add(self._mark(f"{self._day} {connection}"))
        if not self._agreed:
            self._came_early |= self._came
        self._came.clear()
        if turns > 0:
            self._turned_at += turns * TURN_S

    def _resolve(self, ear: Ear, known: dict[Ear, int], kind: str) -> int:
        """What stands for this ear in the window: its mark, or below zero where it has no name."""
        name = self._named.get(ear) if isinstance(ear, int) else ear
        if name is not None:
            stands = self._mark(name)
            self._seen[BEACON if kind == BEACON else EDGE].add(stands)
        else:
            stands = ~ear if isinstance(ear, int) else 0
        known[ear] = stands
        return stands
