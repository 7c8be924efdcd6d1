"""The HLS check, written against the draft by itself, over ten thousand versions of our playlists."""

from itertools import pairwise

import pytest

from rostra.rehearsal.hls.findings import Finding, Severity
from rostra.rehearsal.hls.low_latency import LOW_LATENCY
from rostra.rehearsal.hls.master import SIBLINGS, Siblings
from rostra.rehearsal.hls.one import ONE
from rostra.rehearsal.hls.playlist import Playlist
from rostra.rehearsal.hls.reading import read
from rostra.rehearsal.hls.succession import DELTA, SUCCESSION, Delta, Step
from rostra.sound.hls import Playlists, Sibling
from rostra.sound.renditions import Rendition

AAC, LOW = Rendition.HLS, Rendition.LOW
START_US = 1_900_000_000_000_000
PARTS = 1250
"""Beyond a window of five minutes, so that it slides."""


def complaints(found: list[Finding]) -> list[str]:
    return [f"{one.rule.name}: {one.sentence}" for one in found if one.rule.severity is not Severity.NOTE]


def alone(playlist: Playlist) -> list[str]:
    return complaints([*ONE.judge(playlist), *LOW_LATENCY.judge(playlist)])


@pytest.mark.parametrize("window_s", [24.0, 60.0, 300.0])
@pytest.mark.parametrize("rendition", list(Rendition), ids=lambda one: one.shape.url)
def test_no_version_of_a_playlist_as_it_grows_breaks_a_rule(rendition: Rendition, window_s: float) -> None:
    """Every part of the first minutes with its delta update and its end, then every seventh; after each the one before it."""
    playlists, start_us = Playlists(rendition, window_s), START_US
    before, seen = read(playlists.live()), 1
    for number in range(PARTS):
        # A wall clock that drifts, is set back and set forward.
        start_us += rendition.shape.part_us + (number % 5 - 2) * 300
        start_us += {200: -7_200_000_000, 400: 3_600_000_000}.get(number, 0)
        playlists.add(start_us)
        if number > 420 and number % 7:
            continue
        live = read(playlists.live())
        assert alone(live) == []
        step = Step(before, live, rendition.shape.segment_s, rendition.shape.part_s)
        assert complaints(list(SUCCESSION.judge(step))) == []
        update = read(playlists.live(skip=True))
        assert complaints(list(DELTA.judge(Delta(live, update)))) == []
        assert alone(update) == []
        before, seen = live, seen + 2
        if number % 10 == 0:
            replay = read(playlists.replay())
            assert complaints(list(ONE.judge(replay))) == []
            seen += 1
    playlists.end()
    for text in (playlists.live(), playlists.replay()):
        assert alone(read(text)) == []
    assert complaints(list(SUCCESSION.judge(Step(before, read(playlists.live()))))) == []
    assert seen > 1120  # nine of these: ten thousand


@pytest.mark.parametrize("wide", [False, True], ids=["parts", "wide parts"])
def test_renditions_that_report_on_each_other_keep_the_rules_together(wide: bool) -> None:
    here, there = (f"http://a.example/{one.shape.url}/{'wide' if wide else 'live'}.m3u8" for one in (AAC, LOW))
    both = {here: (AAC, Playlists(AAC)), there: (LOW, Playlists(LOW))}
    before: dict[str, Playlist] = {}
    for number in range(150):
        # One of the two is a part ahead for a moment.
        for url, (rendition, playlists) in both.items():
            playlists.add(START_US + number * rendition.shape.part_us)
            after = {
                url: read(
                    mine.live(
                        wide=wide,
                        siblings=[Sibling(other, theirs.parts) for other, theirs in both.values() if other is not of],
                    )
                )
                for url, (of, mine) in both.items()
            }
            assert complaints(list(SIBLINGS.judge(Siblings(after)))) == []
            for url, playlist in after.items():
                assert alone(playlist) == []
                if url in before:
                    assert complaints(list(SUCCESSION.judge(Step(before[url], playlist)))) == []
            before = after
            of, mine = both[url]
            beside = [Sibling(other, theirs.parts) for other, theirs in both.values() if other is not of]
            update = read(mine.live(skip=True, wide=wide, siblings=beside))
            assert complaints(list(DELTA.judge(Delta(after[url], update)))) == []


@pytest.mark.parametrize("rendition", list(Rendition), ids=lambda one: one.shape.url)
def test_a_broadcast_may_end_at_any_part(rendition: Rendition) -> None:
    for parts in range(1, 60):
        playlists = Playlists(rendition, 24.0)
        for number in range(parts):
            playlists.add(START_US + number * rendition.shape.part_us)
        live = read(playlists.live())
        playlists.end()
        versions = [live, read(playlists.live()), read(playlists.live(skip=True))]
        assert [alone(one) for one in versions] == [[], [], []]
        for one, later in pairwise(versions):
            assert complaints(list(SUCCESSION.judge(Step(one, later)))) == []
