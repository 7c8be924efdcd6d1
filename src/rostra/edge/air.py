"""One kind of stream of one Space: where its parts come from, what begins and ends it, and its crowd while somebody listens."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from rostra.edge import icy
from rostra.edge.crowd import BURST_PARTS, RING_PARTS, Crowd, Piece
from rostra.edge.follower import Follower
from rostra.edge.mp3 import Mp3
from rostra.edge.tally import Tally
from rostra.kernel.errors import RostraError, Unavailable
from rostra.sound import mp3, ogg
from rostra.sound.fmp4 import frames_of
from rostra.sound.renditions import Rendition
from rostra.wire.fanout import Fanout

IDLE_PARTS: Final = 30
"""Parts after which a stream without listeners is no longer made (15 s): who reconnects finds it running."""
_RETRY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    mime: str
    bitrate_bps: int


MP3: Final = Kind("mp3", "audio/mpeg", mp3.BITRATE_BPS)
OPUS: Final = Kind("opus", "audio/ogg", Rendition.OPUS.shape.bitrate_bps)


class Parts(Protocol):
    """A stream part by part, on the grid of the Opus rendition. Attributes: `counted`: a stream's bytes depend on its first part."""

    kind: Kind
    counted: bool

    async def part(self, number: int) -> Piece | None:
        """Waits for one that is to come. None: the Space ended before it.

        Raises:
            Unavailable, Damaged, OSError: not to be had now.
        """

    def head(self, first: int) -> bytes:
        """What a player needs before part `first`."""

    def tail(self, parts: int, first: int) -> bytes:
        """What says that the stream, which began with part `first`, is over: there are `parts` in the Space."""


class OpusParts:
    """Ogg pages, made here of the Opus parts."""

    kind = OPUS
    counted = True

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._channel = follower.channels[Rendition.OPUS]

    async def part(self, number: int) -> Piece | None:
        channel = self._channel
        while number >= channel.parts and not channel.ended:
            if self._follower.closed:
                raise Unavailable("This Space is no longer followed.")
            await channel.growth()
        if number >= channel.parts:
            return None
        payload = channel.newest.get(number)
        if payload is None:
            payload = (await self._follower.feed.stored(Rendition.OPUS, range(number, number + 1))).body
        return ogg.PartPage(self._follower.space_id, number, frames_of(payload))

    def head(self, first: int) -> bytes:
        space = self._follower.space
        return ogg.head(space.id, first, [("TITLE", space.title), ("ARTIST", space.host_name)])

    def tail(self, parts: int, first: int) -> bytes:
        return ogg.end_page(self._follower.space_id, parts, first)


@dataclass(frozen=True, slots=True)
class Mp3Piece:
    """The same wherever a stream began."""

    body: bytes

    def since(self, _: int) -> bytes:
        return self.body


class Mp3Parts:
    kind = MP3
    counted = False

    def __init__(self, follower: Follower, source: Mp3) -> None:
        self._follower = follower
        self._source = source

    async def part(self, number: int) -> Piece | None:
        if self._follower.closed:
            raise Unavailable("This Space is no longer followed.")
        body = await self._source.part(self._follower.space_id, number)
        return Mp3Piece(body) if body is not None else None

    def head(self, first: int) -> bytes:
        return b""

    def tail(self, parts: int, first: int) -> bytes:
        return b""


class Air:
    """Attributes:
    failed: times a part was not to be had.
    """

    def __init__(self, parts: Parts, follower: Follower, page: str, tally: Tally, fanout: Fanout) -> None:
        self.parts = parts
        self.follower = follower
        self.failed = 0
        self.crowd = Crowd(tally, fanout, counted_from_first=parts.counted)
        self._page = page
        self._channel = follower.channels[Rendition.OPUS]
        self._waiting: list[Callable[[], None]] = []

    def when_ready(self, begin: Callable[[], None]) -> None:
        """Call `begin` when a newcomer can be given sound: at once, most of the time."""
        if self._ready:
            begin()
        else:
            self._waiting.append(begin)

    async def run(self) -> None:
        """Until nobody has listened for a while, or the Space is over."""
        follower, crowd, idle = self.follower, self.crowd, 0
        try:
            with follower.reading():
                crowd.start_at(self._newest_burst())
                while idle < IDLE_PARTS:
                    data = await self._next()
                    if data is None:
                        return
                    crowd.entitle(icy.block(icy.title(follower.space), self._page))
                    crowd.add(data)
                    idle = 0 if crowd.listeners or self._waiting else idle + 1
                    if self._ready:
                        self._let_in()
        finally:
            if not crowd.over:
                crowd.cut()
            self._let_in()

    @property
    def _ready(self) -> bool:
        crowd = self.crowd
        return crowd.over or crowd.ring > 0 and (crowd.ring >= BURST_PARTS or crowd.number >= self._channel.parts)

    def _newest_burst(self) -> int:
        return max(0, self._channel.parts - BURST_PARTS)

    def _let_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        for begin in waiting:
            begin()

    async def _next(self) -> Piece | None:
        """The next part, asked for until it comes; None when there is none or the Space is no longer followed."""
        crowd = self.crowd
        while not self.follower.closed:
            try:
                data = await self.parts.part(crowd.number)
            except (RostraError, OSError, ValueError):
                self.failed += 1
                await asyncio.sleep(_RETRY_S)
                if crowd.number < self._channel.parts - RING_PARTS:
                    crowd.start_at(self._newest_burst())
                continue
            if data is None:
                crowd.end(partial(self.parts.tail, crowd.number))
            return data
        return None
