"""How many listen: ears that fetched sound lately, each counted once, in bounded memory.

Method: an ear is a player's session id where it gives one (`sid` in the query, or CMCD), else a connection. It counts as
long as its last request for sound is at most WINDOW_S old (give or take a turn). Two tabs are two ears.
"""

import re
from typing import Final

from rostra.wire.server import Exchange

WINDOW_S: Final = 10.0
METHOD: Final = "players that fetched sound in the last 10 s"

_TURNS: Final = 5
_TURN_S: Final = WINDOW_S / _TURNS
_CMCD_SESSION: Final = re.compile(r'(?:^|,)\s*sid="([^"\\]{1,64})"')
_SID_MOST: Final = 64


class Ears:
    """The ears of one Space at one edge.

    Attributes:
        overflowed: keys that came when their turn was full; the count is then a lower bound.
    """

    __slots__ = ("_heard", "_most", "_turned_at", "_turns", "overflowed", "peak")

    def __init__(self, now: float, most: int = 100_000) -> None:
        self._heard: set[int] = set()
        self.overflowed = 0
        self.peak = 0
        self._turns: list[set[int]] = []
        self._turned_at = now
        self._most = most

    def add(self, key: int) -> None:
        """An ear asked for sound."""
        if len(self._heard) < self._most:
            self._heard.add(key)
        elif key not in self._heard:
            self.overflowed += 1

    def count(self, now: float) -> int:
        """Distinct ears of the last WINDOW_S."""
        turns = int((now - self._turned_at) / _TURN_S)
        if turns > 0:
            self._turned_at += turns * _TURN_S
            self._turns = [*self._turns, self._heard, *[set() for _ in range(min(turns, _TURNS) - 1)]][-_TURNS:]
            self._heard = set()
        count = len(self._heard.union(*self._turns))
        self.peak = max(self.peak, count)
        return count


def ear_of(exchange: Exchange) -> int:
    """The key of whoever asks."""
    request = exchange.request
    if request.query:
        sid = request.query.get("sid")
        if sid is not None and len(sid) <= _SID_MOST:
            return hash(sid)
        cmcd = request.query.get("CMCD")
    else:
        cmcd = request.headers.get("cmcd-session")
    if cmcd is not None:
        match = _CMCD_SESSION.search(cmcd)
        if match is not None:
            return hash(match[1])
    return exchange.connection_id
