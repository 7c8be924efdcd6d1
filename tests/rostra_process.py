"""A whole installation in processes of its own, driven by its commands as an operator would."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from machine import kept_waiting_s

START_S = 60
ROSTRA = [sys.executable, "-m", "rostra"]
SOURCE = Path(__file__).parents[1] / "src"


def free_ports(count: int = 5) -> int:
    """The first of so many free neighbours, below those that the kernel gives out. Who tests side by side has a share of his own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    least = 20_000 + 3_000 * (worker % 4)
    while True:
        first = random.randrange(least, least + 3_000 - count, count)
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first


class Rostra:
    """`rostra serve` on this data and these ports, from `with` to its end.

    Attributes:
        greeting: what `serve --json` printed.
    """

    def __init__(self, data: Path, port: int) -> None:
        self.data, self.port = data, port
        self.greeting: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None
        self._log = data.parent / "serve.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [*ROSTRA, "serve", "--json", "--data", str(self.data), "--port", str(self.port)],
                stdout=subprocess.PIPE, stderr=log, text=True, env=environment(), process_group=0,
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line or "error" in (said := json.loads(line)):
            self.stop()
            raise AssertionError(f"serve did not start:\n{self.log()[-4000:]}")
        self.greeting = said

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Gives the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            code = self._process.wait(40)
        finally:
            self._process.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()
        return code

    @property
    def door(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sound(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    @property
    def key(self) -> str:
        return (self.data / "operator.key").read_text().strip()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def said(self, message: str, process: str | None = None) -> list[dict[str, Any]]:
        """The supervisor's lines of this message on its processes, or on one of them, oldest first."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [one for one in lines if one["message"] == message and process in (None, one["of"])]

    def pids(self) -> dict[str, int]:
        """The process of each role, from the log's last word on it."""
        return {one["of"]: one["pid"] for one in self.said("role started")}

    def kill_role(self, role: str, number: signal.Signals = signal.SIGKILL) -> int:
        pid = self.pids()[role]
        os.kill(pid, number)
        return pid

    def run(self, *args: str, code: int = 0, timeout_s: float = 60) -> dict[str, Any]:
        """A command of this installation with --json; its object."""
        done = subprocess.run(
            [*ROSTRA, *args, "--json", "--data", str(self.data)],
            capture_output=True, text=True, timeout=timeout_s, check=False, env=environment(),
        )  # fmt: skip
        assert done.returncode == code, f"{args} gave {done.returncode}: {done.stderr}{self.log()[-2000:]}"
        return dict(json.loads(done.stdout))

    def begin(self, *args: str) -> "Command":
        """A command that runs beside the test."""
        return Command([*ROSTRA, *args, "--json", "--data", str(self.data)])

    def get(self, url: str, timeout_s: float = 20) -> bytes:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return bytes(answer.read())

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the API as the operator."""
        request = urllib.request.Request(
            self.door + path, json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=20) as answer:
            return dict(json.loads(answer.read()))

    def metric(self, name: str, role: str) -> float:
        """What the operator's metrics say now."""
        request = urllib.request.Request(f"{self.door}/metrics", headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f'{name}{{role="{role}"'))

    def state(self, space_id: str) -> dict[str, Any]:
        return dict(json.loads(self.get(f"{self.door}/s/{space_id}/state.json")))


class Command:
    """A command under way; `result` waits for its JSON object."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )

    def result(self, timeout_s: float = 60) -> dict[str, Any]:
        try:
            said, complained = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, complained = self._process.communicate()
            raise AssertionError(f"no end within {timeout_s} s: {complained}") from None
        assert self._process.returncode == 0, complained
        return dict(json.loads(said))

    @property
    def pid(self) -> int:
        return self._process.pid

    def watched(self, timeout_s: float = 60) -> tuple[dict[str, Any], float]:
        """Its result, and for how long the machine gave it no processor when it could have run."""
        deadline, waited_s = time.monotonic() + timeout_s, 0.0
        while not self.over() and time.monotonic() < deadline:
            waited_s = kept_waiting_s(self._process.pid)
            time.sleep(0.1)
        return self.result(1), waited_s

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def over(self) -> bool:
        return self._process.poll() is not None


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE)}
