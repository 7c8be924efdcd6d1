"""18,000 listeners who each ask for the next half-second part before it exists, on one core; and nginx with the same bytes.

    python bench/bench_edge_parts.py [--listeners 18000] [--rounds 5] [--seconds 10] [--quick]

nginx cannot hold a request, so the same parts lie there as files beforehand, and as many listeners on as many connections ask for one
each half second. ratio: requests for a second of processor time, the edge's to nginx's, rounds in turn on the same core.
late: parts that came more than one part's length after they could have come. cpu_us: processor time for each answer. agreement:
what `rostra rehearse` and the crowd in C, 1,000 listeners each, say of the same edge, one after the other.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from house import LOAD_CORE, SPACE, House, built, environment, median_and_spread, more_files
from load import Run, crowd, repeated
from rival import HOW, nginx

PORT = 23_200
FILES = 200


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--listeners", type=int)
    asked.add_argument("--rounds", type=int)
    asked.add_argument("--seconds", type=float, default=10)
    asked.add_argument("--quick", action="store_true")
    chosen = asked.parse_args()
    listeners = chosen.listeners or (1000 if chosen.quick else 18_000)
    more_files()
    with tempfile.TemporaryDirectory(prefix="rostra-bench-") as folder:
        program = built("crowd.c", Path(folder))

        def measure() -> Run:
            with House(PORT) as house:
                others = [pid for pid in house.all_pids if pid not in house.edge_pids]
                return crowd(
                    program, "parts", PORT + 1, f"/s/{SPACE}/opus", [listeners], ramp_s=max(1.0, listeners / 4500),
                    seconds=chosen.seconds, part_ms=500, pids=house.edge_pids, others=others,
                )  # fmt: skip

        place = Path(folder)
        place.chmod(0o755)  # nginx's worker runs as another user
        files = {name: _files(place, name) for name in HOW}

        def measure_files(name: str) -> Run:
            with nginx(name, place, files[name], PORT + 20) as pids:
                return crowd(
                    program, "files", PORT + 20, f"/s/{SPACE}/opus", [listeners], ramp_s=max(1.0, listeners / 4500),
                    seconds=chosen.seconds, part_ms=500, pids=pids,
                )  # fmt: skip

        runs: list[Run] = []
        rivals: dict[str, list[Run]] = {name: [] for name in HOW}
        for _ in range(chosen.rounds or (1 if chosen.quick else 5)):
            runs.append(repeated(measure, chosen.quick))
            for name, some in rivals.items():
                some.append(repeated(lambda name=name: measure_files(name), chosen.quick))  # type: ignore[misc]
        agreement = _agreement(program, 200 if chosen.quick else 1000)
    print(
        json.dumps(
            {
                "quick": chosen.quick, "listeners": listeners, "seconds": chosen.seconds,
                "cores": median_and_spread([one.server_share for one in runs]),
                "cpu_us": _cpu_us(runs),
                **{name: _rival(some, runs) for name, some in rivals.items()},
                "answers_per_s": median_and_spread([one.total("steady_answers") / one.wall_s for one in runs], 0),
                "joined": min(one.total("joined") for one in runs),
                "late": max(one.total("late") for one in runs),
                "late_steady": max(one.total("late_steady") for one in runs),
                "lateness_p50_ms": median_and_spread([one.worst("lateness_ms", "p50") for one in runs], 0),
                "lateness_p99_ms": median_and_spread([one.worst("lateness_ms", "p99") for one in runs], 0),
                "lateness_most_ms": max(one.worst("lateness_ms", "most") for one in runs),
                "gaps": max(one.total("gaps") for one in runs),
                "errors": {key: max(one.errors[key] for one in runs) for key in runs[0].errors},
                "generator": round(max(one.generator_share for one in runs), 3),
                "agreement": agreement,
                "void": [why for one in (*runs, *(run for some in rivals.values() for run in some)) for why in one.void],
            }
        )
    )  # fmt: skip


def _files(place: Path, name: str) -> Path:
    """As many parts of the size that they have on the air as a run may ask for."""
    from broadcasts import payload

    from rostra.sound.renditions import Rendition

    www = place / f"{name}-www"
    folder = www / "s" / SPACE / "opus" / "part"
    folder.mkdir(parents=True)
    for number in range(FILES):
        (folder / f"{number}.m4s").write_bytes(payload(Rendition.OPUS, number))
    return www


def _cpu_us(runs: list[Run]) -> dict[str, Any]:
    return median_and_spread([1e6 * one.cpu_s / one.total("steady_answers") for one in runs], 2)


def _rival(runs: list[Run], ours: list[Run]) -> dict[str, Any]:
    cpu_us = _cpu_us(runs)
    return {
        "cpu_us": cpu_us,
        "answers_per_s": median_and_spread([one.total("steady_answers") / one.wall_s for one in runs], 0),
        "joined": min(one.total("joined") for one in runs),
        "ratio": round(cpu_us["median"] / _cpu_us(ours)["median"], 3),
    }


def _agreement(program: Path, listeners: int) -> dict[str, Any]:
    with House(PORT) as house:
        said = subprocess.run(
            ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "rostra", "rehearse", house.page, "--listeners", str(listeners),
             "--ramp", "2", "--seconds", "8", "--processes", "1", "--shares", "web=1", "--decoded", "0", "--json"],
            capture_output=True, text=True, check=True, env=environment(),
        )  # fmt: skip
        rehearsed = json.loads(said.stdout)
        run = crowd(
            program,
            "parts",
            PORT + 1,
            f"/s/{SPACE}/opus",
            [listeners],
            ramp_s=2,
            seconds=8,
            part_ms=500,
            pids=house.edge_pids,
        )
    other = run.crowd[0]
    names = ("listeners", "joined", "first_sound_ms", "lateness_ms", "late", "gaps")
    return {
        "rehearse": {name: rehearsed[name] for name in names}
        | {"us_an_answer": rehearsed["generator"]["us_an_answer"]},
        "crowd": {name: other[name] for name in names}
        | {"us_an_answer": round(1e6 * other["steady_cpu_s"] / other["steady_answers"], 1)},
    }


if __name__ == "__main__":
    main()
