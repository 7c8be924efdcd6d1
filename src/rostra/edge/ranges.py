"""Range requests for one file (RFC 9110 13.1.5 and 14). One range is served; of several, or of other units, the whole."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [start, stop)."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


class Unsatisfiable(Exception):
    """The range lies wholly beyond the end: 416."""


def span_of(header: str | None, size: int) -> Span | None:
    """The span that a Range header asks of `size` bytes, or None for the whole.

    Raises:
        Unsatisfiable: it begins beyond the end, or asks for the last no bytes.
    """
    match = _BYTES.fullmatch(header) if header is not None else None
    if match is None:
        return None
    first, last = match[1], match[2]
    if not first:
        if not last:
            return None
        suffix = int(last)
        if not suffix or not size:
            raise Unsatisfiable
        return Span(max(0, size - suffix), size)
    start = int(first)
    if last and int(last) < start:
        return None  # malformed (14.1.2), so there is no range
    if start >= size:
        raise Unsatisfiable
    return Span(start, min(size, int(last) + 1) if last else size)


_BYTES = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
