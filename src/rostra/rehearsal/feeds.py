"""Where a listener's sound comes from: numbered Opus parts as the web player takes them, or an LL-HLS playlist.

A feed gives fragments in order and leaves patience to its caller: every failure is an exception, and calling again goes on
where it stopped.
"""

import math
import re
import time
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urljoin

from rostra.rehearsal.boxes import Fragment, Init, NotMp4, read_fragment, read_init, split
from rostra.rehearsal.http import Answer, Client, HttpError

HOLD_S = 20.0
"""A held request is answered or refused well within this."""


class NotNow(Exception):
    """The server asked to come again later.

    Attributes:
        after_s: how much later, or None if it did not say.
    """

    def __init__(self, sentence: str, after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.after_s = after_s


class Over(Exception):
    """The broadcast has ended and every part of it was given."""


class Feed(Protocol):
    behind_s: float
    """How far behind the newest sound a player of this feed starts; known once it has joined."""

    async def join(self) -> tuple[Init, list[Fragment]]:
        """Start at the newest sound. Raises: HttpError, NotNow, Over."""

    async def next(self) -> list[Fragment]:
        """What follows, once it exists. Raises: HttpError, NotNow, Over."""


class Parts:
    """The web player's way: one request for the newest second, then one held request for each half second."""

    behind_s = 0.6

    def __init__(self, client: Client, base: str, from_start: bool = False) -> None:
        self._client, self._base, self._from_start = client, f"{base}/opus", from_start
        self._next = 0

    async def join(self) -> tuple[Init, list[Fragment]]:
        if self._from_start:
            init = await _get(self._client, f"{self._base}/init.mp4")
            self._next = 0
            return read_init(init.body), await self.next()
        asked = time.monotonic()
        answer = await _get(self._client, f"{self._base}/join.mp4")
        # Enough to outlast the wait for the next part and the way there and back, as long as it was just now.
        self.behind_s = 0.6 + min(0.4, time.monotonic() - asked)
        init_bytes, parts = split(answer.body)
        try:
            self._next = int(answer.headers["rostra-next"])
        except (KeyError, ValueError):
            raise NotMp4("join.mp4 came without a usable Rostra-Next header") from None
        return read_init(init_bytes), [read_fragment(part) for part in parts]

    async def next(self) -> list[Fragment]:
        answer = await _get(self._client, f"{self._base}/part/{self._next}.m4s")
        self._next += 1
        return [read_fragment(part) for part in split(answer.body)[1]]


@dataclass(frozen=True, slots=True)
class _Piece:
    msn: int
    part: int | None
    """Index of the part in its segment; None for the whole segment."""
    uri: str


class Playlist:
    """An LL-HLS player's way: blocking reloads and parts. Source: draft-pantos-hls-rfc8216bis, 6.2.5.2 and appendix C."""

    def __init__(self, client: Client, base: str, from_start: bool = False) -> None:
        self.behind_s = 1.6
        self._client, self._url = client, f"{base}/hls/{'replay' if from_start else 'index'}.m3u8"
        self._from_start = from_start
        self._media = ""
        self._after = (-1, -1)
        self._pieces: list[_Piece] = []
        self._ended = self._blocking = False

    async def join(self) -> tuple[Init, list[Fragment]]:
        answer = await _get(self._client, self._url)
        text = answer.body.decode("utf-8", "replace")
        if "#EXT-X-STREAM-INF" in text:
            variant = next(line for line in text.splitlines() if line and not line.startswith("#"))
            answer = await _get(self._client, urljoin(answer.url, variant))
            text = answer.body.decode("utf-8", "replace")
        self._media = answer.url
        self._read(text)
        if self._from_start or self._ended:
            self._after = (-1, -1)
        elif self._pieces:
            newest = self._pieces[-(1 + math.ceil(self.behind_s / 0.5))] if len(self._pieces) > 4 else self._pieces[0]
            self._after = (newest.msn, -1 if newest.part is None else newest.part - 1)
        uri = re.search(r'#EXT-X-MAP:.*?URI="([^"]+)"', text)
        if not uri:
            raise NotNow("the playlist has no sound yet", 1)
        init = await _get(self._client, urljoin(self._media, uri[1]))
        found: list[Fragment] = []
        while any(self._newer(piece) for piece in self._pieces) and (not self._from_start or not found):
            found += await self.next()
        return read_init(init.body), found

    async def next(self) -> list[Fragment]:
        piece = next((one for one in self._pieces if self._newer(one)), None)
        while piece is None:
            if self._ended:
                raise Over
            directives = ""
            if self._blocking:
                directives = f"?_HLS_msn={max(0, self._after[0])}&_HLS_part={self._after[1] + 1}"
            answer = await _get(self._client, self._media + directives)
            self._read(answer.body.decode("utf-8", "replace"))
            piece = next((one for one in self._pieces if self._newer(one)), None)
            if piece is None and not self._blocking and not self._ended:
                raise NotNow("the playlist has not grown", 0.5)
        answer = await _get(self._client, urljoin(self._media, piece.uri))
        fragments = [read_fragment(part) for part in split(answer.body)[1]]
        self._after = (piece.msn, 1_000_000 if piece.part is None else piece.part)
        return fragments

    def _newer(self, piece: _Piece) -> bool:
        if piece.part is None:
            return piece.msn > self._after[0]
        return (piece.msn, piece.part) > self._after

    def _read(self, text: str) -> None:
        pieces: list[_Piece] = []
        parts: list[_Piece] = []
        msn = 0
        for line in text.splitlines():
            if line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
                msn = int(line.partition(":")[2])
            elif line.startswith("#EXT-X-PART:"):
                parts.append(_Piece(msn, len(parts), _attribute(line, "URI")))
            elif line and not line.startswith("#"):
                pieces += parts or [_Piece(msn, None, line)]
                parts, msn = [], msn + 1
            elif line.startswith("#EXT-X-SERVER-CONTROL"):
                self._blocking = "CAN-BLOCK-RELOAD=YES" in line
                self.behind_s = float(_attribute(line, "PART-HOLD-BACK") or self.behind_s)
        self._pieces, self._ended = pieces + parts, "#EXT-X-ENDLIST" in text


async def _get(client: Client, url: str) -> Answer:
    answer = await client.request("GET", url, deadline_s=HOLD_S)
    if answer.status == 200:
        return answer
    if answer.headers.get("rostra-ended"):
        raise Over
    if answer.status in (429, 502, 503, 504):
        after = answer.headers.get("retry-after", "")
        raise NotNow(answer.body.decode("utf-8", "replace").strip()[:200], float(after) if after.isdigit() else None)
    raise HttpError(f"{url} answered {answer.status}")


def _attribute(line: str, name: str) -> str:
    found = re.search(rf'[:,]{name}=(?:"([^"]*)"|([^,]*))', line)
    return (found[1] or found[2] or "") if found else ""
