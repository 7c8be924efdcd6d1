"""The newest parts as written answers: so many and no more, and nothing left of what is dropped."""

from rostra.edge.count import Heard
from rostra.edge.hot import Hot
from rostra.edge.newest import Newest
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import date_line

DATE = date_line(0)
SHAPE = Rendition.OPUS.shape
BASE = "/s/abc/opus/"


def kept(parts: int, begin: int = 0) -> tuple[Newest, Hot]:
    hot = Hot()
    newest = Newest(hot, Heard(10), SHAPE, BASE, "part")
    for number in range(begin, begin + parts):
        newest.keep(number, b"%d;" % number)
    return newest, hot


def test_a_part_is_found_by_its_number_and_its_answer_by_its_path() -> None:
    newest, hot = kept(5, begin=100)
    assert newest.get(102) == b"102;"
    assert newest.get(99) is None and newest.get(105) is None
    assert hot[newest.path(102)][0].at(DATE).endswith(b"102;")
    assert newest.last(2) == [(103, b"103;"), (104, b"104;")]


def test_the_oldest_go_with_their_answers_and_the_segments_made_of_them() -> None:
    newest, hot = kept(SHAPE.parts_per_segment)
    assert newest.segment(0) is not None
    for number in range(SHAPE.parts_per_segment, 3 * newest.most):
        newest.keep(number, b"x")
        if number % SHAPE.parts_per_segment == SHAPE.parts_per_segment - 1:
            newest.segment(number // SHAPE.parts_per_segment)
    assert len(newest) == newest.most
    assert len(hot) <= newest.most + newest.most // SHAPE.parts_per_segment
    assert newest.get(0) is None and f"{BASE}seg/0.m4s" not in hot
    newest.close()
    assert not hot


def test_a_segment_is_made_of_its_own_parts_if_all_of_them_are_kept() -> None:
    size = SHAPE.parts_per_segment
    newest, hot = kept(size + 2, begin=size - 1)
    assert newest.segment(0) is None
    answer = newest.segment(1)
    assert answer is not None and hot[f"{BASE}seg/1.m4s"][0] is answer
    assert answer.at(DATE).endswith(b"\r\n\r\n" + b"".join(b"%d;" % number for number in range(size, 2 * size)))
    short = newest.segment(2)  # the last of an ended Space
    assert short is not None and short.at(DATE).endswith(b"\r\n\r\n%d;" % (2 * size))
    assert newest.segment(3) is None
