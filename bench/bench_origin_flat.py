"""What the edge at the record has to do while 10, 1,000 and 10,000 listeners sit behind two edges that follow it.

    python bench/bench_origin_flat.py [--listeners 10,1000,10000] [--rounds 3] [--seconds 30] [--quick]

The origin alone runs on one core; the two edges (`rostra edge --upstream`), the feed and the crowd share the others. Requests are
those the origin answered while all listeners were there; its parts meanwhile say how many there must be: one for each part, each
rendition and each edge, and a count of listeners from each edge every two seconds.

The machine's cores share caches and power, so work can cost more processor time while the others are busy, whatever the work is. Therefore
the fewest listeners are measured once more, while as many as the most listen to a house of their own on the other cores: what the
origin uses more with the most listeners than in that step is what its own listeners cost it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from house import LOAD_CORE, SPACE, House, built, cpu_s, more_files, pin
from rostra_process import environment

PORT = 21_800
EDGES = 2
RENDITIONS = ("opus", "hls", "low")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--listeners")
    asked.add_argument("--rounds", type=int)
    asked.add_argument("--seconds", type=float)
    asked.add_argument("--quick", action="store_true")
    chosen = asked.parse_args()
    steps = [int(one) for one in (chosen.listeners or ("10,100,400" if chosen.quick else "10,1000,10000")).split(",")]
    seconds = chosen.seconds or (6.0 if chosen.quick else 30.0)
    more_files()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rostra-bench-")))
        program = built("crowd.c", folder)
        house = stack.enter_context(House(PORT))
        edges = [stack.enter_context(_edge(house, folder / f"edge-{at}", PORT + 10 + at)) for at in range(EDGES)]
        rounds = range(chosen.rounds or (1 if chosen.quick else 3))
        runs = [[_measure(program, house, edges, listeners, seconds) for listeners in steps] for _ in rounds]
        with _busy_elsewhere(program, steps[-1], seconds * len(rounds)) as busy:
            beside = _middle([_measure(program, house, edges, steps[0], seconds) for _ in rounds])
            beside["elsewhere"] = busy
    rows = [_middle(list(step)) for step in zip(*runs, strict=True)]
    void = [one for row in (*rows, beside) for one in row.pop("void")]
    print(
        json.dumps(
            {
                "quick": chosen.quick, "edges": EDGES, "seconds": seconds,
                "steps": rows, "beside": beside, "void": void,
            }
        )
    )  # fmt: skip


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run with the median processor time, and how far the others were from it."""
    runs = sorted(runs, key=lambda run: float(run["origin_core_percent"]))
    spread = {"origin_core_least": runs[0]["origin_core_percent"], "origin_core_most": runs[-1]["origin_core_percent"]}
    return {**runs[len(runs) // 2], **spread, "void": [one for run in runs for one in run["void"]]}


def _measure(program: Path, house: House, edges: Sequence[int], listeners: int, seconds: float) -> dict[str, Any]:
    shares = [listeners // EDGES + (at < listeners % EDGES) for at in range(EDGES)]
    crowds = [
        subprocess.Popen(
            ["taskset", "-c", _others(), str(program), "parts", "127.0.0.1", str(PORT + 10 + at), f"/s/{SPACE}/opus",
             str(share), str(max(1.0, listeners / 1500)), str(seconds + 6), "500"],
            stdout=subprocess.PIPE, text=True,
        )
        for at, share in enumerate(shares)
    ]  # fmt: skip
    try:
        for one in crowds:
            assert one.stdout is not None
            if one.stdout.readline() != "steady\n":
                raise SystemExit("the crowd did not get under way")
        time.sleep(2)
        before, parts_before, cpu_before = _requests(house), _parts(), cpu_s(house.edge_pids)
        edges_before, at = cpu_s(edges), time.monotonic()
        time.sleep(seconds)
        after, parts_after, cpu_after = _requests(house), _parts(), cpu_s(house.edge_pids)
        lasted_s, edges_s = time.monotonic() - at, cpu_s(edges) - edges_before
        said = [json.loads(one.stdout.readline()) for one in crowds if one.stdout is not None]
    finally:
        for one in crowds:
            one.kill()
            one.wait()
            if one.stdout is not None:
                one.stdout.close()
    # The two looks at the origin's own figures (one request) and at its lists (three) count as well.
    own = 1 + len(RENDITIONS)
    made = sum(parts_after[name] - parts_before[name] for name in RENDITIONS)
    busiest = max(max(one["busiest"], one["steady_cpu_s"] / one["steady_s"]) for one in said)
    return {
        "listeners": listeners,
        "elsewhere": 0,
        "joined": sum(one["joined"] for one in said),
        "gaps": sum(one["gaps_steady"] for one in said),
        "answers_per_s": round(sum(one["steady_answers"] / one["steady_s"] for one in said)),
        "parts_made": made,
        "origin_requests": after - before - own,
        "requests_per_s": round((after - before - own) / lasted_s, 2),
        "requests_per_part_and_edge": round((after - before - own) / made / EDGES, 3),
        "origin_core_percent": round(100 * (cpu_after - cpu_before) / lasted_s, 2),
        "edges_core_percent": round(100 * edges_s / lasted_s, 1),
        "void": [f"the generator used {busiest:.0%} of a core"] if busiest > 0.8 else [],
    }


@contextmanager
def _busy_elsewhere(program: Path, listeners: int, seconds: float) -> Iterator[int]:
    """So many listeners at another house, with which the origin has nothing to do."""
    with House(PORT + 40, edges=EDGES) as other:
        for pid in other.all_pids:
            pin(pid, LOAD_CORE)
        crowd = subprocess.Popen(
            ["taskset", "-c", _others(), str(program), "parts", "127.0.0.1", str(PORT + 41), f"/s/{SPACE}/opus", str(listeners),
             str(max(1.0, listeners / 1500)), str(seconds + 120), "500"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert crowd.stdout is not None
            if crowd.stdout.readline() != "steady\n":
                raise SystemExit("the other crowd did not get under way")
            yield listeners
        finally:
            crowd.kill()
            crowd.wait()
            if crowd.stdout is not None:
                crowd.stdout.close()


@contextmanager
def _edge(house: House, data: Path, port: int) -> Iterator[int]:
    """An edge that follows the house's; gives its process."""
    data.mkdir()
    shutil.copy(house.data / "operator.key", data)
    (data / "rostra.toml").write_text("edges = 1\n")
    with (data / "log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "rostra", "edge", "--upstream", f"http://127.0.0.1:{PORT + 1}", "--port", str(port),
             "--data", str(data), "--json"],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environment(),
        )  # fmt: skip
    try:
        assert running.stdout is not None
        if not running.stdout.readline():
            raise SystemExit(f"the edge does not start: {(data / 'log').read_text()[-2000:]}")
        lines = [json.loads(line) for line in (data / "log").read_text().splitlines() if line.startswith("{")]
        pid = next(int(line["pid"]) for line in lines if line["message"] == "role started")
        pin(pid, LOAD_CORE)
        pin(running.pid, LOAD_CORE)
        urllib.request.urlopen(f"http://127.0.0.1:{port}/s/{SPACE}/opus/join.mp4", timeout=20).read()
        yield pid
    finally:
        running.terminate()
        running.wait(15)
        if running.stdout is not None:
            running.stdout.close()


def _requests(house: House) -> int:
    """How many requests the origin has answered."""
    key = (house.data / "operator.key").read_text().strip()
    asked = urllib.request.Request(f"http://127.0.0.1:{PORT + 1}/metrics", headers={"Authorization": f"Bearer {key}"})
    text = urllib.request.urlopen(asked, timeout=10).read().decode()
    found = re.search(r'^rostra_wire_requests_total\{role="edge"\} (\d+)', text, re.MULTILINE)
    assert found is not None, text[:500]
    return int(found[1])


def _parts() -> dict[str, int]:
    """How many parts there are of each rendition."""
    found = {}
    for name in RENDITIONS:
        text = urllib.request.urlopen(f"http://127.0.0.1:{PORT + 1}/s/{SPACE}/{name}/live.m3u8", timeout=10).read()
        hint = re.search(rb'PRELOAD-HINT:TYPE=PART,URI="part/(\d+)', text)
        assert hint is not None
        found[name] = int(hint[1])
    return found


def _others() -> str:
    """All cores but the origin's; the one there is where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return ",".join(map(str, cores[1:] or cores))


if __name__ == "__main__":
    main()
