"""Rules on two versions of one media playlist, one after the other, and on a delta update beside the whole."""

from collections.abc import Iterator
from dataclasses import dataclass

from rostra.rehearsal.hls.findings import Book
from rostra.rehearsal.hls.playlist import Playlist, Segment

_ROUNDING_S = 0.0005


@dataclass(frozen=True, slots=True)
class Step:
    """`since_segment_s`, `since_part_s`: how long before `after` the last version with a new one was seen."""

    before: Playlist
    after: Playlist
    since_segment_s: float = 0.0
    since_part_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Delta:
    """`update` came after `whole`, at most a few parts later."""

    whole: Playlist
    update: Playlist


SUCCESSION = Book[Step]()
DELTA = Book[Delta]()


@SUCCESSION.must("target-changed", "6.2.1", "Choose the target duration once for the life of the playlist.")
def _(it: Step) -> Iterator[str]:
    if it.before.target_s != it.after.target_s:
        yield f"EXT-X-TARGETDURATION went from {it.before.target_s} to {it.after.target_s}."


@SUCCESSION.must(
    "sequence-back", "6.2.2", "Never lower EXT-X-MEDIA-SEQUENCE; go on from the old number after a restart."
)
def _(it: Step) -> Iterator[str]:
    if it.after.msn < it.before.msn:
        yield f"EXT-X-MEDIA-SEQUENCE went from {it.before.msn} back to {it.after.msn}."


@SUCCESSION.must(
    "went-back", "6.2.1", "Serve no older version after a newer one; look for a cache that keeps too long."
)
def _(it: Step) -> Iterator[str]:
    if _newest(it.after) < _newest(it.before):
        yield f"The newest part was {_newest(it.before)} (segment, part) and is now {_newest(it.after)}."


@SUCCESSION.must("discontinuity-back", "6.2.2", "Raise EXT-X-DISCONTINUITY-SEQUENCE by each discontinuity removed.")
def _(it: Step) -> Iterator[str]:
    for one, later in _both(it.before, it.after):
        if one.discontinuity_number != later.discontinuity_number:
            yield (
                f"Segment {one.msn} had discontinuity number {one.discontinuity_number} and has "
                f"{later.discontinuity_number} now."
            )
            break


@SUCCESSION.must("segment-altered", "6.2.1", "What was listed once stays as it is.")
def _(it: Step) -> Iterator[str]:
    return _altered(it.before, it.after)


@SUCCESSION.must("part-altered", "6.2.1", "What was listed once stays as it is.")
def _(it: Step) -> Iterator[str]:
    return _parts_altered(it.before, it.after)


@SUCCESSION.must("header-changed", "6.2.1", "Choose these once for the life of the playlist.")
def _(it: Step) -> Iterator[str]:
    return _header_changed(it.before, it.after)


@SUCCESSION.must("type-shrunk", "6.2.1", "An EVENT keeps every segment; for a sliding window leave the type out.")
def _(it: Step) -> Iterator[str]:
    before, after = it.before, it.after
    if before.kind is not None and (after.msn > before.msn or after.kind != before.kind):
        yield f"It was of type {before.kind} with segment {before.msn} first, and is {after.kind} with {after.msn} first."


@SUCCESSION.must("after-end", "4.4.3.4", "Add nothing after EXT-X-ENDLIST, and do not take it back.")
def _(it: Step) -> Iterator[str]:
    if it.before.ended and (not it.after.ended or it.after.last_whole > it.before.last_whole):
        yield "It had ended, and goes on."


@SUCCESSION.must("segment-late", "6.2.1", "Add a segment every target duration; signal missing media with EXT-X-GAP.")
def _(it: Step) -> Iterator[str]:
    target_s = it.after.target_s or 0
    if not it.after.ended and it.since_segment_s > 1.5 * target_s > 0:
        yield f"No new segment came for {it.since_segment_s:.1f} s; the target duration is {target_s} s."


@SUCCESSION.should(
    "part-late", "6.2.1", "Add a part every part target; look at the encoder's clock and at the network."
)
def _(it: Step) -> Iterator[str]:
    # One part target is the rule; as much again is left for what the way to us adds.
    target_s = it.after.part_target_s or 0
    if not it.after.ended and it.after.tags["EXT-X-PART"] and it.since_part_s > 2 * target_s > 0:
        yield f"No new part came for {it.since_part_s:.2f} s; PART-TARGET is {target_s:g} s."


@SUCCESSION.should("hint-broken", "6.2.6", "Publish what was hinted, unless the cutting had to change.")
def _(it: Step) -> Iterator[str]:
    hinted = next((hint.get("URI") for hint in it.before.hints if hint.get("TYPE") == "PART"), None)
    if hinted is None or _newest(it.after) <= _newest(it.before) or it.after.ended:
        return
    msn, index = _newest(it.before)
    nexts = {(msn, index + 1), (msn + 1, 0)}
    came = [part.uri for one in it.after.segments for at, part in enumerate(one.parts) if (one.msn, at) in nexts]
    if came and hinted not in came:
        yield f"{hinted} was hinted, and {came[0]} came instead."


@DELTA.must("delta-missing", "6.2.5.1", "Answer _HLS_skip=YES with EXT-X-SKIP.")
def _(it: Delta) -> Iterator[str]:
    until_s = it.whole.control_s("CAN-SKIP-UNTIL")
    if until_s is None or it.whole.ended or it.update.ended or it.update.skipped:
        return
    old = [one for one in it.update.whole if _behind_s(it.update, one.msn) > until_s + _ROUNDING_S]
    if old:
        yield f"Segment {old[0].msn} is older than CAN-SKIP-UNTIL and was not skipped."


@DELTA.must("delta-too-much", "6.2.5.1", "Skip only what is further than CAN-SKIP-UNTIL from the end.")
def _(it: Delta) -> Iterator[str]:
    until_s = it.update.control_s("CAN-SKIP-UNTIL")
    # "the end of the last (Parent) Media Segment": what is in the making counts.
    left_s = sum(one.length_s for one in it.update.segments)
    if until_s is not None and it.update.skipped and left_s < until_s - _ROUNDING_S:
        yield f"{it.update.skipped} segments are skipped, and only {left_s:g} s are left."


@DELTA.should("delta-too-little", "6.2.5.1", "Skip all that is further than CAN-SKIP-UNTIL from the end.")
def _(it: Delta) -> Iterator[str]:
    until_s = it.update.control_s("CAN-SKIP-UNTIL")
    if until_s is not None and it.update.skipped and it.update.whole:
        first = it.update.whole[0]
        if _behind_s(it.update, first.msn) > until_s + _ROUNDING_S:
            yield f"Segment {first.msn} is older than CAN-SKIP-UNTIL and was not skipped, while others were."


@DELTA.must("delta-header", "6.2.5.1", "Keep in a delta update every tag that was not skipped.")
def _(it: Delta) -> Iterator[str]:
    yield from _header_changed(it.whole, it.update)
    if it.whole.target_s != it.update.target_s:
        yield f"EXT-X-TARGETDURATION is {it.update.target_s} in the update and {it.whole.target_s} in the whole."
    for tag in ("EXT-X-PRELOAD-HINT", "EXT-X-RENDITION-REPORT"):
        if it.whole.tags[tag] and not it.update.tags[tag] and not it.update.ended:
            yield f"The whole has {tag}, the update has not."


@DELTA.must("delta-differs", "6.2.5.1", "Let a delta update say of a segment what the whole says.")
def _(it: Delta) -> Iterator[str]:
    yield from _altered(it.whole, it.update, with_map=False)
    yield from _parts_altered(it.whole, it.update)
    if _newest(it.update) < _newest(it.whole):
        yield f"The update ends with {_newest(it.update)} (segment, part), the older whole with {_newest(it.whole)}."


def _newest(it: Playlist) -> tuple[int, int]:
    """A whole segment is newer than any of its parts."""
    msn, part = it.last
    return (msn, 1 << 30) if it.segments and it.segments[-1].whole else (msn, part)


def _both(before: Playlist, after: Playlist) -> Iterator[tuple[Segment, Segment]]:
    later = {one.msn: one for one in after.segments}
    return ((one, later[one.msn]) for one in before.segments if one.msn in later)


def _altered(before: Playlist, after: Playlist, with_map: bool = True) -> Iterator[str]:
    for one, later in _both(before, after):
        if one.whole and not later.whole:
            yield f"Segment {one.msn} was whole and is in the making again."
        for what in (
            "uri",
            "duration_s",
            "date_text",
            "gap",
            "discontinuity",
            "byterange",
            *(("map",) if with_map else ()),
        ):
            old, new = getattr(one, what), getattr(later, what)
            if old != new and (one.whole or (what in ("date_text", "map") and old)) and later.whole:
                yield f"Segment {one.msn} had {what.removesuffix('_s').removesuffix('_text')} {old} and has {new} now."


def _parts_altered(before: Playlist, after: Playlist) -> Iterator[str]:
    for one, later in _both(before, after):
        for index, (old, new) in enumerate(zip(one.parts, later.parts, strict=False)):
            if old != new:
                yield f"Part {index} of segment {one.msn} was {old.uri} of {old.duration_s:g} s, and is {new.uri} of {new.duration_s:g} s."
        if one.parts and later.parts and len(later.parts) < len(one.parts):
            yield f"Segment {one.msn} had {len(one.parts)} parts and has {len(later.parts)} now."


def _header_changed(before: Playlist, after: Playlist) -> Iterator[str]:
    for name, old, new in (
        ("EXT-X-VERSION", before.version, after.version),
        ("EXT-X-PART-INF", before.part_target_s, after.part_target_s),
        ("EXT-X-SERVER-CONTROL", before.control, after.control),
    ):
        # At the end what serves the live edge may go.
        if old != new and not (after.ended and new is None):
            yield f"{name} was {old} and is {new}."


def _behind_s(it: Playlist, msn: int) -> float:
    """From the end of this segment to the end of the last whole one."""
    return sum(one.length_s for one in it.whole if one.msn > msn)
