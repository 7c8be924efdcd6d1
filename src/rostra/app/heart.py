"""How a role tells its supervisor that it lives: one byte down a pipe each second, from its own event loop.

The first byte means "ready". A role whose loop is stuck sends nothing and is replaced like one that died.
"""

import asyncio
import contextlib
import ctypes
import os
import signal

BEAT_S = 1.0
SILENCE_S = 20.0
"""Far beyond any garbage collection or slow disk, so that only what will not come back is killed."""

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its supervisor dies, and leave at once if that has happened already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


async def beat(pipe: int) -> None:
    """Beat for ever. A full or closed pipe is the supervisor's trouble, not ours."""
    os.set_blocking(pipe, False)
    while True:
        with contextlib.suppress(OSError):
            os.write(pipe, b".")
        await asyncio.sleep(BEAT_S)
