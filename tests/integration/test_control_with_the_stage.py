"""Control and the real stage, one Space's life long: what one asks is what the other takes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from control_world import BEARER, KEY, role_sockets

from rostra.broadcast.programme import Broadcast
from rostra.control.role import ControlRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.stage.role import StageRole
from rostra.store.sql import open_sqlite
from rostra.timeline.disk import DiskLibrary


async def a_life(program: httpx.AsyncClient, library: DiskLibrary) -> None:
    made = await program.post("/api/spaces", json={"title": "Both <i>together</i>", "auto_live": False})
    assert made.status_code == 201, made.text
    space, at = made.json(), f"/api/spaces/{made.json()['id']}"
    id_ = SpaceId(space["id"])
    assert (space["title"], space["host"], space["state"]) == ("Both <i>together</i>", "Operator", "scheduled")

    async def done(path: str, body: dict[str, object] | None = None, status: int = 200) -> dict[str, object]:
        answer = await program.post(at + path, json=body)
        assert answer.status_code == status, (path, answer.text)
        told: dict[str, object] = answer.json()
        return told

    assert (await program.patch(at, json={"title": "Both"})).json()["title"] == "Both"
    assert (await done("/delay", {"minutes": 5, "reason": "tea"}))["state"] == "delayed"
    assert (await done("/live", status=409))["message"] == "Open the green room first, then go live."
    assert (await done("/open"))["state"] == "open"
    ben = await done("/speakers", {"name": "Ben"}, 201)
    assert ben["seat"] == "s2"
    renewed = await done("/speakers/s2/link")
    now = library.snapshot(id_)
    assert now.seat_of(str(ben["token"])) is None
    assert now.seat_of(str(renewed["token"]))
    assert (await done("/speakers/s2/mute"))["speakers"][1]["muted"]  # type: ignore[index]
    await done("/speakers/s2/ask-unmute")
    assert (await program.delete(f"{at}/speakers/s2")).status_code == 200
    studio = (await program.get(f"{at}/studio")).json()
    now = library.snapshot(id_)
    for token in (studio["token"], space["token"]):
        seat = now.seat_of(token)
        assert seat and seat.seat == "s1"
    assert (await done("/live"))["state"] in ("live", "break")
    assert (await done("/end", {"reason": "that was it"}))["state"] == "ended"
    assert (await done("/open", status=409))["code"] == "over"
    page = (await program.get("/metrics")).text
    assert 'rostra_up{role="stage"} 1' in page
    assert 'rostra_stage_commands_total{role="stage"}' in page


async def a_host_is_removed(program: httpx.AsyncClient, library: DiskLibrary) -> None:
    stage = httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.base_url.port + 1}")  # type: ignore[operator]
    host = httpx.AsyncClient(base_url=program.base_url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=20)
    async with stage, host:
        link = (await program.post("/api/people/invitations", json={"name": "Ada"})).json()["link"]
        accepted = {"token": link.partition("#invitation=")[2], "name": "Ada"}
        assert (await host.post("/api/people/accept", json=accepted)).status_code == 201
        ada = (await host.get("/api/me")).json()["id"]
        live, over, others = [
            (await who.post("/api/spaces", json={"title": "A"})).json() for who in (host, host, program)
        ]
        at = f"/api/spaces/{live['id']}"
        assert (await host.post(f"/api/spaces/{over['id']}/cancel")).status_code == 200
        assert (await host.post(f"{at}/open")).status_code == 200
        again = (await host.get(f"{at}/studio")).json()
        ben = (await host.post(f"{at}/speakers", json={"name": "Ben"})).json()
        untouched = [library.snapshot(SpaceId(space["id"])).seq for space in (over, others)]

        async def opens(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return (await stage.get(f"/s/{live['id']}/stage/ice", headers=headers)).status_code

        assert [await opens(one["token"]) for one in (live, again, ben)] == [200, 200, 200]
        last = await program.delete(f"/api/people/{(await program.get('/api/me')).json()['id']}")
        assert last.status_code == 409
        assert (await program.delete(f"/api/people/{ada}")).status_code == 204
        assert [await opens(one["token"]) for one in (live, again, ben)] == [401, 401, 200]
        assert (await program.get(at)).json()["state"] == "open"  # it falls to the operators
        assert await opens((await program.get(f"{at}/studio")).json()["token"]) == 200
        assert [library.snapshot(SpaceId(space["id"])).seq for space in (over, others)] == untouched


def test_a_space_lives_its_life_on_the_real_stage(tmp_path: Path) -> None:
    run(tmp_path, a_life)


def test_a_removed_person_loses_the_hosts_seat_and_nobody_else_loses_theirs(tmp_path: Path) -> None:
    run(tmp_path, a_host_is_removed)


def run(data: Path, story: Callable[[httpx.AsyncClient, DiskLibrary], Awaitable[None]]) -> None:
    async def inside() -> None:
        held = role_sockets()
        settings = Settings(port=held[0].getsockname()[1])
        clock, log = SystemClock(), Log("test")
        library, ours, store = (
            DiskLibrary(data, clock),
            DiskLibrary(data, clock),
            open_sqlite(data / "people.db"),
        )
        stage = StageRole(
            library=library, settings=settings, clock=clock, log=log, key=KEY, broadcasting=Broadcast(clock, log)
        )
        control = ControlRole(library=ours, settings=settings, clock=clock, log=log, key=KEY, store=store)
        await stage.start([held[3]])
        await control.start([held[2]])
        try:
            base = f"http://127.0.0.1:{settings.port + 2}"
            async with httpx.AsyncClient(base_url=base, headers=BEARER, timeout=20) as program:
                await story(program, ours)
        finally:
            await control.stop(2)
            await stage.stop(5)
            library.close()
            ours.close()
            store.close()
            close(held)

    asyncio.run(inside())


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()
