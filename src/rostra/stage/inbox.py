"""The inbox of an owner: what others ask is done one after the other, and each is answered, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from rostra.kernel.errors import Overloaded, RostraError, Unavailable

MOST: Final = 256  # one more request is refused with 503
ASK_DEADLINE_S: Final = 15.0

T = TypeVar("T")


class Inbox:
    """`what` names the owner in sentences: "The stage of this Space"."""

    def __init__(self, what: str) -> None:
        self.open = True
        self._what = what
        self._queue: asyncio.Queue[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = asyncio.Queue(MOST)

    @property
    def empty(self) -> bool:
        return self._queue.empty()

    async def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have the owner do `work`, and give what it gives.

        Raises:
            what `work` raises of ours. Overloaded: too many ask. Unavailable: the owner is away, or not in time; work
                that has begun is done to its end all the same.
        """
        if not self.open:
            raise Unavailable(f"{self._what} is restarting. Try again in a moment.")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((work, done))
        except asyncio.QueueFull:
            raise Overloaded(f"{self._what} is busy. Try again in a moment.") from None
        try:
            async with asyncio.timeout(ASK_DEADLINE_S):
                return await done
        except TimeoutError:
            raise Unavailable(f"{self._what} did not answer in time.", 5) from None

    def post(self, work: Callable[[], Awaitable[None]]) -> None:
        """As `ask`, without waiting; dropped where the owner is away or busy. `work` must not raise."""
        if self.open and not self._queue.full():
            self._queue.put_nowait((work, asyncio.get_running_loop().create_future()))

    async def serve(self) -> None:
        """The owner's task. Ends only by an error that is not ours to answer with; whoever waited is told to try again."""
        while True:
            work, done = await self._queue.get()
            if done.done():  # whoever asked has gone
                continue
            try:
                result = await work()
            except RostraError as refusal:
                if not done.done():
                    done.set_exception(refusal)
            except BaseException:
                self._turn_away(done)
                raise
            else:
                if not done.done():
                    done.set_result(result)

    def close(self) -> None:
        """Nobody serves any more."""
        self.open = False
        while not self._queue.empty():
            self._turn_away(self._queue.get_nowait()[1])

    def _turn_away(self, done: asyncio.Future[Any]) -> None:
        if not done.done():
            done.set_exception(Unavailable(f"{self._what} restarts. Try again in a moment."))
            done.exception()  # if nobody waits any more, that is no news
