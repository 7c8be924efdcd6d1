"""What radio players expect around a stream: headers that describe it, and titles between its bytes where they ask.

A player that sends `Icy-MetaData: 1` is told `icy-metaint: N` and then gets, after each N bytes of sound, one byte that counts
the blocks of sixteen that follow, and in them `StreamTitle='…';`. There is no standard; this is what SHOUTcast began and
Icecast, VLC, mpv, FFmpeg and GStreamer do.
"""

from typing import Final

from rostra.space.space import Space
from rostra.space.states import State

METAINT: Final = 8000
"""Bytes of sound between two titles: a second of MP3, so that a title stands there as soon as the first sound."""
_TITLE_BYTES_MOST: Final = 1000
_URL_BYTES_MOST: Final = 1000
NOTHING_NEW: Final = b"\0"


def title(space: Space) -> str:
    """Who speaks, and where; as radios show it: what stands before the dash is who performs."""
    if space.state is State.BREAK:
        return f"{space.title} (a short break)"
    names = [space.seats[seat].name for seat in space.speaking if seat in space.seats]
    return f"{', '.join(names)} - {space.title}" if names else space.title


def block(words: str, url: str) -> bytes:
    """The bytes that go between: count and text, filled up with zeros."""
    # Nothing can be quoted inside: a title ends at the first "';".
    shown = _cut(words.replace("'", "\u2019").replace("\0", " "), _TITLE_BYTES_MOST)
    text = b"StreamTitle='" + shown + b"';StreamUrl='" + _cut(url.replace("'", "%27"), _URL_BYTES_MOST) + b"';"
    sixteens = -(-len(text) // 16)
    return bytes([sixteens]) + text.ljust(16 * sixteens, b"\0")


def interleave(data: bytes, left: int, due: bytes) -> tuple[bytes, int, bool]:
    """Put blocks into the next bytes of one stream.

    Args:
        left: bytes of sound until the next block.
        due: the block to send; any after it has nothing new.

    Returns:
        What to write, the new `left`, and whether `due` was sent.
    """
    if len(data) < left:
        return data, left - len(data), False
    pieces: list[bytes] = []
    at, next_block = 0, due
    while len(data) - at >= left:
        pieces += (data[at : at + left], next_block)
        at, left, next_block = at + left, METAINT, NOTHING_NEW
    pieces.append(data[at:])
    return b"".join(pieces), left - (len(data) - at), True


def headers(space: Space, page: str, bitrate_bps: int) -> list[tuple[str, str]]:
    """Headers that describe a stream. Texts are UTF-8, which players take although HTTP promises them Latin-1."""
    return [
        ("icy-name", _header(space.title)),
        ("icy-description", _header(space.host_name)),
        ("icy-url", _header(page)),
        ("icy-br", str(bitrate_bps // 1000)),
        ("icy-pub", "0"),
        ("ice-audio-info", f"ice-samplerate=48000;ice-bitrate={bitrate_bps // 1000};ice-channels=1"),
    ]


def wanted(metadata_header: str | None) -> bool:
    """Whether a request's `Icy-MetaData` asks for titles."""
    return metadata_header is not None and metadata_header.strip() == "1"


def _header(text: str) -> str:
    return _cut("".join(sign if sign.isprintable() else " " for sign in text), _TITLE_BYTES_MOST).decode("latin-1")


def _cut(text: str, most: int) -> bytes:
    """UTF-8, cut between characters."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore").encode()
