import argparse
from typing import Any

from rostra.app.commands.face import Args, Declared, progress, run, seconds, show, unless_interrupted


def declare(commands: Declared) -> None:
    rehearse = commands.add(
        "rehearse", _rehearse, "send a crowd of listeners to a Space that consents, and report how it was"
    )
    rehearse.add_argument("page", metavar="PAGE_URL")
    rehearse.add_argument("--listeners", type=int, required=True, metavar="N")
    rehearse.add_argument("--ramp", type=seconds, required=True, metavar="S", help="until the last of them has come")
    rehearse.add_argument("--seconds", type=seconds, default=30.0, help="how long all stay after that (30)")
    rehearse.add_argument(
        "--shares", type=_shares, metavar="KIND=W,…",
        help="web, hls, stream (MP3), ogg (Opus), by weight (web=80,hls=15,stream=5)",
    )  # fmt: skip
    rehearse.add_argument("--processes", type=int, metavar="N", help="of the generator (as many as the crowd needs)")
    rehearse.add_argument("--key", help="the target's rehearsal key, where it is not on loopback")
    rehearse.add_argument(
        "--decoded", type=int, default=1, metavar="N", help="listeners of each kind who decode all they get (1)"
    )


def _rehearse(args: Args) -> None:
    from rostra.rehearsal.crowd import Crowd

    crowd = Crowd(
        args.page, listeners=args.listeners, ramp_s=args.ramp, seconds=args.seconds, shares=args.shares,
        processes=args.processes, key=args.key, decoded=args.decoded, progress=progress(),
    )  # fmt: skip
    run(unless_interrupted(crowd.run()))
    show(crowd.report, args.json, _said)


def _shares(text: str) -> dict[str, float]:
    try:
        found = {kind.strip(): float(weight) for kind, weight in (one.split("=") for one in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError("write it as web=80,hls=15,stream=5") from None
    if min(found.values()) < 0:
        raise argparse.ArgumentTypeError("a weight cannot be negative")
    return found


def _said(report: dict[str, Any]) -> str:
    if not report:
        return "It was stopped before it began."
    lines = [
        f"{report['joined']} of {report['asked']} heard sound; {report['inside']} were listening at the end.",
        f"First sound {_times(report['first_sound_ms'])}; parts late {_times(report['lateness_ms'])}, "
        f"{report['late']} of {report['sounds']} by more than their length.",
        f"{report['gaps']} gaps over 1.5 s at {report['with_gaps']} listeners, the longest {report['longest_gap_s']:.1f} s; "
        f"{report['reconnects']} reconnects.",
    ]
    lines += [f"  {count} × {error}" for error, count in sorted(report["errors"].items(), key=lambda one: -one[1])]
    for one in report["decoded"]:
        if "error" in one:
            lines.append(f"Decoded ({one['via']}): {one['error']}")
        else:
            lines.append(
                f"Decoded ({one['via']}): {one['seconds_heard']:.1f} s of sound, {one['gaps']} gaps, {one['silent_seconds']:.1f} s silent."
            )
    busy = ", ".join(f"{one['busiest']:.0%}" for one in report["generator"]["processes"])
    lines.append(
        f"The generator's processes used at most {busy} of a core, {report['generator']['us_an_answer']} µs an answer."
    )
    lines += [f"VOID: {why}" for why in report["why_void"]]
    return "\n".join(lines)


def _times(one: dict[str, Any]) -> str:
    if one["p50"] is None:
        return "never"
    return f"p50 {one['p50']} ms, p95 {one['p95']} ms, p99 {one['p99']} ms"
