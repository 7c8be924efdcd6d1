"""Those in step: who stands where another stands gets the same bytes, and nobody is lost or doubled by coming and going."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rostra.edge.listener import Listener
from rostra.edge.ranks import Ranks


def listener(left: int = 0, told: int = 0, first: int = 0, file: int = -1) -> Listener:
    stream: Any = None
    one = Listener(stream, lambda: None)
    one.left, one.told, one.first, one.file = left, told, first, file
    return one


def test_who_stands_at_the_same_place_is_in_one_group_with_the_sockets_side_by_side() -> None:
    ranks = Ranks()
    for file in range(3):
        ranks.take(listener(left=7, file=file))
    ranks.take(listener(left=8, file=9))
    assert [list(group.files) for group in ranks.groups()] == [[0, 1, 2], [9]]
    assert len(ranks) == 4


def test_who_leaves_leaves_the_others_places_as_they_are() -> None:
    ranks = Ranks()
    some = [listener(file=file) for file in range(4)]
    for one in some:
        ranks.take(one)
    (group,) = ranks.groups()
    group.drop(some[1])
    assert list(group.files) == [0, -1, 2, 3]
    assert ranks.listeners() == [some[0], some[2], some[3]]
    assert some[1].group is None


def test_groups_that_come_to_stand_at_the_same_place_become_one_when_no_round_is_under_way() -> None:
    ranks = Ranks()
    ranks.take(listener(left=100, file=1))
    ranks.take(listener(left=200, file=2))
    for group in ranks.step():
        ranks.stand(group, 50, 0)
    assert [list(group.files) for group in ranks.groups()] == [[1], [2]]
    ranks.tidy()
    assert [list(group.files) for group in ranks.groups()] == [[1, 2]]


@given(st.lists(st.tuples(st.sampled_from(["take", "drop", "step", "tidy"]), st.integers(0, 5)), max_size=60))
def test_whatever_happens_each_is_in_one_group_at_its_place(doings: list[tuple[str, int]]) -> None:
    ranks, inside = Ranks(), []
    for what, number in doings:
        if what == "take":
            inside.append(listener(left=number, file=len(inside)))
            ranks.take(inside[-1])
        elif what == "drop" and inside:
            gone = inside.pop(number % len(inside))
            assert gone.group is not None
            gone.group.drop(gone)
        elif what == "step":
            for group in ranks.step():
                ranks.stand(group, group.left // 2, 0)
        elif what == "tidy":
            ranks.tidy()
        assert Counter(map(id, ranks.listeners())) == Counter(map(id, inside))
        assert len(ranks) == len(inside)
        for one in inside:
            assert one.group is not None
            assert one.group.members[one.place] is one
            assert one.group.files[one.place] == one.file
