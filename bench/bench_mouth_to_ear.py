"""From a mouth to ears, in real browsers on this machine: a Chromium whose microphone plays real speech, a second one that
listens on the page, a third with hls.js on the LL-HLS playlist, a second speaker, and ffmpeg over HLS.

    python bench/bench_mouth_to_ear.py [--seconds 60]

Every delay is found by matching what came out against what went into the microphone, both stamped by the wall clock.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from heard import Caught, caught, delays_s, likeness, longest_silence_s, read_wav
from people import browsers, go_live, go_on_stage, hls_js, make_speech, tapped_page
from playwright.sync_api import Request
from rostra_process import Rostra, free_ports

OPENINGS = 12
SETTLE_S = 8
"""Left out at the beginning of each: starting a browser disturbs the microphone of the other on so small a machine."""


def spread(values: list[float]) -> dict[str, Any]:
    """Median, 95th percentile and range."""
    ranked = sorted(values)
    if not ranked:
        return {"n": 0}
    return {
        "n": len(ranked), "median": round(statistics.median(ranked), 3), "p95": round(ranked[int(0.95 * (len(ranked) - 1))], 3),
        "least": round(ranked[0], 3), "most": round(ranked[-1], 3),
    }  # fmt: skip


def delay(heard: Caught, spoken: Caught) -> dict[str, Any]:
    found = delays_s(heard, spoken)
    sure = [one for one, correlation in found if correlation > 0.6]
    return {**spread(sure), "windows": len(found)}


def after(heard: Caught, seconds: float) -> Caught:
    return Caught(heard.sound[round(seconds * 48_000) :], heard.at_s + seconds)


def alike(heard: Caught, spoken: Any) -> dict[str, Any]:
    """Six-second pieces of what was heard against the speech itself."""
    size, rows = 6 * 48_000, []
    for start in range(0, len(heard.sound) - size, size):
        rows.append(likeness(spoken, heard.sound[start : start + size]))
    return {"correlation": spread([row[0] for row in rows]), "level_db": spread([-row[1] for row in rows])}


def openings(chromium: Any, page_url: str) -> dict[str, Any]:
    """The page opened anew, nothing cached: to the first sound, and how many requests that took."""
    times, requests = [], []
    for _ in range(OPENINGS):
        context = chromium.new_context()
        page = context.new_page()
        asked: list[Request] = []
        page.on("request", lambda request, asked=asked: asked.append(request))
        page.goto(page_url)
        first = page.wait_for_function("() => window.rostra && window.rostra.firstSoundAt", timeout=10_000).json_value()
        page.wait_for_timeout(1000)  # until the driver has heard when each was sent
        sounded_at = page.evaluate("(first) => performance.timeOrigin + first", first)
        requests.append(
            sum(0 < one.timing["startTime"] <= sounded_at for one in asked if not one.url.startswith("data:"))
        )
        times.append(first / 1000)
        context.close()
    return {"first_sound_s": spread(times), "requests_before_sound": max(requests)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        place = Path(folder)
        microphone = make_speech(place / "microphone.wav")
        speech = read_wav(microphone)
        with Rostra(place / "data", free_ports()) as server, browsers() as start:
            speaking, hearing = start(microphone), start(microphone)
            space = server.run("space", "create", "--title", "Mouth to ear", "--host-name", "Ada")
            host = tapped_page(speaking)
            go_on_stage(host, space["studio"])
            go_live(host)
            host.get_by_role("button", name="End the broadcast").wait_for(timeout=10_000)
            # One kind of ear at a time: three browsers at once would measure this machine's two cores.
            guest_link = server.post(f"/api/spaces/{space['id']}/speakers", {"name": "Ben"})["link"]
            guest = tapped_page(hearing)
            go_on_stage(guest, guest_link)
            guest.get_by_role("button", name="Mute", exact=True).click()
            time.sleep(SETTLE_S + seconds / 3)
            between = delay(after(caught(guest, "return"), SETTLE_S), caught(host, "microphone"))
            guest.context.close()

            listener = tapped_page(hearing)
            listener.goto(space["page"])
            time.sleep(SETTLE_S + seconds)
            state = listener.evaluate("window.rostra")
            page = after(caught(listener, "played"), SETTLE_S)
            by_page, by_page_alike = delay(page, caught(host, "microphone")), alike(page, tiled(speech))
            listener.context.close()

            player = tapped_page(hearing)
            hls_js(player, space["hls"])
            time.sleep(SETTLE_S + seconds / 2)
            by_hls = delay(after(caught(player, "played"), SETTLE_S), caught(host, "microphone"))
            wrong = player.evaluate("window.wrong")
            player.context.close()

            heard_by_ffmpeg = place / "hls.wav"
            subprocess.run(
                ["ffmpeg", "-v", "error", "-y", "-i", space["hls"], "-t", str(seconds // 2), "-ar", "48000", str(heard_by_ffmpeg)],
                check=True, timeout=seconds + 30,
            )  # fmt: skip
            result = {
                "seconds": seconds,
                "speaker_to_speaker_delay_s": between,
                "web_player_delay_s": by_page,
                "web_player": by_page_alike,
                "web_player_gaps": state["gaps"],
                "web_player_longest_silence_s": longest_silence_s(page.sound),
                "spoken_longest_silence_s": longest_silence_s(tiled(speech)),
                "ll_hls_delay_s": by_hls,
                "ll_hls_wrong": wrong,
                "hls_by_ffmpeg": alike(Caught(read_wav(heard_by_ffmpeg), 0), tiled(speech)),
            }
            result["openings"] = openings(hearing, space["page"])
            print(json.dumps(result))


def tiled(speech: Any) -> Any:
    """The microphone plays its file over and over; a piece may lie across the seam."""
    import numpy as np

    return np.tile(speech, 2)


if __name__ == "__main__":
    main()
