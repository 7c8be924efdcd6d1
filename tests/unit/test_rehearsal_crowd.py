import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.rehearsal.consent import on_loopback
from rostra.rehearsal.crowd import Crowd
from rostra.rehearsal.member import _whole
from rostra.rehearsal.players import Answer, Origin, Players, Question, Step, Wrong
from rostra.rehearsal.squad import Plan, kinds
from rostra.rehearsal.tally import Effort, Grid, Histogram, Tally, summary, why_void
from rostra.sound import fmp4
from rostra.sound.renditions import Rendition

PAGE, SOUND = "http://127.0.0.1:8000/s/abcdefghjk", "http://127.0.0.1:8001/s/abcdefghjk"


def players() -> Players:
    return Players(PAGE, SOUND, frozenset((Origin.of(PAGE), Origin.of(SOUND))))


def part(number: int, rendition: Rendition = Rendition.OPUS) -> bytes:
    return fmp4.part(rendition, number, [b"sound"] * rendition.shape.frames_per_part, 0)


def ok(body: bytes, **headers: str) -> Answer:
    return Answer(200, {name.replace("_", "-"): text for name, text in headers.items()}, body)


def said(question: Question | None) -> str:
    assert question is not None
    return question.request.decode().split(" ")[1]


def read(question: Question | None, answer: Answer, now: float = 0.0) -> Step:
    assert question is not None
    return question.read(answer, now)


def joined(web: Players, **headers: str) -> Step:
    """The web player's way up to its first held part, number 6."""
    to_join = read(web.first("web"), ok(b"<!doctype html>"))
    assert said(to_join.next) == "/s/abcdefghjk/opus/join.mp4"
    sound = fmp4.init(Rendition.OPUS) + part(4) + part(5)
    return read(to_join.next, ok(sound, rostra_next="6", **headers))


class TestTheWebPlayer:
    def test_asks_for_the_page_then_the_newest_second_then_part_after_part(self) -> None:
        web = players()
        step = joined(web)
        assert step.sound and step.due is None
        for number in (6, 7, 8):
            assert said(step.next) == f"/s/abcdefghjk/opus/part/{number}.m4s"
            step = read(step.next, ok(part(number)), 10.0 + number / 2)
            assert (step.sound, step.due, step.lasts_s) == (True, 10.0 + number / 2, 0.5)

    def test_takes_wide_parts_where_it_is_told_to(self) -> None:
        web = players()
        step = joined(web, rostra_step="2")
        assert said(step.next) == "/s/abcdefghjk/opus/wide/3.m4s"
        step = read(step.next, ok(part(6) + part(7)))
        assert said(step.next) == "/s/abcdefghjk/opus/wide/4.m4s"
        assert step.lasts_s == 1.0

    @pytest.mark.parametrize(
        ("body", "kind"), [(part(7), "parts out of order"), (b"", "a part without sound"), (b"nonsense", "not sound")]
    )
    def test_takes_no_part_for_another(self, body: bytes, kind: str) -> None:
        step = joined(players())
        with pytest.raises(Wrong, match=kind):
            read(step.next, ok(body))

    def test_asks_again_when_told_to_and_ends_when_told_so(self) -> None:
        step = joined(players())
        later = read(step.next, Answer(503, {"retry-after": "2"}, b""))
        assert (later.next, later.wait_s, later.error) == (step.next, 2.0, "status 503")
        assert read(step.next, Answer(404, {"rostra-ended": "1"}, b"")).next is None
        with pytest.raises(Wrong, match="status 404"):
            read(step.next, Answer(404, {}, b""))

    def test_is_the_same_question_for_all_who_ask_it(self) -> None:
        web = players()
        assert joined(web).next is joined(web).next


PLAYLIST = """#EXTM3U
#EXT-X-MEDIA-SEQUENCE:3
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PART:DURATION=0.512,URI="part/24.m4s"
#EXT-X-PART:DURATION=0.512,URI="part/25.m4s"
seg/3.m4s
#EXT-X-PART:DURATION=0.512,URI="part/26.m4s"
#EXT-X-PART:DURATION=0.512,URI="part/27.m4s"
"""


def test_the_hls_player_begins_three_parts_back_and_then_holds_a_reload_before_each_part() -> None:
    hls = players()
    step = read(hls.first("hls"), Answer(307, {"location": f"{SOUND}/hls/index.m3u8"}, b""))
    step = read(step.next, ok(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8\n"))
    step = read(step.next, ok(PLAYLIST.encode()))
    step = read(step.next, ok(fmp4.init(Rendition.HLS)))
    for number in (25, 26, 27):
        assert said(step.next) == f"/s/abcdefghjk/hls/part/{number}.m4s"
        step = read(step.next, ok(part(number, Rendition.HLS)))
        assert step.sound and step.due is None
    assert said(step.next) == "/s/abcdefghjk/hls/live.m3u8?_HLS_msn=4&_HLS_part=2"
    longer = PLAYLIST + '#EXT-X-PART:DURATION=0.512,URI="part/28.m4s"\n'
    step = read(step.next, ok(longer.encode()))
    step = read(step.next, ok(part(28, Rendition.HLS)), 5.0)
    assert (step.sound, step.due) == (True, 5.0)
    with pytest.raises(Wrong, match="without the part"):
        read(step.next, ok(longer.encode()))


def test_nobody_follows_a_redirect_to_a_server_that_has_not_agreed() -> None:
    with pytest.raises(Wrong, match="not consented"):
        read(players().first("stream"), Answer(307, {"location": "http://example.org/s/abcdefghjk/live.mp3"}, b""))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8000/s/x", True),
        ("http://127.9.9.9/s/x", True),
        ("http://[::1]:8000/s/x", True),
        ("http://localhost/s/x", True),
        ("http://localhost.example.org/s/x", False),
        ("http://127.0.0.1.example.org/s/x", False),
        ("http://127.0.0.1@example.org/s/x", False),
        ("http://0.0.0.0/s/x", False),
        ("http://10.0.0.1/s/x", False),
        ("nonsense", False),
    ],
)
def test_only_loopback_is_loaded_without_a_key(url: str, local: bool) -> None:
    assert on_loopback(url) is local


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRostra-Next: 7\r\n\r\nsound"


@given(cut=st.integers(0, len(ANSWER)), more=st.binary(max_size=8))
def test_an_answer_is_read_when_it_is_whole_and_what_follows_is_counted(cut: int, more: bytes) -> None:
    found = _whole(ANSWER[:cut] if cut < len(ANSWER) else ANSWER + more, False)
    if cut < len(ANSWER):
        assert found is None
    else:
        assert found == (Answer(200, {"content-length": "5", "rostra-next": "7"}, b"sound"), len(more))


@pytest.mark.parametrize("data", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"x"])
def test_what_is_no_answer_is_an_error(data: bytes) -> None:
    with pytest.raises(Wrong):
        _whole(data, False)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(1, 4))
def test_histograms_of_many_processes_say_what_one_would(seconds: list[float], processes: int) -> None:
    parts = [Histogram() for _ in range(processes)]
    for at, one in enumerate(seconds):
        parts[at % processes].add(one)
    whole = Histogram()
    for one_part in parts:
        whole.merge(Histogram.of(json.loads(json.dumps(one_part.plain()))))
    ordered = sorted(int(one * 1000) for one in seconds)
    assert whole.total == len(seconds)
    assert whole.quantile_ms(1.0) == ordered[-1]
    assert whole.quantile_ms(0.5) == ordered[(len(ordered) - 1) // 2]
    assert whole.above(500) == sum(one > 500 for one in ordered)


def test_a_tally_survives_the_way_to_another_process() -> None:
    tally = Tally(listeners=3, joined=2, gaps=1, longest_gap_s=2.5)
    tally.errors["connection lost"] += 2
    tally.lateness.add(0.25)
    again = Tally.of(json.loads(json.dumps(tally.plain())))
    again.merge(tally)
    assert (again.listeners, again.gaps, again.longest_gap_s, again.errors["connection lost"]) == (6, 2, 2.5, 4)
    assert summary({"web": again})["kinds"]["web"]["lateness_ms"]["p50"] == 250


def test_lateness_counts_from_what_the_quickest_part_showed_to_be_possible() -> None:
    grid = Grid()
    assert grid.due(0.5, 100.7) == 100.7
    assert grid.due(1.0, 101.0) == 101.0
    # All get this one late; it is late all the same.
    assert grid.due(1.5, 103.0) == 101.5


def test_a_generator_that_was_the_limit_says_so() -> None:
    assert why_void([Effort(busiest=0.79)]) == []
    assert "process 2" in why_void([Effort(), Effort(busiest=0.81)])[0].lower()
    late, slow = Effort(), Effort()
    late.joins_late.add(0.5)
    slow.lag.add(0.5)
    assert len(why_void([late, slow])) == 2


@given(
    st.integers(1, 400),
    st.dictionaries(st.sampled_from(("web", "hls", "stream", "ogg")), st.floats(0.1, 9), min_size=1),
)
def test_the_kinds_are_shared_as_asked_from_the_first_listener_to_the_last(
    count: int, shares: dict[str, float]
) -> None:
    given = kinds(count, shares)
    for kind, share in shares.items():
        assert abs(given.count(kind) - count * share / sum(shares.values())) <= len(shares)


def test_a_plan_is_the_same_after_the_way_to_its_process() -> None:
    plan = Plan(PAGE, SOUND, (PAGE, SOUND), 10, {"web": 1.0}, 1.5, 2.0, 3.0, 1, 2)
    assert Plan.of(plan.line().decode()) == plan


@pytest.mark.parametrize(
    "wrong",
    [
        {"listeners": 0},
        {"listeners": 10**9},
        {"ramp_s": -1.0},
        {"seconds": float("nan")},
        {"shares": {"tv": 1.0}},
        {"processes": -5},
        {"shares": {"web": float("inf")}},
    ],
)
@pytest.mark.anyio
async def test_what_makes_no_sense_is_refused_in_a_sentence(wrong: dict[str, object]) -> None:
    from rostra.kernel.errors import Fault

    make = partial(Crowd, PAGE, **{"listeners": 5, "ramp_s": 1.0, **wrong})  # type: ignore[arg-type]
    with pytest.raises(Fault):
        await make().run()
