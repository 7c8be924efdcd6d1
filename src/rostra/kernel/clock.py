"""Time as an argument. Three clocks, because each lies about something.

Wall time is what people read and may jump; monotonic time measures waits and dies with the machine's boot;
boot time goes on through sleep and tells how long a crashed process was away even if the wall clock was set meanwhile.
"""

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    def wall_us(self) -> int:
        """Microseconds since 1970 UTC. May jump in both directions."""

    def monotonic(self) -> float:
        """Seconds; never goes back; comparable within one process only."""

    def boot_us(self) -> int:
        """Microseconds since boot, sleep included; comparable between processes of one boot."""

    def boot_id(self) -> str:
        """Names this boot of the machine."""


class SystemClock:
    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    def boot_us(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def boot_id(self) -> str:
        return _boot_id()


class ManualClock:
    """A clock that stands still until told, for tests of everything that takes a Clock."""

    def __init__(self, wall_us: int = 1_800_000_000_000_000) -> None:
        self._wall_us = wall_us
        self._boot_us = 5_000_000
        self._boot = "boot-1"

    def wall_us(self) -> int:
        return self._wall_us

    def monotonic(self) -> float:
        return self._boot_us / 1e6

    def boot_us(self) -> int:
        return self._boot_us

    def boot_id(self) -> str:
        return self._boot

    def advance(self, seconds: float) -> None:
        self._wall_us += round(seconds * 1e6)
        self._boot_us += round(seconds * 1e6)

    def jump_wall(self, seconds: float) -> None:
        """What happens when somebody sets the wall clock."""
        self._wall_us += round(seconds * 1e6)

    def reboot(self, away_s: float) -> None:
        self._wall_us += round(away_s * 1e6)
        self._boot_us = 5_000_000
        self._boot += "'"


def iso(wall_us: int) -> str:
    """ISO 8601 in UTC with milliseconds: 2026-11-20T20:00:00.000Z."""
    moment = datetime.fromtimestamp(wall_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_us % 1_000_000 // 1000:03d}Z"


def parse_iso(text: str) -> int:
    """Wall microseconds of an ISO 8601 time; one without a zone is taken as UTC.

    Raises:
        ValueError: not a time, or outside the years 2000 to 2199.
    """
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not 2000 <= moment.year < 2200:
        raise ValueError(f"the year {moment.year} is not one we can schedule")
    return round(moment.timestamp() * 1e6)


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
