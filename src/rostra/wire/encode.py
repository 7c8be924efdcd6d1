"""Responses as bytes."""

import re
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from rostra.wire.conditional import unless_known
from rostra.wire.messages import Request, Response


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


class Aged(Prepared):
    """As Prepared, of something that lay in caches for `age_s` before it came to us, and grows older here (RFC 9111 5.1)."""

    __slots__ = ("_since",)

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes, age_s: int) -> None:
        super().__init__(status, headers, body)
        self._since = time.monotonic() - age_s

    def at(self, date_line: bytes) -> bytes:
        if date_line is not self._line:
            age = int(time.monotonic() - self._since)
            self._whole = self._start + date_line + f"Age: {age}\r\n".encode() + self._rest
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


def encode_head(status: int, headers: list[tuple[str, str]], length: int | None, date: bytes) -> bytes:
    """The head of a response whose `length` bytes the caller streams; None: they end with the connection."""
    return _head(status, headers, length, date.decode("ascii"))


def with_close(whole: bytes) -> bytes:
    """A response, or its head, that says the connection ends with it."""
    cut = whole.index(b"\r\n") + 2
    if b"\r\nConnection: close\r\n" in whole[: whole.index(b"\r\n\r\n") + 2]:
        return whole
    return whole[:cut] + b"Connection: close\r\n" + whole[cut:]


def as_asked(whole: bytes, request: Request, *, closes: bool) -> bytes:
    """A whole response as this request wants it: not what its sender has already, no body for HEAD, and the end announced."""
    known = request.headers.get("if-none-match")
    if known is not None and request.method in ("GET", "HEAD"):
        whole = unless_known(whole, known)
    if closes:
        whole = with_close(whole)
    return whole[: whole.index(b"\r\n\r\n") + 4] if request.method == "HEAD" else whole


def date_line(wall_s: float) -> bytes:
    """The Date header of this second with its CRLF (RFC 9110 6.6.1)."""
    return f"Date: {formatdate(wall_s, usegmt=True)}\r\n".encode("ascii")


_OUT_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OUT_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


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
