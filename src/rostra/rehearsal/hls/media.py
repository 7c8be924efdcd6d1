"""Rules on the media itself: fragmented MP4 against what its playlist says of it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rostra.rehearsal.boxes import NotMp4, boxes
from rostra.rehearsal.hls.findings import Book

_BRANDS = frozenset({b"iso6", b"iso7", b"iso8", b"iso9", b"cmfc", b"cmf2"})
_WITHIN_S = 0.005
"""What a duration's decimals may round away over a segment."""


@dataclass(frozen=True, slots=True)
class Track:
    """What an init section says. `zero`: no durations and no samples in it."""

    brands: frozenset[bytes]
    movie_follows: bool
    extends: bool
    zero: bool
    timescale: int
    codec: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a segment or part holds, over all its fragments, in units of the track's timescale."""

    fragments: int
    starts: tuple[int, ...]
    """tfdt of each fragment."""
    lengths: tuple[int, ...]
    """Samples' durations of each fragment."""
    undated: int
    """traf boxes without tfdt."""
    based: bool
    """Addresses are counted from the moof."""
    fault: str = ""

    @property
    def start(self) -> int:
        return self.starts[0] if self.starts else 0

    @property
    def end(self) -> int:
        return self.starts[-1] + self.lengths[-1] if self.starts else 0


@dataclass(frozen=True, slots=True)
class Taken:
    """A whole segment with its bytes, and the bytes of its parts where they were listed."""

    msn: int
    duration_s: float
    data: bytes
    parts: tuple[bytes, ...] = ()
    discontinuity: bool = False


@dataclass(frozen=True, slots=True)
class Media:
    """`segments` follow each other without one left out. `bandwidth_bps`, `codecs`: as the multivariant playlist says, if one does."""

    init: bytes
    segments: tuple[Taken, ...]
    bandwidth_bps: int | None = None
    codecs: str = ""
    target_s: int = 0


MEDIA = Book[Media]()


@MEDIA.must("init-readable", "3.1.2", "Let EXT-X-MAP name a file type box and a movie box of whole boxes.")
def _(it: Media) -> Iterator[str]:
    if fault := read_track(it.init).fault:
        yield f"The init section cannot be read: {fault}."


@MEDIA.must("init-brand", "3.1.2", "Name a brand that is compatible with iso6 or higher.")
def _(it: Media) -> Iterator[str]:
    track = read_track(it.init)
    if not track.fault and not track.brands & _BRANDS:
        yield f"The file type box names {b', '.join(sorted(track.brands)).decode('latin-1')}."


@MEDIA.must("init-movie", "3.1.2", "Put the movie box after the file type box, and a movie extends box into it.")
def _(it: Media) -> Iterator[str]:
    track = read_track(it.init)
    if not track.fault and not (track.movie_follows and track.extends):
        yield "The movie box does not follow, or has no movie extends box."


@MEDIA.must("init-empty", "3.1.2", "Let durations and sample counts of the init section be zero.")
def _(it: Media) -> Iterator[str]:
    track = read_track(it.init)
    if not track.fault and not track.zero:
        yield "The init section has a duration or samples of its own."


@MEDIA.must("fragments", "3.1.2", "Let every segment be whole movie fragments with their media.")
def _(it: Media) -> Iterator[str]:
    for one in it.segments:
        piece = read_piece(one.data)
        if piece.fault or not piece.fragments:
            yield f"Segment {one.msn}: {piece.fault or 'no movie fragment in it'}."


@MEDIA.must("decode-time", "3.1.2", "Put a tfdt box into every traf box.")
def _(it: Media) -> Iterator[str]:
    return (f"Segment {one.msn} has a traf without tfdt." for one in it.segments if read_piece(one.data).undated)


@MEDIA.must("addressing", "3.1.2", "Count addresses from the moof (default-base-is-moof).")
def _(it: Media) -> Iterator[str]:
    return (
        f"Segment {one.msn} counts addresses from elsewhere." for one in it.segments if not read_piece(one.data).based
    )


@MEDIA.must("continuous", "Apple 7.3", "Let decode times go on without a gap, or say EXT-X-DISCONTINUITY.")
def _(it: Media) -> Iterator[str]:
    timescale = read_track(it.init).timescale
    before: int | None = None
    for one in it.segments:
        piece = read_piece(one.data)
        ends = [start + length for start, length in zip(piece.starts, piece.lengths, strict=True)]
        expected = [None if one.discontinuity else before, *ends[:-1]]
        for start, due in zip(piece.starts, expected, strict=False):
            if due is not None and start != due:
                yield f"Segment {one.msn} has a fragment at {start / timescale:.6f} s where {due / timescale:.6f} s was due."
                break
        before = ends[-1] if ends else None


@MEDIA.must("duration", "Apple 8.1", "Let EXTINF be the duration of the samples.")
def _(it: Media) -> Iterator[str]:
    timescale = read_track(it.init).timescale
    for one in it.segments:
        length_s = sum(read_piece(one.data).lengths) / timescale
        if abs(length_s - one.duration_s) > _WITHIN_S:
            yield f"Segment {one.msn} holds {length_s:.5f} s, its EXTINF says {one.duration_s:.5f} s."


@MEDIA.must("parts-are-segment", "3.2", "Let a segment and its parts hold the same samples.")
def _(it: Media) -> Iterator[str]:
    for one in it.segments:
        if one.parts and b"".join(one.parts) != one.data and _samples(b"".join(one.parts)) != _samples(one.data):
            yield f"The parts of segment {one.msn} joined are not the segment."


@MEDIA.must("codec-named", "4.4.6.2", "Name in CODECS what the media is.")
def _(it: Media) -> Iterator[str]:
    codec = read_track(it.init).codec
    named = {"mp4a": "mp4a", "Opus": "opus", "fLaC": "flac", "ac-3": "ac-3", "ec-3": "ec-3", "avc1": "avc1"}.get(codec)
    if it.codecs and named and named not in it.codecs.lower():
        yield f"CODECS is {it.codecs}, the media is {codec}."


@MEDIA.must("bandwidth-kept", "4.4.6.2", "Let BANDWIDTH be the peak of what segments take.")
def _(it: Media) -> Iterator[str]:
    for one in it.segments:
        rate_bps = 8 * len(one.data) / one.duration_s if one.duration_s >= it.target_s / 2 > 0 else 0
        if it.bandwidth_bps and rate_bps > it.bandwidth_bps:
            yield f"Segment {one.msn} takes {rate_bps:.0f} b/s, BANDWIDTH is {it.bandwidth_bps}."


def read_track(init: bytes) -> Track:
    try:
        return _track(init)
    except (NotMp4, struct.error, StopIteration) as wrong:
        return Track(frozenset(), False, False, False, 1, "", str(wrong) or "a box is cut short")


def read_piece(data: bytes) -> Piece:
    try:
        return _piece(data)
    except (NotMp4, struct.error) as wrong:
        return Piece(0, (), (), 0, True, str(wrong) or "a box is cut short")


def _track(init: bytes) -> Track:
    top = list(boxes(init))
    kinds = [kind for kind, _, _ in top]
    if b"ftyp" not in kinds or b"moov" not in kinds:
        raise NotMp4("there is no ftyp or no moov")
    _, begin, end = top[kinds.index(b"ftyp")]
    brands = frozenset(init[at : at + 4] for at in range(begin, end, 4) if at != begin + 4)
    at = top[kinds.index(b"moov")]
    inside = _tree(init, at[1], at[2])
    zero = True
    for kind, offset in ((b"mvhd", 12), (b"tkhd", 16)):
        for begin in inside.get(kind, []):
            wide = init[begin] == 1
            where = begin + 4 + (offset + 8 if wide else offset)
            zero &= struct.unpack_from(">Q" if wide else ">I", init, where)[0] == 0
    for kind in (b"stts", b"stco"):
        zero &= all(struct.unpack_from(">I", init, begin + 4)[0] == 0 for begin in inside.get(kind, []))
    mdhd = inside[b"mdhd"][0] if b"mdhd" in inside else 0
    if not mdhd or b"stsd" not in inside:
        raise NotMp4("there is no track in it")
    timescale = struct.unpack_from(">I", init, mdhd + 4 + (16 if init[mdhd] == 1 else 8))[0]
    codec = init[inside[b"stsd"][0] + 12 : inside[b"stsd"][0] + 16].decode("latin-1")
    follows = kinds.index(b"moov") > kinds.index(b"ftyp")
    return Track(brands, follows, b"mvex" in inside, zero, timescale or 1, codec)


def _piece(data: bytes) -> Piece:
    starts: list[int] = []
    lengths: list[int] = []
    undated, based = 0, True
    kinds = [kind for kind, _, _ in boxes(data)]
    for one, following in pairwise([*kinds, b""]):
        if one == b"moof" and following != b"mdat":
            raise NotMp4("a movie fragment has no media after it")
    for kind, begin, end in boxes(data):
        if kind != b"moof":
            continue
        inside = _tree(data, begin, end)
        tfhd = inside[b"tfhd"][0] if b"tfhd" in inside else 0
        if not tfhd:
            raise NotMp4("a movie fragment has no tfhd")
        flags = struct.unpack_from(">I", data, tfhd)[0] & 0xFFFFFF
        based &= bool(flags & 0x2_0000) and not flags & 0x1
        undated += len(inside.get(b"traf", [])) - len(inside.get(b"tfdt", []))
        default = struct.unpack_from(">I", data, tfhd + 8 + 4 * bool(flags & 0x2))[0] if flags & 0x8 else 0
        if b"tfdt" in inside:
            at = inside[b"tfdt"][0]
            starts.append(struct.unpack_from(">Q" if data[at] == 1 else ">I", data, at + 4)[0])
            lengths.append(sum(_run_length(data, run, default) for run in inside.get(b"trun", [])))
    return Piece(kinds.count(b"moof"), tuple(starts), tuple(lengths), undated, based)


def _run_length(data: bytes, at: int, default: int) -> int:
    flags, count = struct.unpack_from(">II", data, at)
    flags &= 0xFFFFFF
    if not flags & 0x100:
        return int(count * default)
    stride = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    first = at + 8 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)
    return sum(struct.unpack_from(">I", data, first + stride * one)[0] for one in range(count))


def _samples(data: bytes) -> bytes:
    """The media alone, fragments' heads left out."""
    try:
        return b"".join(data[begin:end] for kind, begin, end in boxes(data) if kind == b"mdat")
    except NotMp4:
        return data


def _tree(data: bytes, begin: int, end: int) -> dict[bytes, list[int]]:
    """Where the content of each kind of box begins, whatever level it stands on."""
    found: dict[bytes, list[int]] = {}
    for kind, inner, stop in boxes(data, begin, end):
        found.setdefault(kind, []).append(inner)
        if kind in (b"trak", b"mdia", b"minf", b"stbl", b"traf", b"mvex"):
            for deeper, places in _tree(data, inner, stop).items():
                found.setdefault(deeper, []).extend(places)
    return found
