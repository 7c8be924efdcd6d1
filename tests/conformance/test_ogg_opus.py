"""Opus in Ogg, clause by clause: RFC 3533 (pages) and RFC 7845 (what is in them), read by an independent parser."""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ogg_pages import crc, pages

from rostra.codec import opus
from rostra.kernel.ids import SpaceId
from rostra.sound import ogg

SPACE = SpaceId("abcdefghjk")
PACKETS = st.lists(st.binary(min_size=0, max_size=1275), min_size=0, max_size=40)


def stream(first: int, parts: int, frames: list[bytes]) -> bytes:
    """A stream that begins at part `first` and ends after `parts`."""
    sound = [ogg.PartPage(SPACE, part, frames[25 * part : 25 * part + 25]).since(first) for part in range(first, parts)]
    return ogg.head(SPACE, first, [("TITLE", "Zürich")]) + b"".join(sound) + ogg.end_page(SPACE, parts, first)


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """Three seconds of a tone in 20 ms packets."""
    encoder = opus.Encoder(48_000)
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000 * 3) / 48_000)).astype(np.float32)
    return [encoder.encode(tone[at : at + 960]) for at in range(0, tone.size, 960)]


def test_3533_6_checksum_is_that_of_the_polynomial_bit_by_bit() -> None:
    assert ogg.checksum(b"") == bytes(4)
    assert ogg.checksum(b"123456789") == crc(b"123456789").to_bytes(4, "little") == bytes.fromhex("7f89a189")


@given(st.binary(max_size=300))
def test_3533_6_checksum_of_any_bytes(data: bytes) -> None:
    assert ogg.checksum(data) == crc(data).to_bytes(4, "little")


@given(PACKETS, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_3533_6_a_page_gives_its_packets_back(
    packets: list[bytes], granule: int, serial: int, number: int, flags: int
) -> None:
    needed = sum(len(packet) // 255 + 1 for packet in packets)
    if needed > 255:
        with pytest.raises(ValueError, match="do not fit"):
            ogg.page(serial, number, granule, packets, flags)
        return
    (page,) = pages(ogg.page(serial, number, granule, packets, flags), check=False)
    assert page.packets == packets and not page.open
    assert (page.granule, page.serial, page.number, page.flags) == (granule, serial, number, flags)


def test_3533_4_a_part_of_the_largest_packets_fits_on_one_page() -> None:
    assert len(pages(ogg.PartPage(SPACE, 0, [bytes(1275)] * 25).since(0))) == 1


def test_3533_6_first_page_begins_the_stream_and_the_last_ends_it(frames: list[bytes]) -> None:
    found = pages(stream(0, 6, frames))
    assert [page.flags for page in found] == [2, 0, 0, 0, 0, 0, 0, 0, 4]
    assert {page.serial for page in found} == {found[0].serial}


def test_3533_6_page_numbers_go_up_by_one_from_the_beginning(frames: list[bytes]) -> None:
    assert [page.number for page in pages(stream(0, 6, frames))] == list(range(9))


def test_3533_6_whoever_joins_in_the_middle_has_a_stream_without_a_gap_too(frames: list[bytes]) -> None:
    assert [page.number for page in pages(stream(4, 6, frames))] == [0, 1, 2, 3, 4]


@given(st.integers(0, 10_000_000), st.integers(0, 10_000_000), st.lists(st.binary(max_size=300), max_size=40))
def test_a_part_is_the_same_packets_in_everybodys_stream(first: int, after: int, packets: list[bytes]) -> None:
    (found,) = pages(ogg.PartPage(SPACE, first + after, packets).since(first))
    assert (found.number, found.granule, found.packets) == (after + 2, (after + 1) * 24_000, packets)


def test_7845_3_the_head_is_alone_on_its_page_and_so_are_the_tags(frames: list[bytes]) -> None:
    head, tags, *_ = pages(stream(2, 6, frames))
    assert len(head.packets) == len(tags.packets) == 1 and not tags.open
    assert head.granule == tags.granule == 0


@pytest.mark.parametrize(("first", "pre_skip"), [(0, 312), (1, 3840), (100_000, 3840)])
def test_7845_4_2_and_5_1_the_head_says_how_much_to_leave_out(first: int, pre_skip: int) -> None:
    head = pages(ogg.head(SPACE, first, []))[0].packets[0]
    assert struct.unpack("<8sBBHIhB", head) == (b"OpusHead", 1, 1, pre_skip, 48_000, 0, 0)


def test_7845_5_2_tags_are_a_vendor_and_names_with_texts() -> None:
    tags = pages(ogg.head(SPACE, 0, [("TITLE", "Zürich"), ("ARTIST", "Ada")]))[1].packets[0]
    assert tags[:8] == b"OpusTags"
    size = struct.unpack_from("<I", tags, 8)[0]
    at = 12 + size
    assert tags[12:at] == b"Rostra"
    (count,) = struct.unpack_from("<I", tags, at)
    texts, at = [], at + 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", tags, at)
        texts.append(tags[at + 4 : at + 4 + size].decode())
        at += 4 + size
    assert texts == ["TITLE=Zürich", "ARTIST=Ada"] and at == len(tags)


def test_7845_5_2_a_title_of_any_length_is_cut_to_fit_its_page() -> None:
    tags = pages(ogg.head(SPACE, 0, [("TITLE", "ü" * 100_000)]))
    assert len(tags) == 2 and b"TITLE=\xc3\xbc" in tags[1].packets[0]


def test_7845_4_a_page_says_where_its_last_sample_is(frames: list[bytes]) -> None:
    _, _, *sound, end = pages(stream(3, 6, frames))
    assert [page.granule for page in sound] == [24_000 * part for part in (1, 2, 3)]
    assert end.granule == 2**64 - 1 and end.packets == []


@pytest.mark.parametrize(("first", "heard"), [(0, 144_000 - 312), (2, 96_000 - 3840)])
def test_opusinfo_and_ffprobe_find_nothing_wrong(frames: list[bytes], tmp_path: Path, first: int, heard: int) -> None:
    file = tmp_path / "live.opus"
    file.write_bytes(stream(first, 6, frames))
    if shutil.which("opusinfo"):
        said = subprocess.run(["opusinfo", file], capture_output=True, text=True, timeout=20).stdout
        assert "WARNING" not in said
        assert "TITLE=Zürich" in said and "Channels: 1" in said
    decode = ["ffmpeg", "-v", "warning", "-i", str(file), "-f", "s16le", "-"]
    decoded = subprocess.run(decode, capture_output=True, timeout=20)
    assert decoded.stderr == b""
    assert len(decoded.stdout) // 2 == heard
