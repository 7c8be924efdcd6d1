from dataclasses import asdict
from typing import Any

from rostra.app.commands.face import Args, Declared, progress, show
from rostra.kernel.errors import Fault


def declare(commands: Declared) -> None:
    timeline = commands.group("timeline", "look at recordings")
    verify = timeline.add("verify", _verify, "prove a recording whole and unaltered, or name the first bad record")
    verify.add_argument("id", metavar="ID")
    counts = timeline.add("counts", _counts, "how many listened, as the record has it, after proving it whole")
    counts.add_argument("id", metavar="ID")


def _verify(args: Args) -> None:
    from rostra.app.place import Place
    from rostra.app.spaces import library_of

    proof = _prove(library_of(Place(args.data)), args.id)
    show({"id": args.id, "whole": True, **proof}, args.json, _proven)


def _counts(args: Args) -> None:
    from rostra.app.place import Place
    from rostra.app.spaces import library_of, parse_id
    from rostra.kernel.clock import iso
    from rostra.space.events import Counted

    library = library_of(Place(args.data))
    proof = _prove(library, args.id)
    reader = library.reader(parse_id(args.id))
    try:
        reader.refresh()
        counts = [
            {"seq": entry.seq, "at": iso(entry.at_us), **asdict(event)}
            for entry in reader.events()
            if isinstance(event := reader.event(entry), Counted)
        ]
    finally:
        reader.close()
    result = {
        "id": args.id,
        "records": proof["records"],
        "chain": proof["chain"],
        "over": proof["over"],
        "peak": max((one["peak"] for one in counts), default=0),
        "unique": max((one["unique"] for one in counts), default=0),
        "unique_error": counts[-1]["unique_error"] if counts else 0.0,
        "counts": counts,
    }
    show(result, args.json, _listened)


def _prove(library: Any, text: str) -> dict[str, Any]:
    from rostra.app.spaces import parse_id
    from rostra.kernel.errors import Damaged

    said = progress()
    try:
        return asdict(library.verify(parse_id(text), lambda done, size: said(f"read {done * 100 // max(1, size)} %")))
    except Damaged as wrong:
        raise _NotWhole(wrong) from None
    finally:
        said("")


class _NotWhole(Fault):
    code = "damaged"

    def __init__(self, wrong: Any) -> None:
        super().__init__(
            f"The record is damaged at number {wrong.seq}, byte {wrong.offset}: {wrong}.",
            "Everything before it is proven whole. Compare with a copy of the file, and see docs/operating.md.",
        )


def _proven(proof: dict[str, Any]) -> str:
    length = max(proof["seconds"].values(), default=0.0)
    return (
        f"Whole and unaltered: {proof['records']} records, {length:.1f} s of sound, {proof['filled_s']:.1f} s of it filled in.\n"
        f"Chain {proof['chain']}: who keeps this value can prove later that nothing before it changed."
    )


def _listened(result: dict[str, Any]) -> str:
    lines = [
        f"{one['at']}  {one['now']:>9,} now  {one['peak']:>9,} at most  {one['unique']:>10,} in all  "
        + ", ".join(f"{count:,} {kind}" for kind, count in one["kinds"].items())
        for one in result["counts"]
    ]
    if not lines:
        return "Nobody was counted on this record."
    within = f", give or take {200 * result['unique_error']:.1f} %" if result["unique_error"] else ""
    lines.append(f"At most {result['peak']:,} at once; {result['unique']:,} in all{within}.")
    lines.append(f"We counted {result['counts'][-1]['method']}.")
    lines.append(f"Chain {result['chain']}: as 'rostra timeline verify {result['id']}' has it.")
    return "\n".join(lines)
