"""Broadcasts for tests and benchmarks: parts with frames of the right number and size, appended as a stage would."""

import random
from pathlib import Path

from rostra.kernel.clock import ManualClock
from rostra.kernel.ids import SeatId, SpaceId
from rostra.sound import fmp4
from rostra.sound.renditions import Rendition
from rostra.space import events as e
from rostra.timeline.disk import DiskLibrary
from rostra.timeline.ports import PartFlag, PartMeta, Writer

SPACE = SpaceId("abcdefghjk")
BEGAN_US = 1_800_000_000_000_000
_BATCH = 200


def payload(rendition: Rendition, number: int) -> bytes:
    """A part whose frames are noise of the size that the bit rate asks for."""
    shape = rendition.shape
    noise = random.Random(number * 7 + rendition)
    mean = shape.bitrate_bps * shape.frame_samples // 48_000 // 8
    frames = [noise.randbytes(mean + noise.randint(-8, 8)) for _ in range(shape.frames_per_part)]
    message = (
        b'{"state":"live","speaking":["s1"],"level":-21,"count":1,"seq":3}' if rendition is Rendition.OPUS else None
    )
    return fmp4.part(rendition, number, frames, start_us(rendition, number), message)


def start_us(rendition: Rendition, number: int) -> int:
    return BEGAN_US + number * rendition.shape.part_us


def meta(rendition: Rendition, number: int) -> PartMeta:
    level = -20 - number % 30
    return PartMeta(rendition, number, PartFlag.NONE, level, level + 6, start_us(rendition, number))


class Broadcast:
    """A Space under way, its clock moved by the parts appended."""

    def __init__(self, data: Path, sync: str = "off") -> None:
        self.clock = ManualClock(BEGAN_US)
        self.library = DiskLibrary(data, self.clock, sync=sync)
        self.next = dict.fromkeys(Rendition, 0)
        self._writer: Writer | None = None

    @property
    def writer(self) -> Writer:
        assert self._writer is not None
        return self._writer

    async def schedule(self, space_id: SpaceId = SPACE) -> None:
        self._writer = await self.library.writer(space_id, create=True)
        await self.writer.append_event(e.Scheduled("The big one", "Ada", None, True))
        await self.writer.append_event(e.SeatInvited(SeatId("s1"), "Ada", "host", "0" * 64, "operator"))

    async def go_live(self, space_id: SpaceId = SPACE) -> None:
        await self.schedule(space_id)
        await self.begin()

    async def begin(self, *renditions: Rendition) -> None:
        """What was scheduled goes live, in these renditions (all, if none is named)."""
        await self.writer.append_event(e.Opened("s1"))
        await self.writer.append_event(e.WentLive("s1"))
        for rendition in renditions or tuple(Rendition):
            await self.writer.append_init(rendition, fmp4.init(rendition))

    async def add(self, parts: int = 1, *renditions: Rendition) -> None:
        """The next parts of these renditions (all, if none is named)."""
        for at in range(0, parts, _BATCH):
            batch = []
            for _ in range(min(_BATCH, parts - at)):
                for rendition in renditions or tuple(Rendition):
                    number = self.next[rendition]
                    self.next[rendition] = number + 1
                    batch.append((meta(rendition, number), payload(rendition, number)))
                self.clock.advance(0.5)
            await self.writer.append_parts(batch)

    async def speak(self, *seats: str) -> None:
        await self.writer.append_event(e.Speaking(tuple(SeatId(seat) for seat in seats)))

    async def end(self) -> None:
        await self.writer.append_event(e.Ended("s1", "over"))

    async def cancel(self) -> None:
        await self.writer.append_event(e.Cancelled("s1", "not today"))

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        self.library.close()
