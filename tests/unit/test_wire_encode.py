"""A response that lies ready, as each who asks wants it."""

import pytest

from rostra.wire.encode import as_asked
from rostra.wire.http1 import Request, prepared

WHOLE = prepared(200, [("Content-Type", "text/plain"), ("ETag", '"p7"')], b"seven")


def asked(method: str = "GET", known: str | None = None) -> Request:
    return Request(method, "/", "/", {}, {"host": "a"} if known is None else {"host": "a", "if-none-match": known})


def test_a_plain_get_gets_it_as_it_is() -> None:
    assert as_asked(WHOLE, asked(), closes=False) is WHOLE


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_it_already_is_told_so(method: str) -> None:
    assert as_asked(WHOLE, asked(method, 'W/"p7"'), closes=False) == b'HTTP/1.1 304 Not Modified\r\nETag: "p7"\r\n\r\n'
    assert as_asked(WHOLE, asked("POST", '"p7"'), closes=False) == WHOLE


def test_who_has_another_gets_it() -> None:
    assert as_asked(WHOLE, asked(known='"p6"'), closes=False) == WHOLE


def test_a_head_ends_where_the_body_would_begin_and_still_says_its_length() -> None:
    got = as_asked(WHOLE, asked("HEAD"), closes=False)
    assert got == WHOLE[: -len(b"seven")]
    assert b"Content-Length: 5\r\n" in got


def test_the_end_of_the_connection_is_announced_once() -> None:
    got = as_asked(WHOLE, asked(), closes=True)
    assert got.count(b"Connection: close\r\n") == 1
    assert as_asked(got, asked(), closes=True) == got
