"""Wide parts and the low rendition as the edge serves them (draft-pantos-hls-rfc8216bis-22)."""

import asyncio
import re
from pathlib import Path

import pytest
from broadcasts import SPACE, payload
from edge_player import Player, run

from rostra.sound.renditions import Rendition
from rostra.timeline.verify import verify


def pair(rendition: Rendition, number: int) -> bytes:
    """Wide part `number`."""
    return payload(rendition, 2 * number) + payload(rendition, 2 * number + 1)


@pytest.mark.parametrize("url", ["hls", "low", "opus"])
def test_everything_a_wide_playlist_lists_is_there_as_two_parts_in_one(tmp_path: Path, url: str) -> None:
    rendition = next(one for one in Rendition if one.shape.url == url)

    async def test(player: Player) -> None:
        status, cache, text = await player.get("wide.m3u8")
        assert (status, cache) == (200, "public, max-age=2")
        assert f"PART-TARGET={rendition.wide.part_s:.5f}" in text
        listed = re.findall(r'EXT-X-PART:.*URI="wide/([0-9]+).m4s"', text)
        assert listed[-1] == "49"
        for number in map(int, [*listed, "0", "1"]):
            status, cache, body = await player.get(f"wide/{number}.m4s")
            assert (status, cache) == (200, "public, max-age=24, immutable"), number
            assert body.encode("latin-1") == pair(rendition, number), number
        for uri in re.findall(r"^seg/.+", text, re.MULTILINE):
            assert (await player.get(uri))[0] == 200

    run(tmp_path, test, url=url, parts=101)


def test_6_2_6_a_wide_part_is_held_until_both_its_halves_exist(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        hinted = await player.held("wide/50.m4s")
        further = await player.held("wide/51.m4s")
        status, _, _ = await player.get("wide/53.m4s")
        assert status == 404, "farther than three parts ahead"
        await player.broadcast.add(1)
        await asyncio.sleep(0.05)
        assert not hinted.done()
        await player.broadcast.add(1)
        assert (await hinted)[2].encode("latin-1") == pair(Rendition.HLS, 50)
        assert not further.done()
        await player.broadcast.add(2)
        assert (await further)[2].encode("latin-1") == pair(Rendition.HLS, 51)

    run(tmp_path, test)


def test_6_2_5_2_a_reload_of_the_wide_playlist_waits_for_a_wide_part(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        # 100 parts: segment 12 has wide parts 0 and 1.
        assert 'wide/49.m4s"' in (await player.get("wide.m3u8?_HLS_msn=12&_HLS_part=1"))[2]
        held = await player.held("wide.m3u8?_HLS_msn=12&_HLS_part=2")
        narrow = await player.held("live.m3u8?_HLS_msn=12&_HLS_part=4")
        await player.broadcast.add(1)
        assert 'part/100.m4s"' in (await narrow)[2], "those who listen in parts go on as before"
        assert not held.done()
        await player.broadcast.add(1)
        assert 'EXT-X-PART:DURATION=1.02400,URI="wide/50.m4s"' in (await held)[2]
        assert (await player.get("wide.m3u8?_HLS_part=1"))[0] == 400
        assert (await player.get("wide.m3u8?_HLS_msn=99"))[0] == 400

    run(tmp_path, test)


@pytest.mark.parametrize("name", ["live", "wide"])
def test_b_1_both_renditions_come_in_step_and_report_on_each_other(tmp_path: Path, name: str) -> None:
    async def test(player: Player) -> None:
        index = 4 if name == "live" else 2
        query = f"{name}.m3u8?_HLS_msn=12&_HLS_part={index}"
        hls = await player.held(query)
        player.base = f"/s/{SPACE}/low/"
        low = await player.held(query)
        await player.broadcast.add(2)
        last = {"live": 5, "wide": 2}[name]
        for text, other in (((await hls)[2], "low"), ((await low)[2], "hls")):
            reports = [line for line in text.splitlines() if "REPORT" in line]
            assert reports == [f'#EXT-X-RENDITION-REPORT:URI="../{other}/{name}.m3u8",LAST-MSN=12,LAST-PART={last}']

    run(tmp_path, test)


def test_the_master_of_aac_offers_both_and_that_of_opus_itself(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        def offered(text: str) -> list[str]:
            return [line for line in text.splitlines() if not line.startswith("#")]

        assert offered((await player.get("index.m3u8"))[2]) == ["live.m3u8", "../low/live.m3u8"]
        player.base = f"/s/{SPACE}/low/"
        assert offered((await player.get("index.m3u8"))[2]) == ["live.m3u8", "../hls/live.m3u8"]
        player.base = f"/s/{SPACE}/opus/"
        assert offered((await player.get("index.m3u8"))[2]) == ["live.m3u8"]

    run(tmp_path, test)


def test_at_the_end_a_half_wide_part_is_given_and_nothing_after_it(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        half, beyond = await player.held("wide/50.m4s"), await player.held("wide/51.m4s")
        reload = await player.held("wide.m3u8?_HLS_msn=12&_HLS_part=2")
        await player.broadcast.add(1)
        await player.broadcast.end()
        assert (await half)[2].encode("latin-1") == payload(Rendition.HLS, 100)
        assert (await beyond)[0] == 404
        text = (await reload)[2]
        assert text.endswith("#EXTINF:2.559998,\nseg/12.m4s\n#EXT-X-ENDLIST\n")
        assert (await player.get("wide/50.m4s"))[0] == 200
        assert (await player.get("wide/3.m4s"))[2].encode("latin-1") == pair(Rendition.HLS, 3)
        assert (await player.get("wide.m3u8"))[2].endswith("#EXT-X-ENDLIST\n")

    run(tmp_path, test)


def test_a_record_of_before_the_low_rendition_plays_replays_and_verifies(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        _, _, master = await player.get("index.m3u8")
        assert "low/" not in master
        live = await player.playlist()
        assert "REPORT" not in live
        assert 'part/100.m4s"' in await player.playlist()
        await player.broadcast.end()
        status, _, replay = await player.get("replay.m3u8")
        while "ENDLIST" not in replay:
            status, _, replay = await player.get("replay.m3u8")
        assert status == 200
        assert replay.count("#EXTINF") == 13
        player.base = f"/s/{SPACE}/low/"
        assert (await player.get("live.m3u8"))[0] == 404
        assert (await player.get("part/0.m4s"))[0] == 404
        proof = verify(tmp_path / "spaces" / SPACE / "timeline", SPACE, 0)
        assert proof.parts == {"opus": 100, "hls": 100, "low": 0}

    run(tmp_path, test, renditions=(Rendition.OPUS, Rendition.HLS))
