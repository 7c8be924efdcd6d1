"""A flash: 18,000 listeners join within six seconds. How many hear something, and after how long?

    python bench/bench_edge_flash.py [--listeners 18000] [--ramp 6] [--rounds 5] [--quick]

Time to first sound counts from the moment at which each was to come, on a schedule that waits for nobody.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from house import SPACE, House, built, median_and_spread, more_files
from load import Run, crowd, repeated

PORT = 23_200


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--listeners", type=int)
    asked.add_argument("--ramp", type=float)
    asked.add_argument("--rounds", type=int)
    asked.add_argument("--quick", action="store_true")
    chosen = asked.parse_args()
    listeners = chosen.listeners or (1000 if chosen.quick else 18_000)
    ramp_s = chosen.ramp or 6.0 * listeners / 18_000
    more_files()
    with tempfile.TemporaryDirectory(prefix="rostra-bench-") as folder:
        program = built("crowd.c", Path(folder))

        def measure() -> Run:
            with House(PORT) as house:
                others = [pid for pid in house.all_pids if pid not in house.edge_pids]
                return crowd(
                    program, "parts", PORT + 1, f"/s/{SPACE}/opus", [listeners], ramp_s=ramp_s, seconds=4, part_ms=500,
                    pids=house.edge_pids, others=others,
                )  # fmt: skip

        runs = [repeated(measure, chosen.quick) for _ in range(chosen.rounds or (1 if chosen.quick else 5))]
    print(
        json.dumps(
            {
                "quick": chosen.quick, "listeners": listeners, "ramp_s": round(ramp_s, 2),
                "joined": min(one.total("joined") for one in runs),
                "first_sound_ms": {
                    name: median_and_spread([one.worst("first_sound_ms", name) for one in runs], 0)
                    for name in ("p50", "p95", "p99", "most")
                },
                "join_cpu_us": median_and_spread([1e6 * one.ramp_cpu_s / listeners for one in runs], 1),
                "gaps": max(one.total("gaps") for one in runs),
                "errors": {key: max(one.errors[key] for one in runs) for key in runs[0].errors},
                "generator": round(max(one.generator_share for one in runs), 3),
                "void": [why for one in runs for why in one.void],
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
