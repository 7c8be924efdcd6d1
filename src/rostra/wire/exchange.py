"""One request and its one answer, as a handler sees them."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from rostra.wire.http1 import Prepared, Request, Response, encode, with_close

if TYPE_CHECKING:
    from rostra.wire.connection import Connection
    from rostra.wire.server import Server


class Exchange:
    """One request and the one answer it gets. The handler may answer at once, or keep this and answer later.

    Attributes:
        connection: where the answer goes, as long as there is none; None: this is over. For this package alone.
        gone: the peer has left, or a deadline has answered for the handler; an answer now is dropped.
    """

    __slots__ = ("_on_deadline", "_on_drain", "_on_gone", "connection", "gone", "request")

    def __init__(
        self, connection: "Connection", request: Request, on_deadline: "Callable[[Exchange], None] | None" = None
    ) -> None:
        self.connection: Connection | None = connection
        self._on_gone: Callable[[], None] | None = None
        self._on_deadline = on_deadline
        self._on_drain: Callable[[], None] | None = None
        self.gone = False
        self.request = request

    @property
    def peer(self) -> str:
        """The other side's IP address, or "" when it has gone."""
        return self.connection.peer if self.connection is not None else ""

    @property
    def connection_id(self) -> int:
        """The same for all requests of one connection and no other; 0 when it has gone."""
        return self.connection.number if self.connection is not None else 0

    @property
    def server(self) -> "Server":
        """Raises RuntimeError when the exchange is over."""
        if self.connection is None:
            raise RuntimeError("this exchange is over")
        return self.connection.server

    def send(self, whole: bytes) -> None:
        """Answer with a whole response as `prepared` gives it; its body is left out for HEAD.

        Dropped, and counted, when the peer has gone or a deadline was faster.

        Raises:
            RuntimeError: the handler has answered before.
        """
        connection = self.over()
        if connection is None:
            return
        connection.answered(whole, self.request)

    def send_prepared(self, answer: Prepared) -> None:
        """As `send`, with the current Date."""
        connection = self.over()
        if connection is None:
            return
        connection.answered(answer.at(connection.server.date), self.request)

    def send_lasting(self, answer: Prepared, told: Callable[[int], None]) -> None:
        """As `send_prepared`, and whoever sends the same bytes within the next moment may be given the same answer unasked.

        Args:
            told: called with the connection's number for this answer and each of those.
        """
        connection = self.over()
        if connection is None:
            return
        connection.answered_again(answer.at(connection.server.date), self.request, told)

    def repeat(self, again: Callable[["Connection"], bool]) -> None:
        """Within the next moment, call `again` with the connection of whoever sends the same bytes.

        It answers, or takes the request in hand; or gives False, and the request goes its usual way.
        """
        if self.connection is not None:
            self.connection.repeat(self.request, again)

    def send_response(self, response: Response) -> None:
        """Answer with a response made for this request alone; an iterator as body is sent as it comes."""
        connection = self.connection
        if connection is None:
            self._check_late()
        elif isinstance(response.body, bytes):
            self.connection = None
            whole = encode(response, keep_alive=True, head_only=False, date=connection.server.date)
            connection.answered(whole, self.request)
        else:
            connection.server.send_pieces(self, response)

    def stream(self, head: bytes, *, ends_connection: bool = True) -> "Stream":
        """Begin an answer whose length is open. `head` ends with its empty line and says how the body is framed.

        Args:
            ends_connection: the body ends with the connection; False if the caller counts it or chunks it.

        Raises:
            RuntimeError: the exchange is over; look at `gone` first.
        """
        connection = self.connection
        if connection is None:
            raise RuntimeError("this exchange is over")
        self.connection = None
        ends = ends_connection or not self.request.keep_alive
        stream = Stream(connection, ends, self._on_drain)
        connection.begin_stream(stream)
        stream.write(with_close(head) if ends else head)
        return stream

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Call when the peer leaves, or a deadline answers, before the handler does.

        Once this is set, a peer that shuts its sending side counts as gone; before, it still gets its answer.
        """
        self._on_gone = callback

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call when the server stops while this waits, or streams; it may answer better than the plain 503."""
        self._on_drain = callback

    def hold(self, deadline_s: float, on_deadline: Callable[["Exchange"], None] | None = None) -> None:
        """Keep waiting up to `deadline_s` (kept to about a second), then call with this; 503 if nothing is sent even then."""
        connection = self.connection
        if connection is not None:
            self._on_deadline = on_deadline or _nothing
            connection.hold(deadline_s)

    @property
    def held(self) -> bool:
        """The handler waits for something on purpose."""
        return self._on_deadline is not None

    @property
    def watched(self) -> bool:
        """The handler wants to know when the peer leaves."""
        return self._on_gone is not None

    def lose(self) -> None:
        """The peer left. Called by the connection."""
        self.connection = None
        self.gone = True
        if self._on_gone is not None:
            self._on_gone()

    def expire(self, whole: bytes, *, draining: bool) -> None:
        """Time is over: the handler's callback may answer, else `whole` does. Called by the connection."""
        on_drain, on_deadline = self._on_drain, self._on_deadline
        self._on_deadline = self._on_drain = None
        if draining and on_drain is not None:
            on_drain()
        elif not draining and on_deadline is not None:
            on_deadline(self)
        unanswered = self.connection is not None
        if unanswered:
            self.send(whole)
        self.gone = True
        if unanswered and self._on_gone is not None:
            self._on_gone()

    def over(self) -> "Connection | None":
        """End this without an answer, for one who then writes it to the connection. None: dropped, as by `send`."""
        connection, self.connection = self.connection, None
        if connection is None:
            self._check_late()
        return connection

    def _check_late(self) -> None:
        if not self.gone:
            raise RuntimeError("this exchange was answered before")


class Watcher(Protocol):
    """Is told what becomes of a stream that is written to the shortest way."""

    def fell_behind(self) -> None:
        """From inside a write that the kernel did not take whole: write no more until `caught_up`."""

    def caught_up(self) -> None:
        """The kernel has taken all that was written."""

    def gone(self) -> None:
        """The peer left, or was aborted, before `close`."""

    def stop(self) -> None:
        """The server stops."""


class Stream:
    """An answer written piece by piece. Unsent bytes are bounded: past `limits.stream_bytes` the connection is aborted."""

    __slots__ = ("_connection", "_ends", "_on_drain", "_on_gone", "_waiting", "_watcher", "gone")

    def __init__(self, connection: "Connection", ends_connection: bool, on_drain: Callable[[], None] | None) -> None:
        self._connection: Connection | None = connection
        self._ends = ends_connection
        self._on_drain = on_drain
        self._on_gone: Callable[[], None] | None = None
        self._watcher: Watcher | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.gone = False

    def straight(self, watcher: Watcher, unsent_bytes: int) -> Callable[[bytes], None]:
        """The shortest way for one who writes the same to thousands: the transport's own `write`.

        Args:
            watcher: told in place of `on_gone` and `on_drain`; one object weighs less than four functions.
            unsent_bytes: how much the kernel may hold that it has not sent; beyond it the peer is behind.

        Raises:
            RuntimeError: the stream is over; look at `gone` first.
        """
        if self._connection is None:
            raise RuntimeError("this stream is over")
        self._watcher = watcher
        return self._connection.straight(unsent_bytes)

    @property
    def file(self) -> int:
        """The socket's descriptor, for wire.fanout while the peer is not behind; -1 where only what `straight` gave will do (TLS).

        Valid until the watcher is told that it is gone, or `close` is called.
        """
        return self._connection.file if self._connection is not None else -1

    def write(self, data: bytes) -> bool:
        """Send `data`. False when the peer is behind or gone: wait for `drained()` before writing more."""
        connection = self._connection
        return connection is not None and connection.write_stream(data)

    @property
    def behind(self) -> bool:
        """The kernel has not taken all that was written."""
        return self._connection is not None and self._connection.paused

    async def drained(self) -> bool:
        """Wait until the kernel has taken all that was written (at most `limits.write_deadline_s`). False: the peer is gone."""
        while self.behind:
            if self._waiting is None:
                self._waiting = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting)
        return not self.gone

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Call when the peer leaves, or is aborted, before `close`."""
        self._on_gone = callback

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call when the server stops. Without this the stream goes on until the drain's deadline."""
        self._on_drain = callback

    def close(self) -> None:
        """The answer is complete."""
        connection, self._connection = self._connection, None
        self._watcher = None
        self.wake()
        if connection is not None:
            connection.end_stream(self._ends)

    def abort(self) -> None:
        """The answer cannot be completed: cut the connection, so that the peer sees that it is short."""
        connection, self._connection = self._connection, None
        self._watcher = None
        self.gone = True
        self.wake()
        if connection is not None:
            connection.abort()

    def fall_behind(self) -> None:
        """The kernel did not take all. Called by the connection."""
        if self._watcher is not None:
            self._watcher.fell_behind()

    def wake(self) -> None:
        """Nobody need wait any longer: the peer has caught up, or the stream is over."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def catch_up(self) -> None:
        """The kernel has taken all that was written. Called by the connection."""
        self.wake()
        if self._watcher is not None:
            self._watcher.caught_up()

    def lose(self) -> None:
        """The peer left. Called by the connection."""
        self._connection = None
        self.gone = True
        self.wake()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.gone()
        elif self._on_gone is not None:
            self._on_gone()

    def drain(self) -> None:
        """The server stops. Called by the connection, and perhaps again."""
        on_drain, self._on_drain = self._on_drain, None
        if self._watcher is not None:
            self._watcher.stop()
        elif on_drain is not None:
            on_drain()


def _nothing(_: Exchange) -> None:
    return None
