"""How processor time and memory of one edge grow with its listeners: 2,000 to 18,000, parts of half a second.

    python bench/bench_edge_growth.py [--rounds 3] [--seconds 8] [--quick]

A fresh edge for each count, so that memory is what these listeners need and not what others left behind. The line is fitted by
least squares through all runs; r2 is the share of the variation that it explains.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from house import SPACE, House, built, median_and_spread, more_files
from load import Run, crowd, repeated

PORT = 23_200
COUNTS = (2000, 6000, 10_000, 14_000, 18_000)
QUICK = (200, 600, 1000)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int)
    asked.add_argument("--seconds", type=float, default=8)
    asked.add_argument("--quick", action="store_true")
    chosen = asked.parse_args()
    counts = QUICK if chosen.quick else COUNTS
    more_files()
    runs: dict[int, list[Run]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory(prefix="rostra-bench-") as folder:
        program = built("crowd.c", Path(folder))

        def measure(listeners: int) -> Run:
            with House(PORT) as house:
                others = [pid for pid in house.all_pids if pid not in house.edge_pids]
                return crowd(
                    program, "parts", PORT + 1, f"/s/{SPACE}/opus", [listeners], ramp_s=max(1.0, listeners / 4500),
                    seconds=chosen.seconds, part_ms=500, pids=house.edge_pids, others=others,
                )  # fmt: skip

        for _ in range(chosen.rounds or (1 if chosen.quick else 3)):
            for count in counts:
                runs[count].append(repeated(lambda count=count: measure(count), chosen.quick))  # type: ignore[misc]
    points = [(count, run.server_share) for count, some in runs.items() for run in some]
    slope, intercept, r2 = _line(points)
    print(
        json.dumps(
            {
                "quick": chosen.quick,
                "points": [
                    {
                        "listeners": count,
                        "cores": median_and_spread([one.server_share for one in some], 4),
                        "grown_bytes": median_and_spread([1024 * one.grown_kb / count for one in some], 0),
                        "gaps": max(one.total("gaps") for one in some), "late": max(one.total("late_steady") for one in some),
                    }
                    for count, some in runs.items()
                ],
                "fit": {"cores_per_1000": round(1000 * slope, 5), "at_none": round(intercept, 4), "r2": round(r2, 4)},
                "bytes_a_listener": round(statistics.median(1024 * one.grown_kb / counts[-1] for one in runs[counts[-1]])),
                "void": [why for some in runs.values() for one in some for why in one.void],
            }
        )
    )  # fmt: skip


def _line(points: list[tuple[int, float]]) -> tuple[float, float, float]:
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    intercept = mean_y - slope * mean_x
    left = sum((y - intercept - slope * x) ** 2 for x, y in points)
    whole = sum((y - mean_y) ** 2 for _, y in points)
    return slope, intercept, 1 - left / whole if whole else 1.0


if __name__ == "__main__":
    main()
