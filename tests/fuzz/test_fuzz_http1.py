"""Whatever comes, and however it is split, the parser says the same, and says it in bounded memory."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rostra.kernel.errors import PeerError
from rostra.wire.head import parse_whole
from rostra.wire.http1 import Limits, RequestParser

LIMITS = Limits(target_bytes=60, head_bytes=220, headers=6, body_bytes=40)

_tokens = st.sampled_from(
    [
        b"GET", b"POST", b"HEAD", b"BREW", b" ", b"/", b"/a", b"?x=1", b"%2e", b"%", b"..", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0",
        b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\x00", b"\t", b":", b"Host: a\r\n", b"Content-Length: 3\r\n", b"Content-Length: 99\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"X: y\r\n", b"abc", b"0\r\n\r\n",
        b"3\r\nabc\r\n", b"\x80\xff", b"\x16\x03", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"x" * 30,
    ]
)  # fmt: skip
_streams = st.lists(_tokens | st.binary(max_size=8), max_size=24).map(b"".join)


def told(pieces: list[bytes]) -> tuple[list[tuple[str, str, bytes, bool]], tuple[int, str] | None]:
    """All that a parser says about these pieces."""
    parser = RequestParser(LIMITS)
    said = []
    try:
        for piece in [*pieces, *[b""] * 40]:
            parser.put(piece)
            while (request := parser.next()) is not None:
                said.append((request.method, request.target, request.body, request.keep_alive))
            assert len(parser._buffer) <= max(LIMITS.head_bytes, 300) + sum(map(len, pieces))
    except PeerError as error:
        return said, (error.status, error.code)
    return said, None


@given(_streams, st.lists(st.integers(0, 600), max_size=12), st.binary(max_size=20))
@example(b"\r\n\r\nGET", [], b"")
@example(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", [1], b"\r\n")
@example(b"GET /" + b"x" * 87, [], b"\r")
@example(b"GET /" + b"x" * 87, [], b"\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nX: " + b"x" * 197, [], b"\r\n\r\n")
@settings(max_examples=4000, deadline=None)
def test_the_same_however_it_is_split(data: bytes, cuts: list[int], tail: bytes) -> None:
    data += tail
    whole = told([data])
    assert told([data[i : i + 1] for i in range(len(data))]) == whole
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert told([data[a:b] for a, b in zip(edges, edges[1:], strict=False)]) == whole


@given(_streams, st.binary(max_size=20))
@settings(max_examples=1000, deadline=None)
def test_what_was_said_does_not_change_with_what_follows(data: bytes, tail: bytes) -> None:
    said, error = told([data])
    longer, _ = told([data + tail])
    assert longer[: len(said)] == said
    if error is not None:
        assert told([data + tail]) == (said, error)


_gets = st.tuples(
    st.sampled_from([b"GET /", b"GET /a?", b"GET /a?x=1&", b"HEAD /", b"GET  /", b"get /"]), st.binary(max_size=6) | _streams,
    st.sampled_from([b" HTTP/1.1\r\nHost: a\r\n", b" HTTP/1.0\r\nHost: a\r\n", b" HTTP/1.1\r\n"]), _streams, st.just(b"\r\n\r\n"),
).map(b"".join)  # fmt: skip


@given(_gets)
@example(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"GET /a?sid=1 HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n")
@settings(max_examples=3000, deadline=None)
def test_the_short_way_says_what_the_long_way_says(data: bytes) -> None:
    quick = parse_whole(data, LIMITS)
    if quick is None:
        return
    parser = RequestParser(LIMITS)
    parser.put(data)
    slow = parser.next()
    assert slow is not None and parser.idle
    assert quick.plain
    for name in ("method", "target", "path", "query", "headers", "body", "keep_alive", "version"):
        assert getattr(quick, name) == getattr(slow, name)


def test_the_short_way_is_taken_by_the_usual_request() -> None:
    assert parse_whole(b"GET /a?sid=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n", LIMITS) is not None
