"""Draws docs/figures-edge.md and its plots from what stands in bench/results. Nothing on that page is written by hand.

    python bench/figures.py [--results DIR] [--docs DIR]

Ends with 1 when a figure that was asked for was not reached. Of each benchmark the newest full run counts; where there is none yet, the newest small one, and the page says so.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plot import bars, line

HERE = Path(__file__).parent
Row = dict[str, Any]


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--results", type=Path, default=HERE / "results")
    asked.add_argument("--docs", type=Path, default=HERE.parent / "docs")
    chosen = asked.parse_args()
    rows = {name: row for name in SECTIONS if (row := newest(chosen.results / f"{name}.jsonl")) is not None}
    if not rows:
        raise SystemExit("there are no results yet: make bench-edge")
    plots: dict[str, str] = {}
    parts = [HEAD, _verdicts(rows), *(SECTIONS[name](row, plots) for name, row in rows.items()), LIMITS]
    (chosen.docs / "figures").mkdir(exist_ok=True)
    for name, text in plots.items():
        (chosen.docs / "figures" / name).write_text(text, "utf-8")
    (chosen.docs / "figures-edge.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    missed = [
        f"not reached: {what}: {measured(rows[name])}"
        for name, what, measured, fulfilled in _DEMANDS
        if name in rows and not rows[name].get("quick") and not fulfilled(rows[name])
    ]
    print("\n".join(missed) or "everything that was asked is reached")
    return 1 if missed else 0


def newest(file: Path) -> Row | None:
    """The last full run, else the last of any kind."""
    if not file.exists():
        return None
    rows: list[Row] = [json.loads(text) for text in file.read_text("utf-8").splitlines() if text]
    full = [row for row in rows if not row.get("quick")]
    return (full or rows or [None])[-1]


HEAD = """# The edge in figures

This page is made by `make bench-edge` from its own results (`bench/results`); nothing here is written by hand. Server and crowd
run on one machine over loopback, the server pinned to one core and the crowd to the other. Rivals do the same work on the same
core in the same run, turn by turn. A figure is the median of its rounds, with the least and the most in brackets. A round is void
and is run again when the crowd used more than 80 % of its core, came late, or when other programs used more than a tenth of a
core; one that stays void says so here. `python -m bench edge_stream --quick` tries one with a small crowd."""

LIMITS = """## What these figures do not show

Everything crosses loopback: no network card, no TLS, no lossy mobile path, and one kernel carries both ends, so the time it
spends on a connection is counted on the server's core as well as on the crowd's. Listeners are counted as they arrive at a
socket, not at an ear; `rostra rehearse` decodes. They hold for this machine and this commit."""


def _verdicts(rows: dict[str, Row]) -> str:
    lines = ["| asked | measured | |", "|---|---|---|"]
    for name, what, measured, fulfilled in _DEMANDS:
        if name in rows:
            row = rows[name]
            word = "reached" if fulfilled(row) else "**not reached**"
            word = "not tried in full" if row.get("quick") else f"{word}, void" if row.get("void") else word
            lines.append(f"| {what} | {measured(row)} | {word} |")
    return "\n".join(lines)


_DEMANDS: list[tuple[str, str, Callable[[Row], str], Callable[[Row], bool]]] = [
    (
        "edge_stream", "Endless stream, 18,000 listeners: at most 1.15 times a bare C write loop",
        lambda row: f"{row.get('to_loop')} times", lambda row: row.get("to_loop", 9) <= 1.15,
    ),
    (
        "edge_stream", "… at most half of Icecast 2.4, for each listener served",
        lambda row: f"{row.get('to_icecast')} times", lambda row: row.get("to_icecast", 9) <= 0.5,
    ),
    (
        "edge_stream", "… nobody without sound for more than 1.5 s",
        lambda row: f"{row['edge']['gaps']} gaps at {row['listeners']:,} listeners",
        lambda row: row["edge"]["gaps"] == 0 and row["edge"]["joined"] == row["listeners"],
    ),
    (
        "edge_parts", "Held part requests, 18,000 listeners: no part late by more than itself",
        lambda row: f"{row['late_steady']} late of {row['answers_per_s']['median']:,.0f} a second; p99 {row['lateness_p99_ms']['median']:.0f} ms",
        lambda row: row["late_steady"] == 0 and row["joined"] == row["listeners"],
    ),
    (
        "edge_parts", "… requests for a second of processor time at least 1.4 times nginx's, which serves the same bytes as files",
        lambda row: f"{row['nginx']['ratio']} times nginx, {row['nginx_tuned']['ratio']} times nginx tuned for small files",
        lambda row: row["nginx"]["ratio"] >= 1.4,
    ),
    (
        "edge_objects", "Small objects asked as fast as they come: at least 1.4 times nginx with static files",
        lambda row: f"{row['ratio_per_cpu_s']} times nginx, {row['ratio_tuned_per_cpu_s']} times nginx tuned for small files", lambda row: row["ratio_per_cpu_s"] >= 1.4,
    ),
    (
        "edge_flash", "18,000 joins in 6 s: all served, first sound p99 within 2 s",
        lambda row: f"{row['joined']:,} of {row['listeners']:,}; p99 {row['first_sound_ms']['p99']['median']:.0f} ms",
        lambda row: row["joined"] == row["listeners"] and row["first_sound_ms"]["p99"]["most"] <= 2000,
    ),
    (
        "edge_three", "Three edges, 50,000 listeners for a minute without a gap, who ask for part after part",
        lambda row: f"{row['parts']['joined']:,} listeners, {row['parts']['gaps']} gaps", lambda row: _fifty_thousand(row["parts"]),
    ),
    (
        "edge_three", "… and who listen to streams",
        lambda row: f"{row['stream']['joined']:,} listeners, {row['stream']['gaps']} gaps", lambda row: _fifty_thousand(row["stream"]),
    ),
    (
        "edge_growth", "Memory for each listener at most 3 KB",
        lambda row: f"{row['bytes_a_listener']:,} bytes", lambda row: row["bytes_a_listener"] <= 3072,
    ),
    (
        "edge_growth", "Processor time grows as a straight line",
        lambda row: f"R² {row['fit']['r2']}", lambda row: row["fit"]["r2"] >= 0.99,
    ),
    (
        "origin_flat", "The origin's requests with 10, 1,000 and 10,000 listeners behind two edges: within 5 % of flat",
        lambda row: f"{_off_flat(row, 'requests_per_s')} % off", lambda row: _off_flat(row, "requests_per_s") <= 5,
    ),
    (
        "origin_flat", "… and its processor time",
        lambda row: f"{_off_flat(row, 'origin_core_percent')} % off", lambda row: _off_flat(row, "origin_core_percent") <= 5,
    ),
]  # fmt: skip


def _stream(row: Row, plots: dict[str, str]) -> str:
    names = {"loop": "bare C write loop", "edge": "Rostra's edge", "icecast": "Icecast 2.4"}
    there = [name for name in names if name in row]
    plots["edge-stream.svg"] = bars(
        "Processor time for a listener and second, µs", [(names[name], row[name]["cpu_us"]) for name in there]
    )
    table = _table(
        ("server", "µs a listener and second", "cores", "listeners' worth served", "gaps over 1.5 s", "first sound p99"),
        [
            (
                names[name], _spread(row[name]["cpu_us"], 1), _spread(row[name]["cores"], 3), _spread(row[name]["served"]),
                f"{row[name]['gaps']:,}", f"{_spread(row[name]['first_sound_p99_ms'])} ms",
            )
            for name in there
        ],
    )  # fmt: skip
    return (
        f"## An endless stream\n\n{_of(row)}\n\n{row['listeners']:,} listeners of a stream at 64 kb/s, half a second a write.\n\n"
        f"{table}\n\n![Processor time for a listener](figures/edge-stream.svg)"
    )


def _parts(row: Row, plots: dict[str, str]) -> str:
    table = _table(
        ("", ""),
        [
            ("answers a second", _spread(row["answers_per_s"])),
            ("processor time an answer", f"{_spread(row['cpu_us'], 2)} µs"),
            ("of one core", _spread(row["cores"], 3)),
            ("lateness p50", f"{_spread(row['lateness_p50_ms'])} ms"),
            ("lateness p99", f"{_spread(row['lateness_p99_ms'])} ms"),
            ("the latest part of all", f"{row['lateness_most_ms']} ms"),
            ("parts late by more than a part, once all were there", f"{row['late_steady']:,}"),
            ("gaps over 1.5 s", f"{row['gaps']:,}"),
        ],
    )
    rivals = _table(
        ("server", "processor time an answer", "answers a second", "edge to it"),
        [
            ("Rostra's edge, each request held", f"{_spread(row['cpu_us'], 2)} µs", _spread(row["answers_per_s"]), ""),
            *(
                (
                    name,
                    f"{_spread(row[key]['cpu_us'], 2)} µs",
                    _spread(row[key]["answers_per_s"]),
                    f"{row[key]['ratio']}",
                )
                for key, name in (("nginx", "nginx, Debian's way"), ("nginx_tuned", "nginx, tuned"))
            ),
        ],
    )
    return (
        f"## Held requests\n\n{_of(row)}\n\n{row['listeners']:,} listeners, each asking for the next half second before it exists; all "
        f"are answered when it does.\n\n{table}\n\nThe same bytes as files, asked for by as many listeners once in half a second, since nginx "
        f"cannot hold a request:\n\n{rivals}\n\n{_agreement(row['agreement'])}"
    )


def _agreement(found: Row) -> str:
    names = {
        "rehearse": "`rostra rehearse`, which reads every part",
        "crowd": "the crowd in C, which measured all this",
    }
    table = _table(
        ("", "joined", "first sound p99", "lateness p50", "lateness p99", "late", "gaps", "processor time an answer"),
        [
            (
                names[name], f"{one['joined']:,}", f"{one['first_sound_ms']['p99']} ms", f"{one['lateness_ms']['p50']} ms",
                f"{one['lateness_ms']['p99']} ms", f"{one['late']:,}", f"{one['gaps']:,}", f"{one['us_an_answer']:.1f} µs",
            )
            for name, one in found.items()
        ],
    )  # fmt: skip
    return f"Both generators against one edge, one after the other, {found['crowd']['listeners']:,} listeners each:\n\n{table}"


def _objects(row: Row, plots: dict[str, str]) -> str:
    names = {"edge": "Rostra's edge", "nginx": "nginx, Debian's way", "nginx_tuned": "nginx, tuned"}
    plots["edge-objects.svg"] = bars(
        "Requests for a second of processor time", [(name, row[f"{key}_per_cpu_s"]) for key, name in names.items()]
    )
    table = _table(
        ("server", "requests a second of its processor time", "requests a second"),
        [
            *((name, _spread(row[f"{key}_per_cpu_s"]), _spread(row[f"{key}_per_s"])) for key, name in names.items()),
            ("edge to nginx, Debian's way", f"{row['ratio_per_cpu_s']}", f"{row['ratio_per_s']}"),
            ("edge to nginx, tuned", f"{row['ratio_tuned_per_cpu_s']}", f"{row['ratio_tuned_per_s']}"),
        ],
    )
    return (
        f"## Small objects, beside nginx\n\n{_of(row)}\n\nOne part of {row['part_bytes']:,} bytes, asked over kept connections by wrk. "
        "nginx serves it as a static file: with sendfile and tcp_nopush, as Debian configures it, but without an access log; and tuned for files "
        f"as small as this, without both and with the files kept open.\n\n{table}\n\n![Requests for a second of processor time](figures/edge-objects.svg)"
    )


def _flash(row: Row, plots: dict[str, str]) -> str:
    times = row["first_sound_ms"]
    table = _table(
        ("", ""),
        [
            ("heard something", f"{row['joined']:,} of {row['listeners']:,}"),
            *((f"first sound {name}", f"{_spread(times[name])} ms") for name in ("p50", "p95", "p99", "most")),
            ("processor time of the edge for a join", f"{_spread(row['join_cpu_us'], 1)} µs"),
            ("gaps over 1.5 s", f"{row['gaps']:,}"),
        ],
    )
    return (
        f"## A flash\n\n{_of(row)}\n\n{row['listeners']:,} listeners join within {row['ramp_s']:g} s, on a schedule that waits for nobody; "
        f"time counts from the moment at which each was to come.\n\n{table}"
    )


def _fifty_thousand(some: Row) -> bool:
    return bool(some["joined"] >= 50_000 and some["gaps"] == 0 and some["seconds"] >= 60)


def _three(row: Row, plots: dict[str, str]) -> str:
    table = _table(
        ("who", "listeners", "for", "joined", "gaps", "lateness p99", "edges", "crowd", "others", "limit"),
        [
            (
                who, f"{one['listeners']:,}", f"{one['seconds']:g} s", f"{one['joined']:,}", f"{one['gaps']:,}",
                f"{one['lateness_p99_ms']} ms" if kind == "parts" else "",
                f"{one['edges_cores']:.2f} cores", f"{one['generator_cores']:.2f}", f"{one['foreign_cores']:.2f}", one["limit"],
            )
            for kind, who in (("parts", "part after part"), ("stream", "streams"))
            for one in row[kind]["tried"]
        ],
    )  # fmt: skip
    return (
        f"## Three edges side by side\n\n{_of(row)}\n\nThree edges on one port and a crowd in three processes, together on {row['cores']} "
        f"cores.\n\n{table}"
    )


def _growth(row: Row, plots: dict[str, str]) -> str:
    points = [(one["listeners"], one["cores"]) for one in row["points"]]
    fit = row["fit"]
    plots["edge-growth.svg"] = line(
        "Cores used by one edge, by listeners", points, fit["cores_per_1000"] / 1000, fit["at_none"], f"R² {fit['r2']}"
    )
    table = _table(
        ("listeners", "cores", "memory grown, bytes a listener", "gaps", "late parts"),
        [
            (
                f"{one['listeners']:,}", _spread(one["cores"], 3), _spread(one["grown_bytes"]), f"{one['gaps']:,}", f"{one['late']:,}",
            )
            for one in row["points"]
        ],
    )  # fmt: skip
    return (
        f"## Growth\n\n{_of(row)}\n\nA fresh edge for each count. The line is {fit['cores_per_1000']:.4f} cores for each 1,000 listeners, "
        f"and {fit['at_none']:.3f} for none; R² {fit['r2']}.\n\n{table}\n\n![Cores by listeners](figures/edge-growth.svg)"
    )


def _origin(row: Row, plots: dict[str, str]) -> str:
    table = _table(
        ("listeners", "elsewhere", "answers a second", "parts made", "the origin's requests", "a part and edge", "the origin's core", "the edges' core"),
        [
            (
                f"{one['listeners']:,}", f"{one['elsewhere']:,}", f"{one['answers_per_s']:,}", f"{one['parts_made']:,}", f"{one['origin_requests']:,}",
                f"{one['requests_per_part_and_edge']:.3f}", f"{one['origin_core_percent']:.2f} ({one['origin_core_least']:.2f}–{one['origin_core_most']:.2f}) %", f"{one['edges_core_percent']:.1f} %",
            )
            for one in (*row["steps"], row["beside"])
        ],
    )  # fmt: skip
    return (
        f"## The origin behind two edges\n\n{_of(row)}\n\nTwo edges follow the origin, which alone runs on its core; edges and crowd share the "
        "other. Off: how far the farthest step is from the mean of the three. Processor time is the median of three rounds, with the least and "
        "the most. Work can cost more processor time while the other core is busy, whatever the work is; so the last row has the fewest "
        f"listeners again, while as many as the most listen to another house on the other core.\n\n{table}"
    )


def _off_flat(row: Row, what: str) -> float:
    """In percent of the mean of all steps."""
    values = [float(one[what]) for one in row["steps"]]
    mean = sum(values) / len(values)
    return round(100 * max(abs(one - mean) for one in values) / mean, 1)


SECTIONS: dict[str, Callable[[Row, dict[str, str]], str]] = {
    "edge_stream": _stream,
    "edge_parts": _parts,
    "edge_objects": _objects,
    "edge_flash": _flash,
    "edge_three": _three,
    "edge_growth": _growth,
    "origin_flat": _origin,
}
_ABOUT = ("bench", "commit", "at", "machine", "took_s", "quick", "void")


def _of(row: Row) -> str:
    said = f"Commit {row['commit']}, {row['at'][:10]}, {row['machine']}."
    if row.get("quick"):
        said += " **A small run, to see that the command works; not a figure to rely on.**"
    if row.get("void"):
        said += f" **Void, and kept for want of a better one:** {_reasons(row['void'])}."
    return said


def _reasons(void: Sequence[str]) -> str:
    shown = list(dict.fromkeys(void))
    return "; ".join(shown[:3]) + (f"; and {len(shown) - 3} more" if len(shown) > 3 else "")


def _spread(one: Row, digits: int = 0) -> str:
    shown = f"{one['median']:,.{digits}f}"
    return shown if one["rounds"] == 1 else f"{shown} ({one['least']:,.{digits}f}–{one['most']:,.{digits}f})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(one)} |" for one in lines)


if __name__ == "__main__":
    raise SystemExit(main())
