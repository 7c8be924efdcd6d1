"""How many listen, told by edges to a real stage: by one beside it, by one that follows that one, by one that begins anew."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edge_world import ask, bound
from stage_world import KEY, World, until, world

from rostra.edge.role import EdgeRole
from rostra.edge.telling import to_upstream
from rostra.edge.upstream import Upstream
from rostra.edge.upstream_source import UpstreamSource
from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.kernel.sketch import Sketch
from rostra.space.count import REPORT_BYTES_MOST, Report, Tally
from rostra.stage.turnout import Turnout
from rostra.timeline.disk import DiskLibrary


class Stage:
    """A Space on the air at a real stage, and what it makes of the counts."""

    def __init__(self, one: World, data: Path, space: SpaceId, host: str) -> None:
        self.one, self.data, self.space, self.host = one, data, space, host
        self.settings = replace(Settings(), port=int(str(one.http.base_url).rpartition(":")[2].rstrip("/")) - 3)

    async def tally(self) -> Tally:
        turnout: Turnout = (await self.one.role._registry.loop(self.space)).turnout
        return turnout.tally(self.one.clock.monotonic())

    async def counted(self, now: int, unique: int) -> Tally:
        async with asyncio.timeout(20):
            found = await self.tally()
            while (found.now, found.unique) != (now, unique):
                await asyncio.sleep(0.05)
                found = await self.tally()
        return found

    @asynccontextmanager
    async def edge(self, name: str = "edge", **more: Any) -> AsyncIterator[int]:
        """Its port."""
        library = None if "source" in more else DiskLibrary(self.data, SystemClock())
        role = EdgeRole(
            library=library, settings=self.settings, clock=SystemClock(), log=Log(name), key=KEY, name=name, **more
        )
        listening = bound()
        await role.start([listening])
        try:
            yield listening.getsockname()[1]
        finally:
            await role.stop(1)
            if library is not None:
                library.close()

    @asynccontextmanager
    async def edge_behind(self, port: int, name: str = "elsewhere/edge") -> AsyncIterator[int]:
        above = Upstream(f"http://127.0.0.1:{port}", "elsewhere")
        source = UpstreamSource(above, SystemClock())
        async with self.edge(name, source=source, tell=to_upstream(above, KEY)) as own:
            yield own


def run(tmp_path: Path, test: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        async with world(tmp_path) as one:
            space, host = await one.space()
            for command in ("open", "go_live"):
                assert (await one.command(space, host, type=command)).status_code == 200
            await until(lambda: bool(one.library.snapshot(space).live_since_us))
            await test(Stage(one, tmp_path, space, host))

    asyncio.run(main())


async def listen(stage: Stage, port: int, *tabs: str) -> None:
    for tab in tabs:
        joined = await ask(port, f"/s/{stage.space}/opus/join.mp4?sid={tab}", User_Agent=tab)
        assert joined.status == 200


def test_an_edge_that_follows_another_is_counted_under_its_own_name(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        async with stage.edge() as port, stage.edge_behind(port) as behind:
            await listen(stage, port, "tab-here-1", "tab-both-1")
            await listen(stage, behind, "tab-there-1", "tab-there-2", "tab-both-1")
            # The edge behind fetches from the first: that is no listener.
            assert (await stage.counted(4, 4)).kinds == {"web": 4}
            turnout = (await stage.one.role._registry.loop(stage.space)).turnout
            assert {name: report.now for name, (report, _) in turnout._reports.items()} == {
                "edge": 2,
                "elsewhere/edge": 3,
            }

    run(tmp_path, test)


def test_an_edge_that_begins_anew_doubles_nobody(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        async with stage.edge() as port:
            await listen(stage, port, "tab-number-1", "tab-number-2")
            await stage.counted(2, 2)
        async with stage.edge() as port:
            for tab in ("tab-number-1", "tab-number-2"):
                # As a player does that lost its connection: it goes on in the middle, and says who it is.
                assert (await ask(port, f"/s/{stage.space}/here?sid={tab}", User_Agent=tab)).status == 204
                assert (await ask(port, f"/s/{stage.space}/opus/part/0.m4s", User_Agent=tab)).status == 200
            await listen(stage, port, "tab-number-3")
            await stage.counted(3, 3)

    run(tmp_path, test)


def test_what_comes_without_the_key_or_is_no_count_goes_no_further(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        good = json.dumps(Report("elsewhere/edge", {"web": 7}, key=bytes(16), unique=Sketch([1])).to_plain())

        async def tell(port: int, body: str, key: str | None = KEY, path: str = f"/s/{stage.space}/count") -> int:
            headers = [f"Authorization: Bearer {key}"] if key is not None else []
            head = [f"POST {path} HTTP/1.1", "Host: a", "Connection: close", f"Content-Length: {len(body)}", *headers]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write("\r\n".join([*head, "", body]).encode())
            async with asyncio.timeout(10):
                status = int((await reader.readline()).split()[1])
            writer.close()
            return status

        junk = base64.b64encode(b"E1" + bytes(90_000)).decode()
        async with stage.edge() as port:
            refused = [
                await tell(port, good, key=None),
                await tell(port, good, key="another"),
                await tell(port, good, key=KEY + "\u00fc"),
                await tell(port, ""),
                await tell(port, "[" * 10_000),
                await tell(port, "[]"),
                await tell(port, good.replace("elsewhere/edge", "edge-2")),
                await tell(port, good.replace('"web": 7', '"web": -7')),
                await tell(port, good.replace('"unique": "', f'"unique": "{junk[:100_000]}')),
                await tell(port, good.ljust(REPORT_BYTES_MOST + 1)),
                await tell(port, good, path="/s/zzzzzzzzzz/count"),
                await tell(port, good, path="/s/../count"),
            ]
            assert refused == [401, 401, 401, 400, 400, 400, 400, 400, 400, 413, 404, 400]
            assert await stage.tally() == replace(await stage.tally(), now=0, unique=0, kinds={})
            assert await tell(port, good) == 200
            assert (await stage.tally()).now == 7
            wrong = await ask(port, f"/s/{stage.space}/here?sid=short")
            assert (wrong.status, wrong.headers["cache-control"]) == (400, "no-store")

    run(tmp_path, test)


@pytest.mark.parametrize("one_in", [1, 10])
def test_where_beacons_count_nothing_else_does(tmp_path: Path, one_in: int) -> None:
    async def main() -> None:
        async with world(tmp_path, count_by="beacon", beacon_one_in=one_in) as one:
            space, host = await one.space()
            for command in ("open", "go_live"):
                assert (await one.command(space, host, type=command)).status_code == 200
            stage = Stage(one, tmp_path, space, host)
            stage.settings = replace(stage.settings, count_by="beacon", beacon_one_in=one_in)
            async with stage.edge() as port:
                await listen(stage, port, "tab-number-1", "tab-number-2", "tab-number-3")
                for tab in ("tab-number-1", "tab-number-2"):
                    said = await ask(port, f"/s/{space}/here?sid={tab}")
                    assert (said.status, said.headers["cache-control"]) == (204, "no-store")
                tally = await stage.counted(2 * one_in, 2 * one_in)
                assert "say" in tally.method and (tally.error > 0) == (one_in > 1)

    asyncio.run(main())
