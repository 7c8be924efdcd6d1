"""How many may be inside, and how many more may be open only to be told that there is no place for them."""

import resource
from typing import Protocol

BACKLOG = 4096
"""Connections that the kernel keeps for us until we take them."""


class Refused(Protocol):
    """One who is open only to be told that there is no place."""

    def dismiss(self) -> None:
        """Others wait to be told as well: say it, and close."""


class Places:
    """Attributes:
    most: connections that may be inside.
    refusals_most: connections beyond those.
    """

    def __init__(self, most: int, refusals_most: int) -> None:
        """0: what the file limit allows."""
        self.most = most or connections_allowed()
        self.refusals_most = refusals_most or refusals_allowed()
        self._refused: dict[Refused, float] = {}

    @property
    def refusing(self) -> int:
        """Connections beyond the limit, open only to be told so. They hold nobody's place."""
        return len(self._refused)

    def may_refuse(self, one: Refused, now: float) -> bool:
        """Take in one more that is told that we are full. For it the one that has kept us waiting longest goes, if it has for long."""
        if len(self._refused) >= self.refusals_most:
            oldest, since = next(iter(self._refused.items()))
            if now - since < _REFUSED_S:
                return False
            del self._refused[oldest]
            oldest.dismiss()
        self._refused[one] = now
        return True

    def leave(self, one: Refused) -> None:
        """It is closed. Harmless for one that was never refused for want of a place."""
        self._refused.pop(one, None)


def connections_allowed() -> int:
    """How many connections the file limit leaves room for: a sixteenth of it, at least 128, is kept for everything else."""
    most = _files_most()
    return max(16, most - _spare(most))


def refusals_allowed() -> int:
    """How many more may be open to be told that we are full: the spare sixteenth, less what records and the rest need."""
    spare = _spare(_files_most())
    return max(16, min(BACKLOG, spare - min(_OWN_FILES, spare // 2)))


def _files_most() -> int:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_048_576 if most == resource.RLIM_INFINITY else most


def _spare(files: int) -> int:
    return max(128, files // 16)


_OWN_FILES = 192  # records, logs, links to other roles, hands being shaken
_REFUSED_S = 1.0
