"""The same bytes to many sockets at once.

One system call for hundreds of sockets instead of one for each: the kernel takes the list from a ring that it shares with us
(io_uring(7), Linux 5.6 or later). Each socket is tried once, as by a write that does not wait, and all have been tried when `send`
returns. Where there is no ring (an older kernel, a container that forbids it), each is written to by itself.
"""

import ctypes
import mmap
import os
from array import array
from collections.abc import Callable
from typing import Final, Protocol

AT_ONCE: Final = 512
"""Sockets for one system call, a power of two."""

Short = list[tuple[int, int]]
"""Those who did not take all: their place in the list, and how many bytes they took. Their own connection finds out why."""


class Fanout(Protocol):
    def send(self, files: "array[int]", data: bytes) -> Short:
        """Write `data` to each of these sockets, which do not wait. What is no socket (-1) takes nothing."""

    def close(self) -> None: ...


def fanout() -> Fanout:
    """The best there is on this machine. It belongs to the process and the thread that asked for it."""
    try:
        return Ring()
    except OSError:
        return Each()


class Each:
    """One system call for each socket."""

    def send(self, files: "array[int]", data: bytes) -> Short:
        short: Short = []
        size, write = len(data), os.write
        for place, file in enumerate(files):
            try:
                sent = write(file, data)
            except OSError:
                sent = 0
            if sent != size:
                short.append((place, sent))
        return short

    def close(self) -> None:
        """Nothing is kept."""


class Ring:
    """One system call for up to AT_ONCE sockets.

    The layout of the rings and of their entries is the kernel's (linux/io_uring.h).

    Raises:
        OSError: there are none here.
    """

    def __init__(self) -> None:
        said = (ctypes.c_uint32 * 30)()
        self._file = _system_call(_SETUP, AT_ONCE, ctypes.addressof(said))
        entries, completions = said[0], said[1]
        tail, mask, slots = said[11], said[12], said[16]
        completed_head, completed_tail, completed_mask, completed = said[20], said[21], said[22], said[25]
        try:
            shared = mmap.mmap(self._file, max(slots + 4 * entries, completed + 16 * completions), offset=_RINGS_AT)
            asked = mmap.mmap(self._file, _ENTRY * entries, offset=_ENTRIES_AT)
        except OSError:
            os.close(self._file)
            raise
        self._maps = shared, asked
        words = memoryview(shared).cast("I")
        self._tail, self._completed_head, self._completed_tail = tail // 4, completed_head // 4, completed_tail // 4
        self._words = words
        self._mask, self._completed_mask = words[mask // 4], words[completed_mask // 4]
        self._results = memoryview(shared)[completed : completed + 16 * completions].cast("i")
        numbers, longs = memoryview(asked).cast("i"), memoryview(asked).cast("Q")
        self._files, self._sizes = numbers[1::16], numbers[6::16]
        self._addresses = longs[2::8]
        for slot in range(entries):
            words[slots // 4 + slot] = slot
            numbers[16 * slot] = _SEND
            numbers[16 * slot + 7] = _DO_NOT_WAIT | _NO_SIGNAL
            longs[8 * slot + 4] = slot  # comes back with the result
        self._each: Each | None = None

    def send(self, files: "array[int]", data: bytes) -> Short:
        short: Short = []
        done = 0
        while done < len(files):
            if self._each is not None:
                return short + [(done + place, sent) for place, sent in self._each.send(files[done:], data)]
            # The entries are a ring; what would run over its end is for the next call.
            begin = self._words[self._tail] & self._mask
            count = min(len(files) - done, self._mask + 1 - begin)
            short += self._send(files[done : done + count], data, begin, done)
            done += count
        return short

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._each = Each()

    def _send(self, files: "array[int]", data: bytes, begin: int, done: int) -> Short:
        count, size, words = len(files), len(data), self._words
        kept = ctypes.c_char_p(data)
        address = ctypes.cast(kept, ctypes.c_void_p).value or 0
        end = begin + count
        self._files[begin:end] = memoryview(files)
        sizes = array("i", [size]) * count
        self._sizes[begin:end] = memoryview(sizes)
        self._addresses[begin:end] = memoryview(array("Q", [address]) * count)
        words[self._tail] = (words[self._tail] + count) & _WORD
        try:
            self._enter(count)
        except OSError:
            # What the kernel has not taken it must not find later; what it has taken is told by its results.
            self.close()
        first = words[self._completed_head] & self._completed_mask
        came = (words[self._completed_tail] - words[self._completed_head]) & _WORD
        results = self._results[4 * first : 4 * (first + came)]
        words[self._completed_head] = words[self._completed_tail]
        if came == count and results[2::4] == memoryview(sizes):
            return []
        sent = [0] * count
        for at in range(0, len(results), 4):
            sent[results[at] - begin] = max(0, results[at + 2])
        return [(done + place, bytes_) for place, bytes_ in enumerate(sent) if bytes_ != size]

    def _enter(self, count: int) -> None:
        """Let the kernel do what was asked, and come back when all of it is done."""
        words, before = self._words, self._words[self._completed_head]
        given = 0
        while (came := (words[self._completed_tail] - before) & _WORD) < count:
            try:
                given += _system_call(_ENTER, self._file, count - given, count - came, _WAIT_FOR_RESULTS, 0, 0)
            except InterruptedError:
                continue


def _system_call(*values: int) -> int:
    """Raises OSError with what the kernel said."""
    done: int = _libc_syscall(*map(ctypes.c_long, values))
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done


_libc_syscall: Callable[..., int] = ctypes.CDLL(None, use_errno=True).syscall
_libc_syscall.restype = ctypes.c_long  # type: ignore[attr-defined]
_SETUP, _ENTER = 425, 426
_WAIT_FOR_RESULTS = 1
_RINGS_AT, _ENTRIES_AT = 0, 0x10000000
_ENTRY = 64
_SEND = 26
_DO_NOT_WAIT, _NO_SIGNAL = 0x40, 0x4000
_WORD = 0xFFFFFFFF
