"""A library in memory and Spaces made to order, for tests of the door."""

from collections.abc import Callable
from dataclasses import replace

from rostra.kernel.clock import ManualClock
from rostra.kernel.errors import UnknownSpace
from rostra.kernel.ids import SeatId, SpaceId
from rostra.space.space import Seat, Space
from rostra.space.states import State
from rostra.timeline.ports import Reader, Writer
from rostra.wire.http1 import Request

START_US = ManualClock().wall_us()
ADA = Seat(SeatId("s1"), "Ada Lovelace", "host", ("secret-hash",))
BEN = Seat(SeatId("s2"), "Ben", "speaker", ("other-hash",))


def space(state: State = State.LIVE, name: str = "abcdefghjk", **fields: object) -> Space:
    """A Space as it looks in that state."""
    over = state in (State.ENDED, State.CANCELLED)
    on_air = state in (State.LIVE, State.BREAK)
    plain = Space(
        SpaceId(name),
        state=state,
        title="Rivers after the flood",
        host_name="Ada Lovelace",
        starts_us=START_US + 720_000_000,
        first_starts_us=START_US + 720_000_000,
        created_us=START_US,
        live_since_us=START_US if on_air or state is State.ENDED else None,
        over_us=START_US + 3_600_000_000 if over else None,
        break_since_us=START_US if state is State.BREAK else None,
        seats={one.seat: replace(one, on_stage=on_air) for one in (ADA, BEN)},
        count=12 if on_air else 0,
        seq=57,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


class Shown:
    """A Library that only knows snapshots; `broken` ids cannot be read for now, and raise `wrong`."""

    def __init__(self, *spaces: Space) -> None:
        self.spaces = {one.id: one for one in spaces}
        self.broken: set[SpaceId] = set()
        self.wrong: Exception = OSError("the disk is busy")
        self.asked = 0

    def put(self, one: Space) -> None:
        self.spaces[one.id] = one

    def ids(self) -> list[SpaceId]:
        return list(self.spaces)

    def snapshot(self, space_id: SpaceId) -> Space:
        self.asked += 1
        if space_id in self.broken:
            raise self.wrong
        if space_id not in self.spaces:
            raise UnknownSpace(f"There is no Space {space_id}.")
        return self.spaces[space_id]

    def hear(self, heard: Callable[[SpaceId], None]) -> Callable[[], None]:
        return lambda: None

    def reader(self, space_id: SpaceId) -> Reader:
        raise UnknownSpace("the door opens no timeline")

    async def writer(self, space_id: SpaceId, *, create: bool = False) -> Writer:
        raise UnknownSpace("the door writes nothing")


def get(path: str = "/", **headers: str) -> Request:
    return Request("GET", path, path, {}, {name.replace("_", "-"): value for name, value in headers.items()})
