"""The words and headers of the edge's answers, most of them made once."""

import gzip
import hashlib
from functools import lru_cache
from typing import Final

from rostra.wire.conditional import matches as matches
from rostra.wire.http1 import Aged, Prepared

CORS: Final = ("Access-Control-Allow-Origin", "*")
TIMING: Final = ("Timing-Allow-Origin", "*")
"""Lets our player see that its browser changed connections, so that it says again who it is."""
EXPOSE: Final = (
    "Access-Control-Expose-Headers",
    "Rostra-Part, Rostra-Next, Rostra-Step, Rostra-Ended, Retry-After, Age, Date, ETag, Content-Range",
)
NO_STORE: Final = ("Cache-Control", "no-store")
FOR_EVER_S: Final = 86_400


def fresh_for(seconds: int, *, immutable: bool = False) -> tuple[str, str]:
    """Cache-Control for whoever stands between us and the listener."""
    return ("Cache-Control", f"public, max-age={seconds}{', immutable' if immutable else ''}")


def tag_of(body: bytes, form: str = "") -> tuple[str, str]:
    """The ETag of what has no number, made of its bytes, so that edges side by side and behind each other agree."""
    return ("ETag", f'"{hashlib.blake2s(body, digest_size=8).hexdigest()}{form}"')


def media(body: bytes, etag: str, cache: tuple[str, str], *, age_s: int = 0) -> Prepared:
    """`age_s`: how long it lay in caches before us; it goes on ageing here."""
    headers = [("Content-Type", "audio/mp4"), cache, ("ETag", etag), CORS, TIMING]
    return Aged(200, headers, body, age_s) if age_s else Prepared(200, headers, body)


def text(
    body: bytes, mime: str, cache: tuple[str, str], *, zipped: bool, more: tuple[tuple[str, str], ...] = ()
) -> Prepared:
    """A playlist or JSON, compressed or not."""
    etag = tag_of(body, "-gzip" if zipped else "")
    headers = [("Content-Type", mime), cache, etag, ("Vary", "Accept-Encoding"), CORS, *more]
    if zipped:
        headers.append(("Content-Encoding", "gzip"))
        body = gzip.compress(body, 6, mtime=0)
    return Prepared(200, headers, body)


def sentence(status: int, words: str, *more: tuple[str, str]) -> Prepared:
    """A refusal or an apology: one sentence of plain text, never stored by a cache unless `more` says so."""
    headers = [("Content-Type", "text/plain; charset=utf-8"), CORS, *more]
    if not any(name == "Cache-Control" for name, _ in more):
        headers.append(NO_STORE)
    return Prepared(status, headers, f"{words}\n".encode())


@lru_cache(maxsize=512)
def over(parts: int) -> Prepared:
    """OVER, and how many parts there are in all: who asked for one beyond them learns where the end is."""
    return sentence(404, _OVER, ("Rostra-Ended", "1"), ("Rostra-Next", str(parts)), EXPOSE)


def not_modified(etag: str, cache: tuple[str, str]) -> Prepared:
    return Prepared(304, [cache, ("ETag", etag), CORS])


@lru_cache(maxsize=512)
def takes_gzip(accept_encoding: str) -> bool:
    """RFC 9110 12.5.3: gzip named, or everything, with a weight above 0."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.strip().partition(";")
        try:
            weights[name.strip()] = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            return False
    return weights.get("gzip", weights.get("*", 0.0)) > 0


NOT_FOUND: Final = sentence(404, "There is nothing here.")
NO_SPACE: Final = sentence(404, "There is no such Space.")
NOT_ON_AIR: Final = sentence(503, "This Space is not on the air yet. Please ask again.", ("Retry-After", "2"), EXPOSE)
_OVER: Final = "This Space has ended; there is nothing after its last part."
OVER: Final = sentence(404, _OVER, ("Rostra-Ended", "1"), EXPOSE)
NEVER_CAME: Final = sentence(404, "This Space was cancelled; it has no sound.", ("Rostra-Ended", "1"), EXPOSE)
TOO_FAR: Final = sentence(404, "This part does not exist yet, and it is too early to wait for it.")
BLOCKED_TOO_LONG: Final = sentence(
    503, "The next part did not come in time. Please ask again.", ("Retry-After", "1"), EXPOSE
)
CROWDED: Final = sentence(503, "Too many wait here already. Please ask again.", ("Retry-After", "1"), EXPOSE)
AWAY: Final = sentence(
    503, "The server that this one takes its sound from is away. Please ask again.", ("Retry-After", "1"), EXPOSE
)
CIRCLE: Final = sentence(508, "This edge was sent to itself for its sound; its --upstream must be another address.")
DAMAGED: Final = sentence(503, "The record of this Space cannot be read.", ("Retry-After", "30"), EXPOSE)
NOT_ALLOWED: Final = sentence(405, "Only GET, HEAD and OPTIONS are known here.", ("Allow", "GET, HEAD, OPTIONS"))
PREFLIGHT: Final = Prepared(
    204,
    [
        CORS,
        ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
        (
            "Access-Control-Allow-Headers",
            "Range, If-Range, If-None-Match, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status",
        ),
        ("Access-Control-Max-Age", "86400"),
        ("Allow", "GET, HEAD, OPTIONS"),
    ],
)
NOTED: Final = Prepared(204, [NO_STORE, CORS])
NO_SID: Final = sentence(400, "Say who is here: ?sid= and 8 to 64 characters.")
HEALTHY: Final = Prepared(200, [("Content-Type", "text/plain; charset=utf-8"), NO_STORE, CORS], b"ok\n")
