"""`/status-json.xsl`: the streams on the air, in the form that Icecast gives them and that directories and scripts read.

As there, `source` is an object where there is one stream, a list where there are more, and missing where there is none.
`listeners` are those of this edge process; how many listen in all is in the Space's state.json.
"""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import rostra
from rostra.edge import answers, icy
from rostra.edge.air import Kind
from rostra.edge.shelf import Shelf
from rostra.edge.streams import KINDS, Streams
from rostra.kernel.clock import Clock
from rostra.kernel.errors import RostraError
from rostra.kernel.ids import SpaceId
from rostra.kernel.settings import Settings
from rostra.space.space import Space
from rostra.space.states import ON_AIR, OVER
from rostra.timeline.ports import Library
from rostra.wire.http1 import Prepared
from rostra.wire.server import Exchange

FRESH_S: Final = 5.0
"""How long one answer is given to all who ask."""


class Status:
    def __init__(
        self, library: Library | None, shelf: Shelf, streams: Streams, settings: Settings, clock: Clock
    ) -> None:
        """`library`: where Spaces are looked for that nobody listens to here; None where there is none on this machine."""
        self._library, self._shelf, self._streams, self._clock = library, shelf, streams, clock
        self._door_base, self._sound_base = settings.door_base, settings.sound_base
        self._started_us = clock.wall_us()
        self._over: set[SpaceId] = set()
        self._answer: Prepared | None = None
        self._made_at = 0.0
        self._waiting: list[Exchange] = []

    def show(self, exchange: Exchange) -> None:
        if self._answer is not None and self._clock.monotonic() - self._made_at < FRESH_S:
            exchange.send_prepared(self._answer)
            return
        self._waiting.append(exchange)
        if len(self._waiting) == 1:
            exchange.server.spawn(self._make())

    async def _make(self) -> None:
        try:
            spaces = await asyncio.to_thread(self._look) if self._library is not None else {}
            spaces |= {one.space_id: one.space for one in self._shelf.followers.values() if one.space.state in ON_AIR}
            self._answer = _json(self._icestats(spaces.values()))
            self._made_at = self._clock.monotonic()
        finally:
            waiting, self._waiting = self._waiting, []
            for exchange in waiting:
                exchange.send_prepared(self._answer or answers.CROWDED)

    def _look(self) -> dict[SpaceId, Space]:
        """Those on the air; what is over is looked at once and never again. For a thread."""
        assert self._library is not None
        found: dict[SpaceId, Space] = {}
        for space_id in self._library.ids():
            if space_id in self._over:
                continue
            try:
                space = self._library.snapshot(space_id)
            except (RostraError, OSError, ValueError):
                continue
            if space.state in ON_AIR:
                found[space_id] = space
            elif space.state in OVER:
                self._over.add(space_id)
        return found

    def _icestats(self, spaces: Iterable[Space]) -> dict[str, Any]:
        shown = sorted(spaces, key=lambda space: (space.live_since_us or 0, space.id))
        sources = [self._source(space, kind) for space in shown for kind in KINDS]
        stats: dict[str, Any] = {
            "admin": "",
            "host": urlsplit(self._sound_base).hostname,
            "location": "",
            "server_id": f"Rostra {rostra.__version__}",
            **_times("server_start", self._started_us),
        }
        if sources:
            stats["source"] = sources[0] if len(sources) == 1 else sources
        else:
            stats["dummy"] = None
        return {"icestats": stats}

    def _source(self, space: Space, kind: Kind) -> dict[str, Any]:
        rate = kind.bitrate_bps // 1000
        return {
            "audio_info": f"ice-samplerate=48000;ice-bitrate={rate};ice-channels=1",
            "bitrate": rate,
            "genre": "talk",
            "ice-bitrate": rate,
            "ice-channels": 1,
            "ice-samplerate": 48000,
            "listeners": self._streams.listeners(space.id).get(kind, 0),
            "listenurl": f"{self._sound_base}/s/{space.id}/live.{kind.name}",
            "server_description": space.host_name,
            "server_name": space.title,
            "server_type": kind.mime,
            "server_url": f"{self._door_base}/s/{space.id}",
            **_times("stream_start", space.live_since_us or 0),
            "title": icy.title(space),
            "dummy": None,
        }


def _times(name: str, wall_us: int) -> dict[str, str]:
    moment = datetime.fromtimestamp(wall_us // 1_000_000, UTC)
    return {name: f"{moment:%a, %d %b %Y %H:%M:%S} +0000", f"{name}_iso8601": f"{moment:%Y-%m-%dT%H:%M:%S}+0000"}


def _json(said: dict[str, Any]) -> Prepared:
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    mime, cache = ("Content-Type", "application/json; charset=utf-8"), answers.fresh_for(int(FRESH_S))
    headers = [mime, cache, answers.tag_of(body), answers.CORS]
    return Prepared(200, headers, body)
