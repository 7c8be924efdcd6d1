"""Control as people reach it: through the real door."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from control_world import BEARER, KEY, World, world

from rostra.door.role import DoorRole
from rostra.kernel.log import Log


@asynccontextmanager
async def doored(data: Path) -> AsyncIterator[tuple[World, httpx.AsyncClient]]:
    async with world(data) as w:
        door = DoorRole(library=w.library, settings=w.settings, clock=w.clock, log=Log("door"), key=KEY)
        with socket.create_server(("127.0.0.1", w.settings.port)) as listening:
            await door.start([listening])
            try:
                async with httpx.AsyncClient(base_url=w.settings.door_base) as browser:
                    yield w, browser
            finally:
                await door.stop(1)


def test_a_person_signs_in_makes_a_space_and_signs_out_at_one_address(tmp_path: Path) -> None:
    async def story() -> None:
        async with doored(tmp_path) as (w, browser):
            token = w.store.make_link(w.store.operator(w.now).id, w.now)
            ours = {"Origin": w.settings.door_base}
            assert (await browser.post("/api/sign-in", json={"token": token}, headers=ours)).status_code == 200
            made = await browser.post("/api/spaces", json={"title": "Here"}, headers=ours)
            assert made.status_code == 201
            assert (await browser.get(f"/s/{made.json()['id']}")).status_code == 200
            foreign = await browser.post("/api/spaces", json={"title": "x"}, headers={"Origin": "http://evil.example"})
            assert foreign.json()["code"] == "cross-site"
            assert (await browser.post("/api/sign-out", headers=ours)).status_code == 204
            assert (await browser.get("/api/me")).status_code == 401

    asyncio.run(story())


def test_a_page_that_reaches_us_by_another_name_is_still_ours(tmp_path: Path) -> None:
    async def story() -> None:
        async with doored(tmp_path) as (w, browser):
            token = w.store.make_link(w.store.operator(w.now).id, w.now)
            named = {"Host": "studio.lan:8000", "Origin": "http://studio.lan:8000"}
            assert (await browser.post("/api/sign-in", json={"token": token}, headers=named)).status_code == 200

    asyncio.run(story())


def test_who_asks_cannot_choose_the_address_its_pace_is_kept_by(tmp_path: Path) -> None:
    async def story() -> None:
        async with doored(tmp_path) as (_, browser):

            async def guess(claimed: str, seen: str) -> int:
                """Behind a front on this machine, which says last what it has seen itself."""
                headers = {"X-Forwarded-For": f"{claimed}, {seen}"}
                return (await browser.post("/api/sign-in", json={"token": "guess"}, headers=headers)).status_code

            codes = [await guess(f"192.0.2.{number}", "198.51.100.7") for number in range(22)]
            assert set(codes) == {403, 429} and codes[-1] == 429
            assert await guess("198.51.100.7", "198.51.100.8") == 403  # nobody else is kept waiting for it

    asyncio.run(story())


def test_the_metrics_at_the_door_are_everybodys_without_going_in_circles(tmp_path: Path) -> None:
    async def story() -> None:
        async with doored(tmp_path) as (_, browser):
            page = (await browser.get("/metrics", headers=BEARER)).text.splitlines()
            assert 'rostra_up{role="door"} 1' in page
            assert 'rostra_up{role="edge"} 0' in page
            assert any(line.startswith('rostra_door_handed_total{role="door",to="control"}') for line in page)
            assert (await browser.get("/metrics")).status_code == 401

    asyncio.run(story())
