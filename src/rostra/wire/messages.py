"""Requests and responses as values, and the bounds on both."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may take. Every bound of the wire is here; what happens at it stands beside it."""

    target_bytes: int = 4096  # 414
    head_bytes: int = 16384  # 431
    headers: int = 64  # 431
    body_bytes: int = 65536  # 413
    head_deadline_s: float = 10  # from the first byte: 408; from the connection to the first byte: closed
    body_deadline_s: float = 20  # from the end of the head: 408
    idle_s: float = 75  # after an answer: closed
    answer_deadline_s: float = 30  # 503, unless the handler holds the exchange longer
    write_deadline_s: float = 30  # the peer has not read what it asked for: aborted
    linger_s: float = 2  # after a refusal we read on this long, so that the peer sees the answer and not a reset
    pipeline_bytes: int = 32768  # bytes read ahead while one is being answered; more: closed after this answer
    stream_bytes: int = 262_144  # unsent bytes of an endless answer; more: aborted
    connections: int = 0  # 0: what the file limit allows, less a reserve; more: 503 and Retry-After
    refusals: int = 0  # of these open at once; 0: what the reserve allows; more: aborted


class Request:
    """One request. Shared and read-only: equal requests of many peers may be the same object.

    Attributes:
        target: path and query as sent, whatever else stood before them.
        path: decoded once; begins with "/" (or is "*"); no dot segment, empty segment, backslash or control character.
        query: decoded; of a name given twice both values, with a comma between.
        headers: names in lower case; a repeated list header is joined with ", ".
        peer: the other side's address where it is known; empty on the hot path (see Exchange.peer).
        plain: a GET without conditions on a connection that stays open, so an answer can be written as it is.
        anonymous: for the handler to note, once for all equal requests, that nothing in it tells its sender from others.
    """

    __slots__ = (
        "anonymous",
        "body",
        "headers",
        "keep_alive",
        "method",
        "path",
        "peer",
        "plain",
        "query",
        "target",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes = b"",
        keep_alive: bool = True,
        peer: str = "",
        version: int = 11,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.peer = peer
        self.version = version
        self.plain = keep_alive and method == "GET" and "if-none-match" not in headers
        self.anonymous: bool | None = None

    def of(self, peer: str) -> "Request":
        """The same request with the peer's address, not shared."""
        return Request(
            self.method,
            self.target,
            self.path,
            self.query,
            self.headers,
            self.body,
            self.keep_alive,
            peer,
            self.version,
        )

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"


class Response:
    """An answer still to be encoded.

    Attributes:
        body: bytes, or an iterator whose pieces are sent as they come (chunked; the iterator is closed when the peer is gone).
        endless: the iterator does not end by itself (server-sent events): it is cut when the server drains.
    """

    __slots__ = ("body", "endless", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: list[tuple[str, str]] | None = None,
        body: bytes | AsyncIterator[bytes] = b"",
        endless: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else []
        self.body = body
        self.endless = endless
