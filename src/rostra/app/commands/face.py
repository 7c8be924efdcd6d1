"""What all commands share: how they are declared, how they run, and how they speak."""

import argparse
import asyncio
import contextlib
import json
import math
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Never

from rostra.kernel.errors import Fault

Args = argparse.Namespace
Run = Callable[[Args], None]


class Usage(Fault):
    """The command was typed in a way that it does not have."""


class Parser(argparse.ArgumentParser):
    """Complains as every command does about everything else. Raises: Usage."""

    def error(self, message: str) -> Never:
        raise Usage(
            f"'{self.prog}' cannot run like this: {' '.join(message.split())}.",
            f"'{self.prog} --help' shows how it is used.",
        )


class Declared:
    """Where a family declares its commands: `add` gives the parser to put arguments on, `group` the commands below a noun."""

    def __init__(self, into: Any) -> None:
        self._into = into

    def add(self, name: str, run: Run, meaning: str | None, *, where: bool = False) -> argparse.ArgumentParser:
        """Args:
        meaning: a line for --help; None hides the command.
        where: it takes --host and --port.
        """
        words = {} if meaning is None else {"help": meaning, "description": meaning[0].upper() + meaning[1:] + "."}
        made: argparse.ArgumentParser = self._into.add_parser(name, **words)
        made.add_argument(
            "--data",
            type=Path,
            default=Path("rostra-data"),
            metavar="DIR",
            help="where everything is kept (./rostra-data)",
        )
        made.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        made.add_argument("--debug", action="store_true", help="say more, and show traces")
        if where:
            made.add_argument("--host", help="address to listen on (127.0.0.1, or 'host' in the settings)")
            made.add_argument("--port", type=int, help="the door's port; the other roles take the ones after it (8000)")
        made.set_defaults(run=run)
        return made

    def group(self, name: str, meaning: str) -> "Declared":
        return Declared(self._into.add_parser(name, help=meaning).add_subparsers(required=True, metavar="ACTION"))


def show(result: dict[str, Any], as_json: bool, words: Callable[[dict[str, Any]], str]) -> None:
    """Print a result as one object, or in words."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(json.dumps(result, ensure_ascii=False) if as_json else words(result), flush=True)


def seconds(text: str) -> float:
    """A span of time as it is typed, for `type=` of an argument."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return found


def progress() -> Callable[[str], None]:
    """One line that rewrites itself, when a person is watching."""
    if not sys.stderr.isatty():
        return lambda line: None
    return lambda line: print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def unless_interrupted(work: Awaitable[Any]) -> None:
    """Ctrl-C ends the work, not the report about it."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
