"""When a room's clock ticks: every 20 ms, by deadlines that do not drift. Knows no clock itself.

After a stall the missed ticks are made up for, in order, so that the broadcast loses nothing that has arrived; a stall too long
for that is left out.
"""

from typing import Final

from rostra.sound.renditions import FRAME, RATE
from rostra.stage.room import STALLED_S

TICK_S: Final = FRAME / RATE
CATCH_UP_TICKS: Final = 50  # a second; a longer stall is left out


class Beat:
    """Attributes:
    due: the moment of the next tick.
    catching_up: the tick that began last was late by more than one.
    """

    def __init__(self, now: float) -> None:
        self.due = now
        self.catching_up = False

    def wait_s(self, now: float) -> float:
        """How long until the next tick; 0 or less: it is due."""
        return self.due - now

    def stalled(self, now: float) -> bool:
        """We have stood still, and notice it now: what arrived meanwhile should be read before the next tick."""
        return now - self.due > STALLED_S and not self.catching_up

    def begin(self, now: float) -> int:
        """The tick begins. So many before it are too many to make up for, and are over: `due` has moved on by them."""
        late = int((now - self.due) / TICK_S)
        self.catching_up = late > 1
        if late <= CATCH_UP_TICKS:
            return 0
        self.due += late * TICK_S
        return late

    def end(self) -> None:
        """It is done."""
        self.due += TICK_S
