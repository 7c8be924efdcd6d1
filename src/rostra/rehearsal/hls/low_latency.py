"""Rules on the low-latency parts of one media playlist."""

from collections.abc import Iterator

from rostra.rehearsal.hls.findings import Book
from rostra.rehearsal.hls.playlist import Playlist, number

LOW_LATENCY = Book[Playlist]()

_ROUNDING_S = 0.0005
_LONG_WINDOW_S = 120


@LOW_LATENCY.must("part-inf", "4.4.3.7", "Write EXT-X-PART-INF with PART-TARGET.")
def _(it: Playlist) -> Iterator[str]:
    if it.tags["EXT-X-PART"] and not it.part_target_s:
        yield "It lists parts without a PART-TARGET."


@LOW_LATENCY.must("part-complete", "4.4.4.9", "Give every part a URI and a DURATION.")
def _(it: Playlist) -> Iterator[str]:
    for one in it.segments:
        for index, part in enumerate(one.parts):
            if not part.uri or not part.duration_s:
                yield f"Part {index} of segment {one.msn} lacks its URI or its DURATION."


@LOW_LATENCY.must("part-length", "4.4.4.9", "Cut parts no longer than PART-TARGET, or promise a longer one.")
def _(it: Playlist) -> Iterator[str]:
    for one in it.segments:
        for index, part in enumerate(one.parts):
            if it.part_target_s and part.duration_s > it.part_target_s + _ROUNDING_S:
                yield f"Part {index} of segment {one.msn} lasts {part.duration_s:g} s, PART-TARGET is {it.part_target_s:g} s."


@LOW_LATENCY.must("part-short", "4.4.4.9", "Let parts reach 85 % of PART-TARGET, except the last of a segment.")
def _(it: Playlist) -> Iterator[str]:
    least_s = 0.85 * (it.part_target_s or 0) - _ROUNDING_S
    for one in it.segments:
        for index, part in enumerate(one.parts[:-1]):
            excused = part.independent or part.gap or one.parts[index + 1].gap
            if part.duration_s < least_s and not excused:
                yield f"Part {index} of segment {one.msn} lasts {part.duration_s:g} s, below 85 % of PART-TARGET."


@LOW_LATENCY.must("parts-fill", "3.2", "Let a segment and its parts hold the same samples.")
def _(it: Playlist) -> Iterator[str]:
    for one in it.whole:
        if one.parts and one.duration_s is not None:
            parts_s = sum(part.duration_s for part in one.parts)
            if abs(parts_s - one.duration_s) > 0.001 * (len(one.parts) + 1):
                yield f"The parts of segment {one.msn} last {parts_s:.5f} s together, the segment {one.duration_s:.5f} s."


@LOW_LATENCY.must("tags-before-parts", "4.4.4.9", "Write the segment's tags before its first part.")
def _(it: Playlist) -> Iterator[str]:
    return (f"{tag} comes after the first part of segment {one.msn}." for one in it.segments for tag in one.late)


@LOW_LATENCY.should("parts-old", "6.2.2", "List parts for the last three target durations only.")
def _(it: Playlist) -> Iterator[str]:
    behind_s = 0.0
    for one in reversed(it.segments):
        if one.parts and it.target_s and behind_s > 3 * it.target_s + _ROUNDING_S:
            yield f"Parts of segment {one.msn} are listed, which ended {behind_s:g} s before the end."
            break
        behind_s += one.length_s


@LOW_LATENCY.should("part-independent", "4.4.4.9", "Mark parts that a player may begin with by INDEPENDENT=YES.")
def _(it: Playlist) -> Iterator[str]:
    for one in it.whole:
        if one.parts and not any(part.independent for part in one.parts):
            yield f"No part of segment {one.msn} is marked INDEPENDENT=YES."
            break


@LOW_LATENCY.must("part-hold-back", "4.4.3.8", "Write PART-HOLD-BACK of two part targets at the very least.")
def _(it: Playlist) -> Iterator[str]:
    back_s = it.control_s("PART-HOLD-BACK")
    if it.part_target_s and back_s is None:
        yield "It has EXT-X-PART-INF and no PART-HOLD-BACK."
    elif it.part_target_s and back_s is not None and back_s < 2 * it.part_target_s - _ROUNDING_S:
        yield f"PART-HOLD-BACK is {back_s:g} s, less than two part targets of {it.part_target_s:g} s."


@LOW_LATENCY.should("part-hold-back-3", "4.4.3.8", "Three part targets let Apple's players stay in low latency.")
def _(it: Playlist) -> Iterator[str]:
    back_s = it.control_s("PART-HOLD-BACK")
    if it.part_target_s and back_s is not None and (
        2 * it.part_target_s - _ROUNDING_S <= back_s < 3 * it.part_target_s - _ROUNDING_S
    ):  # fmt: skip
        yield f"PART-HOLD-BACK is {back_s:g} s, less than three part targets of {it.part_target_s:g} s."


@LOW_LATENCY.must("blocking", "B.1", "Offer CAN-BLOCK-RELOAD=YES; without it players poll, and low latency is lost.")
def _(it: Playlist) -> Iterator[str]:
    if it.live and it.tags["EXT-X-PART"] and not it.blocks:
        yield "It lists parts and does not offer blocking reload."


@LOW_LATENCY.must("hint", "B.1", "Name the next part in EXT-X-PRELOAD-HINT.")
def _(it: Playlist) -> Iterator[str]:
    if it.tags["EXT-X-PART"] and not it.ended and not any(hint.get("TYPE") == "PART" for hint in it.hints):
        yield "It lists parts and hints at none to come."


@LOW_LATENCY.must("hint-complete", "4.4.5.3", "Give a hint its TYPE (PART or MAP) and its URI.")
def _(it: Playlist) -> Iterator[str]:
    for hint in it.hints:
        if hint.get("TYPE") not in ("PART", "MAP") or not hint.get("URI"):
            yield "A preload hint lacks its TYPE or its URI."


@LOW_LATENCY.should("hint-once", "6.2.6", "Hint once for each TYPE.")
def _(it: Playlist) -> Iterator[str]:
    kinds = [hint.get("TYPE", "") for hint in it.hints]
    return (f"{kinds.count(kind)} hints are of type {kind}." for kind in sorted(set(kinds)) if kinds.count(kind) > 1)


@LOW_LATENCY.must("hint-next", "B.1", "Hint at the part after the newest, not at one that is listed.")
def _(it: Playlist) -> Iterator[str]:
    listed = {(part.uri, part.byterange and part.byterange[1]) for one in it.segments for part in one.parts}
    for hint in it.hints:
        start = hint.get("BYTERANGE-START", "")
        if hint.get("TYPE") == "PART" and (hint.get("URI"), number(start)) in listed:
            yield f"The hint names {hint.get('URI')}, which is listed already."


@LOW_LATENCY.should("delta-offered", "Apple 14.4", "Offer delta updates (CAN-SKIP-UNTIL) where playlists are long.")
def _(it: Playlist) -> Iterator[str]:
    if it.live and it.low_latency and it.duration_s > _LONG_WINDOW_S and it.control_s("CAN-SKIP-UNTIL") is None:
        yield f"It holds {it.duration_s:.0f} s and offers no delta updates."


@LOW_LATENCY.may(
    "part-target-recommended", "Apple 14.2", "One second suits most networks; it must exceed their round trip."
)
def _(it: Playlist) -> Iterator[str]:
    if it.part_target_s and abs(it.part_target_s - 1) > 0.1:
        yield f"PART-TARGET is {it.part_target_s:g} s; Apple recommends 1."
