"""Playlists of wide parts, and renditions beside each other, against draft-pantos-hls-rfc8216bis-22."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.rehearsal.hls.findings import Finding, Severity
from rostra.rehearsal.hls.low_latency import LOW_LATENCY
from rostra.rehearsal.hls.master import MASTER, SIBLINGS, Siblings
from rostra.rehearsal.hls.one import ONE
from rostra.rehearsal.hls.reading import read
from rostra.rehearsal.hls.succession import DELTA, SUCCESSION, Delta, Step
from rostra.sound.hls import Playlists, Ready, Reject, Sibling, Wait, advance_part_limit, multivariant, resolve
from rostra.sound.renditions import Rendition

START_US = 1_900_000_000_000_000
URL = {rendition: f"http://a/s/x/{rendition.shape.url}/" for rendition in Rendition}
each = pytest.mark.parametrize("rendition", list(Rendition), ids=lambda one: one.shape.url)


def complaints(found: list[Finding]) -> list[str]:
    return [f"{one.rule.name}: {one.sentence}" for one in found if one.rule.severity is not Severity.NOTE]


def grown(rendition: Rendition, parts: int) -> Playlists:
    playlists = Playlists(rendition, 30.0)
    for number in range(parts):
        playlists.add(START_US + number * rendition.shape.part_us)
    return playlists


@each
def test_a_wide_part_is_two_parts_and_a_segment_stays_what_it_is(rendition: Rendition) -> None:
    shape, wide = rendition.shape, rendition.wide
    assert wide.part_samples == 2 * shape.part_samples
    assert wide.segment_samples == shape.segment_samples
    assert [wide.segment_of_part(n) for n in range(40)] == [shape.segment_of_part(2 * n) for n in range(40)]


@each
def test_no_version_of_a_wide_playlist_as_it_grows_breaks_a_rule(rendition: Rendition) -> None:
    playlists = Playlists(rendition, 24.0)
    before = None
    for number in range(260):
        playlists.add(START_US + number * rendition.shape.part_us)
        if number % 2 == 0:
            continue  # half of a wide part: nothing new to list
        live = read(playlists.live(wide=True))
        assert complaints([*ONE.judge(live), *LOW_LATENCY.judge(live)]) == []
        update = read(playlists.live(skip=True, wide=True))
        assert complaints(list(DELTA.judge(Delta(live, update)))) == []
        if before is not None:
            step = Step(before, live, rendition.wide.segment_s, rendition.wide.part_s)
            assert complaints(list(SUCCESSION.judge(step))) == []
        before = live
    assert before is not None
    playlists.end()
    ended = read(playlists.live(wide=True))
    assert complaints([*ONE.judge(ended), *SUCCESSION.judge(Step(before, ended))]) == []


@given(st.sampled_from(Rendition), st.integers(2, 300))
def test_the_wide_playlist_has_the_segments_of_the_other_and_only_whole_wide_parts(
    rendition: Rendition, parts: int
) -> None:
    playlists = grown(rendition, parts)
    narrow, wide = playlists.live().decode(), playlists.live(wide=True).decode()

    def segments(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith("seg/")]

    assert segments(wide) == segments(narrow)
    assert "part/" not in wide
    listed = [line for line in wide.splitlines() if line.startswith("#EXT-X-PART:")]
    assert all(line.startswith(f"#EXT-X-PART:DURATION={rendition.wide.part_s:.5f},") for line in listed)
    assert listed[-1].endswith(f'URI="wide/{parts // 2 - 1}.m4s",INDEPENDENT=YES')
    assert f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="wide/{parts // 2}.m4s"' in wide
    assert f"PART-TARGET={rendition.wide.part_s:.5f}" in wide


def test_an_odd_end_is_told_with_the_length_it_has() -> None:
    playlists = grown(Rendition.HLS, 8 * 3 + 5)
    playlists.end()
    assert "#EXTINF:2.559998,\nseg/3.m4s\n#EXT-X-ENDLIST" in playlists.live(wide=True).decode()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("behind", [0, 1])
def test_b_1_renditions_of_one_master_report_on_each_other_and_stay_in_step(wide: bool, behind: int) -> None:
    for parts in range(8, 120):
        both = {Rendition.HLS: grown(Rendition.HLS, parts), Rendition.LOW: grown(Rendition.LOW, parts - behind)}
        name = "wide.m3u8" if wide else "live.m3u8"
        pages = {}
        for rendition, playlists in both.items():
            others = [Sibling(one, other.parts) for one, other in both.items() if one is not rendition]
            pages[URL[rendition] + name] = read(playlists.live(wide=wide, siblings=others))
        assert all(complaints(list(LOW_LATENCY.judge(one))) == [] for one in pages.values())
        assert complaints(list(SIBLINGS.judge(Siblings(pages)))) == []


def test_4_4_5_4_a_report_names_the_newest_part_of_the_other() -> None:
    hls = grown(Rendition.HLS, 21)
    low = Sibling(Rendition.LOW, 19)
    assert hls.live(siblings=[low]).endswith(b'#EXT-X-RENDITION-REPORT:URI="../low/live.m3u8",LAST-MSN=2,LAST-PART=2\n')
    assert hls.live(wide=True, siblings=[low]).endswith(
        b'#EXT-X-RENDITION-REPORT:URI="../low/wide.m3u8",LAST-MSN=2,LAST-PART=0\n'
    )
    hls.end()
    assert b"REPORT" not in hls.live(siblings=[low]), "after the end there is nothing to tune in to"


@pytest.mark.parametrize("wide", [False, True])
def test_a_multivariant_playlist_offers_what_it_is_told_in_that_order(wide: bool) -> None:
    name = "wide.m3u8" if wide else "live.m3u8"
    usual = multivariant(Rendition.HLS, Rendition.LOW, wide=wide)
    assert [line for line in usual.decode().splitlines() if name in line] == [name, f"../low/{name}"]
    spare = multivariant(Rendition.LOW, Rendition.HLS, at=Rendition.HLS, wide=wide)
    assert [line for line in spare.decode().splitlines() if name in line] == [f"../low/{name}", name]
    for text in (usual, spare):
        assert complaints(list(MASTER.judge(read(text)))) == []


# 6.2.5.2. Newest wide part 21: segments 0 to 4 are whole, wide parts 0 and 1 of segment 5 exist.
@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ({"_HLS_msn": "4"}, Ready(False)),
        ({"_HLS_msn": "5"}, Wait(23, False)),
        ({"_HLS_msn": "5", "_HLS_part": "1"}, Ready(False)),
        ({"_HLS_msn": "5", "_HLS_part": "2"}, Wait(22, False)),
        ({"_HLS_msn": "5", "_HLS_part": "4"}, Wait(24, False)),
        ({"_HLS_msn": "6", "_HLS_part": "0"}, Wait(24, False)),
    ],
)
def test_6_2_5_2_a_request_for_a_wide_playlist_waits_for_wide_parts(query: dict[str, str], answer: object) -> None:
    assert resolve(Rendition.HLS, query, 21, False, wide=True) == answer


@each
def test_6_2_5_2_the_advance_part_limit_of_wide_parts_is_three(rendition: Rendition) -> None:
    assert advance_part_limit(rendition.wide) == 3
    assert isinstance(resolve(rendition, {"_HLS_msn": "6", "_HLS_part": "1"}, 21, False, wide=True), Reject)
