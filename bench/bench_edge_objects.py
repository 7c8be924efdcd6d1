"""Small objects from one core: the edge beside nginx, in the same run, over the same parts.

    python bench/bench_edge_objects.py [--rounds 5] [--seconds 3] [--connections 64] [--quick]

All serve a new part of a live Space (about 6.4 KB, the AAC rendition) over kept connections: the edge as the process that
`rostra serve` runs, nginx as a static file, once with sendfile and tcp_nopush as Debian configures it and once without and with the files kept open, which is
quicker for files as small as these. Each server is pinned to one core and wrk to another. Rounds go through all of them, so that a
noisy machine is noisy for each. per_s: requests per second. per_cpu_s: requests per second of the server's own processor time,
which a busy neighbour disturbs less.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from house import LOAD_CORE, SPACE, House, cpu_s, median_and_spread
from rival import HOW, nginx

PORT = 23_200
NGINX_PORT = PORT + 20


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int)
    asked.add_argument("--seconds", type=int)
    asked.add_argument("--connections", type=int, default=64)
    asked.add_argument("--quick", action="store_true")
    chosen = asked.parse_args()
    rounds, seconds = chosen.rounds or (1 if chosen.quick else 5), chosen.seconds or (1 if chosen.quick else 3)
    for tool in ("wrk", "nginx", "taskset"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is needed; on Debian: apt-get install wrk nginx util-linux")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rostra-bench-")))
        house = stack.enter_context(House(PORT))
        place.chmod(0o755)  # nginx's worker runs as another user
        www = place / "www"
        www.mkdir()
        servers = {"edge": (PORT + 1, house.edge_pids)}
        for at, rival in enumerate(HOW):
            servers[rival] = NGINX_PORT + at, stack.enter_context(nginx(rival, place, www, NGINX_PORT + at))
        rates: dict[str, list[tuple[float, float]]] = {server: [] for server in servers}
        size = 0
        for _ in range(rounds):
            path, size = _newest(house, www)
            for server, (port, pids) in servers.items():
                rates[server].append(_wrk(port, path, chosen.connections, seconds, pids))
    print(json.dumps({"quick": chosen.quick, "part_bytes": size, "seconds": seconds, **_result(rates)}))


def _newest(house: House, www: Path) -> tuple[str, int]:
    """Give nginx the same part under the same path."""
    with urllib.request.urlopen(f"{house.sound}/hls/live.m3u8") as playlist:
        number = int(playlist.read().decode().rpartition("part/")[2].partition(".")[0]) - 2
    path = f"/s/{SPACE}/hls/part/{number}.m4s"
    with urllib.request.urlopen(f"{house.sound}/hls/part/{number}.m4s") as part:
        sound = part.read()
    file = www / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(sound)
    return path, len(sound)


def _wrk(port: int, path: str, connections: int, seconds: int, pids: list[int]) -> tuple[float, float]:
    """Requests per second, and per second of processor time."""
    before = cpu_s(pids)
    said = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}", f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    used_s = cpu_s(pids) - before
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(said)
    requests = int(said.split(" requests in ")[0].split()[-1])
    return float(said.split("Requests/sec:")[1].split()[0]), requests / used_s


def _result(rates: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for at, figure in enumerate(("per_s", "per_cpu_s")):
        for name, some in rates.items():
            result[f"{name}_{figure}"] = median_and_spread([one[at] for one in some], 0)
        for name in HOW:
            ratio = result[f"edge_{figure}"]["median"] / result[f"{name}_{figure}"]["median"]
            result[f"ratio_{figure}" if name == "nginx" else f"ratio_tuned_{figure}"] = round(ratio, 3)
    return result


if __name__ == "__main__":
    main()
