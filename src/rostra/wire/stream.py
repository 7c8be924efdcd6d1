"""An answer written piece by piece, at the pace its reader takes it."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol


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


class Line(Protocol):
    """What a stream needs of its connection.

    Attributes:
        file: the socket's descriptor while it may be written to past the transport, else -1.
        paused: the kernel has not taken all that was written.
    """

    transport: asyncio.Transport | None
    file: int
    paused: bool

    def write(self, data: bytes) -> None: ...

    def bound_unsent(self) -> None:
        """The kernel has not taken all that was written: cut this off, if more waits than a stream may leave waiting."""

    def end_stream(self, ends_connection: bool) -> None: ...

    def abort(self) -> None: ...


class Stream:
    """An answer written piece by piece. Unsent bytes are bounded: past `limits.stream_bytes` the connection is aborted.

    Attributes:
        gone: the peer left, or was aborted, before `close`.
        watched: a peer that shuts its sending side counts as gone: nothing may come for so long that only this can tell.
    """

    __slots__ = (
        "_acknowledged",
        "_connection",
        "_ends",
        "_on_drain",
        "_on_gone",
        "_waiting",
        "_watcher",
        "gone",
        "watched",
    )

    def __init__(self, connection: Line, ends_connection: bool, on_drain: Callable[[], None] | None) -> None:
        self._connection: Line | None = connection
        self._ends = ends_connection
        self._acknowledged = 0
        self._on_drain = on_drain
        self._on_gone: Callable[[], None] | None = None
        self._watcher: Watcher | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.gone = self.watched = False

    def straight(self, watcher: Watcher, unsent_bytes: int) -> Callable[[bytes], None]:
        """The shortest way for one who writes the same to thousands: the transport's own `write`.

        Args:
            watcher: told in place of `on_gone` and `on_drain`; one object weighs less than four functions.
            unsent_bytes: how much the kernel may hold that it has not sent; beyond it the peer is behind.

        Raises:
            RuntimeError: the stream is over; look at `gone` first.
        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("this stream is over")
        self._watcher = watcher
        transport = connection.transport
        raw = transport.get_extra_info("socket") if transport is not None else None
        if raw is not None and raw.family != socket.AF_UNIX and _NOTSENT_LOWAT is not None:
            raw.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, unsent_bytes)
        return connection.write

    @property
    def file(self) -> int:
        """The socket's descriptor, for wire.fanout while the peer is not behind; -1 where only what `straight` gave will do (TLS).

        Valid until the watcher is told that it is gone, or `close` is called.
        """
        return self._connection.file if self._connection is not None else -1

    def write(self, data: bytes) -> bool:
        """Send `data`. False when the peer is behind or gone: wait for `drained()` before writing more."""
        connection = self._connection
        transport = connection.transport if connection is not None else None
        if connection is None or transport is None or transport.is_closing():
            return False
        connection.write(data)
        if not connection.paused:
            return True
        connection.bound_unsent()
        return False

    @property
    def behind(self) -> bool:
        """The kernel has not taken all that was written."""
        return self._connection is not None and self._connection.paused

    def heard(self) -> bool:
        """Whether the peer's kernel has acknowledged anything since this was asked last; true where there is no telling."""
        transport = self._connection.transport if self._connection is not None else None
        raw = transport.get_extra_info("socket") if transport is not None else None
        try:
            told = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.size) if raw is not None else b""
            (now,) = _ACKNOWLEDGED.unpack(told)
        except (OSError, struct.error):
            return True
        before, self._acknowledged = self._acknowledged, now
        return bool(now > before)

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


_ACKNOWLEDGED = struct.Struct("=120xQ")  # tcpi_bytes_acked in the kernel's struct tcp_info (linux/tcp.h)
# Without it the kernel takes megabytes for a peer that does not read (tcp(7), Linux).
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
