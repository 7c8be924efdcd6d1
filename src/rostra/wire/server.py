"""Listening sockets, their connections, and one sweep for all deadlines.

A request costs no timer: each connection holds one deadline, and a tenth of all connections is looked at every tenth of
`sweep_s`.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from rostra.kernel.log import Log
from rostra.wire.canned import Canned
from rostra.wire.connection import Connection
from rostra.wire.counters import Counters
from rostra.wire.exchange import Exchange, Handler
from rostra.wire.fanout import Fanout, fanout
from rostra.wire.gathering import Gathering, send_to_all
from rostra.wire.http1 import Limits, Request, Response, date_line
from rostra.wire.parting import Parting
from rostra.wire.pieces import send_pieces
from rostra.wire.places import BACKLOG, Places
from rostra.wire.repeats import Repeats
from rostra.wire.secure import LOOK_EVERY_S, Certificate
from rostra.wire.shaking import Handshakes
from rostra.wire.stream import Stream

__all__ = ["Counters", "Exchange", "Gathering", "Handler", "Server", "Stream", "send_to_all", "serve"]

Open = Connection | Parting


class Server:
    """Made by `serve`.

    Attributes:
        date: the Date header of this second; the same object all through the second.
        begin_until, idle_until, answer_until: deadlines counted from the last sweep.
    """

    def __init__(
        self, handler: Handler, limits: Limits, counters: Counters, log: Log | None, sweep_s: float, canned: Canned
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.counters = counters
        self.canned = canned
        self.places = Places(limits.connections, limits.refusals)
        self.repeats = Repeats()
        self.draining = False
        self.secure = False
        self.loop = asyncio.get_running_loop()
        self._log = log
        self._slices: list[set[Open]] = [set() for _ in range(_SLICES)]
        self._slice = 0
        self._sweep_s = sweep_s / _SLICES
        self._listening: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty: asyncio.Future[None] | None = None
        self._fanout: Fanout | None = None
        self._handshakes: Handshakes | None = None
        self._second = 0
        self._tick()
        self._sweeper = self.loop.call_later(self._sweep_s, self._sweep)

    async def listen(self, sockets: list[socket.socket], secure: Certificate | None = None) -> None:
        self.secure = secure is not None
        if secure is not None:
            self._handshakes = Handshakes(self, secure.context)
            for one in sockets:
                self._handshakes.listen(one)
            self.spawn(self._renew(secure))
            return
        for one in sockets:
            listen = self.loop.create_unix_server if one.family == socket.AF_UNIX else self.loop.create_server
            server = await listen(lambda: Connection(self), sock=one, backlog=BACKLOG)
            self._listening.append(server)

    async def drain(self, deadline_s: float) -> None:
        """Stop admitting, answer who waits (503 unless the handler sends better), let running answers end, close."""
        self.draining = True
        for server in self._listening:
            server.close()
        if self._handshakes is not None:
            self._handshakes.close()
        end = self.loop.time() + deadline_s
        for one in self._connections():
            self._border(one, one.drain)
        if any(self._slices):
            self._empty = self.loop.create_future()
            await asyncio.wait([self._empty], timeout=max(0.0, end - self.loop.time()))
        for one in self._connections():
            one.abort()
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
    def full(self) -> bool:
        """Too many are inside, the last who came among them."""
        return self.room < 0

    @property
    def room(self) -> int:
        """How many more may come inside; below zero where too many have."""
        return self.places.most - (self.counters.open - self.places.refusing)

    @property
    def shaking(self) -> int:
        """How many are shaking hands. They are not inside."""
        return len(self._handshakes) if self._handshakes is not None else 0

    def turn_away(self, parting: Parting) -> None:
        """We are full. The answer waits until something comes; if too many wait for theirs it is given and the connection cut at once,
        so that most see it, though some see a reset."""
        if self.places.may_refuse(parting, self.loop.time()):
            self.counters.refused_full += 1
        elif self.secure:
            self.counters.aborted_full += 1
            parting.abort()
        else:
            self.counters.aborted_full += 1
            parting.dismiss()

    def replace(self, connection: Connection, parting: Parting) -> None:
        """What was the one's is the other's now."""
        slice_ = self._slices[connection.number % _SLICES]
        slice_.discard(connection)
        slice_.add(parting)

    def leave(self, one: Open) -> None:
        self._slices[one.number % _SLICES].discard(one)
        self.counters.open -= 1
        if self._empty is not None and not self._empty.done() and not any(self._slices):
            self._empty.set_result(None)

    def fault(self, error: BaseException, request: Request | None = None) -> None:
        """A handler failed, or what it wanted to be called back for: count and log it."""
        self.counters.faults += 1
        if self._log is not None:
            self._log.error("a handler failed", trace=error, method=request.method if request is not None else "")

    async def _renew(self, secure: Certificate) -> None:
        said = ""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            renewed = secure.renewed()
            if self._log is not None and renewed:
                self._log.info("a renewed certificate is in use")
            elif self._log is not None and secure.wrong not in ("", said):
                self._log.warning("the certificate on disk cannot be used; the one before is kept", why=secure.wrong)
            said = secure.wrong

    def _border(self, one: Open, step: Callable[[], None]) -> None:
        """What a handler does in a callback must not cost others their deadlines."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the border of one connection
            self.fault(error)
            one.abort()

    def _connections(self) -> list[Open]:
        return [one for part in self._slices for one in part]

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
        self.repeats.forget()
        self._slice = (self._slice + 1) % _SLICES
        now = self.now
        if self.draining:
            # Who has begun to wait or to stream since is asked again.
            for one in list(self._slices[self._slice]):
                self._border(one, one.drain)
        for one in [one for one in self._slices[self._slice] if one.deadline < now]:
            self._border(one, one.overdue)
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


_SLICES = 10
