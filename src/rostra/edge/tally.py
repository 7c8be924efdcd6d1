"""What became of the parts of this edge's endless streams, as plain numbers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Attributes:
    parts_written: to listeners, one for each.
    fell_behind: times a listener's buffer was full.
    parts_skipped: left out for listeners who came back too late.
    """

    parts_written: int = 0
    fell_behind: int = 0
    parts_skipped: int = 0
