"""The control role: uvicorn on sockets that the supervisor made, inside the role's own loop."""

import asyncio
import contextlib
import math
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import uvicorn

from rostra.control.api import build
from rostra.control.borders import Borders
from rostra.control.desk import Desk
from rostra.control.peer import Protocol
from rostra.control.stage import StageLine
from rostra.kernel import metrics
from rostra.kernel.clock import Clock
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.store.ports import Store
from rostra.timeline.ports import Library

START_DEADLINE_S: Final = 10.0
IDLE_S: Final = 75
CONNECTIONS_MOST: Final = 512
"""One more connection is answered 503 by uvicorn itself."""


class ControlRole:
    """People, and Spaces as their hosts steer them. Holds nothing that a restart loses but the pace of sign-ins."""

    def __init__(
        self,
        *,
        library: Library,
        settings: Settings,
        clock: Clock,
        log: Log,
        key: str,
        store: Store,
        private: Mapping[str, str] | None = None,
        vitals: Callable[[], str] = str,
    ) -> None:
        """`private`: the sockets of this machine's processes that are asked there for their metrics, by name.

        `vitals`: how the process does, to stand beside the role's own metrics.
        """
        self._log, self._private, self._vitals = log, private, vitals
        self._library, self._settings, self._clock, self._key, self._store = library, settings, clock, key, store
        self._desk: Desk | None = None
        self._borders: Borders | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on these sockets (they stay the caller's). Returns when requests are answered."""
        line = StageLine(self._settings, self._key, self._log, self._private)
        self._desk = Desk(
            self._settings, self._library, self._store, self._clock, self._log, self._key, line, self.metrics
        )
        self._borders = Borders(build(self._desk), self._log)
        config = uvicorn.Config(
            self._borders,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=IDLE_S,
            limit_concurrency=CONNECTIONS_MOST,
            h11_max_incomplete_event_size=16_384,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([one.dup() for one in sockets]), name="control")
        self._serving.add_done_callback(self._ended)
        async with asyncio.timeout(START_DEADLINE_S):
            while not self._server.started:
                if self._serving.done():
                    self._serving.result()
                    raise RuntimeError("uvicorn stopped before it started")
                await asyncio.sleep(0.01)

    async def stop(self, deadline_s: float) -> None:
        """Admit nobody, let what is in work be answered until the deadline, close."""
        if self._server is None or self._serving is None or self._desk is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, math.floor(deadline_s))
        self._server.should_exit = True
        _, late = await asyncio.wait([self._serving], timeout=deadline_s + 1)
        if late:
            self._log.warning("requests were cut off at the end", role="control")
            self._serving.cancel()
            await asyncio.wait([self._serving], timeout=1)
        await self._desk.stage.close()
        self._desk.close()

    def _ended(self, serving: asyncio.Task[None]) -> None:
        if not serving.cancelled() and (trace := serving.exception()):
            self._log.error("the API stopped by our fault", trace=trace)

    def metrics(self) -> str:
        if self._desk is None or self._borders is None:
            return ""
        tried = [({"result": result}, float(count)) for result, count in sorted(self._desk.signed_in.items())]
        called = [({"result": result}, float(count)) for result, count in sorted(self._desk.stage.calls.items())]
        throttle = self._desk.throttle
        return (
            self._borders.metrics()
            + metrics.family("rostra_control_sign_ins_total", "counter", "Tries to sign in by result.", tried)
            + metrics.family("rostra_control_stage_calls_total", "counter", "Calls to the stage by result.", called)
            + metrics.family(
                "rostra_control_paced_peers", "gauge", "Peers whose pace is kept.", [(None, len(throttle))]
            )
            + metrics.family(
                "rostra_control_paced_peers_forgotten_total",
                "counter",
                "Peers whose pace was forgotten because there were too many.",
                [(None, throttle.forgotten)],
            )
            + self._vitals()
        )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's own affair: it calls `stop`."""
        yield
