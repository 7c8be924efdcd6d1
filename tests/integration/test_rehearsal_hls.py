"""check-hls on real sockets: our own edge, and servers that break what the rules are about."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broadcasts import SPACE
from edge_player import Player
from edge_player import run as with_edge

from rostra.kernel.errors import Fault
from rostra.rehearsal.hls.examiner import Examiner
from rostra.rehearsal.hls.probes import held_s
from rostra.rehearsal.hls.reading import read


async def examined(url: str, seconds: float = 1.0) -> dict[str, Any]:
    examiner = Examiner(url, seconds=seconds)
    await examiner.run()
    return examiner.report.summary()


def complaints(report: dict[str, Any]) -> list[str]:
    return [f"{one['rule']}: {one['sentence']}" for one in report["findings"] if one["severity"] != "note"]


def address(player: Player) -> str:
    host, port = player.client._address
    return f"http://{host}:{port}/s/{SPACE}/hls/index.m3u8"


def test_our_own_live_playlists_are_found_fit(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        async def go_on() -> None:
            while True:
                await asyncio.sleep(0.05)
                await player.broadcast.add()

        going = asyncio.create_task(go_on())
        report = await examined(address(player), 1.5)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        assert complaints(report) == []
        assert report["ok"] and len(report["playlists"]) == 2
        for one in report["playlists"]:
            assert one["live"] and one["low_latency"]
            assert one["versions"] > 5 and one["segments"] > 1 and one["parts"] > 5

    with_edge(tmp_path, test)


def test_our_playlists_are_found_fit_after_the_end_too(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        await player.broadcast.end()
        for path in ("index", "replay"):
            report = await examined(address(player).replace("index", path))
            assert complaints(report) == []
            assert report["ok"] and report["playlists"][0]["segments"] >= 8

    with_edge(tmp_path, test)


LIVE = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.0,PART-HOLD-BACK=1.0
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:3
#EXT-X-MAP:URI="init.mp4"
""" + "".join(f"#EXTINF:1.0,\n{at}.m4s\n" for at in range(12))
LIVE += '#EXT-X-PART:DURATION=0.5,URI="12.0.m4s",INDEPENDENT=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="12.1.m4s"\n'


def with_server(answer: Callable[[str], tuple[int, str, bytes]], story: Callable[[str], Awaitable[None]]) -> None:
    """A server written out by hand: the answer's status, headers and body by the path asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
                status, headers, body = answer(path)
                writer.write(
                    f"HTTP/1.1 {status} .\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode("latin-1") + body
                )
                await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            await story(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0.01)

    asyncio.run(main())


@pytest.mark.may_leak("the hand-written server's last readers")
def test_a_server_that_only_pretends_to_know_low_latency_is_found_out() -> None:
    """The same playlist whatever is asked, at once, and the same bytes for any other address."""

    def answer(path: str) -> tuple[int, str, bytes]:
        kind = "text/plain" if "m3u8" in path else "video/mp4"
        return 200, f"Content-Type: {kind}\r\n", LIVE.encode() if "m3u8" in path else b"\0\0\0\x08free"

    async def story(base: str) -> None:
        report = await examined(f"{base}/live.m3u8", 2)
        found = {one["rule"] for one in report["findings"]}
        assert found >= {
            "reload-unmet", "part-without-msn", "msn-ahead", "delta-missing", "unknown-media", "segment-late",
            "date-live", "init-readable", "fragments", "cache-media", "cache-blocking", "content-type-named",
        }  # fmt: skip
        assert not report["ok"] and report["errors"] >= 6

    with_server(answer, story)


@pytest.mark.may_leak("the hand-written server's last readers")
def test_media_that_is_listed_and_not_there_is_an_error() -> None:
    def answer(path: str) -> tuple[int, str, bytes]:
        text = '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-VERSION:6\n#EXT-X-MAP:URI="i.mp4"\n#EXTINF:2.0,\n1.m4s\n#EXT-X-ENDLIST\n'
        return (200, "", text.encode()) if "m3u8" in path else (404, "", b"")

    async def story(base: str) -> None:
        report = await examined(f"{base}/vod.m3u8")
        assert {one["rule"] for one in report["findings"] if one["severity"] == "error"} == {"status"}

    with_server(answer, story)


NINES = "9" * 5000


@pytest.mark.may_leak("the hand-written server's last readers")
@pytest.mark.parametrize(
    ("master", "media"),
    [
        ("BANDWIDTH=²", "#EXTINF:2.0,\n1.ts\n"),
        (f"BANDWIDTH={NINES},AVERAGE-BANDWIDTH={NINES}", "#EXTINF:2.0,\n1.ts\n"),
        ("BANDWIDTH=1", "#EXTINF:2.0,\nhttp://[bad/1.m4s\n"),
        ("BANDWIDTH=1", '#EXT-X-MAP:URI="http://h:999999/"\n#EXTINF:2.0,\nhttp://h:x/1.m4s\n'),
        ("BANDWIDTH=1", "#EXTINF:2.0,\n#EXT-X-BYTERANGE:²@³\n1.m4s\n"),
        ("BANDWIDTH=1", f"#EXTINF:2.0,\n#EXT-X-BYTERANGE:{NINES}@0\n1.m4s\n"),
        ("BANDWIDTH=1", f"#EXTINF:2.0,\n{NINES}.ts\n"),
        ("BANDWIDTH=1", '#EXTINF:2.0,\n1.ts\n#EXT-X-RENDITION-REPORT:URI="m1.m3u8",LAST-MSN=²,LAST-PART=²\n'),
    ],
)
@pytest.mark.parametrize("age", ["²", NINES])
def test_whatever_a_server_sends_the_check_ends_with_a_report(master: str, media: str, age: str) -> None:
    def answer(path: str) -> tuple[int, str, bytes]:
        headers = f"Age: {age}\r\nCache-Control: max-age={age}\r\n"
        if path == "/master.m3u8":
            variants = "".join(f"#EXT-X-STREAM-INF:{master}\nm{at}.m3u8\n" for at in (1, 2))
            return 200, headers, f"#EXTM3U\n{variants}http://[bad/3.m3u8\n".encode()
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{media}#EXT-X-ENDLIST\n"
        return (200, headers, text.encode()) if "m3u8" in path else (404, headers, b"")

    async def story(base: str) -> None:
        report = await examined(f"{base}/master.m3u8")
        assert not report["ok"]

    with_server(answer, story)


@pytest.mark.may_leak("the hand-written server's last readers")
def test_a_server_that_does_not_hold_is_not_asked_without_end_for_it() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str, bytes]:
        asked.append(path)
        return 200, "", LIVE.encode()

    async def story(base: str) -> None:
        await examined(f"{base}/live.m3u8", 2)
        assert len(asked) < 60

    with_server(answer, story)


@pytest.mark.may_leak("the hand-written server's last readers")
def test_a_playlist_of_many_megabytes_is_not_taken_in() -> None:
    async def story(base: str) -> None:
        with pytest.raises(Fault, match="nothing answered"):
            await examined(f"{base}/live.m3u8")

    with_server(lambda path: (200, "", b"#EXTM3U\n" + b"#EXTINF:4,\n1.ts\n" * 600_000), story)


@pytest.mark.parametrize("target_s", [None, 0, 4, 20, 10_000, 1 << 63])
def test_no_request_is_left_waiting_for_longer_than_a_minute(target_s: int | None) -> None:
    tag = "" if target_s is None else f"#EXT-X-TARGETDURATION:{target_s}\n"
    assert 10 < held_s(read(f"#EXTM3U\n{tag}".encode())) <= 65


@pytest.mark.may_leak("the hand-written server's last readers")
def test_where_there_is_no_playlist_a_sentence_says_so() -> None:
    async def story(base: str) -> None:
        with pytest.raises(Fault, match="it answered 404"):
            await examined(f"{base}/nothing.m3u8")
        with pytest.raises(Fault, match="nothing answered"):
            await examined("http://127.0.0.1:1/nothing.m3u8")

    with_server(lambda path: (404, "", b""), story)


@contextlib.contextmanager
def made_by_ffmpeg(folder: Path, flags: str, *more: str) -> Iterator[None]:
    """A live playlist of one-second segments in this folder, made as it is by most who make their own."""
    folder.mkdir()
    tone = ["-re", "-f", "lavfi", "-i", "sine=440:r=48000", "-c:a", "aac", "-b:a", "96k"]
    hls = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "8", "-hls_flags", flags, *more, str(folder / "live.m3u8")]
    making = subprocess.Popen(["ffmpeg", "-v", "error", *tone, "-t", "60", *hls], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        making.terminate()
        making.wait(10)


@pytest.mark.may_leak("the hand-written server's last readers")
def test_the_live_playlists_of_ffmpeg_are_read_and_no_error_is_made_up(tmp_path: Path) -> None:
    kinds = {".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/mp4", ".ts": "video/mp2t"}

    def answer(path: str) -> tuple[int, str, bytes]:
        file = tmp_path / path.split("?")[0].lstrip("/")
        kind = f"Content-Type: {kinds.get(file.suffix, 'text/plain')}\r\nAccess-Control-Allow-Origin: *\r\n"
        try:
            return 200, kind, file.read_bytes()
        except FileNotFoundError:
            return 404, "", b""

    async def story(base: str) -> None:
        fmp4, ts, undated = await asyncio.gather(
            *(examined(f"{base}/{name}/live.m3u8", 3.5) for name in ("fmp4", "ts", "undated"))
        )
        for report in (fmp4, ts, undated):
            (one,) = report["playlists"]
            assert one["live"] and not one["low_latency"] and one["versions"] >= 4, one
        errors = [
            {one["rule"] for one in told["findings"] if one["severity"] == "error"} for told in (fmp4, ts, undated)
        ]
        assert errors == [set(), set(), {"date-live"}], "what is not dated is told, and nothing else"
        assert fmp4["ok"] and fmp4["playlists"][0]["segments"] >= 4, "its media is looked into"
        assert ts["ok"] and "unread-media" in {one["rule"] for one in ts["findings"]}, (
            "and where it is not, this is said"
        )

    dated = "delete_segments+program_date_time"
    with (
        made_by_ffmpeg(tmp_path / "fmp4", dated, "-hls_segment_type", "fmp4"),
        made_by_ffmpeg(tmp_path / "ts", dated),
        made_by_ffmpeg(tmp_path / "undated", "delete_segments"),
    ):
        deadline = time.monotonic() + 30
        while not all((tmp_path / name / "live.m3u8").exists() for name in ("fmp4", "ts", "undated")) or any(
            (tmp_path / name / "live.m3u8").read_text().count("#EXTINF") < 4 for name in ("fmp4", "ts", "undated")
        ):
            assert time.monotonic() < deadline, "ffmpeg made nothing"
            time.sleep(0.1)
        with_server(answer, story)
