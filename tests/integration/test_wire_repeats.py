"""What comes again and again is known by its bytes: nothing is taken for another's, and nothing grows without bound."""

from wire_world import GET, HELLO, Bench, head_and_body, run

from rostra.wire.http1 import Prepared, Request
from rostra.wire.repeats import AGAIN_MOST, Again, Repeats


def request(path: str = "/") -> Request:
    return Request("GET", path, path, {}, {"host": "a"})


def told(_: object) -> bool:
    return True


AGAIN: Again = told


def known(repeats: Repeats, data: bytes) -> Request:
    """What is known by these bytes, in hand now."""
    one = request(data.decode())
    for _ in range(2):
        repeats.remember(data, one)
    repeats.current = data
    return one


def test_bytes_are_known_from_their_second_time_on_if_they_are_short() -> None:
    repeats = Repeats()
    one = request()
    repeats.remember(b"once", one)
    assert not repeats.known
    repeats.remember(b"once", one)
    assert repeats.known == {b"once": one}
    for _ in range(3):
        repeats.remember(b"x" * 1025, one)
    assert len(repeats.known) == 1


def test_what_to_do_is_kept_for_the_request_in_hand_and_no_other() -> None:
    repeats = Repeats()
    mine = known(repeats, b"/mine")
    repeats.keep(request("/another"), AGAIN)
    assert not repeats.again
    repeats.keep(mine, AGAIN)
    assert repeats.again == {b"/mine": AGAIN}
    repeats.current = None
    repeats.forget()
    repeats.keep(mine, AGAIN)
    assert not repeats.again


def test_however_many_come_what_is_kept_is_bounded() -> None:
    repeats = Repeats()
    for number in range(2 * AGAIN_MOST):
        repeats.keep(known(repeats, b"/%d" % number), AGAIN)
    assert len(repeats.again) <= AGAIN_MOST
    assert len(repeats.known) <= 4096
    assert len(repeats._seen) <= 16384


def test_a_lasting_answer_is_given_to_the_same_bytes_and_everyone_is_told_of_but_not_for_long() -> None:
    async def play(bench: Bench) -> None:
        links = [await bench.connect() for _ in range(3)]

        async def each() -> list[bytes]:
            got = []
            for reader, writer in links:
                writer.write(GET % b"/lasting")
                got.append((await reader.readuntil(b"hello" if bench.lasting is HELLO else b"other"))[-5:])
            return got

        bench.server._sweeper.cancel()  # time stands still for the sweep
        for _ in range(3):
            assert await each() == [b"hello"] * 3
        assert len(bench.server.repeats.again) == 1
        assert len(bench.told) == 9 and len(set(bench.told)) == 3
        assert bench.counters.requests == 9
        bench.lasting = Prepared(200, [], b"other")
        bench.server._sweep()
        assert not bench.server.repeats.again
        assert await each() == [b"other"] * 3
        for _, writer in links:
            writer.close()

    run(play)


def test_only_a_plain_get_that_was_alone_gets_a_lasting_answer() -> None:
    async def play(bench: Bench) -> None:
        for _ in range(3):
            got = await bench.ask(b"HEAD /lasting HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert got.endswith(b"\r\n\r\n")
            two = await bench.ask((GET % b"/lasting") + b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert two.count(b"HTTP/1.1 200") == 2
        assert not bench.server.repeats.again

    run(play)


def test_thousands_of_different_requests_leave_nothing_behind() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        for number in range(0, 2000, 4):
            writer.write(b"".join(GET % b"/hello?n=%d" % n for n in range(number, number + 4)))
            for _ in range(4):
                await head_and_body(reader)
        assert len(bench.server.repeats.known) <= 4096
        assert bench.counters.requests == 2000
        writer.close()

    run(test)
