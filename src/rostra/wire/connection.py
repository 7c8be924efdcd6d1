"""One connection: bytes to requests, one answer after the other, and what happens to peers that are slow.

One request is in hand at a time; what a peer sends ahead waits, within bounds. A response goes to the transport in one write,
and the next request is not begun before the kernel has taken it whole, so a slow reader can make us keep one reference to
one response and no more.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from rostra.kernel.errors import PeerError
from rostra.wire.conditional import unless_known
from rostra.wire.exchange import Exchange, Stream
from rostra.wire.head import parse_whole
from rostra.wire.http1 import Request, RequestParser, with_close

if TYPE_CHECKING:
    from rostra.wire.server import Server


class Connection(asyncio.Protocol):
    """Made by the server for each accepted socket.

    Attributes:
        deadline: when `overdue` is due, in the loop's time; swept by the server.
        paused: the kernel has not taken all that was written.
        file: the socket's descriptor while it is open and may be written to past the transport, else -1.
        exchange: the request in hand.
        calm: nothing but perhaps one exchange is going on, so the short way through may be taken.
    """

    __slots__ = (
        "_ahead", "_closing", "_lingering", "_parser", "_pumping", "_queue", "_refused", "_rest", "_stream", "_transport",
        "calm", "deadline", "exchange", "file", "number", "paused", "server",
    )  # fmt: skip

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.number = 0
        self.deadline = NEVER
        self.paused = False
        self.calm = True
        self._transport: asyncio.Transport | None = None
        self.file = _NO_FILE
        self.exchange: Exchange | None = None
        self._stream: Stream | None = None
        self._parser: RequestParser | None = None
        self._rest = _NOTHING
        self._queue: list[Request] | None = None
        self._ahead: bytearray | None = None
        self._pumping = False
        self._closing = False
        self._lingering = False
        self._refused = False

    @property
    def peer(self) -> str:
        address = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(address[0]) if isinstance(address, tuple) and address else ""

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self.server
        self._transport = cast(asyncio.Transport, transport)
        self.number = server.admit(self)
        # The transport then tries each write at once, and says so if the kernel does not take it whole.
        # With TLS a limit of 0 would say so of nothing, too.
        self._transport.set_write_buffer_limits(high=int(server.secure), low=0)
        if not server.secure:
            self.file = self._transport.get_extra_info("socket").fileno()
        if server.draining:
            self._transport.close()
        elif server.counters.open > server.connections_most:
            self._turn_away()
        else:
            # Who says nothing shall not hold a seat that others could have; who has asked before may pause for longer.
            self.deadline = server.begin_until

    def data_received(self, data: bytes) -> None:
        if self.calm and self.exchange is None:
            server = self.server
            # What many send in the same instant is served by its bytes alone.
            again = server.again.get(data)
            if again is not None and again(self):
                server.counters.requests += 1
                return
            # What comes often is recognised by its bytes; what comes whole needs no parser that waits for the rest.
            request = server.known.get(data)
            if request is None:
                request = parse_whole(data, server.limits)
                if request is not None:
                    server.remember(data, request)
            else:
                server.repeated = data
            if request is not None:
                server.counters.requests += 1
                self.exchange = exchange = Exchange(self, request)
                self.deadline = server.answer_until
                try:
                    server.handler(exchange)
                except Exception as error:  # noqa: BLE001 - the border of one request: it must not take the server with it
                    self._fault(error, exchange)
                server.repeated = None
                return
        self._receive(data)

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange is not None and not exchange.watched:
            self._closing = True
            self.calm = False
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
            self.deadline = NEVER
            self._stream.catch_up()
        elif self._lingering:
            self.deadline = self.server.loop.time() + self.server.limits.linger_s
        else:
            self.deadline = self.server.idle_until
            self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
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
        known = request.headers.get("if-none-match")
        if known is not None and request.method in ("GET", "HEAD"):
            whole = unless_known(whole, known)
        closes = self._closing or not request.keep_alive
        if closes:
            whole = with_close(whole)
        if request.method == "HEAD":
            whole = whole[: whole.index(b"\r\n\r\n") + 4]
        self.write(whole)
        if closes:
            self._end()
        else:
            self._pump()

    def answered_again(self, whole: bytes, request: Request, told: Callable[[int], None]) -> None:
        def again(connection: Connection) -> bool:
            connection.deadline = connection.server.idle_until
            told(connection.number)
            connection.write(whole)
            return True

        self.repeat(request, again)
        told(self.number)
        self.answered(whole, request)

    def repeat(self, request: Request, again: "Callable[[Connection], bool]") -> None:
        server = self.server
        if server.repeated is not None and self.calm and request.plain and len(server.again) < REPEATED_MOST:
            server.again[server.repeated] = again

    def hold(self, deadline_s: float) -> None:
        self.server.counters.held += 1
        self.deadline = self.server.now + deadline_s

    def begin_stream(self, stream: Stream) -> None:
        self.exchange = None
        self._stream = stream
        self.calm = False
        self.deadline = NEVER

    def write_stream(self, data: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        self.write(data)
        if not self.paused:
            return True
        if transport.get_write_buffer_size() > self.server.limits.stream_bytes:
            self.server.counters.stream_overflows += 1
            self.abort()
        return False

    def straight(self, unsent_bytes: int) -> Callable[[bytes], None]:
        assert self._transport is not None
        raw = self._transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX and _NOTSENT_LOWAT is not None:
            raw.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, unsent_bytes)
        return self.write

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
        if self._transport is not None:
            self._transport.write(data)

    def end_stream(self, ends_connection: bool) -> None:
        self._stream = None
        if ends_connection or self._closing:
            self._end()
        elif not self.paused:
            self.deadline = self.server.idle_until
            self._pump()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the server calls.

    def overdue(self) -> None:
        """The deadline has passed."""
        server = self.server
        self.deadline = NEVER
        if self.paused:
            server.counters.slow_readers += 1
            self.abort()
        elif self._lingering or self._closing and self.exchange is None:
            self.abort()
        elif self._refused:
            self._refuse(self.server.canned.full)
        elif self.exchange is not None:
            if not self.exchange.held:
                server.counters.answer_timeouts += 1
            self.exchange.expire(server.canned.too_slow, draining=False)
        elif self._rest:
            server.counters.head_timeouts += 1
            self._refuse(server.canned.timeout)
        else:
            server.counters.idle_closed += 1
            self._end()

    def drain(self) -> None:
        """The server stops: who waits is answered, who is idle is closed, what runs may end."""
        self._closing = True
        self.calm = False
        if self.exchange is not None:
            if self.exchange.held:
                self.server.counters.drained += 1
                self.exchange.expire(self.server.canned.stopping, draining=True)
        elif self._stream is not None:
            self._stream.drain()
        elif not self._lingering:
            self._end()

    # One request after the other, the long way.

    def _receive(self, data: bytes) -> None:
        if self._lingering or self._closing:
            return
        if self._refused:
            self._refuse(self.server.canned.full)
        elif self.exchange is not None or self._stream is not None or self.paused or self._queue:
            self._read_ahead(data)
        else:
            self._parse(data)
            self._pump()

    def _read_ahead(self, data: bytes) -> None:
        if self._ahead is None:
            self._ahead = bytearray()
            self.calm = False
        if len(self._ahead) + len(data) > self.server.limits.pipeline_bytes:
            # It gets the answer it waits for, and then the end: the peer has to ask the rest again.
            self.server.counters.pipeline_overflows += 1
            self._ahead = None
            self._closing = True
        else:
            self._ahead += data

    def _parse(self, data: bytes) -> bool:
        """Queue what `data` completes. False when nothing has come of it."""
        server = self.server
        parser = self._parser
        if parser is None:
            parser = RequestParser(server.limits)
        try:
            requests = parser.feed(data)
        except PeerError as error:
            server.counters.bad_requests += 1
            self._refuse(server.canned.refusal(error))
            return True
        if parser.idle:
            self._parser = None
            self._rest = _NOTHING
        else:
            self._parser = parser
            self._time_rest(parser, restart=bool(requests))
        if requests:
            self._queue = requests
        return bool(requests)

    def _time_rest(self, parser: RequestParser, restart: bool) -> None:
        """Part of a request is in. Its time runs from its first byte, however the rest drips in."""
        limits = self.server.limits
        rest = _IN_BODY if parser.in_body else _IN_HEAD
        if restart or rest != self._rest:
            self._rest = rest
            allowed_s = limits.body_deadline_s if rest == _IN_BODY else limits.head_deadline_s
            self.deadline = self.server.loop.time() + allowed_s
        if parser.needs_continue() and self._transport is not None:
            self.write(_CONTINUE)

    def _pump(self) -> None:
        """Handle what has come in, until a request waits for its answer or nothing is left."""
        if self._pumping:
            return
        self._pumping = True
        while not (
            self.exchange or self._stream or self.paused or self._closing or self._lingering or self._transport is None
        ):
            if self._queue:
                self._handle(self._queue.pop(0))
            elif self._ahead is not None:
                data, self._ahead = bytes(self._ahead), None
                self._parse(data)
            elif self._parser is None or not self._parse(b""):
                break
        self._pumping = False
        self.calm = not (
            self._stream or self.paused or self._closing or self._lingering or self._refused
            or self._queue or self._ahead is not None or self._parser is not None
        )  # fmt: skip

    def _handle(self, request: Request) -> None:
        server = self.server
        server.counters.requests += 1
        self.exchange = exchange = Exchange(self, request)
        self._rest = _NOTHING
        self.deadline = server.answer_until
        try:
            server.handler(exchange)
        except Exception as error:  # noqa: BLE001 - the border of one request: it must not take the server with it
            self._fault(error, exchange)

    def _fault(self, error: Exception, exchange: Exchange) -> None:
        self.server.fault(error, exchange.request)
        if self.exchange is exchange:
            exchange.send(self.server.canned.broken)

    # Ends.

    def _turn_away(self) -> None:
        """We are full. The answer waits for the request: a socket closed with unread bytes would reset and take it along."""
        server = self.server
        self.calm = False
        if not server.may_refuse(self):
            server.counters.aborted_full += 1
            if not server.secure:
                self.write(server.canned.full)  # most see it, though the end may come as a reset
            self.abort()
            return
        server.counters.refused_full += 1
        self._refused = True
        self.deadline = server.loop.time() + server.limits.linger_s

    def dismiss(self) -> None:
        """We are full, and others wait to be told so as well. Who has asked for nothing until now loses no answer by this."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if not self._lingering:
                self.write(self.server.canned.full)
            transport.close()

    def _refuse(self, whole: bytes) -> None:
        """Answer, then read on for a moment without listening, so that the peer sees the answer."""
        self._lingering = True
        self.calm = False
        self._queue = self._ahead = self._parser = None
        self.deadline = self.server.loop.time() + self.server.limits.linger_s
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self.write(whole)
            if transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()  # TLS has no half-closed state, and waits for the other side's goodbye by itself

    def _end(self) -> None:
        """Close once what was written is gone."""
        self._closing = True
        self.calm = False
        if self._transport is not None:
            if not self.paused:
                self.deadline = self.server.loop.time() + self.server.limits.write_deadline_s
            self._transport.close()

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
_NO_FILE = -1
# Without it the kernel takes megabytes for a peer that does not read (tcp(7), Linux).
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
REPEATED_MOST = 4096
"""What to do kept by requests' bytes; one more goes its usual way."""
_NOTHING, _IN_HEAD, _IN_BODY = range(3)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
