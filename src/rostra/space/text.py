"""Names and titles as people type them, made harmless to show. Markup needs nothing here: it is text, and pages escape it."""

import unicodedata

from rostra.kernel.errors import PeerError

TITLE_MOST = 140
NAME_MOST = 60
REASON_MOST = 200

# Marks that turn or hide the text after them (Unicode bidi controls, zero-width, line separators). Letters that are
# written from right to left stay, of course; pages set each title apart, so it cannot turn its surroundings.
_TURNING = frozenset(
    "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)


def clean(text: str, what: str, most: int, least: int = 1) -> str:
    """One line of text: control and turning marks dropped, white space folded, NFC.

    Args:
        what: what it is, as the sentence to the person names it ("The title").
    Raises:
        PeerError: longer than `most` or shorter than `least` characters after cleaning.
    """
    if len(text) > 20 * most:
        raise PeerError(400, f"{what} is too long: {len(text):,} characters, {most} at most.", "text-too-long")
    kept = "".join(" " if char in "\t\n\r" else char for char in text if _harmless(char))
    line = " ".join(unicodedata.normalize("NFC", kept).split())
    if len(line) > most:
        raise PeerError(400, f"{what} is too long: {len(line):,} characters, {most} at most.", "text-too-long")
    if len(line) < least:
        raise PeerError(400, f"{what} is empty. Give it at least {least} letter.", "text-empty")
    return line


def _harmless(char: str) -> bool:
    if char in _TURNING:
        return False
    return char in "\t\n\r" or unicodedata.category(char) not in ("Cc", "Cs", "Co", "Cn")
