"""The sketch against exact sets."""

import random
import statistics
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.kernel.sketch import BYTES_MOST, ERROR, EXACT_MOST, SAMPLE_MOST, Mark, Sample, Sketch, overlaps

MARKS = st.integers(0, 2**64 - 1)


def crowd(size: int, seed: int) -> list[int]:
    drawn = random.Random(seed)
    return [drawn.getrandbits(64) for _ in range(size)]


@given(st.lists(MARKS, max_size=60))
def test_a_small_one_is_the_exact_set(marks: list[int]) -> None:
    sketch = Sketch(marks)
    assert (sketch.estimate(), sketch.error) == (len(set(marks)), 0.0)


@given(st.lists(st.tuples(st.integers(0, 3), MARKS), max_size=60), st.permutations(range(4)))
def test_however_it_was_shared_out_the_union_is_the_same(given: list[tuple[int, int]], order: list[int]) -> None:
    shares = [Sketch(mark for at, mark in given if at == place) for place in range(4)]
    union = Sketch()
    for place in order:
        union.merge(shares[place])
        union.merge(shares[place])  # told twice is told once
    assert union == Sketch(mark for _, mark in given)


@pytest.mark.parametrize("size", [EXACT_MOST + 1, 12_000, 30_000])
def test_a_large_one_is_off_by_its_error_and_leans_to_no_side(size: int) -> None:
    off = [Sketch(crowd(size, seed)).estimate() / size - 1 for seed in range(3)]
    assert max(map(abs, off)) < 3 * ERROR
    assert abs(statistics.mean(off)) < 2 * ERROR


def test_registers_of_several_make_the_registers_of_all() -> None:
    marks = crowd(18_000, 7)
    one, two, small = Sketch(marks[:10_000]), Sketch(marks[8000:]), Sketch(marks[:100])
    for pair in ((one, two), (two, one), (small, one), (one, small)):
        union = pair[0].copy()
        union.merge(pair[1])
        assert union == Sketch(marks if small not in pair else marks[:10_000])
    assert one == Sketch(marks[:10_000])  # a copy was changed, not itself


@pytest.mark.parametrize("size", [0, 1, EXACT_MOST, EXACT_MOST + 1, 20_000])
def test_it_comes_back_from_its_bytes(size: int) -> None:
    sketch = Sketch(crowd(size, 3))
    data = sketch.to_bytes()
    assert len(data) <= BYTES_MOST
    assert Sketch.from_bytes(data) == sketch


def test_adding_on_after_a_journey_is_as_if_it_had_not_been() -> None:
    marks = crowd(9000, 5)
    for journey in (2500, 8500):
        sketch = Sketch.from_bytes(Sketch(marks[:journey]).to_bytes())
        for mark in marks[journey:]:
            sketch.add(mark)
        assert sketch == Sketch(marks)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"E", b"XX", b"E1123", b"E1" + bytes(8 * (EXACT_MOST + 1)), b"H1", b"H1nonsense", b"H1" + bytes(20_000),
        b"H1" + zlib.compress(bytes(100)), b"H1" + zlib.compress(bytes(50_000_000), 9), b"H1" + zlib.compress(b"\xff" * (1 << 14)),
        b"H1" + zlib.compress(bytes(1 << 14)) + b"more", b"H1" + zlib.compress(bytes(1 << 14))[:-1],
    ],
)  # fmt: skip
def test_what_is_no_sketch_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Sketch.from_bytes(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sketch_or_a_value_error(data: bytes) -> None:
    try:
        sketch = Sketch.from_bytes(data)
    except ValueError:
        return
    assert sketch.estimate() >= 0


def test_only_who_has_the_key_foresees_a_mark() -> None:
    one, two = Mark(b"k" * 16), Mark(b"l" * 16)
    names = [f"name {number}" for number in range(200)]
    assert [one(name) for name in names] == [one(name) for name in names]
    assert not {one(name) for name in names} & {two(name) for name in names}


def test_what_several_have_seen_is_found_in_samples() -> None:
    marks = crowd(3500, 11)
    assert overlaps([]) == ([], 0.0)
    parts = [Sample(marks[:1500]), Sample(marks[1000:2500]), Sample(marks[2200:]), Sample(marks[:100])]
    assert overlaps(parts) == ([0, 500, 300, 100], 0.0)
    large = crowd(24_000, 12)
    assert overlaps([Sample(large[:12_000]), Sample(large[12_000:])]) == ([0, 0], 0.0)
    (none, twice), error = overlaps([Sample(large[:18_000]), Sample(large[12_000:])])
    assert none == 0 < error < 0.1 * 6000 and abs(twice - 6000) < 3 * error


@given(st.lists(st.sets(MARKS, max_size=40), max_size=4))
def test_small_sets_share_what_they_share(sets: list[set[int]]) -> None:
    shared, error = overlaps([Sample.from_bytes(Sample(one).to_bytes()) for one in sets])
    starts = [{mark >> 24 for mark in one} for one in sets]
    assert (sum(shared), error) == (sum(map(len, starts)) - len(set().union(*starts)), 0.0)


def test_a_sample_is_bounded_and_what_is_none_is_refused() -> None:
    sample = Sample(crowd(40_000, 1))
    assert len(sample.starts) <= SAMPLE_MOST < 2.5 * len(sample.starts) and sample.level == 5
    assert Sample.from_bytes(sample.to_bytes()) == sample
    for data in (
        b"",
        b"S1",
        b"S1\x00123",
        b"S1\x01" + b"\xff" * 5,
        b"S1\x29",
        b"S1\x00" + bytes(5 * SAMPLE_MOST + 5),
        b"E1",
    ):
        with pytest.raises(ValueError):
            Sample.from_bytes(data)
