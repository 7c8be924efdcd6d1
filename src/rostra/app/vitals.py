"""How a role's process is doing: how late its event loop runs, what it uses."""

import asyncio
import resource
import time
from collections import deque

from rostra.kernel.log import Log
from rostra.kernel.metrics import family

_LOOK_S = 0.1
_WINDOW_S = 60.0
_WORTH_A_LINE_S = 0.5
"""Longer than this and a listener could have heard it."""


class Vitals:
    def __init__(self, log: Log) -> None:
        self._log = log
        self._late: deque[tuple[float, float]] = deque(maxlen=round(_WINDOW_S / _LOOK_S))
        self._stood_still = 0

    async def watch(self) -> None:
        """Sleep and see how late one wakes, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LOOK_S
            await asyncio.sleep(_LOOK_S)
            late_s = loop.time() - due
            self._late.append((due, late_s))
            if late_s > _WORTH_A_LINE_S:
                self._stood_still += 1
                self._log.warning("the loop stood still", late_ms=round(late_s * 1000))

    def metrics(self) -> str:
        since = time.monotonic() - _WINDOW_S
        worst = max((late_s for at, late_s in self._late if at > since), default=0.0)
        used = resource.getrusage(resource.RUSAGE_SELF)
        return (
            family("rostra_loop_late_seconds", "gauge", "Latest wake-up of the event loop in a minute.", [(None, worst)])
            + family(
                "rostra_loop_stood_still_total", "counter", "Times the loop stood still for half a second.",
                [(None, self._stood_still)],
            )
            + family(
                "rostra_process_cpu_seconds_total", "counter", "Processor time of this process.",
                [(None, used.ru_utime + used.ru_stime)],
            )
            + family("rostra_process_resident_bytes", "gauge", "Memory of this process.", [(None, _resident_bytes())])
        )  # fmt: skip


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
