import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rostra.app import roles, supervisor
from rostra.app.supervisor import Supervisor, backoff_s
from rostra.kernel.errors import Fault
from rostra.kernel.log import Log

# Stands in for a role: beats once, then lives until told.
LIVES = """
import os, signal, sys
at = {key: sys.argv[sys.argv.index(key) + 1] for key in ("--heart", "--sockets")}
os.fstat(int(at["--sockets"].split(",")[0]))
os.write(int(at["--heart"]), b".")
signal.pause()
"""


def supervised(script: str) -> tuple[Supervisor, socket.socket]:
    listening = socket.create_server(("127.0.0.1", 0))
    return Supervisor([sys.executable, "-S", "-E", "-c", script], {"edge": [listening]}, Log("test")), listening


def run(script: str, act: Callable[[Supervisor, asyncio.Event], object]) -> None:
    async def story() -> None:
        supervisor, listening = supervised(script)
        stop, ready = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(supervisor.run(stop, ready))
        try:
            async with asyncio.timeout(10):
                waiting = asyncio.create_task(ready.wait())
                await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                done = act(supervisor, stop)
                if asyncio.iscoroutine(done):
                    await done
                stop.set()
                await running
        finally:
            listening.close()

    asyncio.run(story())


def pid_of(supervisor: Supervisor) -> int:
    pid = supervisor.pids()["edge"]
    assert pid is not None
    return pid


def test_a_role_that_dies_is_started_again_at_once() -> None:
    async def kill(supervisor: Supervisor) -> None:
        first = pid_of(supervisor)
        os.kill(first, signal.SIGKILL)
        while supervisor.pids()["edge"] in (first, None) or not supervisor.restarts()["edge"]:
            await asyncio.sleep(0.005)

    run(LIVES, lambda supervisor, stop: kill(supervisor))


def test_stopping_ends_the_role() -> None:
    pids: list[int] = []
    run(LIVES, lambda supervisor, stop: pids.append(pid_of(supervisor)))
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_role_that_never_gets_ready_is_a_fault_and_not_a_loop() -> None:
    with pytest.raises(Fault, match="dies as soon as it starts"):
        run("raise SystemExit(3)", lambda supervisor, stop: None)


def test_a_role_that_names_a_fault_of_the_installation_is_not_tried_again() -> None:
    with pytest.raises(Fault, match="cannot start"):
        run(f"raise SystemExit({os.EX_CONFIG})", lambda supervisor, stop: None)


# Lives once; then takes its time to start, and dies before it is ready, or just after.
FAILS_LATER = """
import os, signal, sys, time
with open({lives!r}, "a+") as lives:
    lives.write(f"{{time.monotonic()}}\\n")
    lives.seek(0)
    first = len(lives.readlines()) == 1
heart = int(sys.argv[sys.argv.index("--heart") + 1])
if not first:
    time.sleep(0.06)
if first or {ready}:
    os.write(heart, b".")
if first:
    signal.pause()
"""


@pytest.mark.parametrize("ready", [False, True])
def test_a_role_that_dies_as_soon_as_it_is_up_is_not_started_over_and_over_however_slow_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    monkeypatch.setattr("rostra.app.supervisor._TOO_SOON_S", 0.05)
    lives = tmp_path / "lives"

    async def kill(supervisor: Supervisor) -> None:
        os.kill(pid_of(supervisor), signal.SIGKILL)
        while len(lives.read_text().splitlines()) < 5:
            await asyncio.sleep(0.01)

    run(FAILS_LATER.format(lives=str(lives), ready=ready), lambda supervisor, stop: kill(supervisor))
    begun = [float(line) for line in lives.read_text().splitlines()]
    assert begun[4] - begun[3] > backoff_s(3)


def test_a_role_that_drains_is_not_killed_in_the_middle_of_it() -> None:
    assert min(supervisor._STOP_S.values()) > roles._STOP_S


def test_first_deaths_cost_no_wait_and_many_in_a_row_cost_more_each() -> None:
    waits = [backoff_s(deaths) for deaths in range(12)]
    assert waits[:3] == [0, 0, 0]
    assert waits == sorted(waits)
    assert waits[-1] == 5.0
