"""Keeps the processes of all roles: starts each, hears its heart, replaces it when it dies, stops them in order."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rostra.app.heart import SILENCE_S
from rostra.kernel.errors import Fault
from rostra.kernel.log import Log
from rostra.kernel.settings import role_of

STOP_ORDER = ("door", "edge", "radio", "control", "stage")
"""Newcomers first, then those who listen, then those who manage; the stage may finish its last part. Processes of one role
stop together."""

_READY_S = 60.0
_STOP_S = {"door": 5.0, "edge": 6.0, "radio": 6.0, "control": 7.0, "stage": 8.0}
"""Longer than a role drains (roles.py) and then takes to close."""
_TOO_SOON_S = 1.0  # after it was ready: how long a start takes says nothing
_PATIENT_DEATHS = 3
_BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 5.0)


def backoff_s(early_deaths: int) -> float:
    """How long to wait before the next start: nothing for the first deaths, more when a role dies as soon as it starts."""
    if early_deaths < _PATIENT_DEATHS:
        return 0.0
    return _BACKOFF_S[min(early_deaths - _PATIENT_DEATHS, len(_BACKOFF_S) - 1)]


@dataclass(slots=True)
class _Child:
    name: str
    sockets: Sequence[socket.socket]
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    up: bool = False
    up_at: float = 0.0
    heard_at: float = 0.0
    restarts: int = 0


class Supervisor:
    """Owns the roles' processes for as long as `run` runs.

    Args:
        command: what to run for a role, without the descriptors' options.
        sockets: the listening sockets by process ('door', 'edge', 'edge-2', …); they stay open here whatever happens to it.
        keep: further descriptors that every role inherits (the data's lock).
    """

    def __init__(
        self, command: Sequence[str], sockets: Mapping[str, Sequence[socket.socket]], log: Log, keep: Sequence[int] = ()
    ) -> None:
        self._command, self._log, self._keep = list(command), log, tuple(keep)
        self._children = {name: _Child(name, sockets[name]) for name in sockets}
        self._stopping = False

    async def run(self, stop: asyncio.Event, when_ready: asyncio.Event) -> None:
        """Start all, set `when_ready` when each has answered once, keep them until `stop`, then stop them in order.

        Raises:
            Fault: at first start a role did not get ready.
        """
        keepers = [asyncio.create_task(self._keep_alive(child), name=child.name) for child in self._children.values()]
        stopped = asyncio.create_task(stop.wait())
        all_ready = asyncio.create_task(self._all_ready())
        try:
            await asyncio.wait([stopped, all_ready, *keepers], timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done():
                    keeper.result()
            if not stopped.done():
                if not all_ready.done():
                    late = ", ".join(name for name, child in self._children.items() if not child.ready.is_set())
                    raise Fault(
                        f"After {_READY_S:g} s this role was not ready: {late}.",
                        "The log above says what it waits for.",
                    )
                when_ready.set()
                await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
                for keeper in keepers:
                    if keeper.done():
                        keeper.result()
        finally:
            self._stopping = True
            for task in (stopped, all_ready):
                task.cancel()
            await self._stop_all()
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(stopped, all_ready, *keepers, return_exceptions=True)

    def restarts(self) -> dict[str, int]:
        return {name: child.restarts for name, child in self._children.items()}

    def pids(self) -> dict[str, int | None]:
        return {name: child.process.pid if child.process else None for name, child in self._children.items()}

    async def _all_ready(self) -> None:
        for child in self._children.values():
            await child.ready.wait()

    async def _keep_alive(self, child: _Child) -> None:
        early_deaths = 0
        while not self._stopping:
            started = time.monotonic()
            code = await self._live(child)
            died = time.monotonic()
            held = child.up and died - child.up_at >= _TOO_SOON_S
            child.up = False
            if self._stopping:
                return
            self._send_elsewhere(child)
            lived_s = died - started
            if not child.ready.is_set() and code == os.EX_CONFIG:
                raise Fault(f"The {child.name} cannot start.", "Its last line above says why.")
            early_deaths = 0 if held else early_deaths + 1
            if not child.ready.is_set() and early_deaths > _PATIENT_DEATHS:
                raise Fault(f"The {child.name} dies as soon as it starts.", "Its last lines above say why.")
            wait_s = backoff_s(early_deaths)
            child.restarts += 1
            self._log.warning(
                "role died, starting it again",
                of=child.name,
                pid=child.process.pid if child.process else None,
                code=code,
                lived_s=round(lived_s, 3),
                wait_s=wait_s,
                restarts=child.restarts,
            )
            if wait_s:
                await asyncio.sleep(wait_s)

    async def _live(self, child: _Child) -> int:
        """One life of a role, from start to exit code (negative: the signal that ended it)."""
        began = time.monotonic()
        hear, tell = os.pipe()
        descriptors = [one.fileno() for one in child.sockets]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                child.name,
                "--sockets",
                ",".join(map(str, descriptors)),
                "--heart",
                str(tell),
                "--parent",
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(*descriptors, tell, *self._keep),
                process_group=0,  # a Ctrl-C at the terminal is ours to pass on, in order
            )
        except BaseException:
            os.close(hear)
            raise
        finally:
            os.close(tell)
        child.process, child.heard_at = process, began
        self._log.info("role started", of=child.name, pid=process.pid)
        loop = asyncio.get_running_loop()
        os.set_blocking(hear, False)
        first = True

        def heard() -> None:
            nonlocal first
            if not _drain(hear):
                loop.remove_reader(hear)
                return
            child.heard_at = time.monotonic()
            if first:
                first = False
                child.up, child.up_at = True, child.heard_at
                child.ready.set()
                self._log.info(
                    "role ready", of=child.name, pid=process.pid, after_ms=round((child.heard_at - began) * 1000)
                )

        loop.add_reader(hear, heard)
        try:
            watch = asyncio.create_task(self._watch(child, process))
            try:
                return await process.wait()
            finally:
                watch.cancel()
        finally:
            loop.remove_reader(hear)
            os.close(hear)

    def _send_elsewhere(self, child: _Child) -> None:
        """While others of its role serve the same port, nobody shall wait for a dead process: its sockets leave the group until
        its successor listens. Alone, it leaves its queue open, so that nobody is refused."""
        if not any(one.up and role_of(one.name) == role_of(child.name) for one in self._children.values()):
            return
        for one in child.sockets:
            if one.family != socket.AF_UNIX:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RD)

    async def _watch(self, child: _Child, process: asyncio.subprocess.Process) -> None:
        slept_at = time.monotonic()
        while True:
            await asyncio.sleep(SILENCE_S / 10)
            now = time.monotonic()
            if now - slept_at > SILENCE_S / 4:
                child.heard_at = now  # it was us (or the whole machine) who stood still
            slept_at = now
            if now - child.heard_at > SILENCE_S:
                self._log.error(
                    "role is stuck, killing it", of=child.name, pid=process.pid, silent_s=round(now - child.heard_at, 1)
                )
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                return

    async def _stop_all(self) -> None:
        last = [role for role in map(role_of, self._children) if role not in STOP_ORDER]
        for role in (*STOP_ORDER, *dict.fromkeys(last)):
            alike = [child for child in self._children.values() if role_of(child.name) == role]
            await asyncio.gather(*(self._stop(child, _STOP_S.get(role, 5.0)) for child in alike))

    async def _stop(self, child: _Child, deadline_s: float) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(deadline_s):
                await process.wait()
        except TimeoutError:
            self._log.warning("role did not stop in time, killing it", of=child.name, pid=process.pid)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._log.info(
            "role stopped", of=child.name, code=process.returncode, after_ms=round((time.monotonic() - began) * 1000)
        )


def _drain(pipe: int) -> bool:
    """Whether the other end is still open."""
    try:
        return bool(os.read(pipe, 4096))
    except BlockingIOError:
        return True


def role_command(data: str, host: str, port: int, debug: bool) -> list[str]:
    """The command line of a role's process; the process's name and its descriptors follow."""
    command = [sys.executable, "-m", "rostra", "role", "--data", data, "--host", host, "--port", str(port)]
    return [*command, "--debug"] if debug else command
