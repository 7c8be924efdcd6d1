"""Connections that are still shaking hands (TLS). They are not inside yet, and they are few.

A handshake takes a turn to the other side and back, and about 80 KB here. Who begins one and leaves it there would hold a file and
that memory for all the time it is given, so when too many are under way the one that has taken longest gives way to the newest.
"""

import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Final

from rostra.wire.connection import Connection
from rostra.wire.places import BACKLOG
from rostra.wire.secure import HANDSHAKE_S, SHUTDOWN_S
from rostra.wire.server import Server

SHAKING_MOST: Final = 1024
SHAKING_LEAST: Final = 16
"""However full it is inside: who comes then is to be told so."""
_ACCEPTED_AT_ONCE: Final = 64
_NO_FILE_S: Final = 0.1


class Handshakes:
    """Takes what comes to the sockets of one server, and makes connections of those who get through."""

    def __init__(self, server: Server, context: ssl.SSLContext, sockets: Sequence[socket.socket]) -> None:
        """It owns the sockets, which are bound."""
        self._server = server
        self._context = context
        self._listening = list(sockets)
        self._under_way: dict[socket.socket, Connection] = {}
        self._leaving: set[socket.socket] = set()
        for one in sockets:
            one.setblocking(False)
            one.listen(BACKLOG)
            server.loop.add_reader(one, self._accept, one)

    def __len__(self) -> int:
        return len(self._under_way) + len(self._leaving)

    def close(self) -> None:
        """Take no more, and let go who is not through."""
        listening, self._listening = self._listening, []
        for one in listening:
            self._server.loop.remove_reader(one)
            one.close()
        while self._under_way:
            self._cut_oldest()

    def _accept(self, listening: socket.socket) -> None:
        most = max(SHAKING_LEAST, min(SHAKING_MOST, self._server.room))
        for _ in range(_ACCEPTED_AT_ONCE):
            if len(self) >= most:
                # Their files are free at one of the next turns of the loop, and we are called again at each.
                for _ in range(max(1, most // 64) - len(self._leaving)):
                    self._cut_oldest()
                return
            try:
                one, _ = listening.accept()
            except (BlockingIOError, ConnectionError, InterruptedError):
                return
            except OSError:
                # No file is left. Those who come wait at the kernel, and we do not ask it all the time.
                self._server.loop.remove_reader(listening)
                self._server.loop.call_later(_NO_FILE_S, self._accept_again, listening)
                return
            connection = self._under_way[one] = Connection(self._server)
            self._server.spawn(self._shake(one, connection))

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._server.loop.add_reader(listening, self._accept, listening)

    def _cut_oldest(self) -> None:
        if not self._under_way:
            return
        oldest = next(iter(self._under_way))
        if self._under_way.pop(oldest).transport is not None:
            return  # it is through, and inside
        self._leaving.add(oldest)
        with contextlib.suppress(OSError):  # it may have left by itself
            oldest.shutdown(socket.SHUT_RDWR)

    async def _shake(self, one: socket.socket, connection: Connection) -> None:
        try:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._server.loop.connect_accepted_socket(
                lambda: connection, one, ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S, ssl_shutdown_timeout=SHUTDOWN_S,
            )  # fmt: skip
        except OSError:  # which what is no TLS is, too, and what takes too long
            self._server.counters.handshakes_failed += 1
        finally:
            self._under_way.pop(one, None)
            self._leaving.discard(one)
