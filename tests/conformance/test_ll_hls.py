"""Low-latency HLS as the edge serves it, a test a clause (draft-pantos-hls-rfc8216bis-22)."""

import asyncio
import re
from pathlib import Path

import pytest
from broadcasts import payload
from edge_player import Player, run

from rostra.sound.renditions import Rendition

TARGET_S = 4


@pytest.mark.parametrize("url", ["hls", "opus"])
def test_4_4_the_playlist_says_what_low_latency_needs(tmp_path: Path, url: str) -> None:
    async def test(player: Player) -> None:
        text = await player.playlist()
        part_s = {"hls": 0.512, "opus": 0.5}[url]
        assert f"#EXT-X-TARGETDURATION:{TARGET_S}\n" in text
        assert f"#EXT-X-PART-INF:PART-TARGET={part_s:.5f}\n" in text
        assert "CAN-BLOCK-RELOAD=YES" in text
        assert float(re.search(r"PART-HOLD-BACK=([0-9.]+)", text)[1]) >= 3 * part_s  # type: ignore[index]
        assert float(re.search(r"CAN-SKIP-UNTIL=([0-9.]+)", text)[1]) >= 6 * TARGET_S  # type: ignore[index]
        assert '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part/100.m4s"\n' in text
        assert "#EXT-X-MEDIA-SEQUENCE:0\n" in text

    run(tmp_path, test, url=url)


def test_everything_listed_can_be_fetched_and_segments_are_their_parts(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        text = await player.playlist()
        for uri in [
            *re.findall(r'EXT-X-(?:MAP|PART):.*URI="(.+?)"', text),
            *re.findall(r"^seg/.+", text, re.MULTILINE),
        ]:
            status, _, body = await player.get(uri)
            assert status == 200, uri
            if uri.startswith("seg/"):
                msn = int(uri[4:-4])
                whole = b"".join(payload(Rendition.HLS, n) for n in range(8 * msn, 8 * msn + 8))
                assert body.encode("latin-1") == whole

    run(tmp_path, test)


def test_6_2_5_2_a_reload_is_held_until_its_part_is_listed(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        same = [await player.held("live.m3u8?_HLS_msn=12&_HLS_part=4") for _ in range(3)]
        whole = await player.held("live.m3u8?_HLS_msn=12")
        await player.broadcast.add(1)
        texts = {(await one)[2] for one in same}
        assert len(texts) == 1
        assert 'URI="part/100.m4s"' in texts.pop()
        await asyncio.sleep(0.02)
        assert not whole.done()
        await player.broadcast.add(3)
        assert "seg/12.m4s" in (await whole)[2]

    run(tmp_path, test)


def test_6_2_5_2_a_part_index_past_the_last_means_the_next_segments_first(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        held = await player.held("live.m3u8?_HLS_msn=12&_HLS_part=8")
        await player.broadcast.add(4)
        await asyncio.sleep(0.02)
        assert not held.done()
        await player.broadcast.add(1)
        assert 'URI="part/104.m4s"' in (await held)[2]

    run(tmp_path, test)


def test_6_2_5_2_what_is_listed_already_is_answered_at_once(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        for query in ("?_HLS_msn=0", "?_HLS_msn=11&_HLS_part=7", "?_HLS_msn=12&_HLS_part=3", "?sid=x"):
            assert 'part/100.m4s"' in await player.playlist(query)

    run(tmp_path, test)


@pytest.mark.parametrize(
    "query",
    ["_HLS_part=1", "_HLS_msn=x", "_HLS_msn=-1", "_HLS_msn=14", "_HLS_msn=12&_HLS_part=99999999999999999999999", "_HLS_msn=",
     "_HLS_msn=99999999999999999999999", "_HLS_msn=12&_HLS_part=x", "_HLS_msn=1&_HLS_msn=2", "_HLS_msn=13&_HLS_part=7"],
)  # fmt: skip
def test_6_2_5_2_a_directive_that_makes_no_sense_is_400(tmp_path: Path, query: str) -> None:
    async def test(player: Player) -> None:
        status, cache, _ = await player.get(f"live.m3u8?{query}")
        assert (status, cache) == (400, "no-store")

    run(tmp_path, test)


def test_6_2_5_2_a_reload_blocked_too_long_is_503_and_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rostra.edge.waiting.BLOCK_MOST_S", 0.2)

    async def test(player: Player) -> None:
        for path in ("live.m3u8?_HLS_msn=12&_HLS_part=4", "part/100.m4s"):
            status, cache, _ = await player.get(path)
            assert (status, cache) == (503, "no-store")

    run(tmp_path, test)


def test_6_2_5_1_a_delta_update_skips_what_is_old(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        whole, delta = await player.playlist(), await player.playlist("?_HLS_skip=YES")
        skipped = int(re.search(r"#EXT-X-SKIP:SKIPPED-SEGMENTS=([0-9]+)\n", delta)[1])  # type: ignore[index]
        assert skipped > 0
        listed = re.findall(r"^seg/.+", whole, re.MULTILINE)
        assert re.findall(r"^seg/.+", delta, re.MULTILINE) == listed[skipped:]
        held = await player.held("live.m3u8?_HLS_msn=12&_HLS_part=4&_HLS_skip=YES")
        await player.broadcast.add(1)
        assert "#EXT-X-SKIP" in (await held)[2]

    run(tmp_path, test)


def test_6_2_5_2_directives_mean_nothing_after_the_end(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        await player.broadcast.end()
        await asyncio.sleep(0.05)
        for query in ("", "?_HLS_msn=999", "?_HLS_part=1", "?_HLS_msn=x&_HLS_skip=YES"):
            text = await player.playlist(query)
            assert text.endswith("#EXT-X-ENDLIST\n")
            assert "PRELOAD-HINT" not in text

    run(tmp_path, test)


def test_4_4_5_3_a_hinted_part_sends_no_byte_until_it_is_whole(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        held = await player.held("part/100.m4s")
        await asyncio.sleep(0.1)
        assert not held.done()
        await player.broadcast.add(1)
        assert (await held)[2].encode("latin-1") == payload(Rendition.HLS, 100)

    run(tmp_path, test)


def test_b_1_how_long_a_cache_may_keep_each_answer(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        assert (await player.get("live.m3u8"))[1] == f"public, max-age={TARGET_S // 2}"
        assert (await player.get("live.m3u8?_HLS_msn=3"))[1] == f"public, max-age={6 * TARGET_S}"
        assert (await player.get("part/99.m4s"))[1].startswith(f"public, max-age={6 * TARGET_S}")
        assert (await player.get("seg/3.m4s"))[1].startswith(f"public, max-age={6 * TARGET_S}")
        for missing in ("part/5000.m4s", "seg/5000.m4s"):
            status, cache, _ = await player.get(missing)
            assert (status, cache) == (404, "no-store")

    run(tmp_path, test)


def test_b_1_a_plain_playlist_that_had_to_be_waited_for_is_kept_no_longer_than_others(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        early, blocking = await player.held("live.m3u8"), await player.held("live.m3u8?_HLS_msn=0")
        await player.broadcast.add(5)
        assert (await early)[1] == f"public, max-age={TARGET_S // 2}"
        assert (await blocking)[1] == f"public, max-age={6 * TARGET_S}"

    run(tmp_path, test, parts=3)


def test_6_2_1_the_playlist_only_ever_moves_on(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        sequence, newest = 0, 0
        for _ in range(40):
            text = await player.playlist(f"?_HLS_msn={newest // 8}&_HLS_part={newest % 8}")
            now = int(re.search(r"#EXT-X-MEDIA-SEQUENCE:([0-9]+)", text)[1])  # type: ignore[index]
            hint = int(re.search(r'PRELOAD-HINT:TYPE=PART,URI="part/([0-9]+)', text)[1])  # type: ignore[index]
            assert now >= sequence
            assert hint > newest
            sequence, newest = now, hint
            waiting = asyncio.create_task(player.playlist(f"?_HLS_msn={newest // 8}&_HLS_part={newest % 8}"))
            await asyncio.sleep(0)
            await player.broadcast.add(1)
            await waiting

    run(tmp_path, test)


def test_a_player_that_came_early_gets_a_playlist_with_a_segment_in_it(tmp_path: Path) -> None:
    async def test(player: Player) -> None:
        held = await player.held("live.m3u8")
        await player.broadcast.add(5)
        assert "seg/0.m4s" in (await held)[2]

    run(tmp_path, test, parts=3)
