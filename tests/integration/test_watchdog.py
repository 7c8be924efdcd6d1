"""The watchdog of these tests: it barks when a loop is held, whichever loop it is, and sleeps when all is well."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from watchdog import BLOCKED_S, watching

TESTS = Path(__file__).parents[1]
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
Run = Callable[[Coroutine[Any, Any, None]], None]


@LOOPS
@pytest.mark.may_block("that is what is tested")
@pytest.mark.parametrize("how", ["in the main coroutine", "in a callback", "in a task"])
def test_a_loop_that_is_held_is_told(run: Run, how: str) -> None:
    def hold() -> None:
        time.sleep(BLOCKED_S + 0.2)

    async def holding() -> None:
        hold()

    async def main() -> None:
        await asyncio.sleep(0.01)
        if how == "in a callback":
            asyncio.get_running_loop().call_soon(hold)
        elif how == "in a task":
            await asyncio.create_task(holding())
        else:
            hold()
        await asyncio.sleep(0.1)

    with watching() as seen:
        run(main())
    assert len(seen.slow) == 1 and "computing 0.0" in seen.slow[0]


@LOOPS
def test_a_loop_that_is_busy_waits_or_rests_is_not_told(run: Run) -> None:
    async def main() -> None:
        end = time.monotonic() + BLOCKED_S + 0.2
        while time.monotonic() < end:
            await asyncio.sleep(0)
        await asyncio.sleep(BLOCKED_S + 0.2)
        await asyncio.to_thread(time.sleep, BLOCKED_S + 0.2)

    with watching() as seen:
        run(main())
    assert seen.slow == [] and seen.leaked == []


@LOOPS
@pytest.mark.may_leak("that is what is tested")
def test_a_task_that_is_left_behind_is_told(run: Run) -> None:
    async def forgotten() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        main.kept = asyncio.create_task(forgotten())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    with watching() as seen:
        run(main())
    assert len(seen.leaked) == 1 and "forgotten" in seen.leaked[0]


STORY = """
import asyncio, time, uvloop, pytest

async def hold(): time.sleep(0.8); await asyncio.sleep(0.1)
async def rest(): await asyncio.sleep(0.1)

def test_held_asyncio(): asyncio.run(hold())
def test_held_uvloop(): uvloop.run(hold())
def test_free_asyncio(): asyncio.run(rest())
def test_free_uvloop(): uvloop.run(rest())
@pytest.mark.may_block("it may")
def test_excused(): uvloop.run(hold())
"""


def test_it_fails_the_test_that_held_its_loop_and_no_other(tmp_path: Path) -> None:
    story = tmp_path / "test_story.py"
    story.write_text(STORY)
    command = [sys.executable, "-m", "pytest", "-c", str(TESTS.parent / "pyproject.toml"), "-p", "conftest"]
    said = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-q", "-rA", str(story)], capture_output=True, text=True, timeout=60
    ).stdout
    for name in ("held_asyncio", "held_uvloop"):
        assert f"::test_{name} - Failed: the test held the event loop:" in said, said
    assert "5 passed, 2 errors" in said, said
