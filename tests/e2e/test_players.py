"""Players that are not ours."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heard import caught, likeness, read_wav
from npm import needs_npm
from people import browsers, hls_js, make_speech, tapped_page
from rostra_process import Rostra

pytestmark = [pytest.mark.timeout(120), pytest.mark.may_block("Playwright's loop rests while the browser plays")]


@needs_npm
def test_hls_js_plays_low_latency_without_a_complaint(
    server: Rostra, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    speech = make_speech(tmp_path / "speech.wav")
    space = server.run("space", "create", "--title", "For hls.js")
    speaking = server.begin(
        "speak", space["whip"], "--token", space["token"], "--file", str(speech), "--loop", "--seconds", "50"
    )
    eventually(lambda: (server.state(space["id"])["elapsed_s"] or 0) > 5, 30)
    with browsers() as start:
        page = tapped_page(start())
        hls_js(page, space["hls"])
        checking = server.begin("check-hls", space["hls"], "--seconds", "11")
        time.sleep(12)
        latency_s, wrong = page.evaluate("[hls.latency, window.wrong]")
        heard = caught(page, "played").sound
    report = checking.result()
    speaking.interrupt()
    speaking.result()
    assert wrong == []
    assert [one["sentence"] for one in report["findings"] if one["severity"] == "error"] == []
    assert 0 < latency_s < 2.5
    over_and_over, window = np.tile(read_wav(speech), 2), 4 * 48_000
    alike = [
        likeness(over_and_over, heard[start : start + window])[0]
        for start in range(window, len(heard) - window, window // 2)
    ]
    assert max(alike) > 0.9, alike
