"""Rules on a multivariant playlist, and on the media playlists of one presentation beside each other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from rostra.rehearsal.hls.findings import Book
from rostra.rehearsal.hls.playlist import Playlist, Variant, number

_APART_S = 0.1


@dataclass(frozen=True, slots=True)
class Siblings:
    """The media playlists of one multivariant playlist by URL, fetched within `fetched_s`.

    `epochs`: for those whose media was read, the date that its media time 0 has.
    """

    playlists: Mapping[str, Playlist]
    fetched_s: float = 0.0
    epochs: Mapping[str, float] | None = None


MASTER = Book[Playlist]()
SIBLINGS = Book[Siblings]()


@MASTER.must("master-text", "4.1", "Write the playlist as clause 4 says.")
def _(it: Playlist) -> Iterator[str]:
    return (fault.sentence for fault in it.faults)


@MASTER.must("master-first-line", "4.4.1.1", "Begin every playlist with #EXTM3U.")
def _(it: Playlist) -> Iterator[str]:
    if not it.text.startswith(("#EXTM3U\n", "#EXTM3U\r\n")):
        yield "The first line is not #EXTM3U."


@MASTER.must("master-mixed", "4.4.6", "Keep media tags out of multivariant playlists.")
def _(it: Playlist) -> Iterator[str]:
    if it.media:
        yield "It has tags of a multivariant playlist and of a media playlist."


@MASTER.must("no-variant", "6.2.4", "List a media playlist with EXT-X-STREAM-INF.")
def _(it: Playlist) -> Iterator[str]:
    if not _streams(it):
        yield "It lists nothing to play."


@MASTER.must("bandwidth", "4.4.6.2", "Give every EXT-X-STREAM-INF its BANDWIDTH in bits a second.")
def _(it: Playlist) -> Iterator[str]:
    return (
        f"{one.uri} has no BANDWIDTH." for one in _streams(it) if number(one.attributes.get("BANDWIDTH", "")) is None
    )


@MASTER.should("codecs", "4.4.6.2", "Name the codecs, so that a player knows what it can play before it asks.")
def _(it: Playlist) -> Iterator[str]:
    return (f"{one.uri} has no CODECS." for one in _streams(it) if not one.attributes.get("CODECS"))


@MASTER.should("average-bandwidth", "Apple 9.14", "Give AVERAGE-BANDWIDTH, no higher than BANDWIDTH.")
def _(it: Playlist) -> Iterator[str]:
    for one in _streams(it):
        average, peak = (number(one.attributes.get(name, "")) for name in ("AVERAGE-BANDWIDTH", "BANDWIDTH"))
        if average is None:
            yield f"{one.uri} has no AVERAGE-BANDWIDTH."
        elif peak is not None and average > peak:
            yield f"{one.uri} has an average of {average} above its peak of {peak}."


@MASTER.must("group", "4.4.6.2", "Let AUDIO name the GROUP-ID of an EXT-X-MEDIA tag.")
def _(it: Playlist) -> Iterator[str]:
    for one in _streams(it):
        group = one.attributes.get("AUDIO")
        if group is not None and f'GROUP-ID="{group}"' not in it.text:
            yield f"{one.uri} names the group {group}, which nothing belongs to."


@MASTER.may("apple-codecs", "Apple 2", "Offer AAC for Apple's players; Opus may be a master of its own.")
def _(it: Playlist) -> Iterator[str]:
    codecs = {codec for one in _streams(it) for codec in one.attributes.get("CODECS", "").split(",")}
    if codecs and not any(codec.strip().startswith(("mp4a.40", "ac-3", "ec-3", "alac", "fLaC")) for codec in codecs):
        yield f"It offers {', '.join(sorted(codecs))}, and no sound that every player of Apple's plays."


@SIBLINGS.must("sibling-target", "6.2.4", "Give all media playlists one target duration.")
def _(it: Siblings) -> Iterator[str]:
    yield from _one_of(it, "EXT-X-TARGETDURATION", {url: one.target_s for url, one in it.playlists.items()})


@SIBLINGS.must("sibling-control", "6.2.4", "Write the same EXT-X-SERVER-CONTROL into all media playlists.")
def _(it: Siblings) -> Iterator[str]:
    controls = {url: tuple(sorted(one.control.items())) if one.control else () for url, one in it.playlists.items()}
    yield from _one_of(it, "EXT-X-SERVER-CONTROL", controls)


@SIBLINGS.must("sibling-type", "6.2.4", "Give all media playlists the same type, or none.")
def _(it: Siblings) -> Iterator[str]:
    yield from _one_of(it, "EXT-X-PLAYLIST-TYPE", {url: one.kind for url, one in it.playlists.items()})


@SIBLINGS.must("sibling-dates", "6.2.4", "Date all media playlists by one clock, or none.")
def _(it: Siblings) -> Iterator[str]:
    dated = {
        url: any(one.date_s is not None for one in playlist.segments)
        for url, playlist in it.playlists.items()
        if playlist.segments
    }
    yield from _one_of(it, "whether segments are dated", dated)
    epochs = dict(it.epochs or {})
    if epochs and max(epochs.values()) - min(epochs.values()) > _APART_S:
        apart_s = max(epochs.values()) - min(epochs.values())
        yield f"The same moment of media is dated up to {apart_s:.3f} s apart."


@SIBLINGS.must("rendition-report", "B.1", "Let each media playlist report on each other one, as it is at that moment.")
def _(it: Siblings) -> Iterator[str]:
    for url, one in it.playlists.items():
        if not one.low_latency or one.ended:
            continue
        reported = {urljoin(url, report.get("URI", "")): report for report in one.reports}
        for other, playlist in it.playlists.items():
            # Of an empty one there is nothing to report: LAST-MSN would name a segment that is not there.
            if other != url and other not in reported and playlist.segments:
                yield f"{_name(url)} has no EXT-X-RENDITION-REPORT on {_name(other)}."


@SIBLINGS.must("report-form", "4.4.5.4", "Report with a relative URI and with LAST-MSN and LAST-PART as they are.")
def _(it: Siblings) -> Iterator[str]:
    for url, one in it.playlists.items():
        for report in one.reports:
            uri = report.get("URI", "")
            if not uri or "://" in uri:
                yield f"A report in {_name(url)} has no relative URI: {uri or 'missing'}."
                continue
            other = it.playlists.get(urljoin(url, uri))
            for key, mine in zip(("LAST-MSN", "LAST-PART"), one.last, strict=True):
                said = report.get(key, str(mine))
                if number(said) is None:
                    yield f"The report on {uri} in {_name(url)} says {key}={said}."
            if other is not None and other.part_target_s and other.last[0] >= 0:
                said_msn = report.get("LAST-MSN", str(one.last[0]))
                known = number(said_msn)
                away = abs(known - other.last[0]) if known is not None else 0
                if away > 1 + it.fetched_s // (other.target_s or 1):
                    yield f"The report on {uri} in {_name(url)} says segment {said_msn}; its newest is {other.last[0]}."


@SIBLINGS.must("in-sync", "B.1", "Update all renditions together, within one part target.")
def _(it: Siblings) -> Iterator[str]:
    ends = {
        url: last.date_s + last.length_s
        for url, one in it.playlists.items()
        if one.low_latency and one.segments and (last := one.segments[-1]).date_s is not None
    }
    if len(ends) > 1:
        apart_s = max(ends.values()) - min(ends.values())
        most_s = max(it.playlists[url].part_target_s or 0 for url in ends) + it.fetched_s
        if apart_s > most_s + _APART_S:
            yield f"The newest sound of the renditions is {apart_s:.2f} s apart."


def _streams(it: Playlist) -> list[Variant]:
    return [one for one in it.variants if not one.alternative]


def _one_of(it: Siblings, what: str, values: Mapping[str, object]) -> Iterator[str]:
    if len(set(values.values())) > 1:
        yield (
            f"They differ in {what}: "
            + ", ".join(f"{_name(url)} {value or 'none'}" for url, value in values.items())
            + "."
        )


def _name(url: str) -> str:
    return "/".join(url.split("?")[0].rsplit("/", 2)[-2:])
