"""What comes again and again, known by its bytes: players of one make ask for the same thing in the same words."""

from rostra.wire.exchange import Again
from rostra.wire.http1 import Request

AGAIN_MOST = 4096
"""What to do kept by requests' bytes; one more goes its usual way."""


class Repeats:
    """The connection reads these dictionaries itself: a call for each request would be felt.

    Attributes:
        known: requests by their bytes, for peers that send the same again; bounded.
        again: what to do with a connection that sends the same bytes once more; none is older than a turn of the sweep.
        current: the bytes of the request in hand, if they are known.
    """

    __slots__ = ("_seen", "again", "current", "known")

    def __init__(self) -> None:
        self.known: dict[bytes, Request] = {}
        self.again: dict[bytes, Again] = {}
        self.current: bytes | None = None
        self._seen: set[int] = set()

    def remember(self, data: bytes, request: Request) -> None:
        """Keep what was parsed from `data`, if it is short and comes for the second time."""
        if len(data) > _KNOWN_BYTES:
            return
        mark = hash(data)
        if mark not in self._seen:
            if len(self._seen) >= _SEEN_MOST:
                self._seen.clear()
            self._seen.add(mark)
            return
        if len(self.known) >= _KNOWN_MOST:
            self.known.clear()
        self.known[data] = request

    def keep(self, request: Request, again: Again) -> None:
        """What to do with whoever sends the bytes of `request` within the next moment, if it is the one in hand and known."""
        current = self.current
        if current is not None and self.known.get(current) is request and len(self.again) < AGAIN_MOST:
            self.again[current] = again

    def forget(self) -> None:
        """The moment is over."""
        self.again.clear()


_KNOWN_MOST = 4096
_KNOWN_BYTES = 1024
_SEEN_MOST = 16384
