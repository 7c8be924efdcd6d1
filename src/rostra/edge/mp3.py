"""Parts of MP3, which no edge can make: asked of whoever can, once however many listen."""

import asyncio
from collections import OrderedDict
from typing import Final, Protocol

from rostra.edge.upstream import SMALL_MOST, Upstream
from rostra.kernel.errors import Unavailable
from rostra.kernel.ids import SpaceId
from rostra.sound.mp3 import FRAME_BYTES, frames_of_part

KEPT_MOST: Final = 2048
"""Parts kept, of all Spaces together: about 8 MB."""


class Mp3(Protocol):
    async def part(self, space_id: SpaceId, number: int) -> bytes | None:
        """The frames of a part; waits a while for one that is to come. None: the Space ended before it.

        Raises:
            Unavailable: it did not come in time, or whoever makes it is away. Asking again is welcome.
        """

    async def close(self) -> None: ...


class RemoteMp3:
    """From another process over HTTP: the radio of this machine, or the server that this edge follows, at the same path."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._kept: OrderedDict[tuple[SpaceId, int], bytes] = OrderedDict()
        self._asking: dict[tuple[SpaceId, int], asyncio.Task[bytes | None]] = {}

    async def part(self, space_id: SpaceId, number: int) -> bytes | None:
        key = (space_id, number)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(space_id, number))
            asking.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(asking)

    async def close(self) -> None:
        asking = list(self._asking.values())
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._upstream.close()

    async def _ask(self, space_id: SpaceId, number: int) -> bytes | None:
        reply = await self._upstream.whole(f"/s/{space_id}/mp3/part/{number}.mp3", most=SMALL_MOST)
        if reply.status == 200 and len(reply.body) == FRAME_BYTES * len(frames_of_part(number)):
            return reply.body
        if reply.status == 404 and "rostra-ended" in reply.headers:
            return None
        raise Unavailable("The MP3 stream is not being made just now.")

    def _asked(self, key: tuple[SpaceId, int], done: asyncio.Task[bytes | None]) -> None:
        del self._asking[key]
        if done.cancelled() or done.exception() is not None:
            return
        body = done.result()
        if body is not None:
            self._kept[key] = body
            if len(self._kept) > KEPT_MOST:
                self._kept.popitem(last=False)
