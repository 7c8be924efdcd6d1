"""Playlists against draft-pantos-hls-rfc8216bis-22, clause by clause, over the states of a broadcast as it grows."""

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.kernel.clock import iso, parse_iso
from rostra.sound import hls
from rostra.sound.hls import Playlists, Ready, Reject, Wait, resolve
from rostra.sound.renditions import TARGET_DURATION_S, Rendition

START_US = 1_800_000_000_000_000
both = pytest.mark.parametrize("rendition", list(Rendition), ids=lambda one: one.shape.url)
renditions = st.sampled_from(Rendition)


@dataclass
class Segment:
    uri: str = ""
    duration_s: float = 0.0
    date_us: int | None = None
    parts: list[tuple[str, float]] = field(default_factory=list)


@dataclass
class Parsed:
    tags: dict[str, str] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    """The last one has no uri if it is in the making."""
    skipped: int = 0
    hints: list[str] = field(default_factory=list)

    @property
    def msn(self) -> int:
        return int(self.tags["EXT-X-MEDIA-SEQUENCE"])

    @property
    def duration_s(self) -> float:
        return sum(segment.duration_s for segment in self.segments if segment.uri)


def parse(text: bytes) -> Parsed:
    lines = text.decode().splitlines()
    assert lines[0] == "#EXTM3U"
    found, segment = Parsed(), Segment()
    for line in lines[1:]:
        name, _, value = line.removeprefix("#").partition(":")
        if not line.startswith("#"):
            segment.uri = line
            found.segments.append(segment)
            segment = Segment()
        elif name == "EXTINF":
            segment.duration_s = float(value.rstrip(","))
        elif name == "EXT-X-PROGRAM-DATE-TIME":
            segment.date_us = parse_iso(value)
        elif name == "EXT-X-PART":
            match = re.fullmatch(r'DURATION=([\d.]+),URI="([^"]+)",INDEPENDENT=YES', value)
            assert match
            segment.parts.append((match[2], float(match[1])))
        elif name == "EXT-X-PRELOAD-HINT":
            found.hints.append(value)
        elif name == "EXT-X-SKIP":
            found.skipped = int(value.removeprefix("SKIPPED-SEGMENTS="))
        else:
            assert name not in found.tags
            found.tags[name] = value
    if segment.date_us is not None:
        found.segments.append(segment)
    return found


def grown(rendition: Rendition, parts: int, window_s: float = 60.0) -> Playlists:
    playlists = Playlists(rendition, window_s)
    for number in range(parts):
        playlists.add(START_US + number * rendition.shape.part_us)
    return playlists


def attributes(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(","))


@both
def test_4_4_3_8_server_control_promises_what_it_must(rendition: Rendition) -> None:
    tags = parse(grown(rendition, 5).live()).tags
    control = attributes(tags["EXT-X-SERVER-CONTROL"])
    target = float(tags["EXT-X-TARGETDURATION"])
    part_target = float(attributes(tags["EXT-X-PART-INF"])["PART-TARGET"])
    assert control["CAN-BLOCK-RELOAD"] == "YES"
    assert float(control["PART-HOLD-BACK"]) >= 3 * part_target
    assert float(control["HOLD-BACK"]) >= 3 * target
    assert float(control["CAN-SKIP-UNTIL"]) >= 6 * target


@settings(deadline=None)
@given(renditions, st.integers(1, 400), st.sampled_from([30.0, 60.0, 120.0]))
def test_every_state_of_the_live_playlist_keeps_the_rules(rendition: Rendition, parts: int, window_s: float) -> None:
    shape = rendition.shape
    found = parse(grown(rendition, parts, window_s).live())
    whole = [segment for segment in found.segments if segment.uri]
    assert found.tags["EXT-X-TARGETDURATION"] == "4"
    assert "EXT-X-PLAYLIST-TYPE" not in found.tags, "6.2.2: a live playlist has none"
    assert "EXT-X-ENDLIST" not in found.tags
    assert found.tags["EXT-X-MAP"] == 'URI="init.mp4"'
    assert found.hints == [f'TYPE=PART,URI="part/{parts}.m4s"'], "B.1: always one, for the next part"
    assert [segment.uri for segment in whole] == [
        f"seg/{msn}.m4s" for msn in range(found.msn, shape.segments_complete(parts))
    ]
    # 4.4.4.1: rounded to the nearest integer, each is at most the target duration.
    assert all(round(segment.duration_s) <= TARGET_DURATION_S for segment in whole)
    # 6.2.2: nothing is removed that would leave less than three target durations.
    assert found.msn == 0 or found.duration_s >= max(window_s, 3 * TARGET_DURATION_S)
    # B.1: a date on every segment; the dates are those of the parts.
    for offset, segment in enumerate(found.segments):
        first_part = shape.first_part(found.msn + offset)
        assert segment.date_us == pytest.approx(START_US + first_part * shape.part_us, abs=1000)
    # 6.2.2: parts near the end only, without a hole, each of exactly the part target.
    end_s = parts * shape.part_s
    listed = [part for segment in found.segments for part in segment.parts]
    numbers = [int(uri.removeprefix("part/").removesuffix(".m4s")) for uri, _ in listed]
    assert numbers == list(range(numbers[0], parts))
    assert end_s - (numbers[0] + 1) * shape.part_s <= 3 * TARGET_DURATION_S
    assert numbers[0] == 0 or len(numbers) > 16
    assert {duration for _, duration in listed} == {shape.part_s}
    for offset, segment in enumerate(found.segments):
        if segment.parts:
            assert segment.parts[0][0] == f"part/{shape.first_part(found.msn + offset)}.m4s"


@both
def test_6_2_1_a_later_playlist_only_appends_and_removes_from_the_front(rendition: Rendition) -> None:
    playlists = Playlists(rendition, 30)
    seen: dict[str, Segment] = {}
    last_msn = 0
    for number in range(200):
        playlists.add(START_US + number * rendition.shape.part_us)
        found = parse(playlists.live())
        assert found.msn in (last_msn, last_msn + 1)
        last_msn = found.msn
        for segment in found.segments:
            if segment.uri:
                old = seen.setdefault(segment.uri, segment)
                assert (old.date_us, old.duration_s) == (segment.date_us, segment.duration_s)


@given(renditions, st.integers(1, 400))
def test_6_2_5_1_a_delta_update_is_the_playlist_with_its_old_segments_counted(rendition: Rendition, parts: int) -> None:
    playlists = grown(rendition, parts)
    whole, delta = parse(playlists.live()), parse(playlists.live(skip=True))
    assert delta.msn == whole.msn
    assert delta.segments == whole.segments[delta.skipped :]
    assert delta.hints == whole.hints
    end_s = parts * rendition.shape.part_s
    ends_s = [(whole.msn + index + 1) * rendition.shape.segment_s for index in range(len(whole.segments))]
    assert delta.skipped == sum(end_s - one > hls.SKIP_UNTIL_S for one in ends_s)
    assert ("EXT-X-MAP" in delta.tags) == (delta.skipped == 0)
    assert delta.tags["EXT-X-VERSION"] == whole.tags["EXT-X-VERSION"] == "9", "8: EXT-X-SKIP needs 9"


@both
def test_6_2_1_at_the_end_the_last_segment_may_be_short(rendition: Rendition) -> None:
    shape = rendition.shape
    playlists = grown(rendition, 8 * 20 + 3)
    playlists.end()
    for text in (playlists.live(), playlists.live(skip=True), playlists.replay()):
        assert text.endswith(b"#EXT-X-ENDLIST\n")
        found = parse(text)
        assert found.hints == [] and found.skipped == 0
        assert not any(segment.parts for segment in found.segments)
        assert found.segments[-1].uri == "seg/20.m4s"
        assert found.segments[-1].duration_s == pytest.approx(3 * shape.part_s, abs=3e-6)
        assert all(segment.duration_s == pytest.approx(shape.segment_s, abs=3e-6) for segment in found.segments[:-1])


@both
def test_the_replay_is_an_event_that_only_grows_and_then_ends(rendition: Rendition) -> None:
    playlists = Playlists(rendition)
    before = playlists.replay()
    for number in range(40):
        playlists.add(START_US + number * rendition.shape.part_us)
        assert playlists.replay().startswith(before)
        before = playlists.replay()
    playlists.end()
    assert playlists.replay() == before + b"#EXT-X-ENDLIST\n"
    found = parse(before)
    assert found.tags["EXT-X-PLAYLIST-TYPE"] == "EVENT"
    assert found.msn == 0
    assert [segment.uri for segment in found.segments] == [f"seg/{msn}.m4s" for msn in range(5)]
    assert found.segments[3].date_us == pytest.approx(START_US + 24 * rendition.shape.part_us, abs=1000)


@pytest.mark.parametrize("parts", [0, 1, 7, 8, 9, 250, 1203])
def test_a_past_taken_at_once_lists_what_it_would_have_part_by_part(parts: int) -> None:
    one_by_one, at_once = Playlists(Rendition.OPUS), Playlists(Rendition.OPUS)
    per_segment = Rendition.OPUS.shape.parts_per_segment
    starts_us = [1_900_000_000_000_000 + number * 500_000 - (number > 500) * 30_000_000 for number in range(parts + 9)]
    for start_us in starts_us[:parts]:
        one_by_one.add(start_us)
    at_once.resume(parts, starts_us[:parts:per_segment])
    for start_us in starts_us[parts:]:
        assert at_once.live() == one_by_one.live()
        assert at_once.replay() == one_by_one.replay()
        one_by_one.add(start_us)
        at_once.add(start_us)
    one_by_one.end()
    at_once.end()
    assert at_once.replay() == one_by_one.replay()


def test_an_end_on_a_segments_border_adds_no_segment() -> None:
    playlists = grown(Rendition.OPUS, 16)
    playlists.end()
    playlists.end()
    assert len(parse(playlists.replay()).segments) == len(parse(playlists.live()).segments) == 2


def test_6_2_1_a_wall_clock_set_back_does_not_make_dates_ambiguous() -> None:
    playlists = grown(Rendition.OPUS, 16)
    playlists.add(START_US - 3600 * 1_000_000)
    dates = [segment.date_us for segment in parse(playlists.live()).segments]
    assert dates == [START_US, START_US + 4_000_000, START_US + 8_000_000]


def test_before_the_first_part_there_is_a_hint_and_nothing_else() -> None:
    found = parse(Playlists(Rendition.HLS).live())
    assert found.segments == []
    assert found.hints == ['TYPE=PART,URI="part/0.m4s"']


@both
def test_4_4_6_2_the_multivariant_playlist_names_bandwidth_and_codec(rendition: Rendition) -> None:
    lines = hls.multivariant(rendition).decode().splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == "live.m3u8"
    values = attributes(lines[-2].removeprefix("#EXT-X-STREAM-INF:"))
    assert values["CODECS"] == f'"{rendition.shape.codec}"'
    assert int(values["BANDWIDTH"]) > int(values["AVERAGE-BANDWIDTH"]) > rendition.shape.bitrate_bps


# 6.2.5.2. Newest part 43: segments 0 to 4 are whole, parts 0 to 3 of segment 5 exist.
NEWEST = 43


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ({}, Ready(False)),
        ({"_HLS_skip": "YES"}, Ready(True)),
        ({"_HLS_skip": "v2"}, Ready(True)),
        ({"_HLS_skip": "NO"}, Ready(False)),
        ({"token": "x", "_HLS_future": "1"}, Ready(False)),
        ({"_HLS_msn": "4"}, Ready(False)),
        ({"_HLS_msn": "0", "_HLS_part": "2"}, Ready(False)),
        ({"_HLS_msn": "5"}, Wait(47, False)),
        ({"_HLS_msn": "6"}, Wait(55, False)),
        ({"_HLS_msn": "5", "_HLS_part": "3"}, Ready(False)),
        ({"_HLS_msn": "5", "_HLS_part": "4", "_HLS_skip": "YES"}, Wait(44, True)),
        ({"_HLS_msn": "5", "_HLS_part": "8"}, Wait(48, False)),
        ({"_HLS_msn": "5", "_HLS_part": "99"}, Wait(48, False)),
        ({"_HLS_msn": "4", "_HLS_part": "8"}, Ready(False)),
        ({"_HLS_msn": "6", "_HLS_part": "1"}, Wait(49, False)),
    ],
)
def test_6_2_5_2_a_request_waits_for_exactly_what_it_names(query: dict[str, str], answer: Ready | Wait) -> None:
    assert resolve(Rendition.HLS, query, NEWEST, False) == answer


@pytest.mark.parametrize(
    "query",
    [
        {"_HLS_part": "1"},
        {"_HLS_part": "1", "_HLS_skip": "YES"},
        {"_HLS_msn": "7"},
        {"_HLS_msn": "6", "_HLS_part": "2"},
        {"_HLS_msn": "6", "_HLS_part": "8"},
        {"_HLS_msn": str(2**64 - 1)},
        {"_HLS_msn": str(2**64)},
        {"_HLS_msn": "-1"},
        {"_HLS_msn": "+5"},
        {"_HLS_msn": ""},
        {"_HLS_msn": "5.0"},
        {"_HLS_msn": "٥"},
        {"_HLS_msn": "5", "_HLS_part": "x"},
        {"_HLS_msn": "5", "_HLS_part": " 4"},
        {"_HLS_msn": "9" * 5000},
    ],
)
def test_6_2_5_2_what_breaks_the_rules_gets_400(query: dict[str, str]) -> None:
    answer = resolve(Rendition.HLS, query, NEWEST, False)
    assert isinstance(answer, Reject)
    assert answer.status == 400


@pytest.mark.parametrize("query", [{"_HLS_part": "1"}, {"_HLS_msn": "999"}, {"_HLS_msn": "x"}, {"_HLS_skip": "YES"}])
def test_6_2_5_2_directives_are_ignored_after_the_end(query: dict[str, str]) -> None:
    assert resolve(Rendition.HLS, query, NEWEST, True) == Ready(False)


def test_6_2_5_2_before_the_first_part_a_player_may_wait_for_it() -> None:
    assert resolve(Rendition.HLS, {"_HLS_msn": "0", "_HLS_part": "0"}, None, False) == Wait(0, False)
    assert resolve(Rendition.HLS, {"_HLS_msn": "0"}, None, False) == Wait(7, False)


@both
def test_6_2_5_2_the_advance_part_limit_is_three_seconds_of_parts(rendition: Rendition) -> None:
    assert hls.advance_part_limit(rendition.shape) == 6


@given(renditions, st.integers(0, 500), st.integers(0, 100), st.none() | st.integers(0, 20))
def test_a_request_is_ready_exactly_when_the_playlist_has_what_it_names(
    rendition: Rendition, newest: int, msn: int, index: int | None
) -> None:
    query = {"_HLS_msn": str(msn)} | ({} if index is None else {"_HLS_part": str(index)})
    answer = resolve(rendition, query, newest, False)
    wanted = (msn + 1) * 8 - 1 if index is None else msn * 8 + min(index, 8)
    if isinstance(answer, Wait):
        assert answer.part == wanted > newest
        # Whoever waits is answered before the 503 comes, if the broadcast keeps its time.
        if index is not None:
            assert (wanted - newest) * rendition.shape.part_s <= hls.BLOCK_MOST_S
    elif isinstance(answer, Ready):
        assert wanted <= newest


def test_8_1_durations_are_exact_or_what_browsers_take_them_for() -> None:
    live = grown(Rendition.HLS, 20).live().decode()
    assert "#EXTINF:4.000000,\n" in grown(Rendition.OPUS, 20).live().decode()
    assert "#EXTINF:4.095998,\n" in live, "the last frame ends at 4.096 s, in a browser's buffer at 4.095999"
    assert '#EXT-X-PART:DURATION=0.51200,URI="part/16.m4s",INDEPENDENT=YES\n' in live
    assert f"#EXT-X-PROGRAM-DATE-TIME:{iso(START_US)}\n" in live
