"""Pages: their weight, their policies, and titles that mean harm."""

import base64
import gzip
import hashlib
import json
import re

import pytest
from door_world import START_US, get, space
from hypothesis import given
from hypothesis import strategies as st

from rostra.door.pages import SHELLS, Pages
from rostra.kernel.settings import Settings
from rostra.space.states import State

ONE_WINDOW_BYTES = 10 * 1460
"""What a server may send before the first acknowledgement (RFC 6928)."""
DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(Settings())


def parts(whole: bytes) -> tuple[str, bytes]:
    head, _, body = whole.partition(b"\r\n\r\n")
    return head.decode(), body


@pytest.mark.parametrize("later_s", [0, 3600], ids=["now", "overdue"])
@pytest.mark.parametrize("state", list(State))
def test_page_and_player_together_fit_one_tcp_window(pages: Pages, state: State, later_s: int) -> None:
    title = "What we learned from forty years of measuring rivers, and what the next forty will have to be about if we are to keep our feet dry at all"
    heavy = space(
        state, title=title, count=1_240_000, peak=1_300_000, unique=5_120_000, unique_error=0.0081, count_error=0.0012,
        kinds={"web": 1_000_000, "hls": 200_000, "stream": 39_000, "replay": 1000},
        count_method="web players, one in 100 of which says every 30 s that they are here",
    )  # fmt: skip
    whole = pages.space(heavy, START_US + later_s * 1_000_000).to(get(accept_encoding="gzip, deflate, br")).at(DATE)
    assert len(whole) <= ONE_WINDOW_BYTES


def test_the_policy_allows_exactly_the_inline_script_and_style(pages: Pages) -> None:
    head, body = parts(pages.space(space(), START_US).to(get()).at(DATE))
    html = body.decode()
    policy = re.search(r"Content-Security-Policy: (.*)\r\n", head)
    assert policy
    for tag, directive in (('<script type="module">', "script-src 'self'"), ("<style>", "style-src")):
        inline = html.partition(tag)[2].partition("</s")[0]
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy[1]
    assert "unsafe" not in policy[1] and "default-src 'none'" in policy[1]
    assert "connect-src 'self' http://127.0.0.1:8001;" in policy[1]


def test_nothing_inline_escapes_the_policy(pages: Pages) -> None:
    """No handlers and no style attributes: the policy would switch them off, and nobody would notice here."""
    everything = [pages.space(space(state), START_US) for state in State] + [pages.shell(name) for name in SHELLS]
    for answer in everything:
        html = parts(answer.to(get()).at(DATE))[1].decode()
        markup = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", html, flags=re.DOTALL)
        assert not re.search(r"\s(on\w+|style)=", markup)


def test_every_page_is_kept_from_being_guessed_framed_or_followed(pages: Pages) -> None:
    for answer in (
        pages.space(space(), START_US),
        pages.home([], [], [], until_us=START_US),
        pages.shell("studio"),
        pages.plain(404, "No", "No."),
    ):
        head = parts(answer.to(get()).at(DATE))[0]
        assert "X-Content-Type-Options: nosniff" in head and "Referrer-Policy: no-referrer" in head
        assert "frame-ancestors 'none'" in head and "Set-Cookie" not in head


@given(
    st.text(min_size=1, max_size=60)
    | st.sampled_from(["</script><script>alert(1)</script>", '"><img src=x>', "</title>", "<!--"])
)
def test_a_title_is_text_wherever_it_stands(text: str) -> None:
    pages = _PAGES
    nasty = space(State.DELAYED, title=text, host_name=text, reason=text)
    html = parts(pages.space(nasty, START_US).to(get()).at(DATE))[1].decode()
    harmless = parts(pages.space(space(State.DELAYED, reason="r"), START_US).to(get()).at(DATE))[1].decode()
    assert len(re.findall(r"<[a-zA-Z!/]", html)) == len(re.findall(r"<[a-zA-Z!/]", harmless))
    state = html.partition('id="state">')[2].partition("</script>")[0]
    assert json.loads(state)["title"] == text


def test_titles_stand_apart_so_that_their_direction_turns_nothing(pages: Pages) -> None:
    html = parts(pages.space(space(title="مرحبا بالعالم"), START_US).to(get()).at(DATE))[1].decode()
    assert "<h1><bdi>مرحبا بالعالم</bdi></h1>" in html


@pytest.mark.parametrize("state", list(State))
def test_the_page_says_without_scripts_what_is_the_case(pages: Pages, state: State) -> None:
    html = parts(pages.space(space(state), START_US).to(get()).at(DATE))[1].decode()
    said = {
        State.SCHEDULED: "We start at", State.DELAYED: "We start at", State.OPEN: "We start at", State.LIVE: "It is on the air now.",
        State.BREAK: "We are holding the line", State.ENDED: "It ended at", State.CANCELLED: "This will not take place.",
    }[state]  # fmt: skip
    assert said in html
    if state is not State.CANCELLED:
        assert "http://127.0.0.1:8001/s/abcdefghjk/hls/index.m3u8" in html
        assert "http://127.0.0.1:8001/s/abcdefghjk/recording.m4a" in html
    if state in (State.LIVE, State.ENDED):
        assert "<audio controls" in html.partition("<noscript>")[2]


@pytest.mark.parametrize("state", list(State))
def test_who_runs_no_scripts_is_given_no_stream_of_what_is_over(pages: Pages, state: State) -> None:
    html = parts(pages.space(space(state), START_US).to(get()).at(DATE))[1].decode()
    shown = re.sub(r"<(li|p)\b[^>]* hidden>.*?</\1>|<script.*?</script>", "", html, flags=re.DOTALL)
    over = state in (State.ENDED, State.CANCELLED)
    assert [one in shown for one in ("hls/index.m3u8", "live.mp3", "live.opus")] == [not over] * 3
    assert ("recording.m4a" in shown and "hls/replay.m3u8" in shown) == (state is not State.CANCELLED)


def test_home_says_of_what_comes_next_when_or_that_it_is_about_to(pages: Pages) -> None:
    soon = [space(State.SCHEDULED), space(State.SCHEDULED, starts_us=None), space(State.OPEN, starts_us=None)]
    html = parts(pages.home([], soon, [], until_us=START_US).to(get()).at(DATE))[1].decode()
    whens = re.findall(r"</bdi> · (?:<[^>]*>)?([^<]+)", html)
    assert whens == ["08:12 UTC on Friday 15 January", "No time is set yet", "About to start"]


def test_what_can_wait_is_named_by_the_page_and_brings_what_it_needs(pages: Pages) -> None:
    html = parts(pages.space(space(), START_US).to(get()).at(DATE))[1].decode()
    named = re.search(r'<main data-more="/web/(more\.[0-9a-f]+\.js)">', html)
    assert named
    body = gzip.decompress(parts(pages.assets.answers[named[1]].to(get(accept_encoding="gzip")).at(DATE))[1]).decode()
    imported = re.findall(r'from "\./([^"]+)"', body)
    assert {one.split(".")[0] for one in imported} == {"bar", "count"}
    for one in imported:
        inner = gzip.decompress(parts(pages.assets.answers[one].to(get(accept_encoding="gzip")).at(DATE))[1]).decode()
        assert "import" not in inner  # a second copy of the player would come with it


def test_a_counted_space_says_how_in_words(pages: Pages) -> None:
    counted = space(
        count=1240, peak=1300, unique=5000, kinds={"web": 1000, "hls": 240}, unique_error=0.0081,
        count_method="players that fetched sound in the last 10 s",
    )  # fmt: skip
    html = parts(pages.space(counted, START_US).to(get()).at(DATE))[1].decode()
    assert (
        "We count players that fetched sound in the last 10 s. Now: 1,000 on this page, 240 in HLS players. "
        "At most 1,300 at once. 5,000 in all, give or take 1.6 %; who opens it twice counts twice." in html
    )


def test_the_same_space_renders_to_the_same_bytes_at_another_time(pages: Pages) -> None:
    """So that "you have it" stays true while nothing happens."""
    assert pages.space(space(), START_US).etag == pages.space(space(), START_US + 60_000_000).etag


def test_a_shell_refers_to_files_that_are_there_under_lasting_names(pages: Pages) -> None:
    for name in SHELLS:
        html = parts(pages.shell(name).to(get()).at(DATE))[1].decode()
        named = re.findall(r'(?:src|href)="/web/([^"]+)"', html)
        assert len(named) >= 3
        for file in named:
            head, _ = parts(pages.assets.answers[file].to(get()).at(DATE))
            assert "Cache-Control: public, max-age=31536000, immutable" in head


def test_a_module_imports_its_neighbours_by_lasting_names_too(pages: Pages) -> None:
    name = pages.assets.address("studio/studio.js").removeprefix("/web/")
    head, body = parts(pages.assets.answers[name].to(get(accept_encoding="gzip")).at(DATE))
    imported = re.findall(r'from "\./([^"]+)"', gzip.decompress(body).decode())
    assert len(imported) == 5 and all(one in pages.assets.answers for one in imported)


_PAGES = Pages(Settings())
