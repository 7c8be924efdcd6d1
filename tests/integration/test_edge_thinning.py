"""An edge under pressure: newcomers are offered less, and nobody who listens loses anything."""

import asyncio
import json
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from broadcasts import SPACE, Broadcast, payload

from rostra.edge.pressure import Patience
from rostra.edge.role import EdgeRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.sound.renditions import Rendition
from rostra.space.count import parse_report
from rostra.timeline.disk import DiskLibrary
from rostra.wire.client import Client

FILES = 640
CROWD = 530
"""Of 576 connections that so many files allow: 92 in a hundred."""


@contextmanager
def file_limit(files: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Listener:
    """Plays one rendition by its playlist, as an HLS player does: reload, then the parts that are new.

    Attributes:
        next: the part to ask for next.
    """

    def __init__(self, client: Client, url: str, wide: bool, parts: int) -> None:
        self._client, self._wide, self._url = client, wide, url
        self._rendition = next(one for one in Rendition if one.shape.url == url)
        self._shape = self._rendition.wide if wide else self._rendition.shape
        self.next = parts // (2 if wide else 1)

    async def get(self, path: str) -> bytes:
        async with await self._client.request("GET", f"/s/{SPACE}/{self._url}/{path}") as answer:
            assert answer.status == 200, (path, answer.status)
            return await answer.read()

    async def play(self) -> None:
        name, folder = ("wide", "wide") if self._wide else ("live", "part")
        while True:
            msn, index = self._shape.segment_of_part(self.next), self._shape.index_in_segment(self.next)
            text = (await self.get(f"{name}.m3u8?_HLS_msn={msn}&_HLS_part={index}")).decode()
            assert f'URI="{folder}/{self.next}.m4s"' in text
            assert f"PART-TARGET={self._shape.part_s:.5f}" in text
            step = 2 if self._wide else 1
            expected = b"".join(payload(self._rendition, self.next * step + n) for n in range(step))
            assert await self.get(f"{folder}/{self.next}.m4s") == expected
            self.next += 1


def test_newcomers_are_thinned_step_by_step_and_those_who_listen_go_on(tmp_path: Path) -> None:
    told: list[tuple[int, float, str]] = []

    async def tell(space_id: SpaceId, body: bytes) -> tuple[int, bytes]:
        report = parse_report(json.loads(body))
        told.append((report.step, report.every_s, report.why))
        return 200, json.dumps({"key": json.loads(body)["key"], "again": False}).encode()

    async def main() -> None:
        one = socket.create_server(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
        broadcast = Broadcast(tmp_path)
        await broadcast.go_live()
        await broadcast.add(40)
        role = EdgeRole(
            library=DiskLibrary(tmp_path, SystemClock()), settings=Settings(port=21_200), clock=SystemClock(),
            log=Log("edge"), key="k", tell=tell, patience=Patience(0.2, 0.4, 1.2),
        )  # fmt: skip
        with file_limit(FILES):
            await role.start([one])
        client = Client(("127.0.0.1", port))
        listeners = [Listener(client, url, wide, 40) for url in ("hls", "low", "opus") for wide in (False, True)]
        tasks = [asyncio.create_task(each.play()) for each in listeners]
        tasks.append(asyncio.create_task(_broadcast_on(broadcast)))
        try:
            assert await _offers(client) == (["live.m3u8", "../low/live.m3u8"], "1")
            crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CROWD)]
            await _step(role, 1, tasks)
            assert await _offers(client) == (["live.m3u8", "../low/live.m3u8"], "1")
            await _step(role, 2, tasks)
            assert await _offers(client) == (["wide.m3u8", "../low/wide.m3u8"], "2")
            await _step(role, 3, tasks)
            assert await _offers(client) == (["../low/wide.m3u8", "wide.m3u8"], "2")
            heard = [each.next for each in listeners]
            for _, writer in crowd:
                writer.close()
            for step in (2, 1, 0):
                await _step(role, step, tasks)
            assert await _offers(client) == (["live.m3u8", "../low/live.m3u8"], "1")
            assert "rostra_edge_thinned_changes_total 6\n" in role.metrics()
            # Everybody still plays what they began with: it came on through all of it, part by part.
            assert all(now.next > before for now, before in zip(listeners, heard, strict=True))
            async with asyncio.timeout(10):
                while told[-1][0]:
                    await asyncio.sleep(0.05)
            steps = [step for step, _, _ in told]
            assert max(steps) >= 2 and steps[-1] == 0
            assert {every_s for step, every_s, _ in told if step} == {10.0}
            assert told[-1][1] == 2.0
            # Crowd and edge are one process here, so that to connect a crowd may keep the processor busy too.
            whys = {why for step, _, why in told if step}
            assert whys <= {"connections run out", "the processor is busy", "the pressure eased"}
            assert "connections run out" in whys
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.close()
            await role.stop(1)
            await broadcast.close()

    uvloop.run(main())


async def _broadcast_on(broadcast: Broadcast) -> None:
    while True:
        await asyncio.sleep(0.1)
        await broadcast.add(1)


async def _offers(client: Client) -> tuple[list[str], str]:
    """What a newcomer is told to play by HLS, and how many parts the web player shall ask for at once."""
    async with await client.request("GET", f"/s/{SPACE}/hls/index.m3u8") as answer:
        lines = (await answer.read()).decode().splitlines()
    async with await client.request("GET", f"/s/{SPACE}/opus/join.mp4") as answer:
        body = await answer.read()
        first, following = int(answer.header("rostra-part")), int(answer.header("rostra-next"))
        step = answer.header("rostra-step") or "1"
        assert first % int(step) == following % int(step) == 0
        assert body.endswith(b"".join(payload(Rendition.OPUS, n) for n in range(first, following)))
    return [line for line in lines if not line.startswith("#")], step


async def _step(role: EdgeRole, wanted: int, tasks: list[asyncio.Task[Any]]) -> None:
    async with asyncio.timeout(15):
        while True:
            for task in tasks:
                if task.done():
                    task.result()
            found = re.search(r"^rostra_edge_thinned (\d)$", role.metrics(), re.MULTILINE)
            assert found is not None
            if int(found[1]) == wanted:
                return
            await asyncio.sleep(0.02)
