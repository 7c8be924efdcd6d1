"""The end of a connection that is told no: one answer, and a moment in which it is read on without listening.

A socket that is closed with unread bytes resets, and the peer never sees what it was told.
"""

import asyncio

from rostra.wire.server import Server


class Parting(asyncio.Protocol):
    """Takes the place of a connection at its transport.

    Attributes:
        deadline: when `overdue` is due, in the loop's time; swept by the server.
        number: the connection's.
    """

    __slots__ = ("_answer", "_server", "_told", "_transport", "deadline", "number")

    def __init__(self, server: Server, number: int, transport: asyncio.Transport, answer: bytes) -> None:
        """The answer is given when something comes, or time is over; or by `tell`."""
        self._server = server
        self._transport = transport
        self._answer = answer
        self._told = False
        self.number = number
        self.deadline = server.loop.time() + server.limits.linger_s

    # The transport's calls.

    def data_received(self, data: bytes) -> None:
        if not self._told:
            self.tell()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.deadline = self._server.loop.time() + self._server.limits.write_deadline_s

    def resume_writing(self) -> None:
        self.deadline = self._server.loop.time() + self._server.limits.linger_s

    def connection_lost(self, error: Exception | None) -> None:
        self._server.places.leave(self)
        self._server.leave(self)

    # What the server and its places call.

    def tell(self) -> None:
        """Give the answer now."""
        self._told = True
        self.deadline = self._server.loop.time() + self._server.limits.linger_s
        transport = self._transport
        if not transport.is_closing():
            transport.write(self._answer)
            if transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()  # TLS has no half-closed state, and waits for the other side's goodbye by itself

    def dismiss(self) -> None:
        """Others wait to be told as well. Who has asked for nothing until now loses no answer by this."""
        if not self._transport.is_closing():
            if not self._told:
                self._transport.write(self._answer)
            self._transport.close()

    def overdue(self) -> None:
        if self._told:
            self.abort()
        else:
            self.tell()

    def drain(self) -> None:
        """The server stops."""
        if not self._told:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
