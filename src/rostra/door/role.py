"""The door: one address for people. Pages are prepared bytes; studio and API go on to the roles that answer them."""

import asyncio
import json
import re
import socket
from collections.abc import Callable
from typing import Final

from rostra.door.answer import Answer
from rostra.door.handing import Handing
from rostra.door.listing import Listing
from rostra.door.pages import SHELLS, Pages
from rostra.door.shelf import Shelf
from rostra.kernel.clock import Clock
from rostra.kernel.errors import PeerError, RostraError, Unavailable, UnknownSpace
from rostra.kernel.ids import SpaceId, parse_space_id, same_secret, secret_hash
from rostra.kernel.log import Log
from rostra.kernel.metrics import family
from rostra.kernel.settings import Settings
from rostra.timeline.ports import Library
from rostra.wire.awaiting import awaiting, refusal
from rostra.wire.http1 import Limits, Prepared, Request, Response
from rostra.wire.listening import serve
from rostra.wire.secure import certificate_of
from rostra.wire.server import Counters, Exchange, Server

_READ: Final = ("GET", "HEAD")
_SPACE: Final = re.compile(r"/s/([^/]+)(?:/(.*))?", re.DOTALL)
_SOUND: Final = re.compile(r"(?:hls|low|opus|mp3)/.+|live\.[a-z0-9]+|recording\.[a-z0-9]+", re.DOTALL)
_STAGE: Final = re.compile(r"(?:whip|stage)(?:/.*)?|commands", re.DOTALL)
_PRIVATE_LIMITS: Final = Limits(body_bytes=1024, idle_s=10.0, connections=16)
_PRIVATE_DRAIN_S: Final = 0.5
_CHALLENGE: Final = (("WWW-Authenticate", 'Bearer realm="rostra"'),)
_OPEN_TO_ALL: Final = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]


_PREFLIGHT: Final = Prepared(
    204,
    [
        ("Allow", "GET, HEAD, OPTIONS"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
        ("Access-Control-Allow-Headers", "Range, If-Range, If-None-Match"),
        ("Access-Control-Max-Age", "86400"),
    ],
)


class DoorRole:
    def __init__(
        self,
        *,
        library: Library,
        settings: Settings,
        clock: Clock,
        log: Log,
        key: str,
        vitals: Callable[[], str] = str,
    ) -> None:
        """`vitals`: how the process does, to stand beside the role's own metrics."""
        self._log, self._vitals = log, vitals
        self._library, self._settings = library, settings
        self._key_hash = secret_hash(key)
        self._pages = Pages(settings)
        self._shelf = Shelf(library, self._pages, settings, clock)
        self._listing = Listing(library, self._pages, clock)
        self._shells = {f"/{name}": self._pages.shell(name) for name in SHELLS}
        self._stage = Handing("stage", "The stage", settings)
        self._control = Handing("control", "The office", settings)
        self._healthy = Prepared(200, _OPEN_TO_ALL, b"ok\n")
        self._consent = _consent(settings.rehearsal_key)
        self._nothing = self._pages.plain(
            404, "Nothing here", "There is nothing at this address. Look at the link again."
        )
        self._no_space = self._pages.plain(
            404,
            "No such Space",
            "There is no Space at this address. Look at the link again, or ask who sent it to you.",
        )
        self._counters = Counters()
        self._server: Server | None = None
        self._private: Server | None = None
        self._reading: asyncio.Task[None] | None = None
        self._deaf = _nothing_to_stop

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on these sockets, on private ones without TLS. The list of Spaces fills in the background; their own pages are
        there at once."""
        self._deaf = self._library.hear(self._heard)
        secure = certificate_of(self._settings.tls_certificate, self._settings.tls_key)
        private = [one for one in sockets if one.family == socket.AF_UNIX]
        self._private = await serve(self._handle, private, _PRIVATE_LIMITS, Counters(), self._log)
        public = [one for one in sockets if one.family != socket.AF_UNIX]
        self._server = await serve(self._handle, public, Limits(), self._counters, self._log, secure=secure)
        self._reading = asyncio.create_task(self._listing.read(), name="listing")

    async def stop(self, deadline_s: float) -> None:
        self._deaf()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._server is not None:
            await self._server.drain(deadline_s)
        if self._private is not None:
            await self._private.drain(_PRIVATE_DRAIN_S)
        await self._stage.close()
        await self._control.close()

    def metrics(self) -> str:
        handed = [({"to": "stage"}, self._stage.handed), ({"to": "control"}, self._control.handed)]
        away = [({"to": "stage"}, self._stage.away), ({"to": "control"}, self._control.away)]
        return (
            self._counters.metrics("door")
            + self._vitals()
            + family("rostra_door_pages_made_total", "counter", "Pages made anew.", [(None, self._shelf.rendered)])
            + family(
                "rostra_door_pages_put_away_total",
                "counter",
                "Pages dropped for others.",
                [(None, self._shelf.put_away)],
            )
            + family("rostra_door_handed_total", "counter", "Requests handed on.", handed)
            + family("rostra_door_handed_away_total", "counter", "Requests whose role was away.", away)
        )

    def _heard(self, space_id: SpaceId) -> None:
        self._shelf.grew(space_id)
        self._listing.grew(space_id)

    def _handle(self, exchange: Exchange) -> None:
        path = exchange.request.path
        if path.startswith("/s/"):
            self._in_space(exchange, path)
        elif path.startswith("/api/") or path == "/metrics":
            self._hand_on(exchange, self._control)
        elif exchange.request.method not in _READ:
            exchange.send_response(_only_read())
        elif path == "/":
            self._give(exchange, self._listing.home())
        elif path.startswith("/web/"):
            self._give(exchange, self._pages.assets.answers.get(path[5:], self._nothing))
        elif path == "/status-json.xsl":
            exchange.send_response(self._elsewhere(exchange.request))
        elif path == "/healthz":
            exchange.send_prepared(self._healthy)
        elif path == "/rehearsal.json" and self._consent is not None:
            exchange.send_prepared(self._consent)
        elif path == "/door/metrics":
            self._give_metrics(exchange)
        elif path in self._shells and path != "/studio":
            self._give(exchange, self._shells[path])
        elif path.startswith("/studio/"):
            self._studio(exchange, path[8:])
        else:
            self._give(exchange, self._nothing)

    def _in_space(self, exchange: Exchange, path: str) -> None:
        found = _SPACE.fullmatch(path)
        space_id = parse_space_id(found[1]) if found else None
        if found is None or space_id is None:
            self._meant(exchange, "/s/", found[1] if found else "")
            return
        rest = found[2]
        if rest is not None and _STAGE.fullmatch(rest):
            self._hand_on(exchange, self._stage)
        elif exchange.request.method == "OPTIONS":
            exchange.send_prepared(_PREFLIGHT)
        elif exchange.request.method not in _READ:
            exchange.send_response(_only_read())
        elif rest is not None and _SOUND.fullmatch(rest):
            exchange.send_response(self._elsewhere(exchange.request))
        else:
            self._space(exchange, space_id, rest)

    def _space(self, exchange: Exchange, space_id: SpaceId, rest: str | None) -> None:
        try:
            if rest is None:
                self._give(exchange, self._shelf.page(space_id))
            elif rest == "state.json":
                exchange.send_prepared(self._shelf.state(space_id))
            elif rest == "":
                exchange.send_response(_moved(exchange.request, f"/s/{space_id}"))
            else:
                self._give(exchange, self._nothing)
        except UnknownSpace:
            self._give(exchange, self._no_space)
        except (OSError, ValueError, RostraError) as wrong:
            self._unreadable(exchange, space_id, wrong)

    def _studio(self, exchange: Exchange, name: str) -> None:
        space_id = parse_space_id(name)
        if space_id is None:
            self._meant(exchange, "/studio/", name.removesuffix("/"))
            return
        try:
            self._library.snapshot(space_id)
            self._give(exchange, self._shells["/studio"])
        except UnknownSpace:
            self._give(exchange, self._no_space)
        except (OSError, ValueError, RostraError) as wrong:
            self._unreadable(exchange, space_id, wrong)

    def _meant(self, exchange: Exchange, before: str, name: str) -> None:
        """An ID as a keyboard or a telephone made it leads to the Space that was meant, if there can be one."""
        space_id, request = parse_space_id(name.lower()), exchange.request
        written, _, _ = request.target.partition("?")
        if space_id is None or request.method not in _READ or not written.startswith(before + name):
            self._give(exchange, self._no_space)
            return
        rest = written.removeprefix(before + name)
        exchange.send_response(_moved(request, before + space_id + rest.removesuffix("/")))

    def _unreadable(self, exchange: Exchange, space_id: SpaceId, wrong: Exception) -> None:
        self._log.warning("a record cannot be read", space=space_id, why=type(wrong).__name__)
        self._give(exchange, self._pages.plain(503, "One moment", _UNREADABLE, [("Retry-After", "5")]))

    def _elsewhere(self, request: Request) -> Response:
        """The sound lives at the edge: the same path and query there."""
        headers = [
            ("Location", self._settings.sound_base + request.target),
            ("Cache-Control", "public, max-age=60"),
            ("Access-Control-Allow-Origin", "*"),
        ]
        return Response(307, headers)

    def _hand_on(self, exchange: Exchange, role: Handing) -> None:
        async def answer(request: Request) -> Response:
            try:
                return await role.answer(request)
            except Unavailable as away:
                return self._away(request, away)

        awaiting(answer)(exchange)

    def _away(self, request: Request, away: Unavailable) -> Response:
        """A page for people, JSON for programs."""
        if "text/html" not in request.headers.get("accept", ""):
            return refusal(away)
        headers, body = self._pages.sentence("One moment", str(away))
        return Response(503, [*headers, ("Retry-After", str(away.retry_after_s))], body)

    def _give_metrics(self, exchange: Exchange) -> None:
        scheme, _, key = exchange.request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same_secret(key.strip(), self._key_hash):
            exchange.send_response(refusal(PeerError(401, "This page is the operator's.", "wrong-key", _CHALLENGE)))
            return
        headers = [("Content-Type", "text/plain; version=0.0.4"), ("Cache-Control", "no-store")]
        exchange.send_response(Response(200, headers, self.metrics().encode()))

    def _give(self, exchange: Exchange, answer: Answer) -> None:
        exchange.send_prepared(answer.to(exchange.request))


_UNREADABLE = "The record of this Space cannot be read just now. Nothing of it is lost by that. Try again in a moment."


def _consent(key: str) -> Prepared | None:
    """That whoever holds this key may rehearse here; its hash says which key without giving it."""
    if not key:
        return None
    said = {"consents": True, "key_sha256": secret_hash(key)}
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Prepared(200, headers, json.dumps(said).encode())


def _moved(request: Request, path: str) -> Response:
    """To the one spelling of this address."""
    _, mark, query = request.target.partition("?")
    return Response(308, [("Location", path + mark + query)])


def _only_read() -> Response:
    said = refusal(PeerError(405, "This address can only be read.", "bad-method"))
    return Response(405, [*said.headers, ("Allow", "GET, HEAD")], said.body)


def _nothing_to_stop() -> None:
    return None
