"""The edge as a role: serves sound to listeners from the timelines it follows, and tells the stage how many listen."""

import asyncio
import socket
from collections.abc import Callable

from rostra.edge import answers
from rostra.edge.desk import Desk
from rostra.edge.mp3 import Mp3, RemoteMp3
from rostra.edge.pressure import Patience
from rostra.edge.record_source import RecordSource
from rostra.edge.shelf import Shelf
from rostra.edge.source import Source
from rostra.edge.status import Status
from rostra.edge.streams import Streams
from rostra.edge.telling import Tell, Telling, to_stage
from rostra.edge.thinning import Thinning
from rostra.edge.upstream import Upstream
from rostra.kernel.clock import Clock
from rostra.kernel.log import Log
from rostra.kernel.metrics import family
from rostra.kernel.settings import Settings
from rostra.space.count import REPORT_BYTES_MOST
from rostra.timeline.ports import Library
from rostra.wire.client import Client, ClientLimits
from rostra.wire.http1 import Limits
from rostra.wire.listening import serve
from rostra.wire.secure import certificate_of
from rostra.wire.server import Counters, Server

SWEEP_EVERY_S = 10.0
_PRIVATE_DRAIN_S = 1.0


class EdgeRole:
    """Needs nothing but its source: while stage, door and control are away it goes on serving what is there."""

    def __init__(
        self,
        *,
        library: Library | None = None,
        settings: Settings,
        clock: Clock,
        log: Log,
        key: str,
        name: str = "edge",
        source: Source | None = None,
        tell: Tell | None = None,
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
        mp3: Mp3 | None = None,
        vitals: Callable[[], str] = str,
    ) -> None:
        """`name` tells this edge from others: its counts stand under it, also after a restart.

        `source`: where the sound comes from, if not from the library. `tell`: who is told of listeners, if not the stage.
        `mp3`: where parts of MP3 come from, if not from the radio of this machine. `vitals`: how the process does, to stand
        beside the edge's own metrics.
        """
        if source is not None:
            library = None
        elif library is None:
            raise ValueError("an edge needs a library or another source")
        else:
            source = RecordSource(library)
        self._source = source
        self._clock = clock
        self._log = log
        self._key = key
        self._tls = settings.tls_certificate, settings.tls_key
        self._name = name
        self._vitals = vitals
        self._shelf = Shelf(self._source, clock, log, settings.window_s)
        self._counters = Counters()
        self._stage = Client(settings.address("stage"), ClientLimits(connections=4, idle_kept=2, connect_s=0.3))
        self.telling = Telling(name, tell or to_stage(self._stage, key), self._shelf, settings, clock, key)
        mp3 = mp3 or RemoteMp3(Upstream("http://{}:{}".format(*settings.address("radio")), name))
        self._streams = Streams(mp3, settings.door_base, settings.sound_base)
        status = Status(library, self._shelf, self._streams, settings, clock)
        self._desk = Desk(self._shelf, key, self.metrics, self.telling.pass_on, self._streams, status)
        self._thinning = Thinning(self._desk, self.telling, log, patience)
        self._server: Server | None = None
        self._private: Server | None = None
        self._stop_hearing: Callable[[], None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, sockets: list[socket.socket]) -> None:
        self._stop_hearing = self._source.hear(self._shelf.heard)
        # At its private socket an edge answers for itself, whatever crowd is at the shared port.
        private = [one for one in sockets if one.family == socket.AF_UNIX]
        self._private = await serve(self._desk, private, _PRIVATE_LIMITS, Counters(), self._log)
        shared = [one for one in sockets if one.family != socket.AF_UNIX]
        self._server = await serve(
            self._desk,
            shared,
            _LIMITS,
            self._counters,
            self._log,
            headers=(answers.CORS, answers.EXPOSE),
            secure=certificate_of(*self._tls),
        )
        self._tasks = [
            asyncio.create_task(self._sweep()),
            asyncio.create_task(self.telling.run()),
            asyncio.create_task(self._thinning.run(self._server)),
        ]

    async def stop(self, deadline_s: float) -> None:
        """Those who wait are told to ask again (503, Retry-After: 1); answers under way end, by the deadline."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        server, self._server = self._server, None
        if server is not None:
            await server.drain(deadline_s)
        private, self._private = self._private, None
        if private is not None:
            await private.drain(_PRIVATE_DRAIN_S)
        await asyncio.gather(*tasks, return_exceptions=True)
        stop_hearing, self._stop_hearing = self._stop_hearing, None
        if stop_hearing is not None:
            stop_hearing()
        self._shelf.close()
        await self._streams.close()
        await self._source.close()
        await self._stage.close()

    def metrics(self) -> str:
        desk, shelf = self._desk, self._shelf
        now = self._clock.monotonic()
        followers = shelf.followers.values()
        listening = [({"space": one.space_id}, one.ears.count(now)) for one in followers]
        numbers = [
            ("rostra_edge_followed", "gauge", "Timelines open now.", len(shelf.followers)),
            ("rostra_edge_waiting", "gauge", "Requests held now.", sum(one.held for one in followers)),
            ("rostra_edge_ready", "gauge", "Answers ready to be written.", len(shelf.hot)),
            ("rostra_edge_warm_bytes", "gauge", "Bytes of answers kept that were read from records.", shelf.warm.bytes),
            ("rostra_edge_sending", "gauge", "Recordings being sent now.", desk.whole.sending),
            ("rostra_edge_opened_total", "counter", "Timelines opened.", shelf.opened),
            ("rostra_edge_damaged_total", "counter", "Records that could not be read.", shelf.damaged),
            ("rostra_edge_warm_dropped_total", "counter", "Answers dropped to stay in bounds.", shelf.warm.dropped),
            ("rostra_edge_crowded_total", "counter", "Requests not held because too many were.", desk.crowded),
            ("rostra_edge_unknown_total", "counter", "Requests for a path that no Space can have.", desk.unknown),
            ("rostra_edge_read_total", "counter", "Answers read from a record.", desk.read),
            (
                "rostra_edge_reports_failed_total",
                "counter",
                "Counts that the stage did not take.",
                self.telling.failed,
            ),
            (
                "rostra_edge_ears_overflowed_total",
                "counter",
                "Requests by listeners beyond what is counted.",
                sum(one.ears.overflowed for one in followers),
            ),
        ]
        text = family("rostra_edge_listeners", "gauge", "Listeners now, by Space.", listening)
        text += "".join(family(name, kind, meaning, [(None, value)]) for name, kind, meaning, value in numbers)
        text += self._thinning.metrics() + self._streams.metrics() + self._source.metrics()
        return text + self._counters.metrics(self._name) + self._vitals()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self._shelf.sweep()


_LIMITS = Limits(body_bytes=REPORT_BYTES_MOST, idle_s=75.0)
_PRIVATE_LIMITS = Limits(body_bytes=1024, idle_s=10.0, connections=16, refusals=16)
