"""What goes on to another role, and what comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.door.handing import passed_back, passed_on, seen
from rostra.wire.http1 import Request

NAMES = st.sampled_from(
    ["authorization", "cookie", "content-type", "connection", "keep-alive", "te", "upgrade", "x-custom", "host",
     "transfer-encoding", "x-forwarded-for", "x-forwarded-anything", "forwarded", "x-real-ip", "content-length"]
)  # fmt: skip


def test_a_claim_to_come_from_somewhere_else_does_not_pass() -> None:
    claimed = {
        "x-forwarded-for": "1.2.3.4",
        "x-forwarded-host": "a",
        "forwarded": "for=1",
        "x-real-ip": "1",
        "cookie": "a=b",
    }
    assert passed_on(claimed) == [("cookie", "a=b")]


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("198.51.100.7", "192.0.2.1", "198.51.100.7"),  # it came straight to us, and may say what it likes
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "10.0.0.1, 198.51.100.7,  192.0.2.1 ", "192.0.2.1"),  # the last is what the front saw
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:198.51.100.7", "192.0.2.1", "198.51.100.7"),
        ("127.0.0.1", "192.0.2.1, unknown", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.1:5000", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("", "192.0.2.1", ""),
    ],
)
def test_who_asks_is_whom_we_see_or_whom_a_front_on_this_machine_sees(
    peer: str, said: str | None, address: str
) -> None:
    headers = {"host": "a"} | ({"x-forwarded-for": said} if said is not None else {})
    assert seen(Request("GET", "/", "/", {}, headers, peer=peer), "http")[0] == ("X-Forwarded-For", address)


def test_a_front_on_this_machine_says_by_what_name_and_over_what_it_was_asked() -> None:
    said = {"host": "127.0.0.1:8000", "x-forwarded-host": "live.example.org", "x-forwarded-proto": "https"}
    asked = seen(Request("GET", "/", "/", {}, said, peer="127.0.0.1"), "http")
    assert asked[1:] == [("X-Forwarded-Host", "live.example.org"), ("X-Forwarded-Proto", "https")]
    asked = seen(Request("GET", "/", "/", {}, said, peer="192.0.2.1"), "http")
    assert asked[1:] == [("X-Forwarded-Host", "127.0.0.1:8000"), ("X-Forwarded-Proto", "http")]
    asked = seen(Request("GET", "/", "/", {}, {"host": "a", "x-forwarded-proto": "gopher"}, peer="127.0.0.1"), "http")
    assert asked[1:] == [("X-Forwarded-Host", "a"), ("X-Forwarded-Proto", "http")]


def test_what_connection_names_stays_on_this_connection() -> None:
    assert passed_on({"connection": "close, X-Custom", "x-custom": "1", "accept": "*/*"}) == [("accept", "*/*")]


@given(st.dictionaries(NAMES, st.text("abc, ", max_size=12)))
def test_only_the_request_itself_goes_on(headers: dict[str, str]) -> None:
    allowed = {"authorization", "cookie", "content-type", "x-custom"}
    assert {name for name, _ in passed_on(headers)} <= allowed


def test_an_answer_keeps_its_own_headers_and_loses_the_connections() -> None:
    back = passed_back(
        [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("date", "x"), ("connection", "close"), ("location", "/s")]
    )
    assert back == [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("location", "/s")]
