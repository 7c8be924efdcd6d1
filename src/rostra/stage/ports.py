"""What the stage needs of others, as seen from here."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rostra.timeline.ports import Writer


class MixSink(Protocol):
    """Takes the mix of one live Space. `filled_s`: what was missing on its record when it was taken up again."""

    filled_s: float

    def push(self, frame: NDArray[np.float32], *, at_us: int, away: bool) -> None:
        """The next 20 ms: 960 mono float32 samples that began at `at_us` (wall). Never waits."""

    def skip(self, frames: int) -> None:
        """So many frames were never mixed: their time passed while the room stood still."""

    async def close(self) -> None:
        """Everything pushed is on the record when this returns."""


class Broadcasting(Protocol):
    async def start(self, writer: Writer, tell: Callable[[str, str | None], None]) -> MixSink:
        """Raises DiskFull, Overloaded, Unavailable."""

    def metrics(self) -> str: ...
