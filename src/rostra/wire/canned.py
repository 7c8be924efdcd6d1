"""The answers that the server gives by itself, made once."""

from collections.abc import Sequence

from rostra.kernel.errors import PeerError
from rostra.wire.encode import prepared


class Canned:
    """`headers` go with each of them: without its CORS header a refusal would look like a network fault to a page."""

    def __init__(self, headers: Sequence[tuple[str, str]] = ()) -> None:
        self._headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"), *headers]
        self.full = self._make(
            503, "This server is full. Those inside are not put out; please try again shortly.", _RETRY_LATER, _CLOSE
        )
        self.stopping = self._make(503, "This server is restarting. Please ask again.", _RETRY_NOW)
        self.too_slow = self._make(503, "No answer was ready in time. Please ask again.", _RETRY_NOW)
        self.broken = self._make(500, "Something failed on our side. It has been written down.")
        self.timeout = self._make(408, "The request did not arrive in time.", _CLOSE)

    def refusal(self, error: PeerError) -> bytes:
        """For a peer whose bytes cannot be read on."""
        return self._make(error.status, str(error), *error.headers, _CLOSE)

    def _make(self, status: int, sentence: str, *more: tuple[str, str]) -> bytes:
        return prepared(status, [*self._headers, *more], f"{sentence}\n".encode())


_CLOSE = ("Connection", "close")
_RETRY_NOW = ("Retry-After", "1")
_RETRY_LATER = ("Retry-After", "5")
