"""Three edges side by side, 50,000 listeners for one minute; or the most that all hear without a gap, and who was the limit.

    python bench/bench_edge_three.py [--listeners 50000] [--seconds 60] [--quick]

Edges and crowd (three processes, because one may open 20,000 files) share all cores of the machine as the kernel places them.
If not everybody can be served, fewer come, each time for a short trial, until all are; those then stay the whole minute. First each
listener asks for part after part, as the web player does; then each listens to an endless stream, as radios do.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from house import SPACE, House, built, more_files
from load import Run, crowd

PORT = 23_200
EDGES = 3
LESS = (1.0, 0.85, 0.7, 0.55, 0.4)
TRIAL_S = 10.0


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--listeners", type=int)
    asked.add_argument("--seconds", type=float)
    asked.add_argument("--quick", action="store_true")
    chosen = asked.parse_args()
    most = chosen.listeners or (1500 if chosen.quick else 50_000)
    seconds = chosen.seconds or (6.0 if chosen.quick else 60.0)
    more_files()
    tried: dict[str, list[dict[str, Any]]] = {"parts": [], "stream": []}
    paths = {"parts": f"/s/{SPACE}/opus", "stream": f"/s/{SPACE}/live.mp3"}
    with tempfile.TemporaryDirectory(prefix="rostra-bench-") as folder:
        program = built("crowd.c", Path(folder))

        def measure(kind: str, listeners: int, stay_s: float) -> Run:
            with House(PORT, edges=EDGES, pinned=False) as house:
                others = [pid for pid in house.all_pids if pid not in house.edge_pids]
                return crowd(
                    program, kind, PORT + 1, paths[kind], _shared(listeners), ramp_s=max(1.0, listeners / 2500),
                    seconds=stay_s, part_ms=500, pids=house.edge_pids, others=others, core=None,
                )  # fmt: skip

        for kind, some in tried.items():
            for share in LESS:
                listeners = round(most * share)
                if share < 1:
                    trial = measure(kind, listeners, TRIAL_S)
                    some.append(_said(listeners, TRIAL_S, trial))
                    if not _whole(listeners, trial):
                        continue
                run = measure(kind, listeners, seconds)
                some.append(_said(listeners, seconds, run))
                if _whole(listeners, run):
                    break
    print(
        json.dumps(
            {
                "quick": chosen.quick, "asked": most, "edges": EDGES, "cores": os.cpu_count(),
                **{kind: {**some[-1], "tried": some} for kind, some in tried.items()},
                "void": [why for some in tried.values() for why in some[-1].pop("void")],
            }
        )
    )  # fmt: skip


def _shared(listeners: int) -> list[int]:
    return [listeners // EDGES + (at < listeners % EDGES) for at in range(EDGES)]


def _whole(listeners: int, run: Run) -> bool:
    return bool(run.total("joined") == listeners and run.total("gaps") == 0 and run.total("inside") == listeners)


def _said(listeners: int, seconds: float, run: Run) -> dict[str, Any]:
    generator = sum(one["steady_cpu_s"] / one["steady_s"] for one in run.crowd)
    cores = os.cpu_count() or 1
    idle = cores - run.server_share - generator - run.foreign
    limit = (
        "none"
        if _whole(listeners, run)
        else "neither alone: the cores they share were full"
        if idle < 0.15 * cores
        else "the edges"
    )
    if run.generator_share > 0.8:
        limit = "the generator"
    return {
        "listeners": listeners, "seconds": seconds, "joined": run.total("joined"), "inside": run.total("inside"),
        "gaps": run.total("gaps"), "with_gaps": run.total("with_gaps"),
        "longest_gap_s": max(one["longest_gap_s"] for one in run.crowd),
        "first_sound_p99_ms": run.worst("first_sound_ms", "p99"), "lateness_p50_ms": run.worst("lateness_ms", "p50"),
        "lateness_p99_ms": run.worst("lateness_ms", "p99"), "late": run.total("late_steady"), "errors": run.errors,
        "edges_cores": round(run.server_share, 3), "generator_cores": round(generator, 3), "foreign_cores": round(run.foreign, 3),
        "limit": limit, "void": run.void,
    }  # fmt: skip


if __name__ == "__main__":
    main()
