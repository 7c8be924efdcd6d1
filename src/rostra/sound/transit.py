"""How a speaker's packets have travelled of late, and what delay would catch them.

The transit of a packet is its arrival minus its timestamp in seconds; the floor the least transit of the last five seconds.
A packet is late by its transit above the floor. The target is the lateness that 98 of 100 recent packets stay below, from 2
to 8 packets.
"""

from collections import deque
from typing import Final

TARGET_LEAST_S: Final = 0.040
TARGET_MOST_S: Final = 0.160

_HISTORY: Final = 256  # packets: five seconds of 20 ms
_HISTORY_TO_SHRINK: Final = 64
_BELOW_TARGET: Final = 0.98
_RECKON_EVERY: Final = 8


class Transit:
    """Attributes:
    jitter_s: interarrival jitter as RTCP reports it. Source: RFC 3550 6.4.1, A.8.
    floor_s, target_s: see above.
    last_s: of the newest packet; None before the first.
    """

    def __init__(self) -> None:
        self.jitter_s = 0.0
        self.begin_anew()

    def begin_anew(self, target_s: float = TARGET_LEAST_S) -> None:
        """What was measured is of another way. The jitter goes on."""
        self._recent: deque[float] = deque(maxlen=_HISTORY)
        self._since_reckoned = 0
        self.floor_s = 0.0
        self.target_s = target_s
        self.last_s: float | None = None

    def measure(self, transit_s: float) -> None:
        last_s, self.last_s = self.last_s, transit_s
        if last_s is not None:
            self.jitter_s += (abs(transit_s - last_s) - self.jitter_s) / 16
        self._recent.append(transit_s)
        self.floor_s = min(self.floor_s, transit_s) if last_s is not None else transit_s
        self._since_reckoned += 1
        if self._since_reckoned >= _RECKON_EVERY:
            self.reckon()

    def reckon(self) -> None:
        """Floor and target from the recent packets, of which there is one at least."""
        self._since_reckoned = 0
        ordered = sorted(self._recent)
        floor_s = ordered[0]
        wanted_s = ordered[min(len(ordered) - 1, int(len(ordered) * _BELOW_TARGET))] - floor_s
        wanted_s = min(max(wanted_s, TARGET_LEAST_S), TARGET_MOST_S)
        self.floor_s = floor_s
        if wanted_s > self.target_s or len(ordered) >= _HISTORY_TO_SHRINK:
            self.target_s = wanted_s
