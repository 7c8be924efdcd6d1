"""One connection: one answer after the other, and what happens to peers that are slow.

One request is in hand at a time; what a peer sends ahead waits (wire.intake). A response goes to the transport in one write,
and the next request is not begun before the kernel has taken it whole, so a slow reader can make us keep one reference to
one response and no more.
"""

import asyncio
import os
from typing import cast

from rostra.wire.encode import as_asked
from rostra.wire.exchange import Again, Exchange
from rostra.wire.head import parse_whole
from rostra.wire.http1 import Request
from rostra.wire.intake import Intake
from rostra.wire.parting import Parting
from rostra.wire.server import Server
from rostra.wire.stream import Stream


class Connection(asyncio.Protocol):
    """Made for each accepted socket.

    Attributes:
        deadline: when `overdue` is due, in the loop's time; swept by the server.
        paused: the kernel has not taken all that was written.
        file: the socket's descriptor while it is open and may be written to past the transport, else -1.
        exchange: the request in hand.
        intake: what has come and is not in hand yet.
        calm: nothing but perhaps one exchange is going on, so the short way through may be taken.
    """

    __slots__ = (
        "_closing", "_stream", "calm", "deadline", "exchange", "file", "intake", "number", "paused", "server", "transport",
    )  # fmt: skip

    def __init__(self, server: Server) -> None:
        self.server = server
        self.number = 0
        self.deadline = NEVER
        self.paused = False
        self.calm = True
        self.transport: asyncio.Transport | None = None
        self.file = _NO_FILE
        self.exchange: Exchange | None = None
        self.intake: Intake | None = None
        self._stream: Stream | None = None
        self._closing = False

    @property
    def peer(self) -> str:
        address = self.transport.get_extra_info("peername") if self.transport is not None else None
        return str(address[0]) if isinstance(address, tuple) and address else ""

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self.server
        self.transport = transport = cast(asyncio.Transport, transport)
        self.number = server.admit(self)
        # The transport then tries each write at once, and says so if the kernel does not take it whole.
        # With TLS a limit of 0 would say so of nothing, too.
        transport.set_write_buffer_limits(high=int(server.secure), low=0)
        if not server.secure:
            self.file = transport.get_extra_info("socket").fileno()
        if server.draining:
            transport.close()
        elif server.full:
            server.turn_away(self._part(server.canned.full))
        else:
            # Who says nothing shall not hold a seat that others could have; who has asked before may pause for longer.
            self.deadline = server.begin_until

    def data_received(self, data: bytes) -> None:
        if self.calm and self.exchange is None:
            server = self.server
            # What many send in the same instant is served by its bytes alone.
            repeats = server.repeats
            again = repeats.again.get(data)
            if again is not None and again(self):
                server.counters.requests += 1
                return
            # What comes often is recognised by its bytes; what comes whole needs no parser that waits for the rest.
            request = repeats.known.get(data)
            if request is None:
                request = parse_whole(data, server.limits)
                if request is not None:
                    repeats.remember(data, request)
            else:
                repeats.current = data
            if request is not None:
                # As in `handle`; one call more would be felt here (docs/how/wire.md).
                server.counters.requests += 1
                self.exchange = exchange = Exchange(self, request)
                self.deadline = server.answer_until
                try:
                    server.handler(exchange)
                except Exception as error:  # noqa: BLE001 - the border of one request: it must not take the server with it
                    self._fault(error, exchange)
                repeats.current = None
                return
        if not self._closing:
            if self.intake is None:
                self.intake = Intake(self)
                self.calm = False
            self.intake.take(data)

    def eof_received(self) -> bool:
        """The peer will ask no more. It still gets what is in hand for it (RFC 9293 3.6), unless its leaving is watched for; whether it
        listens at all shows when it is written to. TLS is closed both ways at once."""
        exchange, stream = self.exchange, self._stream
        asked = stream if stream is not None else exchange
        if not self.server.secure and asked is not None and not asked.watched:
            self.listen_no_more()
            if stream is not None and not self.paused:
                self.deadline = self._stream_until()
            return True
        self._lose()
        return False

    def pause_writing(self) -> None:
        self.paused = True
        self.calm = False
        self.deadline = self.server.loop.time() + self.server.limits.write_deadline_s
        if self._stream is not None:
            self._stream.fall_behind()

    def resume_writing(self) -> None:
        self.paused = False
        if self._stream is not None:
            self.deadline = self._stream_until()
            self._stream.catch_up()
        elif self._closing:
            self._end()
        else:
            self.deadline = self.server.idle_until
            if self.intake is not None:
                self.intake.begun = False  # what has begun to come is timed anew
            self.go_on()

    def connection_lost(self, error: Exception | None) -> None:
        self.listen_no_more()
        self.transport = None
        self.file = _NO_FILE  # it is closed when this returns, and its number is another's then
        self.deadline = NEVER
        self.server.leave(self)
        self._lose()

    # What exchanges and streams call.

    def answered(self, whole: bytes, request: Request) -> None:
        self.exchange = None
        self.deadline = self.server.idle_until
        if self.calm and request.plain:
            self.write(whole)
            return
        closes = self._closing or not request.keep_alive
        self.write(as_asked(whole, request, closes=closes))
        if closes:
            self._end()
        else:
            self.go_on()

    def repeat(self, request: Request, again: Again) -> None:
        if self.calm and request.plain:
            self.server.repeats.keep(request, again)

    def hold(self, deadline_s: float) -> None:
        self.server.counters.held += 1
        self.deadline = self.server.now + deadline_s

    def begin_stream(self, stream: Stream) -> None:
        self.exchange = None
        self._stream = stream
        self.calm = False
        self.deadline = self._stream_until()

    def write(self, data: bytes) -> None:
        """To the kernel at once, past the transport, which costs a third of a short answer's time; what the kernel does not take
        waits in the transport, and so does everything behind it."""
        file = self.file
        if file != _NO_FILE and not self.paused:
            try:
                sent = os.write(file, data)
            except OSError:  # full, or broken: the transport finds out which, and says so as it always does
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        if self.transport is not None:
            self.transport.write(data)

    def bound_unsent(self) -> None:
        server, transport = self.server, self.transport
        if transport is not None and transport.get_write_buffer_size() > server.limits.stream_bytes:
            server.counters.stream_overflows += 1
            transport.abort()

    def end_stream(self, ends_connection: bool) -> None:
        self._stream = None
        if ends_connection or self._closing:
            self._end()
        elif not self.paused:
            self.deadline = self.server.idle_until
            self.go_on()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # What the intake calls.

    @property
    def free(self) -> bool:
        """The next request may be handled."""
        return not (self.exchange or self._stream or self.paused or self._closing)

    def go_on(self) -> None:
        """Nothing is in hand, or all of it is written: take what has come in meanwhile."""
        if self.intake is not None:
            self.intake.go_on()
        self.calm = not (self._stream or self.paused or self._closing) and self.intake is None

    def handle(self, request: Request) -> None:
        server = self.server
        server.counters.requests += 1
        self.exchange = exchange = Exchange(self, request)
        self.deadline = server.answer_until
        try:
            server.handler(exchange)
        except Exception as error:  # noqa: BLE001 - the border of one request: it must not take the server with it
            self._fault(error, exchange)

    def listen_no_more(self) -> None:
        """End behind what is in hand."""
        self._closing = True
        self.calm = False
        self.intake = None

    def refuse(self, whole: bytes) -> None:
        """Say this, and end."""
        if self.transport is not None:
            self._part(whole).tell()

    # What the server calls.

    def overdue(self) -> None:
        """The deadline has passed."""
        server = self.server
        self.deadline = NEVER
        if self.paused:
            server.counters.slow_readers += 1
            self.abort()
        elif self.exchange is not None:
            if not self.exchange.held:
                server.counters.answer_timeouts += 1
            self.exchange.expire(server.canned.too_slow, draining=False)
        elif self._stream is not None and self._stream.heard():
            self.deadline = self._stream_until()
        elif self._closing:
            self.abort()
        elif self.intake is not None and self.intake.begun:
            server.counters.head_timeouts += 1
            self.refuse(server.canned.timeout)
        else:
            server.counters.idle_closed += 1
            self._end()

    def drain(self) -> None:
        """The server stops: who waits is answered, who is idle is closed, what runs may end. Called until this is closed."""
        ended = self._closing
        self._closing = True
        self.calm = False
        if self.exchange is not None:
            if self.exchange.held:
                self.server.counters.drained += 1
                self.exchange.expire(self.server.canned.stopping, draining=True)
        elif self._stream is not None:
            self._stream.drain()
        elif not ended:
            self._end()

    # Ends.

    def _stream_until(self) -> float:
        """When a stream is looked at: only where the end of its peer's sending side may have been the peer's own."""
        return self.server.loop.time() + HALF_CLOSED_S if self._closing else NEVER

    def _fault(self, error: Exception, exchange: Exchange) -> None:
        self.server.fault(error, exchange.request)
        if self.exchange is exchange:
            exchange.send(self.server.canned.broken)

    def _part(self, answer: bytes) -> Parting:
        """Leave the transport to one who gives this answer and ends it."""
        assert self.transport is not None
        self.listen_no_more()
        parting = Parting(self.server, self.number, self.transport, answer)
        self.server.replace(self, parting)
        self.transport.set_protocol(parting)
        self.transport = None
        self.file = _NO_FILE
        return parting

    def _end(self) -> None:
        """Close once what was written is gone."""
        self._closing = True
        self.calm = False
        if self.transport is not None:
            if not self.paused:
                self.deadline = self.server.loop.time() + self.server.limits.write_deadline_s
            self.transport.close()

    def _lose(self) -> None:
        exchange, self.exchange = self.exchange, None
        stream, self._stream = self._stream, None
        if exchange is not None:
            self.server.counters.gone += 1
            exchange.lose()
        if stream is not None:
            self.server.counters.gone += 1
            stream.lose()


NEVER = float("inf")
HALF_CLOSED_S = 5.0
"""A peer that has shut its sending side and acknowledges nothing of its stream for so long has left."""
_NO_FILE = -1
