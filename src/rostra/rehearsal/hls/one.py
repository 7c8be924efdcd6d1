"""Rules on one version of one media playlist."""

from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urlsplit

from rostra.rehearsal.hls.findings import Book
from rostra.rehearsal.hls.playlist import KNOWN_TAGS, MULTIVARIANT_TAGS, Playlist

ONE = Book[Playlist]()

_ONCE = (
    "EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE", "EXT-X-ENDLIST", "EXT-X-PLAYLIST-TYPE", "EXT-X-I-FRAMES-ONLY", "EXT-X-PART-INF",
    "EXT-X-SERVER-CONTROL", "EXT-X-SKIP",
)  # fmt: skip
_FMP4 = (".mp4", ".m4s", ".m4a", ".m4v", ".cmfa", ".cmfv")
_ROUNDING_S = 0.0005


@ONE.must("encoding", "4.1", "Write UTF-8 without a byte order mark and without control characters.")
def _(it: Playlist) -> Iterator[str]:
    return (fault.sentence for fault in it.faults if fault.kind == "encoding")


@ONE.must("line", "4.1", "Let each line be a URI, a tag, a comment or empty, without blanks around it.")
def _(it: Playlist) -> Iterator[str]:
    return (fault.sentence for fault in it.faults if fault.kind == "line")


@ONE.must("attributes", "4.2", "Write NAME=value pairs with commas between them, each name once.")
def _(it: Playlist) -> Iterator[str]:
    return (fault.sentence for fault in it.faults if fault.kind == "attributes")


@ONE.must("number", "4.2", "Give the value in the form that the tag's clause names.")
def _(it: Playlist) -> Iterator[str]:
    return (fault.sentence for fault in it.faults if fault.kind == "number")


@ONE.must("first-line", "4.4.1.1", "Begin every playlist with #EXTM3U.")
def _(it: Playlist) -> Iterator[str]:
    if not it.text.startswith(("#EXTM3U\n", "#EXTM3U\r\n")):
        yield "The first line is not #EXTM3U."


@ONE.must("tag-once", "4.4.3", "Write this tag once.")
def _(it: Playlist) -> Iterator[str]:
    return (f"{tag} stands there {it.tags[tag]} times." for tag in _ONCE if it.tags[tag] > 1)


@ONE.must("mixed-tags", "4.4.6", "Keep multivariant tags out of media playlists.")
def _(it: Playlist) -> Iterator[str]:
    return (f"{tag} stands in a media playlist." for tag in sorted(MULTIVARIANT_TAGS) if it.tags[tag])


@ONE.may("unknown-tag", "6.3.1", "Players pass over it; make sure that it is no slip of the pen.")
def _(it: Playlist) -> Iterator[str]:
    unknown = [tag for tag in it.tags if tag not in KNOWN_TAGS]
    if unknown:
        yield f"The draft knows no tag {', '.join(sorted(unknown))}."


@ONE.must("version-enough", "8", "Raise EXT-X-VERSION.")
def _(it: Playlist) -> Iterator[str]:
    needed, why = _version_needed(it)
    if needed > (it.version or 1):
        yield f"EXT-X-VERSION is {it.version or 'missing'}, but {why} needs {needed}."


@ONE.should("version-no-more", "6.2.1", "Lower EXT-X-VERSION, so that no older player is turned away.")
def _(it: Playlist) -> Iterator[str]:
    needed, _why = _version_needed(it)
    # A version may not change between versions of a playlist, and delta updates need 9.
    needed = max(needed, 9 if "CAN-SKIP-UNTIL" in (it.control or {}) else 1)
    if it.version is not None and it.version > max(needed, 3):
        yield f"EXT-X-VERSION is {it.version}, and nothing in it needs more than {needed}."


@ONE.must("target-duration", "4.4.3.1", "Give EXT-X-TARGETDURATION as a whole number of seconds, 1 or more.")
def _(it: Playlist) -> Iterator[str]:
    if not it.target_s:
        yield "EXT-X-TARGETDURATION is missing or zero."


@ONE.must("segment-length", "4.4.3.1", "Cut shorter segments, or promise a longer target duration from the beginning.")
def _(it: Playlist) -> Iterator[str]:
    for one in it.whole:
        # Half a second is rounded up (6.2.1: "rounded to the nearest integer").
        if it.target_s and one.duration_s is not None and int(one.duration_s + 0.5) > it.target_s:
            yield f"Segment {one.msn} lasts {one.duration_s:g} s, the target duration is {it.target_s} s."


@ONE.must("extinf", "4.4.4.1", "Give every segment an EXTINF.")
def _(it: Playlist) -> Iterator[str]:
    return (f"Segment {one.msn} has no EXTINF." for one in it.whole if one.duration_s is None)


@ONE.should("exact-durations", "Apple 8.1", "Write durations as decimals, exact to a frame.")
def _(it: Playlist) -> Iterator[str]:
    if (it.version or 1) >= 3 and it.tags["EXTINF"] and "#EXTINF:" in it.text:
        texts = [
            line.partition(":")[2].partition(",")[0] for line in it.text.splitlines() if line.startswith("#EXTINF:")
        ]
        if all("." not in text for text in texts):
            yield "All EXTINF durations are whole seconds."


@ONE.must("sequence-first", "4.4.3.2", "Write the sequence tags before the first segment and the first discontinuity.")
def _(it: Playlist) -> Iterator[str]:
    return (f"{tag} comes too late." for tag in it.misplaced)


@ONE.must("byte-range", "4.4.4.2", "Give the first byte range of a resource its offset.")
def _(it: Playlist) -> Iterator[str]:
    before = ""
    for one in it.whole:
        if one.byterange is not None and one.byterange[1] is None and one.uri != before:
            yield f"The byte range of segment {one.msn} has no offset, and no range of {one.uri} stands before it."
        before = one.uri if one.byterange is not None else ""


@ONE.must("map", "3.1.2", "Put EXT-X-MAP before the first segment; fragmented MP4 cannot be read without it.")
def _(it: Playlist) -> Iterator[str]:
    if it.skipped is None:
        for one in it.segments:
            uri = one.uri or (one.parts[0].uri if one.parts else "")
            if one.map is None and not one.gap and urlsplit(uri).path.endswith(_FMP4):
                yield f"No EXT-X-MAP applies to segment {one.msn}."
                break


@ONE.must("type-vod", "6.2.1", "A playlist that will still grow is EVENT, or has no type.")
def _(it: Playlist) -> Iterator[str]:
    if it.kind == "VOD" and not it.ended:
        yield "It is of type VOD and has no EXT-X-ENDLIST."


@ONE.must("type-live", "6.2.2", "Leave EXT-X-PLAYLIST-TYPE out where segments are removed.")
def _(it: Playlist) -> Iterator[str]:
    if it.kind is not None and it.msn > 0:
        yield f"It is of type {it.kind}, which keeps everything, but begins with segment {it.msn}."


@ONE.must("window", "6.2.2", "Keep at least three target durations of segments.")
def _(it: Playlist) -> Iterator[str]:
    if it.live and it.msn > 0 and it.skipped is None and it.duration_s < 3 * (it.target_s or 0) - _ROUNDING_S:
        yield f"Segments were removed, and what is left lasts {it.duration_s:g} s, less than three target durations."


@ONE.should("six-segments", "Apple 8.11", "Keep six segments or more in a live playlist.")
def _(it: Playlist) -> Iterator[str]:
    if it.live and it.msn > 0 and it.skipped is None and len(it.whole) < 6:
        yield f"Segments were removed, and {len(it.whole)} are left."


@ONE.must("discontinuity-sequence", "6.2.2", "Write EXT-X-DISCONTINUITY-SEQUENCE, and count what was removed.")
def _(it: Playlist) -> Iterator[str]:
    if it.tags["EXT-X-DISCONTINUITY"] and it.live and it.msn > 0 and it.discontinuity_sequence is None:
        yield "It has discontinuities and removes segments, without EXT-X-DISCONTINUITY-SEQUENCE."


@ONE.must(
    "date-ambiguous", "6.2.1", "Let the dates of segments follow each other; repair the clock or leave a date out."
)
def _(it: Playlist) -> Iterator[str]:
    for one, later in pairwise(it.segments):
        if one.date_s is not None and later.date_s is not None and one.whole:
            overlap_s = one.date_s + one.length_s - later.date_s
            if overlap_s >= 1:
                yield f"Segment {later.msn} is dated {overlap_s:.3f} s before the end of the one before it."


@ONE.should("date-form", "4.4.4.6", "Write dates with milliseconds and a time zone.")
def _(it: Playlist) -> Iterator[str]:
    for one in it.segments:
        clock = one.date_text.partition("T")[2]
        if one.date_s is not None and ("." not in clock or not clock.rstrip("0123456789:.").endswith(("Z", "+", "-"))):
            yield f"{one.date_text} has no milliseconds or no time zone."
            break


@ONE.must("date-live", "Apple 8.4", "Give live segments EXT-X-PROGRAM-DATE-TIME.")
def _(it: Playlist) -> Iterator[str]:
    if it.live and it.segments and all(one.date_s is None for one in it.segments):
        yield "No segment of this live playlist is dated."


@ONE.must("delta-unasked", "6.2.5.1", "Answer with EXT-X-SKIP only where _HLS_skip asks for it.")
def _(it: Playlist) -> Iterator[str]:
    if it.skipped is not None and not it.control_s("CAN-SKIP-UNTIL"):
        yield "It has EXT-X-SKIP, but EXT-X-SERVER-CONTROL offers no delta updates."


@ONE.must("skip-until", "4.4.3.8", "Let CAN-SKIP-UNTIL be six target durations or more.")
def _(it: Playlist) -> Iterator[str]:
    until_s = it.control_s("CAN-SKIP-UNTIL")
    if until_s is not None and it.target_s and until_s < 6 * it.target_s - _ROUNDING_S:
        yield f"CAN-SKIP-UNTIL is {until_s:g} s, the target duration {it.target_s} s."


@ONE.must("skip-dateranges", "4.4.3.8", "Offer CAN-SKIP-UNTIL beside CAN-SKIP-DATERANGES.")
def _(it: Playlist) -> Iterator[str]:
    if "CAN-SKIP-DATERANGES" in (it.control or {}) and it.control_s("CAN-SKIP-UNTIL") is None:
        yield "CAN-SKIP-DATERANGES stands there without CAN-SKIP-UNTIL."


@ONE.must("hold-back", "4.4.3.8", "Let HOLD-BACK be three target durations or more, or leave it out.")
def _(it: Playlist) -> Iterator[str]:
    back_s = it.control_s("HOLD-BACK")
    if back_s is not None and it.target_s and back_s < 3 * it.target_s - _ROUNDING_S:
        yield f"HOLD-BACK is {back_s:g} s, the target duration {it.target_s} s."


@ONE.must("ended-hint", "4.4.5.3", "Take the hint away when the playlist has ended.")
def _(it: Playlist) -> Iterator[str]:
    if it.ended and it.hints:
        yield "It has both EXT-X-ENDLIST and EXT-X-PRELOAD-HINT."


@ONE.may("target-recommended", "B.1", "Six seconds suit most; shorter ones cost requests, longer ones latency.")
def _(it: Playlist) -> Iterator[str]:
    if it.target_s and it.target_s != 6:
        yield f"The target duration is {it.target_s} s; the draft recommends 6."


@ONE.may("encrypted", "6.2.3", "Check the keys with a player.")
def _(it: Playlist) -> Iterator[str]:
    if it.encrypted:
        yield "Its media is encrypted, which this tool does not look into."


def _version_needed(it: Playlist) -> tuple[int, str]:
    needed = [(1, "it")]
    if any(line.startswith("#EXTINF:") and "." in line.partition(",")[0] for line in it.text.splitlines()):
        needed.append((3, "a fraction in EXTINF"))
    for tag, version in (
        ("EXT-X-BYTERANGE", 4), ("EXT-X-I-FRAMES-ONLY", 4), ("EXT-X-MAP", 6), ("EXT-X-DEFINE", 8), ("EXT-X-SKIP", 9),
    ):  # fmt: skip
        if it.tags[tag]:
            needed.append((version, tag))
    return max(needed)
