"""What all rings share: a running server, a watchdog for event loops, and Hypothesis' profile."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from rostra_process import Rostra, free_ports
from watchdog import watching

settings.register_profile("quick", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "alone: judges what a busy machine would spoil, or makes it busy; see tools/test.sh"
    )
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
def loop_watchdog(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test whose loop was held by a callback, or whose main coroutine left tasks behind."""
    with watching() as seen:
        yield
    _judge(request, "may_block", seen.slow, "held the event loop")
    _judge(request, "may_leak", seen.leaked, "left tasks behind")


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
