"""Players that are not ours on one live Space at once, for ten minutes, beside check-hls: does any of them complain?

    python bench/soak_players.py [--seconds 600] [--keep]

hls.js in Chromium (low latency), ffmpeg and GStreamer take the AAC master, further ffmpegs the low rate and the wide parts; what they
decode is looked through for gaps. A steady tone with noise is spoken, so that any silence is a fault. One JSON line; `--keep` adds it to bench/results.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from heard import RATE, longest_silence_s
from people import browsers, hls_js
from rostra_process import Rostra, free_ports

_SETTLED_S = 15
_OF_NO_MEANING = ("received signal 15", "Found duplicated MOOV Atom", "Last message repeated")
"""We end it ourselves; and ffmpeg says the others of every fragmented MP4 in HLS, its own muxer's too, as it reads the init again."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--port", type=int, help="the first of six free ones (chosen)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rostra-soak-") as place:
        row = soak(Path(place), args.seconds, args.port or free_ports(6))
    print(json.dumps(row))
    if args.keep:
        with (Path(__file__).parent / "results" / "players.jsonl").open("a") as results:
            about = {"bench": "soak_players", "at": time.strftime("%FT%TZ", time.gmtime())}
            results.write(json.dumps({**about, **row}) + "\n")
    return 0 if row["complaints"] == 0 else 1


def soak(place: Path, seconds: float, port: int) -> dict[str, Any]:
    tone = place / "tone.wav"
    subprocess.run(
        ["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", str(tone), "synth", "30", "sine", "330", "synth", "pinknoise", "mix", "gain", "-14"],
        check=True, capture_output=True,
    )  # fmt: skip
    with Rostra(place / "data", port) as server:
        space = server.run("space", "create", "--title", "For ten minutes")
        speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone), "--loop")
        while (server.state(space["id"])["elapsed_s"] or 0) < _SETTLED_S:
            time.sleep(0.2)
        check = server.begin("check-hls", space["hls"], "--seconds", str(seconds))
        heard = {
            name: _Sound(name, place, [
                "ffmpeg", "-nostdin", "-loglevel", "warning", "-i", url, "-t", str(seconds), "-ac", "1", "-ar", "48000",
                "-f", "s16le", "-y", str(place / f"{name}.raw"),
            ])
            for name, url in (
                ("ffmpeg", space["hls"]),
                ("ffmpeg_low", space["hls"].replace("/hls/index", "/low/live")),
                ("ffmpeg_wide", space["hls"].replace("/index", "/wide")),
            )
        }  # fmt: skip
        heard["gstreamer"] = _Sound("gstreamer", place, [
            "gst-launch-1.0", "-q", "uridecodebin3", f"uri={space['hls']}", "!", "audioconvert", "!", "audioresample", "!",
            "audio/x-raw,format=S16LE,rate=48000,channels=1", "!", "filesink", "sync=true",
            f"location={place / 'gstreamer.raw'}",
        ])  # fmt: skip
        row: dict[str, Any] = {"seconds": seconds, "hls_js": _hls_js(space["hls"], seconds)}
        report = check.result(timeout_s=60)
        row |= {name: sound.end(seconds) for name, sound in heard.items()}
        speaking.interrupt()
        row["spoken"] = speaking.result()
        row["filled_s"] = server.run("timeline", "verify", space["id"])["filled_s"]
    row["check_hls"] = {key: report[key] for key in ("ok", "errors", "warnings", "notes", "requests", "rules")}
    row["check_hls"]["playlists"] = [[one["versions"], one["segments"], one["parts"]] for one in report["playlists"]]
    row["check_hls"]["findings"] = [
        [one["severity"], one["rule"], one["times"], one["sentence"]] for one in report["findings"] if one["severity"] != "note"
    ]  # fmt: skip
    row["complaints"] = (
        len(row["check_hls"]["findings"]) + len(row["hls_js"]["wrong"]) + row["hls_js"]["stalls"]
        # What the speaker itself left out, because the machine held it up, is no fault of those who heard nothing.
        + sum(
            len(row[one]["said"]) + (row[one]["longest_silence_s"] > 0.05 + row["spoken"]["seconds_missed"])
            for one in heard
        )
    )  # fmt: skip
    return row


class _Sound:
    """A player that writes down what it decodes."""

    def __init__(self, name: str, place: Path, command: list[str]) -> None:
        self._raw, self._said = place / f"{name}.raw", place / f"{name}.said"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(command, stdout=said, stderr=said)

    def end(self, seconds: float) -> dict[str, Any]:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        sound = np.frombuffer(self._raw.read_bytes()[: int(seconds) * RATE * 2], np.int16).astype(np.float32) / 32768
        said = [line.strip() for line in self._said.read_text().splitlines() if line.strip()]
        said = [line for line in said if not any(one in line for one in _OF_NO_MEANING)]
        # The first half second is the decoder's own beginning.
        return {
            "seconds_decoded": round(len(sound) / RATE, 1),
            "longest_silence_s": longest_silence_s(sound[RATE // 2 :]),
            "silences_at_s": _silences(sound)[:10],
            "said": said[:20],
        }


def _silences(sound: np.ndarray) -> list[float]:
    """Seconds at which tenths of it are silent, those that follow on another left out."""
    tenths = sound[: len(sound) // 4800 * 4800].reshape(-1, 4800)
    quiet = np.flatnonzero((tenths**2).mean(axis=1) < 1e-7)
    return [round(float(one) / 10, 1) for one in quiet if one - 1 not in quiet]


def _hls_js(url: str, seconds: float) -> dict[str, Any]:
    with browsers() as start:
        page = start().new_page()
        hls_js(page, url)
        page.evaluate(
            """() => {
                const audio = document.querySelector("audio");
                window.seen = { stalls: 0, stalled_s: 0, latencies: [], waiting: 0 };
                audio.addEventListener("waiting", () => seen.waiting++);
                let last = audio.currentTime, stood = 0;
                setInterval(() => {
                    if (audio.currentTime > last) {
                        if (stood > 0.3) { seen.stalls++; seen.stalled_s += stood; }
                        stood = 0;
                    } else stood += 0.1;
                    last = audio.currentTime;
                }, 100);
                setInterval(() => seen.latencies.push(hls.latency), 1000);
            }"""
        )
        began_s, played_s = time.monotonic(), float(page.evaluate("document.querySelector('audio').currentTime"))
        page.wait_for_timeout(seconds * 1000)
        seen, wrong, now_s = page.evaluate("[seen, window.wrong, document.querySelector('audio').currentTime]")
        latencies = sorted(seen["latencies"])
        return {
            "wrong": wrong,
            "stalls": seen["stalls"],
            "stalled_s": round(seen["stalled_s"], 1),
            "waiting": seen["waiting"],
            "played_s": round(now_s - played_s, 1),
            "watched_s": round(time.monotonic() - began_s, 1),
            "latency_s": {"p50": round(latencies[len(latencies) // 2], 2), "max": round(latencies[-1], 2)},
        }


if __name__ == "__main__":
    raise SystemExit(main())
