"""`make demo` keeps its word: on the air by itself, heard without a gap, and gone without a trace at Ctrl-C."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import kept_waiting_s
from rostra_process import ROSTRA, Command, environment, free_ports

from rostra.kernel.settings import ROLES

pytestmark = pytest.mark.timeout(180)
DEMO = Path(__file__).parents[2] / "tools" / "demo.py"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    port, data = free_ports(5), tmp_path / "data"
    process = subprocess.Popen(
        [sys.executable, str(DEMO), "--data", str(data), "--port", str(port)],
        stdout=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
    )  # fmt: skip
    yield process, port, data
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=60)
    finally:
        process.kill()


def rostra(*args: str) -> dict[str, object]:
    done = subprocess.run([*ROSTRA, *args, "--json"], capture_output=True, text=True, timeout=60, env=environment())
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_demonstration_is_on_the_air_is_heard_and_ends_cleanly(
    demo: tuple[subprocess.Popen[str], int, Path],
) -> None:
    process, port, data = demo
    assert process.stdout is not None
    said: list[str] = []
    while "Stop with Ctrl-C." not in (line := process.stdout.readline()):
        assert line, f"it ended before it was on the air: {said}"
        said.append(line.strip())
    page = next(line for line in said if re.fullmatch(rf"http://127\.0\.0\.1:{port}/s/\w+", line))
    assert any("/sign-in#token=" in line for line in said), said

    started = _below(process.pid)
    assert len(started) >= 1 + len(ROLES) + 2, "the server with its roles, and two voices"
    report, waited_s = Command([*ROSTRA, "listen", page, "--seconds", "6", "--json"]).watched()
    # No gap, but for what the machine took from the processes on the way.
    assert report["gap_s"] <= waited_s + sum(kept_waiting_s(pid) for pid in started), report
    assert report["reconnects"] == 0 and not report["replay"], report
    assert 5.9 <= report["seconds_heard"] <= 6.1
    assert report["level_dbfs"] > -40, "the two voices talk"

    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and rest.split() == ["Stopping", "…"]
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == [], "nothing is left running"
    proof = rostra("timeline", "verify", page.rsplit("/", 1)[1], "--data", str(data))
    assert proof["whole"] and proof["over"], proof
    with socket.create_server(("127.0.0.1", port)):
        pass  # the port is free again


def _below(pid: int) -> list[int]:
    """All processes that this one has begun, and theirs."""
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            found += [int(child), *_below(int(child))]
    return found
