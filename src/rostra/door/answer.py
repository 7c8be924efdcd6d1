"""One resource as prepared bytes: plain, packed, and "you have it"."""

import gzip
import hashlib

from rostra.wire.http1 import Prepared, Request

Headers = list[tuple[str, str]]


class Answer:
    """Whole responses for every way of asking for one thing.

    Attributes:
        etag: of the plain bytes; the packed ones have it with "-gz" (RFC 9110, 8.8.3.3).
        packed_bytes: size of the packed body.
    """

    __slots__ = ("_done", "_packed", "_plain", "_same", "_same_packed", "etag", "packed_bytes")

    def __init__(self, headers: Headers, body: bytes, status: int = 200) -> None:
        self._done = status == 200
        self.etag = hashlib.sha256(body).hexdigest()[:20]
        packed = gzip.compress(body, 9, mtime=0)
        self.packed_bytes = len(packed)
        common = [*headers, ("Vary", "Accept-Encoding")]
        tag, tag_packed = ("ETag", f'"{self.etag}"'), ("ETag", f'"{self.etag}-gz"')
        self._plain = Prepared(status, [*common, tag], body)
        self._packed = Prepared(status, [*common, tag_packed, ("Content-Encoding", "gzip")], packed)
        lasting = [one for one in common if one[0] in ("Cache-Control", "Vary", "Content-Security-Policy")]
        self._same = Prepared(304, [*lasting, tag])
        self._same_packed = Prepared(304, [*lasting, tag_packed])

    def to(self, request: Request) -> Prepared:
        """The response that fits what this request can read and has already."""
        packs = accepts_gzip(request.headers.get("accept-encoding", ""))
        known = request.headers.get("if-none-match")
        if known is not None and self._done and (known.strip() == "*" or self.etag in known):
            return self._same_packed if packs else self._same
        return self._packed if packs else self._plain


def accepts_gzip(accepted: str) -> bool:
    """Whether gzip is named in Accept-Encoding and not refused there (RFC 9110, 12.5.3)."""
    if accepted.startswith("gzip, "):  # what browsers send
        return True
    for one in accepted.lower().split(","):
        coding, _, weight = one.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
