"""An edge that follows another edge: the same answers, each question asked once, and nothing lost when upstream is away."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from broadcasts import SPACE, payload
from edge_world import Chain, ask, chain, downstream, get, until

from rostra.sound.fmp4 import init, part
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import Response

OPUS = Rendition.OPUS


def run(tmp_path: Path, test: Callable[[Chain], Awaitable[None]]) -> None:
    async def main() -> None:
        async with chain(tmp_path) as world:
            await test(world)

    uvloop.run(main())


async def same(world: Chain, *paths: str, **headers: str) -> None:
    for path in paths:
        mine, theirs = await world.get(path, **headers), await get(world.first.port, path, **headers)
        assert (mine.status, mine.body) == (theirs.status, theirs.body), path
        for name in (
            "content-type",
            "cache-control",
            "etag",
            "vary",
            "content-encoding",
            "content-range",
            "rostra-next",
        ):
            assert mine.headers.get(name) == theirs.headers.get(name), (path, name)


async def caught_up(world: Chain, parts: int) -> None:
    """Both edges follow and have so many parts of every rendition."""
    for edge in (world.first, world.second):
        await get(edge.port, "opus/join.mp4")
        channels = edge.role._shelf.followers[SPACE].channels.values()
        await until(lambda channels=channels: all(one.parts == parts for one in channels))


LISTS = ("hls/live.m3u8", "hls/replay.m3u8", "opus/live.m3u8", "opus/replay.m3u8", "hls/index.m3u8")


def test_every_answer_is_the_one_that_upstream_gives(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        await world.broadcast.go_live()
        await world.broadcast.speak("s1")
        await world.broadcast.add(150)
        await caught_up(world, 150)
        numbers = ("opus/part/0.m4s", "opus/part/149.m4s", "hls/seg/0.m4s", "opus/seg/17.m4s", "opus/part/99.m4s")
        whole = (
            *LISTS,
            *numbers,
            "opus/init.mp4",
            "hls/init.mp4",
            "opus/levels.json",
            "opus/join.mp4",
            "recording.m4a",
        )
        await same(world, *whole)
        await same(world, "opus/part/3.m4s", If_None_Match='"p3"')
        await same(world, "recording.m4a", Range="bytes=1000-700000")
        await same(world, "recording.m4a", Range="bytes=-5")
        await same(world, "recording.m4a", Range="bytes=99999999-")
        zipped = await world.get("hls/replay.m3u8", Accept_Encoding="gzip")
        assert gzip.decompress(zipped.body) == (await world.get("hls/replay.m3u8")).body
        await world.broadcast.end()
        await until(lambda: b"ENDLIST" in world.first.role._shelf.followers[SPACE].channels[OPUS]._playlists.live())
        last = await world.get("opus/part/150.m4s")
        assert (last.status, last.headers["rostra-ended"]) == (404, "1")
        await same(world, *whole)
        assert json.loads((await world.get("state.json")).body)["state"] == "ended"

    run(tmp_path, test)


def test_one_question_goes_upstream_however_many_ask(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(100)
        await world.get("opus/join.mp4")
        waiting = [asyncio.create_task(world.get("opus/part/100.m4s")) for _ in range(50)]
        await world.second.waiting(50)
        old = await asyncio.gather(*(world.get("opus/part/7.m4s") for _ in range(50)))
        await asyncio.gather(*(world.get("hls/seg/3.m4s") for _ in range(50)))
        await asyncio.gather(*(world.get("opus/levels.json") for _ in range(50)))
        ranges = await asyncio.gather(*(world.get("recording.m4a", Range=f"bytes={n}-400000") for n in range(50)))
        assert {one.status for one in ranges} == {206}
        await world.broadcast.add(1)
        assert {(await one).body for one in waiting} == {payload(OPUS, 100)}
        assert {one.body for one in old} == {payload(OPUS, 7)}
        for path in ("opus/part/100.m4s", "opus/part/7.m4s", "hls/seg/3.m4s", "opus/levels.json", "opus/init.mp4"):
            assert world.between.of(path) == 1, path
        # What is there once is asked for once: how long it is, and its first two blocks.
        assert world.between.of("recording.m4a") == 3

    run(tmp_path, test)


def test_a_part_passes_through_the_moment_it_exists(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(20)
        await world.get("opus/join.mp4")
        late = []
        for number in range(20, 40):
            asking = asyncio.create_task(world.get(f"opus/part/{number}.m4s"))
            await world.second.waiting(1)
            before = asyncio.get_running_loop().time()
            await world.broadcast.add(1)
            assert (await asking).body == payload(OPUS, number)
            late.append(asyncio.get_running_loop().time() - before)
        assert sorted(late)[10] < 0.1

    run(tmp_path, test)


def test_a_space_that_does_not_exist_is_asked_for_once(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        for _ in range(20):
            assert (await ask(world.second.port, "/s/zzzzzzzzzz/opus/join.mp4")).status == 404
        assert world.between.asked == ["/s/zzzzzzzzzz/state.json"]

    run(tmp_path, test)


def test_a_flood_of_spaces_that_do_not_exist_stops_here_and_disturbs_nobody_inside(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(20)
        await world.get("opus/join.mp4")
        before = len(world.between.asked)
        letters = "abcdefghjkmnpqrstuvwxyz"
        names = [f"zz{a}{b}{c}zzzzz" for a in letters[:8] for b in letters for c in letters[:6]]
        got = [await ask(world.second.port, f"/s/{name}/opus/join.mp4") for name in names[:400]]
        assert {one.status for one in got} == {404, 503}
        assert all("retry-after" in one.headers for one in got if one.status == 503)
        assert len(world.between.asked) - before < 150
        assert (await world.get("opus/join.mp4")).status == 200

    run(tmp_path, test)


def test_those_who_come_before_it_is_on_the_air_hear_the_first_part(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        await world.broadcast.schedule()
        asking = [asyncio.create_task(world.get(path)) for path in ("opus/part/0.m4s", "opus/join.mp4", "hls/init.mp4")]
        await world.second.waiting(3)
        await world.broadcast.begin()
        await world.broadcast.add(1)
        part, join, first = [await one for one in asking]
        assert part.body == payload(OPUS, 0)
        assert join.body == init(OPUS) + payload(OPUS, 0)
        assert first.body == init(Rendition.HLS)
        await until(lambda: world.second.role._shelf.followers[SPACE].space.live_since_us is not None)

    run(tmp_path, test)


def test_what_is_cancelled_has_no_sound_here_either(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        await world.broadcast.schedule()
        asking = asyncio.create_task(world.get("opus/join.mp4"))
        await world.second.waiting(1)
        await world.broadcast.cancel()
        assert ((await asking).status, (await asking).headers["rostra-ended"]) == (404, "1")
        assert b"cancelled" in (await asking).body

    run(tmp_path, test)


def test_when_upstream_dies_those_inside_stay_and_on_its_return_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rostra.edge.waiting.BLOCK_MOST_S", 0.3)

    async def test(world: Chain) -> None:
        await world.broadcast.go_live()
        await world.broadcast.add(30)
        await world.get("opus/join.mp4")
        await world.die()
        held = await world.get("opus/part/30.m4s")
        assert (held.status, held.headers["retry-after"]) == (503, "1")
        assert (await world.get("opus/part/29.m4s")).status == 200
        assert (await world.get("hls/live.m3u8")).status == 200
        await world.broadcast.add(200)
        await world.return_()
        monkeypatch.setattr("rostra.edge.waiting.BLOCK_MOST_S", 12)
        await caught_up(world, 230)
        for number in (30, 31, 100, 229):
            assert (await world.get(f"opus/part/{number}.m4s")).body == payload(OPUS, number)
        await same(world, *LISTS)

    run(tmp_path, test)


def test_an_upstream_that_is_away_is_said_to_be_away(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        await world.die()
        got = await world.get("opus/join.mp4")
        assert (got.status, got.headers["cache-control"], got.headers["retry-after"]) == (503, "no-store", "1")
        assert b"away" in got.body

    run(tmp_path, test)


def test_an_edge_that_is_sent_to_itself_says_so_at_once(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            if target.endswith("state.json"):
                return response
            return Response(307, [("Location", f"http://127.0.0.1:{world.second.port}{target}")], b"")

        await world.broadcast.go_live()
        await world.broadcast.add(30)
        world.between.bend = bend
        got = await world.get("opus/join.mp4")
        assert (got.status, got.headers["retry-after"]) == (503, "1")

    run(tmp_path, test)


def test_a_cache_that_strips_headers_and_keeps_refusals_costs_no_sound(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        kept: dict[str, Response] = {}

        async def bend(target: str, response: Response) -> Response:
            if target in kept:
                return kept[target]
            bare = [pair for pair in response.headers if pair[0] in ("content-type", "content-range")]
            response = Response(response.status, bare, response.body)
            if response.status == 404:
                kept[target] = response
            return response

        await world.broadcast.go_live()
        await world.broadcast.add(30)
        world.between.bend = bend
        refused = Response(404, [("content-type", "text/plain")], b"not yet")
        kept.update({f"/s/{SPACE}/opus/part/{number}.m4s": refused for number in (31, 32)})
        kept[f"/s/{SPACE}/opus/part/33.m4s"] = Response(200, [], payload(OPUS, 7))
        kept[f"/s/{SPACE}/opus/part/34.m4s"] = Response(200, [], payload(OPUS, 34)[:-5])
        await world.get("opus/join.mp4")
        await world.broadcast.add(10)
        await until(lambda: world.second.role._shelf.followers[SPACE].channels[OPUS].parts == 40)
        for number in range(30, 40):
            assert (await world.get(f"opus/part/{number}.m4s")).body == payload(OPUS, number)
        asking = asyncio.create_task(world.get("opus/part/40.m4s"))
        await world.second.waiting(1)
        await world.broadcast.end()
        # The word of the end was stripped; how the Space stands tells of it.
        assert ((await asking).status, (await asking).headers["rostra-ended"]) == (404, "1")
        await same(world, "opus/replay.m3u8", "hls/replay.m3u8")

    run(tmp_path, test)


def test_a_page_that_stands_where_the_init_segment_should_is_not_kept(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            if target.endswith("init.mp4"):
                return Response(200, [("content-type", "text/html")], b"<html>One moment, please</html>")
            return response

        await world.broadcast.go_live()
        await world.broadcast.add(4)
        world.between.bend = bend
        for rendition in Rendition:
            assert (await world.get(f"{rendition.shape.url}/init.mp4")).body == init(rendition)
        await world.broadcast.add(40)
        await caught_up(world, 44)

    run(tmp_path, test)


@pytest.mark.parametrize("at_first", [True, False], ids=["found", "appearing"])
def test_an_init_segment_that_is_wrong_for_long_is_waited_for(tmp_path: Path, at_first: bool) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            return Response(200, [], b"<html></html>") if "init.mp4" in target else response

        await world.broadcast.go_live()
        await world.broadcast.add(40 if at_first else 4)
        world.between.bend = bend
        asking = asyncio.create_task(world.get("opus/join.mp4"))
        await until(lambda: world.between.of("init.mp4?again=1") > 0)
        if at_first:
            assert (await asking).status == 503
            asking = asyncio.create_task(world.get("opus/join.mp4"))
        world.between.bend = None
        assert (await asking).body.startswith(init(OPUS))

    run(tmp_path, test)


@pytest.mark.parametrize("still", [True, False], ids=["stands still", "drips"])
def test_an_answer_that_does_not_get_to_its_end_is_asked_for_again(tmp_path: Path, still: bool) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            if not target.endswith("/part/31.m4s"):
                return response
            body = response.body
            assert isinstance(body, bytes)

            async def pieces() -> AsyncIterator[bytes]:
                for at in range(len(body)):
                    yield body[at : at + 1]
                    await asyncio.sleep(60 if still else 0.2)

            return Response(200, [("Content-Length", str(len(body)))], pieces())

        await world.broadcast.go_live()
        await world.broadcast.add(30)
        await caught_up(world, 30)
        world.between.bend = bend
        await world.broadcast.add(4)
        async with asyncio.timeout(3):
            assert (await world.get("opus/part/33.m4s")).body == payload(OPUS, 33)

    run(tmp_path, test)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_part_of_megabytes_is_none(tmp_path: Path, zipped: bool) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            if not target.endswith("/part/31.m4s"):
                return response
            frames = [bytes(4_000_000)]
            huge = part(OPUS, 31, frames, 1_800_000_000_000_000)
            return Response(
                200, [("Content-Encoding", "gzip")] if zipped else [], gzip.compress(huge) if zipped else huge
            )

        await world.broadcast.go_live()
        await world.broadcast.add(30)
        await caught_up(world, 30)
        world.between.bend = bend
        await world.broadcast.add(4)
        assert (await world.get("opus/part/31.m4s")).body == payload(OPUS, 31)

    run(tmp_path, test)


_DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("ending", "body"),
    [
        ("state.json", _DEEP),
        ("state.json", b"endless"),
        ("state.json", b"long"),
        ("hls/replay.m3u8", b"#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00Z\n#EXTINF:" + b"9" * 400 + b",\nseg/0.m4s\n"),
        ("hls/replay.m3u8", b"#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00Z\n#EXTINF:4000000000.0,\nseg/0.m4s\n"),
    ],
    ids=["deep", "endless number", "long", "endless segment", "long segment"],
)  # fmt: skip
def test_what_upstream_cannot_have_said_is_said_to_be_its_fault(tmp_path: Path, ending: str, body: bytes) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            if not target.endswith(ending):
                return response
            assert isinstance(response.body, bytes)
            said = {
                b"long": response.body.replace(b"The big one", b"A" * 300_000),
                b"endless": response.body.replace(b'"seq":', b'"seq":1e999,"was":'),
            }
            return Response(200, [], said.get(body, body))

        await world.broadcast.go_live()
        await world.broadcast.add(40)
        world.between.bend = bend
        got = await world.get("opus/join.mp4")
        assert (got.status, got.headers["retry-after"]) == (503, "1")
        world.between.bend = None
        await caught_up(world, 40)

    run(tmp_path, test)


def test_levels_that_cannot_be_read_are_answered_at_once(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            return Response(200, [], _DEEP) if target.endswith("levels.json") else response

        await world.broadcast.go_live()
        await world.broadcast.add(40)
        await caught_up(world, 40)
        world.between.bend = bend
        async with asyncio.timeout(3):
            assert (await world.get("opus/levels.json")).status == 503

    run(tmp_path, test)


def test_stale_lists_make_no_hole(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        old: dict[str, Response] = {}

        async def bend(target: str, response: Response) -> Response:
            return old.setdefault(target, response) if target.endswith(("m3u8", "state.json")) else response

        await world.broadcast.go_live()
        await world.broadcast.add(40)
        world.between.bend = bend
        for path in ("opus/live.m3u8", "opus/replay.m3u8", "hls/live.m3u8", "hls/replay.m3u8", "state.json"):
            await get(world.between.port, path)
        await world.broadcast.add(40)
        join = await world.get("opus/join.mp4")
        assert int(join.headers["rostra-next"]) >= 40
        world.between.bend = None
        await caught_up(world, 80)
        await same(world, *LISTS)

    run(tmp_path, test)


def test_a_slow_way_delays_and_loses_nothing(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            await asyncio.sleep(0.15)
            return response

        await world.broadcast.go_live()
        await world.broadcast.add(30)
        world.between.bend = bend
        await world.get("opus/join.mp4")
        for number in range(30, 36):
            await world.broadcast.add(1)
            assert (await world.get(f"opus/part/{number}.m4s")).body == payload(OPUS, number)

    run(tmp_path, test)


def test_a_way_that_is_slower_than_two_parts_does_not_fall_behind(tmp_path: Path) -> None:
    took_s = 1.8
    made: list[float] = []

    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            if "/part/" in target:
                await asyncio.sleep(took_s)
            return response

        async def speak() -> None:
            for _ in range(10):
                await asyncio.sleep(OPUS.shape.part_s)
                await world.broadcast.add(1)
                made.append(asyncio.get_running_loop().time())

        await world.broadcast.go_live()
        await world.broadcast.add(30)
        await caught_up(world, 30)
        world.between.bend = bend
        speaking = asyncio.create_task(speak())
        channel = world.second.role._shelf.followers[SPACE].channels[OPUS]
        await until(lambda: channel.parts == 40)
        assert asyncio.get_running_loop().time() - made[-1] < took_s + 1.2
        await speaking

    run(tmp_path, test)


def test_the_age_that_something_has_from_caches_is_passed_on(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        async def bend(target: str, response: Response) -> Response:
            return Response(response.status, [*response.headers, ("Age", "7")], response.body)

        await world.broadcast.go_live()
        await world.broadcast.add(100)
        world.between.bend = bend
        for path in ("opus/part/3.m4s", "hls/seg/2.m4s", "opus/levels.json"):
            assert 7 <= int((await world.get(path)).headers["age"]) <= 9, path
        assert "age" not in (await world.get("hls/live.m3u8")).headers

    run(tmp_path, test)


def test_the_doors_address_leads_to_the_sound(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        sound = f"http://127.0.0.1:{world.first.port}"

        async def bend(target: str, response: Response) -> Response:
            if target.endswith("state.json"):
                return response
            return Response(307, [("Location", sound + target), ("Cache-Control", "public, max-age=60")], b"")

        await world.broadcast.go_live()
        await world.broadcast.add(30)
        world.between.bend = bend
        assert (await world.get("opus/join.mp4")).status == 200
        assert (await world.get("opus/part/2.m4s")).body == payload(OPUS, 2)
        redirected = [target for target in world.between.asked if "/opus/part/" in target]
        assert not redirected, "the sound is asked for where it lives, once that is known"

    run(tmp_path, test)


def test_the_origins_work_does_not_grow_with_the_crowd(tmp_path: Path) -> None:
    async def test(world: Chain) -> None:
        other = await downstream(f"http://127.0.0.1:{world.between.port}", "other")
        edges = (world.second, other)
        try:
            await world.broadcast.go_live()
            await world.broadcast.add(20)
            for edge in edges:
                await get(edge.port, "opus/join.mp4")
            await caught_up(world, 20)
            for number, listeners in enumerate((1, 1, 1, 10, 10, 10, 100, 100, 100), 20):
                waiting = [get(edge.port, f"opus/part/{number}.m4s") for edge in edges for _ in range(listeners)]
                going = asyncio.gather(*waiting)
                for edge in edges:
                    await edge.waiting(listeners)
                await world.broadcast.add(1)
                assert {got.body for got in await going} == {payload(OPUS, number)}
            await until(lambda: world.between.of("/part/28.m4s") == len(edges) * len(Rendition))
            for rendition in Rendition:
                asked = [world.between.of(f"{rendition.shape.url}/part/{number}.m4s") for number in range(20, 29)]
                assert asked == [len(edges)] * 9, "each edge asks once for each part, whoever listens"
        finally:
            await other.role.stop(0.5)

    run(tmp_path, test)
