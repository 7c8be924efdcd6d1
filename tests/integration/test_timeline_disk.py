"""Timelines on a real disk: written, followed, torn, altered, full."""

import asyncio
import errno
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rostra.kernel.clock import ManualClock, SystemClock
from rostra.kernel.errors import Damaged, DiskFull, UnknownSpace
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space import events as e
from rostra.space.states import State
from rostra.timeline.disk import DiskLibrary
from rostra.timeline.disk_writer import DiskWriter
from rostra.timeline.ports import Kind, PartFlag, PartMeta

SPACE = SpaceId("abcdefghjk")
SCHEDULED = e.Scheduled("The big one", "Ada", None, True)


def part(number: int, rendition: Rendition = Rendition.OPUS, size: int = 3000) -> tuple[PartMeta, bytes]:
    payload = random.Random(number).randbytes(size)
    return PartMeta(rendition, number, PartFlag.NONE, -20, -8, 1_800_000_000_000_000 + number * 500_000), payload


async def written(data: Path, parts: int = 5) -> DiskLibrary:
    library = DiskLibrary(data, ManualClock())
    writer = await library.writer(SPACE, create=True)
    await writer.append_event(SCHEDULED)
    await writer.append_event(e.Opened("s1"))
    await writer.append_event(e.WentLive("s1"))
    await writer.append_init(Rendition.OPUS, b"init bytes")
    for number in range(parts):
        await writer.append_part(*part(number))
    await writer.close()
    return library


def test_a_reader_sees_what_was_written(tmp_path: Path) -> None:
    library = asyncio.run(written(tmp_path))
    reader = library.reader(SPACE)
    kinds = [entry.kind for entry in reader.refresh()]
    assert kinds == [Kind.EVENT] * 3 + [Kind.INIT] + [Kind.PART] * 5
    assert reader.init(Rendition.OPUS) == b"init bytes"
    assert [reader.payload(entry) for entry in reader.parts(Rendition.OPUS)] == [part(n)[1] for n in range(5)]
    places = reader.places(Rendition.OPUS)
    assert [reader.pieces(*place) for place in places] == [part(n)[1] for n in range(5)]
    assert reader.places(Rendition.OPUS, 1, 3) == places[1:3] and not reader.places(Rendition.OPUS, 5)
    assert reader.space.state is State.LIVE
    assert library.snapshot(SPACE) == reader.space
    assert list(reader.refresh()) == []
    reader.close()


def test_a_follower_hears_each_record_soon(tmp_path: Path) -> None:
    async def story() -> list[float]:
        library = DiskLibrary(tmp_path, SystemClock())
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        reader = library.reader(SPACE)
        reader.refresh()
        news = asyncio.Event()
        stop = library.hear(lambda _: news.set())
        delays = []
        for number in range(20):
            news.clear()
            await writer.append_part(*part(number))
            began = time.monotonic()
            await asyncio.wait_for(news.wait(), 2)
            delays.append(time.monotonic() - began)
            assert [entry.part.number for entry in reader.refresh() if entry.part] == [number]
        stop()
        reader.close()
        await writer.close()
        return delays

    delays = sorted(asyncio.run(story()))
    assert delays[len(delays) // 2] < 0.05


def test_a_follower_that_missed_the_bell_looks_by_itself(tmp_path: Path) -> None:
    async def story() -> None:
        library = DiskLibrary(tmp_path, SystemClock())
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        reader = library.reader(SPACE)
        reader.refresh()
        news = asyncio.Event()
        stop = library.hear(lambda _: news.set())
        for name in os.listdir(tmp_path / "run" / "bells"):
            os.unlink(tmp_path / "run" / "bells" / name)
        await asyncio.sleep(0.25)
        await writer.append_event(e.Opened("s1"))
        await asyncio.wait_for(news.wait(), 2)
        stop()
        reader.close()
        await writer.close()

    asyncio.run(story())


@pytest.mark.parametrize("cut", [1, 10, 36, 40, 100, 3000, 3090])
def test_a_torn_tail_is_cut_and_the_record_goes_on(tmp_path: Path, cut: int) -> None:
    library = asyncio.run(written(tmp_path))
    path = tmp_path / "spaces" / SPACE / "timeline"
    os.truncate(path, path.stat().st_size - cut)

    async def go_on() -> int:
        writer = await library.writer(SPACE)
        next_number = writer.last_parts[Rendition.OPUS].part.number + 1  # type: ignore[union-attr]
        await writer.append_part(*part(next_number))
        await writer.close()
        return writer.cut_bytes

    assert asyncio.run(go_on()) == 3000 + 36 + 24 + 36 - cut
    proof = library.verify(SPACE)
    assert proof.parts["opus"] == 5
    assert proof.unfinished_bytes == 0


def test_every_altered_byte_is_named_by_its_record(tmp_path: Path) -> None:
    library = asyncio.run(written(tmp_path))
    path = tmp_path / "spaces" / SPACE / "timeline"
    good = path.read_bytes()
    reader = library.reader(SPACE)
    starts = [entry.offset for entry in reader.refresh()]
    reader.close()
    for at in random.Random(1).sample(range(len(good)), 60):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        with pytest.raises(Damaged) as damaged:
            library.verify(SPACE)
        assert damaged.value.seq in (sum(start <= at for start in starts) - 1, sum(start <= at for start in starts))
    path.write_bytes(good)
    assert library.verify(SPACE).records == len(starts)


def test_a_record_that_lost_its_end_after_it_was_committed_is_not_whole(tmp_path: Path) -> None:
    library = asyncio.run(written(tmp_path))
    path = tmp_path / "spaces" / SPACE / "timeline"
    os.truncate(path, path.stat().st_size - 3096)  # exactly the last record
    with pytest.raises(Damaged, match="record 8 is missing"):
        library.verify(SPACE)


def test_rot_in_the_middle_silences_nobody_and_stays_visible(tmp_path: Path) -> None:
    library = asyncio.run(written(tmp_path))
    path = tmp_path / "spaces" / SPACE / "timeline"
    good = bytearray(path.read_bytes())
    reader = library.reader(SPACE)
    reader.refresh()
    good[reader.parts(Rendition.OPUS)[2].offset + 50] ^= 1
    reader.close()
    path.write_bytes(good)

    async def go_on() -> tuple[int, ...]:
        writer = await library.writer(SPACE)
        await writer.append_part(*part(5))
        await writer.close()
        return writer.damaged

    assert asyncio.run(go_on()) == (6,)
    assert path.stat().st_size == len(good) + 3096
    with pytest.raises(Damaged, match="record 6"):
        library.verify(SPACE)


def test_index_head_and_snapshot_are_made_anew_when_lost(tmp_path: Path) -> None:
    library = asyncio.run(written(tmp_path))
    before = library.snapshot(SPACE)
    for name in ("index", "head", "snapshot"):
        (tmp_path / "spaces" / SPACE / name).unlink()

    async def reopen() -> None:
        await (await library.writer(SPACE)).close()

    asyncio.run(reopen())
    assert library.snapshot(SPACE) == before
    reader = library.reader(SPACE)
    assert len(reader.refresh()) == 9
    reader.close()


def test_a_snapshot_that_is_nonsense_is_passed_over(tmp_path: Path) -> None:
    library = asyncio.run(written(tmp_path))
    before = library.snapshot(SPACE)
    for nonsense in ("", "{", "[]", '{"id":1}'):
        (tmp_path / "spaces" / SPACE / "snapshot").write_text(nonsense)
        assert library.snapshot(SPACE) == before


def test_parts_out_of_order_are_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    async def story() -> None:
        library = DiskLibrary(tmp_path, ManualClock())
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        await writer.append_part(*part(0))
        for wrong in (0, 2, 7):
            with pytest.raises(ValueError):
                await writer.append_part(*part(wrong))
        await writer.append_part(*part(1))
        await writer.close()

    asyncio.run(story())


def test_many_parts_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (syncs.append(fd), real(fd)))

    async def story() -> None:
        library = DiskLibrary(tmp_path, ManualClock())
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        syncs.clear()
        await writer.append_parts([part(number, size=300) for number in range(1000)])
        assert len(syncs) == 1
        await writer.close()

    asyncio.run(story())


def test_the_age_of_a_part_is_told_by_the_boot_clock_and_else_by_the_wall(tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        library = DiskLibrary(tmp_path, clock)
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        await writer.append_part(*part(0))
        clock.advance(3)
        clock.jump_wall(-86_400)
        assert writer.age_us(writer.last_parts[Rendition.OPUS]) == 3_000_000
        await writer.close()
        clock.jump_wall(86_400)
        clock.reboot(60)
        again = await library.writer(SPACE)
        assert again.age_us(again.last_parts[Rendition.OPUS]) == 63_000_000
        clock.jump_wall(-86_400)
        assert again.age_us(again.last_parts[Rendition.OPUS]) == 0
        await again.close()

    asyncio.run(story())


def test_a_full_disk_harms_nothing_and_the_record_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async def story() -> None:
        library = DiskLibrary(tmp_path, ManualClock())
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        number = 0
        try:
            with pytest.raises(DiskFull):
                for number in range(10):
                    await writer.append_part(*part(number))
            with pytest.raises(DiskFull):
                await writer.append_part(*part(number))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await writer.append_part(*part(number))
        await writer.close()
        assert library.verify(SPACE).parts["opus"] == number + 1

    asyncio.run(story())


def test_the_reserve_keeps_a_space_on_the_air_while_the_disk_is_full(small_disk: Path) -> None:
    async def story() -> int:
        library = DiskLibrary(small_disk, SystemClock())
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        writer.reserve(1_000_000)
        assert writer.room().reserved_bytes >= 900_000
        with (small_disk / "somebody elses file").open("wb") as filler:
            try:
                while True:
                    filler.write(bytes(65536))
                    filler.flush()
            except OSError as full:
                assert full.errno == errno.ENOSPC  # noqa: PT017
        number = 0
        try:
            for number in range(2000):
                await writer.append_part(*part(number))
        except DiskFull:
            pass
        (small_disk / "somebody elses file").unlink()
        await writer.append_part(*part(number))
        await writer.close()
        assert library.verify(SPACE).parts["opus"] == number + 1
        library.close()
        return number

    assert asyncio.run(story()) * 3000 > 800_000


@pytest.fixture
def small_disk(tmp_path: Path):  # type: ignore[no-untyped-def]
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk of our own needs the right to mount one")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_two_hours_open_and_seek_in_milliseconds(tmp_path: Path) -> None:
    async def write_two_hours() -> DiskLibrary:
        library = DiskLibrary(tmp_path, ManualClock())
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        for start in range(0, 14_400, 400):
            await writer.append_parts([part(number, size=300) for number in range(start, start + 400)])
        await writer.close()
        return library

    library = asyncio.run(write_two_hours())
    began = time.perf_counter()
    reader = library.reader(SPACE)
    reader.refresh()
    sought = reader.payload(reader.parts(Rendition.OPUS)[9_876])
    took_s = time.perf_counter() - began
    assert sought == part(9_876, size=300)[1]
    assert took_s < 1
    reader.close()


def test_an_unknown_space_is_unknown(tmp_path: Path) -> None:
    library = DiskLibrary(tmp_path, ManualClock())
    for ask in (library.reader, library.snapshot, library.verify):
        with pytest.raises(UnknownSpace):
            ask(SPACE)
    with pytest.raises(UnknownSpace):
        asyncio.run(library.writer(SPACE))
    assert library.ids() == []


CRASHING = textwrap.dedent("""
    import asyncio, random, sys
    from pathlib import Path
    from rostra.kernel.clock import SystemClock
    from rostra.sound.renditions import Rendition
    from rostra.timeline.disk import DiskLibrary
    from rostra.timeline.ports import PartFlag, PartMeta

    async def main():
        library = DiskLibrary(Path(sys.argv[1]), SystemClock())
        writer = await library.writer("abcdefghjk")
        last = writer.last_parts.get(Rendition.OPUS)
        number = last.part.number + 1 if last else 0
        while True:
            meta = PartMeta(Rendition.OPUS, number, PartFlag.NONE, -20, -8, 0)
            await writer.append_part(meta, random.randbytes(3000))
            print(number, flush=True)
            number += 1

    asyncio.run(main())
""")


def test_kill_9_at_any_moment_loses_no_part_that_was_published(tmp_path: Path) -> None:
    async def begin() -> DiskLibrary:
        library = DiskLibrary(tmp_path, SystemClock())
        writer: DiskWriter = await library.writer(SPACE, create=True)
        await writer.append_event(SCHEDULED)
        await writer.close()
        return library

    library = asyncio.run(begin())
    dice = random.Random(7)
    published = -1
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CRASHING, str(tmp_path)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert child.stdout
        child.stdout.readline()
        time.sleep(dice.uniform(0, 0.05))
        child.kill()
        said = child.stdout.read().split()
        child.wait()
        published = max(published, int(said[-1]) if said else published)
        assert library.verify(SPACE).parts["opus"] > published
