"""The same bytes to many sockets: by the kernel's ring and one by one, with the same result."""

import os
import socket
from array import array
from collections.abc import Callable, Iterator

import pytest

from rostra.wire import fanout as fanouts
from rostra.wire.fanout import AT_ONCE, Each, Fanout, Ring, fanout

Pair = tuple[socket.socket, socket.socket]


def ring() -> Ring:
    try:
        return Ring()
    except OSError as error:
        pytest.skip(f"this kernel gives no ring: {error}")


@pytest.fixture(params=[Each, ring])
def any_fanout(request: pytest.FixtureRequest) -> Iterator[Fanout]:
    made: Fanout = request.param()
    yield made
    made.close()


@pytest.fixture
def pairs() -> Iterator[Callable[[int], list[Pair]]]:
    made: list[Pair] = []

    def more(count: int) -> list[Pair]:
        new = [socket.socketpair() for _ in range(count)]
        for near, far in new:
            near.setblocking(False)
            far.setblocking(False)
        made.extend(new)
        return new

    yield more
    for near, far in made:
        near.close()
        far.close()


def files(pairs: list[Pair]) -> "array[int]":
    return array("i", [near.fileno() for near, _ in pairs])


@pytest.mark.parametrize("count", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1])
def test_each_gets_all_of_it_in_order(any_fanout: Fanout, pairs: Callable[[int], list[Pair]], count: int) -> None:
    some = pairs(count)
    said = [f"<{number}>".encode() * 50 for number in range(5)]
    for one in said:
        assert any_fanout.send(files(some), one) == []
    for _, far in some:
        assert far.recv(100_000) == b"".join(said)


def test_who_does_not_take_all_is_named_with_what_was_taken(
    any_fanout: Fanout, pairs: Callable[[int], list[Pair]]
) -> None:
    some = pairs(9)
    full, gone, closed, tight = some[1][0], some[3], some[5][0], some[7]
    full.setblocking(False)
    try:
        while full.send(bytes(65536)):
            pass
    except BlockingIOError:
        pass
    gone[1].close()
    numbers = files(some)
    numbers[5] = -1
    closed.close()
    much = os.urandom(1_000_000)
    short = dict(any_fanout.send(numbers, b"some"))
    assert set(short) == {1, 3, 5} and set(short.values()) == {0}
    short = dict(any_fanout.send(numbers, much))
    assert set(short) == set(range(9))
    taken = short[7]
    assert 0 < taken < len(much)
    got = b""
    while len(got) < 4 + taken:
        got += tight[1].recv(100_000)
    assert got == b"some" + much[:taken]


def test_no_signal_ends_us_and_a_number_that_is_no_socket_harms_nobody(
    any_fanout: Fanout, pairs: Callable[[int], list[Pair]]
) -> None:
    some = pairs(3)
    numbers = files(some)
    numbers[1] = 2**31 - 1
    assert any_fanout.send(numbers, b"a") == [(1, 0)]
    assert [far.recv(9) for _, far in (some[0], some[2])] == [b"a", b"a"]


def test_a_ring_that_the_kernel_refuses_is_left_for_single_writes(
    pairs: Callable[[int], list[Pair]], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = pairs(AT_ONCE + 10)
    broken = ring()

    def refuse(*_: int) -> int:
        raise OSError(16, "busy")

    with monkeypatch.context() as patch:
        patch.setattr(fanouts, "_system_call", refuse)
        short = broken.send(files(some), b"one")
    # What the ring did not do is said; from then on, nothing is asked of it.
    assert short == [(place, 0) for place in range(AT_ONCE)]
    assert broken.send(files(some), b"two") == []
    assert some[0][1].recv(99) == b"two" and some[-1][1].recv(99) == b"onetwo"


def test_after_its_end_it_still_writes(any_fanout: Fanout, pairs: Callable[[int], list[Pair]]) -> None:
    some = pairs(2)
    any_fanout.close()
    any_fanout.close()
    assert any_fanout.send(files(some), b"late") == []


def test_where_no_ring_is_to_be_had_each_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: int) -> int:
        raise PermissionError(1, "not allowed here")

    monkeypatch.setattr(fanouts, "_system_call", forbidden)
    assert isinstance(fanout(), Each)


def test_a_ring_leaves_no_file_open() -> None:
    ring().close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        ring().close()
    assert len(os.listdir("/proc/self/fd")) == before
