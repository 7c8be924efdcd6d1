"""`live.mp3` and `live.opus`: endless streams for radios, old players, cars and smart speakers.

A stream is made once for each Space and kind, while somebody listens. `?from=SECONDS` (since going live) and `?back=SECONDS` begin
in the past and stay as far behind: each of these listeners is led by a task of its own, so their number is bounded.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Final

from rostra.edge import answers, icy
from rostra.edge.air import MP3, OPUS, Air, Kind, Mp3Parts, OpusParts, Parts
from rostra.edge.follower import Follower
from rostra.edge.listener import Listener
from rostra.edge.mp3 import Mp3
from rostra.edge.past import Playing
from rostra.edge.tally import Tally
from rostra.kernel.errors import RostraError
from rostra.kernel.ids import SpaceId
from rostra.kernel.metrics import family
from rostra.sound.hls import BLOCK_MOST_S
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import Prepared, Request, encode_head
from rostra.wire.server import Exchange, Stream

PAST_MOST: Final = 500
"""Listeners led through the past at once; one more is answered 503."""
_SHAPE: Final = Rendition.OPUS.shape


class Streams:
    """Attributes:
    tally: of all streams of this edge.
    past: how many are led through the past now.
    """

    def __init__(self, mp3: Mp3, door_base: str, sound_base: str) -> None:
        self.tally = Tally()
        self.past = 0
        self._mp3 = mp3
        self._door_base, self._sound_base = door_base, sound_base
        self._airs: dict[tuple[SpaceId, Kind], Air] = {}
        self._failed = 0

    def listen(self, exchange: Exchange, follower: Follower, kind: Kind) -> None:
        """Answer with a stream. The Space has begun: there is a part."""
        request = exchange.request
        channel = follower.channels[Rendition.OPUS]
        first = _asked_for(request, channel.parts)
        if first is not None and first < 0:
            exchange.send_prepared(_BAD_POSITION)
        elif channel.ended and (first is None or first >= channel.parts):
            exchange.send_prepared(follower.why_nothing())
        elif request.method == "HEAD":
            exchange.send(self._head(exchange, follower, kind))
        elif first is not None and first < channel.parts:
            self._play(exchange, follower, kind, first)
        else:
            self._join(exchange, follower, kind)

    def playlist(self, exchange: Exchange, follower: Follower) -> None:
        """The one-line playlist that radio players know a station by."""
        title = " ".join(follower.space.title.split())
        body = f"#EXTM3U\n#EXTINF:-1,{title}\n{self._sound_base}/s/{follower.space_id}/live.mp3\n".encode()
        mime = ("Content-Type", "audio/x-mpegurl; charset=utf-8")
        exchange.send_prepared(Prepared(200, [mime, answers.fresh_for(60), answers.tag_of(body), answers.CORS], body))

    def give_part(self, exchange: Exchange, follower: Follower, number: int) -> None:
        """Answer with a part of MP3: for another edge."""
        exchange.server.spawn(self._give_part(exchange, follower, number))

    def listeners(self, space_id: SpaceId) -> dict[Kind, int]:
        """Who listens to the streams of this Space here and now."""
        return {kind: self._airs[space_id, kind].crowd.listeners for kind in KINDS if (space_id, kind) in self._airs}

    def metrics(self) -> str:
        airs = self._airs.values()
        by_kind = dict.fromkeys((kind.name for kind in KINDS), 0)
        for air in airs:
            by_kind[air.parts.kind.name] += air.crowd.listeners
        numbers = [
            ("rostra_edge_streams", "gauge", "Streams being made now.", len(self._airs)),
            ("rostra_edge_stream_behind", "gauge", "Stream listeners whose buffer is full.", sum(air.crowd.behind for air in airs)),
            ("rostra_edge_stream_past", "gauge", "Stream listeners in the past.", self.past),
            ("rostra_edge_stream_parts_written_total", "counter", "Parts written to stream listeners.", self.tally.parts_written),
            ("rostra_edge_stream_fell_behind_total", "counter", "Times a stream listener's buffer was full.", self.tally.fell_behind),
            ("rostra_edge_stream_parts_skipped_total", "counter", "Parts left out for slow stream listeners.", self.tally.parts_skipped),
            ("rostra_edge_stream_failed_total", "counter", "Times a stream's next part was not to be had.", self._failed + sum(air.failed for air in airs)),
        ]  # fmt: skip
        text = family(
            "rostra_edge_stream_listeners", "gauge", "Listeners to streams, by kind.",
            [({"kind": name}, count) for name, count in by_kind.items()],
        )  # fmt: skip
        return text + "".join(family(name, kind, meaning, [(None, value)]) for name, kind, meaning, value in numbers)

    async def close(self) -> None:
        await self._mp3.close()

    def _join(self, exchange: Exchange, follower: Follower, kind: Kind) -> None:
        key = (follower.space_id, kind)
        air = self._airs.get(key)
        if air is None:
            air = self._airs[key] = Air(
                self._parts(follower, kind), follower, self._page(follower), self.tally, exchange.server.fanout
            )
            exchange.server.spawn(self._keep(key, air))
        exchange.hold(BLOCK_MOST_S, follower.in_vain)
        air.when_ready(partial(self._begin, exchange, air))

    def _begin(self, exchange: Exchange, air: Air) -> None:
        if exchange.gone:
            return
        if air.crowd.over:
            exchange.send_prepared(air.follower.why_nothing())
            return
        ears, ear = air.follower.ears, exchange.connection_id
        ears.came(ear)
        titles = _titled(exchange)
        stream = self._stream(exchange, air.follower, air.parts.kind)
        air.crowd.join(Listener(stream, ears.stream.stay(ear)), titles, air.parts.head(air.crowd.begins_with()))

    def _play(self, exchange: Exchange, follower: Follower, kind: Kind, first: int) -> None:
        if self.past >= PAST_MOST:
            exchange.send_prepared(answers.CROWDED)
            return
        server, ears, ear = exchange.server, follower.ears, exchange.connection_id
        ears.came(ear)
        titles = icy.block(follower.space.title, self._page(follower)) if _titled(exchange) else None
        stream = self._stream(exchange, follower, kind)
        self.past += 1
        server.spawn(
            self._lead(Playing(stream, self._parts(follower, kind), first, titles), follower, ears.replay.stay(ear))
        )

    async def _lead(self, playing: Playing, follower: Follower, leave: Callable[[], None]) -> None:
        try:
            with follower.reading():
                await playing.run()
        finally:
            self.past -= 1
            leave()

    async def _give_part(self, exchange: Exchange, follower: Follower, number: int) -> None:
        try:
            body = await self._mp3.part(follower.space_id, number)
        except RostraError:
            self._failed += 1
            answer = answers.BLOCKED_TOO_LONG
        else:
            cache = answers.fresh_for(answers.FOR_EVER_S, immutable=True)
            headers = [("Content-Type", MP3.mime), cache, ("ETag", f'"p{number}"'), answers.CORS]
            answer = follower.why_nothing() if body is None else Prepared(200, headers, body)
        if not exchange.gone:
            exchange.send_prepared(answer)

    async def _keep(self, key: tuple[SpaceId, Kind], air: Air) -> None:
        try:
            await air.run()
        finally:
            self._failed += air.failed
            if self._airs.get(key) is air:
                del self._airs[key]

    def _stream(self, exchange: Exchange, follower: Follower, kind: Kind) -> Stream:
        return exchange.stream(self._head(exchange, follower, kind))

    def _parts(self, follower: Follower, kind: Kind) -> Parts:
        return Mp3Parts(follower, self._mp3) if kind is MP3 else OpusParts(follower)

    def _page(self, follower: Follower) -> str:
        return f"{self._door_base}/s/{follower.space_id}"

    def _head(self, exchange: Exchange, follower: Follower, kind: Kind) -> bytes:
        request = exchange.request
        headers = [("Content-Type", kind.mime), answers.NO_STORE, answers.CORS, ("Accept-Ranges", "none")]
        headers += icy.headers(follower.space, self._page(follower), kind.bitrate_bps)
        if _titled(exchange):
            headers.append(("icy-metaint", str(icy.METAINT)))
        head = encode_head(200, headers, None, exchange.server.date)
        # Some old players take what calls itself 1.1 to be chunked.
        return head.replace(b"HTTP/1.1", b"HTTP/1.0", 1) if request.version == 10 else head


KINDS: Final = (MP3, OPUS)
_BAD_POSITION: Final = answers.sentence(400, "Say ?from=SECONDS since the beginning, or ?back=SECONDS before now.")


def _titled(exchange: Exchange) -> bool:
    return icy.wanted(exchange.request.headers.get("icy-metadata"))


def _asked_for(request: Request, parts: int) -> int | None:
    """The part to begin with; None: live; below zero: what was asked is nonsense."""
    query = request.query
    if "from" not in query and "back" not in query:
        return None
    try:
        position_s, back = float(query.get("from") or query["back"]), "from" not in query
    except (KeyError, ValueError):
        return -1
    if not math.isfinite(position_s) or not 0 <= position_s < _POSITION_MOST_S:
        return -1
    part = _SHAPE.part_at(position_s)
    return max(0, parts - part) if back else part


_POSITION_MOST_S: Final = 1e7
