"""Paths, ranges and codings: what a request to the edge says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.edge.answers import matches, takes_gzip
from rostra.edge.ranges import Span, Unsatisfiable, span_of
from rostra.edge.route import Route, Thing, route
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition

ID = SpaceId("abcdefghjk")


@pytest.mark.parametrize(
    ("path", "thing", "rendition", "number"),
    [
        ("hls/index.m3u8", Thing.INDEX, Rendition.HLS, 0), ("opus/live.m3u8", Thing.LIVE, Rendition.OPUS, 0),
        ("hls/replay.m3u8", Thing.REPLAY, Rendition.HLS, 0), ("opus/init.mp4", Thing.INIT, Rendition.OPUS, 0),
        ("hls/part/0.m4s", Thing.PART, Rendition.HLS, 0), ("opus/seg/123456789.m4s", Thing.SEGMENT, Rendition.OPUS, 123456789),
        ("opus/join.mp4", Thing.JOIN, Rendition.OPUS, 0), ("opus/levels.json", Thing.LEVELS, Rendition.OPUS, 0),
        ("recording.m4a", Thing.RECORDING, Rendition.HLS, 0),
    ],
)  # fmt: skip
def test_each_address_has_its_route(path: str, thing: Thing, rendition: Rendition, number: int) -> None:
    assert route(f"/s/{ID}/{path}") == Route(ID, thing, rendition, number)


@pytest.mark.parametrize(
    "path",
    [
        "hls/part/00.m4s", "hls/part/+1.m4s", "hls/part/1_0.m4s", "hls/part/١.m4s", "hls/part/1.m4s/", "hls/part/1.mp4", "hls/part/1.m4s\n",
        "hls/part/.m4s", "hls/part/1234567890.m4s", "hls/Part/1.m4s", "HLS/live.m3u8", "hls/levels.json", "hls", "", "recording.m4a/x",
    ],
)  # fmt: skip
def test_other_spellings_have_none(path: str) -> None:
    assert route(f"/s/{ID}/{path}") is None


@given(st.text(max_size=60))
def test_any_path_has_a_route_or_none(path: str) -> None:
    assert route("/" + path) is None or "/s/" in "/" + path


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None), ("bytes=0-0", Span(0, 1)), ("bytes=0-", Span(0, 100)), ("bytes=99-", Span(99, 100)), ("bytes=5-1000", Span(5, 100)),
        ("bytes=-1", Span(99, 100)), ("bytes=-1000", Span(0, 100)), ("Bytes= 1-2", Span(1, 3)), ("bytes=2-1", None), ("bytes=-", None),
        ("bytes=0-1,3-4", None), ("items=0-1", None), ("bytes=a-b", None), ("bytes=0-1x", None), ("bytes=" + "9" * 30 + "-", None),
    ],
)  # fmt: skip
def test_a_range_is_a_span_or_the_whole(header: str | None, span: Span | None) -> None:
    assert span_of(header, 100) == span


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        span_of(header, 100)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 200))
def test_a_span_lies_within_the_file(first: int, last: int, size: int) -> None:
    try:
        span = span_of(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    assert span is None if last < first else span == Span(first, min(last + 1, size))


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("br, GZIP;q=0.1", True), ("*", True), ("*;q=0, gzip", True), ("gzip;q=0", False), ("", False), ("identity", False),
     ("gzip;q=x", False), ("*;q=1, gzip;q=0", False)],
)  # fmt: skip
def test_gzip_is_for_those_who_take_it(header: str, takes: bool) -> None:
    assert takes_gzip(header) is takes


def test_entity_tags_are_compared_weakly() -> None:
    assert matches('"p1"', 'W/"p1"')
    assert matches('"p1"', '"a", "p1"')
    assert matches('"p1"', "*")
    assert not matches('"p1"', '"p10"')
