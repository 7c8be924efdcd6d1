"""What the edge says to caches: RFC 9110, 9111, and appendix B.1 of the HLS draft."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from broadcasts import SPACE, Broadcast
from edge_world import Edge, Got, ask, get, origin

MEDIA = ("opus/part/1.m4s", "hls/part/19.m4s", "hls/seg/0.m4s", "opus/seg/1.m4s", "opus/init.mp4", "hls/init.mp4")
LISTS = ("hls/live.m3u8", "opus/live.m3u8", "hls/replay.m3u8", "opus/replay.m3u8")
BLOCKING = ("hls/live.m3u8?_HLS_msn=2&_HLS_part=3", "opus/live.m3u8?_HLS_msn=1")
TEXT = (*LISTS, *BLOCKING, "opus/levels.json", "state.json")
FIXED = ("hls/index.m3u8", "low/index.m3u8", "opus/index.m3u8", "live.m3u")
LIFETIMES = {
    **dict.fromkeys(MEDIA[:4], "public, max-age=24, immutable"),
    **dict.fromkeys(MEDIA[4:], "public, max-age=86400, immutable"),
    **dict.fromkeys(LISTS, "public, max-age=2"),
    **dict.fromkeys(BLOCKING, "public, max-age=24"),
    **dict.fromkeys(FIXED[:3], "public, max-age=24"),
    "live.m3u": "public, max-age=60",
    "opus/levels.json": "public, max-age=2",
    "state.json": "public, max-age=1",
    "opus/join.mp4": "public, max-age=1",
    "recording.m4a": "public, max-age=0",
}
World = tuple[Edge, Broadcast]


def run(tmp_path: Path, test: Callable[[Edge, Broadcast], Awaitable[None]]) -> None:
    async def main() -> None:
        broadcast = Broadcast(tmp_path, "off")
        edge = await origin(tmp_path)
        try:
            await broadcast.go_live()
            await broadcast.add(20)
            await test(edge, broadcast)
        finally:
            await edge.role.stop(0.5)
            await broadcast.close()

    uvloop.run(main())


def test_each_object_says_how_long_it_is_good_for(tmp_path: Path) -> None:
    async def test(edge: Edge, _: Broadcast) -> None:
        for path, lifetime in LIFETIMES.items():
            got = await get(edge.port, path)
            assert (got.status, got.headers["cache-control"]) == (200, lifetime), path
            assert "date" in got.headers and "age" not in got.headers, path

    run(tmp_path, test)


def test_after_the_end_everything_is_good_for_a_day(tmp_path: Path) -> None:
    async def test(edge: Edge, broadcast: Broadcast) -> None:
        await get(edge.port, "opus/join.mp4")
        await broadcast.end()
        async with asyncio.timeout(10):
            while b"ENDLIST" not in (await get(edge.port, "hls/live.m3u8")).body:
                await asyncio.sleep(0.01)
        for path in (*LISTS, "opus/levels.json", "recording.m4a", "opus/init.mp4"):
            assert "max-age=86400" in (await get(edge.port, path)).headers["cache-control"], path

    run(tmp_path, test)


@pytest.mark.parametrize("path", [*MEDIA, *TEXT, *FIXED, "recording.m4a"])
def test_who_has_it_already_is_told_so(tmp_path: Path, path: str) -> None:
    async def test(edge: Edge, _: Broadcast) -> None:
        first = await get(edge.port, path)
        for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
            again = await get(edge.port, path, If_None_Match=known)
            assert (again.status, again.body) == (304, b""), known
            # RFC 9110 15.4.5: what a 200 would have said of caching.
            for name in ("cache-control", "etag", "vary", "access-control-allow-origin"):
                assert again.headers.get(name) == first.headers.get(name), name
            assert "content-length" not in again.headers
        assert (await get(edge.port, path, If_None_Match='"other"')).body == first.body

    run(tmp_path, test)


@pytest.mark.parametrize("path", [*MEDIA, *TEXT, *FIXED, "opus/join.mp4", "recording.m4a"])
def test_head_says_what_get_says_without_the_body(tmp_path: Path, path: str) -> None:
    async def test(edge: Edge, _: Broadcast) -> None:
        whole = await get(edge.port, path)
        head = await asyncio.wait_for(_head(edge, path), 5)
        assert (head.status, head.body) == (200, b"")
        assert _lasting(head) == _lasting(whole)

    run(tmp_path, test)


@pytest.mark.parametrize("path", TEXT)
def test_compressed_and_plain_are_two_forms_of_one_thing(tmp_path: Path, path: str) -> None:
    async def test(edge: Edge, _: Broadcast) -> None:
        plain = await get(edge.port, path)
        zipped = await get(edge.port, path, Accept_Encoding="gzip")
        assert plain.headers["vary"] == zipped.headers["vary"] == "Accept-Encoding"
        if "content-encoding" in zipped.headers:
            assert gzip.decompress(zipped.body) == plain.body
            assert zipped.headers["etag"] != plain.headers["etag"]

    run(tmp_path, test)


def test_who_has_the_listing_already_is_told_so(tmp_path: Path) -> None:
    async def test(edge: Edge, _: Broadcast) -> None:
        first = await ask(edge.port, "/status-json.xsl")
        again = await ask(edge.port, "/status-json.xsl", If_None_Match=first.headers["etag"])
        assert (first.status, again.status, again.body) == (200, 304, b"")

    run(tmp_path, test)


@pytest.mark.parametrize("path", [*MEDIA, *TEXT, *FIXED, "opus/join.mp4"])
def test_nobody_gets_an_answer_of_their_own(tmp_path: Path, path: str) -> None:
    async def test(edge: Edge, _: Broadcast) -> None:
        one = await get(edge.port, path, Cookie="a=1", User_Agent="one", Origin="https://one.example")
        other = await get(
            edge.port, path, User_Agent="two", CMCD_Session='sid="somebody-else"', Authorization="Basic x"
        )
        assert (one.status, one.body, _lasting(one)) == (other.status, other.body, _lasting(other))
        assert "set-cookie" not in one.headers

    run(tmp_path, test)


def test_what_is_not_there_is_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rostra.edge.waiting.BLOCK_MOST_S", 0.1)

    async def test(edge: Edge, broadcast: Broadcast) -> None:
        expected = {
            "opus/part/20.m4s": 503, "hls/live.m3u8?_HLS_msn=2&_HLS_part=4": 503, "opus/part/99.m4s": 404,
            "opus/seg/99.m4s": 404, "hls/live.m3u8?_HLS_msn=99": 400, "hls/live.m3u8?_HLS_part=1": 400,
        }  # fmt: skip
        for path, status in expected.items():
            got = await get(edge.port, path)
            assert (got.status, got.headers["cache-control"]) == (status, "no-store"), path
            assert ("retry-after" in got.headers) == (status == 503), path
        await broadcast.end()
        async with asyncio.timeout(10):
            while (got := await get(edge.port, "opus/part/20.m4s")).status != 404:
                pass
        assert (got.headers["cache-control"], got.headers["rostra-ended"]) == ("no-store", "1")

    run(tmp_path, test)


async def _head(edge: Edge, path: str) -> Got:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(f"HEAD /s/{SPACE}/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    whole = await reader.read()
    writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return Got(int(status.split()[1]), {k.lower(): v for k, v in (one.split(": ", 1) for one in fields)}, body)


def _lasting(got: Got) -> dict[str, str]:
    return {name: value for name, value in got.headers.items() if name != "date"}
