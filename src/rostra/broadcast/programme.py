"""The broadcast of one live Space: the mix in, parts of all renditions onto its timeline, time without a hole.

What is pushed is encoded at once and waits, whole part by whole part, for the disk. The part in the making always has
the number that the clock gives it. Numbers that never came to be, because the process was dead, the machine slept, or the
disk refused longer than BACKLOG_S, are written as prepared silence, thousands a second, before what follows them.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rostra.broadcast.lane import Finished, Lane, silent_part
from rostra.codec import aac
from rostra.kernel.clock import Clock
from rostra.kernel.errors import DiskFull, Overloaded, RostraError, Unavailable
from rostra.kernel.log import Log
from rostra.kernel.metrics import family
from rostra.sound import fmp4
from rostra.sound.renditions import FRAME, RATE, Rendition
from rostra.timeline.ports import Entry, PartFlag, PartMeta, Writer

BACKLOG_S: Final = 60
"""Sound kept while the disk refuses; beyond it the oldest part is given up and becomes silence."""
FILL_MOST_S: Final = 12 * 3600
"""No gap longer than this is filled; the broadcast then goes on where it would have been after that time."""
REBEGIN_FROM_S: Final = 3.0
"""So far behind the clock, whole parts are left out and filled with prepared silence (the machine slept)."""
CLOSE_DEADLINE_S: Final = 10.0
_RETRY_S: Final = 0.5
_BATCH_PARTS: Final = 50  # of each rendition, so that a long fill leaves the loop free in between

Tell = Callable[[str, str | None], None]
"""Tells the operator: a short code, and one sentence, or None when it is over."""


@dataclass(slots=True)
class Counters:
    parts: int = 0
    parts_filled: int = 0
    parts_given_up: int = 0
    padded_frames: int = 0
    refusals: int = 0


class Broadcast:
    """Begins programmes, and counts over all of them."""

    def __init__(self, clock: Clock, log: Log) -> None:
        self._clock, self._log = clock, log
        self._counters = Counters()

    async def start(self, writer: Writer, tell: Tell) -> "Programme":
        """The programme of a Space that is live, new or taken up again after a crash.

        Raises:
            DiskFull, Overloaded, Unavailable: the record does not take the init segments.
        """
        programme = Programme(writer, self._clock, self._log.bind(space=writer.space_id), self._counters, tell)
        await programme.start()
        return programme

    def metrics(self) -> str:
        counters = self._counters
        return (
            family("rostra_broadcast_parts_total", "counter", "Parts written.", [(None, counters.parts)])
            + family("rostra_broadcast_parts_filled_total", "counter", "Of them silence put in for missing time.", [(None, counters.parts_filled)])
            + family("rostra_broadcast_parts_given_up_total", "counter", "Parts lost because the disk refused too long.", [(None, counters.parts_given_up)])
            + family("rostra_broadcast_padded_frames_total", "counter", "20 ms frames of silence after a stall.", [(None, counters.padded_frames)])
            + family("rostra_broadcast_refusals_total", "counter", "Times the record refused an append.", [(None, counters.refusals)])
        )  # fmt: skip


class Programme:
    """`push` every 20 ms, `close` when the Space ends. Lives on one loop.

    Attributes:
        filled_s: seconds that were missing on the record when it was taken up again.
    """

    def __init__(self, writer: Writer, clock: Clock, log: Log, counters: Counters, tell: Tell) -> None:
        self.filled_s = 0.0
        self._writer, self._clock, self._log, self._counters, self._tell = writer, clock, log, counters, tell
        self._lanes: tuple[Lane, ...] = ()
        # A broadcast begun without a rendition goes on without it: its parts would have to be there from the first.
        self._backlogs: dict[Rendition, deque[tuple[Finished, bytes | None]]] = {
            one: deque() for one in Rendition if one in writer.inits or not writer.last_parts
        }
        self._anchor_sample = 0
        self._anchor_boot_us: int | None = None
        self._wake = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._failing = ""

    async def start(self) -> None:
        for rendition in self._backlogs:
            if rendition not in self._writer.inits:
                await self._writer.append_init(rendition, fmp4.init(rendition, _config(rendition)))
        self._anchor_on_record()
        self._writing = asyncio.create_task(self._write_on(), name=f"broadcast {self._writer.space_id}")

    def push(self, frame: NDArray[np.float32], *, at_us: int, away: bool) -> None:
        """The next 20 ms of the mix: 960 mono float32 samples that began at `at_us` (wall). `away`: nobody is on stage."""
        if self._anchor_boot_us is None:
            self._anchor_sample, self._anchor_boot_us = 0, self._clock.boot_us() - _us(FRAME)
        if not self._lanes and self._now_sample() < self._end_on_record():
            return  # the last process made its last parts whole with silence that has not passed yet
        behind = self._now_sample() - FRAME - self._lanes[0].position if self._lanes else 0
        if not self._lanes or behind > REBEGIN_FROM_S * RATE:
            self._begin_lanes(at_us)
        flags = PartFlag.AWAY if away else PartFlag.NONE
        for lane in self._lanes:
            finished = lane.push(frame, at_us, flags)
            if finished:
                self._keep(finished)

    def skip(self, frames: int) -> None:
        """So many frames were never mixed: silence takes their time."""
        if not self._lanes or frames * FRAME > REBEGIN_FROM_S * RATE:
            return  # the clock tells the next push
        self._counters.padded_frames += frames
        now_us, position = self._clock.wall_us(), self._lanes[0].position + frames * FRAME
        for lane in self._lanes:
            self._keep(lane.pad_to(position, now_us))

    async def close(self) -> None:
        """Make the last parts whole with silence, write everything, stop. Does not raise for a disk that refuses."""
        loop = asyncio.get_running_loop()
        for lane in self._lanes:
            self._keep(lane.finish(self._clock.wall_us()))
        end = loop.time() + CLOSE_DEADLINE_S
        while any(self._backlogs.values()) and loop.time() < end:
            self._wake.set()
            await asyncio.sleep(0.01)
        if any(self._backlogs.values()):
            self._log.error("The last seconds of a broadcast could not be written.")
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait((self._writing,), timeout=1)
            self._writing = None

    # Time

    def _anchor_on_record(self) -> None:
        """Where the broadcast would be now, from the newest part on the record."""
        space = self._writer.space
        last = max(self._writer.last_parts.values(), key=lambda entry: entry.seq, default=None)
        if last is not None:
            end, away_us = _end_sample(last), written_late_us(last) + self._writer.age_us(last)
        elif space.live_since_us is not None:
            end, away_us = 0, max(0, self._clock.wall_us() - space.live_since_us)
        else:
            return
        away_us = min(away_us, FILL_MOST_S * 1_000_000)
        self._anchor_sample, self._anchor_boot_us = end + away_us * RATE // 1_000_000, self._clock.boot_us()
        if last is not None:
            shortest = min(_end_sample(entry) for entry in self._writer.last_parts.values())
            self.filled_s = max(0.0, round((self._anchor_sample - shortest) / RATE, 3))

    def _now_sample(self) -> int:
        assert self._anchor_boot_us is not None
        return self._anchor_sample + (self._clock.boot_us() - self._anchor_boot_us) * RATE // 1_000_000

    def _end_on_record(self) -> int:
        return max((_end_sample(entry) for entry in self._writer.last_parts.values()), default=0)

    def _begin_lanes(self, at_us: int) -> None:
        """Lanes anew, so that the frame to come stands where the clock says; whole parts before that are left to be filled."""
        for lane in self._lanes:
            self._keep(lane.finish(at_us))
        ends = [self._next_number(one) * one.shape.part_samples for one in self._backlogs]
        wanted = max(0, self._now_sample() - FRAME) // FRAME * FRAME
        position = max(wanted, *(-(-end // FRAME) * FRAME for end in ends))
        self._lanes = tuple(Lane(one, position // one.shape.part_samples) for one in self._backlogs)
        for lane in self._lanes:
            self._keep(lane.pad_to(position, at_us))
        self._wake.set()

    # Writing

    def _next_number(self, rendition: Rendition) -> int:
        """The number after everything that is on the record or waits for it."""
        backlog = self._backlogs[rendition]
        if backlog:
            return backlog[-1][0].cut.number + 1
        return self._next_on_record(rendition)

    def _next_on_record(self, rendition: Rendition) -> int:
        entry = self._writer.last_parts.get(rendition)
        return entry.part.number + 1 if entry is not None and entry.part is not None else 0

    def _keep(self, finished: list[Finished]) -> None:
        for one in finished:
            backlog = self._backlogs[one.rendition]
            backlog.append((one, self._message(one)))
            if len(backlog) > BACKLOG_S / one.rendition.shape.part_s:
                backlog.popleft()
                self._counters.parts_given_up += 1
            self._wake.set()

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._next_batch():
                try:
                    await self._writer.append_parts(batch)
                except (DiskFull, Overloaded, Unavailable) as refusal:
                    self._refused(refusal)
                    await asyncio.sleep(_RETRY_S)
                except Exception as bug:  # noqa: BLE001  the room's loop must go on; what is on the record decides what is next
                    self._log.error("The broadcast could not write its parts.", trace=bug)
                    await asyncio.sleep(_RETRY_S)
                else:
                    self._written(batch)

    def _next_batch(self) -> list[tuple[PartMeta, bytes]]:
        batch: list[tuple[PartMeta, bytes]] = []
        for lane in self._lanes:
            rendition, backlog = lane.rendition, self._backlogs[lane.rendition]
            number = self._next_on_record(rendition)
            waiting = iter([one for one in backlog if one[0].cut.number >= number])
            following = next(waiting, None)
            for _ in range(_BATCH_PARTS):
                if following is not None and following[0].cut.number == number:
                    batch.append(_boxed(*following))
                    following = next(waiting, None)
                elif number < (lane.number if following is None else following[0].cut.number):
                    batch.append(self._silence(rendition, number))
                else:
                    break
                number += 1
        return sorted(batch, key=lambda one: (one[0].number + 1) * one[0].rendition.shape.part_samples)

    def _written(self, batch: list[tuple[PartMeta, bytes]]) -> None:
        self._counters.parts += len(batch)
        self._counters.parts_filled += sum(bool(meta.flags & PartFlag.FILL) for meta, _ in batch)
        for rendition, backlog in self._backlogs.items():
            while backlog and backlog[0][0].cut.number < self._next_on_record(rendition):
                backlog.popleft()
        if self._failing:
            self._log.info("The record grows again; what could be kept has been written.")
            self._tell(self._failing, None)
            self._failing = ""

    def _refused(self, refusal: RostraError) -> None:
        self._counters.refusals += 1
        code = "disk-full" if isinstance(refusal, DiskFull) else "disk-refuses"
        if self._failing != code:
            if self._failing:
                self._tell(self._failing, None)
            self._failing = code
            self._log.warning("The record does not grow.", code=code, reason=str(refusal))
            self._tell(code, str(refusal))

    def _silence(self, rendition: Rendition, number: int) -> tuple[PartMeta, bytes]:
        ago_us = _us(self._now_sample() - rendition.shape.first_sample(number))
        part = silent_part(rendition, number, self._clock.wall_us() - ago_us)
        return _boxed(part, self._message(part))

    def _message(self, part: Finished) -> bytes | None:
        if part.rendition is not Rendition.OPUS:
            return None
        space = self._writer.space
        now = {
            "state": str(space.state),
            "speaking": list(space.speaking),
            "level": part.level_dbfs,
            "count": space.count,
            "seq": space.news,
        }
        return json.dumps(now, separators=(",", ":")).encode()


def _config(rendition: Rendition) -> bytes | None:
    return None if rendition is Rendition.OPUS else aac.audio_specific_config(rendition.shape.channels)


def _boxed(part: Finished, message: bytes | None) -> tuple[PartMeta, bytes]:
    cut = part.cut
    meta = PartMeta(part.rendition, cut.number, part.flags, part.level_dbfs, part.peak_dbfs, cut.start_us)
    return meta, fmp4.part(part.rendition, cut.number, cut.frames, cut.start_us, message)


def _end_sample(entry: Entry) -> int:
    assert entry.part is not None
    return entry.part.rendition.shape.first_sample(entry.part.number + 1)


def written_late_us(entry: Entry) -> int:
    """How long after its last sample a part came onto the record; negative where it was made whole before its time.

    Both times are of the wall clock, which may have jumped between them; only what can be is believed.
    """
    assert entry.part is not None
    part_us = entry.part.rendition.shape.part_us
    late_us = entry.at_us - entry.part.start_us - part_us
    most_us = (FILL_MOST_S if entry.part.flags & PartFlag.FILL else BACKLOG_S) * 1_000_000
    return late_us if -part_us <= late_us <= most_us else 0


def _us(samples: int) -> int:
    return samples * 1_000_000 // RATE
