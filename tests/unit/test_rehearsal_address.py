import pytest

from rostra.kernel.errors import Fault
from rostra.rehearsal.address import endpoint_of, page_of

PAGE = "https://live.example.org/s/abcdefghjk"


@pytest.mark.parametrize(
    "shared", ["", "/", "?utm_source=mail", "#t=10", "/?a=b&a=c#d"], ids=["bare", "slash", "query", "fragment", "all"]
)
def test_a_page_is_found_behind_what_sharing_hung_on_to_it(shared: str) -> None:
    assert page_of(PAGE + shared) == PAGE


def test_capitals_that_a_keyboard_put_into_an_id_are_not_taken_for_another_space() -> None:
    assert page_of("https://live.example.org/s/Abcdefghjk") == PAGE


def test_a_front_may_keep_spaces_below_a_path_of_its_own() -> None:
    assert page_of("http://[::1]:8000/radio/s/abcdefghjk") == "http://[::1]:8000/radio/s/abcdefghjk"


@pytest.mark.parametrize(
    "text",
    [
        "abcdefghjk",
        "live.example.org/s/abcdefghjk",
        "localhost:8000/s/abcdefghjk",
        "ftp://live.example.org/s/abcdefghjk",
        "https://live.example.org/",
        "https://live.example.org/studio/abcdefghjk",
        "https://live.example.org/s/abcdefghjk/hls/index.m3u8",
        "https://live.example.org/s/abc",
        "https:///s/abcdefghjk",
        "http://[::1/s/abcdefghjk",
        "http://host:x/s/abcdefghjk",
        "",
    ],
)
def test_what_is_no_page_is_refused_before_anybody_waits_for_it(text: str) -> None:
    with pytest.raises(Fault, match="not the address of a Space's page"):
        page_of(text)


def test_an_endpoint_is_kept_as_it_is_and_must_be_an_http_address() -> None:
    assert endpoint_of("http://h/whip?x=1") == "http://h/whip?x=1"
    for text in ("ftp://h/whip", "h/whip", "http://"):
        with pytest.raises(Fault, match="not an http address"):
            endpoint_of(text)
