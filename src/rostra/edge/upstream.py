"""Questions to the server that this edge follows: another edge, a door that points to one, or a cache in front of either."""

import asyncio
import json
import ssl
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rostra.kernel.errors import Fault, Unavailable
from rostra.wire.answer import Answer
from rostra.wire.client import Client, ClientLimits

ANSWER_S = 15.0
"""Longer than an edge holds a question. One that takes longer was lost on the way."""
NAME = "Rostra-Edge"
"""Header of a question by an edge: its name."""
TOLD_S = 3.0
BODY_S = 15.0
"""From the head of an answer to the end of its body: on the way anything may come to a stand, or drip."""
STATE_MOST = 262_144
LIST_MOST = 32 * 1024 * 1024
SMALL_MOST = 65_536
"""Bytes of one part, init segment or the like. What is longer is not ours, and is read no further."""
_SENT_MOST = 8 * 1024 * 1024
_LIMITS = ClientLimits(connections=4096, idle_kept=64, connect_s=1.0, answer_s=ANSWER_S, piece_s=10.0)


@dataclass(frozen=True, slots=True)
class Reply:
    """`age_s`: how long it lay in caches on its way."""

    status: int
    headers: dict[str, str]
    body: bytes
    age_s: int


class Upstream:
    """Attributes:
    asked, away: counters: questions sent, and those that got no answer.
    """

    def __init__(self, url: str, name: str) -> None:
        """`name`: by which this edge knows its own questions, should they come back to it. Raises Fault as `check_url`."""
        self.name = name
        self.url = url.rstrip("/")
        self.asked = 0
        self.away = 0
        self._client = _client(self.url)
        self._sound: Client | None = None
        self._sound_url = ""

    async def get(self, path: str, *headers: tuple[str, str], answer_s: float = ANSWER_S) -> Answer:
        """The answer once its head is in; a redirect to where the sound lives is followed once and remembered.

        Raises:
            Unavailable: no answer, or one that leads nowhere.
        """
        self.asked += 1
        headers = (*headers, (NAME, self.name))
        sound = self._sound
        try:
            answer = await (sound or self._client).request("GET", path, headers, answer_s=answer_s)
            if answer.status in _ELSEWHERE and sound is None:
                url = _base(answer.header("location"), path)
                await body_of(answer, SMALL_MOST)
                answer = await self._go(url).request("GET", path, headers, answer_s=answer_s)
        except Unavailable:
            self.away += 1
            # The door may point somewhere else by now.
            if self._sound is sound:
                self._sound = None
            raise
        if answer.status in _ELSEWHERE:
            answer.close()
            self._sound = None
            raise Unavailable("The server that this one takes its sound from points in a circle.")
        return answer

    async def whole(
        self,
        path: str,
        *headers: tuple[str, str],
        answer_s: float = ANSWER_S,
        body_s: float = BODY_S,
        most: int = LIST_MOST,
    ) -> Reply:
        """The answer with its body of at most so many bytes. Raises Unavailable."""
        answer = await self.get(path, ("Accept-Encoding", "gzip"), *headers, answer_s=answer_s)
        async with answer:
            try:
                body = await body_of(answer, min(most, _SENT_MOST), body_s)
            except Unavailable:
                self.away += 1
                raise
        named = dict(reversed(answer.headers))
        if named.get("content-encoding", "") == "gzip":
            body = await _unzipped(body, most)
        age = named.get("age", "")
        return Reply(answer.status, named, body, int(age) if age.isdecimal() and len(age) < 10 else 0)

    async def post(self, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        """Tell upstream something. Raises Unavailable."""
        self.asked += 1
        answer = await (self._sound or self._client).request("POST", path, headers, body, answer_s=TOLD_S)
        async with answer:
            return answer.status, await body_of(answer, SMALL_MOST, TOLD_S)

    async def close(self) -> None:
        await self._client.close()
        if self._sound is not None:
            await self._sound.close()

    def _go(self, url: str) -> Client:
        if self._sound is None or self._sound_url != url:
            self._sound, self._sound_url = _client(url), url
        return self._sound


def fine(reply: Reply) -> bytes:
    """The body of a success. Raises Unavailable for anything else."""
    if reply.status != 200:
        said = reply.body[:200].decode("utf-8", "replace").strip()
        raise Unavailable(f"Upstream answered {reply.status}: {said}")
    return reply.body


def plain(reply: Reply) -> Any:
    """What a JSON answer says. Raises Unavailable as `fine`, and for what is no JSON."""
    try:
        return json.loads(fine(reply))
    except (ValueError, RecursionError):
        raise Unavailable("An answer from upstream is no JSON.") from None


async def body_of(answer: Answer, most: int, body_s: float = BODY_S) -> bytes:
    """The body. Raises Unavailable where it is longer than that, or takes longer."""
    try:
        async with asyncio.timeout(body_s):
            return await answer.read(most)
    except TimeoutError:
        raise Unavailable("An answer from upstream came to a stand.") from None


def check_url(url: str) -> None:
    """Raises Fault where `url` is not http://HOST[:PORT] or https://HOST[:PORT]."""
    _address(url.rstrip("/"))


_ELSEWHERE = (301, 302, 303, 307, 308)


def _client(url: str) -> Client:
    address, secure = _address(url)
    return Client(address, _LIMITS, ssl.create_default_context() if secure else None)


def _address(url: str) -> tuple[tuple[str, int], bool]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or port == -1:
        raise Fault(f"'{url}' is no address of a server.", "Give it as http://HOST:PORT or https://HOST.")
    secure = parts.scheme == "https"
    return (parts.hostname, port or (443 if secure else 80)), secure


def _base(location: str, path: str) -> str:
    """What stands before `path` in a redirect to it."""
    base = location.removesuffix(path)
    if base == location or not base.startswith(("http://", "https://")) or urlsplit(base).path:
        raise Unavailable("The server that this one takes its sound from points to something else.")
    return base


async def _unzipped(body: bytes, most: int) -> bytes:
    def unzip() -> bytes:
        inflating = zlib.decompressobj(31)
        plain = inflating.decompress(body, most)
        if not inflating.eof:
            raise Unavailable("An answer from upstream is cut short or too large.")
        return plain

    try:
        return unzip() if len(body) < 65536 else await asyncio.to_thread(unzip)
    except zlib.error:
        raise Unavailable("An answer from upstream is not what it says it is.") from None
