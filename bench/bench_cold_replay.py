"""Two hours of recording, none of it in the machine's memory: how long until the replay opens, and until a seek anywhere sounds?

    python bench/bench_cold_replay.py [--hours 2] [--rounds 5]

Before each round the record's pages are dropped (posix_fadvise) and the edge is a new process, so that the first listener after
a restart is measured. `cached_share` says how much of the record was still in memory then; what the disk keeps in a memory of its
own is beyond us.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from broadcasts import SPACE, Broadcast
from rostra_process import Rostra, free_ports

SEEKS = 20
PIECE = 65_536


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, help="the first of eight free ones (chosen)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rostra-cold-") as place:
        data, parts = Path(place) / "data", round(args.hours * 7200)
        asyncio.run(_record(data, parts))
        times: dict[str, list[float]] = {}
        cached: list[float] = []
        with Rostra(data, args.port or free_ports(8)) as server:
            chance = random.Random(1)
            for _ in range(args.rounds):
                for look in (_replay, _recording):
                    _fresh_edge(server)
                    cached.append(_drop(data))
                    with closing(_Asking(server, times)) as asking:
                        look(asking, parts, chance, data)
        size = sum(file.stat().st_size for file in (data / "spaces" / SPACE).iterdir())
    row = {
        "hours": args.hours, "rounds": args.rounds, "megabytes": round(size / 1e6), "cached_share": round(max(cached), 3),
        "ms": {what: _spread(found) for what, found in times.items()},
    }  # fmt: skip
    print(json.dumps(row))


async def _record(data: Path, parts: int) -> None:
    broadcast = Broadcast(data)
    await broadcast.go_live()
    await broadcast.add(parts)
    await broadcast.end()
    await broadcast.close()


def _fresh_edge(server: Rostra) -> None:
    for name in [one for one in server.pids() if one.startswith("edge")]:
        old = server.kill_role(name)
        deadline = time.monotonic() + 30
        while server.pids()[name] == old and time.monotonic() < deadline:
            time.sleep(0.05)
    while True:
        try:
            server.get(f"{server.sound}/healthz")
            return
        except OSError:
            time.sleep(0.1)


def _drop(data: Path) -> float:
    """Gives the share of the record that stayed in memory all the same."""
    kept = whole = 0
    for file in (data / "spaces" / SPACE).iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        said = subprocess.run(
            ["fincore", "-b", "-n", "-o", "RES,SIZE", str(file)], capture_output=True, text=True, check=True
        )
        resident, size = map(int, said.stdout.split())
        kept, whole = kept + resident, whole + size
    return kept / whole


class _Asking:
    def __init__(self, server: Rostra, times: dict[str, list[float]]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port + 1, timeout=30)
        self._times = times

    def ask(self, what: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        began = time.perf_counter()
        self._connection.request("GET", f"/s/{SPACE}/{path}", headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status in (200, 206), (path, answer.status)
        self._times.setdefault(what, []).append((time.perf_counter() - began) * 1000)
        return answer, body

    def close(self) -> None:
        self._connection.close()


def _replay(asking: _Asking, parts: int, chance: random.Random, data: Path) -> None:
    asking.ask("open_replay", "opus/replay.m3u8")
    asking.ask("first_part", "opus/part/0.m4s")
    _drop(data)
    asking.ask("levels", "opus/levels.json")
    _drop(data)
    asking.ask("recording_first_bytes", "recording.m4a", Range="bytes=0-65535")
    for _ in range(SEEKS):
        _drop(data)
        asking.ask("seek_part", f"opus/part/{chance.randrange(parts)}.m4s")
        asking.ask("seek_segment", f"hls/seg/{chance.randrange(parts // 8)}.m4s")


def _recording(asking: _Asking, parts: int, chance: random.Random, data: Path) -> None:
    """The first thing that this edge is asked for at all; then as a player that seeks, and one that reads the whole index first."""
    answer, begin = asking.ask("open_recording", "recording.m4a", Range="bytes=0-65535")
    size = int(answer.headers["content-range"].rpartition("/")[2])
    index_end = _after_moov(begin)
    for _ in range(SEEKS):
        _drop(data)
        at = chance.randrange(index_end, size - PIECE)
        asking.ask("seek_recording", "recording.m4a", Range=f"bytes={at}-{at + PIECE - 1}")
    _drop(data)
    asking.ask("recording_index", "recording.m4a", Range=f"bytes=0-{index_end - 1}")


def _after_moov(begin: bytes) -> int:
    ftyp = int.from_bytes(begin[:4], "big")
    assert begin[ftyp + 4 : ftyp + 8] == b"moov"
    return ftyp + int.from_bytes(begin[ftyp : ftyp + 4], "big")


def _spread(found: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(found), 1), "max": round(max(found), 1), "n": len(found)}


if __name__ == "__main__":
    main()
