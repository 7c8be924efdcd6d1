from typing import Any

from rostra.app.commands.face import Args, Declared, progress, run, seconds, show, unless_interrupted


def declare(commands: Declared) -> None:
    check = commands.add("check-hls", _check, "hold a playlist, ours or another's, against the rules of HLS")
    check.add_argument("url", metavar="URL", help="of a multivariant or media playlist, live or ended")
    check.add_argument("--seconds", type=seconds, default=20.0, metavar="S", help="how long to watch a live one (20)")


def _check(args: Args) -> None:
    from rostra.rehearsal.hls.examiner import Examiner

    examiner = Examiner(args.url, seconds=args.seconds, progress=progress())
    run(unless_interrupted(examiner.run()))
    show(examiner.report.summary(), args.json, _said)
    if not examiner.report.ok:
        raise SystemExit(1)


def _said(report: dict[str, Any]) -> str:
    lines = []
    for one in report["playlists"]:
        kind = (
            "low-latency live" if one["live"] and one["low_latency"] else "live" if one["live"] else "ended or growing"
        )
        lines.append(
            f"{one['url']}: {kind}, {one['versions']} versions, {one['segments']} segments and {one['parts']} parts read."
        )
    for found in report["findings"]:
        again = f" ({found['times']} times)" if found["times"] > 1 else ""
        lines.append(f"{found['severity'].upper()} {found['rule']} [{found['clause']}]{again}: {found['sentence']}")
        lines.append(f"    {found['remedy']}")
    lines.append(
        f"{'Fit' if report['ok'] else 'Not fit'}: {report['errors']} errors, {report['warnings']} warnings, "
        f"{report['notes']} notes, by {report['rules']} rules over {report['requests']} requests in {report['seconds']:.0f} s."
    )
    lines += ["Not checked:", *(f"  {one}" for one in report["not_checked"])]
    return "\n".join(lines)
