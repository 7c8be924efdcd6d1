"""An endless stream at 64 kb/s to 18,000 listeners: the edge beside a bare loop of writes in C and beside Icecast 2.4.

    python bench/bench_edge_stream.py [--listeners 18000] [--rounds 5] [--seconds 8] [--quick]

Each server in turn, on the same core, with the same crowd on the other; rounds go through all three, so that a noisy machine is
noisy for each. All write half a second at a time. cpu_us: processor time of the server for each listener and second, while all
were there; served: what arrived, in listeners' worth of 64 kb/s.
"""

import argparse
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from house import SERVER_CORE, SPACE, House, built, median_and_spread, more_files, pin
from load import Run, crowd, repeated

PORT = 23_200
BYTES_PER_S = 8000

ICECAST = """<icecast>
  <limits><clients>60000</clients><sources>2</sources><queue-size>524288</queue-size><burst-on-connect>0</burst-on-connect>
    <burst-size>0</burst-size><header-timeout>15</header-timeout><source-timeout>10</source-timeout></limits>
  <authentication><source-password>bench</source-password><relay-password>bench</relay-password>
    <admin-user>a</admin-user><admin-password>bench</admin-password></authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <http-headers><header name="Access-Control-Allow-Origin" value="*"/></http-headers>
  <paths><basedir>/usr/share/icecast2</basedir><logdir>{place}</logdir><webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot></paths>
  <logging><accesslog>-</accesslog><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
  <security><chroot>0</chroot>{owner}</security>
</icecast>
"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--listeners", type=int)
    asked.add_argument("--rounds", type=int)
    asked.add_argument("--seconds", type=float, default=8)
    asked.add_argument("--quick", action="store_true")
    asked.add_argument("--servers", default="edge,loop,icecast")
    chosen = asked.parse_args()
    listeners = chosen.listeners or (1000 if chosen.quick else 18_000)
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    names = [name for name in chosen.servers.split(",") if name != "icecast" or shutil.which("icecast2")]
    more_files()
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="rostra-bench-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        program, loop = built("crowd.c", place), built("write_loop.c", place)
        frames = _mp3(place)

        def measure(name: str) -> Run:
            with _server(name, place, loop, frames) as (port, path, pids, others):
                return crowd(
                    program, "stream", port, path, [listeners], ramp_s=max(1.0, listeners / 4500), seconds=chosen.seconds,
                    part_ms=500, pids=pids, others=others,
                )  # fmt: skip

        for _ in range(rounds):
            for name in names:
                runs[name].append(repeated(lambda name=name: measure(name), chosen.quick))  # type: ignore[misc]
    print(json.dumps({"quick": chosen.quick, "listeners": listeners, "seconds": chosen.seconds, **_result(runs)}))


@contextmanager
def _server(name: str, place: Path, loop: Path, frames: Path) -> Iterator[tuple[int, str, list[int], list[int]]]:
    """Port, path, the server's processes, and others that belong to it."""
    if name == "edge":
        with House(PORT) as house:
            others = [pid for pid in house.all_pids if pid not in house.edge_pids]
            yield PORT + 1, f"/s/{SPACE}/live.mp3", house.edge_pids, others
        return
    if name == "loop":
        command = [str(loop), str(PORT + 20), str(BYTES_PER_S // 2), "500"]
        with _running(command, PORT + 20) as process:
            yield PORT + 20, "/", [process.pid], []
        return
    owner = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>" if os.getuid() == 0 else ""
    (place / "icecast.xml").write_text(ICECAST.format(port=PORT + 21, place=place, owner=owner))
    if owner:
        nobody = pwd.getpwnam("nobody")
        os.chown(place, nobody.pw_uid, nobody.pw_gid)
    with _running(["icecast2", "-c", str(place / "icecast.xml")], PORT + 21) as process:
        stop = threading.Event()
        source = threading.Thread(target=_feed_icecast, args=(PORT + 21, frames, stop), daemon=True)
        source.start()
        time.sleep(1.5)
        try:
            yield PORT + 21, "/live.mp3", [process.pid], []
        finally:
            stop.set()
            source.join(3)


@contextmanager
def _running(command: list[str], port: int) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit(f"{command[0]} does not start") from None
                time.sleep(0.1)
        pin(process.pid, SERVER_CORE)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _mp3(place: Path) -> Path:
    """A minute of MP3 at 64 kb/s for Icecast's source."""
    target = place / "minute.mp3"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=330:d=60", "-ac", "1", "-ar", "48000", "-c:a", "libmp3lame",
         "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3", str(target)],
        check=True,
    )  # fmt: skip
    return target


def _feed_icecast(port: int, frames: Path, stop: threading.Event) -> None:
    """Half a second at a time, as the edge gets it."""
    sound, at = frames.read_bytes(), 0
    head = (
        "SOURCE /live.mp3 HTTP/1.0\r\nAuthorization: Basic c291cmNlOmJlbmNo\r\nContent-Type: audio/mpeg\r\n"
        "User-Agent: bench\r\nice-bitrate: 64\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 5) as one:
        one.sendall(head.encode())
        due = time.monotonic()
        while not stop.is_set():
            piece = sound[at : at + BYTES_PER_S // 2]
            at = (at + len(piece)) % (len(sound) - len(sound) % (BYTES_PER_S // 2))
            one.sendall(piece)
            due += 0.5
            stop.wait(max(0.0, due - time.monotonic()))


def _result(runs: dict[str, list[Run]]) -> dict[str, Any]:
    found: dict[str, Any] = {"void": [why for some in runs.values() for one in some for why in one.void]}
    for name, some in runs.items():
        served = [one.total("steady_bytes") / BYTES_PER_S / one.crowd[0]["steady_s"] for one in some]
        found[name] = {
            "cpu_us": median_and_spread(
                [1e6 * one.server_share / max(1.0, got) for one, got in zip(some, served, strict=True)], 2
            ),
            "cores": median_and_spread([one.server_share for one in some]),
            "served": median_and_spread(served, 0),
            "join_cpu_us": median_and_spread([1e6 * one.ramp_cpu_s / max(1, one.total("joined")) for one in some], 1),
            "joined": min(one.total("joined") for one in some),
            "gaps": max(one.total("gaps") for one in some),
            "longest_gap_s": max(one["longest_gap_s"] for run in some for one in run.crowd),
            "first_sound_p99_ms": median_and_spread([one.worst("first_sound_ms", "p99") for one in some], 0),
            "errors": {key: max(one.errors[key] for one in some) for key in some[0].errors},
            "generator": round(max(one.generator_share for one in some), 3),
        }
    for rival, name in (("loop", "to_loop"), ("icecast", "to_icecast")):
        if rival in found and "edge" in found:
            found[name] = round(found["edge"]["cpu_us"]["median"] / max(1e-9, found[rival]["cpu_us"]["median"]), 3)
    return found


if __name__ == "__main__":
    main()
