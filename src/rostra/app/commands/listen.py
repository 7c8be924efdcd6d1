from dataclasses import asdict
from pathlib import Path
from typing import Any

from rostra.app.commands.face import Args, Declared, progress, run, seconds, show, unless_interrupted


def declare(commands: Declared) -> None:
    listen = commands.add("listen", _listen, "join a Space as a listener does, and report how it was")
    listen.add_argument("page", metavar="PAGE_URL")
    listen.add_argument("--seconds", type=seconds, help="how long, from the first sound (until it ends)")
    listen.add_argument(
        "--timeout", type=seconds, metavar="S", help="give up when no sound comes for this long (never)"
    )
    listen.add_argument("--out", type=Path, metavar="F.wav", help="write down what was heard, gaps included")
    listen.add_argument(
        "--via", choices=("opus", "hls"), default="opus", help="as the web player does, or as an HLS player does"
    )


def _listen(args: Args) -> None:
    from rostra.rehearsal.listener import Listener

    async def listen() -> Any:
        listener = Listener(
            args.page, seconds=args.seconds, timeout_s=args.timeout, via=args.via, out=args.out, progress=progress()
        )
        await unless_interrupted(listener.run())
        return listener.report

    show(asdict(run(listen())), args.json, _heard)


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
