"""ISO base media boxes that both the live init segment and the finished recording are made of.

Source: ISO/IEC 14496-12 (box numbers below), 14496-14 (esds), "Encapsulation of Opus in ISOBMFF" 4.3.
"""

import struct
from typing import Final

from rostra.sound.renditions import RATE, Rendition

TRACK: Final = 1
OPUS_PRE_SKIP: Final = 312
"""Samples that libopus' encoder delays (6.5 ms at 48 kHz)."""
AAC_LC_48K: Final = {1: bytes([0x11, 0x88]), 2: bytes([0x11, 0x90])}
"""AudioSpecificConfig by channels: object type 2, frequency index 3. Source: ISO/IEC 14496-3, 1.6.2.1."""

_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_U32: Final = 0xFFFF_FFFF


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def movie(
    rendition: Rendition, duration: int, tables: tuple[bytes, ...], audio_config: bytes | None, *after: bytes
) -> bytes:
    """A moov of one sound track.

    Args:
        duration: in samples; 0 where the length is not known (live).
        tables: stts, stsc, stsz and stco or co64, complete boxes.
        audio_config: AudioSpecificConfig as the AAC encoder gave it; None for plain AAC-LC 48 kHz. Not used for Opus.
        after: boxes that follow the track, such as mvex.
    """
    moments = _times(duration)
    wide = len(moments) == 28
    rest_of_mvhd = struct.pack(">IH10x", 0x10000, 0x100) + _MATRIX + bytes(24) + struct.pack(">I", TRACK + 1)
    mvhd = full_box(b"mvhd", wide, 0, moments, rest_of_mvhd)
    return box(b"moov", mvhd, _track(rendition, duration, tables, audio_config), *after)


def _track(rendition: Rendition, duration: int, tables: tuple[bytes, ...], audio_config: bytes | None) -> bytes:
    moments = _times(duration)
    wide = len(moments) == 28
    # In tkhd the track's number and a reserved word stand where mvhd and mdhd have the timescale.
    half = 16 if wide else 8
    track_moments = moments[:half] + struct.pack(">II", TRACK, 0) + moments[half + 4 :]
    enabled_in_movie = 0x3
    tkhd = full_box(
        b"tkhd", wide, enabled_in_movie, track_moments, struct.pack(">8xhhH2x", 0, 1, 0x100), _MATRIX, bytes(8)
    )
    undetermined = 0x55C4
    mdhd = full_box(b"mdhd", wide, 0, moments, struct.pack(">HH", undetermined, 0))
    hdlr = full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"soun"), b"sound\0")
    smhd = full_box(b"smhd", 0, 0, bytes(4))
    self_contained = 1
    dinf = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, self_contained)))
    stsd = full_box(b"stsd", 0, 0, struct.pack(">I", 1), _sample_entry(rendition, audio_config))
    preroll = (_opus_preroll(),) if rendition is Rendition.OPUS else ()
    stbl = box(b"stbl", stsd, *tables, *preroll)
    return box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, box(b"minf", smhd, dinf, stbl)))


def _times(duration: int) -> bytes:
    """Creation and modification (not told), timescale, duration: version 1 only where 32 bits do not hold it."""
    if duration > _U32:
        return struct.pack(">QQIQ", 0, 0, RATE, duration)
    return struct.pack(">IIII", 0, 0, RATE, duration)


def _sample_entry(rendition: Rendition, audio_config: bytes | None) -> bytes:
    channels = rendition.shape.channels
    common = struct.pack(">6xH8xHH4xI", 1, channels, 16, RATE << 16)
    if rendition is Rendition.OPUS:
        d_ops = box(b"dOps", struct.pack(">BBHIhB", 0, channels, OPUS_PRE_SKIP, RATE, 0, 0))
        return box(b"Opus", common, d_ops)
    return box(b"mp4a", common, _esds(rendition, audio_config or AAC_LC_48K[channels]))


def _esds(rendition: Rendition, audio_config: bytes) -> bytes:
    shape = rendition.shape
    aac, audio_stream = 0x40, 0x15
    buffer_bytes = 6144 // 8 * shape.channels
    decoder = struct.pack(">BB", aac, audio_stream) + buffer_bytes.to_bytes(3, "big")
    decoder += struct.pack(">II", shape.bandwidth_bps, shape.bitrate_bps) + _descriptor(0x05, audio_config)
    stream = struct.pack(">HB", 0, 0) + _descriptor(0x04, decoder) + _descriptor(0x06, b"\x02")
    return full_box(b"esds", 0, 0, _descriptor(0x03, stream))


def _descriptor(tag: int, body: bytes) -> bytes:
    if len(body) > 127:
        raise ValueError(f"a descriptor of {len(body)} bytes is none that an AAC encoder makes")
    return bytes([tag, len(body)]) + body


def _opus_preroll() -> bytes:
    """Every sample needs 80 ms (4 frames) decoded before it. Version 2: the default for all samples, no sbgp needed."""
    every_sample = 1
    return full_box(b"sgpd", 2, 0, struct.pack(">4sIIh", b"roll", every_sample, 1, -4))
