"""The request parser and the response encoder, without a socket."""

import math
import time
from contextlib import suppress

import pytest

from rostra.kernel.errors import PeerError
from rostra.wire.http1 import (
    Limits,
    Prepared,
    Request,
    RequestParser,
    Response,
    date_line,
    encode,
    prepared,
    with_close,
)

HOST = b"Host: live.example.org\r\n"


def parse(data: bytes, limits: Limits | None = None) -> list[Request]:
    return fed(RequestParser(limits or Limits()), data)


def fed(parser: RequestParser, data: bytes) -> list[Request]:
    """The requests that `data` completes."""
    parser.put(data)
    return list(iter(parser.next, None))


def one(data: bytes) -> Request:
    (request,) = parse(data)
    return request


def refused(data: bytes, limits: Limits | None = None) -> int:
    parser = RequestParser(limits or Limits())
    with pytest.raises(PeerError) as error:
        fed(parser, data)
    return error.value.status


def test_a_get_gives_its_parts() -> None:
    request = one(
        b"GET /s/abc/live.m3u8?_HLS_msn=7&_HLS_part=2 HTTP/1.1\r\n" + HOST + b"Accept-Encoding:  gzip, br \r\n\r\n"
    )
    assert (request.method, request.path) == ("GET", "/s/abc/live.m3u8")
    assert request.query == {"_HLS_msn": "7", "_HLS_part": "2"}
    assert request.headers == {"host": "live.example.org", "accept-encoding": "gzip, br"}
    assert request.keep_alive and request.plain and request.body == b""


def test_requests_sent_in_one_piece_come_in_order() -> None:
    data = b"".join(b"GET /%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(5))
    assert [request.path for request in parse(data)] == [f"/{n}" for n in range(5)]


def test_requests_are_given_one_at_a_time_and_the_rest_waits() -> None:
    parser, whole = RequestParser(Limits()), b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    parser.put(whole * 3)
    for left in (2, 1, 0):
        assert parser.next() is not None
        assert parser.waiting == left * len(whole)
        assert parser.idle == (left == 0)
    assert parser.next() is None


def test_requests_before_a_fault_are_given_and_then_the_fault() -> None:
    parser = RequestParser(Limits())
    parser.put(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" + b"\x16\x03\x01\r\n")
    assert parser.next() is not None
    for _ in range(2):
        with pytest.raises(PeerError):
            parser.next()


def test_a_counted_body_is_gathered() -> None:
    parser = RequestParser(Limits())
    assert fed(parser, b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nab") == []
    assert parser.in_body
    (request,) = fed(parser, b"cde")
    assert request.body == b"abcde"
    assert parser.idle


def test_a_chunked_body_is_gathered_without_extensions_and_trailers() -> None:
    data = b"POST /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    request = one(data + b"3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\nChecked: yes\r\n\r\n")
    assert request.body == b"abc0123456789"
    assert "checked" not in request.headers


def test_continue_is_needed_once_and_only_when_the_body_has_not_come() -> None:
    head = b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    parser = RequestParser(Limits())
    fed(parser, head)
    assert parser.needs_continue()
    assert not parser.needs_continue()
    early = RequestParser(Limits())
    fed(early, head + b"a")
    assert not early.needs_continue()


@pytest.mark.parametrize(
    ("path", "decoded"),
    [("/", "/"), ("/s/a%20b", "/s/a b"), ("/%e2%82%ac", "/€"), ("/a/", "/a/"), ("/a%2Db", "/a-b"), ("/...", "/...")],
)
def test_a_path_is_decoded_once(path: str, decoded: str) -> None:
    assert one(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).path == decoded


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b", "/..", "/a/.", "/./a", "/%2e%2e/a", "/a/%2E./b", "//a", "/a//b", "/a//", "/a%2Fb", "/a%5cb", "/a\\b", "/%00",
        "/%0a", "/%zz", "/%", "/%ff", "/a%7f", "/a#b", "/a<b", 'x', "http:/x",
    ],
)  # fmt: skip
def test_a_path_that_hides_something_is_refused(path: str) -> None:
    assert refused(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()) == 400


@pytest.mark.parametrize(
    ("query", "decoded"),
    [
        ("", {}), ("a", {"a": ""}), ("a=", {"a": ""}), ("a=b=c", {"a": "b=c"}), ("a=1&&b=2", {"a": "1", "b": "2"}),
        ("CMCD=sid%3D%22x%22%2Cbl%3D1", {"CMCD": 'sid="x",bl=1'}), ("t=a+b%2B", {"t": "a b+"}),
        ("utm=a&x=1&utm=b&utm=a", {"utm": "a,b,a", "x": "1"}), ("q=caf%E9", {"q": "caf\ufffd"}),
    ],
)  # fmt: skip
def test_a_query_is_decoded(query: str, decoded: dict[str, str]) -> None:
    assert one(f"GET /?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).query == decoded


@pytest.mark.parametrize("query", ["a=%4", "&".join(f"k{n}=" for n in range(40)), "a&" * 33, "a=é"])
def test_a_doubtful_query_is_refused(query: str) -> None:
    assert refused(f"GET /?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode()) == 400


def test_a_prepared_answer_counts_its_bytes() -> None:
    assert prepared(200, [("Content-Type", "text/plain")], b"hi") == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
    )


def test_a_prepared_answer_is_made_anew_only_when_the_second_changes() -> None:
    answer = Prepared(200, [], b"x")
    first, second = date_line(1), date_line(2)
    assert answer.at(first) is answer.at(first)
    assert answer.at(second) == b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:02 GMT\r\nContent-Length: 1\r\n\r\nx"


def test_an_answer_without_a_body_says_no_length() -> None:
    for status in (204, 304):
        whole = encode(Response(status, [("ETag", '"a"')], b"x"), keep_alive=True, head_only=False)
        assert b"Content-Length" not in whole
        assert whole.endswith(b"\r\n\r\n")


def test_an_answer_to_head_keeps_the_length_of_what_it_leaves_out() -> None:
    assert encode(Response(200, [], b"four"), keep_alive=True, head_only=True).endswith(b"Content-Length: 4\r\n\r\n")


@pytest.mark.parametrize(("name", "value"), [("A", "b\r\nC: d"), ("A b", "c"), ("A", "\x00"), ("", "x"), ("A", "€")])
def test_a_header_that_would_break_out_is_not_sent(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        prepared(200, [(name, value)])


def test_close_is_said_once() -> None:
    whole = with_close(prepared(200, [], b"\r\nConnection: close\r\n"))
    assert whole.startswith(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
    assert with_close(whole) == whole


def test_equal_header_lines_are_read_once() -> None:
    data = b"GET /%d HTTP/1.1\r\n" + HOST + b"Accept: */*\r\n\r\n"
    assert one(data % 1).headers is one(data % 2).headers


@pytest.mark.parametrize(
    ("begins", "repeats"),
    [(b"GET / HTTP/1.1\r\n", b"X: y\r\n"), (b"GET / HTTP/1.1\r\nX: ", b"y"), (b"GET /", b"y")],
    ids=["many lines", "a long line", "a long target"],
)
def test_a_head_that_drips_in_costs_each_byte_once(begins: bytes, repeats: bytes) -> None:
    """Eight times as many bytes cost about eight times as much; were each looked at again with each, it would be 64 times."""

    def cost_s(size: int) -> float:
        data = (begins + size * repeats)[:size]
        limits = Limits(target_bytes=size, head_bytes=size)
        fastest = math.inf
        for _ in range(3):
            parser, began = RequestParser(limits), time.thread_time()
            with suppress(PeerError):
                for at in range(size):
                    fed(parser, data[at : at + 1])
            fastest = min(fastest, time.thread_time() - began)
        return fastest

    assert cost_s(16_000) < 20 * cost_s(2_000)
