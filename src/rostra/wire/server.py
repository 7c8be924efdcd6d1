"""Who is connected, what they all share, and one sweep for all deadlines.

A request costs no timer: each connection holds one deadline, and a tenth of all connections is looked at every tenth of
`sweep_s`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from rostra.kernel.log import Log
from rostra.wire.canned import Canned
from rostra.wire.counters import Counters
from rostra.wire.exchange import Exchange, Handler
from rostra.wire.fanout import Fanout, fanout
from rostra.wire.gathering import Gathering, send_to_all
from rostra.wire.http1 import Limits, Request, Response, date_line
from rostra.wire.pieces import send_pieces
from rostra.wire.places import Places, Refused
from rostra.wire.repeats import Repeats
from rostra.wire.stream import Stream

__all__ = ["Counters", "Exchange", "Gathering", "Handler", "Server", "Stream", "send_to_all"]


class Open(Protocol):
    """What the server needs of each who is connected: to be inside, or to be told that there is no place.

    Attributes:
        number: given by `admit`; the same for as long as it is open, whoever it is that stands for it.
        deadline: when `overdue` is due, in the loop's time.
    """

    number: int
    deadline: float

    def overdue(self) -> None:
        """The deadline has passed."""

    def drain(self) -> None:
        """The server stops: end when what runs has ended. Called until this is closed."""

    def abort(self) -> None:
        """Close at once."""


class Listening(Protocol):
    """Takes what comes to a socket."""

    def close(self) -> None:
        """Take no more."""


class TurnedAway(Open, Refused, Protocol):
    """One who is told that there is no place."""


class Server:
    """Made by `wire.listening.serve`.

    Attributes:
        date: the Date header of this second; the same object all through the second.
        begin_until, idle_until, answer_until: deadlines counted from the last sweep.
        listening: where connections come from, until it drains.
        secure: they speak TLS.
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
        self.listening: list[Listening] = []
        self.loop = asyncio.get_running_loop()
        self._log = log
        self._slices: list[set[Open]] = [set() for _ in range(_SLICES)]
        self._slice = 0
        self._sweep_s = sweep_s / _SLICES
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty: asyncio.Future[None] | None = None
        self._fanout: Fanout | None = None
        self._second = 0
        self._tick()
        self._sweeper = self.loop.call_later(self._sweep_s, self._sweep)

    async def drain(self, deadline_s: float) -> None:
        """Stop admitting, answer who waits (503 unless the handler sends better), let running answers end, close."""
        self.draining = True
        for one_listening in self.listening:
            one_listening.close()
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

    def admit(self, connection: Open) -> int:
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

    def turn_away(self, parting: TurnedAway) -> None:
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

    def replace(self, connection: Open, parting: Open) -> None:
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


_SLICES = 10
