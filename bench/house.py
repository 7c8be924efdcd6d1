"""What every benchmark of the edge needs: a whole installation with a Space on the air, pinned to cores, and its own figures."""

import json
import os
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))
sys.path.insert(0, str(HERE.parent / "tests"))

from rostra_process import environment  # noqa: E402 - found on the path made above

SPACE = "abcdefghjk"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = 0, 1
_LIVE_S = 30


class House:
    """Door and edges with a feed beside them, from `with` to its end. The edges run on one core, everything else on the other.

    Args:
        pinned: False: the kernel places everything, for what is meant to use all cores.
    """

    def __init__(self, port: int, *, edges: int = 1, pinned: bool = True, settings: str = "") -> None:
        self.port, self.page, self.sound = (
            port,
            f"http://127.0.0.1:{port}/s/{SPACE}",
            f"http://127.0.0.1:{port + 1}/s/{SPACE}",
        )
        self._edges, self._pinned, self._settings = edges, pinned, settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        more_files()
        place = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rostra-bench-")))
        self.data, self._log = place / "data", place / "log"
        self.data.mkdir()
        (self.data / "rostra.toml").write_text(f"edges = {self._edges}\n{self._settings}")
        try:
            serving = self._begin("serving.py", str(self.data), str(self.port))
            self.pids: dict[str, int] = json.loads(self._line(serving))
            feed = self._begin("feed.py", str(self.data), "--space", SPACE)
            self._line(feed)
            self._wait_for_sound()
        except BaseException:
            self._stack.close()
            raise
        self.all_pids = [serving.pid, feed.pid, *self.pids.values()]
        if self._pinned:
            for pid in self.all_pids:
                pin(pid, SERVER_CORE if pid in self.edge_pids else LOAD_CORE)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def edge_pids(self) -> list[int]:
        return [pid for name, pid in self.pids.items() if name.startswith("edge")]

    def _begin(self, script: str, *args: str) -> "subprocess.Popen[str]":
        with self._log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, str(HERE / script), *args],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment(),
            )  # fmt: skip
        self._stack.callback(_end, process)
        return process

    def _line(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], _LIVE_S)[0] or not (line := process.stdout.readline()):
            raise SystemExit(f"it does not start: {self._log.read_text()[-3000:]}")
        return line

    def _wait_for_sound(self) -> None:
        until = time.monotonic() + _LIVE_S
        while time.monotonic() < until:
            try:
                state = json.loads(urllib.request.urlopen(f"{self.page}/state.json", timeout=5).read())
                if state["state"] == "live":
                    urllib.request.urlopen(f"{self.sound}/opus/join.mp4", timeout=15).read()
                    urllib.request.urlopen(f"{self.sound}/hls/live.m3u8", timeout=15).read()
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise SystemExit(f"nothing is on the air: {self._log.read_text()[-2000:]}")


def _end(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    try:
        process.wait(15)
    finally:
        process.kill()
        process.stdout.close()


def more_files() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pin(pid: int, core: int) -> None:
    """All threads of a process onto one core."""
    if core < (os.cpu_count() or 1):
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {core})


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time of processes, user and system, of all their threads; to the microsecond where the kernel keeps it so."""
    spent = 0.0
    for pid in pids:
        try:
            threads = [f"/proc/{pid}/task/{one}/schedstat" for one in os.listdir(f"/proc/{pid}/task")]
            spent += sum(int(Path(one).read_text().split()[0]) for one in threads) / 1e9
        except FileNotFoundError:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            spent += (int(fields[11]) + int(fields[12])) * TICK_S
    return spent


def rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def median_and_spread(values: list[float], digits: int = 3) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
        "rounds": len(values),
    }


def built(source: str, into: Path) -> Path:
    """A C program of the bench, compiled."""
    target = into / Path(source).stem
    subprocess.run(["gcc", "-O2", "-Wall", "-o", str(target), str(HERE / source)], check=True)
    return target


def machine_noise(seconds: float = 1.0) -> float:
    """Share of all cores that others use just now."""

    def busy() -> tuple[int, int]:
        fields = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return sum(fields) - fields[3] - fields[4], sum(fields)

    before = busy()
    time.sleep(seconds)
    after = busy()
    return (after[0] - before[0]) / max(1, after[1] - before[1])
