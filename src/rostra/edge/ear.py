"""Who asks: the key that a listener is counted by. No address is kept; where one helps to tell listeners apart, its hash is."""

import re
from typing import Final

from rostra.wire.http1 import Request
from rostra.wire.server import Exchange

Ear = int | str
"""A number where we can only tell connections apart, a text where the player named its session."""

EDGE_HEADER: Final = "rostra-edge"
"""Another edge asks, for the listeners it counts itself."""
SID_MOST: Final = 64
APART: Final = 1 << 62
"""Keys that are hashes begin here, above all numbers of connections."""

_FRONT: Final = "x-forwarded-for"
_TELLING: Final = frozenset({"cmcd-session", EDGE_HEADER, _FRONT})
_CMCD_SESSION: Final = re.compile(r'(?:^|,)\s*sid="([^"\\]{1,64})"')
_LOOPBACK: Final = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def by_connection(request: Request) -> bool:
    """Nothing but its connection tells who sent it."""
    anonymous = request.anonymous
    if anonymous is None:
        anonymous = request.anonymous = (
            not request.query and request.keep_alive and _TELLING.isdisjoint(request.headers)
        )
    return anonymous


def ear_of(exchange: Exchange) -> Ear | None:
    """The key of whoever asks; None for another edge."""
    request = exchange.request
    if by_connection(request):
        return exchange.connection_id
    headers = request.headers
    if EDGE_HEADER in headers:
        return None
    cmcd = request.query.get("CMCD") or headers.get("cmcd-session")
    if cmcd is not None:
        match = _CMCD_SESSION.search(cmcd)
        if match is not None:
            return match[1]
    return connection_of(exchange)


def connection_of(exchange: Exchange) -> int:
    """The connection; for whoever makes a new one for each request, or shares a front's, address and browser instead."""
    request = exchange.request
    forwarded = request.headers.get(_FRONT)
    if forwarded is not None and exchange.peer in _LOOPBACK:
        # What the front itself saw stands last; whatever stands before it, anybody may have said.
        address = forwarded.rpartition(",")[2].strip()
        return APART | hash((address, request.headers.get("user-agent"))) & (APART - 1)
    if not request.keep_alive:
        return APART | hash((exchange.peer, request.headers.get("user-agent"))) & (APART - 1)
    return exchange.connection_id


def sid_of(request: Request) -> str | None:
    """The session id that our own player gives, if it can be one."""
    sid = request.query.get("sid")
    return sid if sid is not None and 8 <= len(sid) <= SID_MOST else None
