"""Every rule of the HLS check finds its own breach, and a good playlist breaks none of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rostra.rehearsal.hls.answers import ANSWERS, Answered, Kind
from rostra.rehearsal.hls.findings import Book, Severity
from rostra.rehearsal.hls.low_latency import LOW_LATENCY
from rostra.rehearsal.hls.master import MASTER, SIBLINGS, Siblings
from rostra.rehearsal.hls.media import MEDIA, Media, Taken
from rostra.rehearsal.hls.one import ONE
from rostra.rehearsal.hls.reading import read
from rostra.rehearsal.hls.succession import DELTA, SUCCESSION, Delta, Step
from rostra.sound import fmp4
from rostra.sound.renditions import Rendition

TARGET_S = 6
HEAD = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:6
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=36.0,HOLD-BACK=18,PART-HOLD-BACK=3.0
#EXT-X-PART-INF:PART-TARGET=1.0
"""
MAP = '#EXT-X-MAP:URI="init.mp4"\n'


def segment(msn: int, parts: int = 0, whole: bool = True) -> str:
    text = f"#EXT-X-PROGRAM-DATE-TIME:2030-05-04T20:{msn * 6 // 60:02}:{msn * 6 % 60:02}.000Z\n"
    text += "".join(f'#EXT-X-PART:DURATION=1.0,URI="p{msn}.{part}.m4s",INDEPENDENT=YES\n' for part in range(parts))
    return text + (f"#EXTINF:6.00000,\ns{msn}.m4s\n" if whole else "")


def live(first: int = 0, last: int = 9, parts: int = 2) -> str:
    """Whole segments, of which the last two have parts, and one in the making."""
    text = f"{HEAD}#EXT-X-MEDIA-SEQUENCE:{first}\n{MAP}"
    text += "".join(segment(msn, 6 if msn > last - 2 else 0) for msn in range(first, last + 1))
    text += segment(last + 1, parts, whole=False)
    return text + f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p{last + 1}.{parts}.m4s"\n'


def delta(first: int = 0, last: int = 9, skip: int = 3, parts: int = 2) -> str:
    text = f"{HEAD}#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-SKIP:SKIPPED-SEGMENTS={skip}\n"
    whole = live(first, last, parts)
    at = whole.index(segment(first + skip, 6 if first + skip > last - 2 else 0))
    return text + whole[at:]


GOOD = live()
PLAIN = (
    "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n"
    + "".join(f"#EXT-X-PROGRAM-DATE-TIME:2030-05-04T20:01:{6 * at:02}.000Z\n#EXTINF:6.00000,\n{at}.ts\n" for at in range(6))
)  # fmt: skip


def changed(*pairs: str, text: str = GOOD) -> Any:
    """The good playlist with each first text replaced by the second, wherever it stands."""
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new)
    return read(text.encode())


ONE_TABLE: dict[str, Callable[[], Any]] = {
    "encoding": lambda: read(b"\xef\xbb\xbf" + GOOD.encode()),
    "line": lambda: changed("s4.m4s", " s4.m4s"),
    "attributes": lambda: changed("PART-TARGET=1.0", "PART-TARGET=1.0,PART-TARGET=1.0"),
    "number": lambda: changed("SEQUENCE:0", "SEQUENCE:-1"),
    "first-line": lambda: changed("#EXTM3U\n", ""),
    "tag-once": lambda: changed("#EXT-X-VERSION:9\n", "#EXT-X-VERSION:9\n#EXT-X-VERSION:9\n"),
    "mixed-tags": lambda: changed(MAP, MAP + "#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n"),
    "unknown-tag": lambda: changed(MAP, MAP + "#EXT-X-PROGRAMME:1\n"),
    "version-enough": lambda: changed("VERSION:9", "VERSION:5"),
    "version-no-more": lambda: changed("VERSION:9", "VERSION:10"),
    "target-duration": lambda: changed("#EXT-X-TARGETDURATION:6\n", ""),
    "segment-length": lambda: changed("#EXTINF:6.00000,\ns3", "#EXTINF:6.50000,\ns3"),
    "extinf": lambda: changed("#EXTINF:6.00000,\ns3", "s3"),
    "exact-durations": lambda: changed("EXTINF:6.00000", "EXTINF:6"),
    "sequence-first": lambda: changed("#EXT-X-MEDIA-SEQUENCE:0\n", "", "s1.m4s\n", "s1.m4s\n#EXT-X-MEDIA-SEQUENCE:0\n"),
    "byte-range": lambda: changed("s3.m4s", "#EXT-X-BYTERANGE:99\ns3.m4s"),
    "map": lambda: changed(MAP, ""),
    "type-vod": lambda: changed("TARGETDURATION:6\n", "TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n"),
    "type-live": lambda: changed("SEQUENCE:0", "SEQUENCE:5\n#EXT-X-PLAYLIST-TYPE:EVENT"),
    "window": lambda: read(live(8).encode()),
    "six-segments": lambda: read(live(5).encode()),
    "discontinuity-sequence": lambda: changed("SEQUENCE:0", "SEQUENCE:5", "#EXTINF:6.00000,\ns3", "#EXT-X-DISCONTINUITY\n#EXTINF:6.0,\ns3"),
    "date-ambiguous": lambda: changed("20:00:18.000", "20:00:17.000"),
    "date-form": lambda: changed("20:00:18.000Z", "20:00:18Z"),
    "date-live": lambda: read("\n".join(line for line in GOOD.split("\n") if "DATE-TIME" not in line).encode()),
    "delta-unasked": lambda: changed("CAN-SKIP-UNTIL=36.0,", "", MAP, "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"),
    "skip-until": lambda: changed("UNTIL=36.0", "UNTIL=35.9"),
    "skip-dateranges": lambda: changed("CAN-SKIP-UNTIL=36.0", "CAN-SKIP-DATERANGES=YES"),
    "hold-back": lambda: changed("HOLD-BACK=18", "HOLD-BACK=17.9"),
    "ended-hint": lambda: read((GOOD + "#EXT-X-ENDLIST\n").encode()),
    "target-recommended": lambda: changed("TARGETDURATION:6", "TARGETDURATION:7"),
    "encrypted": lambda: changed(MAP, MAP + '#EXT-X-KEY:METHOD=AES-128,URI="k"\n'),
}  # fmt: skip

LOW_LATENCY_TABLE: dict[str, Callable[[], Any]] = {
    "part-inf": lambda: changed("#EXT-X-PART-INF:PART-TARGET=1.0\n", ""),
    "part-complete": lambda: changed('URI="p9.3.m4s",', ""),
    "part-length": lambda: changed('DURATION=1.0,URI="p9.3', 'DURATION=1.01,URI="p9.3'),
    "part-short": lambda: changed('DURATION=1.0,URI="p9.3.m4s",INDEPENDENT=YES', 'DURATION=0.84,URI="p9.3.m4s"'),
    "parts-fill": lambda: changed("#EXTINF:6.00000,\ns9", "#EXTINF:5.90000,\ns9"),
    "tags-before-parts": lambda: changed("#EXTINF:6.00000,\ns9", "#EXT-X-DISCONTINUITY\n#EXTINF:6.00000,\ns9"),
    "parts-old": lambda: changed(segment(4), segment(4, 6)),
    "part-independent": lambda: changed(",INDEPENDENT=YES", ""),
    "part-hold-back": lambda: changed("PART-HOLD-BACK=3.0", "PART-HOLD-BACK=1.9"),
    "part-hold-back-3": lambda: changed("PART-HOLD-BACK=3.0", "PART-HOLD-BACK=2.9"),
    "blocking": lambda: changed("CAN-BLOCK-RELOAD=YES,", ""),
    "hint": lambda: changed('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p10.2.m4s"\n', ""),
    "hint-complete": lambda: changed("HINT:TYPE=PART,", "HINT:TYPE=BOTH,"),
    "hint-once": lambda: changed("#EXT-X-PRELOAD-HINT", '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x"\n#EXT-X-PRELOAD-HINT'),
    "hint-next": lambda: changed("p10.2.m4s", "p10.1.m4s"),
    "delta-offered": lambda: read(live(last=20).replace("CAN-SKIP-UNTIL=36.0,", "").encode()),
    "part-target-recommended": lambda: changed("PART-TARGET=1.0", "PART-TARGET=2.0"),
}


def step(after: str, before: str = GOOD, segment_s: float = 1, part_s: float = 1) -> Step:
    return Step(read(before.encode()), read(after.encode()), segment_s, part_s)


NEXT = live(parts=3)
SUCCESSION_TABLE: dict[str, Callable[[], Any]] = {
    "target-changed": lambda: step(NEXT.replace("TARGETDURATION:6", "TARGETDURATION:7")),
    "sequence-back": lambda: step(NEXT, live(1)),
    "went-back": lambda: step(live(parts=1)),
    "discontinuity-back": lambda: step(
        live(4).replace("SEQUENCE:4", "SEQUENCE:4\n#EXT-X-DISCONTINUITY-SEQUENCE:0"),
        GOOD.replace("#EXTINF:6.00000,\ns3", "#EXT-X-DISCONTINUITY\n#EXTINF:6.00000,\ns3"),
    ),
    "segment-altered": lambda: step(NEXT.replace("s3.m4s", "t3.m4s")),
    "part-altered": lambda: step(NEXT.replace("p9.3.m4s", "q9.3.m4s")),
    "header-changed": lambda: step(NEXT.replace("HOLD-BACK=18", "HOLD-BACK=19")),
    "type-shrunk": lambda: step(live(1), GOOD.replace(":6\n", ":6\n#EXT-X-PLAYLIST-TYPE:EVENT\n", 1)),
    "after-end": lambda: step(live(last=10), GOOD + "#EXT-X-ENDLIST\n"),
    "segment-late": lambda: step(NEXT, segment_s=9.1),
    "part-late": lambda: step(NEXT, part_s=2.1),
    "hint-broken": lambda: step(NEXT.replace("p10.2.m4s", "other.m4s")),
}


def delta_of(update: str, whole: str = GOOD) -> Delta:
    return Delta(read(whole.encode()), read(update.encode()))


DELTA_TABLE: dict[str, Callable[[], Any]] = {
    "delta-missing": lambda: delta_of(GOOD),
    "delta-too-much": lambda: delta_of(delta(skip=5)),
    "delta-too-little": lambda: delta_of(delta(skip=2)),
    "delta-header": lambda: delta_of(delta().replace("HOLD-BACK=18", "HOLD-BACK=19")),
    "delta-differs": lambda: delta_of(delta().replace("s8.m4s", "t8.m4s")),
}

INDEX = (
    "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    '#EXT-X-STREAM-INF:BANDWIDTH=160000,AVERAGE-BANDWIDTH=112000,CODECS="mp4a.40.2"\nlive.m3u8\n'
)
MASTER_TABLE: dict[str, Callable[[], Any]] = {
    "master-text": lambda: changed("live.m3u8\n", "", text=INDEX),
    "master-first-line": lambda: changed("#EXTM3U\n", "\n#EXTM3U\n", text=INDEX),
    "master-mixed": lambda: changed("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-TARGETDURATION:6", text=INDEX),
    "no-variant": lambda: read(b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="a.m3u8"\n'),
    "bandwidth": lambda: changed("BANDWIDTH=160000,AVERAGE-", "AVERAGE-", text=INDEX),
    "codecs": lambda: changed(',CODECS="mp4a.40.2"', "", text=INDEX),
    "average-bandwidth": lambda: changed("AVERAGE-BANDWIDTH=112000", "AVERAGE-BANDWIDTH=160001", text=INDEX),
    "group": lambda: changed("BANDWIDTH=160000", 'BANDWIDTH=160000,AUDIO="a"', text=INDEX),
    "apple-codecs": lambda: changed("mp4a.40.2", "opus", text=INDEX),
}

HERE, THERE = "http://a.example/hls/live.m3u8", "http://a.example/low/live.m3u8"


def reporting(on: str, text: str = GOOD) -> str:
    return text + f'#EXT-X-RENDITION-REPORT:URI="{on}",LAST-MSN=10,LAST-PART=1\n'


def siblings(here: str = "", there: str = "", epochs: dict[str, float] | None = None) -> Siblings:
    texts = {HERE: here or reporting("../low/live.m3u8"), THERE: there or reporting("../hls/live.m3u8")}
    return Siblings({url: read(text.encode()) for url, text in texts.items()}, 0.0, epochs)


SIBLINGS_TABLE: dict[str, Callable[[], Any]] = {
    "sibling-target": lambda: siblings(there=reporting("../hls/live.m3u8").replace("DURATION:6", "DURATION:7")),
    "sibling-control": lambda: siblings(there=reporting("../hls/live.m3u8").replace("BACK=18", "BACK=19")),
    "sibling-type": lambda: siblings(there=reporting("../hls/live.m3u8") + "#EXT-X-PLAYLIST-TYPE:EVENT\n"),
    "sibling-dates": lambda: siblings(epochs={HERE: 100.0, THERE: 100.2}),
    "rendition-report": lambda: siblings(there=GOOD),
    "report-form": lambda: siblings(here=reporting("../low/live.m3u8").replace("LAST-MSN=10", "LAST-MSN=7")),
    "in-sync": lambda: siblings(there=reporting("../hls/live.m3u8", live(last=10))),
}


def answered(kind: Kind, status: int = 200, **more: Any) -> Answered:
    headers = {
        "content-type": "application/vnd.apple.mpegurl",
        "content-encoding": "gzip",
        "vary": "Accept-Encoding",
        "cache-control": "public, max-age=3" if kind is Kind.PLAIN else "public, max-age=36",
        "access-control-allow-origin": "*",
    }
    if status >= 400:
        headers["cache-control"] = "no-store"
    headers |= more.pop("headers", {})
    known = Answered(kind, "http://a.example/live.m3u8", status, headers, 0.01, 0.02, TARGET_S, 1.0)
    if status == 200:
        more.setdefault("playlist", read(GOOD.encode()))
    return replace(known, **more)


ANSWERS_GOOD = [
    answered(Kind.PLAIN),
    answered(Kind.BLOCKING, asked=(10, 1), took_s=0.9),
    answered(Kind.OLD, asked=(3, -1)),
    answered(Kind.HINTED, first_byte_s=0.7, took_s=0.71),
    answered(Kind.MEDIA),
    answered(Kind.UNKNOWN, 404),
    answered(Kind.PART_WITHOUT_MSN, 400),
    answered(Kind.MSN_AHEAD, 400),
    answered(Kind.PART_AHEAD, 400),
    answered(Kind.BLOCKING, 503, took_s=19.5),
]
ANSWERS_TABLE: dict[str, Callable[[], Any]] = {
    "status": lambda: answered(Kind.MEDIA, 404),
    "content-type": lambda: answered(Kind.PLAIN, url="http://a.example/live", headers={"content-type": "text/plain"}),
    "content-type-named": lambda: answered(Kind.PLAIN, headers={"content-type": "text/plain"}),
    "gzip": lambda: answered(Kind.PLAIN, headers={"content-encoding": ""}),
    "vary": lambda: answered(Kind.PLAIN, headers={"vary": "Origin"}),
    "stale-playlist": lambda: answered(Kind.PLAIN, headers={"cache-control": "max-age=4"}),
    "cache-blocking": lambda: answered(Kind.BLOCKING, headers={"cache-control": "no-cache"}),
    "cache-media": lambda: answered(Kind.MEDIA, headers={"cache-control": "max-age=5"}),
    "cache-refusal": lambda: answered(Kind.BLOCKING, 503, headers={"cache-control": "max-age=1"}),
    "cors": lambda: Answered(Kind.PLAIN, "http://a.example/live.m3u8", 200),
    "reload-unmet": lambda: answered(Kind.BLOCKING, asked=(10, 2)),
    "reload-refused": lambda: answered(Kind.BLOCKING, 404),
    "reload-503": lambda: answered(Kind.BLOCKING, 200, took_s=19.5),
    "reload-old": lambda: answered(Kind.OLD, playlist=read(HEAD.encode())),
    "reload-old-late": lambda: answered(Kind.OLD, took_s=1.3),
    "part-without-msn": lambda: answered(Kind.PART_WITHOUT_MSN, 200),
    "msn-ahead": lambda: answered(Kind.MSN_AHEAD, 400, took_s=6.1),
    "part-ahead": lambda: answered(Kind.PART_AHEAD, 200),
    "unknown-media": lambda: answered(Kind.UNKNOWN, 200),
    "hinted-refused": lambda: answered(Kind.HINTED, 404),
    "hinted-trickles": lambda: answered(Kind.HINTED, first_byte_s=0.1, took_s=0.9),
}

INIT = fmp4.init(Rendition.HLS)


def part(number: int) -> bytes:
    return fmp4.part(Rendition.HLS, number, [bytes([number % 256]) * 256] * 24, 1_800_000_000_000_000)


def taken(msn: int, **more: Any) -> Taken:
    parts = tuple(part(8 * msn + index) for index in range(8))
    return replace(Taken(msn, 4.096, b"".join(parts), parts), **more)


def media(*segments: Taken, init: bytes = INIT, **more: Any) -> Media:
    return Media(init, segments or (taken(3), taken(4)), 160_000, "mp4a.40.2", 4, **more)


def without(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


MEDIA_TABLE: dict[str, Callable[[], Any]] = {
    "init-readable": lambda: media(init=INIT[:60]),
    "init-brand": lambda: media(init=without(without(INIT, b"iso6", b"isom"), b"cmfc", b"mp41")),
    "init-movie": lambda: media(init=without(INIT, b"mvex", b"free")),
    "init-empty": lambda: media(init=with_length()),
    "fragments": lambda: media(taken(3, data=INIT)),
    "decode-time": lambda: media(taken(3, data=without(taken(3).data, b"tfdt", b"free"))),
    "addressing": lambda: media(taken(3, data=without(taken(3).data, b"tfhd\0\2", b"tfhd\0\0"))),
    "continuous": lambda: media(taken(3), taken(5)),
    "duration": lambda: media(taken(3, duration_s=4.0)),
    "parts-are-segment": lambda: media(taken(3, parts=tuple(part(n) for n in range(23, 31)))),
    "codec-named": lambda: replace(media(), codecs="opus"),
    "bandwidth-kept": lambda: replace(media(), bandwidth_bps=90_000),
}  # fmt: skip


def with_length() -> bytes:
    """The init section with a duration in its movie header."""
    at = INIT.index(b"mvhd") + 4 + 4 + 12
    return INIT[:at] + b"\0\0\1\0" + INIT[at + 4 :]


BOOKS: list[tuple[Book[Any], dict[str, Callable[[], Any]]]] = [
    (ONE, ONE_TABLE), (LOW_LATENCY, LOW_LATENCY_TABLE), (SUCCESSION, SUCCESSION_TABLE), (DELTA, DELTA_TABLE),
    (MASTER, MASTER_TABLE), (SIBLINGS, SIBLINGS_TABLE), (ANSWERS, ANSWERS_TABLE), (MEDIA, MEDIA_TABLE),
]  # fmt: skip


def test_every_rule_has_a_breach_in_the_table_and_a_name_of_its_own() -> None:
    for book, table in BOOKS:
        assert [rule.name for rule in book.rules] == list(table)
    names = [rule.name for book, _ in BOOKS for rule in book.rules]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("book", "name", "breach"), [(book, name, breach) for book, table in BOOKS for name, breach in table.items()],
    ids=[name for _, table in BOOKS for name in table],
)  # fmt: skip
def test_a_breach_is_found_by_its_rule(book: Book[Any], name: str, breach: Callable[[], Any]) -> None:
    found = list(book.judge(breach()))
    mine = [one for one in found if one.rule.name == name]
    assert mine, [(one.rule.name, one.sentence) for one in found]


GOOD_ONES: list[tuple[Book[Any], Any]] = [
    *((book, read(text.encode())) for book in (ONE, LOW_LATENCY) for text in (
        GOOD, live(3), live(7, 13, 0), delta(2, 13, 5), PLAIN, GOOD.replace("\n", "\r\n"),
        GOOD[: GOOD.index("#EXT-X-PRELOAD")] + "#EXTINF:2.0,\ns10.m4s\n#EXT-X-ENDLIST\n",
    )),
    *((SUCCESSION, one) for one in (
        step(NEXT), step(GOOD), step(live(1), segment_s=8.9), step(live(last=10, parts=0), live(parts=6)), step(live(2, 11)),
        step(GOOD[: GOOD.index("#EXT-X-PRELOAD")] + "#EXTINF:2.0,\ns10.m4s\n#EXT-X-ENDLIST\n"),
    )),
    (DELTA, delta_of(delta())), (DELTA, delta_of(delta(parts=3))), (DELTA, delta_of(live(2, 7), live(2, 7))),
    (MASTER, read(INDEX.encode())),
    (SIBLINGS, siblings(epochs={HERE: 100.0, THERE: 100.01})),
    *((ANSWERS, one) for one in ANSWERS_GOOD),
    (MEDIA, media()), (MEDIA, media(taken(3), taken(7, discontinuity=True))),
]  # fmt: skip


@pytest.mark.parametrize(("book", "subject"), GOOD_ONES)
def test_what_keeps_the_rules_is_not_complained_of(book: Book[Any], subject: Any) -> None:
    complaints = [
        (one.rule.name, one.sentence) for one in book.judge(subject) if one.rule.severity is not Severity.NOTE
    ]
    assert complaints == []


def test_reading_never_fails_whatever_comes() -> None:
    for body in (
        b"",
        b"\n\n",
        b"<html>",
        b"\xff\xfe",
        b"#EXTM3U",
        b"#EXT-X-PART",
        b"#EXTM3U\n#EXT-X-PART:URI=\n#EXTINF:,\n" * 3,
    ):
        found = read(body)
        assert found.last >= (-1, -1)
        assert list(ONE.judge(found))


def test_numbers_of_segments_count_on_from_what_was_skipped() -> None:
    found = read(delta(2, 13, 5).encode())
    assert [one.msn for one in found.segments] == [*range(7, 14), 14]
    assert (found.last, found.last_whole) == ((14, 1), 13)
