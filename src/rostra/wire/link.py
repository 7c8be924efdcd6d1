"""One connection of a client to a role."""

import asyncio
import os
import ssl
from dataclasses import dataclass

BROKEN = (OSError, EOFError, ValueError, asyncio.LimitOverrunError)
"""What using one raises when the other side is away, too slow (TimeoutError is an OSError) or talks nonsense."""


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
