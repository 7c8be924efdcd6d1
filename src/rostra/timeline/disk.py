"""Timelines as files: `spaces/ID/` holds `timeline` (the record), `index`, `head` and `snapshot` (all three derived)."""

import asyncio
import contextlib
import os
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rostra.kernel.clock import Clock
from rostra.kernel.errors import DiskFull, UnknownSpace
from rostra.kernel.ids import SpaceId, parse_space_id
from rostra.space.space import Space
from rostra.timeline.bell import Ear, Ringer
from rostra.timeline.disk_reader import DiskReader, read_snapshot
from rostra.timeline.disk_writer import DiskWriter
from rostra.timeline.index import Head
from rostra.timeline.verify import Proof, verify


class DiskLibrary:
    """See ports.Library. One per process; the operating system's files are all that processes share."""

    def __init__(self, data: Path, clock: Clock, *, sync: str = "part") -> None:
        self._spaces = data / "spaces"
        self._bells = data / "run" / "bells"
        self._clock = clock
        self._sync = sync
        self._ringer: Ringer | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._readers: weakref.WeakSet[DiskReader] = weakref.WeakSet()

    def ids(self) -> list[SpaceId]:
        try:
            names = os.listdir(self._spaces)
        except FileNotFoundError:
            return []
        return [space_id for name in names if (space_id := parse_space_id(name))]

    def reader(self, space_id: SpaceId) -> DiskReader:
        try:
            reader = DiskReader(self._place(space_id), space_id)
        except FileNotFoundError:
            raise UnknownSpace(f"There is no Space {space_id}.") from None
        self._readers.add(reader)
        return reader

    def snapshot(self, space_id: SpaceId) -> Space:
        try:
            return read_snapshot(self._place(space_id), space_id)
        except FileNotFoundError:
            raise UnknownSpace(f"There is no Space {space_id}.") from None

    def complete(self, space_id: SpaceId) -> bool:
        return all((self._place(space_id) / name).exists() for name in ("index", "head", "snapshot"))

    def hear(self, heard: Callable[[SpaceId], None]) -> Callable[[], None]:
        def look() -> None:
            for reader in list(self._readers):
                with contextlib.suppress(ValueError):  # closed meanwhile
                    if reader.behind:
                        heard(reader.space_id)

        ear = Ear(self._bells, heard, look)
        return ear.close

    async def writer(self, space_id: SpaceId, *, create: bool = False) -> DiskWriter:
        place = self._place(space_id)
        if create:
            try:
                place.mkdir(parents=True, mode=0o700)
            except OSError as wrong:
                raise DiskFull(f"No room for a new Space: {wrong.strerror}.") from None
        elif not (place / "timeline").exists():
            raise UnknownSpace(f"There is no Space {space_id}.")
        if self._ringer is None or self._threads is None:
            self._ringer = Ringer(self._bells)
            self._threads = ThreadPoolExecutor(4, thread_name_prefix="timeline")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._threads, DiskWriter, place, space_id, self._clock, self._sync, self._ringer, self._threads
            )
        except OSError as wrong:
            raise DiskFull(f"The record of Space {space_id} cannot be opened: {wrong.strerror}.") from None

    def verify(self, space_id: SpaceId, progress: Callable[[int, int], None] | None = None) -> Proof:
        """Raises UnknownSpace, Damaged."""
        place = self._place(space_id)
        if not (place / "timeline").exists():
            raise UnknownSpace(f"There is no Space {space_id}.")
        try:
            head = Head(place / "head", write=False)
        except (FileNotFoundError, ValueError):
            committed = 0  # lost: how much there must be at its end nobody can say
        else:
            committed = head.committed
            head.close()
        return verify(place / "timeline", space_id, committed, progress)

    def close(self) -> None:
        if self._threads:
            self._threads.shutdown(wait=True)
        if self._ringer:
            self._ringer.close()

    def _place(self, space_id: SpaceId) -> Path:
        return self._spaces / space_id
