"""The grid of MP3 parts: every frame in exactly one part, and each part made of no later sound than its own."""

from hypothesis import given
from hypothesis import strategies as st

from rostra.sound.mp3 import FRAME_BYTES, FRAME_SAMPLES, LOOKAHEAD_FRAMES, frames_of_part

NUMBERS = st.integers(0, 10_000_000)


@given(NUMBERS)
def test_parts_follow_each_other_without_a_gap(number: int) -> None:
    assert frames_of_part(number).stop == frames_of_part(number + 1).start


@given(NUMBERS)
def test_a_part_needs_no_sound_that_comes_after_it(number: int) -> None:
    needed = frames_of_part(number).stop + LOOKAHEAD_FRAMES
    assert needed * FRAME_SAMPLES <= (number + 1) * 24_000
    assert (needed + 1) * FRAME_SAMPLES > (number + 1) * 24_000


@given(NUMBERS)
def test_six_parts_are_three_seconds_to_the_byte(number: int) -> None:
    first, after = frames_of_part(number + 1).start, frames_of_part(number + 7).start
    assert (after - first) * FRAME_BYTES == 3 * 8000


def test_the_stream_begins_with_frame_0() -> None:
    assert frames_of_part(0) == range(19)
    assert [len(frames_of_part(number)) for number in range(1, 7)] == [21, 21, 21, 21, 21, 20]
