"""The odd requests: what a server must refuse, hold, or answer at once (6.2.5 and 6.2.6)."""

import asyncio
import math
import re
from urllib.parse import urljoin, urlsplit

from rostra.rehearsal.hls.answers import Kind
from rostra.rehearsal.hls.fetch import Fetch
from rostra.rehearsal.hls.playlist import Playlist
from rostra.rehearsal.hls.report import Report
from rostra.rehearsal.hls.succession import DELTA, Delta

_HELD_MOST_S = 65.0


def directed(url: str, **directives: int | str) -> str:
    """The playlist's address with delivery directives, in the order of their names (6.3.2)."""
    query = "&".join(f"_HLS_{name}={value}" for name, value in sorted(directives.items()))
    return f"{url}{'&' if urlsplit(url).query else '?'}{query}"


def held_s(playlist: Playlist) -> float:
    """How long a held request for it may take; also where it promises absurdly long segments."""
    return min(3.0 * (playlist.target_s or 6) + 5, _HELD_MOST_S)


async def probe_live(fetch: Fetch, report: Report, url: str, now: Playlist) -> None:
    """Of a live playlist that stood like `now` a moment ago."""
    if now.blocks:
        await _refused(fetch, url, now)
        await _there_already(fetch, url, now)
    await _unknown(fetch, url, now)
    held = [_hinted(fetch, url, now)]
    if now.blocks:
        held.append(_held(fetch, report, url, now))
    await asyncio.gather(*held)


async def probe_ended(fetch: Fetch, url: str, now: Playlist) -> None:
    if now.control is not None:
        await fetch.playlist(directed(url, msn=now.last_whole + 50, part=0), Kind.AFTER_END)
        await fetch.playlist(directed(url, skip="YES"), Kind.AFTER_END)
    await _unknown(fetch, url, now)


async def _refused(fetch: Fetch, url: str, now: Playlist) -> None:
    await fetch.playlist(directed(url, part=0), Kind.PART_WITHOUT_MSN)
    # The stream goes on while we ask: one segment more than the rule names.
    await fetch.playlist(directed(url, msn=now.last_whole + 4), Kind.MSN_AHEAD)
    if now.low_latency and now.part_target_s:
        limit = math.ceil(3 / now.part_target_s) if now.part_target_s < 1 else 3
        msn, part = now.last
        most = max((len(one.parts) for one in now.whole if one.parts), default=0)
        # Only what lies in the same segment is sure to be beyond the limit; further ones are counted as whole.
        if part + limit + 2 < most:
            await fetch.playlist(directed(url, msn=msn, part=part + limit + 2), Kind.PART_AHEAD)
        elif most and limit < most:
            await fetch.playlist(directed(url, msn=msn + 1, part=limit + 2), Kind.PART_AHEAD)


async def _there_already(fetch: Fetch, url: str, now: Playlist) -> None:
    await fetch.playlist(directed(url, msn=now.last_whole), Kind.OLD, (now.last_whole, -1))
    if now.msn > 0:
        await fetch.playlist(directed(url, msn=now.msn - 1), Kind.OLD, (now.msn - 1, -1))
    if now.low_latency and now.last[1] >= 0:
        await fetch.playlist(directed(url, msn=now.last[0], part=now.last[1]), Kind.OLD, now.last)


async def _held(fetch: Fetch, report: Report, url: str, now: Playlist) -> None:
    """The next whole segment; a part index that its segment does not have; a delta update."""
    deadline_s = held_s(now)

    async def segment() -> None:
        msn = now.last_whole + 1
        await fetch.playlist(directed(url, msn=msn), Kind.BLOCKING, (msn, -1), deadline_s)

    async def beyond(msn: int, parts: int) -> None:
        await fetch.playlist(directed(url, msn=msn, part=parts + 3), Kind.BLOCKING, (msn + 1, 0), deadline_s)

    async def delta() -> None:
        update, _ = await fetch.playlist(directed(url, skip="YES"))
        if update is not None:
            report.add(DELTA.judge(Delta(now, update)), url)

    asks = [segment()]
    if now.whole and now.whole[-1].parts:
        asks.append(beyond(now.last_whole, len(now.whole[-1].parts)))
    if now.control_s("CAN-SKIP-UNTIL") is not None:
        asks.append(delta())
    await asyncio.gather(*asks)


async def _hinted(fetch: Fetch, url: str, now: Playlist) -> None:
    for hint in now.hints:
        if hint.get("TYPE") == "PART" and hint.get("URI") and "BYTERANGE-START" not in hint:
            await fetch.media(urljoin(url, hint["URI"]), None, Kind.HINTED, held_s(now))


async def _unknown(fetch: Fetch, url: str, now: Playlist) -> None:
    """A neighbour, far away, of a segment that exists."""
    if not now.whole:
        return
    address = urljoin(url, now.whole[-1].uri)
    numbers = list(re.finditer(r"[0-9]{1,18}", urlsplit(address).path))
    if numbers and now.whole[-1].byterange is None:
        at = address.rindex(numbers[-1][0])
        far = str(int(numbers[-1][0]) + 100_000)
        await fetch.media(address[:at] + far + address[at + len(numbers[-1][0]) :], None, Kind.UNKNOWN)
