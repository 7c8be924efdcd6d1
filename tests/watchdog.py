"""Watches event loops, asyncio's own and uvloop's: whether something held them, and whether tasks were left behind.

asyncio runs each callback through a method that can be timed. uvloop's callbacks are called from C; there a pulse on the
loop itself is late by as long as the loop was not free. From both is taken off what the machine kept the thread waiting for.
"""

import asyncio
import asyncio.runners
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from machine import stolen_s, thread_kept_waiting_s

BLOCKED_S = 0.5
"""A callback that holds its loop this long would be heard. What the machine kept it waiting for a processor is not its own."""
PULSE_S = 0.05
STEAL_LOOK_S = 0.2


@dataclass(slots=True)
class Seen:
    """Attributes:
    slow: what held a loop for BLOCKED_S, a line each.
    leaked: tasks that a main coroutine left behind.
    """

    slow: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)


@contextmanager
def watching() -> Iterator[Seen]:
    """Watches the loops of this process that are begun within, and with asyncio's own also those that run already."""
    seen, stolen = Seen(), _Stolen()
    runner = asyncio.runners.Runner
    run, cancel_all, begin = asyncio.Handle._run, asyncio.runners._cancel_all_tasks, runner._lazy_init  # type: ignore[attr-defined]

    def timed_run(handle: asyncio.Handle) -> None:
        held = _Held(stolen)
        run(handle)
        held.judge(seen.slow, handle)

    def noting_cancel_all(loop: Any) -> None:
        left = (repr(task) for task in asyncio.all_tasks(loop))
        seen.leaked.extend(itertools.islice((task for task in left if "TestRunner._run_tests" not in task), 5))
        cancel_all(loop)

    def begin_with_pulse(this: Any) -> None:
        new = this._loop is None
        begin(this)
        if new and not isinstance(this._loop, asyncio.BaseEventLoop):
            _Pulse(this._loop, stolen, seen.slow).begin()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed_run)
        patch.setattr(asyncio.runners, "_cancel_all_tasks", noting_cancel_all)
        patch.setattr(runner, "_lazy_init", begin_with_pulse)
        yield seen


class _Stolen:
    """The machine's stolen time, looked up rarely enough to cost nothing: as it was a moment before."""

    __slots__ = ("_at", "_s")

    def __init__(self) -> None:
        self._s, self._at = 0.0, float("-inf")

    def before_s(self, now: float) -> float:
        if now - self._at > STEAL_LOOK_S:
            self._s, self._at = stolen_s(), now
        return self._s


class _Held:
    """From now on something has the loop; until `judge`."""

    __slots__ = ("_began", "_cpu_s", "_stolen_s", "_waited_s")

    def __init__(self, stolen: _Stolen) -> None:
        self._began, self._waited_s, self._cpu_s = time.perf_counter(), thread_kept_waiting_s(), time.thread_time()
        self._stolen_s = stolen.before_s(self._began)

    def judge(self, slow: list[str], by: object, rested_s: float = 0.0) -> None:
        """`rested_s`: how much of the time nothing had to have it."""
        held_s = time.perf_counter() - self._began - rested_s
        if held_s > BLOCKED_S:
            machines_s = thread_kept_waiting_s() - self._waited_s + stolen_s() - self._stolen_s
            if held_s - machines_s > BLOCKED_S:
                computing_s = time.thread_time() - self._cpu_s
                slow.append(f"{held_s:.2f} s, computing {computing_s:.2f}, kept waiting {machines_s:.2f}: {by!r}")


class _Pulse:
    def __init__(self, loop: Any, stolen: _Stolen, slow: list[str]) -> None:
        self._loop, self._stolen, self._slow = loop, stolen, slow

    def begin(self) -> None:
        self._loop.call_soon(self._rest)

    def _rest(self) -> None:
        self._held = _Held(self._stolen)
        self._loop.call_later(PULSE_S, self._beat)

    def _beat(self) -> None:
        self._held.judge(self._slow, self._loop, PULSE_S)
        self._rest()
