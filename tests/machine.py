"""What the machine did to a process or thread, to be told from what it did itself."""

import math
import os
import threading
from pathlib import Path

_own = threading.local()


def kept_waiting_s(pid: int) -> float:
    """For how long so far its main thread could have run but got no processor. Infinite where the kernel does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return math.inf


def thread_kept_waiting_s() -> float:
    """The same of the calling thread, within two microseconds; 0 where the kernel does not say."""
    try:
        if not hasattr(_own, "schedstat"):
            _own.schedstat = _Kept("/proc/thread-self/schedstat")
        return int(os.pread(_own.schedstat.descriptor, 64, 0).split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def stolen_s() -> float:
    """Processor time that the host of this virtual machine gave to others so far, summed over the processors."""
    try:
        return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


class _Kept:
    """A file open for as long as its thread lives."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)
