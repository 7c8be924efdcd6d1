"""Small objects from one core: the edge beside nginx, in the same run, over the same parts.

    python bench/bench_edge_objects.py [--rounds 5] [--seconds 3] [--connections 64] [--core 0]

Both serve the newest parts of a live Space (about 6.4 KB, the AAC rendition) over kept connections; the server is pinned to
one core and wrk to another. Rounds alternate between the two, so that a noisy machine is noisy for both. per_s: requests per
second. per_cpu_s: requests per second of the server's own processor time, which a busy neighbour disturbs less.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from broadcasts import SPACE, Broadcast, payload

from rostra.edge.role import EdgeRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.sound.renditions import Rendition
from rostra.timeline.disk import DiskLibrary

PARTS = 40
PORT = 21_300
PATH = f"/s/{SPACE}/hls/part/{PARTS - 3}.m4s"

NGINX = """
worker_processes 1;
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 20000; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=1000;
    types {{ audio/mp4 m4s; }}
    client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
    uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {place}/www; }}
}}
"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--seconds", type=int, default=3)
    asked.add_argument("--connections", type=int, default=64)
    asked.add_argument("--core", type=int, default=0)
    asked.add_argument("--serve", metavar="PLACE", help=argparse.SUPPRESS)
    chosen = asked.parse_args()
    if chosen.serve:
        _serve(Path(chosen.serve))
        return
    for tool in ("wrk", "nginx", "taskset"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is needed; on Debian: apt-get install wrk nginx util-linux")
    with tempfile.TemporaryDirectory(prefix="rostra-bench-") as name:
        place = Path(name)
        asyncio.run(_record(place))
        _write_files(place)
        pin = ["taskset", "-c", str(chosen.core)]
        rivals = {
            "edge": subprocess.Popen([*pin, sys.executable, __file__, "--serve", name]),
            "nginx": subprocess.Popen([*pin, "nginx", "-p", name, "-c", str(place / "nginx.conf")]),
        }
        try:
            for port in (PORT, PORT + 1):
                _wait_for(port)
            _report(_rounds(chosen, {name: one.pid for name, one in rivals.items()}))
        finally:
            for one in rivals.values():
                one.send_signal(signal.SIGTERM)
                one.wait(10)


async def _record(place: Path) -> None:
    broadcast = Broadcast(place)
    await broadcast.go_live()
    await broadcast.add(PARTS)
    await broadcast.close()


def _write_files(place: Path) -> None:
    file = place / "www" / PATH.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_bytes(payload(Rendition.HLS, PARTS - 3))
    # nginx's worker runs as another user.
    for folder in (place, *[one for one in file.parents if place in one.parents]):
        folder.chmod(0o755)
    (place / "nginx.conf").write_text(NGINX.format(place=place, port=PORT + 1))


def _serve(place: Path) -> None:
    import uvloop

    async def live() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", PORT))
        clock = SystemClock()
        library = DiskLibrary(place, clock)
        role = EdgeRole(library=library, settings=Settings(port=PORT + 10), clock=clock, log=Log("edge"), key="k")
        await role.start([one])
        await stop.wait()
        await role.stop(1)

    uvloop.run(live())


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            with socket.create_connection(("127.0.0.1", port), 0.2) as one:
                one.sendall(f"GET {PATH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join(iter(lambda: one.recv(65536), b""))
                if answer.startswith(b"HTTP/1.1 200") and answer.endswith(payload(Rendition.HLS, PARTS - 3)):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"nothing answers on port {port}")


def _rounds(chosen: argparse.Namespace, pids: dict[str, int]) -> dict[str, list[tuple[float, float]]]:
    """Of each round: requests per second, and per second of processor time."""
    other = next(core for core in range(os.cpu_count() or 1) if core != chosen.core)
    rates: dict[str, list[tuple[float, float]]] = {"edge": [], "nginx": []}
    for _ in range(chosen.rounds):
        for name, port in (("edge", PORT), ("nginx", PORT + 1)):
            command = ["taskset", "-c", str(other), "wrk", "-t1", f"-c{chosen.connections}", f"-d{chosen.seconds}"]
            before = _cpu_s(pids[name])
            said = subprocess.run(
                [*command, f"http://127.0.0.1:{port}{PATH}"], capture_output=True, text=True, check=True
            ).stdout
            used_s = _cpu_s(pids[name]) - before
            if "Non-2xx" in said or "Socket errors" in said:
                sys.exit(said)
            requests = int(said.split(" requests in ")[0].split()[-1])
            rates[name].append((float(said.split("Requests/sec:")[1].split()[0]), requests / used_s))
    return rates


def _cpu_s(pid: int) -> float:
    """Processor time of a process and its children that are alive."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _report(rates: dict[str, list[tuple[float, float]]]) -> None:
    result: dict[str, object] = {"part_bytes": len(payload(Rendition.HLS, PARTS - 3))}
    for at, figure in enumerate(("per_s", "per_cpu_s")):
        median = {name: statistics.median(one[at] for one in some) for name, some in rates.items()}
        for name, some in rates.items():
            values = sorted(round(one[at]) for one in some)
            result[f"{name}_{figure}"] = round(median[name])
            result[f"{name}_{figure}_spread"] = [values[0], values[-1]]
        result[f"ratio_{figure}"] = round(median["edge"] / median["nginx"], 3)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
