"""`make bench`: every bench_*.py here in turn (or those named), each printing one JSON line; kept in bench/results.

    python -m bench [NAME…] [--quick]

Options are handed on; --quick is for those that know it: few listeners, one round, no figure to rely on.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from bench.demands import missed

HERE = Path(__file__).parent


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def main() -> int:
    named = [one for one in sys.argv[1:] if not one.startswith("--")]
    options = [one for one in sys.argv[1:] if one.startswith("--")]
    known = {file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py")}
    if unknown := set(named) - known:
        print(
            f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(sorted(known))}.",
            file=sys.stderr,
        )
        return 2
    worst = 0
    for file in sorted(HERE.glob("bench_*.py")):
        name = file.stem.removeprefix("bench_")
        if named and name not in named:
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        done = subprocess.run([sys.executable, str(file), *options], stdout=subprocess.PIPE, text=True, check=False)
        worst = max(worst, abs(done.returncode))
        for line in done.stdout.splitlines():
            if not line.startswith("{"):
                print(line)
                continue
            row = {
                "bench": name, "commit": commit(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
                "took_s": round(time.monotonic() - began, 1), **json.loads(line),
            }  # fmt: skip
            for what in [] if row.get("quick") else missed(name, row):
                print(f"{name}: not reached: {what}", file=sys.stderr)
                worst = max(worst, 1)
            print(json.dumps(row))
            with (HERE / "results" / f"{name}.jsonl").open("a") as results:
                results.write(json.dumps(row) + "\n")
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
