"""The head of a response, read (RFC 9112 4, 6)."""

import re
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HOP = frozenset(
    ("connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-connection", "content-length")
)


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """Attributes:
    headers: in order, names in lower case, without those that frame the body or concern one connection.
    length: of the body in bytes; None when it ends with the connection; 0 while chunks are still to be counted.
    """

    status: int
    headers: list[tuple[str, str]]
    length: int | None
    chunked: bool
    keep_alive: bool


def parse_reply_head(raw: bytes) -> ReplyHead:
    """`raw` ends with its empty line.

    Raises:
        ValueError: not an HTTP/1.x response, or framed in two ways.
    """
    lines = raw[:-4].split(b"\r\n")
    match = _STATUS.fullmatch(lines[0])
    if match is None:
        raise ValueError("not a status line")
    kept: list[tuple[str, str]] = []
    length: int | None = None
    chunked = False
    keep_alive = match[1] == b"1"
    for line in lines[1:]:
        raw_name, colon, raw_value = line.partition(b":")
        if not colon or not _NAME.fullmatch(raw_name):
            raise ValueError("not a header line")
        name, value = raw_name.decode("ascii").lower(), raw_value.strip(b" \t").decode("latin-1")
        if name == "content-length":
            if length is not None or not value.isdecimal():
                raise ValueError("a doubtful length")
            length = int(value)
        elif name == "transfer-encoding":
            if value.lower() != "chunked":
                raise ValueError("an unknown coding")
            chunked = True
        elif name == "connection":
            tokens = [token.strip().lower() for token in value.split(",")]
            keep_alive = keep_alive and "close" not in tokens
        if name not in _HOP:
            kept.append((name, value))
    if chunked:
        if length is not None:
            raise ValueError("framed twice")
        length = 0
    return ReplyHead(int(match[2]), kept, length, chunked, keep_alive)
