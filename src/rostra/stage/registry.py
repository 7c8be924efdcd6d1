"""All Spaces of this process: each has at most one loop, begun when it is needed, and anew when it has failed."""

import asyncio
from dataclasses import dataclass
from typing import Final

from rostra.kernel.clock import Clock
from rostra.kernel.errors import Damaged, DiskFull, Overloaded, PeerError, RostraError, Unavailable, UnknownSpace
from rostra.kernel.ids import SpaceId, new_secret, new_space_id, secret_hash
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.space import commands as c
from rostra.space.space import Space
from rostra.space.states import STAGE_UP
from rostra.stage.asked import NewSpace
from rostra.stage.ports import Broadcasting
from rostra.stage.space_loop import Counters, SpaceLoop
from rostra.timeline.ports import Library

LOOPS_MOST: Final = 1000  # Spaces that somebody steers or watches at once; one more is refused with 503
OPEN_DEADLINE_S: Final = 20.0
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 10.0
_HELD_OUT_S: Final = 60.0  # a loop that ran this long has recovered


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[None]
    ready: asyncio.Future[SpaceLoop]


class Registry:
    def __init__(
        self, library: Library, settings: Settings, clock: Clock, log: Log, broadcasting: Broadcasting
    ) -> None:
        self.counters = Counters()
        self._library, self._settings, self._clock, self._log = library, settings, clock, log
        self._broadcasting = broadcasting
        self._running: dict[SpaceId, _Running] = {}
        self._admitting = True

    def start(self) -> None:
        """Take up every Space whose stage was up when the last process ended, or whose record needs a pen to be complete again."""
        for space_id in self._library.ids():
            try:
                needed = not self._library.complete(space_id) or self._library.snapshot(space_id).state in STAGE_UP
            except (RostraError, OSError, ValueError) as wrong:
                self._log.error("a Space could not be read", space=space_id, why=str(wrong))
                continue
            if needed:
                self._begin(space_id)

    async def loop(self, space_id: SpaceId) -> SpaceLoop:
        """The Space's loop, begun if need be.

        Raises:
            PeerError: 404, no such Space. Unavailable, Overloaded, DiskFull.
        """
        deadline = asyncio.get_running_loop().time() + OPEN_DEADLINE_S
        while True:
            running = self._running.get(space_id)
            if running is None:
                if not self._admitting:
                    raise Unavailable("The stage is restarting. Try again in a moment.", 2)
                if len(self._running) >= LOOPS_MOST:
                    raise Overloaded("Too many Spaces are in use at once.", 10)
                running = self._begin(space_id)
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                raise Unavailable("The stage of this Space does not come up.", 5)
            await asyncio.wait((running.ready, running.task), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not running.ready.done():
                continue
            loop = running.ready.result()
            if loop.open:
                return loop
            await asyncio.wait((running.task,), timeout=0.1)

    def running(self, space_id: SpaceId) -> SpaceLoop | None:
        """The Space's loop if there is one now."""
        running = self._running.get(space_id)
        if running is None or not running.ready.done() or running.ready.exception() is not None:
            return None
        return running.ready.result()

    async def space(self, space_id: SpaceId) -> Space:
        """The Space as it stands, without beginning a loop for it. Where there is none, it is read beside the sound.

        Raises:
            PeerError: 404, no such Space. Unavailable: the disk does not answer.
        """
        loop = self.running(space_id)
        if loop is not None:
            return loop.space
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                return await asyncio.to_thread(self._library.snapshot, space_id)
        except UnknownSpace as unknown:
            raise _said(unknown) from None
        except TimeoutError:
            raise Unavailable("The disk did not answer in time. Try again in a moment.", 5) from None

    async def make(self, new: NewSpace) -> tuple[SpaceId, str]:
        """A new Space: its id, and its host's token, which is nowhere kept.

        Raises:
            PeerError: a title, name or time that cannot be. DiskFull, Overloaded.
        """
        token = new_secret()
        events = c.schedule(
            new.title, new.host_name, new.starts_us, secret_hash(token), self._clock.wall_us(), auto_live=new.auto_live
        )
        space_id = new_space_id()
        writer = await self._library.writer(space_id, create=True)
        try:
            for event in events:
                await writer.append_event(event)
        finally:
            await writer.close()
        self._log.info("a Space was made", space=space_id)
        return space_id, token

    @property
    def loops(self) -> list[SpaceLoop]:
        return [loop for space_id in self._running if (loop := self.running(space_id)) is not None]

    async def stop(self, deadline_s: float) -> None:
        """All go off duty at once; what is live stays live on the record, and the next process takes it up."""
        self._admitting = False
        for loop in self.loops:
            loop.stop()
        tasks = {one.task for one in self._running.values()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=deadline_s)
            for task in late:
                task.cancel()
            if late:
                self._log.error("Spaces did not go off duty in time", count=len(late))
                await asyncio.wait(late, timeout=2)

    def _admit(self, space_id: SpaceId) -> None:
        up = sum(loop.stage_up for loop in self.loops if loop.id != space_id)
        if up >= self._settings.spaces_live_most:
            raise Overloaded(
                f"{up} Spaces are open or live here, as many as this server may hold (spaces_live_most). End one first.",
                30,
            )

    def _begin(self, space_id: SpaceId) -> _Running:
        ready: asyncio.Future[SpaceLoop] = asyncio.get_running_loop().create_future()
        running = _Running(asyncio.create_task(self._live(space_id, ready), name=f"stage {space_id}"), ready)
        self._running[space_id] = running
        return running

    async def _live(self, space_id: SpaceId, ready: asyncio.Future[SpaceLoop]) -> None:
        """The edge at which a Space's failure stops: logged, and the Space taken up again while its stage is up."""
        wait_s = _FIRST_WAIT_S
        try:
            while self._admitting:
                begun_at = self._clock.monotonic()
                needed = True
                try:
                    needed = await self._live_once(space_id, self._running[space_id])
                except (UnknownSpace, Overloaded, DiskFull, Damaged) as refusal:
                    if not isinstance(refusal, UnknownSpace | Overloaded):
                        self._log.error("a Space's record could not be opened", space=space_id, why=str(refusal))
                    if not ready.done():
                        ready.set_exception(_said(refusal))
                        ready.exception()
                        return
                except Exception as bug:  # noqa: BLE001  the edge itself
                    self.counters.restarts += 1
                    self._log.error("a Space's stage failed and begins anew", trace=bug, space=space_id)
                if not needed:
                    return
                if self._clock.monotonic() - begun_at > _HELD_OUT_S:
                    wait_s = _FIRST_WAIT_S
                await asyncio.sleep(wait_s)
                wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
        finally:
            del self._running[space_id]

    async def _live_once(self, space_id: SpaceId, running: _Running) -> bool:
        """One life of the loop. Whether it is still needed after it."""
        writer = await self._library.writer(space_id)
        loop = SpaceLoop(
            writer,
            settings=self._settings,
            clock=self._clock,
            log=self._log,
            broadcasting=self._broadcasting,
            admit=self._admit,
            counters=self.counters,
        )
        if running.ready.done():
            running.ready = asyncio.get_running_loop().create_future()
        running.ready.set_result(loop)
        await loop.run()
        return False


def _said(refusal: RostraError) -> Exception:
    if isinstance(refusal, UnknownSpace):
        return PeerError(404, str(refusal), "no-space")
    if isinstance(refusal, DiskFull | Damaged):
        return Unavailable(str(refusal), 30)
    return refusal
