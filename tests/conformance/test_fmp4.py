"""Boxes byte by byte, and what ffmpeg makes of them. Clauses of ISO/IEC 14496-12 unless another source is named."""

import json
import shutil
import struct
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rostra.sound import fmp4, progressive
from rostra.sound.cutter import Cutter
from rostra.sound.renditions import RATE, Rendition

START_US = 1_800_000_000_250_000
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"dinf"}

both = pytest.mark.parametrize("rendition", list(Rendition), ids=lambda one: one.shape.url)
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffmpeg is not installed")


def boxes(data: bytes, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Every box's path and content, depth first."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= len(data) - at
        here, content = f"{path}/{kind.decode()}", data[at + 8 : at + size]
        yield here, content
        if kind in CONTAINERS:
            yield from boxes(content, here)
        at += size


def encoded(rendition: Rendition, seconds: float) -> tuple[list[bytes], bytes | None]:
    """A 440 Hz tone at -12 dBFS peak through the real encoder: its frames and its AudioSpecificConfig."""
    shape = rendition.shape
    encoder = av.CodecContext.create("libopus" if rendition is Rendition.OPUS else "aac", "w")
    encoder.sample_rate, encoder.bit_rate, encoder.time_base = RATE, shape.bitrate_bps, Fraction(1, RATE)
    encoder.layout = "mono" if shape.channels == 1 else "stereo"
    encoder.format = "flt" if rendition is Rendition.OPUS else "fltp"
    encoder.open()
    packets: list[bytes] = []
    for start in range(0, int(seconds * RATE), shape.frame_samples):
        tone = 0.25 * np.sin(2 * np.pi * 440 / RATE * np.arange(start, start + shape.frame_samples))
        samples = np.tile(tone.astype(np.float32), (shape.channels, 1))
        frame = av.AudioFrame.from_ndarray(samples, format=encoder.format.name, layout=encoder.layout.name)
        frame.sample_rate, frame.pts = RATE, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets, bytes(encoder.extradata or b"") if rendition is Rendition.HLS else None


@pytest.fixture(scope="module", params=list(Rendition), ids=lambda one: one.shape.url)
def broadcast(request: pytest.FixtureRequest) -> tuple[Rendition, bytes, list[bytes]]:
    """A rendition, its init segment and ten parts of it."""
    rendition: Rendition = request.param
    frames, config = encoded(rendition, 10.5 * rendition.shape.part_s)
    cutter = Cutter(rendition)
    cuts = [cut for frame in frames if (cut := cutter.add(frame, START_US + cutter.next_sample * 1_000_000 // RATE))]
    message = b'{"state":"live"}' if rendition is Rendition.OPUS else None
    parts = [fmp4.part(rendition, cut.number, cut.frames, cut.start_us, message) for cut in cuts[:10]]
    return rendition, fmp4.init(rendition, config), parts


def probed(path: Path) -> tuple[dict[str, str], list[dict[str, int]]]:
    command = ["ffprobe", "-v", "error", "-print_format", "json", "-show_streams", "-show_packets", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    found = json.loads(done.stdout)
    return found["streams"][0], found["packets"]


def decoded(path: Path, channels: int) -> np.ndarray:
    command = ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "f32le", "-ac", str(channels), "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    return np.frombuffer(done.stdout, np.float32).reshape(-1, channels)[:, 0]


@both
def test_4_3_the_file_begins_with_a_brand_of_iso6_or_later(rendition: Rendition) -> None:
    kind, content = next(boxes(fmp4.init(rendition)))
    assert kind == "/ftyp"
    brands = [content[at : at + 4] for at in range(8, len(content), 4)]
    assert b"iso6" in brands
    assert b"cmfc" in brands


@both
def test_hls_3_1_2_the_init_segment_has_an_mvex_and_no_duration_anywhere(rendition: Rendition) -> None:
    found = dict(boxes(fmp4.init(rendition)))
    assert "/moov/mvex/trex" in found
    assert struct.unpack_from(">I", found["/moov/mvhd"], 16) == (0,)
    assert struct.unpack_from(">I", found["/moov/trak/tkhd"], 20) == (0,)
    assert struct.unpack_from(">II", found["/moov/trak/mdia/mdhd"], 12) == (RATE, 0)
    for table in ("stts", "stsc", "stsz", "stco"):
        assert set(found[f"/moov/trak/mdia/minf/stbl/{table}"]) == {0}


@both
def test_8_the_boxes_stand_where_they_belong(rendition: Rendition) -> None:
    order = [path.rpartition("/")[2] for path, _ in boxes(fmp4.init(rendition))]
    stbl = ["stbl", "stsd", "stts", "stsc", "stsz", "stco"] + (["sgpd"] if rendition is Rendition.OPUS else [])
    media = ["mdia", "mdhd", "hdlr", "minf", "smhd", "dinf", "dref", *stbl]
    assert order == ["ftyp", "moov", "mvhd", "trak", "tkhd", *media, "mvex", "trex"]


def test_opus_in_isobmff_4_3_the_sample_entry_tells_pre_skip_and_rate() -> None:
    stsd = dict(boxes(fmp4.init(Rendition.OPUS)))["/moov/trak/mdia/minf/stbl/stsd"]
    assert stsd[12:16] == b"Opus"
    d_ops = stsd[stsd.index(b"dOps") + 4 :]
    assert struct.unpack(">BBHIhB", d_ops) == (0, 1, 312, 48_000, 0, 0)


def test_opus_in_isobmff_4_3_6_every_sample_asks_for_80_ms_of_preroll() -> None:
    sgpd = dict(boxes(fmp4.init(Rendition.OPUS)))["/moov/trak/mdia/minf/stbl/sgpd"]
    version, kind, default, entries, distance = struct.unpack(">I4sIIh", sgpd)
    assert (version >> 24, kind, default, entries, distance) == (2, b"roll", 1, 1, -4)


def test_14496_14_the_esds_holds_the_encoders_configuration() -> None:
    config = bytes.fromhex("119056e500")
    stsd = dict(boxes(fmp4.init(Rendition.HLS, config)))["/moov/trak/mdia/minf/stbl/stsd"]
    assert stsd[12:16] == b"mp4a"
    esds = stsd[stsd.index(b"esds") + 8 :]
    assert esds[0] == 3 and esds[1] == len(esds) - 2
    assert esds[5] == 4 and esds[7:9] == b"\x40\x15"
    assert esds.endswith(bytes([5, len(config)]) + config + b"\x06\x01\x02")


@both
def test_cmaf_7_3_2_3_a_part_is_prft_emsg_moof_mdat(rendition: Rendition) -> None:
    frames = [b"one", b"and two"]
    with_message = fmp4.part(rendition, 3, frames, START_US, b"{}")
    assert [path for path, _ in boxes(with_message) if path.count("/") == 1] == ["/prft", "/emsg", "/moof", "/mdat"]
    without = fmp4.part(rendition, 3, frames, START_US)
    assert [path for path, _ in boxes(without) if path.count("/") == 1] == ["/prft", "/moof", "/mdat"]


@both
def test_8_8_addressing_is_relative_to_the_fragment_and_the_trun_holds_sizes_only(rendition: Rendition) -> None:
    payload = fmp4.part(rendition, 3, [b"one", b"and two"], START_US, b"{}")
    found = dict(boxes(payload))
    flags, track, duration, sample_flags = struct.unpack(">IIII", found["/moof/traf/tfhd"])
    assert flags == 0x020028
    assert (track, duration, sample_flags) == (1, rendition.shape.frame_samples, 0x02000000)
    assert struct.unpack(">IQ", found["/moof/traf/tfdt"]) == (1 << 24, 3 * rendition.shape.part_samples)
    flags, count, offset, *sizes = struct.unpack(">IIIII", found["/moof/traf/trun"])
    assert (flags, count, sizes) == (0x201, 2, [3, 7])
    moof_at = payload.index(b"moof") - 4
    assert payload[moof_at + offset :] == b"oneand two"


def test_8_8_5_the_sequence_number_grows_with_each_part() -> None:
    numbers = [dict(boxes(fmp4.part(Rendition.HLS, n, [b"x"], 0)))["/moof/mfhd"] for n in range(3)]
    assert [struct.unpack(">II", mfhd) for mfhd in numbers] == [(0, 1), (0, 2), (0, 3)]


def test_8_16_5_prft_ties_the_first_sample_to_the_clock() -> None:
    prft = dict(boxes(fmp4.part(Rendition.OPUS, 3, [b"x"], START_US)))["/prft"]
    version, track, ntp, media_time = struct.unpack(">IIQQ", prft)
    assert (version, track, media_time) == (1 << 24, 1, 72_000)
    assert ntp == ((1_800_000_000 + 2_208_988_800) << 32) + (1 << 30)


def test_23009_1_5_10_3_3_the_message_lasts_as_long_as_the_part() -> None:
    frames = [b"x"] * 25
    emsg = dict(boxes(fmp4.part(Rendition.OPUS, 3, frames, START_US, b'{"a":1}')))["/emsg"]
    assert struct.unpack_from(">IIQII", emsg) == (1 << 24, RATE, 72_000, 24_000, 3)
    assert emsg[24:] == b"urn:rostra:now\0\0" + b'{"a":1}'


@needs_ffmpeg
def test_ffprobe_finds_every_frame_at_its_exact_time(
    broadcast: tuple[Rendition, bytes, list[bytes]], tmp_path: Path
) -> None:
    rendition, init, parts = broadcast
    shape = rendition.shape
    path = tmp_path / "live.mp4"
    path.write_bytes(init + b"".join(parts))
    stream, packets = probed(path)
    assert stream["codec_name"] == ("opus" if rendition is Rendition.OPUS else "aac")
    assert (stream["sample_rate"], stream["channels"]) == ("48000", shape.channels)
    assert stream["start_pts"] == 0
    assert stream["duration_ts"] == 10 * shape.part_samples
    assert [packet["pts"] for packet in packets] == [n * shape.frame_samples for n in range(10 * shape.frames_per_part)]


@needs_ffmpeg
def test_a_player_that_joins_in_the_middle_keeps_the_broadcasts_time(
    broadcast: tuple[Rendition, bytes, list[bytes]], tmp_path: Path
) -> None:
    rendition, init, parts = broadcast
    path = tmp_path / "join.mp4"
    path.write_bytes(init + b"".join(parts[6:]))
    _, packets = probed(path)
    assert packets[0]["pts"] == 6 * rendition.shape.part_samples
    assert len(packets) == 4 * rendition.shape.frames_per_part


@needs_ffmpeg
def test_the_finished_recording_sounds_exactly_like_the_live_parts(
    broadcast: tuple[Rendition, bytes, list[bytes]], tmp_path: Path
) -> None:
    rendition, init, parts = broadcast
    shape = rendition.shape
    live, whole = tmp_path / "live.mp4", tmp_path / "recording.m4a"
    live.write_bytes(init + b"".join(parts))
    bare = [fmp4.part(rendition, number, fmp4.frames_of(payload), START_US) for number, payload in enumerate(parts)]
    file = progressive.finished(rendition, init, map(len, bare))
    sizes = b"".join(fmp4.read_part(payload).sizes for payload in bare)
    sources = {progressive.HEAD: file.head, progressive.SIZES: sizes, **dict(enumerate(bare))}
    runs = file.extents(0, file.size)
    whole.write_bytes(b"".join(sources[one.part][one.offset : one.offset + one.length] for one in runs))
    assert [path for path, _ in boxes(whole.read_bytes()) if path.count("/") == 1] == ["/ftyp", "/moov", "/mdat"]
    stream, packets = probed(whole)
    assert stream["duration_ts"] == 10 * shape.part_samples
    assert len(packets) == 10 * shape.frames_per_part
    from_live, from_whole = decoded(live, shape.channels), decoded(whole, shape.channels)
    assert np.array_equal(from_live, from_whole)
    middle = from_live[RATE : 3 * RATE]
    assert 20 * np.log10(np.sqrt(np.mean(middle**2)) * np.sqrt(2)) == pytest.approx(-12.04, abs=0.3)
