"""The stage as a role: the addresses below which Spaces are spoken into and steered.

POST            /spaces                       a new Space (operator)
POST            /spaces/ID/count              an edge's listeners (operator's key)
POST            /s/ID/commands                steer it (a seat, or the operator)
GET             /s/ID/stage/events, …/ice     what the studio shows; STUN and TURN
POST            /s/ID/whip, /s/ID/stage       speak (a seat)
PATCH, DELETE   /s/ID/whip/SESSION, /s/ID/stage/SESSION
"""

import asyncio
import base64
import hmac
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from rostra.kernel.clock import Clock
from rostra.kernel.errors import DiskFull, PeerError, Unavailable
from rostra.kernel.ids import SeatId, SpaceId, parse_space_id
from rostra.kernel.log import Log
from rostra.kernel.metrics import family
from rostra.kernel.settings import Settings
from rostra.space import commands as c
from rostra.space.count import REPORT_BYTES_MOST, parse_report
from rostra.space.space import Space
from rostra.space.states import OVER, STAGE_UP
from rostra.space.view import public
from rostra.stage import arrivals, asked
from rostra.stage.bygone import Bygone
from rostra.stage.ice import host_addresses, ice_servers
from rostra.stage.ports import Broadcasting
from rostra.stage.registry import Registry
from rostra.stage.session import Via
from rostra.stage.space_loop import SpaceLoop
from rostra.stage.whip import Signalling, check_owner, find_session, with_cors
from rostra.timeline.ports import Library
from rostra.wire.awaiting import awaiting
from rostra.wire.counters import Counters
from rostra.wire.http1 import Limits, Request, Response
from rostra.wire.listening import serve
from rostra.wire.server import Server

_LIMITS: Final = Limits(target_bytes=1024, head_bytes=8192, body_bytes=REPORT_BYTES_MOST)
_CHALLENGE: Final = ("WWW-Authenticate", 'Bearer realm="rostra"')
_VIA: Final = {"whip": Via.WHIP, "stage": Via.BROWSER}


class StageRole:
    def __init__(
        self,
        *,
        library: Library,
        settings: Settings,
        clock: Clock,
        log: Log,
        key: str,
        broadcasting: Broadcasting,
        vitals: Callable[[], str] = str,
    ) -> None:
        """`key` is the operator's. `vitals`: how the process does, to stand beside the role's own metrics.

        Raises Fault where the media settings cannot be used.
        """
        host_addresses(settings)
        self._settings, self._clock, self._log, self._key = settings, clock, log, key
        self._broadcasting, self._vitals = broadcasting, vitals
        self._registry = Registry(library, settings, clock, log, broadcasting)
        self._bygone = Bygone(settings, clock)
        self._signalling = Signalling(settings)
        self._counters = Counters()
        self._server: Server | None = None

    async def start(self, sockets: list[socket.socket]) -> None:
        self._registry.start()
        self._server = await serve(awaiting(self.answer), sockets, _LIMITS, self._counters, self._log)

    async def stop(self, deadline_s: float) -> None:
        """Speakers are told goodbye and come back to the next process; the last parts are made whole and written."""
        self._bygone.close()
        draining = asyncio.create_task(self._server.drain(deadline_s)) if self._server else None
        await self._registry.stop(deadline_s)
        if draining is not None:
            await draining

    async def answer(self, request: Request) -> Response:
        """Raises PeerError, Overloaded, Unavailable."""
        try:
            return await self._route(request)
        except DiskFull as full:
            raise Unavailable(str(full), 10) from None
        except PeerError as refusal:
            if "/whip" in request.path:
                raise with_cors(refusal) from None
            raise

    def metrics(self) -> str:
        counters, loops = self._registry.counters, self._registry.loops
        chairs = [session for loop in loops for session in loop.sessions.by_id.values()]
        dropped = sum(session.chair.peer.dropped_total for session in chairs)
        begun = counters.sessions + sum(loop.sessions.begun_total for loop in loops)
        failed = counters.sessions_failed + sum(loop.sessions.failed_total for loop in loops)
        up = sum(loop.stage_up for loop in loops)
        rows: list[tuple[str, str, str, float]] = [
            ("spaces", "gauge", "Spaces whose stage is up.", up),
            ("speakers", "gauge", "Speakers in the rooms.", sum(session.seated for session in chairs)),
            ("sessions_total", "counter", "Speakers' sessions begun.", begun),
            ("sessions_failed_total", "counter", "Of them those that never connected.", failed),
            ("ticks_total", "counter", "Room ticks of 20 ms.", counters.ticks),
            ("ticks_skipped_total", "counter", "Ticks left out after a stall.", counters.ticks_skipped),
            ("restarts_total", "counter", "Stages of Spaces begun anew after a failure.", counters.restarts),
            ("commands_total", "counter", "Commands decided.", counters.commands),
            ("refusals_total", "counter", "Commands refused.", counters.refused),
            ("dropped_datagrams", "gauge", "Datagrams dropped at full sockets, of speakers present.", dropped),
        ]
        own = "".join(family(f"rostra_stage_{name}", kind, meaning, [(None, n)]) for name, kind, meaning, n in rows)
        gone = [counters.packets_of_gone, *(loop.sessions.packets_of_gone for loop in loops)]
        packets = arrivals.metrics(gone, (session.chair.voice.jitter for session in chairs), self._clock.monotonic())
        return own + packets + self._broadcasting.metrics() + self._vitals()

    async def _route(self, request: Request) -> Response:
        match request.path.strip("/").split("/"):
            case ["healthz"]:
                return _plain(200, "ok\n")
            case ["metrics"]:
                self._operator(request)
                return Response(200, [("Content-Type", "text/plain; version=0.0.4")], self.metrics().encode())
            case ["spaces"]:
                _only(request, "POST")
                return await self._make(request)
            case ["spaces", text, "count"]:
                _only(request, "POST")
                return await self._count(_space_id(text), request)
            case ["s", text, "commands"]:
                _only(request, "POST")
                return await self._command(_space_id(text), request)
            case ["s", text, "stage", "events"]:
                _only(request, "GET")
                return await self._events(_space_id(text), request)
            case ["s", text, "stage", "ice"]:
                _only(request, "GET")
                await self._asker(_space_id(text), request)
                return _json(200, {"iceServers": ice_servers(self._settings)})
            case ["s", text, ("whip" | "stage") as way]:
                return await self._endpoint(_space_id(text), _VIA[way], request)
            case ["s", text, ("whip" | "stage") as way, session_id]:
                return await self._session(_space_id(text), _VIA[way], session_id, request)
        raise PeerError(404, "There is nothing at this address.", "nothing-here")

    async def _endpoint(self, space_id: SpaceId, via: Via, request: Request) -> Response:
        if request.method == "OPTIONS":
            return self._signalling.options(session=False)
        if request.method != "POST":
            raise self._signalling.not_allowed(session=False)
        loop, actor = await self._actor(space_id, request)
        return await self._signalling.post(loop, actor, via, request)

    async def _session(self, space_id: SpaceId, via: Via, session_id: str, request: Request) -> Response:
        if request.method == "OPTIONS":
            return self._signalling.options(session=True)
        if request.method not in ("PATCH", "DELETE"):
            running = self._registry.running(space_id)
            if running is None or session_id not in running.sessions.by_id:
                raise PeerError(404, "There is no such session (any more).", "no-session")
            raise self._signalling.not_allowed(session=True)
        loop, actor = await self._actor(space_id, request)
        session = find_session(loop, via, session_id)
        check_owner(session, actor)
        if request.method == "DELETE":
            return await self._signalling.delete(loop, session)
        return await self._signalling.patch(loop, session, request)

    async def _make(self, request: Request) -> Response:
        self._operator(request)
        new = asked.parse_new_space(asked.parse_json(request.body, request.headers.get("content-type", "")))
        space_id, token = await self._registry.make(new)
        return _json(201, {"id": space_id, "host_token": token})

    async def _count(self, space_id: SpaceId, request: Request) -> Response:
        self._operator(request)
        report = parse_report(asked.parse_json(request.body, request.headers.get("content-type", "")))
        if (await self._registry.space(space_id)).state not in STAGE_UP:
            return _json(200, {"key": base64.b64encode(report.key).decode(), "again": False})
        turnout = (await self._registry.loop(space_id)).turnout
        turnout.report(report, self._clock.monotonic())
        key = base64.b64encode(turnout.key or report.key).decode()
        return _json(200, {"key": key, "again": turnout.wants_all(report)})

    async def _command(self, space_id: SpaceId, request: Request) -> Response:
        loop, actor = await self._actor(space_id, request)
        wanted = asked.parse_command(asked.parse_json(request.body, request.headers.get("content-type", "")))
        events = await loop.command(wanted.command, actor)
        self._bygone.changed(space_id)
        told: dict[str, Any] = {
            "space": public(loop.space, self._clock.wall_us()),
            "events": [_without_hashes(json.loads(event.to_json())) for event in events],
        }
        if wanted.token is not None:
            told |= {
                "seat": next(seat for event in events if (seat := getattr(event, "seat", ""))),
                "token": wanted.token,
            }
        return _json(200, told)

    async def _events(self, space_id: SpaceId, request: Request) -> Response:
        space, actor = await self._asker(space_id, request)
        headers = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
        running = self._registry.running(space_id)
        if space.state in OVER and (running is None or not running.open):
            self._bygone.check_room(space_id, actor.seat)
            return Response(200, headers, self._bygone.watch(space, actor.seat), endless=True)
        loop = await self._registry.loop(space_id)
        if not loop.studio.has_room(actor.seat):
            raise Unavailable("Too many studio pages are open on this Space. Close one.", 10)
        return Response(200, headers, _watch(loop, actor.seat), endless=True)

    async def _actor(self, space_id: SpaceId, request: Request) -> tuple[SpaceLoop, c.Actor]:
        """The Space's loop, and who asks. Raises as `_asker` does, and Unavailable, Overloaded, DiskFull."""
        # Before anything is opened: strangers must not make us open records.
        _, actor = await self._asker(space_id, request)
        return await self._registry.loop(space_id), actor

    async def _asker(self, space_id: SpaceId, request: Request) -> tuple[Space, c.Actor]:
        """The Space, and who asks: by bearer token, a seat of it or the operator. Raises PeerError 401, 404."""
        token = _bearer(request)
        space = await self._registry.space(space_id)
        if self._is_key(token):
            return space, c.OPERATOR
        seat = space.seat_of(token)
        if seat is None:
            challenge = (_CHALLENGE[0], f'{_CHALLENGE[1]}, error="invalid_token"')
            raise PeerError(
                401, "This token opens no seat in this Space (any more). Ask for a new link.", "bad-token", (challenge,)
            )
        return space, c.Actor("seat", seat.seat)

    def _operator(self, request: Request) -> None:
        if not self._is_key(_bearer(request)):
            raise PeerError(403, "Only the operator may do that.", "operator-only")

    def _is_key(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._key.encode())


async def _watch(loop: SpaceLoop, seat: SeatId | None) -> AsyncIterator[bytes]:
    watcher, stop = loop.studio.watch(seat)
    try:
        async for event in watcher.events():
            yield event
    finally:
        stop()


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise PeerError(401, "Send the token as a bearer (Authorization: Bearer …).", "no-token", (_CHALLENGE,))
    return token.strip()


def _space_id(text: str) -> SpaceId:
    space_id = parse_space_id(text)
    if space_id is None:
        raise PeerError(404, "There is no such Space.", "no-space")
    return space_id


def _only(request: Request, method: str) -> None:
    if request.method != method and not (method == "GET" and request.method == "HEAD"):
        raise PeerError(405, f"Only {method} here.", "method-not-allowed", (("Allow", method),))


def _without_hashes(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "token_hash"}


def _json(status: int, plain: dict[str, Any]) -> Response:
    body = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], body)


def _plain(status: int, text: str) -> Response:
    return Response(status, [("Content-Type", "text/plain; charset=utf-8")], text.encode())
