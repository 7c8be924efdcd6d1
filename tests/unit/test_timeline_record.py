"""The frame of one record: what is read is what was written, and nothing else is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.kernel.errors import Damaged
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.timeline import record
from rostra.timeline.index import Entries, entry_of, row_of
from rostra.timeline.ports import Entry, Kind, PartFlag, PartMeta

STAMP = record.Stamp(1_800_000_000_000_000, 77, 5)
START = record.first_chain(SpaceId("abcdefghjk"))


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=300)), min_size=1, max_size=8))
def test_records_read_back_as_written(bodies: list[tuple[Kind, bytes]]) -> None:
    chain, file = START, b""
    for seq, (kind, body) in enumerate(bodies):
        written, chain = record.write(seq, kind, STAMP, body, chain)
        file += written
    at, linked = 0, START
    for seq, (kind, body) in enumerate(bodies):
        one = record.read(memoryview(file), at, seq, linked)
        assert (one.kind, bytes(one.body), one.stamp) == (kind, body, STAMP)
        at, linked = one.end, one.chain
    assert at == len(file)


@given(st.binary(max_size=60), st.data())
def test_any_altered_byte_is_noticed(body: bytes, data: st.DataObject) -> None:
    written, _ = record.write(3, Kind.EVENT, STAMP, body, START)
    at = data.draw(st.integers(0, len(written) - 1))
    bent = bytearray(written)
    bent[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        record.read(memoryview(bytes(bent)), 0, 3, START)


@given(st.binary(max_size=60), st.data())
def test_a_cut_record_is_noticed(body: bytes, data: st.DataObject) -> None:
    written, _ = record.write(0, Kind.EVENT, STAMP, body, START)
    with pytest.raises(Damaged):
        record.read(memoryview(written)[: data.draw(st.integers(0, len(written) - 1))], 0, 0, START)


def test_a_record_that_was_replaced_whole_breaks_the_chain_behind_it() -> None:
    first, chain = record.write(0, Kind.EVENT, STAMP, b'{"a":1}', START)
    second, _ = record.write(1, Kind.EVENT, STAMP, b"{}", chain)
    forged, _ = record.write(0, Kind.EVENT, STAMP, b'{"a":2}', START)
    file = memoryview(forged + second)
    one = record.read(file, 0, 0, START)
    with pytest.raises(Damaged, match="altered"):
        record.read(file, one.end, 1, one.chain)


def test_a_body_over_the_limit_is_never_written() -> None:
    with pytest.raises(ValueError):
        record.write(0, Kind.PART, STAMP, bytes(record.BODY_MOST + 1), START)


parts = st.builds(
    PartMeta,
    st.sampled_from(Rendition), st.integers(0, 2**32 - 1), st.sampled_from(PartFlag), st.integers(-127, 0),
    st.integers(-127, 0), st.integers(0, 2**60),
)  # fmt: skip


@given(parts, st.binary(max_size=50))
def test_what_is_said_of_a_part_survives_record_and_index(meta: PartMeta, payload: bytes) -> None:
    body = record.part_body(meta, 9, payload)
    assert record.part_meta(body) == meta
    assert body[record.PART.size :] == payload
    entry = Entry(0, Kind.PART, 5, 40, len(payload), meta)
    assert entry_of(row_of(entry), 0) == entry


def test_entries_are_a_sequence() -> None:
    rows = bytearray()
    for number in range(5):
        meta = PartMeta(Rendition.OPUS, number, PartFlag.NONE, -20, -10, number)
        rows += row_of(Entry(number, Kind.PART, 5, 40, 7, meta))
    entries = Entries(rows, range(5))
    assert [one.seq for one in entries[1:4]] == [1, 2, 3]
    assert entries[-1].part and entries[-1].part.number == 4
    assert len(entries) == 5
