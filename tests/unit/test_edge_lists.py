"""The playlists of a channel: made once between two parts, for each way of asking, and asked about within bounds."""

import gzip

from rostra.edge.lists import Lists
from rostra.sound.hls import Playlists
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import Prepared, Request, date_line

DATE = date_line(0)
SEGMENT = Rendition.HLS.shape.parts_per_segment


def begun(parts: int, rendition: Rendition = Rendition.HLS) -> tuple[Lists, Playlists]:
    playlists = Playlists(rendition)
    lists = Lists(rendition, playlists, wide=False)
    for _ in range(parts):
        grow(lists, playlists)
    return lists, playlists


def grow(lists: Lists, playlists: Playlists) -> None:
    playlists.add(0)
    lists.grow(playlists.parts, ended=False)


def ask(zipped: bool = False, **query: str) -> Request:
    return Request("GET", "/", "/", query, {"host": "a"} | ({"accept-encoding": "gzip"} if zipped else {}))


def body(answer: object) -> bytes:
    assert isinstance(answer, Prepared)
    return answer.at(DATE).partition(b"\r\n\r\n")[2]


def test_a_list_is_made_once_until_the_next_part() -> None:
    lists, playlists = begun(2 * SEGMENT)
    before = lists.live(ask())
    assert lists.live(ask()) is before
    grow(lists, playlists)
    after = lists.live(ask())
    assert after is not before
    assert body(after) != body(before)


def test_compressed_and_plain_say_the_same() -> None:
    lists, _ = begun(2 * SEGMENT)
    assert gzip.decompress(body(lists.live(ask(zipped=True)))) == body(lists.live(ask()))


def test_what_is_not_there_yet_is_said_with_how_to_answer_then() -> None:
    lists, playlists = begun(2 * SEGMENT)
    asked = ask(zipped=True, _HLS_msn="2", _HLS_part="1")
    assert lists.live(asked) == (2 * SEGMENT + 1, False, True)
    grow(lists, playlists)
    grow(lists, playlists)
    assert body(lists.live(asked))


def test_without_a_whole_segment_a_plain_question_waits_for_it() -> None:
    lists, _ = begun(1)
    assert lists.live(ask()) == (SEGMENT - 1, False, False)
    assert lists.replay(ask()) is None


def test_a_list_tells_of_a_sibling_that_has_grown_and_so_does_the_wide_one() -> None:
    lists, _ = begun(2 * SEGMENT)
    low, low_playlists = begun(2 * SEGMENT, Rendition.LOW)
    lists.siblings, low.siblings = (low,), (lists,)
    lists.sister = wide = Lists(Rendition.HLS, lists._playlists, wide=True)
    wide.siblings = (low,)
    wide.grow(lists.parts // 2, ended=False)
    before, wide_before = body(lists.live(ask())), body(wide.live(ask()))
    for _ in range(2):
        grow(low, low_playlists)
    assert body(lists.live(ask())) != before
    assert body(wide.live(ask())) != wide_before


def test_the_replay_is_made_again_with_each_segment_and_at_the_end() -> None:
    lists, playlists = begun(SEGMENT)
    first = lists.replay(ask())
    grow(lists, playlists)
    assert lists.replay(ask()) is first
    for _ in range(SEGMENT - 1):
        grow(lists, playlists)
    second = lists.replay(ask())
    assert second is not first
    playlists.end()
    lists.grow(playlists.parts, ended=True)
    assert body(lists.replay(ask())).rstrip().endswith(b"#EXT-X-ENDLIST")


def test_whatever_is_asked_little_is_remembered_of_it() -> None:
    lists, playlists = begun(2 * SEGMENT)
    playlists.end()
    lists.grow(playlists.parts, ended=True)
    for number in range(3000):
        assert body(lists.live(ask(_HLS_msn=f"{number:03000d}")))
        lists.live(ask(_HLS_msn=str(number)))
    kept = lists._decisions
    assert len(kept) <= 1024
    assert sum(len(one) for key in kept for one in key if one is not None) <= 64 * 1024
