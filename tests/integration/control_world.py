"""Control on a real socket, with a real record and store, and a stage that keeps to the contract but holds no sound."""

import asyncio
import inspect
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from rostra.control.role import ControlRole
from rostra.kernel.clock import ManualClock, parse_iso
from rostra.kernel.errors import PeerError
from rostra.kernel.ids import SeatId, new_secret, new_space_id, parse_space_id, secret_hash
from rostra.kernel.log import Log
from rostra.kernel.settings import ROLES, Settings
from rostra.space import commands
from rostra.space.view import public
from rostra.store.engine import sqlite_engine
from rostra.store.ports import Role
from rostra.store.sql import SqlStore
from rostra.timeline.disk import DiskLibrary
from rostra.wire.awaiting import awaiting
from rostra.wire.counters import Counters
from rostra.wire.http1 import Limits, Request, Response
from rostra.wire.listening import serve
from rostra.wire.server import Server

KEY = "the-operator-key-of-this-test"
BEARER = {"Authorization": f"Bearer {KEY}"}


@dataclass
class World:
    base: str
    settings: Settings
    clock: ManualClock
    store: SqlStore
    library: DiskLibrary
    role: ControlRole
    stage: "PlainStage"
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A browser of its own, with its own cookies."""
        made = httpx.AsyncClient(base_url=self.base, headers=headers, timeout=20)
        self.clients.append(made)
        return made

    def program(self) -> httpx.AsyncClient:
        return self.client(**BEARER)

    async def browser(self, role: Role = Role.HOST, name: str = "Ada") -> httpx.AsyncClient:
        """A signed-in person's browser, on our own pages."""
        browser = self.client(**{"Sec-Fetch-Site": "same-origin"})
        token, _ = self.store.invite(self.store.operator(self.now).id, role, name, self.now)
        accepted = await browser.post("/api/people/accept", json={"token": token, "name": name})
        assert accepted.status_code == 201, accepted.text
        return browser

    @property
    def now(self) -> int:
        return self.clock.wall_us()


class PlainStage:
    """Decides by the real rules and writes the real record; nobody ever speaks here."""

    def __init__(self, library: DiskLibrary, clock: ManualClock) -> None:
        self._library = library
        self._clock = clock
        self._writers: dict[str, Any] = {}
        self._server: Server | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.fails: Response | None = None
        self.delay_s = 0.0

    async def start(self, listening: socket.socket) -> None:
        self._server = await serve(awaiting(self.answer), [listening], Limits(), Counters())

    async def stop(self) -> None:
        if self._server:
            await self._server.drain(0.2)
        while self._writers:
            await self._writers.popitem()[1].close()

    async def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise PeerError(401, "Not the key.", "wrong-key")
        if request.path == "/metrics":
            return Response(200, [], b"# TYPE rostra_stage_spaces gauge\nrostra_stage_spaces 2\n")
        asked = json.loads(request.body)
        self.asked.append((request.path, asked))
        await asyncio.sleep(self.delay_s)
        if self.fails:
            return self.fails
        if request.path == "/spaces":
            return await self._schedule(asked)
        return await self._command(request.path.split("/")[2], asked)

    async def _schedule(self, asked: dict[str, Any]) -> Response:
        token = new_secret()
        starts_us = parse_iso(asked["starts"]) if asked["starts"] else None
        events = commands.schedule(
            asked["title"], asked["host_name"], starts_us, secret_hash(token), self._clock.wall_us()
        )
        space_id = new_space_id()
        self._writers[space_id] = writer = await self._library.writer(space_id, create=True)
        for event in events:
            await writer.append_event(event)
        return _json(201, {"id": space_id, "host_token": token})

    async def _command(self, text: str, asked: dict[str, Any]) -> Response:
        space_id = parse_space_id(text)
        assert space_id
        writer, token = self._writers[space_id], new_secret()
        kinds: dict[str, Any] = {
            "open": commands.Open,
            "go_live": commands.GoLive,
            "delay": commands.Delay,
            "cancel": commands.Cancel,
            "end": commands.End,
            "edit": commands.Edit,
            "invite": lambda **fields: commands.Invite(token_hash=secret_hash(token), **fields),
            "renew_link": lambda **fields: commands.RenewLink(token_hash=secret_hash(token), **fields),
            "remove": commands.Remove,
            "mute": commands.Mute,
            "ask_unmute": commands.AskUnmute,
        }
        kind = asked.pop("type")
        happened = commands.decide(writer.space, kinds[kind](**asked), commands.OPERATOR, self._clock.wall_us())
        for event in happened:
            await writer.append_event(event)
        told: dict[str, Any] = {
            "space": public(writer.space, self._clock.wall_us()),
            "events": [json.loads(event.to_json()) for event in happened],
        }
        if kind in ("invite", "renew_link"):
            told |= {"seat": getattr(happened[0], "seat", SeatId("")), "token": token}
        return _json(200, told)


@asynccontextmanager
async def world(data: Path, **settings: Any) -> AsyncIterator[World]:
    """The ports of all roles are taken; door and edge answer nothing unless a test makes them."""
    held = role_sockets()
    chosen = Settings(port=held[0].getsockname()[1], **settings)
    clock = ManualClock()
    library, store = DiskLibrary(data, clock, sync="off"), SqlStore(sqlite_engine(data / "people.db", busy_s=0.5), "it")
    stage = PlainStage(library, clock)
    role = ControlRole(library=library, settings=chosen, clock=clock, log=Log("control"), key=KEY, store=store)
    held[0].close()
    held[1].close()
    await stage.start(held[3])
    await role.start([held[2]])
    made = World(f"http://127.0.0.1:{chosen.port + 2}", chosen, clock, store, library, role, stage)
    try:
        yield made
    finally:
        for client in made.clients:
            await client.aclose()
        await role.stop(2)
        held[2].close()
        await stage.stop()
        library.close()
        store.close()


def in_world(story: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test told as a coroutine on a world of its own (`w`); it may ask for further fixtures by name."""
    wanted = [one for name, one in inspect.signature(story).parameters.items() if name not in ("w", "tmp_path")]

    def test(tmp_path: Path, **fixtures: Any) -> None:
        async def run() -> None:
            async with world(tmp_path) as w:
                if "tmp_path" in inspect.signature(story).parameters:
                    fixtures["tmp_path"] = tmp_path
                await story(w, **fixtures)

        asyncio.run(run())

    place = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = inspect.Signature([place, *wanted])  # type: ignore[attr-defined]
    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


def role_sockets() -> list[socket.socket]:
    for first in range(22_010, 22_480, len(ROLES)):
        held = []
        try:
            for port in range(first, first + len(ROLES)):
                one = socket.socket()
                held.append(one)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(("127.0.0.1", port))
                one.listen(64)
            return held
        except OSError:
            for one in held:
                one.close()
    raise RuntimeError("no ports in a row are free")


def _json(status: int, told: dict[str, Any]) -> Response:
    return Response(status, [("Content-Type", "application/json")], json.dumps(told).encode())
