"""The target of a request: a path with nothing hidden in it, and its query (RFC 3986, RFC 9112 3.2)."""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from rostra.kernel.errors import PeerError

_PARAMETERS_MOST = 32
_SHARED_PATH_BYTES = 256
_PATH = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]{}|^`\"<>]|%[0-9A-Fa-f]{2})*")
_SIMPLE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~="
_CONTROL = re.compile("[\x00-\x1f\x7f\\\\]")


def parse_path(raw: bytes) -> str:
    """The path, decoded once.

    Raises:
        PeerError: 400 for whatever might mean another path to another program: a broken escape, an encoded slash, a backslash,
            a control character, an empty or dot segment, or bytes that are no UTF-8.
    """
    return _shared_path(raw) if len(raw) <= _SHARED_PATH_BYTES else _parse_path(raw)


def parse_query(raw: bytes) -> Mapping[str, str]:
    """The parameters by name. A name without "=" has an empty value; "+" means a blank.

    Links are passed on through programs that add to them, so what is none of ours must not shut anybody out: a name given
    twice has both values with a comma between, which no directive takes, and bytes that are no UTF-8 become U+FFFD.

    Raises:
        PeerError: 400 for too many parameters, or what no query may hold.
    """
    if not raw.translate(None, _SIMPLE):
        name, mark, value = raw.decode("ascii").partition("=")
        if mark and name and "=" not in value:
            return {name: value}
    if not _QUERY.fullmatch(raw):
        raise PeerError(400, "The query holds what no query may hold.", "bad-query")
    escaped = b"%" in raw or b"+" in raw
    query: dict[str, str] = {}
    pairs = [pair for pair in raw.decode("ascii").split("&") if pair]
    if len(pairs) > _PARAMETERS_MOST:
        raise PeerError(400, "The query has too many parameters.", "bad-query")
    for pair in pairs:
        name, _, value = pair.partition("=")
        if escaped:
            name, value = _shown(name), _shown(value)
        query[name] = f"{query[name]},{value}" if name in query else value
    return query


def _parse_path(raw: bytes) -> str:
    if not raw.startswith(b"/") or not _PATH.fullmatch(raw):
        raise PeerError(400, "The path holds what no path may hold.", "bad-path")
    path = raw.decode("ascii")
    if "%" in path:
        if "%2f" in path.lower():
            raise PeerError(400, "The path holds an encoded slash.", "bad-path")
        path = _decode(path)
    segments = path.split("/")
    if _CONTROL.search(path) or "" in segments[1:-1] or "." in segments or ".." in segments:
        raise PeerError(400, "The path has empty or dot segments or control characters.", "bad-path")
    return path


def _shown(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def _decode(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise PeerError(400, "The target is not UTF-8.", "bad-target") from None


# Thousands ask for the same few paths.
_shared_path = lru_cache(maxsize=4096)(_parse_path)
