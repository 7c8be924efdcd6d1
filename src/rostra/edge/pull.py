"""One rendition of one Space asked for upstream, part by part, in order and without a hole.

The next parts are asked for before they exist, so each is on its way the moment it does. An answer that cannot be right (a
cache's old 404, somebody else's part) or does not come is asked for again under an address of its own, past the cache.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from rostra.edge.upstream import ANSWER_S, SMALL_MOST, Reply, Upstream
from rostra.kernel.errors import Unavailable
from rostra.sound.fmp4 import PartView, read_part
from rostra.sound.renditions import Rendition

CALM = 2
"""Parts asked for at once while they come as they are made."""
BEHIND = 6
"""And while we catch up, or where answers take so long that two at once fall behind. No more than an edge lets anybody ask ahead."""
LATE_S = 0.75
"""A part that comes so much later than the earliest has shown to be possible: we fall behind."""
LOST_S = 4.0
"""While a Space is on the air a part comes every half second: what takes this long was lost on the way."""
BODY_S = 1.5
"""And a few kilobytes that do not come in this time once they have begun."""
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0)

Deliver = Callable[[bytes, PartView], Awaitable[None]]


class Pull:
    """Attributes:
    again: counter: questions repeated.
    """

    def __init__(
        self,
        upstream: Upstream,
        base: str,
        rendition: Rendition,
        first: int,
        deliver: Deliver,
        is_over: Callable[[], Awaitable[bool]],
    ) -> None:
        """
        Args:
            base: path before "part/".
            deliver: called with each part in order.
            is_over: asked when a part is refused without a word of the end.
        """
        self.next = first
        self.again = 0
        self._upstream = upstream
        self._base = base
        self._rendition = rendition
        self._deliver = deliver
        self._is_over = is_over
        self._flowing = False
        self._earliest = float("inf")

    async def run(self) -> None:
        """Until the end of the broadcast."""
        asked: dict[int, asyncio.Task[tuple[bytes, PartView, bool] | None]] = {}
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_give_up, asked)
            at_once = CALM
            while True:
                for number in range(self.next, self.next + at_once):
                    if number not in asked:
                        asked[number] = asyncio.create_task(self._part(number))
                found = await asked.pop(self.next)
                if found is None:
                    return
                payload, view, at_hand = found
                at_once = BEHIND if at_hand or self._late_s() > LATE_S else CALM
                self.next += 1
                self._flowing = True
                await self._deliver(payload, view)

    def _late_s(self) -> float:
        """How late the next part has come, measured by those before it: a part takes as long as it lasts."""
        began = asyncio.get_running_loop().time() - self.next * self._rendition.shape.part_s
        self._earliest = min(self._earliest, began)
        return began - self._earliest

    async def _part(self, number: int) -> tuple[bytes, PartView, bool] | None:
        """The part, and whether it was there already; None when the broadcast ended before it."""
        loop = asyncio.get_running_loop()
        path = f"{self._base}part/{number}.m4s"
        tries = 0
        while True:
            began = loop.time()
            wait_s = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)] * random.uniform(0.5, 1.0)
            try:
                target = f"{path}?again={tries}" if tries else path
                answer_s = LOST_S if self._flowing else ANSWER_S
                reply = await self._upstream.whole(target, answer_s=answer_s, body_s=BODY_S, most=SMALL_MOST)
            except Unavailable:
                pass
            else:
                took_s = loop.time() - began
                if reply.status == 200:
                    view = self._read(number, reply)
                    if view is not None:
                        return reply.body, view, took_s < self._rendition.shape.part_s / 2
                elif reply.status == 404:
                    if "rostra-ended" in reply.headers or await self._is_over():
                        return None
                elif reply.status == 503 and took_s > 1:
                    wait_s = 0.0  # it was held as long as one is held there, and nothing came
                    tries -= 1
            tries += 1
            self.again += 1
            await asyncio.sleep(wait_s)

    def _read(self, number: int, reply: Reply) -> PartView | None:
        try:
            view = read_part(reply.body)
        except ValueError:
            return None
        right = view.first_sample == self._rendition.shape.first_sample(number) and view.start_us is not None
        return view if right else None


async def _give_up(asked: dict[int, asyncio.Task[tuple[bytes, PartView, bool] | None]]) -> None:
    for task in asked.values():
        task.cancel()
    await asyncio.gather(*asked.values(), return_exceptions=True)
