"""Proof that a recording is whole and unaltered, or the name of the first record that is not."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rostra.kernel.errors import Damaged
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.events import Cancelled, Ended, from_json
from rostra.timeline import record
from rostra.timeline.ports import Kind, PartFlag


@dataclass(frozen=True, slots=True)
class Proof:
    """What a whole timeline holds. `chain`: the last chain value in hex; who keeps it can prove later that nothing changed.

    `over`: the Space has ended or was cancelled, so nothing may be missing at its end. `unfinished_bytes`: bytes after the last whole record, of a record that was being written; 0 once the Space has ended.
    """

    records: int
    events: int
    parts: dict[str, int]
    seconds: dict[str, float]
    filled_s: float
    away_s: float
    over: bool
    size_bytes: int
    unfinished_bytes: int
    chain: str


def verify(path: Path, space_id: SpaceId, committed: int, progress: Callable[[int, int], None] | None = None) -> Proof:
    """Read every byte of the record: frames, checksums, chain, event texts, part numbers.

    Args:
        committed: how many records its owner has declared durable; all of them must be there.
        progress: called with bytes done and bytes in all, about every 4 MB.
    Raises:
        Damaged: names the first bad record. A torn record behind the committed ones is not damage: a crash may leave one.
    """
    size = path.stat().st_size
    if size == 0:
        raise Damaged("the record is empty: even its first event is missing", 0, 0)
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
        memoryview(mapped) as data,
    ):
        return _walk(data, space_id, committed, progress)


def _walk(data: memoryview, space_id: SpaceId, committed: int, progress: Callable[[int, int], None] | None) -> Proof:
    chain, at, seq, told = record.first_chain(space_id), 0, 0, 0
    events, ended = 0, False
    counts = dict.fromkeys(Rendition, 0)
    flagged_s = {PartFlag.FILL: 0.0, PartFlag.AWAY: 0.0}
    while at < len(data):
        try:
            one = record.read(data, at, seq, chain)
        except Damaged:
            if seq >= max(1, committed) and not ended:
                break
            raise
        body = one.body
        try:
            match one.kind:
                case Kind.EVENT:
                    ended |= isinstance(from_json(bytes(body)), Ended | Cancelled)
                    events += 1
                case Kind.INIT:
                    Rendition(body[0])
                case Kind.PART:
                    meta = record.part_meta(body)
                    if meta.number != counts[meta.rendition]:
                        raise ValueError(f"part {meta.number} stands where part {counts[meta.rendition]} belongs")
                    counts[meta.rendition] += 1
                    if meta.rendition is Rendition.OPUS:
                        for flag in flagged_s:
                            flagged_s[flag] += Rendition.OPUS.shape.part_s if flag in meta.flags else 0.0
        except (ValueError, IndexError) as wrong:
            raise Damaged(f"record {seq} is intact but makes no sense: {wrong}", seq, at) from None
        finally:
            body.release()
        chain, at, seq = one.chain, one.end, seq + 1
        if progress and at - told >= 4 << 20:
            told = at
            progress(at, len(data))
    if seq < committed:
        raise Damaged(f"record {seq} is missing: the file ends where it should stand", seq, at)
    if progress:
        progress(at, len(data))
    return Proof(
        records=seq,
        events=events,
        parts={one.shape.url: number for one, number in counts.items()},
        seconds={one.shape.url: round(number * one.shape.part_s, 3) for one, number in counts.items()},
        filled_s=flagged_s[PartFlag.FILL],
        away_s=flagged_s[PartFlag.AWAY],
        over=ended,
        size_bytes=at,
        unfinished_bytes=len(data) - at,
        chain=chain.hex(),
    )
