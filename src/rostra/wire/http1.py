"""HTTP/1.1 as bytes in, requests out (RFC 9110, RFC 9112). Knows no socket and no clock.

Strict on purpose: whatever two programs could read differently (bare LF, folded lines, doubled lengths) is refused, so that no
front before us and no cache behind can be made to disagree with us.
"""

import re

from rostra.kernel.errors import PeerError
from rostra.wire.encode import Aged, Prepared, date_line, encode, encode_head, prepared, with_close
from rostra.wire.head import METHODS, early_fault, has_token, line_end, parse_field, parse_head, too_large
from rostra.wire.messages import Limits, Request, Response

__all__ = [
    "METHODS", "Aged", "Limits", "Prepared", "Request", "RequestParser", "Response", "date_line", "encode", "encode_head", "has_token", "prepared", "with_close",
]  # fmt: skip


class RequestParser:
    """Bytes of one connection in, requests out, the same however the bytes are split.

    After a PeerError the connection is beyond repair: answer it and close.
    """

    __slots__ = (
        "_blank",
        "_body",
        "_buffer",
        "_error",
        "_left",
        "_limits",
        "_lined",
        "_open",
        "_scanned",
        "_stage",
        "_told",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0
        self._lined = False
        self._blank = False
        self._stage = _HEAD
        self._open: Request | None = None
        self._body = bytearray()
        self._left = 0
        self._told = False
        self._error: PeerError | None = None

    @property
    def idle(self) -> bool:
        """Nothing of a next request has come in."""
        return self._stage == _HEAD and not self._buffer

    @property
    def in_body(self) -> bool:
        """A head is complete and its body is not."""
        return self._stage != _HEAD

    def needs_continue(self) -> bool:
        """Whether "100 Continue" must be sent now for the body to come; true once per request (RFC 9110 10.1.1)."""
        request = self._open
        if request is None or self._told or self._body or self._buffer or "expect" not in request.headers:
            return False
        self._told = True
        return True

    @property
    def waiting(self) -> int:
        """Bytes that have come and that no request was made of yet."""
        return len(self._buffer)

    def put(self, data: bytes) -> None:
        """Take in what comes next."""
        self._buffer += data

    def next(self) -> Request | None:
        """The next request that is complete. None: more must come first.

        Raises:
            PeerError: what follows the requests given so far is not HTTP/1.x, or passes a limit. Raised again at each call.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._next()
        except PeerError as error:
            self._error = error
            raise

    def _next(self) -> Request | None:
        if self._stage == _HEAD:
            request = self._next_head()
            if request is not None or self._stage == _HEAD:
                return request
        if self._stage == _COUNTED:
            return self._next_counted()
        return self._next_chunked()

    def _next_head(self) -> Request | None:
        buffer, limits = self._buffer, self._limits
        if not self._blank and buffer[:2] == b"\r\n":
            # One empty line before a request line is passed over (RFC 9112 2.2).
            del buffer[:2]
            self._blank = True
            self._scanned = 0
        if len(buffer) == self._scanned:
            return None
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3), limits.head_bytes)
        if end < 0:
            error = early_fault(buffer, limits, self._blank, self._scanned, self._lined)
            if error is not None:
                raise error
            self._lined = self._lined or line_end(buffer, self._scanned) >= 0
            self._scanned = len(buffer)
            return None
        head = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        self._scanned = 0
        self._lined = False
        self._blank = False
        return self._begin(head)

    def _begin(self, head: bytes) -> Request | None:
        try:
            request, block = parse_head(head, self._limits)
        except PeerError as late:
            # What would have been refused before the head was complete is refused for that same reason.
            early = early_fault(head, self._limits, True)
            raise early or late from None
        if block.chunked:
            self._stage = _CHUNK_SIZE
        elif block.length:
            self._stage, self._left = _COUNTED, block.length
        else:
            return request
        self._open, self._told = request, request.version == 10
        return None

    def _next_counted(self) -> Request | None:
        self._take_body()
        return self._complete() if not self._left else None

    def _take_body(self) -> None:
        piece = self._buffer[: self._left]
        self._body += piece
        self._left -= len(piece)
        del self._buffer[: len(piece)]

    def _complete(self) -> Request:
        request = self._open
        assert request is not None
        request.body = bytes(self._body)
        self._body = bytearray()
        self._open = None
        self._stage = _HEAD
        return request

    def _next_chunked(self) -> Request | None:
        """RFC 9112 7.1. Extensions and trailers are checked and dropped."""
        while True:
            if self._stage == _CHUNK_SIZE:
                line = self._line(_CHUNK_LINE_BYTES)
                if line is None:
                    return None
                match = _CHUNK.fullmatch(line)
                if match is None:
                    raise PeerError(400, "A chunk must begin with its size in hexadecimal.", "bad-chunk")
                size = int(match[1], 16)
                if len(self._body) + size > self._limits.body_bytes:
                    raise too_large(self._limits)
                self._left = size
                self._stage = _CHUNK_DATA if size else _TRAILERS
            elif self._stage == _CHUNK_DATA:
                self._take_body()
                if self._left or len(self._buffer) < 2:
                    if not self._left and self._buffer and self._buffer[0] != 13:
                        raise PeerError(400, "A chunk must end with CRLF.", "bad-chunk")
                    return None
                if self._buffer[:2] != b"\r\n":
                    raise PeerError(400, "A chunk must end with CRLF.", "bad-chunk")
                del self._buffer[:2]
                self._stage = _CHUNK_SIZE
            else:
                line = self._line(_CHUNK_LINE_BYTES)
                if line is None:
                    return None
                if not line:
                    self._left = 0
                    return self._complete()
                self._left += 1
                if self._left > _TRAILERS_MOST:
                    raise PeerError(431, "There are too many trailer fields.", "too-many-trailers")
                parse_field(line)

    def _line(self, most: int) -> bytes | None:
        """The next line without its CRLF, or None until it is complete."""
        end = self._buffer.find(b"\n", 0, most + 2)
        if end < 0:
            if len(self._buffer) >= most + 2:
                raise PeerError(400, "A line inside the body is too long.", "bad-chunk")
            return None
        if self._buffer[end - 1 : end] != b"\r":
            raise PeerError(400, "Lines must end with CRLF.", "bad-line-end")
        line = bytes(self._buffer[: end - 1])
        del self._buffer[: end + 1]
        return line


_HEAD, _COUNTED, _CHUNK_SIZE, _CHUNK_DATA, _TRAILERS = range(5)
_CHUNK_LINE_BYTES = 256
_TRAILERS_MOST = 16
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
