"""What an edge can write at once, by path."""

from typing import Protocol

from rostra.edge.count import Heard
from rostra.edge.waiting import Waiting
from rostra.wire.gathering import Gathering
from rostra.wire.http1 import Prepared


class Awaited(Protocol):
    """The channel of a part that is to come, as far as it matters to those who wait for it.

    Attributes:
        ears: where they are heard.
        waiting: all who wait for something of it.
    """

    ears: Heard
    waiting: Waiting

    def forget_the_gone(self) -> None:
        """Let go of those who wait no more."""


class Hot(dict[str, tuple[Prepared, Heard]]):
    """Answers by path, with where who asks for them is heard: what the short way through looks at.

    Attributes:
        coming: the parts that may be waited for, by path: of which channel, and who waits already.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coming: dict[str, tuple[Awaited, Gathering]] = {}
