"""HTTP/1.1, a test a clause (RFC 9110, RFC 9112)."""

import pytest

from rostra.kernel.errors import PeerError
from rostra.wire.http1 import Limits, Request, RequestParser

HOST = b"Host: a\r\n"
LIMITS = Limits(target_bytes=100, head_bytes=1000, headers=8, body_bytes=64)


def given(data: bytes) -> RequestParser:
    parser = RequestParser(LIMITS)
    parser.put(data)
    return parser


def parse(data: bytes) -> list[Request]:
    return list(iter(given(data).next, None))


def status(data: bytes) -> int:
    """The status of the refusal; 200 if the request is taken, 0 if more is waited for."""
    try:
        return 200 if given(data).next() else 0
    except PeerError as error:
        return error.status


def get(line: bytes = b"GET / HTTP/1.1", headers: bytes = HOST) -> int:
    return status(line + b"\r\n" + headers + b"\r\n")


def post(headers: bytes, body: bytes = b"") -> int:
    return status(b"POST / HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body)


def test_9112_2_2_one_empty_line_before_a_request_is_passed_over() -> None:
    assert status(b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n") == 200
    assert status(b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n") == 400


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\n\r\n", b"GET / HTTP/1.1\rHost: a\r\n\r\n", b"\nGET"],
)
def test_9112_2_2_a_bare_cr_or_lf_is_refused_at_once(data: bytes) -> None:
    assert status(data) == 400


def test_9112_2_2_no_blank_between_request_line_and_first_header() -> None:
    assert get(headers=b" Host: a\r\n") == 400


def test_9112_2_3_a_major_version_we_do_not_speak() -> None:
    assert get(b"GET / HTTP/2.0") == 505
    assert get(b"GET / HTTP/0.9") == 505
    assert get(b"GET / HTTP/1.2") == 200


@pytest.mark.parametrize(
    "line", [b"GET / HTTP/1.10", b"GET / http/1.1", b"GET /", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b"/"]
)
def test_9112_3_a_request_line_has_three_words_and_single_blanks(line: bytes) -> None:
    assert get(line) == 400


def test_9112_3_1_methods_are_known_by_case() -> None:
    assert get(b"get / HTTP/1.1") == 501


@pytest.mark.parametrize("method", [b"BREW", b"CONNECT", b"TRACE", b"PROPFIND"])
def test_9110_9_1_an_unknown_method_is_501(method: bytes) -> None:
    assert get(method + b" / HTTP/1.1") == 501


@pytest.mark.parametrize("method", [b"G(T", b"G\x80T", b""])
def test_9110_9_1_a_method_is_a_token(method: bytes) -> None:
    assert get(method + b" / HTTP/1.1") == 400


def test_9112_3_2_exactly_one_host() -> None:
    assert get(headers=b"") == 400
    assert get(headers=HOST + HOST) == 400
    assert get(headers=HOST + b"host: a\r\n") == 400


@pytest.mark.parametrize("host", [b"", b"a b", b"a\\b", b"a/b", b"user@a", b"a:b", b"[::1", b"a\x80"])
def test_9112_3_2_a_host_that_is_none(host: bytes) -> None:
    assert get(headers=b"Host: " + host + b"\r\n") == 400


@pytest.mark.parametrize("host", [b"a", b"a.example:8001", b"127.0.0.1:80", b"[::1]:8001", b"a:"])
def test_9112_3_2_a_host_that_is_one(host: bytes) -> None:
    assert get(headers=b"Host: " + host + b"\r\n") == 200


def test_9112_3_2_1_a_host_is_not_required_of_http_1_0() -> None:
    assert get(b"GET / HTTP/1.0", b"") == 200


def test_9112_3_2_2_the_absolute_form_is_taken() -> None:
    (request,) = parse(b"GET http://other.example/s/x?a=1 HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (request.path, request.query, request.target) == ("/s/x", {"a": "1"}, "/s/x?a=1")
    (root,) = parse(b"GET HTTP://other.example HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (root.path, root.target) == ("/", "/")


def test_9112_3_2_4_the_asterisk_is_for_options() -> None:
    assert get(b"OPTIONS * HTTP/1.1") == 200
    assert get(b"GET * HTTP/1.1") == 400


def test_9112_3_a_target_too_long_is_414_before_it_has_come() -> None:
    assert get(b"GET /" + b"a" * 100 + b" HTTP/1.1") == 414
    assert status(b"GET /" + b"a" * 200) == 414
    assert get(b"GET /" + b"a" * 99 + b" HTTP/1.1") == 200


@pytest.mark.parametrize(
    "line", [b"A : b", b"A b: c", b": c", b"no colon", b"A: b\x00", b"A: \x01", b"A\x80: b", b"(): x"]
)
def test_9112_5_a_malformed_header_line(line: bytes) -> None:
    assert get(headers=HOST + line + b"\r\n") == 400


def test_9112_5_1_blanks_round_a_value_are_no_part_of_it() -> None:
    (request,) = parse(b"GET / HTTP/1.1\r\n" + HOST + b"X: \t a b \t\r\nY:\r\n\r\n")
    assert (request.headers["x"], request.headers["y"]) == ("a b", "")


def test_9112_5_2_a_folded_line_is_refused() -> None:
    assert get(headers=HOST + b"X: a\r\n b\r\n") == 400
    assert get(headers=HOST + b"X: a\r\n\tb\r\n") == 400


def test_6585_5_too_many_or_too_large_headers_are_431() -> None:
    assert get(headers=HOST + b"".join(b"X%d: y\r\n" % n for n in range(8))) == 431
    assert get(headers=HOST + b"X: y\r\n" * 8) == 431
    assert get(headers=HOST + b"X: " + b"y" * 1000 + b"\r\n") == 431
    assert status(b"GET / HTTP/1.1\r\nX: " + b"y" * 1000) == 431


def test_9110_5_3_a_list_given_in_two_lines_is_one_list() -> None:
    (request,) = parse(b"GET / HTTP/1.1\r\n" + HOST + b"Accept: a\r\nAccept: b\r\nCookie: c=1\r\nCookie: d=2\r\n\r\n")
    assert request.headers["accept"] == "a, b"
    assert request.headers["cookie"] == "c=1; d=2"


@pytest.mark.parametrize(
    "name", [b"Content-Type", b"Authorization", b"Range", b"If-Range", b"Content-Length", b"Origin"]
)
def test_9110_5_3_what_may_stand_once_may_not_stand_twice(name: bytes) -> None:
    assert post((name + b": 1\r\n") * 2, b"x") == 400


@pytest.mark.parametrize("length", [b"", b"+1", b"-1", b"1 1", b"0x1", b"1,1", b"1.0", "١".encode()])
def test_9112_6_3_a_length_is_digits(length: bytes) -> None:
    assert post(b"Content-Length: " + length + b"\r\n", b"x") == 400


def test_9112_6_3_no_length_means_no_body() -> None:
    assert post(b"") == 200


def test_9112_6_3_length_and_coding_exclude_each_other() -> None:
    assert post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n") == 400


def test_9112_6_1_a_coding_we_do_not_know_is_501() -> None:
    for coding in (b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b""):
        assert post(b"Transfer-Encoding: " + coding + b"\r\n", b"0\r\n\r\n") == 501
    assert post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") == 400


def test_9112_6_1_http_1_0_has_no_chunks() -> None:
    assert status(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400


def test_9110_15_5_14_a_body_too_large_is_413_before_it_has_come() -> None:
    assert post(b"Content-Length: 65\r\n") == 413
    assert post(b"Content-Length: " + b"9" * 400 + b"\r\n") == 413
    assert post(b"Transfer-Encoding: chunked\r\n", b"20\r\n" + b"x" * 32 + b"\r\n21\r\n") == 413
    assert post(b"Content-Length: 64\r\n", b"x" * 64) == 200


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"1\nx\r\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\n",
        b"\r\n",
        b"123456789\r\n",
        b"1 \r\n" + b"x\ry",
    ],
)
def test_9112_7_1_a_malformed_chunk(body: bytes) -> None:
    assert post(b"Transfer-Encoding: chunked\r\n", body) == 400


def test_9112_7_1_chunk_lines_and_trailers_are_bounded() -> None:
    coded = b"Transfer-Encoding: chunked\r\n"
    assert post(coded, b"1;" + b"x" * 300) == 400
    assert post(coded, b"0\r\n" + b"A: b\r\n" * 17 + b"\r\n") == 431
    assert post(coded, b"0\r\nbad trailer\r\n\r\n") == 400


def test_9112_9_3_keep_alive_by_version_and_connection() -> None:
    def keeps(line: bytes, headers: bytes = HOST) -> bool:
        (request,) = parse(line + b"\r\n" + headers + b"\r\n")
        return request.keep_alive

    assert keeps(b"GET / HTTP/1.1")
    assert not keeps(b"GET / HTTP/1.1", HOST + b"Connection: close\r\n")
    assert not keeps(b"GET / HTTP/1.1", HOST + b"Connection: te, Close\r\n")
    assert not keeps(b"GET / HTTP/1.0", HOST + b"Connection: keep-alive\r\n")


def test_9110_10_1_1_an_expectation_we_do_not_know_is_417() -> None:
    assert post(b"Expect: 200-maybe\r\nContent-Length: 1\r\n") == 417
    assert post(b"Expect: 100-Continue\r\nContent-Length: 1\r\n") == 0


def test_9113_3_4_the_preface_of_http_2_is_answered_505() -> None:
    assert status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505


def test_tls_on_the_plain_port_is_refused_with_its_first_byte() -> None:
    assert status(b"\x16") == 400
    assert status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") == 400
