"""The edge on real sockets, following real timelines on disk."""

import asyncio
import base64
import gzip
import json
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from broadcasts import SPACE, Broadcast, payload

from rostra.edge.role import EdgeRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.kernel.sketch import Sketch
from rostra.sound import fmp4
from rostra.sound.renditions import Rendition
from rostra.timeline.disk import DiskLibrary

KEY = "the operator's key"


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class World:
    role: EdgeRole
    broadcast: Broadcast
    port: int

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Got:
        """One request on its own connection."""
        lines = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(20):
            whole = await reader.read()
        writer.close()
        head, _, body = whole.partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        return Got(int(status.split()[1]), {name.lower(): value for name, value in pairs}, body)

    async def get(self, path: str, **headers: str) -> Got:
        """A path below the Space."""
        return await self.ask(f"/s/{SPACE}/{path}", **headers)

    async def waiting(self, count: int) -> None:
        async with asyncio.timeout(5):
            while f"rostra_edge_waiting {count}\n" not in self.role.metrics():
                await asyncio.sleep(0.002)


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]], sync: str = "off") -> None:
    async def main() -> None:
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
        library = DiskLibrary(tmp_path, SystemClock())
        role = EdgeRole(library=library, settings=Settings(port=21_400), clock=SystemClock(), log=Log("edge"), key=KEY)
        broadcast = Broadcast(tmp_path, sync)
        await role.start([one])
        try:
            await test(World(role, broadcast, port))
        finally:
            await role.stop(1)
            await broadcast.close()

    uvloop.run(main())


def test_a_part_that_exists_is_answered_with_its_bytes(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(20)
        for rendition in Rendition:
            for number in (0, 3, 19):
                got = await world.get(f"{rendition.shape.url}/part/{number}.m4s")
                assert (got.status, got.body) == (200, payload(rendition, number))
                assert got.headers["content-type"] == "audio/mp4"
                assert got.headers["access-control-allow-origin"] == "*"
                assert got.headers["cache-control"] == "public, max-age=24, immutable"
                assert "date" in got.headers
            init = await world.get(f"{rendition.shape.url}/init.mp4")
            assert init.body == fmp4.init(rendition)

    run(tmp_path, test)


def test_a_request_for_the_next_part_is_answered_the_moment_it_exists(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(3)
        asking = [asyncio.create_task(world.get(f"opus/part/{number}.m4s")) for number in (3, 3, 3, 4, 8)]
        await world.waiting(5)
        far = await world.get("opus/part/9.m4s")
        assert (far.status, far.headers["cache-control"]) == (404, "no-store")
        before = time.monotonic()
        await world.broadcast.add(1)
        assert [(await one).body for one in asking[:3]] == [payload(Rendition.OPUS, 3)] * 3
        assert time.monotonic() - before < 0.4  # who missed the bell looks twice a second
        await world.broadcast.add(5)
        assert (await asking[3]).body == payload(Rendition.OPUS, 4)
        assert (await asking[4]).body == payload(Rendition.OPUS, 8)

    run(tmp_path, test)


def test_a_segment_is_its_parts_and_is_waited_for(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(12)
        first = await world.get("hls/seg/0.m4s")
        assert first.body == b"".join(payload(Rendition.HLS, n) for n in range(8))
        asking = asyncio.create_task(world.get("hls/seg/1.m4s"))
        await world.waiting(1)
        assert (await world.get("hls/seg/2.m4s")).status == 404
        await world.broadcast.add(4)
        assert (await asking).body == b"".join(payload(Rendition.HLS, n) for n in range(8, 16))

    run(tmp_path, test)


def test_a_newcomer_gets_init_and_newest_sound_in_one_answer(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        asking = asyncio.create_task(world.get("opus/join.mp4"))
        await world.waiting(1)
        await world.broadcast.add(1)
        assert (await asking).headers["rostra-next"] == "1"
        await world.broadcast.add(9)
        await asyncio.sleep(0.02)
        got = await world.get("opus/join.mp4")
        assert (got.headers["rostra-part"], got.headers["rostra-next"]) == ("8", "10")
        assert got.body == fmp4.init(Rendition.OPUS) + payload(Rendition.OPUS, 8) + payload(Rendition.OPUS, 9)
        assert "Rostra-Next" in got.headers["access-control-expose-headers"]

    run(tmp_path, test)


def test_before_live_sound_is_held_and_then_politely_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rostra.edge.waiting.BLOCK_MOST_S", 0.2)

    async def test(world: World) -> None:
        await world.broadcast.schedule()
        paths = (
            "opus/part/0.m4s",
            "hls/live.m3u8",
            "opus/join.mp4",
            "hls/init.mp4",
            "recording.m4a",
            "hls/replay.m3u8",
        )
        for path, got in zip(paths, await asyncio.gather(*map(world.get, paths)), strict=True):
            assert (got.status, got.headers["cache-control"]) == (503, "no-store"), path
            assert "retry-after" in got.headers
            assert got.headers["access-control-allow-origin"] == "*"
            assert b"not on the air yet" in got.body
        assert (await world.get("hls/index.m3u8")).status == 200
        assert json.loads((await world.get("opus/levels.json")).body)["parts"] == 0

    run(tmp_path, test)


def test_those_who_wait_before_live_hear_the_first_part(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.schedule()
        asking = asyncio.create_task(world.get("opus/part/0.m4s"))
        await world.waiting(1)
        await world.broadcast.begin()
        await world.broadcast.add(1)
        assert (await asking).body == payload(Rendition.OPUS, 0)

    run(tmp_path, test)


def test_the_end_answers_who_waits_and_completes_the_playlists(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(11)
        part = asyncio.create_task(world.get("opus/part/11.m4s"))
        segment = asyncio.create_task(world.get("hls/seg/1.m4s"))
        listing = asyncio.create_task(world.get("hls/live.m3u8?_HLS_msn=1&_HLS_part=3"))
        await world.waiting(3)
        await world.broadcast.end()
        assert ((await part).status, (await part).headers["rostra-ended"]) == (404, "1")
        assert (await part).headers["rostra-next"] == "11"
        assert (await segment).body == b"".join(payload(Rendition.HLS, n) for n in range(8, 11))
        assert (await listing).body.endswith(b"#EXT-X-ENDLIST\n")
        assert (await world.get("hls/replay.m3u8")).body.endswith(b"#EXT-X-ENDLIST\n")
        join = await world.get("opus/join.mp4")
        assert (join.status, join.headers["rostra-ended"], join.headers["rostra-next"]) == (404, "1", "11")
        for beyond in ("part/11", "part/4000", "wide/6", "seg/2"):
            assert (await world.get(f"opus/{beyond}.m4s")).headers["rostra-next"] == "11"
        assert (await world.get("opus/part/10.m4s")).status == 200

    run(tmp_path, test)


def test_a_cancelled_space_has_no_sound(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.schedule()
        asking = asyncio.create_task(world.get("hls/live.m3u8"))
        await world.waiting(1)
        await world.broadcast.cancel()
        for got in (await asking, await world.get("opus/part/0.m4s"), await world.get("hls/live.m3u8")):
            assert (got.status, got.headers["rostra-ended"]) == (404, "1")

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/s/zzzzzzzzzz/hls/live.m3u8", 404), ("/s/../etc/passwd", 400), ("/s/%2e%2e/%2e%2e/etc/passwd", 400), ("/s/abcdefghjk", 404),
        ("/s/abcdefghjk/hls/part/-1.m4s", 404), ("/s/abcdefghjk/hls/part/01.m4s", 404), ("/s/abcdefghjk/hls/part/1e3.m4s", 404),
        ("/s/abcdefghjk/hls/part/999999999999.m4s", 404), ("/s/abcdefghjk/hls/part/999999999.m4s", 404), ("/s/ABCDEFGHJK/hls/live.m3u8", 404),
        ("/s/abcdefghjk/flac/live.m3u8", 404), ("/s/abcdefghjk/hls/join.mp4", 404), ("/", 404), ("/s/abcdefghjk/hls/", 404),
        ("/s/abcdefghjk%00/hls/live.m3u8", 400), ("/s/abcdefghjk/opus\\live.m3u8", 400), ("/metrics", 401), ("/healthz", 200),
    ],
)  # fmt: skip
def test_strange_paths_are_refused_plainly(tmp_path: Path, path: str, status: int) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        got = await world.ask(path)
        assert got.status == status
        assert len(got.body) < 200
        assert got.headers["access-control-allow-origin"] == "*"

    run(tmp_path, test)


def test_methods_and_preflight(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(2)
        path = f"/s/{SPACE}/opus/part/1.m4s"
        got = await world.ask(path, "POST")
        assert (got.status, got.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        preflight = await world.ask(path, "OPTIONS", Origin="https://x.example")
        assert preflight.status == 204
        assert "Range" in preflight.headers["access-control-allow-headers"]
        for _ in range(2):
            head = await world.ask(path, "HEAD")
            assert (head.status, head.body) == (200, b"")
            assert int(head.headers["content-length"]) == len(payload(Rendition.OPUS, 1))
        tag = (await world.ask(path)).headers["etag"]
        assert (await world.ask(path, If_None_Match=f'"other", W/{tag}')).status == 304
        assert (await world.ask(path, If_None_Match='"other"')).status == 200

    run(tmp_path, test)


def test_playlists_are_compressed_for_those_who_take_it(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(30)
        plain = await world.get("hls/live.m3u8")
        zipped = await world.get("hls/live.m3u8", Accept_Encoding="br;q=1, gzip;q=0.5")
        assert gzip.decompress(zipped.body) == plain.body
        assert zipped.headers["content-encoding"] == "gzip"
        assert plain.headers["vary"] == zipped.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in (await world.get("hls/live.m3u8", Accept_Encoding="gzip;q=0")).headers

    run(tmp_path, test)


def test_the_growing_recording_is_served_by_ranges(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(30)
        whole = fmp4.init(Rendition.HLS) + b"".join(payload(Rendition.HLS, n) for n in range(30))
        got = await world.get("recording.m4a")
        assert (got.status, got.body) == (200, whole)
        tag = got.headers["etag"]
        for text, start, stop in (("0-99", 0, 100), ("1000-", 1000, len(whole)), ("-500", len(whole) - 500, len(whole)),
                                  ("5-99999999", 5, len(whole))):  # fmt: skip
            part = await world.get("recording.m4a", Range=f"bytes={text}")
            assert (part.status, part.body) == (206, whole[start:stop])
            assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
        beyond = await world.get("recording.m4a", Range=f"bytes={len(whole)}-")
        assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")
        head = await world.ask(f"/s/{SPACE}/recording.m4a", "HEAD", Range="bytes=0-9")
        assert (head.status, head.headers["content-length"], head.body) == (206, "10", b"")
        assert (await world.get("recording.m4a", Range="bytes=0-1,5-6")).status == 200
        assert (await world.get("recording.m4a", Range="bytes=0-9", If_Range='"other"')).status == 200
        await world.broadcast.add(1)
        await asyncio.sleep(0.02)
        more = await world.get("recording.m4a", Range=f"bytes={len(whole)}-", If_Range=tag)
        assert (more.status, more.body) == (206, payload(Rendition.HLS, 30))
        assert more.headers["etag"] != tag

    run(tmp_path, test)


def test_the_finished_recording_plays_and_keeps_its_tag(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(40)
        live_tag = (await world.get("recording.m4a")).headers["etag"]
        await world.broadcast.end()
        await asyncio.sleep(0.05)
        got = await world.get("recording.m4a")
        assert got.body[4:8] == b"ftyp"
        assert got.body.find(b"moov") < got.body.find(b"mdat")
        again = await world.get("recording.m4a", If_None_Match=got.headers["etag"])
        assert again.status == 304
        assert (await world.get("recording.m4a", Range="bytes=0-9", If_Range=live_tag)).status == 200
        part = await world.get("recording.m4a", Range="bytes=100000-200000", If_Range=got.headers["etag"])
        assert part.body == got.body[100_000:200_001]
        file = tmp_path / "out.m4a"
        file.write_bytes(got.body)
        probed = subprocess.run(
            ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(file)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert float(probed.stdout) == pytest.approx(40 * 0.512, abs=0.05)

    run(tmp_path, test)


def test_the_overview_tells_levels_and_turns(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(4)
        await world.broadcast.speak("s1")
        await world.broadcast.add(10)
        await world.broadcast.speak()
        await world.broadcast.add(700)
        got = await world.get("opus/levels.json", Accept_Encoding="gzip")
        said = json.loads(gzip.decompress(got.body))
        assert said["parts"] == 714
        assert len(said["levels"]) == 357
        assert said["levels"][:3] == [-20, -22, -24]
        (turn,) = said["turns"]
        assert (turn["seat"], turn["name"], turn["from_s"]) == ("s1", "Ada", 2.0)
        assert 5 <= turn["to_s"] - turn["from_s"] <= 5.5

    run(tmp_path, test)


def test_old_parts_are_read_from_the_record_once_however_many_ask(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(200)
        got = await asyncio.gather(*(world.get("opus/part/7.m4s") for _ in range(50)))
        assert {one.body for one in got} == {payload(Rendition.OPUS, 7)}
        assert (await world.get("opus/seg/3.m4s")).body == b"".join(payload(Rendition.OPUS, n) for n in range(24, 32))
        assert "rostra_edge_read_total 2\n" in world.role.metrics()

    run(tmp_path, test)


def test_memory_of_a_long_broadcast_is_bounded(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(1)
        await world.get("opus/part/0.m4s")
        for _ in range(6):
            await world.broadcast.add(50)
            await asyncio.sleep(0.02)
            await world.get("hls/seg/1.m4s")
        hot = int(world.role.metrics().split("\nrostra_edge_ready ")[1].split("\n")[0])
        assert hot <= len(Rendition) * (48 + 7)

    run(tmp_path, test)


def test_listeners_are_counted_once_each_and_told_to_the_stage(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(9)
        told: list[tuple[str, dict[str, object]]] = []

        async def stage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert f"Authorization: Bearer {KEY}" in head
            length = int(head.split("Content-Length: ")[1].split("\r\n")[0])
            told.append((head.split(" ")[1], json.loads(await reader.readexactly(length))))
            said = json.dumps({"key": told[0][1]["key"], "again": False}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
            writer.close()

        server = await asyncio.start_server(stage, "127.0.0.1", 21_403)
        for sid in ("a", "b", "c", "a", "b"):
            await world.get(f"opus/join.mp4?sid={sid * 8}", User_Agent=f"browser {sid}")
            await world.get("opus/part/3.m4s", User_Agent=f"browser {sid}")
        await world.get("hls/part/0.m4s?CMCD=bl%3D100%2Csid%3D%22d%22")
        await world.get("hls/part/1.m4s", CMCD_Session='sid="d",v=1')
        await world.get("hls/part/1.m4s")
        await world.get("hls/live.m3u8")
        assert f'rostra_edge_listeners{{space="{SPACE}"}} 5\n' in world.role.metrics()
        async with asyncio.timeout(4):
            while not told:
                await asyncio.sleep(0.05)
        path, said = told[0]
        assert path == f"/spaces/{SPACE}/count"
        assert (said["edge"], said["now"], said["method"]) == ("edge", 5, "edge")
        assert said["kinds"] == {"web": 3, "hls": 2}
        seen = Sketch.from_bytes(base64.b64decode(str(said["unique"])))
        assert (seen.estimate(), seen.error) == (4, 0.0)  # a, b, c and d; who only goes on has come before
        async with asyncio.timeout(6):
            while len(told) < 2:
                await asyncio.sleep(0.05)
        assert told[1][1]["unique"] is None  # nothing new
        server.close()

    run(tmp_path, test)


def test_a_crowd_that_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rostra.edge.desk.HELD_MOST", 3)

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(1)
        asking = [asyncio.create_task(world.get("opus/part/1.m4s")) for _ in range(3)]
        await world.waiting(3)
        full = await world.get("opus/part/1.m4s")
        assert (full.status, full.headers["retry-after"]) == (503, "1")
        await world.broadcast.add(1)
        assert [(await one).status for one in asking] == [200] * 3
        assert "rostra_edge_crowded_total 1\n" in world.role.metrics()

    run(tmp_path, test)


def test_stopping_answers_those_who_wait(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(1)
        asking = asyncio.create_task(world.get("opus/part/1.m4s"))
        await world.waiting(1)
        await world.role.stop(1)
        got = await asking
        assert (got.status, got.headers["retry-after"], got.headers["cache-control"]) == (503, "1", "no-store")
        assert got.headers["access-control-allow-origin"] == "*"

    run(tmp_path, test)


def test_a_rotten_part_costs_the_recording_only_what_is_made_of_it(tmp_path: Path) -> None:
    """Nothing of the recording is read but what is asked for."""
    parts, rotten = 2000, 1500

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(parts)
        await world.broadcast.end()
        reader = world.broadcast.library.reader(SPACE)
        reader.refresh()
        (place,) = reader.places(Rendition.HLS, rotten, rotten + 1)
        reader.close()
        with (tmp_path / "spaces" / SPACE / "timeline").open("r+b") as file:
            file.seek(place[0])
            file.write(bytes(300))

        async def ask(start: int, length: int) -> Got:
            return await world.get("recording.m4a", Range=f"bytes={start}-{start + length - 1}")

        begin = await ask(0, 4096)
        size = int(begin.headers["content-range"].rpartition("/")[2])
        last = payload(Rendition.HLS, parts - 1)[fmp4.lead_bytes(Rendition.HLS) :]
        assert (await ask(size - len(last), len(last))).body == last
        row = 4 * Rendition.HLS.shape.frames_per_part
        table = begin.body.index(b"stsz") + 16
        for number in (0, 700, parts - 1):
            sizes = fmp4.read_part(payload(Rendition.HLS, number)).sizes
            assert (await ask(table + number * row, row)).body == sizes
        assert (await ask(table + rotten * row, row)).status == 503
        whole = await world.get("recording.m4a")
        assert whole.status == 200
        assert table < len(whole.body) < table + rotten * row, "who reads on sees that it is not the whole"

    run(tmp_path, test)


def test_a_damaged_record_is_said_and_others_are_served(tmp_path: Path) -> None:
    other = SpaceId("mnpqrstuvw")

    async def test(world: World) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(1)
        second = Broadcast(tmp_path)
        await second.go_live(other)
        await second.add(1)
        await second.close()
        place = tmp_path / "spaces" / other
        (place / "index").unlink()
        whole = bytearray((place / "timeline").read_bytes())
        whole[400:900] = bytes(500)  # over several records, and without an index nothing leads over it
        (place / "timeline").write_bytes(whole)
        got = await world.ask(f"/s/{other}/opus/part/0.m4s")
        assert (got.status, got.headers["retry-after"]) == (503, "30")
        assert (await world.get("opus/part/0.m4s")).status == 200

    run(tmp_path, test)


def test_metrics_are_for_the_operator(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        got = await world.ask("/metrics", Authorization=f"Bearer {KEY}")
        assert got.status == 200
        assert b"rostra_wire_requests_total" in got.body
        assert (await world.ask("/metrics", Authorization="Bearer wrong")).status == 401

    run(tmp_path, test)


def test_a_replay_of_two_hours_opens_and_seeks_at_once(tmp_path: Path) -> None:
    """Far below what reading two hours through would take; the figures are bench_cold_replay's."""

    async def make() -> None:
        broadcast = Broadcast(tmp_path)
        await broadcast.go_live()
        await broadcast.add(14_400)
        for _ in range(500):
            await broadcast.speak("s1")
            await broadcast.speak()
        await broadcast.end()
        await broadcast.close()

    asyncio.run(make())

    async def test(world: World) -> None:
        took_s = {}
        for path in ("hls/replay.m3u8", "opus/seg/900.m4s", "opus/part/13000.m4s", "hls/seg/1.m4s", "hls/seg/1500.m4s",
                     "opus/levels.json", "recording.m4a"):  # fmt: skip
            before = time.monotonic()
            got = await world.get(path, Range="bytes=50000000-50001000")
            took_s[path] = time.monotonic() - before
            assert got.status in (200, 206), path
        assert max(took_s.values()) < 2, took_s
        assert took_s["recording.m4a"] < 0.5, took_s
        before = time.monotonic()
        assert (await world.get("recording.m4a", Range="bytes=80000000-80001000")).status == 206
        assert time.monotonic() - before < 0.5

    run(tmp_path, test)
