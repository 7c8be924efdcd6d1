"""HTTP/1.1 as bytes in, requests out (RFC 9110, RFC 9112). Knows no socket and no clock.

Strict on purpose: whatever two programs could read differently (bare LF, folded lines, doubled lengths) is refused, so that no
front before us and no cache behind can be made to disagree with us.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from rostra.kernel.errors import PeerError
from rostra.wire.target import parse_path, parse_query

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may take. Every bound of the wire is here; what happens at it stands beside it."""

    target_bytes: int = 4096  # 414
    head_bytes: int = 16384  # 431
    headers: int = 64  # 431
    body_bytes: int = 65536  # 413
    head_deadline_s: float = 10  # from the first byte: 408
    body_deadline_s: float = 20  # from the end of the head: 408
    idle_s: float = 75  # closed
    answer_deadline_s: float = 30  # 503, unless the handler holds the exchange longer
    write_deadline_s: float = 30  # the peer has not read what it asked for: aborted
    linger_s: float = 2  # after a refusal we read on this long, so that the peer sees the answer and not a reset
    pipeline: int = 16  # requests read ahead of the one being answered; more stay unread
    pipeline_bytes: int = 32768  # bytes read ahead while one is being answered; more: closed after this answer
    stream_bytes: int = 262_144  # unsent bytes of an endless answer; more: aborted
    connections: int = 0  # 0: what the file limit allows, less a reserve; more: 503 and Retry-After


class Request:
    """One request. Shared and read-only: equal requests of many peers may be the same object.

    Attributes:
        target: as sent.
        path: decoded once; begins with "/" (or is "*"); no dot segment, empty segment, backslash or control character.
        query: decoded; a name given twice never gets here.
        headers: names in lower case; a repeated list header is joined with ", ".
        peer: the other side's address where it is known; empty on the hot path (see Exchange.peer).
        plain: a GET on a connection that stays open, so an answer can be written as it is.
    """

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "peer", "plain", "query", "target", "version")

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
        self.plain = keep_alive and method == "GET"

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


class RequestParser:
    """Bytes of one connection in, requests out, the same however the bytes are split.

    After a PeerError the connection is beyond repair: answer it and close.
    """

    __slots__ = ("_blank", "_body", "_buffer", "_error", "_left", "_limits", "_open", "_scanned", "_stage", "_told")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0
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

    def feed(self, data: bytes) -> list[Request]:
        """The requests completed by `data`, at most `limits.pipeline` a call; `feed(b"")` gives those left over.

        Raises:
            PeerError: what follows the requests given so far is not HTTP/1.x, or passes a limit. Raised again at each call.
        """
        if self._error is not None:
            raise self._error
        if not self._buffer and self._stage == _HEAD and data[-4:] == b"\r\n\r\n":
            # Nearly all requests: one whole head in one read.
            size = len(data)
            if data.find(b"\r\n\r\n") == size - 4 and size <= self._limits.head_bytes and data[0] != 13:
                try:
                    request = self._begin(data)
                except PeerError as error:
                    self._error = error
                    raise
                return [request] if request is not None else []
        self._buffer += data
        done: list[Request] = []
        try:
            while len(done) < self._limits.pipeline:
                request = self._next()
                if request is None:
                    break
                done.append(request)
        except PeerError as error:
            self._error = error
            if not done:
                raise
        return done

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
            self._scanned = len(buffer)
            error = _early(bytes(buffer), limits, self._blank)
            if error is not None:
                raise error
            return None
        head = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        self._scanned = 0
        self._blank = False
        return self._begin(head)

    def _begin(self, head: bytes) -> Request | None:
        try:
            request, block = _parse_head(head, self._limits)
        except PeerError as late:
            # What would have been refused before the head was complete is refused for that same reason.
            early = _early(head, self._limits, True)
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
                    raise _too_large(self._limits)
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
                _field(line)

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


def prepared(status: int, headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    """A whole response, ready to be written many times. Content-Length is added; Date is not (see Prepared)."""
    return _head(status, headers, len(body), "") + body


class Prepared:
    """A whole response written many times. Its Date is renewed when the second has changed, not for each reader."""

    __slots__ = ("_line", "_rest", "_start", "_whole")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes = b"") -> None:
        whole = prepared(status, headers, body)
        cut = whole.index(b"\r\n") + 2
        self._start, self._rest = whole[:cut], whole[cut:]
        self._line = b""
        self._whole = b""

    def at(self, date_line: bytes) -> bytes:
        """`date_line` as of `date_line()`; compared by identity, so hand in the same object all through its second."""
        if date_line is not self._line:
            self._whole = self._start + date_line + self._rest
            self._line = date_line
        return self._whole


def encode(response: Response, *, keep_alive: bool, head_only: bool, date: bytes = b"", chunked: bool = True) -> bytes:
    """The head, and the body if it is bytes and wanted. An iterator's pieces are the caller's to send.

    Raises:
        ValueError: a header holds what would break out of its line.
    """
    body = response.body
    whole = isinstance(body, bytes)
    bodiless = response.status in (204, 304) or response.status < 200
    length = None if bodiless or not whole else len(body)  # type: ignore[arg-type]
    framing = "Transfer-Encoding: chunked\r\n" if not whole and not bodiless and chunked else ""
    if not keep_alive:
        framing += "Connection: close\r\n"
    head = _head(response.status, response.headers, length, date.decode("ascii") + framing)
    return head + body if isinstance(body, bytes) and not head_only and not bodiless else head


def with_close(whole: bytes) -> bytes:
    """A response, or its head, that says the connection ends with it."""
    cut = whole.index(b"\r\n") + 2
    if b"\r\nConnection: close\r\n" in whole[: whole.index(b"\r\n\r\n") + 2]:
        return whole
    return whole[:cut] + b"Connection: close\r\n" + whole[cut:]


def date_line(wall_s: float) -> bytes:
    """The Date header of this second with its CRLF (RFC 9110 6.6.1)."""
    return f"Date: {formatdate(wall_s, usegmt=True)}\r\n".encode("ascii")


def has_token(value: str, token: str) -> bool:
    """Whether a comma-separated header value names `token`, case aside."""
    return any(part.strip().lower() == token for part in value.split(","))


_HEAD, _COUNTED, _CHUNK_SIZE, _CHUNK_DATA, _TRAILERS = range(5)
_CHUNK_LINE_BYTES = 256
_TRAILERS_MOST = 16
_SHARED_BLOCK_BYTES = 1024
_LINE_SLACK = 32  # method, spaces and version around a target

_METHODS = {method.encode(): method for method in METHODS}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_HOST = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_DIGITS = re.compile(r"[0-9]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_ILL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r[^\n]")
_ONCE = frozenset(
    (
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "authorization",
        "range",
        "if-range",
        "expect",
        "origin",
    )
)
_OUT_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OUT_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class _Block(NamedTuple):
    """What the header lines of a request say, apart from its request line."""

    headers: Mapping[str, str]
    lines: int
    length: int
    chunked: bool
    close: bool


def _parse_head(head: bytes, limits: Limits) -> tuple[Request, _Block]:
    """`head` ends with its empty line."""
    cut = head.find(b"\r\n")
    parts = head[:cut].split(b" ")
    if len(parts) != 3:
        raise PeerError(400, "The request line must be: method, one space, target, one space, version.", "bad-line")
    raw_method, raw_target, version = parts
    method = _METHODS.get(raw_method)
    if method is None or version != b"HTTP/1.1":
        _refuse_line(raw_method, method, version)
    if len(raw_target) > limits.target_bytes:
        raise _too_long(limits)
    assert method is not None
    raw_block = head[cut + 2 : -2]
    block = _shared_block(raw_block) if len(raw_block) <= _SHARED_BLOCK_BYTES else _parse_block(raw_block)
    headers = block.headers
    if block.lines > limits.headers:
        raise PeerError(431, f"There are more than {limits.headers} header fields.", "too-many-headers")
    old = version == b"HTTP/1.0"
    if not old and "host" not in headers:
        raise PeerError(400, "A Host header is required.", "no-host")
    if block.chunked and old:
        raise PeerError(400, "HTTP/1.0 has no chunked bodies.", "bad-framing")
    if block.length > limits.body_bytes:
        raise _too_large(limits)
    raw_path, mark, raw_query = raw_target.partition(b"?")
    if raw_path[:1] != b"/":
        raw_path = _other_form(raw_path, method)
    request = Request(
        method,
        raw_target.decode("latin-1"),
        parse_path(raw_path) if raw_path != b"*" else "*",
        parse_query(raw_query) if mark else _NO_QUERY,
        headers,
        b"",
        not old and not block.close,
        "",
        10 if old else 11,
    )
    return request, block


_NO_QUERY: Mapping[str, str] = {}


def _refuse_line(raw_method: bytes, method: str | None, version: bytes) -> None:
    """Raise what is wrong with the line; return for HTTP/1.0 and for minor versions above 1, which speak 1.1 to us."""
    if not _TOKEN.fullmatch(raw_method) or not _VERSION.fullmatch(version):
        raise PeerError(400, "This is not an HTTP/1.1 request line.", "bad-line")
    if version[5:6] != b"1":
        raise PeerError(505, "This server speaks HTTP/1.1 only.", "bad-version")
    if method is None:
        raise PeerError(501, "This server does not know that method.", "unknown-method")


def _other_form(raw: bytes, method: str) -> bytes:
    """The path of an absolute-form target, or "*" of OPTIONS (RFC 9112 3.2)."""
    if raw == b"*" and method == "OPTIONS":
        return raw
    match = re.match(rb"https?://[^/?#]+", raw, re.IGNORECASE)
    if match is None:
        raise PeerError(400, "The target must be a path.", "bad-target")
    return raw[match.end() :] or b"/"


def _parse_block(raw: bytes) -> _Block:
    headers: dict[str, str] = {}
    lines = raw.split(b"\r\n")[:-1]
    for line in lines:
        name, value = _field(line)
        if name not in headers:
            headers[name] = value
        elif name in _ONCE:
            raise PeerError(400, f"The header {name} may stand only once.", "doubled-header")
        else:
            headers[name] += ("; " if name == "cookie" else ", ") + value
    if "host" in headers and not _HOST.fullmatch(headers["host"]):
        raise PeerError(400, "The Host header names no host.", "bad-host")
    length = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if length is not None and coding is not None:
        raise PeerError(400, "Content-Length and Transfer-Encoding exclude each other.", "bad-framing")
    if length is not None and not _DIGITS.fullmatch(length):
        raise PeerError(400, "Content-Length must be a number.", "bad-framing")
    if coding is not None and coding.lower() != "chunked":
        raise PeerError(501, "The only transfer coding known here is chunked.", "unknown-coding")
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise PeerError(417, "The only expectation known here is 100-continue.", "unknown-expectation")
    # Over fifteen digits is over any limit; the number itself is of no interest and could be absurdly long.
    size = 0 if length is None else int(length) if len(length) <= 15 else 10**15
    return _Block(headers, len(lines), size, coding is not None, has_token(headers.get("connection", ""), "close"))


# Peers of one kind send the same header lines with each request, and so do thousands of players of one make:
# they are read once. The bound on size makes the bound on memory.
_shared_block = lru_cache(maxsize=1024)(_parse_block)


def _field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise PeerError(
            400, "A header line must be a name, a colon and a value, with no blank before the colon.", "bad-header"
        )
    return name.decode("ascii").lower(), value.decode("latin-1")


def _early(start: bytes, limits: Limits, blank_passed: bool) -> PeerError | None:
    """What can be refused before a head is complete: the fault that shows first as bytes come in one by one."""
    first = start[:1]
    if first == b"\r" and not blank_passed and start[:2] in (b"\r", b"\r\n"):
        return None
    if not _TOKEN.match(first):
        return PeerError(400, "This is not an HTTP request.", "not-http")
    line_most = limits.target_bytes + _LINE_SLACK
    found: list[tuple[int, int, PeerError]] = []
    ill = _ILL.search(start)
    if ill is not None:
        found.append(
            (ill.end(), 0, PeerError(400, "Lines must end with CRLF and hold no control characters.", "bad-line-end"))
        )
    line_end = start.find(b"\r\n")
    length = line_end if line_end >= 0 else len(start) - (start[-1:] == b"\r")
    if length > line_most:
        at = line_most + 1 + (start[line_most : line_most + 1] == b"\r")
        found.append((at, 1, _too_long(limits)))
    if len(start) > limits.head_bytes:
        found.append((limits.head_bytes + 1, 2, PeerError(431, "The request's head is too large.", "head-too-large")))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _too_long(limits: Limits) -> PeerError:
    return PeerError(414, f"The target is longer than {limits.target_bytes} bytes.", "target-too-long")


def _too_large(limits: Limits) -> PeerError:
    return PeerError(413, f"The body is larger than {limits.body_bytes} bytes.", "body-too-large")


def _head(status: int, headers: list[tuple[str, str]], length: int | None, more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {_phrase(status)}\r\n", more]
    for name, value in headers:
        if not _OUT_NAME.fullmatch(name) or not _OUT_VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} cannot be sent")
        lines.append(f"{name}: {value}\r\n")
    if length is not None and not (status in (204, 304) or status < 200):
        lines.append(f"Content-Length: {length}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")


@lru_cache(maxsize=128)
def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
