"""One resource, prepared for every way of asking."""

import gzip

from door_world import get

from rostra.door.answer import Answer, accepts_gzip

DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
BODY = b"<p>on the air</p>" * 50


def sent(answer: Answer, **headers: str) -> tuple[bytes, bytes]:
    head, _, body = answer.to(get(**headers)).at(DATE).partition(b"\r\n\r\n")
    return head, body


def test_who_reads_gzip_gets_it_and_others_do_not() -> None:
    answer = Answer([("Content-Type", "text/html")], BODY)
    head, body = sent(answer, accept_encoding="gzip, deflate, br")
    assert b"Content-Encoding: gzip" in head and gzip.decompress(body) == BODY
    head, body = sent(answer)
    assert b"Content-Encoding" not in head and body == BODY


def test_both_forms_tell_caches_apart_by_tag_and_vary() -> None:
    answer = Answer([("Content-Type", "text/html")], BODY)
    plain, packed = sent(answer)[0], sent(answer, accept_encoding="gzip")[0]
    assert b"Vary: Accept-Encoding" in plain and b"Vary: Accept-Encoding" in packed
    assert f'ETag: "{answer.etag}"'.encode() in plain and f'ETag: "{answer.etag}-gz"'.encode() in packed


def test_who_has_it_already_is_told_so_without_a_body() -> None:
    answer = Answer([("Cache-Control", "max-age=1"), ("Content-Type", "text/html")], BODY)
    for tag in (f'"{answer.etag}-gz"', f'"other", "{answer.etag}-gz"', f'W/"{answer.etag}-gz"', "*"):
        head, body = sent(answer, accept_encoding="gzip", if_none_match=tag)
        assert head.startswith(b"HTTP/1.1 304 ") and body == b""
        assert b"Cache-Control: max-age=1" in head and answer.etag.encode() in head
    assert sent(answer, if_none_match='"other"')[0].startswith(b"HTTP/1.1 200 ")


def test_a_refusal_is_never_what_somebody_has_already() -> None:
    """RFC 9110, 13.2.1: conditions count only where the answer would be a success."""
    answer = Answer([], BODY, 404)
    for tag in ("*", f'"{answer.etag}"'):
        assert sent(answer, if_none_match=tag)[0].startswith(b"HTTP/1.1 404 ")


def test_other_bytes_have_another_tag() -> None:
    assert Answer([], b"one").etag != Answer([], b"two").etag


def test_gzip_is_not_sent_to_who_refuses_it() -> None:
    assert accepts_gzip("gzip") and accepts_gzip("br;q=1.0, GZIP;q=0.8") and accepts_gzip("*")
    assert (
        not accepts_gzip("")
        and not accepts_gzip("br")
        and not accepts_gzip("gzip;q=0")
        and not accepts_gzip("gzip; q=0")
    )
