"""Titles between the bytes of a stream: nothing of the sound is lost, every title stands where it was announced."""

from hypothesis import given
from hypothesis import strategies as st

from rostra.edge import icy
from rostra.kernel.ids import SeatId, SpaceId
from rostra.space.space import Seat, Space
from rostra.space.states import State

ADA, BEN = SeatId("s1"), SeatId("s2")


def space(speaking: tuple[SeatId, ...] = (), title: str = "The big one", state: State = State.LIVE) -> Space:
    seats = {seat: Seat(seat, name, "speaker", ()) for seat, name in ((ADA, "Ada"), (BEN, "Ben"))}
    return Space(SpaceId("abcdefghjk"), state=state, title=title, host_name="Ada", seats=seats, speaking=speaking)


def taken_apart(stream: bytes) -> tuple[bytes, list[bytes]]:
    """As a player does it: the sound, and the texts that are not empty."""
    sound, titles, at = b"", [], 0
    while at < len(stream):
        sound += stream[at : at + icy.METAINT]
        at += icy.METAINT
        if at < len(stream):
            size = 16 * stream[at]
            if size:
                titles.append(stream[at + 1 : at + 1 + size])
            at += 1 + size
    return sound, titles


def test_who_speaks_stands_before_the_title() -> None:
    assert icy.title(space((BEN, ADA))) == "Ben, Ada - The big one"
    assert icy.title(space()) == "The big one"
    assert icy.title(space((ADA,), state=State.BREAK)) == "The big one (a short break)"


def test_a_block_is_counted_in_sixteens() -> None:
    block = icy.block("The big one", "http://a/s/b")
    assert block[0] * 16 == len(block) - 1
    assert block[1:].rstrip(b"\0") == b"StreamTitle='The big one';StreamUrl='http://a/s/b';"


@given(st.text(max_size=3000), st.text(max_size=3000))
def test_a_block_can_always_be_counted_and_holds_one_title(words: str, url: str) -> None:
    block = icy.block(words, url)
    text = block[1:].rstrip(b"\0").decode()
    assert len(block) == 1 + 16 * block[0]
    assert text.startswith("StreamTitle='") and text.endswith("';") and text.count("'") == 4


@given(st.lists(st.binary(max_size=3 * icy.METAINT), max_size=8), st.data())
def test_sound_and_titles_come_out_as_they_went_in(pieces: list[bytes], data: st.DataObject) -> None:
    written, left, told = b"", icy.METAINT, []
    for piece in pieces:
        due = data.draw(st.sampled_from([icy.NOTHING_NEW, icy.block("one", ""), icy.block("two", "")]))
        out, left, sent = icy.interleave(piece, left, due)
        written += out
        if sent and due != icy.NOTHING_NEW:
            told.append(due[1:])
    sound, titles = taken_apart(written)
    assert sound == b"".join(pieces)
    assert titles == told
    assert 0 < left <= icy.METAINT


def test_headers_hold_nothing_that_breaks_a_line() -> None:
    headers = dict(icy.headers(space(title="a\r\nX: y\x7f Zürich"), "http://a", 64_000))
    assert headers["icy-name"].encode("latin-1").decode() == "a  X: y  Zürich"
    assert headers["icy-br"] == "64"
