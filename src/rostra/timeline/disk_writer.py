"""The pen of a timeline on disk: one file, written at its end only, forced to disk before anybody is told."""

import asyncio
import contextlib
import ctypes
import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from rostra.kernel.clock import Clock
from rostra.kernel.errors import DiskFull, Overloaded, Unavailable
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.events import Event, Speaking, from_json
from rostra.space.space import Space, evolve, to_plain
from rostra.timeline import index, record
from rostra.timeline.bell import Ringer
from rostra.timeline.disk_reader import read_record, snapshot_in
from rostra.timeline.ports import Entry, Kind, PartMeta, RoomLeft

PENDING_MOST: Final = 4096
"""Records that may wait for the disk (at two parts each half second: seventeen minutes). One more raises Overloaded."""
_SEGMENT_S: Final = 4.0
_CLOSE_S: Final = 10.0
_PIECE_BYTES: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_Framed = tuple[Entry, bytes, bytes, record.Stamp]  # the record's bytes and its index row
_Pending = tuple[Kind, bytes, PartMeta | None, Rendition | None, asyncio.Future[int]]


class DiskWriter:
    """See ports.Writer. Records that arrive while the disk is busy share the next write and its one sync."""

    def __init__(
        self, place: Path, space_id: SpaceId, clock: Clock, sync: str, ringer: Ringer, executor: Executor
    ) -> None:
        """Opens, or makes, the record in `place` and recovers it. Blocking: call it off the loop."""
        self._id, self._clock, self._sync, self._ringer, self._executor = space_id, clock, sync, ringer, executor
        self._place = place
        self._boot = record.boot_hash(clock.boot_id())
        self._space = Space(space_id)
        self._chain = record.first_chain(space_id)
        self._size = 0
        self._seq = 0
        self._last_parts: dict[Rendition, Entry] = {}
        self._next_part = dict.fromkeys(Rendition, 0)
        self.damaged: tuple[int, ...] = ()
        self._inits: set[Rendition] = set()
        self._stamps: dict[int, record.Stamp] = {}
        self._cut_bytes = 0
        self._pending: list[_Pending] = []
        self._flushing: asyncio.Task[None] | None = None
        self._reserve_bytes = 0
        self._reserved_to = 0
        self._synced_at = 0.0
        self._closed = False
        self._fd = os.open(place / "timeline", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._index_fd = os.open(place / "index", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._head = index.Head(place / "head", write=True)
        try:
            self._recover(self._head.committed)
        except BaseException:
            self._release()
            raise

    @property
    def space_id(self) -> SpaceId:
        return self._id

    @property
    def space(self) -> Space:
        return self._space

    @property
    def last_parts(self) -> Mapping[Rendition, Entry]:
        return self._last_parts

    @property
    def inits(self) -> frozenset[Rendition]:
        return frozenset(self._inits)

    @property
    def cut_bytes(self) -> int:
        return self._cut_bytes

    async def append_event(self, event: Event) -> int:
        return await self._append(Kind.EVENT, event.to_json(), None, None)

    async def append_init(self, rendition: Rendition, payload: bytes) -> int:
        if rendition in self._inits:
            raise ValueError(f"the {rendition.name} init segment is on the record already")
        self._inits.add(rendition)
        try:
            return await self._append(Kind.INIT, bytes([rendition]) + payload, None, rendition)
        except BaseException:
            self._inits.discard(rendition)
            raise

    async def append_part(self, meta: PartMeta, payload: bytes) -> int:
        return await self.append_parts([(meta, payload)])

    async def append_parts(self, parts: Sequence[tuple[PartMeta, bytes]]) -> int:
        boot_us = self._clock.boot_us()
        waits = [
            self._enqueue(Kind.PART, record.part_body(meta, boot_us, payload), meta, meta.rendition)
            for meta, payload in parts
        ]
        return (await asyncio.gather(*waits))[-1]

    def age_us(self, entry: Entry) -> int:
        stamp = self._stamps.get(entry.seq)
        if stamp and stamp.boot == self._boot:
            return max(0, self._clock.boot_us() - stamp.boot_us)
        return max(0, self._clock.wall_us() - entry.at_us)

    def reserve(self, size_bytes: int) -> None:
        self._reserve_bytes = size_bytes
        self._extend_reserve()

    def room(self) -> RoomLeft:
        disk = os.fstatvfs(self._fd)
        return RoomLeft(max(0, self._reserved_to - self._size), disk.f_bavail * disk.f_frsize)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._flushing:
            await asyncio.wait([self._flushing], timeout=_CLOSE_S)
        if self._flushing:
            # A thread still waits for the disk: the files are its own until it is done.
            self._flushing.add_done_callback(lambda _: self._release())
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._size)  # gives back the reserve, which lies behind the end
            os.fdatasync(self._fd)
        self._release()

    async def _append(self, kind: Kind, body: bytes, meta: PartMeta | None, rendition: Rendition | None) -> int:
        return await self._enqueue(kind, body, meta, rendition)

    def _enqueue(
        self, kind: Kind, body: bytes, meta: PartMeta | None, rendition: Rendition | None
    ) -> asyncio.Future[int]:
        if self._closed:
            raise Unavailable("This timeline is closed.")
        if len(self._pending) >= PENDING_MOST:
            raise Overloaded("The disk does not keep up with the record.", retry_after_s=5)
        if meta is not None:
            if meta.number != self._next_part[meta.rendition]:
                wanted = self._next_part[meta.rendition]
                raise ValueError(f"{meta.rendition.name} part {meta.number} where part {wanted} is next")
            self._next_part[meta.rendition] += 1
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        self._pending.append((kind, body, meta, rendition, done))
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush(), name=f"timeline {self._id}")
        return done

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                framed, chain = self._frame(batch)
                data = b"".join(one for _, one, _, _ in framed)
                rows = b"".join(row for _, _, row, _ in framed)
                event = any(kind is Kind.EVENT for kind, *_ in batch)
                try:
                    await loop.run_in_executor(self._executor, self._commit, data, rows, event)
                except OSError as wrong:
                    self._give_up(batch, _said(wrong))
                else:
                    self._chain, self._size = chain, self._size + len(data)
                    self._take_in(batch, framed)
        finally:
            self._flushing = None

    def _frame(self, batch: list[_Pending]) -> tuple[list[_Framed], bytes]:
        """The batch as it would follow what is committed, and the chain value after it. Changes nothing."""
        stamp = record.Stamp(self._clock.wall_us(), self._clock.boot_us(), self._boot)
        chain, seq, at = self._chain, self._seq, self._size
        framed: list[_Framed] = []
        for kind, body, meta, rendition, _ in batch:
            written, chain = record.write(seq, kind, stamp, body, chain)
            entry = index.entry_at(seq, kind, stamp.at_us, at, len(body), meta)
            framed.append((entry, written, index.row_of(entry, rendition), stamp))
            seq, at = seq + 1, at + len(written)
        return framed, chain

    def _give_up(self, batch: list[_Pending], failure: Exception) -> None:
        """Nothing of the batch is on the record. What was enqueued behind it builds on its numbers, so it fails too."""
        batch, self._pending = batch + self._pending, []
        for one in Rendition:
            entry = self._last_parts.get(one)
            self._next_part[one] = entry.part.number + 1 if entry and entry.part else 0
        for *_, done in batch:
            if not done.done():
                done.set_exception(failure)
                done.exception()  # a caller that was cancelled does not hear it; that is no fault of ours

    def _commit(self, data: bytes, rows: bytes, now: bool) -> None:
        """In a thread: write, and force to disk. `now`: do not wait for the segment. Raises OSError; what is committed is then unharmed."""
        _write_all(self._fd, data, self._size)
        elapsed = time.monotonic() - self._synced_at
        if self._sync == "part" or self._sync == "segment" and (now or elapsed >= _SEGMENT_S):
            os.fdatasync(self._fd)
            self._synced_at = time.monotonic()
        _write_all(self._index_fd, rows, self._seq * index.ROW.size)
        if self._reserve_bytes and self._reserved_to - self._size - len(data) < self._reserve_bytes // 2:
            self._extend_reserve()

    def _take_in(self, batch: list[_Pending], framed: list[_Framed]) -> None:
        """Publish: only now may a reader see the batch."""
        self._seq += len(framed)
        self._head.committed = self._seq
        told = False
        for (kind, body, *_, done), (entry, _, _, stamp) in zip(batch, framed, strict=True):
            if entry.part:
                self._remember(entry, stamp)
            if kind is Kind.EVENT:
                event = from_json(body)
                self._space = evolve(self._space, event, entry.at_us, entry.seq)
                told |= not isinstance(event, Speaking)
            if not done.done():
                done.set_result(entry.seq)
        if told:
            self._write_snapshot()
        self._ringer.ring(self._id)

    def _remember(self, entry: Entry, stamp: record.Stamp) -> None:
        assert entry.part
        old = self._last_parts.get(entry.part.rendition)
        if old:
            self._stamps.pop(old.seq, None)
        self._next_part[entry.part.rendition] = max(self._next_part[entry.part.rendition], entry.part.number + 1)
        self._last_parts[entry.part.rendition] = entry
        self._stamps[entry.seq] = stamp

    def _write_snapshot(self) -> None:
        """The small file that doors read. Derived: when it cannot be written, readers fold the record instead."""
        text = json.dumps(to_plain(self._space), ensure_ascii=False, separators=(",", ":"))
        fresh = self._place / "snapshot.new"
        try:
            fresh.write_text(text, "utf-8")
            os.replace(fresh, self._place / "snapshot")
        except OSError:
            with contextlib.suppress(OSError):
                (self._place / "snapshot").unlink()

    def _extend_reserve(self) -> None:
        """Ask for blocks behind the end of the file without making it longer (Linux; elsewhere nothing is reserved)."""
        wanted = self._size + self._reserve_bytes
        if not self._reserve_bytes or wanted <= self._reserved_to:
            return
        if _allocate(self._fd, self._size, self._reserve_bytes):
            self._reserved_to = wanted
        _allocate(self._index_fd, 0, (self._seq + 16_384) * index.ROW.size)

    def _recover(self, committed: int) -> None:
        """Read the record from its first byte, cut a torn end, make the index and the fold anew."""
        size = os.fstat(self._fd).st_size
        old_rows = os.pread(self._index_fd, os.fstat(self._index_fd).st_size, 0)
        found = read_record(self._fd, self._id, committed, old_rows, snapshot_in(self._place))
        if size > found.size:
            if found.disorder:
                self._keep_aside(found.size, size)
            self._cut_bytes = size - found.size
            os.ftruncate(self._fd, found.size)
            os.fdatasync(self._fd)
        self._space, self._chain, self._size, self._seq = found.space, found.chain, found.size, found.seq
        self._inits, self.damaged = found.inits, found.damaged
        for entry, stamp in found.last_parts.values():
            self._remember(entry, stamp)
        _write_all(self._index_fd, bytes(found.rows), 0)
        os.ftruncate(self._index_fd, len(found.rows))
        self._head.committed = self._seq
        self._write_snapshot()

    def _keep_aside(self, start: int, stop: int) -> None:
        """What is cut off is more than a torn record, so it is not destroyed. Raises OSError where there is no room for it."""
        aside = os.open(
            self._place / f"timeline.cut-{start}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        try:
            for at in range(start, stop, _PIECE_BYTES):
                _write_all(aside, os.pread(self._fd, min(_PIECE_BYTES, stop - at), at), at - start)
            os.fdatasync(aside)
        finally:
            os.close(aside)

    def _release(self) -> None:
        self._head.close()
        os.close(self._fd)
        os.close(self._index_fd)


def _write_all(fd: int, data: bytes, at: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(fd, left, at)
        left, at = left[written:], at + written


def _said(wrong: OSError) -> Exception:
    if wrong.errno in _FULL:
        return DiskFull("The disk is full: the record cannot grow. Free some space; it goes on by itself.")
    return Unavailable(f"The disk refused the record: {wrong.strerror}.")


_FALLOC_KEEP_SIZE = 1


def _allocate(fd: int, at: int, size: int) -> bool:
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return False
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return bool(fallocate(fd, _FALLOC_KEEP_SIZE, at, size) == 0)
