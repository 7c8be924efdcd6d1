"""One connection of a client to a role, and the bounds of all that it has."""

import asyncio
import os
import ssl
from dataclasses import dataclass

BROKEN = (OSError, EOFError, ValueError, asyncio.LimitOverrunError)
"""What using one raises when the other side is away, too slow (TimeoutError is an OSError) or talks nonsense."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds of one client."""

    connections: int = 1024  # in use at once; one more request waits, within its own deadline
    idle_kept: int = 16  # kept open between requests; more are closed
    connect_s: float = 2.0  # a role that refuses is asked again for so long: its supervisor is restarting it
    answer_s: float = 30.0  # from the request to the head of its response
    piece_s: float = 75.0  # between two pieces of a body
    read_bytes: int = 8_388_608  # most that `read` gives back


@dataclass(frozen=True, slots=True)
class Link:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def stale(self) -> bool:
        """The other side has closed it, or sent what nobody asked for."""
        return self.reader.at_eof() or self.writer.is_closing()


async def open_link(address: tuple[str, int] | str, secure: ssl.SSLContext | None) -> Link:
    """`address`: host and port, or the path of a Unix socket. Raises OSError."""
    if not isinstance(address, str):
        return Link(*await asyncio.open_connection(*address, limit=_BUFFER_BYTES, ssl=secure))
    directory = os.open(os.path.dirname(address), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # However deep it lies: a Unix address has room for 108 bytes.
        short = f"/proc/self/fd/{directory}/{os.path.basename(address)}"
        return Link(*await asyncio.open_unix_connection(short, limit=_BUFFER_BYTES))
    finally:
        os.close(directory)


_BUFFER_BYTES = 65536
