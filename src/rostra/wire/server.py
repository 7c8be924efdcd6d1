"""Listening sockets, their connections, and one sweep for all deadlines.

A request costs no timer: each connection holds one deadline, and a tenth of all connections is looked at every tenth of
`sweep_s`.
"""

import asyncio
import json
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from rostra.kernel.errors import Overloaded, PeerError, RostraError, Unavailable
from rostra.kernel.log import Log
from rostra.wire.canned import Canned
from rostra.wire.connection import Connection
from rostra.wire.counters import Counters
from rostra.wire.exchange import Exchange, Stream
from rostra.wire.fanout import Fanout, fanout
from rostra.wire.gathering import Gathering, send_to_all
from rostra.wire.http1 import Limits, Request, Response, date_line
from rostra.wire.pieces import send_pieces
from rostra.wire.secure import HANDSHAKE_S, LOOK_EVERY_S, SHUTDOWN_S, Certificate

__all__ = [
    "Counters",
    "Exchange",
    "Gathering",
    "Handler",
    "Server",
    "Stream",
    "awaiting",
    "connections_allowed",
    "refusal",
    "send_to_all",
    "serve",
]

Handler = Callable[[Exchange], None]


class Server:
    """Made by `serve`.

    Attributes:
        date: the Date header of this second; the same object all through the second.
        known: requests by their bytes, for peers that send the same again; bounded.
        again: what to do with a connection that sends the same bytes once more; none is older than a turn of the sweep.
        repeated: the bytes of the request in hand, if they are known.
        begin_until, idle_until, answer_until: deadlines counted from the last sweep.
    """

    def __init__(
        self, handler: Handler, limits: Limits, counters: Counters, log: Log | None, sweep_s: float, canned: Canned
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.counters = counters
        self.canned = canned
        self.connections_most = limits.connections or connections_allowed()
        self.refusals_most = limits.refusals or refusals_allowed()
        self._refused: dict[Connection, float] = {}
        self.draining = False
        self.secure = False
        self.known: dict[bytes, Request] = {}
        self.again: dict[bytes, Callable[[Connection], bool]] = {}
        self.repeated: bytes | None = None
        self.loop = asyncio.get_running_loop()
        self._log = log
        self._seen: set[int] = set()
        self._slices: list[set[Connection]] = [set() for _ in range(_SLICES)]
        self._slice = 0
        self._sweep_s = sweep_s / _SLICES
        self._listening: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty: asyncio.Future[None] | None = None
        self._fanout: Fanout | None = None
        self._second = 0
        self._tick()
        self._sweeper = self.loop.call_later(self._sweep_s, self._sweep)

    async def listen(self, sockets: list[socket.socket], secure: Certificate | None = None) -> None:
        tls: dict[str, Any] = {}
        self.secure = secure is not None
        if secure is not None:
            tls = {"ssl": secure.context, "ssl_handshake_timeout": HANDSHAKE_S, "ssl_shutdown_timeout": SHUTDOWN_S}
            self.spawn(self._renew(secure))
        for one in sockets:
            listen = self.loop.create_unix_server if one.family == socket.AF_UNIX else self.loop.create_server
            server = await listen(lambda: Connection(self), sock=one, backlog=_BACKLOG, **tls)
            self._listening.append(server)

    async def drain(self, deadline_s: float) -> None:
        """Stop admitting, answer who waits (503 unless the handler sends better), let running answers end, close."""
        self.draining = True
        for server in self._listening:
            server.close()
        end = self.loop.time() + deadline_s
        for connection in self._connections():
            self._border(connection, connection.drain)
        if any(self._slices):
            self._empty = self.loop.create_future()
            await asyncio.wait([self._empty], timeout=max(0.0, end - self.loop.time()))
        for connection in self._connections():
            connection.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        self._sweeper.cancel()
        if self._fanout is not None:
            self._fanout.close()
        await asyncio.sleep(0)

    @property
    def fanout(self) -> Fanout:
        """For what all get at once."""
        if self._fanout is None:
            self._fanout = fanout()
        return self._fanout

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run as a task that this server owns and cancels at its end."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def send_pieces(self, exchange: Exchange, response: Response) -> None:
        self.spawn(send_pieces(exchange, response, self))

    def admit(self, connection: Connection) -> int:
        """Count a connection in and give it its number."""
        self.counters.connections += 1
        self.counters.open += 1
        self._slices[self.counters.connections % _SLICES].add(connection)
        return self.counters.connections

    @property
    def refusing(self) -> int:
        """Connections beyond the limit, open only to be told so."""
        return len(self._refused)

    def may_refuse(self, connection: Connection) -> bool:
        """Take in one more that is told that we are full. For it the one that has kept us waiting longest goes, if it has for long."""
        if len(self._refused) >= self.refusals_most:
            oldest, since = next(iter(self._refused.items()))
            if self.loop.time() - since < _REFUSED_S:
                return False
            del self._refused[oldest]
            oldest.dismiss()
        self._refused[connection] = self.loop.time()
        return True

    def leave(self, connection: Connection) -> None:
        self._slices[connection.number % _SLICES].discard(connection)
        self.counters.open -= 1
        self._refused.pop(connection, None)
        if self._empty is not None and not self._empty.done() and not any(self._slices):
            self._empty.set_result(None)

    def remember(self, data: bytes, request: Request) -> None:
        """Keep what was parsed from `data`, if it is short and comes for the second time."""
        if len(data) > _KNOWN_BYTES:
            return
        mark = hash(data)
        if mark not in self._seen:
            if len(self._seen) >= _SEEN_MOST:
                self._seen.clear()
            self._seen.add(mark)
            return
        if len(self.known) >= _KNOWN_MOST:
            self.known.clear()
        self.known[data] = request

    def fault(self, error: BaseException, request: Request | None = None) -> None:
        """A handler failed, or what it wanted to be called back for: count and log it."""
        self.counters.faults += 1
        if self._log is not None:
            self._log.error("a handler failed", trace=error, method=request.method if request is not None else "")

    async def _renew(self, secure: Certificate) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if secure.renewed() and self._log is not None:
                self._log.info("a renewed certificate is in use")

    def _border(self, connection: Connection, step: Callable[[], None]) -> None:
        """What a handler does in a callback must not cost others their deadlines."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the border of one connection
            self.fault(error)
            connection.abort()

    def _connections(self) -> list[Connection]:
        return [connection for part in self._slices for connection in part]

    def _tick(self) -> None:
        self.now = self.loop.time()
        self.begin_until = self.now + self.limits.head_deadline_s
        self.idle_until = self.now + self.limits.idle_s
        self.answer_until = self.now + self.limits.answer_deadline_s
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.date = date_line(second)

    def _sweep(self) -> None:
        self._tick()
        self.again.clear()
        self._slice = (self._slice + 1) % _SLICES
        now = self.now
        if self.draining:
            # Who has begun to wait or to stream since is asked again.
            for connection in list(self._slices[self._slice]):
                self._border(connection, connection.drain)
        for connection in [one for one in self._slices[self._slice] if one.deadline < now]:
            self._border(connection, connection.overdue)
        self._sweeper = self.loop.call_later(self._sweep_s, self._sweep)


async def serve(
    handler: Handler,
    sockets: list[socket.socket],
    limits: Limits,
    counters: Counters,
    log: Log | None = None,
    sweep_s: float = 1.0,
    headers: Sequence[tuple[str, str]] = (),
    secure: Certificate | None = None,
) -> Server:
    """Answer on sockets that are bound already.

    Args:
        sweep_s: how exactly deadlines are kept.
        headers: go with the answers that the server gives by itself (400, 408, 431, 503, …).
        secure: speak TLS.
    """
    server = Server(handler, limits, counters, log, sweep_s, Canned(headers))
    await server.listen(sockets, secure)
    return server


def awaiting(answer: Callable[[Request], Awaitable[Response]]) -> Handler:
    """A handler for requests that take time.

    What `answer` raises becomes a response: PeerError its status, Overloaded and Unavailable 503 with Retry-After, anything
    else a logged 500. It runs to its end even if the peer leaves, so that no command is half done.
    """

    async def run(exchange: Exchange, server: Server) -> None:
        try:
            response = await answer(exchange.request.of(exchange.peer))
        except RostraError as error:
            response = refusal(error)
        except Exception as error:  # noqa: BLE001 - the border of one request: it must not take the server with it
            server.fault(error, exchange.request)
            response = refusal(RostraError())
        if not exchange.gone:
            exchange.send_response(response)
            return
        server.counters.late_answers += 1
        close = getattr(response.body, "aclose", None)
        if close is not None:
            await close()

    def handle(exchange: Exchange) -> None:
        server = exchange.server
        server.spawn(run(exchange, server))

    return handle


def refusal(error: RostraError) -> Response:
    """The response that says what `error` says: a JSON object with `code` and `message`."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if isinstance(error, PeerError):
        return Response(error.status, headers + list(error.headers), _json(error.code, str(error)))
    if isinstance(error, Overloaded | Unavailable):
        headers.append(("Retry-After", str(error.retry_after_s)))
        return Response(
            503, headers, _json("overloaded" if isinstance(error, Overloaded) else "unavailable", str(error))
        )
    return Response(500, headers, _json("fault", "Something failed on our side. It has been written down."))


def connections_allowed() -> int:
    """How many connections the file limit leaves room for: a sixteenth of it, at least 64, is kept for everything else."""
    most = _files_most()
    return max(16, most - _spare(most))


def refusals_allowed() -> int:
    """How many more may be open to be told that we are full: the spare sixteenth, less what records and the rest need."""
    spare = _spare(_files_most())
    return max(16, min(_BACKLOG, spare - min(_OWN_FILES, 3 * spare // 8)))


def _files_most() -> int:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_048_576 if most == resource.RLIM_INFINITY else most


def _spare(files: int) -> int:
    return max(64, files // 16)


_OWN_FILES = 192  # records, logs, links to other roles
_SLICES = 10
_REFUSED_S = 1.0
_BACKLOG = 4096
_KNOWN_MOST = 4096
_KNOWN_BYTES = 1024
_SEEN_MOST = 16384


def _json(code: str, message: str) -> bytes:
    return json.dumps({"code": code, "message": message}).encode()
