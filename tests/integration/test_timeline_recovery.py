"""Records that rot, and records that lose what is derived from them: nothing that was ever heard is destroyed."""

import asyncio
import os
import random
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.kernel.clock import ManualClock, SystemClock
from rostra.kernel.errors import Damaged
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space import events as e
from rostra.space.states import State
from rostra.timeline import disk_writer
from rostra.timeline.disk import DiskLibrary
from rostra.timeline.ports import PartFlag, PartMeta

SPACE = SpaceId("abcdefghjk")
PARTS = 40


def part(number: int) -> tuple[PartMeta, bytes]:
    payload = random.Random(number).randbytes(3000)
    return PartMeta(Rendition.OPUS, number, PartFlag.NONE, -20, -8, 1_800_000_000_000_000 + number * 500_000), payload


async def broadcast(data: Path, *, ended: bool = True) -> DiskLibrary:
    library = DiskLibrary(data, ManualClock())
    writer = await library.writer(SPACE, create=True)
    for event in (e.Scheduled("The big one", "Ada", None, True), e.Opened("s1"), e.WentLive("s1")):
        await writer.append_event(event)
    await writer.append_init(Rendition.OPUS, b"init bytes")
    for number in range(PARTS):
        await writer.append_part(*part(number))
    if ended:
        await writer.append_event(e.Ended("s1", "over"))
    await writer.close()
    return library


def place(data: Path) -> Path:
    return data / "spaces" / SPACE


def damage(data: Path, start: int, length: int) -> None:
    path = place(data) / "timeline"
    whole = bytearray(path.read_bytes())
    whole[start : start + length] = bytes(len(whole[start : start + length]))
    path.write_bytes(whole)


def lose(data: Path, *names: str) -> None:
    for name in names:
        (place(data) / name).unlink()


async def opened(library: DiskLibrary) -> tuple[State, tuple[int, ...], int]:
    """Its state, what was stepped over, and what was cut off."""
    writer = await library.writer(SPACE)
    found = writer.space.state, writer.damaged, writer.cut_bytes
    await writer.close()
    return found


def offset_of(library: DiskLibrary, number: int) -> int:
    reader = library.reader(SPACE)
    reader.refresh()
    found = reader.parts(Rendition.OPUS)[number].offset
    reader.close()
    return found


def test_a_lost_block_over_two_records_costs_these_two_and_nothing_behind_them(tmp_path: Path) -> None:
    library = asyncio.run(broadcast(tmp_path))
    size = (place(tmp_path) / "timeline").stat().st_size
    damage(tmp_path, offset_of(library, 10) + 1000, 4096)
    state, damaged, cut = asyncio.run(opened(library))
    assert (state, damaged, cut) == (State.ENDED, (14, 15), 0)
    assert (place(tmp_path) / "timeline").stat().st_size == size
    with pytest.raises(Damaged, match="record 14"):
        library.verify(SPACE)
    reader = library.reader(SPACE)
    reader.refresh()
    assert reader.payload(reader.parts(Rendition.OPUS)[12]) == part(12)[1]
    reader.close()


def test_a_flipped_byte_costs_its_record_alone_even_without_an_index(tmp_path: Path) -> None:
    library = asyncio.run(broadcast(tmp_path))
    damage(tmp_path, offset_of(library, 10) + 1000, 1)
    lose(tmp_path, "index", "snapshot")
    assert asyncio.run(opened(library)) == (State.ENDED, (14,), 0)


def test_where_nothing_leads_over_a_gap_the_record_is_left_alone(tmp_path: Path) -> None:
    library = asyncio.run(broadcast(tmp_path))
    damage(tmp_path, offset_of(library, 10) + 1000, 4096)
    lose(tmp_path, "index")
    before = (place(tmp_path) / "timeline").read_bytes()
    with pytest.raises(Damaged):
        asyncio.run(opened(library))
    assert (place(tmp_path) / "timeline").read_bytes() == before


def test_a_space_that_has_ended_stays_so_when_its_last_word_rots(tmp_path: Path) -> None:
    library = asyncio.run(broadcast(tmp_path))
    size = (place(tmp_path) / "timeline").stat().st_size
    damage(tmp_path, size - 60, 10)
    state, damaged, cut = asyncio.run(opened(library))
    assert (state, damaged, cut) == (State.ENDED, (4 + PARTS,), 0)


def test_what_a_power_cut_left_in_disorder_is_kept_aside_and_the_record_goes_on(tmp_path: Path) -> None:
    library = asyncio.run(broadcast(tmp_path, ended=False))
    start = offset_of(library, PARTS - 2) - 60
    # The last two were written in one go and never published: the first came to the disk in part, the second whole.
    damage(tmp_path, start + 500, 100)
    with (place(tmp_path) / "head").open("r+b") as head:
        head.write((4 + PARTS - 2).to_bytes(8, "little"))
    index = place(tmp_path) / "index"
    os.truncate(index, index.stat().st_size - 2 * index.stat().st_size // (4 + PARTS))
    # Its header still leads over it, so break that too.
    damage(tmp_path, start, 36)
    lost = (place(tmp_path) / "timeline").read_bytes()[start:]

    async def go_on() -> None:
        writer = await library.writer(SPACE)
        assert writer.cut_bytes == len(lost)
        await writer.append_part(*part(PARTS - 2))
        await writer.close()

    asyncio.run(go_on())
    assert library.verify(SPACE).parts["opus"] == PARTS - 1
    assert (place(tmp_path) / f"timeline.cut-{start}").read_bytes() == lost


@pytest.mark.parametrize(
    "names", [("head",), ("index",), ("snapshot",), ("head", "index"), ("head", "index", "snapshot")]
)
def test_readers_need_the_record_alone(tmp_path: Path, names: tuple[str, ...]) -> None:
    library = asyncio.run(broadcast(tmp_path))
    lose(tmp_path, *names)
    reader = library.reader(SPACE)
    assert reader.behind
    assert len(reader.refresh()) == 5 + PARTS
    assert [reader.payload(entry) for entry in reader.parts(Rendition.OPUS)] == [part(n)[1] for n in range(PARTS)]
    assert not reader.behind and list(reader.refresh()) == []
    reader.close()
    assert library.snapshot(SPACE).state is State.ENDED
    assert library.verify(SPACE).over


def test_a_head_that_never_came_to_the_disk_hides_nothing(tmp_path: Path) -> None:
    library = asyncio.run(broadcast(tmp_path))
    (place(tmp_path) / "head").write_bytes(bytes(8))
    reader = library.reader(SPACE)
    assert len(reader.refresh()) == 5 + PARTS
    reader.close()
    assert asyncio.run(opened(library)) == (State.ENDED, (), 0)


_DAMAGE = st.tuples(st.integers(0, 130_000), st.sampled_from([1, 40, 512, 4096, 9000]))


@given(
    holes=st.lists(_DAMAGE, min_size=1, max_size=3),
    lost=st.sets(st.sampled_from(["index", "snapshot"])),
)
def test_whatever_rots_an_ended_space_neither_shrinks_nor_goes_on_the_air_again(
    tmp_path_factory: pytest.TempPathFactory, holes: list[tuple[int, int]], lost: set[str]
) -> None:
    data = tmp_path_factory.mktemp("rot")
    library = asyncio.run(broadcast(data))
    size = (place(data) / "timeline").stat().st_size
    for start, length in holes:
        damage(data, start % size, length)
    lose(data, *lost)
    try:
        state, _, cut = asyncio.run(opened(library))
    except Damaged:
        cut, state = 0, State.ENDED
    kept = sum(file.stat().st_size for file in place(data).glob("timeline.cut-*"))
    assert (place(data) / "timeline").stat().st_size + kept >= size
    assert cut == kept
    if "snapshot" not in lost:
        assert state is State.ENDED


def test_a_pen_that_is_closed_while_the_disk_stands_still_leaves_its_files_to_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, real = threading.Event(), os.fdatasync
    monkeypatch.setattr(disk_writer, "_CLOSE_S", 0.05)

    async def story() -> list[int]:
        library = DiskLibrary(tmp_path, SystemClock())
        writer = await library.writer(SPACE, create=True)
        await writer.append_event(e.Scheduled("The big one", "Ada", None, True))
        monkeypatch.setattr(os, "fdatasync", lambda fd: (going.wait(10), real(fd)))
        appending = asyncio.ensure_future(writer.append_part(*part(0)))
        await asyncio.sleep(0.05)
        await writer.close()
        others = [os.open(tmp_path / "another", os.O_RDWR | os.O_CREAT) for _ in range(4)]
        going.set()
        await appending
        assert (tmp_path / "another").stat().st_size == 0, "written into another's file"
        return others

    for one in asyncio.run(story()):
        os.close(one)
    assert DiskLibrary(tmp_path, SystemClock()).verify(SPACE).parts["opus"] == 1
