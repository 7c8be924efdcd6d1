"""Sound from another edge: asked for over HTTP by the addresses that players use, each thing once however many ask here."""

import asyncio
from collections.abc import Callable

from rostra.edge.source import Past
from rostra.edge.unknown import Unknown
from rostra.edge.upstream import SMALL_MOST, STATE_MOST, Upstream, fine, plain
from rostra.edge.upstream_feed import UpstreamFeed, ask_init
from rostra.edge.upstream_file import Blocks
from rostra.edge.upstream_list import Listed, newest_of, read_replay
from rostra.kernel.clock import Clock
from rostra.kernel.errors import Overloaded, Unavailable, UnknownSpace
from rostra.kernel.ids import SpaceId
from rostra.kernel.metrics import family
from rostra.sound.fmp4 import read_part, split
from rostra.sound.renditions import Rendition
from rostra.space.space import Space
from rostra.space.states import OVER
from rostra.space.view import from_public

OPENING_MOST = 32
"""Spaces being opened at once."""
_CATCH_UP_S = 3.0


class UpstreamSource:
    """See source.Source."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        self.name = upstream.name
        self._upstream = upstream
        self._clock = clock
        self._blocks = Blocks()
        self._unknown = Unknown(clock.monotonic())
        self._opening = 0
        self._feeds: set[UpstreamFeed] = set()
        self._heard: Callable[[SpaceId], None] = _nobody

    async def open(self, space_id: SpaceId) -> UpstreamFeed:
        now = self._clock.monotonic()
        if self._unknown.holds(space_id, now):
            raise UnknownSpace(f"There is no Space {space_id}.")
        if self._opening >= OPENING_MOST or not self._unknown.may_ask(now):
            raise Overloaded("Too many ask for what is not there.", 1)
        self._opening += 1
        try:
            return await self._open(space_id)
        except ValueError as wrong:
            raise Unavailable(f"Upstream cannot be followed: {wrong}.") from wrong
        finally:
            self._opening -= 1

    def hear(self, heard: Callable[[SpaceId], None]) -> Callable[[], None]:
        self._heard = heard

        def stop() -> None:
            self._heard = _nobody

        return stop

    def metrics(self) -> str:
        upstream = self._upstream
        numbers = [
            ("asked", "Questions sent upstream.", upstream.asked),
            ("away", "Questions that upstream did not answer.", upstream.away),
            ("again", "Questions for parts that had to be repeated.", sum(feed.again for feed in self._feeds)),
            ("unknown_refused", "Openings put off: too many asked for no Space.", self._unknown.refused),
        ]
        return "".join(
            family(f"rostra_edge_upstream_{name}_total", "counter", meaning, [(None, value)])
            for name, meaning, value in numbers
        )

    async def close(self) -> None:
        feeds = list(self._feeds)
        for feed in feeds:
            feed.close()
        await asyncio.gather(*(feed.closed() for feed in feeds), self._blocks.close())
        await self._upstream.close()

    async def _open(self, space_id: SpaceId) -> UpstreamFeed:
        space = await self._state(space_id)
        past = {rendition: Past() for rendition in Rendition}
        upto: dict[Rendition, int] = {}
        if space.live_since_us is not None:
            found = await asyncio.gather(*(self._past(space, rendition) for rendition in Rendition))
            for rendition, (one, newest) in zip(Rendition, found, strict=True):
                past[rendition], upto[rendition] = one, newest
        feed = UpstreamFeed(
            self._upstream,
            self._blocks,
            space,
            past,
            lambda: self._state(space_id),
            lambda: self._heard(space_id),
            self._feeds.discard,
        )
        self._feeds.add(feed)
        await feed.start(upto, _CATCH_UP_S)
        return feed

    async def _state(self, space_id: SpaceId) -> Space:
        """The Space as upstream tells of it."""
        reply = await self._upstream.whole(f"/s/{space_id}/state.json", most=STATE_MOST)
        if reply.status == 404:
            self._unknown.add(space_id, self._clock.monotonic())
            raise UnknownSpace(f"There is no Space {space_id}.")
        try:
            space = from_public(plain(reply))
            if space.id != space_id:
                raise ValueError("another Space")
            return space
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise Unavailable("Upstream's account of this Space cannot be read.") from None

    async def _past(self, space: Space, rendition: Rendition) -> tuple[Past, int]:
        """What the rendition has, and the number of its newest part."""
        base = f"/s/{space.id}/{rendition.shape.url}/"
        over = space.state in OVER
        if not over:
            # Asked for like this it is not held for a whole segment, as plain lists are.
            begun = await self._upstream.whole(f"{base}live.m3u8?_HLS_msn=0&_HLS_part=0")
            parts = 0 if begun.status == 404 else newest_of(fine(begun))
            if parts < 2 * rendition.shape.parts_per_segment:
                return Past(), parts
        listed = await self._list(base, rendition, over)
        if not listed.dates:
            return Past(), 0
        init = await ask_init(self._upstream, f"/s/{space.id}/", rendition)
        if over:
            return Past(listed.parts, listed.dates, (), init), listed.parts
        newest = newest_of((await self._upstream.whole(f"{base}live.m3u8")).body)
        per_segment = rendition.shape.parts_per_segment
        segment = listed.parts // per_segment - 1
        most = SMALL_MOST * per_segment
        body = fine(await self._upstream.whole(f"{base}seg/{segment}.m4s", most=most))
        payloads = list(zip(rendition.shape.parts_of_segment(segment), split(body), strict=True))
        for number, payload in payloads:
            if read_part(payload).first_sample != rendition.shape.first_sample(number):
                raise ValueError("a segment from upstream is not the one asked for")
        return Past(listed.parts, listed.dates, payloads, init), newest

    async def _list(self, base: str, rendition: Rendition, over: bool) -> Listed:
        for target in ("replay.m3u8", "replay.m3u8?again=1"):
            reply = await self._upstream.whole(base + target)
            if reply.status == 404:
                return Listed((), 0, True)  # a record from before there was this rendition
            listed = read_replay(fine(reply), rendition)
            if listed.ended or not over:
                return listed
        raise Unavailable("The list of what upstream has does not end, though the Space has.")


def _nobody(space_id: SpaceId) -> None:
    return None
