"""The crowd of a stream: whatever listeners do, each gets whole parts, in order, once, and nobody more than the ring."""

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rostra.edge import crowd as crowds
from rostra.edge import icy
from rostra.edge.crowd import BURST_PARTS, RING_PARTS, Crowd
from rostra.edge.listener import Listener
from rostra.edge.rounds import AT_A_TIME
from rostra.edge.tally import Tally
from rostra.wire.fanout import Each
from rostra.wire.stream import Stream

TAIL = b"<end>"


def part(number: int) -> bytes:
    """Of uneven length, and telling its number at any cut."""
    return f"[{number}:".encode() + b"." * (1500 + number * 37 % 900) + b"]"


@dataclass(frozen=True)
class Whole:
    """A part that is the same in every stream."""

    body: bytes

    def since(self, _: int) -> bytes:
        return self.body


@dataclass(frozen=True)
class Counted:
    """A part that says how many came before it."""

    number: int

    def since(self, first: int) -> bytes:
        return part(self.number - first)


def numbers(sound: bytes) -> list[int]:
    """The parts that were heard; ValueError if one was torn."""
    heard = []
    while sound:
        number = int(sound[1 : sound.index(b":")])
        if not sound.startswith(part(number)):
            raise ValueError(f"part {number} is torn")
        heard.append(number)
        sound = sound[len(part(number)) :]
    return heard


class Kernel:
    """One listener's side of a connection: takes what is written as long as there is room."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.full = False
        self.paused = False
        self.over = False
        self.ended = 0
        self.waiting_most = 0
        self._waiting = 0
        self.stream: Stream
        self.file = -1

    def write(self, data: bytes) -> None:
        assert not self.over, "written to after the end"
        self.got += data
        if self.full:
            self._waiting += len(data)
            self.waiting_most = max(self.waiting_most, self._waiting)
            if not self.paused:
                self.paused = True
                self.stream.fall_behind()

    @property
    def transport(self) -> "Kernel":
        return self

    def is_closing(self) -> bool:
        return self.over

    def bound_unsent(self) -> None:
        """However much waits, it may."""

    def get_extra_info(self, _: str) -> None:
        """There is no socket."""

    def drain(self, *, full: bool = False) -> None:
        """All is taken that waited; `full`: and no more than that."""
        self.full, self._waiting = full, 0
        if self.paused and not self.over:
            self.paused = False
            self.stream.catch_up()

    def end_stream(self, _: bool) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = True

    def leave(self) -> None:
        self.over = True
        self.stream.lose()

    def end(self) -> None:
        self.ended += 1


def joined(crowd: Crowd, titles: bool, head: bytes = b"") -> Kernel:
    kernel = Kernel()
    connection: Any = kernel
    kernel.stream = Stream(connection, True, None)
    crowd.join(Listener(kernel.stream, kernel.end), titles, head)
    return kernel


def heard(kernel: Kernel, titled: bool) -> bytes:
    if not titled:
        return bytes(kernel.got)
    sound, at = b"", 0
    while at < len(kernel.got):
        sound += kernel.got[at : at + icy.METAINT]
        at += icy.METAINT
        if at < len(kernel.got):
            at += 1 + 16 * kernel.got[at]
    return sound


def begun(parts: int = 0) -> Crowd:
    crowd = Crowd(Tally(), Each())
    crowd.start_at(0)
    for number in range(parts):
        crowd.add(Whole(part(number)))
    return crowd


def test_a_newcomer_gets_the_newest_two_seconds_and_then_every_part() -> None:
    async def test() -> None:
        crowd = begun(10)
        one = joined(crowd, False, b"")
        assert numbers(bytes(one.got)) == [6, 7, 8, 9]
        crowd.add(Whole(part(10)))
        crowd.add(Whole(part(11)))
        await asyncio.sleep(0)
        assert numbers(bytes(one.got)) == [6, 7, 8, 9, 10, 11]

    asyncio.run(test())


def test_a_stream_that_counts_is_counted_from_where_each_began() -> None:
    async def test() -> None:
        crowd = Crowd(Tally(), Each(), counted_from_first=True)
        crowd.start_at(0)
        kernels = []
        for number in range(12):
            crowd.add(Counted(number))
            kernels.append(joined(crowd, False))
            kernels.append(joined(crowd, False))
        await asyncio.sleep(0)
        heard = [numbers(bytes(kernel.got)) for kernel in kernels]
        assert all(one == list(range(len(one))) for one in heard)
        assert [len(one) for one in heard[::2]] == [12, 12, 12, 12, 11, 10, 9, 8, 7, 6, 5, 4]

    asyncio.run(test())


def test_listeners_of_one_kind_get_the_same_bytes_object() -> None:
    async def test() -> None:
        crowd = begun(10)
        crowd.entitle(icy.block("one", ""))
        written: list[list[bytes]] = []
        for titled in (False, False, True, True):
            kernel = joined(crowd, titled)
            written.append([])
            members = crowd._ranks.listeners()
            listener = next(member for member in members if member.stream is kernel.stream)
            listener.straight = written[-1].append
        for number in range(10, 20):
            crowd.add(Whole(part(number)))
        await asyncio.sleep(0)
        plain, also_plain, titled, also_titled = written
        assert all(a is b for a, b in zip(plain, also_plain, strict=True))
        assert all(a is b for a, b in zip(titled, also_titled, strict=True))

    asyncio.run(test())


def test_a_slow_listener_is_given_what_it_missed() -> None:
    async def test() -> None:
        crowd = begun(10)
        one, other = joined(crowd, False), joined(crowd, False)
        one.full = True
        for number in range(10, 10 + RING_PARTS - 5):
            crowd.add(Whole(part(number)))
            await asyncio.sleep(0)
        assert (crowd.behind, crowd.listeners) == (1, 2)
        assert numbers(bytes(one.got))[-1] == 10  # the one that the kernel did not take, and no further one
        one.drain()
        assert crowd.behind == 0
        assert numbers(bytes(one.got)) == numbers(bytes(other.got))

    asyncio.run(test())


def test_a_listener_slower_than_the_ring_is_skipped_forward_and_that_is_counted() -> None:
    async def test() -> None:
        tally = Tally()
        crowd = Crowd(tally, Each())
        crowd.start_at(0)
        one = joined(crowd, False)
        one.full = True
        for number in range(RING_PARTS + 20):
            crowd.add(Whole(part(number)))
            await asyncio.sleep(0)
        newest = RING_PARTS + 20
        assert one.waiting_most < 3000
        one.drain()
        assert numbers(bytes(one.got)) == [0, *range(newest - BURST_PARTS, newest)]
        assert tally.parts_skipped == newest - BURST_PARTS - 1

    asyncio.run(test())


def test_at_the_end_who_is_behind_is_given_no_more_than_it_reads() -> None:
    async def test() -> None:
        crowd = begun(10)
        slow, quick, never = joined(crowd, False), joined(crowd, False), joined(crowd, False)
        slow.full = never.full = True
        for number in range(10, 10 + RING_PARTS - 5):
            crowd.add(Whole(part(number)))
            await asyncio.sleep(0)
        before = bytes(slow.got)
        crowd.end(lambda _: TAIL)
        assert quick.over and quick.got.endswith(TAIL)
        assert bytes(slow.got) == before and not slow.over and not slow.ended
        reads = 0
        while not slow.over:
            taken = len(slow.got)
            slow.drain(full=True)
            assert len(numbers(bytes(slow.got[taken:]).removesuffix(TAIL))) <= crowds._CATCH_UP_PARTS
            reads += 1
        assert slow.got == quick.got and slow.ended == 1 and reads > 3
        never.leave()
        assert never.waiting_most < 3000 and never.ended == 1 and crowd.listeners == 0

    asyncio.run(test())


def test_who_left_is_written_nothing_more_and_told_once() -> None:
    async def test() -> None:
        crowd = begun(3)
        one, two = joined(crowd, False), joined(crowd, True)
        one.leave()
        crowd.add(Whole(part(3)))
        two.leave()
        await asyncio.sleep(0)
        assert crowd.listeners == 0 and (one.ended, two.ended) == (1, 1)

    asyncio.run(test())


def test_a_turn_of_the_loop_is_shared_with_others_when_a_crowd_is_large() -> None:
    async def test() -> None:
        crowd = begun(1)
        many = [joined(crowd, False) for _ in range(3 * AT_A_TIME)]
        crowd.add(Whole(part(1)))
        served = [sum(b"[1:" in kernel.got for kernel in many)]
        while served[-1] < len(many):
            await asyncio.sleep(0)
            served.append(sum(b"[1:" in kernel.got for kernel in many))
        assert served == [AT_A_TIME, 2 * AT_A_TIME, 3 * AT_A_TIME]

    asyncio.run(test())


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["join", "titled", "add", "add", "add", "many", "full", "drain", "leave", "title", "turn"]), st.integers(0, 9)),
    max_size=120,
)  # fmt: skip


@given(OPERATIONS)
def test_whatever_happens_parts_are_whole_in_order_and_once(operations: list[tuple[str, int]]) -> None:
    async def test() -> None:
        tally = Tally()
        crowd = Crowd(tally, Each())
        crowd.start_at(0)
        kernels: list[tuple[Kernel, bool, int]] = []
        number = 0
        for name, at in operations:
            kernel = kernels[at % len(kernels)][0] if kernels else None
            match name:
                case "join" | "titled":
                    kernels.append((joined(crowd, name == "titled", b""), name == "titled", crowd.begins_with()))
                case "add" | "many":
                    for _ in range(1 if name == "add" else 7 * at):
                        crowd.add(Whole(part(number)))
                        number += 1
                case "full" if kernel is not None:
                    kernel.full = True
                case "drain" if kernel is not None:
                    kernel.drain()
                case "leave" if kernel is not None and not kernel.over:
                    kernel.leave()
                case "title":
                    crowd.entitle(icy.block(f"title {at}", ""))
                case "turn":
                    await asyncio.sleep(0)
        while crowd._rounds.running:
            await asyncio.sleep(0)
        crowd.end(lambda _: TAIL)
        for kernel, _, _ in kernels:
            kernel.drain()
        skipped = 0
        for kernel, titled, first in kernels:
            sound = heard(kernel, titled)
            ended = sound.endswith(TAIL)
            got = numbers(sound.removesuffix(TAIL))
            assert got == sorted(set(got)) and (
                not got or got[0] == first or got[0] >= first + RING_PARTS - BURST_PARTS
            )
            assert kernel.over and kernel.ended == 1
            if ended:
                assert not got or got[-1] == number - 1
                skipped += number - first - len(got)
        if all(heard(kernel, titled).endswith(TAIL) for kernel, titled, _ in kernels):
            assert tally.parts_skipped == skipped
        assert crowd.listeners == 0

    asyncio.run(test())
