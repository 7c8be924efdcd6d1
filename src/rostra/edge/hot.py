"""What an edge can write at once, by path."""

from typing import TYPE_CHECKING

from rostra.edge.count import Heard
from rostra.wire.gathering import Gathering
from rostra.wire.http1 import Prepared

if TYPE_CHECKING:
    from rostra.edge.channel import Channel


class Hot(dict[str, tuple[Prepared, Heard]]):
    """Answers by path, with where who asks for them is heard: what the short way through looks at.

    Attributes:
        coming: the parts that may be waited for, by path: where that is, and who waits already.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coming: dict[str, tuple[Channel, Gathering]] = {}
