"""What one peer has sent and nobody has in hand yet: it becomes requests, one after the other, each in its time.

One request is in hand at a time; what comes ahead of its answer waits as the bytes that came, within `limits.pipeline_bytes`.
"""

from typing import Protocol

from rostra.kernel.errors import PeerError
from rostra.wire.http1 import Request, RequestParser
from rostra.wire.server import Server


class Hand(Protocol):
    """What the intake needs of its connection, which takes requests in hand.

    Attributes:
        intake: the one whose requests are taken; it lets go of itself by this.
    """

    server: Server
    deadline: float
    intake: "Intake | None"

    @property
    def free(self) -> bool:
        """The next request may be handled."""

    def handle(self, request: Request) -> None: ...

    def go_on(self) -> None:
        """Take what has come in, as far as it may be handled now."""

    def listen_no_more(self) -> None:
        """End behind what is in hand."""

    def refuse(self, whole: bytes) -> None:
        """Say this, and end."""

    def write(self, data: bytes) -> None: ...


class Intake:
    """Made when something comes that is not one whole request at a moment of calm; let go when nothing is left of it.

    Attributes:
        begun: a part of a request is in, and the connection's deadline is that of its rest.
    """

    __slots__ = ("_busy", "_connection", "_in_body", "_parser", "begun")

    def __init__(self, connection: Hand) -> None:
        self._connection = connection
        self._parser = RequestParser(connection.server.limits)
        self._busy = False
        self._in_body = False
        self.begun = False

    def take(self, data: bytes) -> None:
        connection = self._connection
        self._parser.put(data)
        connection.go_on()
        if connection.intake is self and not connection.free:
            limits = connection.server.limits
            if self._parser.waiting > limits.pipeline_bytes:
                # It gets the answer it waits for, and then the end: the peer has to ask the rest again.
                connection.server.counters.pipeline_overflows += 1
                connection.listen_no_more()

    def go_on(self) -> None:
        """Handle what has come in, until a request waits for its answer or nothing is left. Called by the connection."""
        connection = self._connection
        if self._busy:
            return
        self._busy = True
        while connection.intake is self and connection.free:
            request = self._next()
            if request is None:
                break
            connection.handle(request)
        self._busy = False

    def _next(self) -> Request | None:
        connection, parser = self._connection, self._parser
        try:
            request = parser.next()
        except PeerError as error:
            connection.server.counters.bad_requests += 1
            connection.refuse(connection.server.canned.refusal(error))
            return None
        if parser.idle:
            connection.intake = None
        elif request is None:
            self._time_rest()
        else:
            self.begun = False
        return request

    def _time_rest(self) -> None:
        """Part of a request is in. Its time runs from its first byte, however the rest drips in."""
        connection, in_body = self._connection, self._parser.in_body
        if not self.begun or in_body != self._in_body:
            self.begun, self._in_body = True, in_body
            limits = connection.server.limits
            allowed_s = limits.body_deadline_s if in_body else limits.head_deadline_s
            connection.deadline = connection.server.loop.time() + allowed_s
        if self._parser.needs_continue():
            connection.write(_CONTINUE)


_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
