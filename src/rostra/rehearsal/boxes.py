"""Reading fragmented MP4 as a player must: what the init segment says, and each fragment's time and packets.

Source: ISO/IEC 14496-12 (boxes, moof, tfdt, trun, prft, emsg), 14496-1 (esds), Opus in ISOBMFF (dOps).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_NTP_TO_UNIX_S = 2_208_988_800
_PACKETS_MOST = 10_000
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex")


class NotMp4(ValueError):
    """The bytes are not a fragmented MP4 with one audio track."""


@dataclass(frozen=True, slots=True)
class Init:
    codec: str
    """"opus" or "aac"."""
    rate: int
    channels: int
    extradata: bytes
    """For AAC the AudioSpecificConfig; for Opus empty."""


@dataclass(frozen=True, slots=True)
class Fragment:
    start: int
    """Decode time of the first sample, in units of the track's time scale (48,000 a second)."""
    packets: tuple[bytes, ...]
    durations: tuple[int, ...]
    made_wall_s: float | None
    """Unix time at which the first sample was heard at the stage, from prft."""
    messages: tuple[tuple[str, bytes], ...]
    """Event messages as (scheme, payload)."""

    @property
    def length(self) -> int:
        return sum(self.durations)


def boxes(data: bytes | memoryview, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Type, and begin and end of the content, of each box on one level.

    Raises:
        NotMp4: a box reaches beyond its parent.
    """
    end = len(data) if end is None else end
    while start < end:
        if end - start < 8:
            raise NotMp4(f"{end - start} stray bytes between boxes")
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and end - start >= 16:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        if size < head or start + size > end:
            raise NotMp4(f"box {kind!r} of {size} bytes does not fit")
        yield kind, start + head, start + size
        start += size


def split(data: bytes) -> tuple[bytes, list[bytes]]:
    """An init segment and the fragments behind it: each from what precedes its moof to the end of its mdat."""
    init_end = begin = 0
    fragments: list[bytes] = []
    for kind, _, end in boxes(data):
        if kind in (b"ftyp", b"moov") and not fragments:
            init_end = begin = end
        elif kind == b"mdat":
            fragments.append(data[begin:end])
            begin = end
    return data[:init_end], fragments


def read_init(data: bytes) -> Init:
    """Raises: NotMp4."""
    try:
        stsd = _find(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
        kind, begin, end = next(boxes(data, stsd[0] + 8, stsd[1]))
        channels, _, _, _, rate = struct.unpack_from(">HHHHI", data, begin + 16)
        if kind == b"Opus":
            return Init("opus", 48_000, channels, b"")
        if kind == b"mp4a":
            for inner, from_, to in boxes(data, begin + 28, end):
                if inner == b"esds":
                    return Init("aac", rate >> 16, channels, _audio_specific_config(data[from_ + 4 : to]))
        raise NotMp4(f"the track is {kind!r}, neither Opus nor AAC")
    except (struct.error, StopIteration, IndexError) as wrong:
        raise NotMp4(f"the init segment is broken: {wrong}") from None


def read_fragment(data: bytes) -> Fragment:
    """Raises: NotMp4."""
    try:
        return _read_fragment(data)
    except NotMp4:
        raise
    except (struct.error, IndexError, KeyError, ValueError) as wrong:
        raise NotMp4(f"the fragment is broken: {wrong!r}") from None


def _read_fragment(data: bytes) -> Fragment:
    made: float | None = None
    messages: list[tuple[str, bytes]] = []
    moof = mdat = None
    for kind, begin, end in boxes(data):
        if kind == b"prft":
            seconds, part = struct.unpack_from(">II", data, begin + 8)
            made = seconds - _NTP_TO_UNIX_S + part / 2**32
        elif kind == b"emsg":
            messages.append(_event_message(data, begin, end))
        elif kind == b"moof":
            moof = (begin, end)
        elif kind == b"mdat":
            mdat = (begin, end)
    if moof is None or mdat is None:
        raise NotMp4("a fragment without moof and mdat")
    fields = {kind: (begin, end) for kind, begin, end in _walk(data, *moof)}
    begin = fields[b"tfdt"][0]
    start = struct.unpack_from(">Q" if data[begin] == 1 else ">I", data, begin + 4)[0]
    default_duration, default_size = _defaults(data, fields[b"tfhd"][0])
    begin = fields[b"trun"][0]
    flags, count = struct.unpack_from(">I", data, begin)[0] & 0xFFFFFF, struct.unpack_from(">I", data, begin + 4)[0]
    if count > _PACKETS_MOST:
        raise NotMp4(f"a fragment of {count} packets")
    cursor, offset = begin + 8, moof[0] - 8
    at = mdat[0]
    if flags & 0x1:
        at = offset + struct.unpack_from(">i", data, cursor)[0]
        cursor += 4
    if flags & 0x4:
        cursor += 4
    packets, durations = [], []
    for _ in range(count):
        duration, size = default_duration, default_size
        if flags & 0x100:
            (duration,) = struct.unpack_from(">I", data, cursor)
            cursor += 4
        if flags & 0x200:
            (size,) = struct.unpack_from(">I", data, cursor)
            cursor += 4
        cursor += 4 * (bool(flags & 0x400) + bool(flags & 0x800))
        if at < mdat[0] or at + size > mdat[1]:
            raise NotMp4("a packet lies outside its mdat")
        packets.append(bytes(data[at : at + size]))
        durations.append(duration)
        at += size
    return Fragment(start, tuple(packets), tuple(durations), made, tuple(messages))


def _defaults(data: bytes, begin: int) -> tuple[int, int]:
    flags = struct.unpack_from(">I", data, begin)[0] & 0xFFFFFF
    cursor = begin + 8 + 8 * bool(flags & 0x1) + 4 * bool(flags & 0x2)
    duration = size = 0
    if flags & 0x8:
        (duration,) = struct.unpack_from(">I", data, cursor)
        cursor += 4
    if flags & 0x10:
        (size,) = struct.unpack_from(">I", data, cursor)
    return duration, size


def _event_message(data: bytes, begin: int, end: int) -> tuple[str, bytes]:
    cursor = begin + (4 + 4 + 8 + 4 + 4 if data[begin] == 1 else 4)
    scheme, rest = bytes(data[cursor:end]).split(b"\0", 1)
    _, rest = rest.split(b"\0", 1)
    return scheme.decode("utf-8", "replace"), rest if data[begin] == 1 else rest[16:]


def _walk(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for kind, begin, stop in boxes(data, start, end):
        yield kind, begin, stop
        if kind in _CONTAINERS:
            yield from _walk(data, begin, stop)


def _find(data: bytes, *path: bytes) -> tuple[int, int]:
    begin, end = 0, len(data)
    for wanted in path:
        for kind, inner, stop in boxes(data, begin, end):
            if kind == wanted:
                begin, end = inner, stop
                break
        else:
            raise NotMp4(f"no {wanted.decode()} box")
    return begin, end


def _audio_specific_config(esds: bytes) -> bytes:
    """Walks the descriptors ES (3) → DecoderConfig (4) → DecoderSpecificInfo (5). Source: ISO/IEC 14496-1 7.2.6."""
    cursor = 0
    while cursor < len(esds):
        tag, cursor = esds[cursor], cursor + 1
        length = 0
        while True:
            byte, cursor = esds[cursor], cursor + 1
            length = length << 7 | byte & 0x7F
            if not byte & 0x80:
                break
        if tag == 3:
            cursor += 3
        elif tag == 4:
            cursor += 13
        elif tag == 5:
            return esds[cursor : cursor + length]
        else:
            cursor += length
    raise NotMp4("esds holds no AudioSpecificConfig")
