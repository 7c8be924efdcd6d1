"""What goes on to another role, and what comes back."""

from hypothesis import given
from hypothesis import strategies as st

from rostra.door.handing import passed_back, passed_on

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
