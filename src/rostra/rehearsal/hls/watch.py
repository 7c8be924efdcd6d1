"""One media playlist watched for a while: every version judged alone and after the one before, its media taken and judged."""

import asyncio
import time
from collections import OrderedDict
from urllib.parse import urljoin, urlsplit

from rostra.rehearsal.hls.answers import Kind
from rostra.rehearsal.hls.fetch import Fetch
from rostra.rehearsal.hls.findings import Finding
from rostra.rehearsal.hls.low_latency import LOW_LATENCY
from rostra.rehearsal.hls.media import MEDIA, Media, Taken, read_piece, read_track
from rostra.rehearsal.hls.one import ONE
from rostra.rehearsal.hls.playlist import Part, Playlist, Segment, Variant, number
from rostra.rehearsal.hls.probes import directed, held_s, probe_ended, probe_live
from rostra.rehearsal.hls.report import UNREAD, Report, Watched
from rostra.rehearsal.hls.succession import DELTA, SUCCESSION, Delta, Step
from rostra.rehearsal.http import Client

_FMP4 = (".mp4", ".m4s", ".m4a", ".m4v", ".cmfa", ".cmfv")
_SEGMENTS_OF_AN_ENDED = 8
_MEDIA_MOST = 256 * 1024 * 1024
"""Bytes of media taken in one check; beyond it playlists alone are looked at."""
_PARTS_KEPT = 64
_DELTA_EVERY = 5
_LOOK_S = 0.05
_TURN_S = 0.1
"""A turn takes at least this long: a server that answers at once what it should hold is not to be loaded by us."""


class Watch:
    """`variant`: as the multivariant playlist has it; None when the check began with this playlist."""

    def __init__(self, client: Client, report: Report, url: str, variant: Variant | None) -> None:
        self.url = url
        self.watched = report.playlists.setdefault(url, Watched(url))
        self.epoch_s: float | None = None
        self.latest: Playlist | None = None
        self._report, self._variant = report, variant
        self._fetch = Fetch(client, report, url)
        self._inits: dict[str, bytes | None] = {}
        self._parts: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._before: Taken | None = None
        self._taken_to = -1
        self._late_s = 0.0

    async def run(self, until: float) -> None:
        """Returns at `until` (of the monotonic clock), a little later if a probe still waits, or early if it has ended."""
        playlist, _ = await self._fetch.playlist(self.url)
        if playlist is None:
            return
        self._take_note(playlist, None, 0, 0)
        self.watched.live, self.watched.low_latency = playlist.live, playlist.low_latency
        self.watched.target_s, self.watched.part_target_s = playlist.target_s, playlist.part_target_s
        if playlist.ended:
            await asyncio.gather(probe_ended(self._fetch, self.url, playlist), self._take_media(playlist, True))
            return
        lateness = asyncio.create_task(self._measure_lateness())
        try:
            await asyncio.gather(self._follow(playlist, until), self._probe(playlist))
        finally:
            lateness.cancel()
            await asyncio.gather(lateness, return_exceptions=True)

    async def _probe(self, playlist: Playlist) -> None:
        await probe_live(self._fetch, self._report, self.url, playlist)

    async def _follow(self, before: Playlist, until: float) -> None:
        self._taken_to = before.last_whole - 2
        fresh_segment = fresh_part = time.monotonic()
        taking = asyncio.create_task(self._take_media(before))
        turn = 0
        try:
            while (left_s := until - time.monotonic()) > 0 and not before.ended:
                turn += 1
                began = time.monotonic()
                asked = self._next(before) if before.blocks else None
                if asked is None:
                    await asyncio.sleep(min(left_s, (before.target_s or 6) / 2))
                kind = Kind.BLOCKING if asked else Kind.PLAIN
                deadline_s = held_s(before)
                if asked is not None and turn % _DELTA_EVERY == 0 and before.control_s("CAN-SKIP-UNTIL") is not None:
                    after, _ = await self._both(before, asked, deadline_s)
                else:
                    after, _ = await self._fetch.playlist(self._address(asked), kind, asked, deadline_s)
                if after is None:
                    await asyncio.sleep(0.2)
                    continue
                now = time.monotonic()
                since_segment_s, since_part_s = now - fresh_segment, now - fresh_part - self._lateness()
                self._take_note(after, before, since_segment_s, since_part_s)
                if after.last_whole > before.last_whole:
                    fresh_segment = now
                if after.last != before.last:
                    fresh_part = now
                before = after
                if taking.done():
                    taking.result()
                    taking = asyncio.create_task(self._take_media(after))
                await asyncio.sleep(max(0.0, began + _TURN_S - time.monotonic()))
            await taking
        finally:
            taking.cancel()

    def _next(self, playlist: Playlist) -> tuple[int, int]:
        """What a player waits for next."""
        if not playlist.low_latency:
            return playlist.last_whole + 1, -1
        msn, part = playlist.last
        return (msn + 1, 0) if playlist.segments and playlist.segments[-1].whole else (msn, part + 1)

    def _address(self, asked: tuple[int, int] | None, **more: str) -> str:
        if asked is None:
            return self.url
        part = {} if asked[1] < 0 else {"part": asked[1]}
        return directed(self.url, msn=asked[0], **part, **more)

    async def _both(self, before: Playlist, asked: tuple[int, int], deadline_s: float) -> tuple[Playlist | None, None]:
        """The whole, and the same as a delta update."""
        whole, update = await asyncio.gather(
            self._fetch.playlist(self._address(asked), Kind.BLOCKING, asked, deadline_s),
            self._fetch.playlist(self._address(asked, skip="YES"), Kind.BLOCKING, asked, deadline_s),
        )
        if update[0] is not None:
            self._report.add(ONE.judge(update[0]), self.url)
            self._report.add(LOW_LATENCY.judge(update[0]), self.url)
            self._report.add(DELTA.judge(Delta(before, update[0])), self.url)
        return whole[0], None

    def _take_note(
        self, playlist: Playlist, before: Playlist | None, since_segment_s: float, since_part_s: float
    ) -> None:
        self.latest = playlist
        self.watched.versions += 1
        self._report.add(ONE.judge(playlist), self.url)
        self._report.add(LOW_LATENCY.judge(playlist), self.url)
        if before is not None:
            self._report.add(SUCCESSION.judge(Step(before, playlist, since_segment_s, since_part_s)), self.url)

    async def _take_media(self, playlist: Playlist, ended: bool = False) -> None:
        """What is new of it. Parts first, because they are asked for first."""
        if playlist.encrypted or not _readable(playlist):
            self._report.add([Finding(UNREAD, "Its segments are not unencrypted fragmented MP4.")], self.url)
            return
        if self.watched.bytes > _MEDIA_MOST:
            return
        for one in playlist.segments[-2:]:
            for index, part in enumerate(one.parts):
                if (one.msn, index) not in self._parts and one.msn > self._taken_to and not part.gap:
                    await self._take_part(one, index, part)
        first = self._taken_to + 1 if not ended else max(0, playlist.last_whole + 1 - _SEGMENTS_OF_AN_ENDED)
        for one in playlist.whole:
            if one.msn >= first and not one.gap:
                await self._take_segment(one)

    async def _take_part(self, one: Segment, index: int, part: Part) -> None:
        data = await self._fetch.media(urljoin(self.url, part.uri), part.byterange)
        if data is not None:
            self._parts[one.msn, index] = data
            self.watched.parts += 1
            self.watched.bytes += len(data)
            while len(self._parts) > _PARTS_KEPT:
                self._parts.popitem(last=False)

    async def _take_segment(self, one: Segment) -> None:
        bounds = None if one.byterange is None else (one.byterange[0], one.byterange[1] or 0)
        if one.map is None or (one.byterange is not None and one.byterange[1] is None):
            return
        if one.map not in self._inits:
            self._inits[one.map] = await self._fetch.media(urljoin(self.url, one.map))
        init = self._inits[one.map]
        data = await self._fetch.media(urljoin(self.url, one.uri), bounds)
        self._taken_to = one.msn
        if data is None or init is None:
            self._before = None
            return
        self.watched.segments += 1
        self.watched.bytes += len(data)
        parts = [self._parts.get((one.msn, index)) for index in range(len(one.parts))]
        whole = tuple(part for part in parts if part is not None)
        taken = Taken(
            one.msn, one.duration_s or 0.0, data, whole if len(whole) == len(parts) else (), one.discontinuity
        )
        before = (self._before,) if self._before is not None and self._before.msn == one.msn - 1 else ()
        attributes = self._variant.attributes if self._variant is not None else {}
        bandwidth = attributes.get("BANDWIDTH", "")
        media = Media(
            init, (*before, taken), number(bandwidth), attributes.get("CODECS", ""),
            self.watched.target_s or 0,
        )  # fmt: skip
        # What a segment before was guilty of has been told.
        told = (
            set(MEDIA.judge(Media(init, before, media.bandwidth_bps, media.codecs, media.target_s)))
            if before
            else set()
        )
        self._report.add((found for found in MEDIA.judge(media) if found not in told), self.url)
        self._before = taken
        if one.date_s is not None and read_piece(data).starts:
            self.epoch_s = one.date_s - read_piece(data).start / read_track(init).timescale

    async def _measure_lateness(self) -> None:
        """How late this process itself was: what it cannot see it must not blame on the server."""
        while True:
            due = time.monotonic() + _LOOK_S
            await asyncio.sleep(_LOOK_S)
            self._late_s = max(self._late_s, time.monotonic() - due)

    def _lateness(self) -> float:
        late_s, self._late_s = self._late_s, 0.0
        return late_s


def _readable(playlist: Playlist) -> bool:
    uris = [one.uri or one.parts[0].uri for one in playlist.segments[-1:] if one.uri or one.parts]
    return all(urlsplit(uri).path.endswith(_FMP4) for uri in uris)
