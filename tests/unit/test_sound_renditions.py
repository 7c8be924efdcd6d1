from hypothesis import given
from hypothesis import strategies as st

from rostra.sound.cutter import Cutter
from rostra.sound.renditions import RATE, TARGET_DURATION_S, Rendition, rendition_of_url

renditions = st.sampled_from(Rendition)


def test_parts_are_about_half_a_second_and_segments_about_four() -> None:
    assert (Rendition.OPUS.shape.part_s, Rendition.OPUS.shape.segment_s) == (0.5, 4.0)
    assert (Rendition.HLS.shape.part_s, Rendition.HLS.shape.segment_s) == (0.512, 4.096)
    assert all(round(rendition.shape.segment_s) == TARGET_DURATION_S for rendition in Rendition)


def test_a_part_is_a_whole_number_of_microseconds() -> None:
    for rendition in Rendition:
        assert rendition.shape.part_us * RATE == rendition.shape.part_samples * 1_000_000


@given(renditions, st.integers(0, 2**40))
def test_number_and_time_are_the_same_thing(rendition: Rendition, part: int) -> None:
    shape = rendition.shape
    first = shape.first_sample(part)
    assert shape.part_of_sample(first) == part
    assert shape.part_of_sample(first + shape.part_samples - 1) == part
    assert shape.part_of_sample(first + shape.part_samples) == part + 1


@given(renditions, st.integers(0, 2**40))
def test_a_part_is_found_in_its_segment(rendition: Rendition, part: int) -> None:
    shape = rendition.shape
    msn = shape.segment_of_part(part)
    assert part in shape.parts_of_segment(msn)
    assert shape.first_part(msn) + shape.index_in_segment(part) == part
    assert shape.segments_complete(part) == msn


def test_only_the_two_names_are_renditions() -> None:
    assert rendition_of_url("opus") is Rendition.OPUS
    assert rendition_of_url("hls") is Rendition.HLS
    assert rendition_of_url("OPUS") is None


@given(renditions, st.integers(0, 1000), st.integers(0, 120))
def test_frames_leave_the_cutter_in_exact_parts_in_order(rendition: Rendition, first: int, count: int) -> None:
    shape, cutter = rendition.shape, Cutter(rendition, first)
    frames = [index.to_bytes(2, "big") for index in range(count)]
    cuts = [cut for index, frame in enumerate(frames) if (cut := cutter.add(frame, 1000 * index))]
    assert [cut.number for cut in cuts] == list(range(first, first + count // shape.frames_per_part))
    assert [frame for cut in cuts for frame in cut.frames] == frames[: len(cuts) * shape.frames_per_part]
    assert all(cut.start_us == 1000 * shape.frames_per_part * index for index, cut in enumerate(cuts))
    assert cutter.next_sample == shape.first_sample(first) + count * shape.frame_samples
    assert (count + cutter.missing) % shape.frames_per_part == 0
