import re

from hypothesis import given
from hypothesis import strategies as st

from rostra.control.scrape import merge
from rostra.kernel import metrics


def test_a_family_of_several_roles_stands_together_once() -> None:
    page = metrics.family("rostra_open", "gauge", "Connections open.", [(None, 3), ({"kind": "a b"}, 4.5)])
    merged = merge({"door": page, "edge": page})
    assert merged.count("# TYPE rostra_open gauge") == 1
    assert merged.endswith(
        'rostra_open{role="door"} 3\n'
        'rostra_open{role="door",kind="a b"} 4.5\n'
        'rostra_open{role="edge"} 3\n'
        'rostra_open{role="edge",kind="a b"} 4.5\n'
    )


def test_a_role_that_is_away_is_shown_as_down() -> None:
    merged = merge({"door": "", "edge": None})
    assert 'rostra_up{role="door"} 1\nrostra_up{role="edge"} 0\n' in merged


def test_a_role_cannot_speak_for_another_or_break_the_page() -> None:
    merged = merge({"edge": 'rostra_up{role="stage"} 1\nnonsense {{{\n\n# HELP\nrostra_x{role="edge"} 1\n'})
    assert merged.splitlines()[2:] == ['rostra_up{role="edge"} 1', 'rostra_x{role="edge"} 1']


def test_a_histogram_stays_one_family() -> None:
    page = (
        "# TYPE rostra_wait_s histogram\n"
        + 'rostra_wait_s_bucket{le="1"} 2\nrostra_wait_s_sum 3\nrostra_wait_s_count 2\n'
    )
    lines = merge({"edge": page, "door": page}).splitlines()[4:]
    assert lines[0] == "# TYPE rostra_wait_s histogram"
    assert len(lines) == 7


@given(st.dictionaries(st.sampled_from(["door", "edge", "stage"]), st.none() | st.text(max_size=200), max_size=3))
def test_whatever_roles_say_the_page_stays_readable(pages: dict[str, str | None]) -> None:
    for line in merge(pages).rstrip("\n").split("\n") if pages else []:
        assert re.match(r'# (HELP|TYPE) [a-zA-Z_:]|[a-zA-Z_:][a-zA-Z0-9_:]*\{role="', line), line
