"""What all rings share: a running server, a watchdog for event loops, and Hypothesis' profile."""

import asyncio
import asyncio.runners
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from machine import stolen_s, thread_kept_waiting_s
from rostra_process import Rostra, free_ports

settings.register_profile("quick", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

BLOCKED_S = 0.5
"""A callback that holds its loop this long would be heard. What the machine kept it waiting for a processor is not its own."""
STEAL_LOOK_S = 0.2


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "may_block(why): callbacks of this test may hold the loop")
    config.addinivalue_line("markers", "may_leak(why): tasks of this test may outlive its main coroutine")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rostra]:
    """One whole installation for all tests that leave it as they found it; each makes Spaces of its own."""
    with Rostra(tmp_path_factory.mktemp("shared") / "data", free_ports()) as running:
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Rostra]:
    """An installation that this test alone may break."""
    with Rostra(tmp_path / "data", free_ports()) as running:
        yield running


@pytest.fixture(autouse=True)
def loop_watchdog(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test whose loop was held by a callback, or whose main coroutine left tasks behind."""
    slow: list[str] = []
    leaked: list[str] = []
    stolen_before_s, looked_at = 0.0, float("-inf")
    run, cancel_all = asyncio.Handle._run, asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]

    def timed_run(handle: asyncio.Handle) -> None:
        nonlocal stolen_before_s, looked_at
        began, waited_s, cpu_s = time.perf_counter(), thread_kept_waiting_s(), time.thread_time()
        if began - looked_at > STEAL_LOOK_S:
            stolen_before_s, looked_at = stolen_s(), began
        run(handle)
        held_s = time.perf_counter() - began
        if held_s > BLOCKED_S:
            machines_s = thread_kept_waiting_s() - waited_s + stolen_s() - stolen_before_s
            if held_s - machines_s > BLOCKED_S:
                computing_s = time.thread_time() - cpu_s
                slow.append(f"{held_s:.2f} s, computing {computing_s:.2f}, kept waiting {machines_s:.2f}: {handle!r}")

    def noting_cancel_all(loop: Any) -> None:
        left = (repr(task) for task in asyncio.all_tasks(loop))
        leaked.extend(itertools.islice((task for task in left if "TestRunner._run_tests" not in task), 5))
        cancel_all(loop)

    monkeypatch.setattr(asyncio.Handle, "_run", timed_run)
    monkeypatch.setattr(asyncio.runners, "_cancel_all_tasks", noting_cancel_all)
    yield
    _judge(request, "may_block", slow, "held the event loop")
    _judge(request, "may_leak", leaked, "left tasks behind")


def _judge(request: pytest.FixtureRequest, mark: str, found: list[str], what: str) -> None:
    if found and request.node.get_closest_marker(mark) is None:
        pytest.fail(f"the test {what}:\n" + "\n".join(found), pytrace=False)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Ask again until the answer is true, with a deadline: for what another process does in its own time."""

    def ask(question: Callable[[], Any], within_s: float = 30.0, every_s: float = 0.05) -> Any:
        deadline = time.monotonic() + within_s
        while not (answer := question()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {within_s:g} s: {question}")
            time.sleep(every_s)
        return answer

    return ask
