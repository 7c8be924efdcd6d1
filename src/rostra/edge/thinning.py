"""Measures how hard pressed this edge is, and has the steps that follow carried out, told and shown."""

import asyncio
import time
from typing import Final

from rostra.edge.desk import Desk
from rostra.edge.pressure import Patience, Pressure, Signals
from rostra.edge.telling import Telling
from rostra.kernel.log import Log
from rostra.kernel.metrics import family
from rostra.wire.server import Server

_WAKE_S: Final = 0.1
_WAKES: Final = 5
"""Times the loop is tried between two looks."""


class Thinning:
    def __init__(self, desk: Desk, telling: Telling, log: Log, patience: Patience) -> None:
        self._desk, self._telling, self._log, self._patience = desk, telling, log, patience
        self._signals = Signals(0.0, 0.0, 0.0, 0)
        self._changes = 0

    async def run(self, server: Server) -> None:
        """Look every half second, for ever."""
        loop = asyncio.get_running_loop()
        pressure = Pressure(loop.time(), self._patience)
        while True:
            began, wanted_s, late_s = loop.time(), _wanted_s(), 0.0
            for _ in range(_WAKES):
                due = loop.time() + _WAKE_S
                await asyncio.sleep(_WAKE_S)
                late_s += loop.time() - due
            now, connections = loop.time(), server.counters.open
            self._signals = signals = Signals(
                busy=(_wanted_s() - wanted_s) / (now - began),
                late_s=late_s / _WAKES,
                full=connections / server.places.most,
                connections=connections,
            )
            change = pressure.look(signals, now)
            if change is None:
                continue
            self._changes += 1
            self._desk.step = change.step
            self._telling.thin(change.step, change.why)
            self._log.warning(
                "newcomers and counts are thinned" if change.step else "nothing is thinned any more",
                step=change.step,
                why=change.why,
                busy=round(signals.busy, 2),
                late_ms=round(signals.late_s * 1000),
                full=round(signals.full, 2),
            )

    def metrics(self) -> str:
        signals = self._signals
        numbers = [
            ("rostra_edge_thinned", "gauge", "How much is left out under pressure, from 0 to 3.", self._desk.step),
            ("rostra_edge_thinned_changes_total", "counter", "Steps taken and taken back.", self._changes),
            (
                "rostra_edge_busy_ratio",
                "gauge",
                "Share of the time that this edge computes, or waits for a core.",
                round(signals.busy, 3),
            ),
            (
                "rostra_edge_late_seconds",
                "gauge",
                "How late the loop comes round on average.",
                round(signals.late_s, 4),
            ),
            ("rostra_edge_full_ratio", "gauge", "Open connections of those allowed.", round(signals.full, 4)),
        ]
        return "".join(family(name, kind, meaning, [(None, value)]) for name, kind, meaning, value in numbers)


def _wanted_s() -> float:
    """For how long so far this process computed, and its loop could have but got no core, as far as the kernel says.

    Where others compute on the same core, or a container is allowed only part of one, a loop with too much to do computes
    all that it may, and that is less than a whole core.
    """
    try:
        with open("/proc/thread-self/schedstat") as file:
            waited_s = int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        waited_s = 0.0
    return time.process_time() + waited_s
