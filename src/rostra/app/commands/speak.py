from dataclasses import asdict
from pathlib import Path
from typing import Any

from rostra.app.commands.face import Args, Declared, progress, run, seconds, show, unless_interrupted


def declare(commands: Declared) -> None:
    speak = commands.add("speak", _speak, "put a sound file on a stage in real time (WHIP)")
    speak.add_argument("url", metavar="WHIP_URL")
    speak.add_argument("--token", required=True, help="the seat's token")
    speak.add_argument("--file", type=Path, required=True, help="anything that ffmpeg reads")
    speak.add_argument("--loop", action="store_true", help="begin again at the end")
    speak.add_argument("--seconds", type=seconds, help="stop after this long")
    speak.add_argument("--bitrate", type=int, default=64, metavar="KBPS", help="of the Opus stream (64)")
    speak.add_argument(
        "--patience", type=seconds, default=600.0, metavar="S", help="give up when the stage is away this long (600)"
    )


def _speak(args: Args) -> None:
    from rostra.rehearsal.speaker import Speaker

    async def speak() -> Any:
        speaker = Speaker(
            args.url, args.token, args.file, loop=args.loop, seconds=args.seconds,
            bitrate=args.bitrate * 1000, patience_s=args.patience, progress=progress(),
        )  # fmt: skip
        await unless_interrupted(speaker.run())
        return speaker.result

    result = asdict(run(speak()))
    show(result, args.json, _said)


def _said(spoken: dict[str, Any]) -> str:
    over = " The Space was ended." if spoken["ended"] else ""
    return f"Spoke {spoken['seconds_sent']:.1f} s; came back {spoken['reconnects']} times.{over}"
