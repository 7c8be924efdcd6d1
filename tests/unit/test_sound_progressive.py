import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.sound import fmp4, progressive
from rostra.sound.progressive import HEAD, SIZES, Extent, VirtualFile
from rostra.sound.renditions import Rendition

renditions = st.sampled_from(Rendition)


def payloads(rendition: Rendition, count: int) -> list[bytes]:
    frames = rendition.shape.frames_per_part
    return [
        fmp4.part(rendition, number, [bytes([number % 251]) * (1 + index % 5) for index in range(frames)], 10**15)
        for number in range(count)
    ]


def bytes_of(file: VirtualFile, parts: list[bytes], extents: list[Extent]) -> bytes:
    sizes = b"".join(fmp4.read_part(payload).sizes for payload in parts)
    sources = {HEAD: file.head, SIZES: sizes, **dict(enumerate(parts))}
    runs = [sources[one.part][one.offset : one.offset + one.length] for one in extents]
    assert [len(run) for run in runs] == [one.length for one in extents]
    return b"".join(runs)


@given(renditions, st.integers(0, 6), st.integers(0, 4000), st.integers(0, 4000))
def test_any_range_of_the_growing_file_is_that_range_of_all_bytes(
    rendition: Rendition, count: int, start: int, stop: int
) -> None:
    init, parts = fmp4.init(rendition), payloads(rendition, count)
    file = progressive.growing(init)
    for payload in parts:
        file.append(len(payload))
    whole = init + b"".join(parts)
    assert file.size == len(whole)
    assert bytes_of(file, parts, file.extents(start, stop)) == whole[start:stop]


@given(renditions, st.integers(0, 6), st.integers(0, 2000), st.integers(0, 2000))
def test_any_range_of_the_finished_file_is_that_range_of_the_whole(
    rendition: Rendition, count: int, start: int, stop: int
) -> None:
    parts = payloads(rendition, count)
    file = finished(rendition, parts)
    whole = bytes_of(file, parts, file.extents(0, file.size))
    assert len(whole) == file.size
    assert file.sizes_bytes == 4 * rendition.shape.frames_per_part * count
    stsz = whole.index(b"stsz") + 16
    assert whole[stsz:][: file.sizes_bytes] == b"".join(fmp4.read_part(payload).sizes for payload in parts)
    assert whole.endswith(b"".join(frame for payload in parts for frame in fmp4.frames_of(payload)))
    assert bytes_of(file, parts, file.extents(start, stop)) == whole[start:stop]


def test_two_hours_are_indexed_completely() -> None:
    payload = payloads(Rendition.HLS, 1)[0]
    view = fmp4.read_part(payload)
    file = progressive.finished(Rendition.HLS, fmp4.init(Rendition.HLS), [len(payload)] * 14_062)
    assert file.parts == 14_062
    assert file.size == len(file.head) + 14_062 * (view.media_length + 4 * Rendition.HLS.shape.frames_per_part)
    assert file.extents(file.size - 3, file.size + 9) == [
        Extent(14_061, view.media_offset + view.media_length - 3, 3),
    ]


def test_a_recording_past_four_gigabytes_gets_wide_offsets() -> None:
    lead = fmp4.lead_bytes(Rendition.HLS)
    file = progressive.finished(Rendition.HLS, fmp4.init(Rendition.HLS), [lead + (1 << 30)] * 5)
    assert b"co64" in file.head
    assert file.head[-16:] == (1).to_bytes(4, "big") + b"mdat" + (16 + (5 << 30)).to_bytes(8, "big")
    at, begins = file.head.index(b"co64") + 12, len(file.head) + file.sizes_bytes
    assert int.from_bytes(file.head[at : at + 8], "big") == begins
    assert int.from_bytes(file.head[at + 32 : at + 40], "big") == begins + (4 << 30)


def test_a_part_too_short_for_its_frames_is_refused() -> None:
    short = fmp4.lead_bytes(Rendition.OPUS) + Rendition.OPUS.shape.frames_per_part - 1
    with pytest.raises(ValueError):
        progressive.finished(Rendition.OPUS, fmp4.init(Rendition.OPUS), [short])


def finished(rendition: Rendition, parts: list[bytes]) -> VirtualFile:
    return progressive.finished(rendition, fmp4.init(rendition), map(len, parts))
