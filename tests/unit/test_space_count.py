"""Reports on the way from edge to stage, and what pretends to be one."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.kernel.errors import PeerError
from rostra.kernel.sketch import EXACT_MOST, SAMPLE_MOST, Sample, Sketch
from rostra.space.count import KINDS, REPORT_BYTES_MOST, Report, method_in_words, parse_report, sampling_error
from rostra.space.events import Counted, from_json

WHOLE = Report("edge", {"web": 3}, key=bytes(16), unique=Sketch([1, 2]), named={"web": Sample([1])}).to_plain()


@given(
    st.dictionaries(st.sampled_from(KINDS), st.integers(0, 10**7)),
    st.binary(min_size=16, max_size=16),
    st.none() | st.lists(st.integers(0, 2**64 - 1), max_size=5),
)
def test_a_report_arrives_as_it_was_sent(kinds: dict[str, int], key: bytes, marks: list[int] | None) -> None:
    unique = None if marks is None else Sketch(marks)
    named = {kind: Sample(marks or ()) for kind in kinds}
    report = Report("edge-2", kinds, key=key, unique=unique, named=named)
    assert parse_report(json.loads(json.dumps(report.to_plain()))) == report


def test_the_longest_report_fits() -> None:
    marks, sample = range(2**63, 2**63 + EXACT_MOST), Sample(number << 24 for number in range(SAMPLE_MOST))
    report = Report(
        "x" * 100, dict.fromkeys(KINDS, 10**7), key=bytes(16), unique=Sketch(marks), named=dict.fromkeys(KINDS, sample)
    )
    assert len(json.dumps(report.to_plain())) < REPORT_BYTES_MOST


@pytest.mark.parametrize(
    "wrong",
    [
        {"edge": ""}, {"edge": "x" * 101}, {"edge": 7}, {"edge": "a\nb"}, {"edge": None},
        {"now": 4}, {"now": -1}, {"now": True}, {"now": "3"}, {"now": 3.0}, {"now": None},
        {"kinds": {"web": -3}}, {"kinds": {"web": 1.5}}, {"kinds": {"ghosts": 3}}, {"kinds": []}, {"kinds": {"web": 10**12}, "now": 10**12},
        {"kinds": {"web": True}, "now": 1},
        {"method": "guess"}, {"method": None}, {"method": ["edge"]}, {"one_in": 0}, {"one_in": 2}, {"one_in": "1"},
        {"every_s": 0}, {"every_s": 61}, {"every_s": float("nan")}, {"every_s": True}, {"every_s": "2"},
        {"key": "short"}, {"key": base64.b64encode(bytes(15)).decode()}, {"key": 7}, {"key": "ü"},
        {"unique": "no base64!"}, {"unique": ""}, {"unique": 7}, {"unique": {}}, {"unique": base64.b64encode(b"H1junk").decode()},
        {"why": "\ud800"}, {"why": "a\nb"}, {"why": "x" * 101}, {"why": None}, {"step": 4}, {"step": -1}, {"step": True},
        {"named": []}, {"named": {"hls": None}}, {"named": {"web": "junk"}}, {"named": {"web": base64.b64encode(b"S1\x01" + b"\xff" * 5).decode()}},
    ],
)  # fmt: skip
def test_what_no_edge_can_have_sent_is_refused_with_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(PeerError) as refusal:
        parse_report({**WHOLE, **wrong})
    assert refusal.value.status == 400 and str(refusal.value).endswith(".")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(sorted(WHOLE)), JSON))
def test_any_json_is_a_report_or_a_refusal(plain: dict[str, Any]) -> None:
    try:
        parse_report({**WHOLE, **plain})
    except PeerError as refusal:
        assert refusal.status == 400


def test_a_record_from_before_kinds_were_counted_still_reads() -> None:
    old = b'{"type":"counted","now":40,"peak":60,"method":"connections"}'
    assert from_json(old) == Counted(40, 60, "connections", unique=0, kinds={}, error=0.0, unique_error=0.0)
    new = Counted(5, 6, "m", 9, {"web": 5}, 0.0, 0.0081)
    assert from_json(new.to_json()) == new
    for wrong in (
        b'{"type":"counted","now":40,"peak":60}',
        b'{"type":"counted","now":1,"peak":1,"method":"m","more":1}',
    ):
        with pytest.raises(ValueError, match="missing or unknown"):
            from_json(wrong)


def test_a_sample_says_how_far_off_it_may_be() -> None:
    assert sampling_error(10_000, 1) == 0.0
    assert round(sampling_error(100_000, 100), 4) == 0.0315
    assert "one in 100" in method_in_words("beacon", 100) and "one in" not in method_in_words("beacon", 1)
