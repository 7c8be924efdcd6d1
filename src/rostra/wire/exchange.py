"""One request and its one answer, as a handler sees them."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from rostra.wire.counters import Counters
from rostra.wire.fanout import Fanout
from rostra.wire.http1 import Prepared, Request, Response, encode, with_close
from rostra.wire.stream import Line, Stream

Handler = Callable[["Exchange"], None]

Again = Callable[["Caller"], bool]
"""Given whoever has sent the same bytes once more: answers, or takes the request in hand; or gives False, and the request goes its
usual way."""


class Owner(Protocol):
    """What exchanges and their handlers need of the server.

    Attributes:
        date: the Date header of this second.
        now: the loop's time at the last sweep.
        idle_until: the deadline of a connection that has been answered.
    """

    date: bytes
    now: float
    idle_until: float
    counters: Counters

    @property
    def fanout(self) -> Fanout: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run as a task that ends with the server."""

    def send_pieces(self, exchange: "Exchange", response: Response) -> None: ...

    def fault(self, error: BaseException, request: Request | None = None) -> None: ...


class Caller(Line, Protocol):
    """What exchanges, and what answers many of them at once, need of the connection that a request came by.

    Attributes:
        exchange: the request in hand.
        calm: nothing but perhaps one exchange is going on, so the short way through may be taken.
    """

    number: int
    deadline: float
    calm: bool
    exchange: "Exchange | None"

    @property
    def server(self) -> Owner: ...

    @property
    def peer(self) -> str: ...

    def answered(self, whole: bytes, request: Request) -> None: ...

    def repeat(self, request: Request, again: Again) -> None: ...

    def hold(self, deadline_s: float) -> None: ...

    def begin_stream(self, stream: Stream) -> None: ...


class Exchange:
    """One request and the one answer it gets. The handler may answer at once, or keep this and answer later.

    Attributes:
        connection: where the answer goes, as long as there is none; None: this is over. For this package alone.
        gone: the peer has left, or a deadline has answered for the handler; an answer now is dropped.
    """

    __slots__ = ("_on_deadline", "_on_drain", "_on_gone", "connection", "gone", "request")

    def __init__(
        self, connection: Caller, request: Request, on_deadline: "Callable[[Exchange], None] | None" = None
    ) -> None:
        self.connection: Caller | None = connection
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
    def server(self) -> Owner:
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
        whole = answer.at(connection.server.date)

        def again(one: Caller) -> bool:
            one.deadline = one.server.idle_until
            told(one.number)
            one.write(whole)
            return True

        connection.repeat(self.request, again)
        told(connection.number)
        connection.answered(whole, self.request)

    def repeat(self, again: Again) -> None:
        """Within the next moment, call `again` with the connection of whoever sends the same bytes."""
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

    def stream(self, head: bytes, *, ends_connection: bool = True) -> Stream:
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

    def over(self) -> Caller | None:
        """End this without an answer, for one who then writes it to the connection. None: dropped, as by `send`."""
        connection, self.connection = self.connection, None
        if connection is None:
            self._check_late()
        return connection

    def _check_late(self) -> None:
        if not self.gone:
            raise RuntimeError("this exchange was answered before")


def _nothing(_: Exchange) -> None:
    return None
