"""Fifty random kill -9 of roles during a live Space: does the page ever fail, how long is a listener without sound, is the
record whole after each?

    python bench/bench_kills.py [--kills 50] [--roles stage,edge] [--seed 1]
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from radio_set import RadioSet, mp3_of
from rostra_process import Rostra, free_ports

from rostra.kernel.settings import ROLES

APART_S = (2.5, 6.0)


class Visitor(threading.Thread):
    """Opens the page ten times a second, as newcomers would."""

    def __init__(self, page: str) -> None:
        super().__init__(daemon=True)
        self.page, self.stop = page, threading.Event()
        self.opened, self.reset, self.slowest_s = 0, 0, 0.0
        self.failed: list[str] = []

    def run(self) -> None:
        while not self.stop.wait(0.1):
            began = time.monotonic()
            for attempt in (1, 2, 3):
                try:
                    with urllib.request.urlopen(self.page, timeout=15) as answer:
                        answer.read()
                    self.opened += 1
                    break
                except urllib.error.HTTPError as refused:
                    self.failed.append(f"status {refused.code}")
                    break
                except OSError as wrong:
                    # The door died in the middle of this answer: a browser asks again by itself.
                    self.reset += 1
                    if attempt == 3:
                        self.failed.append(str(wrong))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--roles", default=",".join(ROLES))
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        tone = Path(folder) / "tone.wav"
        subprocess.run(
            ["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", str(tone), "synth", "30", "sine", "330", "norm", "-12"],
            check=True,
        )
        with Rostra(Path(folder) / "data", free_ports()) as server:
            print(json.dumps(run(server, tone, args.roles.split(","), args.kills, chance, args.seed)))


def run(
    server: Rostra, tone: Path, roles: list[str], kills: int, chance: random.Random, seed: int
) -> dict[str, object]:
    space = server.run("space", "create", "--title", "Unbreakable")
    speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone), "--loop")
    while server.state(space["id"])["state"] != "live":
        time.sleep(0.2)
    listening = server.begin("listen", space["page"])
    hls = server.begin("listen", space["page"], "--via", "hls")
    visitor, radio = Visitor(space["page"]), RadioSet(space["page"])
    visitor.start()
    radio.start()
    time.sleep(5)
    began, killed, verified = time.monotonic(), Counter[str](), 0
    verify_s = []
    for _ in range(kills):
        role = chance.choice(roles)
        server.kill_role(role)
        killed[role] += 1
        time.sleep(chance.uniform(*APART_S))
        at = time.monotonic()
        verified += bool(server.run("timeline", "verify", space["id"])["whole"])
        verify_s.append(time.monotonic() - at)
    time.sleep(6)
    lasted_s = time.monotonic() - began
    visitor.stop.set()
    visitor.join(20)
    for one in (listening, hls, speaking):
        one.interrupt()
    heard, by_hls, spoken = listening.result(), hls.result(), speaking.result()
    radio.stop.set()
    server.run("space", "end", space["id"])
    radio.join(20)
    record = mp3_of(server.sound, space["id"])
    proof = server.run("timeline", "verify", space["id"])
    return {
        "seed": seed,
        "kills": dict(killed),
        "seconds": round(lasted_s, 1),
        "verified_after_kills": verified,
        "verify_median_s": round(statistics.median(verify_s), 2),
        "page_opened": visitor.opened,
        "page_failed": visitor.failed,
        "page_reset_and_asked_again": visitor.reset,
        "page_slowest_s": round(visitor.slowest_s, 2),
        "listener": short(heard),
        "hls_listener": short(by_hls),
        "mp3_listener": {
            "connections": len(radio.heard),
            "with_a_hole": radio.misses(record),
            "longest_wait_s": round(radio.longest_wait_s, 2),
        },
        "speaker": {key: spoken[key] for key in ("seconds_sent", "seconds_missed", "reconnects")},
        "record": {key: proof[key] for key in ("whole", "seconds", "filled_s", "away_s")},
        "filled_s_per_stage_kill": round(proof["filled_s"] / max(1, killed["stage"]), 2),
    }


def short(report: dict[str, object]) -> dict[str, object]:
    keys = (
        "seconds_heard",
        "gaps",
        "gap_s",
        "longest_gap_s",
        "skipped_s",
        "silent_seconds",
        "longest_silence_s",
        "reconnects",
        "latency_ms",
    )
    return {key: report[key] for key in keys}


if __name__ == "__main__":
    main()
