"""Whatever JSON comes to the stage, it is a command, a Space or a count that can be carried out and written down, or is refused as its sender's fault."""

import contextlib
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rostra.kernel.errors import PeerError
from rostra.space import count
from rostra.stage import asked

_leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["s1", "s2", "\ud800", "‮evil", "a\nb", "2026-11-20T20:00:00Z", "9999-12-31T23:59:59+99:99", 1 << 70, -1, "host"])
)  # fmt: skip
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_commands = st.dictionaries(
    st.sampled_from(["seat", "title", "reason", "minutes", "name", "role", "keep_old", "why", "x"]), _values, max_size=3
).flatmap(lambda fields: (st.sampled_from(list(asked._PARSERS)) | _values).map(lambda kind: {"type": kind, **fields}))
_spaces = st.fixed_dictionaries({}, optional=dict.fromkeys(("title", "host_name", "starts", "auto_live", "x"), _values))
_KINDS = {"kinds": st.dictionaries(st.sampled_from([*count.KINDS, "x"]), st.integers(-1, 9) | _values, max_size=3)}
_reports = st.fixed_dictionaries(
    {"edge": st.just("edge-1") | _values, "method": st.sampled_from([*count.METHODS, "x"]) | _values, **_KINDS},
    optional=dict.fromkeys(("now", "one_in", "every_s", "key", "unique", "named", "step", "why"), _values),
)


def refused(refusal: PeerError) -> None:
    assert 400 <= refusal.status < 500 and refusal.code and str(refusal).endswith(".")


@given(st.binary(max_size=60) | _values.map(lambda plain: json.dumps(plain).encode()), st.text(max_size=20))
@example(b"[" * 60_000, "")
@example(b'{"a":' * 20_000, "")
@example(b"9" * 60_000, "")
@example(b'{"a":NaN}', "")
@settings(max_examples=300, deadline=None)
def test_a_body_is_an_object_or_refused(body: bytes, kind: str) -> None:
    for called in (kind, "application/json"):
        try:
            assert isinstance(asked.parse_json(body, called), dict)
        except PeerError as refusal:
            refused(refusal)


@given(_commands | st.dictionaries(st.text(max_size=5), _values, max_size=4))
@example({"type": "edit", "title": "\ud800"})
@settings(max_examples=800, deadline=None)
def test_a_command_is_read_or_refused(plain: dict[str, Any]) -> None:
    before = repr(plain)
    with contextlib.suppress(PeerError):
        assert asked.parse_command(plain).command is not None
    assert repr(plain) == before


@given(_spaces)
@settings(max_examples=300, deadline=None)
def test_a_new_space_is_read_or_refused(plain: dict[str, Any]) -> None:
    try:
        new = asked.parse_new_space(plain)
    except PeerError as refusal:
        refused(refusal)
    else:
        assert isinstance(new.title, str) and isinstance(new.auto_live, bool)


@given(_reports)
@settings(max_examples=800, deadline=None)
def test_a_count_is_read_or_refused(plain: dict[str, Any]) -> None:
    if isinstance(plain["kinds"], dict) and "now" not in plain:
        plain["now"] = sum(n for n in plain["kinds"].values() if isinstance(n, int))
    try:
        report = count.parse_report(plain)
    except PeerError as refusal:
        refused(refusal)
    else:
        assert count.parse_report(json.loads(json.dumps(report.to_plain()))).kinds == report.kinds
