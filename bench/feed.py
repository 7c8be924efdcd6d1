"""A Space on the air without a stage: real encoded sound, appended to a record at the speed of time.

    python bench/feed.py DATA [--space ID]

Beside a running `rostra serve --data DATA` (which must have started before). Prints one line when it is live, and goes on until
its standard input ends. The sound is eight seconds of a few voices' worth of tones, encoded once, over and over; so the feed
takes a hundredth of a core and leaves the rest to what is measured.
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np

from rostra.broadcast.lane import Lane
from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SeatId, SpaceId
from rostra.sound import fmp4
from rostra.sound.renditions import FRAME, RATE, Rendition
from rostra.space import events as e
from rostra.timeline.disk import DiskLibrary
from rostra.timeline.ports import PartFlag, PartMeta, Writer

SPACE = SpaceId("abcdefghjk")
_LOOP_PARTS = 16
_MESSAGE = b'{"state":"live","speaking":["s1"],"level":-21,"count":1,"seq":3}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--space", default=SPACE)
    args = parser.parse_args()
    asyncio.run(_feed(args.data, SpaceId(args.space)))


async def _feed(data: Path, space_id: SpaceId) -> None:
    frames = {rendition: _encoded(rendition) for rendition in Rendition}
    library = DiskLibrary(data, SystemClock(), sync="off")
    writer = await library.writer(space_id, create=True)
    await writer.append_event(e.Scheduled("The big one", "Ada", None, True))
    await writer.append_event(e.SeatInvited(SeatId("s1"), "Ada", "host", "0" * 64, "operator"))
    await writer.append_event(e.Opened("s1"))
    await writer.append_event(e.WentLive("s1"))
    for rendition in Rendition:
        await writer.append_init(rendition, fmp4.init(rendition))
    await writer.append_event(e.Speaking((SeatId("s1"),)))
    print("live", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: os.read(0, 4096) or stop.set())
    feeding = asyncio.create_task(_append(writer, frames))
    await asyncio.wait([feeding, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    if feeding.done():
        feeding.result()
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)
    await writer.append_event(e.Ended("s1", "over"))
    await writer.close()
    library.close()


async def _append(writer: Writer, frames: dict[Rendition, list[tuple[bytes, ...]]]) -> None:
    """Each part when its last sample would have been spoken."""
    began, began_us = time.monotonic(), time.time_ns() // 1000
    following = dict.fromkeys(Rendition, 0)
    while True:
        rendition = min(following, key=lambda one: (following[one] + 1) * one.shape.part_s)
        due = began + (following[rendition] + 1) * rendition.shape.part_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        batch = []
        for one in Rendition:
            while began + (following[one] + 1) * one.shape.part_s <= due + 0.001:
                number = following[one]
                following[one] = number + 1
                start_us = began_us + number * one.shape.part_us
                message = _MESSAGE if one is Rendition.OPUS else None
                sound = fmp4.part(one, number, frames[one][number % _LOOP_PARTS], start_us, message)
                batch.append((PartMeta(one, number, PartFlag.NONE, -20, -14, start_us), sound))
        await writer.append_parts(batch)


def _encoded(rendition: Rendition) -> list[tuple[bytes, ...]]:
    """The frames of so many parts."""
    lane = Lane(rendition, 0)
    chance = np.random.default_rng(1)
    found: list[tuple[bytes, ...]] = []
    at = 0
    while len(found) < _LOOP_PARTS + 1:
        times = np.arange(at, at + FRAME) / RATE
        syllable = np.float32(0.5 + 0.5 * np.sin(2 * np.pi * 4 * times))
        tones = sum(np.sin(2 * np.pi * tone * times) / tone for tone in (180, 360, 720, 1440, 2880))
        frame = np.float32(20 * tones * syllable + 0.02 * chance.standard_normal(FRAME))
        found += [one.cut.frames for one in lane.push(np.clip(frame, -0.9, 0.9), 0, PartFlag.NONE)]
        at += FRAME
    return found[1:]


if __name__ == "__main__":
    main()
