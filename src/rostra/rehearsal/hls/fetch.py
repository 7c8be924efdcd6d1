"""Asking for playlists and media on behalf of a check, and keeping account of how it was answered."""

import asyncio
import zlib
from urllib.parse import urlsplit

from rostra.rehearsal.hls.answers import ANSWERS, Answered, Kind
from rostra.rehearsal.hls.findings import Finding
from rostra.rehearsal.hls.playlist import Playlist
from rostra.rehearsal.hls.reading import read
from rostra.rehearsal.hls.report import UNANSWERED, Report
from rostra.rehearsal.http import Answer, Client, HttpError

_PLAYLIST_MOST = 8 * 1024 * 1024
_MEDIA_MOST = 64 * 1024 * 1024
"""What is longer is read no further."""


class Fetch:
    """For one media playlist (`where`): what is asked through here is judged, and counted, there."""

    def __init__(self, client: Client, report: Report, where: str) -> None:
        self._client, self._report, self._where = client, report, where
        self.target_s, self.part_target_s = 0, 0.0

    async def playlist(
        self, url: str, kind: Kind = Kind.PLAIN, asked: tuple[int, int] | None = None, deadline_s: float = 30.0
    ) -> tuple[Playlist | None, Answer | None]:
        """None, None where nothing came; None with an answer that is not 200."""
        answer = await self._ask(url, {"Accept-Encoding": "gzip"}, deadline_s, _PLAYLIST_MOST)
        if answer is None:
            return None, None
        found = None
        if answer.status == 200:
            found = read(_inflated(answer))
            self.target_s = found.target_s or self.target_s
            self.part_target_s = found.part_target_s or self.part_target_s
        self._judge(kind, url, answer, asked, found)
        return found, answer

    async def media(
        self, url: str, byterange: tuple[int, int] | None = None, kind: Kind = Kind.MEDIA, deadline_s: float = 30.0
    ) -> bytes | None:
        headers = {}
        if byterange is not None:
            headers["Range"] = f"bytes={byterange[1]}-{byterange[1] + byterange[0] - 1}"
        answer = await self._ask(url, headers, deadline_s, _MEDIA_MOST)
        if answer is None:
            return None
        body, status = answer.body, answer.status
        if byterange is not None and status == 200:
            body = body[byterange[1] : byterange[1] + byterange[0]]
        if byterange is not None and status == 206:
            status = 200
        self._judge(kind, url, answer, None, None, status)
        return body if status == 200 else None

    async def _ask(self, url: str, headers: dict[str, str], deadline_s: float, most: int) -> Answer | None:
        self._report.requests += 1
        try:
            return await self._client.request("GET", url, headers=headers, deadline_s=deadline_s, most=most)
        except HttpError as wrong:
            self._report.add([Finding(UNANSWERED, f"{_short(url)}: {wrong}.")], self._where)
            await asyncio.sleep(0.2)  # where nothing answers, asking faster helps nobody
            return None

    def _judge(
        self,
        kind: Kind,
        url: str,
        answer: Answer,
        asked: tuple[int, int] | None,
        found: Playlist | None,
        status: int | None = None,
    ) -> None:
        answered = Answered(
            kind, _short(url), status or answer.status, answer.headers, answer.first_byte_s, answer.took_s, self.target_s,
            self.part_target_s, asked, found,
        )  # fmt: skip
        self._report.add(ANSWERS.judge(answered), self._where)


def _inflated(answer: Answer) -> bytes:
    if "gzip" not in answer.headers.get("content-encoding", ""):
        return answer.body
    try:
        return zlib.decompressobj(wbits=31).decompress(answer.body, _PLAYLIST_MOST)
    except zlib.error:
        return b""


def _short(url: str) -> str:
    """The last two words of the path, and the query: enough to find it again."""
    parts = urlsplit(url)
    return "/".join(parts.path.rsplit("/", 2)[-2:]) + (f"?{parts.query}" if parts.query else "")
