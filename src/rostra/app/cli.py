"""The commands. Each says what it did, as text for people or with --json as one object for programs.

A failure is one sentence what and one sentence what to do, on standard error, and exit code 1. A command lives in the module of
its name in `commands`, and only the one that was asked for is imported, because every role starts through here and must start
fast.
"""

import argparse
import importlib
import json
import os
import re
import sys

from rostra import __version__
from rostra.kernel.errors import Fault, Overloaded, PeerError, RostraError, UnknownSpace

COMMANDS = (
    "serve",
    "edge",
    "role",
    "sign-in",
    "space",
    "speak",
    "listen",
    "rehearse",
    "check-hls",
    "timeline",
    "doctor",
)
"""In the order of --help."""
_CAPITAL = re.compile(r"\B(?=[A-Z])")


def main() -> None:
    args = argparse.Namespace(json="--json" in sys.argv, debug="--debug" in sys.argv)  # until all is understood
    try:
        args = parser(sys.argv[1] if len(sys.argv) > 1 else "").parse_args()
        args.run(args)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except RostraError as wrong:
        if args.debug:
            import traceback

            traceback.print_exc()
        raise SystemExit(_complain(wrong, args.json)) from None
    except Exception as bug:  # noqa: BLE001 - the last door before the person who typed the command
        if args.debug:
            raise
        fault = Fault(
            f"Rostra made a mistake: {type(bug).__name__}: {bug}.",
            "Run it again with --debug and report what it prints.",
        )
        raise SystemExit(_complain(fault, args.json)) from None


def parser(asked: str = "") -> argparse.ArgumentParser:
    """The parser of every command, or of the one asked for if there is such a one."""
    from rostra.app.commands.face import Declared, Parser

    made = Parser(prog="rostra", description="Live audio for the biggest conversation of the day.")
    made.add_argument("--version", action="version", version=f"rostra {__version__}")
    declared = Declared(made.add_subparsers(required=True, metavar="COMMAND"))
    for name in (asked,) if asked in COMMANDS else COMMANDS:
        importlib.import_module(f"rostra.app.commands.{name.replace('-', '_')}").declare(declared)
    return made


def _complain(wrong: RostraError, as_json: bool) -> int:
    """Say what is wrong and what to do; gives the exit code."""
    what, remedy = _sentences(wrong)
    print(what, remedy, sep="\n", file=sys.stderr)
    if as_json:
        code = getattr(wrong, "code", _CAPITAL.sub("-", type(wrong).__name__).lower())
        print(json.dumps({"error": {"code": code, "message": what, "remedy": remedy}}, ensure_ascii=False))
    return 1


def _sentences(wrong: RostraError) -> tuple[str, str]:
    match wrong:
        case Fault():
            return wrong.what, wrong.remedy
        case UnknownSpace():
            return str(wrong), "'rostra space list' shows the Spaces there are."
        case Overloaded():
            return str(wrong), f"Try again in {wrong.retry_after_s} seconds."
        case PeerError(status=400):
            return str(wrong), "Correct that and try again."
        case PeerError():
            return str(wrong), "Correct that and try again; 'rostra space show ID' says how the Space stands."
        case _:
            return str(wrong), "Try again; 'rostra doctor' says which part of the installation is missing."
