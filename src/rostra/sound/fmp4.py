"""Fragmented MP4: the init segment of a rendition, and parts ready to serve.

A part's payload is `[prft][emsg] moof mdat`, a CMAF chunk. Its moof has one fixed layout, so writing and reading are
one struct each; the trun holds nothing but sample sizes. Source: ISO/IEC 14496-12, 23000-19 (CMAF) 7.3.2.3, 23009-1 (emsg).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rostra.sound.boxes import TRACK, box, full_box, movie
from rostra.sound.renditions import RATE, Rendition

NOW_SCHEME: Final = "urn:rostra:now"
"""scheme_id_uri of the message that tells what is the case while the part sounds."""

MOST_FRAMES: Final = 1024
_SYNC_SAMPLE: Final = 0x0200_0000
_NTP_BEFORE_UNIX_S: Final = 2_208_988_800
_U32: Final = 0xFFFF_FFFF

_HEADER: Final = struct.Struct(">I4s")
_PRFT: Final = struct.Struct(">I4sIIQQ")
_EMSG: Final = struct.Struct(">I4sIIQII")
# moof, mfhd, traf, tfhd, tfdt, trun up to the sample sizes: 96 bytes, and a 4 byte size for each frame.
_MOOF: Final = struct.Struct(">I4s I4sII I4s I4sIIII I4sIQ I4sIII")
_TFHD_FLAGS: Final = 0x02_0000 | 0x08 | 0x20  # default-base-is-moof, default duration, default flags
_TRUN_FLAGS: Final = 0x01 | 0x200  # data offset, sample sizes


def init(rendition: Rendition, audio_config: bytes | None = None) -> bytes:
    """The init segment: ftyp, then a moov without samples and with zero durations.

    Args:
        audio_config: AudioSpecificConfig of the AAC encoder (its extradata); None for plain AAC-LC 48 kHz.
    """
    ftyp = box(b"ftyp", b"iso6", bytes(4), b"iso6cmfcmp41")
    nothing = bytes(4)
    tables = (
        full_box(b"stts", 0, 0, nothing),
        full_box(b"stsc", 0, 0, nothing),
        full_box(b"stsz", 0, 0, nothing, nothing),
        full_box(b"stco", 0, 0, nothing),
    )
    trex = full_box(b"trex", 0, 0, struct.pack(">IIIII", TRACK, 1, rendition.shape.frame_samples, 0, _SYNC_SAMPLE))
    return ftyp + movie(rendition, 0, tables, audio_config, box(b"mvex", trex))


def audio_config_of(init_segment: bytes) -> bytes | None:
    """The AudioSpecificConfig that `init` was given; None for Opus.

    Raises:
        ValueError: not an init segment of ours.
    """
    if b"dOps" in init_segment:
        return None
    esds = init_segment.find(b"esds")
    # The descriptors before it have a fixed length: ES (5 bytes), DecoderConfig (15), then tag 5 and its length.
    at = esds + 4 + 4 + 5 + 15
    if esds < 0 or init_segment[at : at + 1] != b"\x05" or len(init_segment) < at + 2 + init_segment[at + 1]:
        raise ValueError("the init segment is not one of ours")
    return init_segment[at + 2 : at + 2 + init_segment[at + 1]]


def check_init(rendition: Rendition, init_segment: bytes) -> None:
    """Whether this can be the init segment of parts of this rendition, whichever version of ours made it.

    Raises:
        ValueError: it is not a moov of such a track behind an ftyp, or not whole.
    """
    kinds, at = [], 0
    while at < len(init_segment):
        size, kind = _HEADER.unpack_from(init_segment, at) if at + 8 <= len(init_segment) else (0, b"")
        if size < 8 or at + size > len(init_segment):
            raise ValueError("the init segment is cut short")
        kinds.append(kind)
        at += size
    if kinds != [b"ftyp", b"moov"] or (b"Opus" if rendition is Rendition.OPUS else b"mp4a") not in init_segment:
        raise ValueError("the init segment is not one of this rendition")


def part(
    rendition: Rendition, number: int, frames: Sequence[bytes], start_us: int, message: bytes | None = None
) -> bytes:
    """One part's payload.

    Args:
        frames: encoded frames in order, raw (no ADTS, no Ogg).
        start_us: wall microseconds of the first sample; becomes the NTP time in prft (read back right until 2106).
        message: body of an emsg in the scheme NOW_SCHEME that lasts as long as the part.
    """
    count = len(frames)
    if not 0 < count <= MOST_FRAMES:
        raise ValueError(f"a part has 1 to {MOST_FRAMES} frames, not {count}")
    shape = rendition.shape
    first_sample = number * shape.part_samples
    moof = _moof(rendition, number, count)
    sizes = struct.pack(f">{count}I", *map(len, frames))
    media = b"".join(frames)
    now = b"" if message is None else _emsg(number, first_sample, count * shape.frame_samples, message)
    prft = _PRFT.pack(32, b"prft", 1 << 24, TRACK, ntp(start_us), first_sample)
    return b"".join((prft, now, moof, sizes, _HEADER.pack(8 + len(media), b"mdat"), media))


@dataclass(frozen=True, slots=True)
class PartView:
    """Where things are in a part's payload."""

    first_sample: int
    """tfdt."""
    frame_samples: int
    sizes: bytes
    """The trun's sample sizes as they stand there: big-endian, 4 bytes each."""
    media_offset: int
    """Where the first frame begins in the payload; the frames follow each other without a gap."""
    media_length: int
    start_us: int | None
    """Wall microseconds of the first sample (from prft)."""
    messages: tuple[bytes, ...]
    """Bodies of the emsg boxes in the scheme NOW_SCHEME."""

    def frame_sizes(self) -> tuple[int, ...]:
        return struct.unpack(f">{len(self.sizes) // 4}I", self.sizes)


def read_part(payload: bytes | memoryview) -> PartView:
    """Read what `part` wrote.

    Raises:
        ValueError: anything else, cut short, or with bytes after its mdat.
    """
    try:
        return _read(memoryview(payload))
    except struct.error:
        raise ValueError("the part is cut short") from None


def lead_bytes(rendition: Rendition) -> int:
    """Where the frames begin in a part that has no message."""
    return _PRFT.size + _MOOF.size + 4 * rendition.shape.frames_per_part + _HEADER.size


def lead_sizes(rendition: Rendition, number: int, lead: bytes | memoryview, length: int) -> bytes:
    """The sample sizes of a part that has no message, as they stand in its trun: big-endian, 4 bytes each.

    Args:
        lead: the payload's beginning, up to its first frame.
        length: bytes of the whole payload.

    Raises:
        ValueError: it is not this part.
    """
    count = rendition.shape.frames_per_part
    moof, sizes_at = _moof(rendition, number, count), _PRFT.size + _MOOF.size
    sizes = bytes(lead[sizes_at : sizes_at + 4 * count])
    media_length = length - lead_bytes(rendition)
    mdat = _HEADER.pack(8 + media_length, b"mdat") if media_length > 0 else b""
    if lead[_PRFT.size : sizes_at] != moof or lead[sizes_at + 4 * count :] != mdat:
        raise ValueError("the part is not laid out as it must be")
    if sum(struct.unpack(f">{count}I", sizes)) != media_length:
        raise ValueError("the frames do not fill the mdat")
    return sizes


def frames_of(payload: bytes | memoryview) -> list[bytes]:
    """The encoded frames of a part. Raises ValueError like read_part."""
    view = read_part(payload)
    frames, at = [], view.media_offset
    for size in view.frame_sizes():
        frames.append(bytes(payload[at : at + size]))
        at += size
    return frames


def split(segment: bytes) -> list[bytes]:
    """The parts that were joined to `segment`. Raises ValueError where its last one is not whole."""
    parts, begin, at = [], 0, 0
    while at < len(segment):
        size, kind = _HEADER.unpack_from(segment, at) if at + 8 <= len(segment) else (0, b"")
        if size < 8 or at + size > len(segment):
            raise ValueError("the segment is cut short")
        at += size
        if kind == b"mdat":
            parts.append(segment[begin:at])
            begin = at
    if begin != at:
        raise ValueError("the segment's last part has no sound")
    return parts


def ntp(wall_us: int) -> int:
    """64-bit NTP time: seconds since 1900, then fraction. Source: RFC 5905 6."""
    seconds, rest = divmod(wall_us, 1_000_000)
    return (seconds + _NTP_BEFORE_UNIX_S & _U32) << 32 | (rest << 32) // 1_000_000


def _unix_us(ntp_time: int) -> int:
    seconds = (ntp_time >> 32) - _NTP_BEFORE_UNIX_S
    # Era 1 of NTP begins in 2036; no part is older than this program.
    if seconds < 0:
        seconds += 1 << 32
    return seconds * 1_000_000 + ((ntp_time & _U32) * 1_000_000 + (1 << 31) >> 32)


def _moof(rendition: Rendition, number: int, count: int) -> bytes:
    """Up to the sample sizes."""
    shape = rendition.shape
    size = _MOOF.size + 4 * count
    # fmt: off
    return _MOOF.pack(
        size, b"moof",
        16, b"mfhd", 0, number + 1 & _U32,
        size - 24, b"traf",
        24, b"tfhd", _TFHD_FLAGS, TRACK, shape.frame_samples, _SYNC_SAMPLE,
        20, b"tfdt", 1 << 24, number * shape.part_samples,
        20 + 4 * count, b"trun", _TRUN_FLAGS, count, size + 8,
    )
    # fmt: on


def _emsg(number: int, first_sample: int, samples: int, message: bytes) -> bytes:
    body = NOW_SCHEME.encode() + b"\0" + b"\0" + message
    return _EMSG.pack(_EMSG.size + len(body), b"emsg", 1 << 24, RATE, first_sample, samples, number & _U32) + body


def _read(payload: memoryview) -> PartView:
    at, start_us, messages = 0, None, []
    while True:
        size, kind = _HEADER.unpack_from(payload, at)
        if kind == b"moof":
            break
        if size < 8 or at + size > len(payload):
            raise ValueError("a box before the moof is longer than the part")
        if kind == b"prft":
            start_us = _unix_us(_PRFT.unpack_from(payload, at)[4])
        elif kind == b"emsg":
            message = _message(bytes(payload[at : at + size]))
            if message is not None:
                messages.append(message)
        else:
            raise ValueError("the part has a box of a kind that does not belong there")
        at += size
    # fmt: off
    (
        moof_size, _,
        mfhd_size, mfhd, _, _,
        traf_size, traf,
        tfhd_size, tfhd, tfhd_flags, _, frame_samples, _,
        tfdt_size, tfdt, tfdt_version, first_sample,
        trun_size, trun, trun_flags, count, data_offset,
    ) = _MOOF.unpack_from(payload, at)
    # fmt: on
    if (mfhd, traf, tfhd, tfdt, trun) != (b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun"):
        raise ValueError("the moof is not laid out like one of ours")
    if (mfhd_size, tfhd_size, tfhd_flags, tfdt_size, tfdt_version, trun_flags) != (
        16, 24, _TFHD_FLAGS, 20, 1 << 24, _TRUN_FLAGS,
    ):  # fmt: skip
        raise ValueError("the moof has other fields than ours")
    if not 0 < count <= MOST_FRAMES:
        raise ValueError(f"a part cannot have {count} frames")
    if (moof_size, traf_size, trun_size, data_offset) != (
        _MOOF.size + 4 * count, _MOOF.size - 24 + 4 * count, 20 + 4 * count, _MOOF.size + 4 * count + 8,
    ):  # fmt: skip
        raise ValueError("the moof's sizes contradict each other")
    mdat_at = at + moof_size
    mdat_size, mdat = _HEADER.unpack_from(payload, mdat_at)
    if mdat != b"mdat" or mdat_at + mdat_size != len(payload):
        raise ValueError("the mdat does not end where the part ends")
    sizes = bytes(payload[at + _MOOF.size : mdat_at])
    if sum(struct.unpack(f">{count}I", sizes)) != mdat_size - 8:
        raise ValueError("the frames do not fill the mdat")
    return PartView(first_sample, frame_samples, sizes, mdat_at + 8, mdat_size - 8, start_us, tuple(messages))


def _message(emsg: bytes) -> bytes | None:
    _, _, version, *_ = _EMSG.unpack_from(emsg)
    if version != 1 << 24:
        return None
    scheme, ended, rest = emsg[_EMSG.size :].partition(b"\0")
    _, ended_too, body = rest.partition(b"\0")
    if not (ended and ended_too):
        raise ValueError("an emsg's texts do not end")
    return body if scheme == NOW_SCHEME.encode() else None
