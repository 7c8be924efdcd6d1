"""Pieces on their way: in order, in turns, and to those who were there when they came."""

import asyncio
from array import array
from typing import Any

from rostra.edge.listener import Group, Listener
from rostra.edge.rounds import AT_A_TIME, Round, Rounds
from rostra.edge.tally import Tally


class Wire:
    """Takes all that is sent, but nothing for those who are full."""

    def __init__(self) -> None:
        self.sent: list[tuple[list[int], bytes]] = []
        self.full: set[int] = set()

    def send(self, files: "array[int]", data: bytes) -> list[tuple[int, int]]:
        self.sent.append((list(files), data))
        return [(place, 1) for place, file in enumerate(files) if file in self.full]

    def close(self) -> None:
        """Nothing is kept."""


def group(count: int) -> tuple[Group, list[Listener]]:
    made, members = Group(0, 0, 0), []
    for file in range(count):
        stream: Any = None
        members.append(Listener(stream, lambda: None))
        members[-1].file = file
        made.take(members[-1])
    return made, members


def test_pieces_go_out_in_order_so_many_a_turn_and_the_end_is_told_once() -> None:
    async def test() -> None:
        wire, tally, over = Wire(), Tally(), []
        rounds = Rounds(wire, tally, lambda: over.append(True))
        many, _ = group(2 * AT_A_TIME)
        assert rounds.oldest is None
        rounds.add(Round(many, len(many), b"one", 1, 0, 0))
        rounds.add(Round(many, len(many), b"two", 2, 0, 0))
        rounds.run()
        assert (rounds.running, rounds.oldest, len(wire.sent)) == (True, 1, 1)
        rounds.run()  # as when a part comes meanwhile
        assert len(wire.sent) == 1
        while rounds.running:
            assert not over
            await asyncio.sleep(0)
        assert [(len(files), data) for files, data in wire.sent] == [(AT_A_TIME, b"one")] * 2 + [
            (AT_A_TIME, b"two")
        ] * 2
        assert (over, tally.parts_written, rounds.oldest) == ([True], 4 * AT_A_TIME, None)

    asyncio.run(test())


def test_who_comes_while_a_piece_is_on_its_way_is_not_given_it_and_who_left_is_passed_over() -> None:
    async def test() -> None:
        wire = Wire()
        rounds = Rounds(wire, Tally(), lambda: None)
        some, members = group(3)
        rounds.add(Round(some, len(some), b"one", 1, 0, 0))
        some.drop(members[1])
        some.take(members[1])
        rounds.run()
        assert wire.sent == [([0, -1, 2], b"one")]

    asyncio.run(test())


def test_what_the_kernel_did_not_take_goes_the_listeners_own_way() -> None:
    async def test() -> None:
        wire = Wire()
        wire.full = {1}
        rounds = Rounds(wire, Tally(), lambda: None)
        some, members = group(3)
        rest: list[tuple[bytes, int | None]] = []
        members[1].straight = lambda data: rest.append((data, rounds.writing and rounds.writing.number))
        rounds.add(Round(some, len(some), b"one", 1, 0, 0))
        rounds.run()
        assert rest == [(b"ne", 1)]
        assert rounds.writing is None

    asyncio.run(test())


def test_nothing_is_written_after_all_is_given_up() -> None:
    async def test() -> None:
        wire = Wire()
        rounds = Rounds(wire, Tally(), lambda: None)
        many, _ = group(2 * AT_A_TIME)
        rounds.add(Round(many, len(many), b"one", 1, 0, 0))
        rounds.run()
        rounds.clear()
        await asyncio.sleep(0)
        assert (len(wire.sent), rounds.running) == (1, False)

    asyncio.run(test())
