import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable

import pytest

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


def test_first_deaths_cost_no_wait_and_many_in_a_row_cost_more_each() -> None:
    waits = [backoff_s(deaths) for deaths in range(12)]
    assert waits[:3] == [0, 0, 0]
    assert waits == sorted(waits)
    assert waits[-1] == 5.0
