import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.sound import fmp4
from rostra.sound.renditions import Rendition

renditions = st.sampled_from(Rendition)
frame_lists = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=30)
START_US = 1_800_000_000_123_456


@given(
    renditions,
    st.integers(0, 2**33),
    frame_lists,
    st.integers(0, 2**32 * 1_000_000 - 1),  # 1970 to 2106, as far as NTP's 64 bits tell apart
    st.none() | st.binary(max_size=200),
)
def test_what_is_written_is_read_back(
    rendition: Rendition, number: int, frames: list[bytes], start_us: int, message: bytes | None
) -> None:
    payload = fmp4.part(rendition, number, frames, start_us, message)
    view = fmp4.read_part(payload)
    assert view.first_sample == number * rendition.shape.part_samples
    assert view.frame_samples == rendition.shape.frame_samples
    assert view.frame_sizes() == tuple(map(len, frames))
    assert payload[view.media_offset : view.media_offset + view.media_length] == b"".join(frames)
    assert view.start_us == start_us
    assert view.messages == (() if message is None else (message,))
    assert fmp4.frames_of(memoryview(payload)) == frames


@given(renditions, st.integers(0, 2**33), st.data())
def test_a_part_without_a_message_tells_its_sizes_before_its_first_frame(
    rendition: Rendition, number: int, data: st.DataObject
) -> None:
    count, end = rendition.shape.frames_per_part, fmp4.lead_bytes(rendition)
    frames = data.draw(st.lists(st.binary(min_size=1, max_size=40), min_size=count, max_size=count))
    payload = fmp4.part(rendition, number, frames, START_US)
    lead, length = payload[:end], len(payload)
    assert payload[end:] == b"".join(frames)
    assert fmp4.lead_sizes(rendition, number, lead, length) == fmp4.read_part(payload).sizes
    other = bytearray(lead)
    other[data.draw(st.integers(32, end - 1))] ^= data.draw(st.integers(1, 255))
    wrong = [
        (number + 1, lead, length),
        (number, lead, length + data.draw(st.sampled_from([-length, 1 - count, -1, 1]))),
        (number, lead[: data.draw(st.integers(0, end - 1))], length),
        (number, lead + b"x", length),
        (number, bytes(other), length),
        (number, fmp4.part(rendition, number, frames, START_US, b"{}")[:end], length),
        (number, fmp4.part(rendition, number, frames[1:], START_US)[:end], length),
    ]
    for what in wrong:
        with pytest.raises(ValueError):
            fmp4.lead_sizes(rendition, *what)


@given(frame_lists, st.binary(max_size=30))
def test_a_part_cut_short_or_with_a_tail_is_refused(frames: list[bytes], tail: bytes) -> None:
    payload = fmp4.part(Rendition.OPUS, 7, frames, START_US, b"{}")
    for length in range(len(payload)):
        with pytest.raises(ValueError):
            fmp4.read_part(payload[:length])
    if tail:
        with pytest.raises(ValueError):
            fmp4.read_part(payload + tail)


@given(st.binary(max_size=400))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError):
        fmp4.read_part(junk)


@given(frame_lists, st.data())
def test_a_damaged_part_is_refused_or_read_never_worse(frames: list[bytes], data: st.DataObject) -> None:
    payload = bytearray(fmp4.part(Rendition.HLS, 7, frames, START_US, b"{}"))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    try:
        view = fmp4.read_part(bytes(payload))
    except ValueError:
        return
    assert sum(view.frame_sizes()) == view.media_length
    assert view.media_offset + view.media_length == len(payload)


def test_a_box_that_claims_no_length_does_not_hold_the_reader_up() -> None:
    for size in (0, 1, 7):
        with pytest.raises(ValueError):
            fmp4.read_part(size.to_bytes(4, "big") + b"prft" + bytes(100))


def test_a_part_without_frames_is_refused() -> None:
    with pytest.raises(ValueError):
        fmp4.part(Rendition.OPUS, 0, [], START_US)


def test_the_encoder_setup_is_found_in_the_init_segment() -> None:
    config = bytes.fromhex("119056e500")
    assert fmp4.audio_config_of(fmp4.init(Rendition.HLS, config)) == config
    assert fmp4.audio_config_of(fmp4.init(Rendition.OPUS)) is None
    for junk in (b"", b"esds", fmp4.init(Rendition.HLS)[:-400]):
        with pytest.raises(ValueError):
            fmp4.audio_config_of(junk)


def test_the_ntp_time_survives_the_turn_of_its_era_in_2036() -> None:
    start_us = 2_085_978_497_250_000
    payload = fmp4.part(Rendition.OPUS, 0, [b"x"], start_us)
    assert fmp4.read_part(payload).start_us == start_us
