"""Players that are not ours."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heard import caught, decoded, longest_silence_s, pieces, read_wav, share_alike
from npm import needs_npm
from people import browsers, hls_js, make_speech, tapped_page
from playwright.sync_api import Browser, Page
from rostra_process import Rostra

pytestmark = [
    pytest.mark.alone, pytest.mark.timeout(180), pytest.mark.may_block("Playwright's loop rests while the browser plays"),
    needs_npm,
]  # fmt: skip

SETTLE_S = 6


@dataclass(frozen=True)
class Played:
    """Attributes:
    parts, wide: pages that play one playlist each.
    checked: what `check-hls` said meanwhile.
    """

    parts: Page
    wide: Page
    checked: dict[str, Any]


def heard_well(page: Page, space: dict[str, Any], speech: np.ndarray) -> None:
    """What this page has played, from a little after its first sound on, is what is on the record, without a gap; that is the speech."""
    heard, record = caught(page, "played").sound, decoded(space["recording"])
    heard = heard[int(np.argmax(abs(heard) > 0.01)) + SETTLE_S * 48_000 :]
    correlations, levels_db = pieces(heard, record)
    assert len(correlations) >= 8 and share_alike(correlations) >= 0.7, correlations
    assert abs(float(np.median(levels_db))) < 1, levels_db
    assert longest_silence_s(heard) < longest_silence_s(record) + 0.1
    spoken, _ = pieces(record, np.tile(speech, 2))
    assert share_alike(spoken) >= 0.5, spoken  # a machine that speaks late is not the player's fault


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers() as start:
        yield start()


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speech(tmp_path_factory.mktemp("speech") / "speech.wav")


@contextmanager
def speaking_over_and_over(server: Rostra, speech: Path, title: str) -> Iterator[dict[str, Any]]:
    """A Space in which this speech is heard for as long as it stands."""
    space = server.run("space", "create", "--title", title)
    speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(speech), "--loop")
    try:
        yield space
    finally:
        speaking.interrupt()
        speaking.result()


@pytest.fixture(scope="module")
def space(server: Rostra, speech: Path, eventually: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """Live for ten seconds, for all that hls.js is asked to do."""
    with speaking_over_and_over(server, speech, "For hls.js") as made:
        eventually(lambda: (server.state(made["id"])["elapsed_s"] or 0) > 10, 40)
        yield made


@pytest.fixture(scope="module")
def played(server: Rostra, space: dict[str, Any], chromium: Browser) -> Played:
    """Both playlists, for 20 s side by side."""
    parts, wide = tapped_page(chromium), tapped_page(chromium)
    hls_js(parts, space["hls"])
    hls_js(wide, space["hls"].replace("index.m3u8", "wide.m3u8"))
    checking = server.begin("check-hls", space["hls"], "--seconds", "11")
    time.sleep(20)
    return Played(parts, wide, checking.result())


def test_hls_js_plays_low_latency_without_a_complaint(played: Played, space: dict[str, Any], speech: Path) -> None:
    latency_s, wrong = played.parts.evaluate("[hls.latency, window.wrong]")
    heard_well(played.parts, space, read_wav(speech))
    assert wrong == []
    assert [one["sentence"] for one in played.checked["findings"] if one["severity"] == "error"] == []
    assert 0 < latency_s < 2.5


def test_hls_js_plays_the_playlist_of_wide_parts(played: Played, space: dict[str, Any], speech: Path) -> None:
    latency_s, wrong = played.wide.evaluate("[hls.latency, window.wrong]")
    asked = played.wide.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    heard_well(played.wide, space, read_wav(speech))
    assert wrong == []
    assert sum("/wide/" in url for url in asked) >= 8 and not any("/part/" in url for url in asked)
    assert 0 < latency_s < 4.5


def test_hls_js_changes_the_rate_in_the_middle_of_a_segment_and_plays_on(
    space: dict[str, Any], chromium: Browser, eventually: Callable[..., Any]
) -> None:
    page = chromium.new_page()
    hls_js(page, space["hls"])
    page.evaluate(
        """() => {
            const audio = document.querySelector("audio");
            window.played = new Set();
            window.stood_s = 0;
            let last = audio.currentTime;
            setInterval(() => {
                window.stood_s = audio.currentTime > last ? 0 : window.stood_s + 0.1;
                window.longest_s = Math.max(window.longest_s || 0, window.stood_s);
                last = audio.currentTime;
                played.add(hls.currentLevel);
            }, 100);
        }"""
    )
    for _ in range(4):
        # Until it plays the other one, and then over the border of a segment and a little further.
        page.evaluate("() => { window.wanted = 1 - hls.currentLevel; hls.nextLevel = wanted; }")
        eventually(lambda: page.evaluate("hls.currentLevel === wanted"), 15)
        page.wait_for_timeout(5000)
    wrong, longest_s, played = page.evaluate("[window.wrong, longest_s, [...played]]")
    assert wrong == [] and sorted(played) == [0, 1]
    assert longest_s < 1, "it stood still"


def test_chromiums_own_hls_player_goes_on_over_reloads(
    server: Rostra, speech: Path, chromium: Browser, eventually: Callable[..., Any]
) -> None:
    with speaking_over_and_over(server, speech, "For Chromium itself") as space:
        # It wants three segments to begin with: docs/how/edge.md.
        eventually(lambda: (server.state(space["id"])["elapsed_s"] or 0) > 14, 40)
        replay = space["hls"].replace("index.m3u8", "replay.m3u8")
        page = chromium.new_page()
        page.goto(space["hls"].rsplit("/s/", 1)[0] + "/healthz")
        loaded: list[str] = []
        page.on("response", lambda answer: loaded.append(answer.url))
        page.evaluate(
            """(urls) => {
                window.players = urls.map((url) => document.body.appendChild(document.createElement("audio")));
                players.forEach((one, at) => { one.src = urls[at]; one.play(); });
                window.over = () => players.every((one) => one.error || one.currentTime > 18);
            }""",
            [space["hls"], replay],
        )
        eventually(lambda: page.evaluate("over()"), 40)
        wrong = page.evaluate("players.map((one) => one.error && one.error.message)")
    assert wrong == [None, None]
    assert loaded.count(replay) >= 3 and sum(one.endswith("hls/live.m3u8") for one in loaded) >= 3
