"""The commands. Each says what it did, as text for people or with --json as one object for programs.

A failure is one sentence what and one sentence what to do, on standard error, and exit code 1. Imports are made where they are
used, because every role starts through here and must start fast.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rostra import __version__
from rostra.kernel.errors import Fault, Overloaded, PeerError, RostraError, UnknownSpace

Args = argparse.Namespace


def main() -> None:
    args = _parser().parse_args()
    try:
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


def _complain(wrong: RostraError, as_json: bool) -> int:
    """Say what is wrong and what to do; gives the exit code."""
    what, remedy = _sentences(wrong)
    print(what, remedy, sep="\n", file=sys.stderr)
    if as_json:
        code = getattr(wrong, "code", type(wrong).__name__.lower())
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
        case PeerError():
            return str(wrong), "Correct that and try again; 'rostra space show ID' says how the Space stands."
        case _:
            return str(wrong), "Try again; 'rostra doctor' says which part of the installation is missing."


def _serve(args: Args) -> None:
    from rostra.app.serve import serve

    serve(args.data, host=args.host, port=args.port, as_json=args.json, debug=args.debug)


def _role(args: Args) -> None:
    from rostra.app import roles

    sockets = [int(one) for one in args.sockets.split(",") if one]
    roles.run(
        args.name, args.data, host=args.host, port=args.port,
        sockets=sockets, beat=args.heart, parent=args.parent, debug=args.debug,
    )  # fmt: skip


def _space(act: Callable[[Any, Args], dict[str, Any]], show: Callable[[dict[str, Any]], str]) -> Callable[[Args], None]:
    def run(args: Args) -> None:
        from rostra.app.spaces import Spaces

        _print(act(Spaces(args.data), args), args.json, show)

    return run


def _sign_in(args: Args) -> None:
    from rostra.app.spaces import sign_in

    _print(sign_in(args.data), args.json, lambda made: f"Opens once, within half an hour:\n  {made['link']}")


def _speak(args: Args) -> None:
    from rostra.rehearsal.speaker import Speaker

    async def speak() -> Any:
        speaker = Speaker(
            args.url, args.token, args.file, loop=args.loop, seconds=args.seconds,
            bitrate=args.bitrate * 1000, patience_s=args.patience, progress=_progress(),
        )  # fmt: skip
        await _unless_interrupted(speaker.run())
        return speaker.result

    result = asdict(_run(speak()))
    _print(result, args.json, lambda said: f"Spoke {said['seconds_sent']:.1f} s; came back {said['reconnects']} times.")


def _listen(args: Args) -> None:
    from rostra.rehearsal.listener import Listener

    async def listen() -> Any:
        listener = Listener(
            args.page, seconds=args.seconds, timeout_s=args.timeout, via=args.via, out=args.out, progress=_progress()
        )
        await _unless_interrupted(listener.run())
        return listener.report

    _print(asdict(_run(listen())), args.json, _heard)


def _verify(args: Args) -> None:
    from rostra.app.spaces import parse_id
    from rostra.kernel.clock import SystemClock
    from rostra.kernel.errors import Damaged
    from rostra.timeline.disk import DiskLibrary

    progress = _progress()
    library = DiskLibrary(args.data, SystemClock())
    try:
        proof = library.verify(parse_id(args.id), lambda done, size: progress(f"read {done * 100 // max(1, size)} %"))
    except Damaged as wrong:
        raise _NotWhole(wrong) from None
    finally:
        progress("")
    _print({"id": args.id, "whole": True, **asdict(proof)}, args.json, _proven)


class _NotWhole(Fault):
    code = "damaged"

    def __init__(self, wrong: Any) -> None:
        super().__init__(
            f"The record is damaged at number {wrong.seq}, byte {wrong.offset}: {wrong}.",
            "Everything before it is proven whole. Compare with a copy of the file, and see docs/operating.md.",
        )


def _doctor(args: Args) -> None:
    from rostra.app import doctor

    findings = doctor.examine(args.data, host=args.host, port=args.port)
    _print({"ok": doctor.fit(findings), "findings": [asdict(one) for one in findings]}, args.json, doctor.said)
    if not doctor.fit(findings):
        raise SystemExit(1)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    import asyncio

    return asyncio.run(work)


async def _unless_interrupted(work: Awaitable[Any]) -> None:
    """Ctrl-C ends the work, not the report about it."""
    import asyncio
    import signal

    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _progress() -> Callable[[str], None]:
    """One line that rewrites itself, when a person is watching."""
    if not sys.stderr.isatty():
        return lambda line: None
    return lambda line: print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)


def _print(result: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], str]) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(json.dumps(result, ensure_ascii=False) if as_json else show(result), flush=True)


def _one_space(space: dict[str, Any]) -> str:
    lines = [f"{space['title']}", f"  {'state':10} {space['state']}{_when(space)}", f"  {'host':10} {space['host']}"]
    lines += [
        f"  {key:10} {space[key]}" for key in ("id", "page", "studio", "whip", "hls", "opus_hls", "replay", "recording")
    ]
    if space.get("token"):
        lines += [f"  {'token':10} {space['token']}", "The token opens the host's seat and is shown only now."]
    return "\n".join(lines)


def _when(space: dict[str, Any]) -> str:
    if space.get("live_since") and not space.get("ended"):
        return f" since {space['live_since']}"
    return f", starts {space['starts']}" if space.get("starts") and space["state"] in ("scheduled", "delayed") else ""


def _all_spaces(found: dict[str, Any]) -> str:
    lines = [f"{one['id']}  {one['state']:9}  {one['starts'] or '-':24}  {one['title']}" for one in found["spaces"]]
    lines += [f"{one}  damaged    see 'rostra timeline verify {one}'" for one in found.get("damaged", ())]
    return "\n".join(lines) or 'No Spaces yet. Make one: rostra space create --title "…"'


def _invited(made: dict[str, Any]) -> str:
    return f"Seat {made['seat']}. Their personal link, shown only now:\n  {made['link']}\nFor an encoder, the token:\n  {made['token']}"


def _heard(report: dict[str, Any]) -> str:
    late = (
        ""
        if report["latency_ms"] is None
        else f", {report['latency_ms']} ms behind the stage (p95 {report['latency_p95_ms']} ms)"
    )
    return (
        f"Heard {report['seconds_heard']:.1f} s{late}. First sound after {report['first_audio_ms']} ms.\n"
        f"{report['gaps']} gaps ({report['gap_s']:.1f} s), {report['silent_seconds']:.1f} s of silence, "
        f"{report['reconnects']} reconnects."
    )


def _proven(proof: dict[str, Any]) -> str:
    length = max(proof["seconds"].values(), default=0.0)
    return (
        f"Whole and unaltered: {proof['records']} records, {length:.1f} s of sound, {proof['filled_s']:.1f} s of it filled in.\n"
        f"Chain {proof['chain']}: who keeps this value can prove later that nothing before it changed."
    )


def _parser() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--data", type=Path, default=Path("rostra-data"), metavar="DIR", help="where everything is kept (./rostra-data)"
    )
    everywhere.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    everywhere.add_argument("--debug", action="store_true", help="say more, and show traces")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--host", help="address to listen on (127.0.0.1, or 'host' in the settings)")
    where.add_argument("--port", type=int, help="the door's port; the other roles take the three after it (8000)")

    parser = argparse.ArgumentParser(prog="rostra", description="Live audio for the biggest conversation of the day.")
    parser.add_argument("--version", action="version", version=f"rostra {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        into: Any, name: str, run: Callable[[Args], None], meaning: str | None, *more: argparse.ArgumentParser
    ) -> Any:
        words = {} if meaning is None else {"help": meaning, "description": meaning[0].upper() + meaning[1:] + "."}
        made = into.add_parser(name, parents=[everywhere, *more], **words)
        made.set_defaults(run=run)
        return made

    add(commands, "serve", _serve, "run every role on this machine", where)
    role = add(commands, "role", _role, None, where)
    role.add_argument("name", choices=("door", "edge", "control", "stage"))
    role.add_argument("--sockets", default="")
    role.add_argument("--heart", type=int, required=True)
    role.add_argument("--parent", type=int, required=True)
    add(commands, "sign-in", _sign_in, "print a fresh one-time sign-in link for the operator")

    space = commands.add_parser("space", help="make and manage Spaces").add_subparsers(required=True, metavar="ACTION")
    create = add(
        space,
        "create",
        _space(lambda do, a: do.create(a.title, a.starts, a.host_name, not a.manual), _one_space),
        "schedule a Space",
    )
    create.add_argument("--title", required=True)
    create.add_argument("--starts", metavar="ISO8601", help="when it begins; without it, whenever the host opens it")
    create.add_argument("--host-name", metavar="NAME", help="who is shown as its host")
    create.add_argument("--manual", action="store_true", help="an encoder alone does not put it on the air")
    add(space, "list", _space(lambda do, a: do.list(), _all_spaces), "all Spaces")

    def on_one(name: str, act: Callable[[Any, Args], dict[str, Any]], meaning: str, show: Any = _one_space) -> Any:
        made = add(space, name, _space(act, show), meaning)
        made.add_argument("id", metavar="ID")
        return made

    on_one("show", lambda do, a: do.show(a.id), "how a Space stands")
    on_one("open", lambda do, a: do.open(a.id), "open the green room: speakers in, the public not yet")
    on_one("live", lambda do, a: do.live(a.id), "put an open Space on the air")
    delay = on_one("delay", lambda do, a: do.delay(a.id, a.minutes, a.reason), "start later, and say so")
    delay.add_argument("--minutes", type=int, required=True)
    delay.add_argument("--reason", default="")
    cancel = on_one("cancel", lambda do, a: do.cancel(a.id, a.reason), "call it off, and say so")
    cancel.add_argument("--reason", default="")
    on_one("end", lambda do, a: do.end(a.id), "end it; the same page plays the recording")
    invite = on_one(
        "invite", lambda do, a: do.invite(a.id, a.name), "a seat and a personal link for one more speaker", _invited
    )
    invite.add_argument("--name", required=True)

    speak = add(commands, "speak", _speak, "put a sound file on a stage in real time (WHIP)")
    speak.add_argument("url", metavar="WHIP_URL")
    speak.add_argument("--token", required=True, help="the seat's token")
    speak.add_argument("--file", type=Path, required=True, help="anything that ffmpeg reads")
    speak.add_argument("--loop", action="store_true", help="begin again at the end")
    speak.add_argument("--seconds", type=float, help="stop after this long")
    speak.add_argument("--bitrate", type=int, default=64, metavar="KBPS", help="of the Opus stream (64)")
    speak.add_argument(
        "--patience", type=float, default=600.0, metavar="S", help="give up when the stage is away this long (600)"
    )

    listen = add(commands, "listen", _listen, "join a Space as a listener does, and report how it was")
    listen.add_argument("page", metavar="PAGE_URL")
    listen.add_argument("--seconds", type=float, help="how long, from the first sound (until it ends)")
    listen.add_argument("--timeout", type=float, metavar="S", help="give up when no sound comes for this long (never)")
    listen.add_argument("--out", type=Path, metavar="F.wav", help="write down what was heard, gaps included")
    listen.add_argument(
        "--via", choices=("opus", "hls"), default="opus", help="as the web player does, or as an HLS player does"
    )

    timeline = commands.add_parser("timeline", help="look at recordings").add_subparsers(
        required=True, metavar="ACTION"
    )
    verify = add(timeline, "verify", _verify, "prove a recording whole and unaltered, or name the first bad record")
    verify.add_argument("id", metavar="ID")
    add(commands, "doctor", _doctor, "say which part of the installation or the network is missing", where)
    return parser
