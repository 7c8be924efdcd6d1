"""Sockets that are listened to: what comes in by them is a connection of the server."""

import asyncio
import socket
from collections.abc import Sequence

from rostra.kernel.log import Log
from rostra.wire.canned import Canned
from rostra.wire.connection import Connection
from rostra.wire.counters import Counters
from rostra.wire.exchange import Handler
from rostra.wire.messages import Limits
from rostra.wire.places import BACKLOG
from rostra.wire.secure import LOOK_EVERY_S, Certificate
from rostra.wire.server import Server
from rostra.wire.shaking import Handshakes


async def serve(
    handler: Handler,
    sockets: list[socket.socket],
    limits: Limits,
    counters: Counters,
    log: Log | None = None,
    sweep_s: float = 1.0,
    headers: Sequence[tuple[str, str]] = (),
    secure: Certificate | None = None,
) -> Server:
    """Answer on sockets that are bound already.

    Args:
        sweep_s: how exactly deadlines are kept.
        headers: go with the answers that the server gives by itself (400, 408, 431, 503, …).
        secure: speak TLS.
    """
    server = Server(handler, limits, counters, log, sweep_s, Canned(headers))
    if secure is not None:
        server.secure = True
        server.spawn(_renew(secure, log))
        server.listening.append(Handshakes(server, secure.context, sockets))
        return server
    for one in sockets:
        listen = server.loop.create_unix_server if one.family == socket.AF_UNIX else server.loop.create_server
        server.listening.append(await listen(lambda: Connection(server), sock=one, backlog=BACKLOG))
    return server


async def _renew(secure: Certificate, log: Log | None) -> None:
    said = ""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        renewed = secure.renewed()
        if log is not None and renewed:
            log.info("a renewed certificate is in use")
        elif log is not None and secure.wrong not in ("", said):
            log.warning("the certificate on disk cannot be used; the one before is kept", why=secure.wrong)
        said = secure.wrong
