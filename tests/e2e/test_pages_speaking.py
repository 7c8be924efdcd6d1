"""A person at a real browser speaks, another hears it: microphone, studio, stage, broadcast, edge and page in one go."""

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from heard import Caught, caught, delays_s, likeness, longest_silence_s, read_wav
from people import browsers, go_live, go_on_stage, make_speech, tapped_page
from rostra_process import Rostra

pytestmark = [pytest.mark.timeout(180), pytest.mark.may_block("Playwright's loop rests while the browser plays")]

SETTLE_S = 8
WINDOW_S = 4


def pieces(heard: np.ndarray, spoken: np.ndarray) -> tuple[list[float], list[float]]:
    """Correlation and level of each window of what was heard. The microphone plays its file over and over."""
    over_and_over, size = np.tile(spoken, 2), WINDOW_S * 48_000
    rows = [likeness(over_and_over, heard[start : start + size]) for start in range(0, len(heard) - size, size // 2)]
    return [row[0] for row in rows], [-row[1] for row in rows]


def test_a_sentence_spoken_into_a_browser_is_heard_in_a_browser_and_by_ffmpeg(
    own_server: Rostra, tmp_path: Path
) -> None:
    microphone = make_speech(tmp_path / "microphone.wav")
    speech = read_wav(microphone)
    space = own_server.run("space", "create", "--title", "A sentence", "--host-name", "Ada")
    by_hls = tmp_path / "hls.wav"
    with browsers() as start:
        chromium = start(microphone)
        host = tapped_page(chromium)
        go_on_stage(host, space["studio"])
        go_live(host)
        host.get_by_role("button", name="End the broadcast").wait_for(timeout=10_000)
        listener = tapped_page(chromium)
        listener.goto(space["page"])
        time.sleep(SETTLE_S)
        ffmpeg = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-y", "-i", space["hls"], "-t", "12", "-ar", "48000", str(by_hls)]
        )
        time.sleep(18)
        heard, spoken = caught(listener, "played"), caught(host, "microphone")
        state = listener.evaluate("window.rostra")
        assert ffmpeg.wait(30) == 0
    steady = Caught(heard.sound[SETTLE_S * 48_000 :], heard.at_s + SETTLE_S)
    for sound in (steady.sound, read_wav(by_hls)):
        correlations, levels_db = pieces(sound, speech)
        # A window in which the browser's own clocks were put right, or across the end of its file, cannot be aligned as one.
        assert max(correlations) > 0.9, (correlations, state)
        assert abs(float(np.median(levels_db))) < 1, levels_db
        assert longest_silence_s(sound) < longest_silence_s(np.tile(speech, 2)) + 0.1
    sure = [delay for delay, correlation in delays_s(steady, spoken) if correlation > 0.6]
    assert sure and float(np.median(sure)) < 1.5, sure
