from dataclasses import asdict
from typing import Any

from rostra.app.commands.face import Args, Declared, progress, show
from rostra.kernel.errors import Fault


def declare(commands: Declared) -> None:
    timeline = commands.group("timeline", "look at recordings")
    verify = timeline.add("verify", _verify, "prove a recording whole and unaltered, or name the first bad record")
    verify.add_argument("id", metavar="ID")


def _verify(args: Args) -> None:
    from rostra.app.spaces import parse_id
    from rostra.kernel.clock import SystemClock
    from rostra.kernel.errors import Damaged
    from rostra.timeline.disk import DiskLibrary

    said = progress()
    library = DiskLibrary(args.data, SystemClock())
    try:
        proof = library.verify(parse_id(args.id), lambda done, size: said(f"read {done * 100 // max(1, size)} %"))
    except Damaged as wrong:
        raise _NotWhole(wrong) from None
    finally:
        said("")
    show({"id": args.id, "whole": True, **asdict(proof)}, args.json, _proven)


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
