"""`rostra check-hls`: from a playlist's address to a report, over as many media playlists as it leads to."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from urllib.parse import urljoin

from rostra.kernel.errors import Fault
from rostra.rehearsal.hls.fetch import Fetch
from rostra.rehearsal.hls.master import MASTER, SIBLINGS, Siblings
from rostra.rehearsal.hls.playlist import Playlist, Variant, number
from rostra.rehearsal.hls.report import Report
from rostra.rehearsal.hls.watch import Watch
from rostra.rehearsal.http import Client

_VARIANTS_MOST = 32
_SIDE_BY_SIDE_EVERY_S = 5.0


class Examiner:
    """Attributes:
    report: fills as the check goes on, so that one that is interrupted has told what it saw.
    """

    def __init__(self, url: str, *, seconds: float = 20.0, progress: Callable[[str], None] = lambda line: None) -> None:
        self.report = Report(url)
        self._seconds, self._progress = seconds, progress
        self._client = Client()

    async def run(self) -> None:
        """Raises Fault when no playlist can be had at the address."""
        began = time.monotonic()
        try:
            url, playlist = await self._begin()
            watches = [Watch(self._client, self.report, at, of) for at, of in self._media_of(url, playlist).items()]
            until = time.monotonic() + self._seconds
            telling = asyncio.create_task(self._tell(began, watches))
            beside = asyncio.create_task(self._side_by_side(watches))
            try:
                await asyncio.gather(*(one.run(until) for one in watches))
            finally:
                for task in (telling, beside):
                    task.cancel()
                await asyncio.gather(telling, beside, return_exceptions=True)
            await self._beside(watches)
        finally:
            self.report.seconds = time.monotonic() - began
            self._client.close()

    async def _begin(self) -> tuple[str, Playlist]:
        url = self.report.url
        # Before the first sound a server may ask to come again; this is the only time that we do.
        for _ in range(3):
            playlist, answer = await Fetch(self._client, self.report, url).playlist(url)
            if playlist is not None and answer is not None:
                return answer.url, playlist
            if answer is None or answer.status not in (429, 503):
                break
            self.report.found.clear()
            await asyncio.sleep(1)
        said = "nothing answered" if answer is None else f"it answered {answer.status}"
        raise Fault(f"There is no playlist at {url}: {said}.", "Give the address of a .m3u8 that a player would open.")

    def _media_of(self, url: str, playlist: Playlist) -> dict[str, Variant | None]:
        if not playlist.multivariant:
            return {url: None}
        self.report.add(MASTER.judge(playlist), url)
        found: dict[str, Variant | None] = {}
        for one in playlist.variants:
            if len(found) < _VARIANTS_MOST:
                found.setdefault(urljoin(url, one.uri), one)
        return found

    async def _side_by_side(self, watches: list[Watch]) -> None:
        while True:
            await asyncio.sleep(_SIDE_BY_SIDE_EVERY_S)
            await self._beside(watches)

    async def _beside(self, watches: list[Watch]) -> None:
        """All media playlists fetched at once. Only what is still live can be out of step."""
        if len(watches) < 2:
            return
        began = time.monotonic()
        got = await asyncio.gather(*(Fetch(self._client, self.report, one.url).playlist(one.url) for one in watches))
        ages = [answer.headers.get("age", "0") for _, answer in got if answer is not None]
        apart_s = time.monotonic() - began + max((number(age) or 0 for age in ages), default=0)
        playlists = {one.url: found for one, (found, _) in zip(watches, got, strict=True) if found is not None}
        epochs = {one.url: one.epoch_s for one in watches if one.epoch_s is not None}
        self.report.add(SIBLINGS.judge(Siblings(playlists, apart_s, epochs)), self.report.url)

    async def _tell(self, began: float, watches: list[Watch]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                left_s = self._seconds - (time.monotonic() - began)
                versions = sum(one.watched.versions for one in watches)
                media = sum(one.watched.segments + one.watched.parts for one in watches)
                self._progress(
                    f"{versions} versions of {len(watches)} playlists, {media} segments and parts, "
                    f"{len(self.report.found)} findings; {max(0.0, left_s):.0f} s to go"
                )
                await asyncio.sleep(0.5)
