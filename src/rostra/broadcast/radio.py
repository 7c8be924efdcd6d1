"""The radio as a role: MP3 for players that know nothing else, made of the record's Opus, half-second part by part.

    GET /s/ID/mp3/part/N.mp3      the part; held until it exists if it is at most a few ahead

It keeps no stream going: a part is made when it is asked for, is kept for whoever else asks, and is the same bytes if it is made
again. So nothing is done while nobody listens, and after a restart the next request goes on as if nothing had been.
"""

import asyncio
import re
import socket
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from rostra.broadcast.tuner import AHEAD_MOST, Tuner
from rostra.kernel.clock import Clock
from rostra.kernel.errors import Overloaded, PeerError, RostraError, Unavailable, UnknownSpace
from rostra.kernel.ids import SpaceId, parse_space_id
from rostra.kernel.log import Log
from rostra.kernel.metrics import family
from rostra.timeline.ports import Library
from rostra.wire.awaiting import awaiting
from rostra.wire.http1 import Limits, Request, Response
from rostra.wire.listening import serve
from rostra.wire.server import Counters, Server

HOLD_S: Final = 12.0
KEPT_MOST: Final = 1024
"""Parts kept, of all Spaces together: about 4 MB."""
MAKING_MOST: Final = 256
"""Parts waiting to be made, of the newest and of the past each; one more is refused (503)."""
NEWEST: Final = 16
"""Parts of a Space (8 s) that who listens now may be waiting for. They never stand behind what is asked for from the past."""
TUNED_MOST: Final = 64
"""Spaces followed at once; for one more, the one not asked for the longest is let go, if its time is over."""
LET_GO_S: Final = 15.0
_THREADS: Final = 2
_PAST_THREADS: Final = 1
_SWEEP_S: Final = 5.0

_Key = tuple[SpaceId, int]


class RadioRole:
    def __init__(self, *, library: Library, clock: Clock, log: Log, vitals: Callable[[], str] = str) -> None:
        """`vitals`: how the process does, to stand beside the role's own metrics."""
        self._library, self._clock, self._log = library, clock, log
        self._tuners: dict[SpaceId, Tuner] = {}
        self._opening: dict[SpaceId, asyncio.Task[Tuner]] = {}
        self._making: dict[_Key, asyncio.Task[bytes]] = {}
        self._past: set[_Key] = set()  # of those being made
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._pool = ThreadPoolExecutor(_THREADS, "mp3")
        self._past_pool = ThreadPoolExecutor(_PAST_THREADS, "mp3 of the past")
        self._counters = Counters()
        self._vitals = vitals
        self._server: Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._stop_hearing: Callable[[], None] | None = None
        self._made = 0
        self._refused = 0
        self._damaged = 0

    async def start(self, sockets: list[socket.socket]) -> None:
        self._stop_hearing = self._library.hear(self._heard)
        self._server = await serve(awaiting(self._answer), sockets, _LIMITS, self._counters, self._log)
        self._sweeping = asyncio.create_task(self._sweep(), name="radio sweep")

    async def stop(self, deadline_s: float) -> None:
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.wait((sweeping,))
        while self._tuners:
            self._let_go(next(iter(self._tuners)))
        server, self._server = self._server, None
        if server is not None:
            await server.drain(deadline_s)
        stop_hearing, self._stop_hearing = self._stop_hearing, None
        if stop_hearing is not None:
            stop_hearing()
        under_way = [*self._opening.values(), *self._making.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for pool in (self._pool, self._past_pool):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    def metrics(self) -> str:
        numbers = [
            ("rostra_radio_tuned", "gauge", "Spaces whose MP3 is asked for now.", len(self._tuners)),
            ("rostra_radio_made_total", "counter", "Parts of MP3 made.", self._made),
            ("rostra_radio_refused_total", "counter", "Requests refused because too much was asked for.", self._refused),
            ("rostra_radio_damaged_total", "counter", "Records or parts that could not be read.", self._damaged),
        ]  # fmt: skip
        text = "".join(family(name, kind, meaning, [(None, value)]) for name, kind, meaning, value in numbers)
        return text + self._counters.metrics("radio") + self._vitals()

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise PeerError(405, "This address can only be read.", "bad-method", (("Allow", "GET, HEAD"),))
        if request.path == "/healthz":
            return Response(200, [("Content-Type", "text/plain"), ("Cache-Control", "no-store")], b"ok\n")
        if request.path == "/metrics":
            return Response(200, [("Content-Type", "text/plain; version=0.0.4")], self.metrics().encode())
        match = _PATH.fullmatch(request.path)
        space_id = parse_space_id(match[1]) if match is not None else None
        if match is None or space_id is None:
            raise PeerError(404, "There is nothing here.", "not-found")
        body = await self._part(space_id, int(match[2]))
        if body is None:
            return Response(404, [("Rostra-Ended", "1"), ("Content-Type", "text/plain")], b"This Space has ended.\n")
        headers = [("Content-Type", "audio/mpeg"), ("Cache-Control", "public, max-age=86400, immutable")]
        return Response(200, headers, body)

    async def _part(self, space_id: SpaceId, number: int) -> bytes | None:
        tuner = await self._tune(space_id)
        tuner.asked_at = self._clock.monotonic()
        kept = self._kept.get((space_id, number))
        if kept is not None:
            return kept
        if number >= tuner.parts + AHEAD_MOST and not tuner.over:
            raise PeerError(404, "This part does not exist yet, and it is too early to wait for it.", "too-far")
        try:
            async with asyncio.timeout(HOLD_S):
                if not await tuner.until(number):
                    return None
        except TimeoutError:
            raise Unavailable("The next part did not come in time. Please ask again.") from None
        return await self._made_once((space_id, number), tuner)

    async def _made_once(self, key: _Key, tuner: Tuner) -> bytes:
        making = self._making.get(key)
        if making is None:
            past = key[1] < tuner.parts - NEWEST
            if (len(self._past) if past else len(self._making) - len(self._past)) >= MAKING_MOST:
                self._refused += 1
                raise Overloaded("Too many parts are being made just now. Please ask again.", 1)
            if past:
                self._past.add(key)
            pool = self._past_pool if past else self._pool
            making = self._making[key] = asyncio.create_task(self._make(key, tuner, pool))
            making.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(making)

    async def _make(self, key: _Key, tuner: Tuner, pool: ThreadPoolExecutor) -> bytes:
        try:
            with tuner.maker(key[1]) as make:
                body = await asyncio.get_running_loop().run_in_executor(pool, make)
        except (OSError, ValueError) as error:
            self._say_damaged(key[0], error)
            raise Unavailable("The record of this Space cannot be read just now.", 5) from None
        self._made += 1
        self._kept[key] = body
        if len(self._kept) > KEPT_MOST:
            self._kept.popitem(last=False)
        return body

    def _forget(self, key: _Key, done: asyncio.Task[bytes]) -> None:
        del self._making[key]
        self._past.discard(key)
        if not done.cancelled():
            done.exception()  # whoever asked has it, or has gone

    async def _tune(self, space_id: SpaceId) -> Tuner:
        tuner = self._tuners.get(space_id)
        if tuner is not None:
            return tuner
        opening = self._opening.get(space_id)
        if opening is None:
            if len(self._tuners) + len(self._opening) >= TUNED_MOST and not self._make_room():
                self._refused += 1
                raise Overloaded("Too many Spaces are asked for as MP3 just now. Please ask again.", 5)
            opening = self._opening[space_id] = asyncio.create_task(self._open(space_id))
            opening.add_done_callback(lambda _: self._opening.pop(space_id, None))
        return await asyncio.shield(opening)

    async def _open(self, space_id: SpaceId) -> Tuner:
        try:
            reader = self._library.reader(space_id)
        except UnknownSpace:
            raise PeerError(404, "There is no such Space.", "no-space") from None
        tuner = Tuner(reader, self._clock.monotonic())
        try:
            await asyncio.to_thread(tuner.read)
            tuner.grew()
        except (RostraError, OSError, ValueError) as error:
            tuner.close()
            self._say_damaged(space_id, error)
            raise Unavailable("The record of this Space cannot be read just now.", 5) from None
        self._tuners[space_id] = tuner
        return tuner

    def _heard(self, space_id: SpaceId) -> None:
        tuner = self._tuners.get(space_id)
        if tuner is None:
            return
        try:
            tuner.grew()
        except (RostraError, OSError, ValueError) as error:
            self._say_damaged(space_id, error)
            self._let_go(space_id)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            for space_id in self._idle():
                self._let_go(space_id)

    def _idle(self) -> list[SpaceId]:
        """Those that nobody has asked for in a while, the one not asked for the longest first."""
        before = self._clock.monotonic() - LET_GO_S
        idle = [(one.asked_at, space_id) for space_id, one in self._tuners.items() if one.asked_at < before]
        return [space_id for _, space_id in sorted(idle) if not self._tuners[space_id].busy]

    def _make_room(self) -> bool:
        idle = self._idle()
        if idle:
            self._let_go(idle[0])
        return bool(idle)

    def _let_go(self, space_id: SpaceId) -> None:
        self._tuners.pop(space_id).close()

    def _say_damaged(self, space_id: SpaceId, error: Exception) -> None:
        self._damaged += 1
        self._log.error("a record cannot be made into MP3", space=space_id, why=str(error))


_PATH: Final = re.compile(r"/s/([^/]+)/mp3/part/(0|[1-9][0-9]{0,8})\.mp3", re.ASCII)
_LIMITS: Final = Limits(body_bytes=1024)
