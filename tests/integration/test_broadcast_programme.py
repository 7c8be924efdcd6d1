"""The programme on a real timeline on disk, on a clock that is moved by hand."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from rostra.broadcast.lane import silent_part
from rostra.broadcast.programme import BACKLOG_S, Broadcast, Counters, Programme
from rostra.codec import aac
from rostra.codec import opus as libopus
from rostra.kernel.clock import ManualClock
from rostra.kernel.ids import SpaceId, new_space_id
from rostra.kernel.log import Log
from rostra.sound import fmp4
from rostra.sound.renditions import FRAME, RATE, Rendition
from rostra.space import events as e
from rostra.timeline.disk import DiskLibrary
from rostra.timeline.disk_writer import DiskWriter
from rostra.timeline.ports import PartFlag, PartMeta
from rostra.timeline.verify import verify

TONE = (0.3 * np.sin(2 * np.pi * 300 * np.arange(FRAME) / RATE)).astype(np.float32)


class Stage:
    """A process that holds one Space's broadcast; `crash` leaves everything as a killed process would."""

    def __init__(self, data: Path, clock: ManualClock) -> None:
        self.clock, self.data = clock, data
        self.library = DiskLibrary(data, clock, sync="off")
        self.told: list[tuple[str, str | None]] = []
        self.programme: Programme
        self.writer: DiskWriter

    async def begin(self, space_id: SpaceId, *, create: bool = False) -> None:
        self.writer = await self.library.writer(space_id, create=create)
        if create:
            await self.writer.append_event(e.Scheduled("T", "H", None, True))
            await self.writer.append_event(e.Opened("s1"))
            await self.writer.append_event(e.WentLive("s1"))
        broadcast = Broadcast(self.clock, Log("stage"))
        self.programme = await broadcast.start(self.writer, lambda code, text: self.told.append((code, text)))

    async def speak(self, seconds: float, *, away: bool = False) -> None:
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)
            self.programme.push(TONE, at_us=self.clock.wall_us() - 20_000, away=away)
            await asyncio.sleep(0)

    async def settle(self) -> None:
        for _ in range(200):
            await asyncio.sleep(0.005)
            if not any(self.programme._backlogs.values()) and not self.programme._next_batch():
                return

    async def crash(self) -> None:
        if self.programme._writing is not None:
            self.programme._writing.cancel()
        await self.writer.close()
        self.library.close()


@asynccontextmanager
async def stage(data: Path, clock: ManualClock) -> AsyncIterator[Stage]:
    one = Stage(data, clock)
    yield one
    await one.crash()


def decode(rendition: Rendition, frames: list[bytes]) -> np.ndarray:
    if rendition is Rendition.OPUS:
        decoder = libopus.Decoder()
        return np.concatenate([decoder.decode(frame) for frame in frames])
    context = av.CodecContext.create("aac", "r")
    context.extradata, context.sample_rate = aac.audio_specific_config(rendition.shape.channels), RATE
    return np.concatenate([out.to_ndarray()[0] for frame in frames for out in context.decode(av.Packet(frame))])


def parts(one: Stage) -> dict[Rendition, list[fmp4.PartView]]:
    reader = one.library.reader(one.writer.space_id)
    reader.refresh()
    try:
        for rendition in Rendition:
            for number, entry in enumerate(reader.parts(rendition)):
                assert entry.part is not None and entry.part.number == number
        return {r: [fmp4.read_part(reader.payload(entry)) for entry in reader.parts(r)] for r in Rendition}
    finally:
        reader.close()


def flags(one: Stage, rendition: Rendition) -> list[PartFlag]:
    reader = one.library.reader(one.writer.space_id)
    reader.refresh()
    try:
        return [entry.part.flags for entry in reader.parts(rendition) if entry.part is not None]
    finally:
        reader.close()


def test_all_renditions_grow_without_a_hole_and_say_what_is_the_case(tmp_path: Path) -> None:
    async def run() -> None:
        async with stage(tmp_path, ManualClock()) as one:
            await one.begin(new_space_id(), create=True)
            await one.speak(3)
            await one.programme.close()
            found = parts(one)
            assert {rendition: len(views) for rendition, views in found.items()} == dict.fromkeys(Rendition, 6)
            for rendition, views in found.items():
                assert [view.first_sample for view in views] == [n * rendition.shape.part_samples for n in range(6)]
            assert b'"state":"live"' in found[Rendition.OPUS][0].messages[0]
            assert found[Rendition.HLS][0].messages == ()
            reader = one.library.reader(one.writer.space_id)
            reader.refresh()
            assert reader.init(Rendition.OPUS) == fmp4.init(Rendition.OPUS)
            reader.close()

    asyncio.run(run())


@pytest.mark.parametrize("away_s", [0.3, 7.0, 3600.0])
@pytest.mark.parametrize("rebooted", [False, True])
def test_after_a_crash_the_missing_time_is_silence_and_all_renditions_stay_in_step(
    tmp_path: Path, away_s: float, rebooted: bool
) -> None:
    async def run() -> None:
        clock, space_id = ManualClock(), new_space_id()
        async with stage(tmp_path, clock) as before:
            await before.begin(space_id, create=True)
            await before.speak(2.3)
            await before.settle()
        if rebooted:
            clock.reboot(away_s)
        else:
            clock.advance(away_s)
            clock.jump_wall(-86_400)  # the boot clock knows better
        async with stage(tmp_path, clock) as after:
            await after.begin(space_id)
            assert away_s <= after.programme.filled_s <= away_s + 0.55
            await after.speak(1.0)
            await after.programme.close()
            for rendition in Rendition:
                made_s = len(flags(after, rendition)) * rendition.shape.part_s
                assert 2.3 + away_s + 1.0 - 0.05 <= made_s <= 2.3 + away_s + 1.0 + 0.6
                if away_s > 1:
                    filled = flags(after, rendition).count(PartFlag.FILL)
                    assert abs(filled * rendition.shape.part_s - away_s) < 1.1

    asyncio.run(run())


def test_the_first_sound_after_a_crash_stands_at_the_same_sample_in_all_renditions(tmp_path: Path) -> None:
    async def run() -> None:
        clock, space_id = ManualClock(), new_space_id()
        async with stage(tmp_path, clock) as before:
            await before.begin(space_id, create=True)
            await before.speak(1.3, away=True)
            await before.settle()
        clock.advance(4.111)
        async with stage(tmp_path, clock) as after:
            await after.begin(space_id)
            for _ in range(5):
                clock.advance(0.02)
                after.programme.push(np.zeros(FRAME, np.float32), at_us=clock.wall_us() - 20_000, away=False)
            await after.speak(1.0)
            await after.programme.close()
            reader = after.library.reader(space_id)
            reader.refresh()
            begins = {}
            for rendition in Rendition:
                frames = [one for entry in reader.parts(rendition) for one in fmp4.frames_of(reader.payload(entry))]
                heard = decode(rendition, frames)
                loud = np.abs(heard) > 0.1
                begins[rendition] = int(np.argmax(loud & (np.arange(heard.size) > 2 * RATE)))
            reader.close()
            delay = 312  # Opus sounds later by its own look-ahead, which players take off again
            assert abs(begins[Rendition.OPUS] - delay - begins[Rendition.HLS]) <= 24

    asyncio.run(run())


def test_graceful_restarts_again_and_again_do_not_make_the_broadcast_run_ahead(tmp_path: Path) -> None:
    async def run() -> None:
        clock, space_id = ManualClock(), new_space_id()
        begun_us = clock.wall_us()
        for life in range(6):
            async with stage(tmp_path, clock) as one:
                await one.begin(space_id, create=life == 0)
                await one.speak(1.1)
                await one.programme.close()
            clock.advance(0.1)
        async with stage(tmp_path, clock) as one:
            await one.begin(space_id)
            elapsed_s = (clock.wall_us() - begun_us) / 1e6
            for rendition in Rendition:
                made_s = len(flags(one, rendition)) * rendition.shape.part_s
                assert elapsed_s - 0.2 <= made_s <= elapsed_s + rendition.shape.part_s

    asyncio.run(run())


def test_a_broadcast_begun_without_a_rendition_goes_on_without_it(tmp_path: Path) -> None:
    async def run() -> None:
        clock, space_id = ManualClock(), new_space_id()
        async with stage(tmp_path, clock) as before:
            before.writer = await before.library.writer(space_id, create=True)
            for event in (e.Scheduled("T", "H", None, True), e.Opened("s1"), e.WentLive("s1")):
                await before.writer.append_event(event)
            for rendition in (Rendition.OPUS, Rendition.HLS):
                await before.writer.append_init(rendition, fmp4.init(rendition))
                silence = silent_part(rendition, 0, clock.wall_us())
                meta = PartMeta(rendition, 0, PartFlag.FILL, -127, -127, clock.wall_us())
                await before.writer.append_part(meta, fmp4.part(rendition, 0, silence.cut.frames, clock.wall_us()))
            before.programme = Programme(before.writer, clock, Log("stage"), Counters(), lambda code, text: None)
        async with stage(tmp_path, clock) as after:
            await after.begin(space_id)
            await after.speak(3)
            await after.programme.close()
            found = parts(after)
            assert len(found[Rendition.OPUS]) > 5 and len(found[Rendition.HLS]) > 5
            assert found[Rendition.LOW] == [] and Rendition.LOW not in after.writer.inits
            proof = verify(tmp_path / "spaces" / space_id / "timeline", space_id, 0)
            assert proof.parts["low"] == 0 and proof.parts["hls"] == len(found[Rendition.HLS])

    asyncio.run(run())


def test_a_clock_set_forward_while_a_part_was_made_is_not_taken_for_missing_time(tmp_path: Path) -> None:
    async def run() -> None:
        clock, space_id = ManualClock(), new_space_id()
        async with stage(tmp_path, clock) as before:
            await before.begin(space_id, create=True)
            await before.speak(0.48)
            clock.jump_wall(86_400)
            await before.speak(0.1)
            await before.settle()
        clock.advance(1)
        async with stage(tmp_path, clock) as after:
            await after.begin(space_id)
            assert after.programme.filled_s < 2

    asyncio.run(run())


def test_a_machine_that_slept_comes_back_at_the_right_time(tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualClock()
        async with stage(tmp_path, clock) as one:
            await one.begin(new_space_id(), create=True)
            await one.speak(1)
            clock.advance(30)
            await one.speak(1)
            await one.programme.close()
            opus = flags(one, Rendition.OPUS)
            assert len(opus) == 64
            assert opus.count(PartFlag.FILL) in (59, 60)

    asyncio.run(run())


def test_a_stall_of_a_second_is_padded_in_place(tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualClock()
        async with stage(tmp_path, clock) as one:
            await one.begin(new_space_id(), create=True)
            await one.speak(1)
            clock.advance(1)
            one.programme.skip(50)
            await one.speak(1)
            await one.programme.close()
            assert len(flags(one, Rendition.OPUS)) == 6

    asyncio.run(run())


def test_a_full_disk_is_told_once_and_what_could_be_kept_is_written_when_there_is_room(tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualClock()
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        async with stage(tmp_path, clock) as one:
            await one.begin(new_space_id(), create=True)
            await one.speak(2)
            await one.settle()
            size = (tmp_path / "spaces" / one.writer.space_id / "timeline").stat().st_size
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
                await one.speak(BACKLOG_S + 20)
                await asyncio.sleep(1.1)
                assert [code for code, _ in one.told] == ["disk-full"]
                assert len(one.programme._backlogs[Rendition.OPUS]) == BACKLOG_S / 0.5
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, old)
            await one.speak(1)
            await asyncio.sleep(0.6)
            await one.programme.close()
            assert one.told[-1] == ("disk-full", None)
            opus = flags(one, Rendition.OPUS)
            assert len(opus) == 2 * (2 + BACKLOG_S + 20 + 1)
            assert abs(opus.count(PartFlag.FILL) * 0.5 - 21) <= 1

    asyncio.run(run())
