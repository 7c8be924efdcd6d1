"""A person at a real browser speaks, another hears it: microphone, studio, stage, broadcast, edge and page in one go."""

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from heard import Caught, caught, decoded, delays_s, longest_silence_s, pieces, read_wav, share_alike
from people import browsers, go_live, go_on_stage, make_speech, tapped_page
from rostra_process import Rostra

pytestmark = [
    pytest.mark.alone, pytest.mark.timeout(180), pytest.mark.may_block("Playwright's loop rests while the browser plays"),
]  # fmt: skip

SETTLE_S = 16


def test_a_sentence_spoken_into_a_browser_is_heard_in_a_browser_and_by_ffmpeg(
    own_server: Rostra, tmp_path: Path
) -> None:
    microphone = make_speech(tmp_path / "microphone.wav")
    speech = read_wav(microphone)
    space = own_server.run("space", "create", "--title", "A sentence", "--host-name", "Ada")
    by_hls = tmp_path / "hls.wav"
    with browsers() as start:
        host = tapped_page(start(microphone))
        go_on_stage(host, space["studio"])
        go_live(host)
        host.get_by_role("button", name="End the broadcast").wait_for(timeout=10_000)
        listener = tapped_page(start())
        listener.goto(space["page"])
        time.sleep(SETTLE_S)
        ffmpeg = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-y", "-i", space["hls"], "-t", "12", "-ar", "48000", str(by_hls)]
        )
        time.sleep(18)
        heard, spoken = caught(listener, "played"), caught(host, "microphone")
        state = listener.evaluate("window.rostra")
        assert ffmpeg.wait(30) == 0
        record = decoded(space["recording"])
    steady = Caught(heard.sound[SETTLE_S * 48_000 :], heard.at_s + SETTLE_S)
    for sound in (steady.sound, read_wav(by_hls)):
        # The player moves the sound in time where it drifts, by a hair, and the browser's microphone where its file begins again.
        correlations, levels_db = pieces(sound, record)
        assert len(correlations) >= 8 and share_alike(correlations) >= 0.7, (correlations, state)
        assert abs(float(np.median(levels_db))) < 1, levels_db
        assert longest_silence_s(sound) < longest_silence_s(record) + 0.1
    correlations, levels_db = pieces(record, np.tile(speech, 2))
    assert len(correlations) >= 8 and share_alike(correlations) >= 0.5, correlations
    assert abs(float(np.median(levels_db))) < 1, levels_db
    sure = [delay for delay, correlation in delays_s(steady, spoken) if correlation > 0.6]
    assert sure and float(np.median(sure)) < 1.5, sure
