"""The head of a request: its line and its header fields, read strictly (RFC 9112 3 and 5)."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from rostra.kernel.errors import PeerError
from rostra.wire.messages import Limits, Request
from rostra.wire.target import parse_path, parse_query

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Block(NamedTuple):
    """What the header lines of a request say, apart from its request line."""

    headers: Mapping[str, str]
    lines: int
    length: int
    chunked: bool
    close: bool
    plain: bool  # a Host, no body, and the connection stays open


def parse_whole(data: bytes, limits: Limits) -> Request | None:
    """The request, if `data` is one whole GET of the usual kind and nothing else. None proves nothing: parse_head decides.

    Nearly all requests are of that kind, and for those this says what parse_head says, in a third of the time.
    """
    size = len(data)
    cut = data.find(b"\r\n")
    if data[-4:] != b"\r\n\r\n" or size > limits.head_bytes or not 14 <= cut <= limits.target_bytes + 13:
        return None
    raw_target = data[4 : cut - 9]
    if data[:5] != b"GET /" or data[cut - 9 : cut] != b" HTTP/1.1":
        return None
    raw_path, mark, raw_query = raw_target.partition(b"?")
    raw_block = data[cut + 2 : -2]
    try:
        # An empty line is no header line, so what follows the first one (a body, a second request) is noticed here.
        block = _shared_block(raw_block) if size - cut <= _SHARED_BLOCK_BYTES else _parse_block(raw_block)
        path = parse_path(raw_path)
        query = parse_query(raw_query) if mark else _NO_QUERY
    except PeerError:
        return None
    if not block.plain or block.lines > limits.headers:
        return None
    return Request("GET", raw_target.decode("latin-1"), path, query, block.headers)


def parse_head(head: bytes, limits: Limits) -> tuple[Request, Block]:
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
        raise too_large(limits)
    raw_path, mark, raw_query = raw_target.partition(b"?")
    if raw_path[:1] != b"/":
        raw_path = _other_form(raw_path, method)
        raw_target = raw_path + mark + raw_query
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


def early_fault(
    start: bytes | bytearray, limits: Limits, blank_passed: bool, scanned: int = 0, lined: bool = False
) -> PeerError | None:
    """What can be refused before a head is complete: the fault that shows first as bytes come in one by one.

    Args:
        scanned: so many bytes of it have been found without fault before; they are not looked at again.
        lined: the end of the request line is among them.
    """
    first = start[:1]
    if first == b"\r" and not blank_passed and start[:2] in (b"\r", b"\r\n"):
        return None
    if not _TOKEN.match(first):
        return PeerError(400, "This is not an HTTP request.", "not-http")
    line_most = limits.target_bytes + _LINE_SLACK
    found: list[tuple[int, int, PeerError]] = []
    ill = _ILL.search(start, max(0, scanned - 1))
    if ill is not None:
        found.append(
            (ill.end(), 0, PeerError(400, "Lines must end with CRLF and hold no control characters.", "bad-line-end"))
        )
    if not lined:
        end = line_end(start, scanned)
        length = end if end >= 0 else len(start) - (start[-1:] == b"\r")
        if length > line_most:
            at = line_most + 1 + (start[line_most : line_most + 1] == b"\r")
            found.append((at, 1, _too_long(limits)))
    if len(start) > limits.head_bytes:
        found.append((limits.head_bytes + 1, 2, PeerError(431, "The request's head is too large.", "head-too-large")))
    return min(found, key=lambda one: one[:2])[2] if found else None


def line_end(start: bytes | bytearray, scanned: int) -> int:
    """Where the request line ends, or -1. The end is not among the first `scanned` bytes."""
    return start.find(b"\r\n", max(0, scanned - 1))


def parse_field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise PeerError(
            400, "A header line must be a name, a colon and a value, with no blank before the colon.", "bad-header"
        )
    return name.decode("ascii").lower(), value.decode("latin-1")


def has_token(value: str, token: str) -> bool:
    """Whether a comma-separated header value names `token`, case aside."""
    return any(part.strip().lower() == token for part in value.split(","))


def too_large(limits: Limits) -> PeerError:
    return PeerError(413, f"The body is larger than {limits.body_bytes} bytes.", "body-too-large")


_SHARED_BLOCK_BYTES = 1024
_LINE_SLACK = 32  # method, spaces and version around a target
_METHODS = {method.encode(): method for method in METHODS}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_HOST = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_DIGITS = re.compile(r"[0-9]+")
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


def _parse_block(raw: bytes) -> Block:
    headers: dict[str, str] = {}
    lines = raw.split(b"\r\n")[:-1]
    for line in lines:
        name, value = parse_field(line)
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
    close = has_token(headers.get("connection", ""), "close")
    plain = "host" in headers and not size and coding is None and not close
    return Block(headers, len(lines), size, coding is not None, close, plain)


# Peers of one kind send the same header lines with each request, and so do thousands of players of one make:
# they are read once. The bound on size makes the bound on memory.
_shared_block = lru_cache(maxsize=1024)(_parse_block)


def _too_long(limits: Limits) -> PeerError:
    return PeerError(414, f"The target is longer than {limits.target_bytes} bytes.", "target-too-long")
