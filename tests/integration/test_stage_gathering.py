"""How long the stage looks for its own addresses before it answers an offer, with STUN servers that answer well, late or never."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aioice import stun
from stage_world import OPERATOR, SDP, until, world

from rostra.kernel.settings import Settings
from rostra.stage.ice import IceAgent

MAPPED = ["203.0.113.7", "203.0.113.8"]
"""On no card of this machine, so asked for from an open socket, as behind a router."""


@dataclass
class Server(asyncio.DatagramProtocol):
    """A STUN server that answers whom it likes. `asked`: the ports that asked, in order."""

    likes: Callable[[int], bool]
    asked: list[int] = field(default_factory=list)
    transport: Any = None
    url: str = ""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.parse_message(data)
        if addr[1] not in self.asked:
            self.asked.append(addr[1])
        if self.likes(self.asked.index(addr[1])):
            answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = ("198.51.100.1", 4000)
            self.transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def server(likes: Callable[[int], bool]) -> AsyncIterator[Server]:
    """`likes` is told who asks: 0 the first socket, 1 the next."""
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(lambda: Server(likes), local_addr=("127.0.0.1", 0))
    made.transport, made.url = transport, f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    try:
        yield made
    finally:
        transport.close()


async def gathered(url: str, addresses: list[str]) -> tuple[list[str], float]:
    agent = IceAgent(replace(Settings(), stun_url=url, media_addresses=addresses))
    began = time.monotonic()
    found = await agent.gather()
    took_s = time.monotonic() - began
    await agent.close()
    return [line.split(" typ ")[1].split()[0] for line in found], took_s


def test_a_server_is_asked_from_no_address_that_leads_nowhere() -> None:
    async def test() -> None:
        async with server(lambda who: True) as one:
            kinds, _ = await gathered(one.url, ["127.0.0.1", "169.254.7.7", MAPPED[0]])
            assert kinds == ["host", "host", "host", "srflx"] and len(one.asked) == 1

    asyncio.run(test())


def test_once_a_server_has_answered_its_other_answers_are_hardly_waited_for() -> None:
    async def test() -> None:
        async with server(lambda who: who == 1) as one:
            kinds, took_s = await gathered(one.url, MAPPED)
            assert kinds == ["host", "host", "srflx"] and took_s < 0.7

    asyncio.run(test())


def test_a_silent_server_keeps_a_speaker_waiting_for_a_second_at_most() -> None:
    async def test() -> None:
        async with server(lambda who: False) as one:
            kinds, took_s = await gathered(one.url, MAPPED)
            assert kinds == ["host", "host"] and took_s < 1.6

    asyncio.run(test())


def test_an_offer_that_was_given_up_does_not_push_out_the_one_that_came_after_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            server(lambda who: who > 0) as one,
            world(tmp_path, stun_url=one.url, media_addresses=["127.0.0.1", MAPPED[0]]) as stage,
        ):
            space, host = await stage.space()
            await stage.command(space, host, type="open")
            given_up = await stage.offer()
            headers = {"content-type": SDP, "authorization": f"Bearer {host}"}
            first = asyncio.create_task(
                stage.http.post(f"/s/{space}/stage", content=given_up.localDescription.sdp, headers=headers)
            )
            await until(lambda: len(one.asked) == 1)
            ada = await stage.join(space, host)
            assert not first.done()
            late = await first
            assert late.status_code == 409 and "newer" in late.json()["message"]
            assert (await stage.http.get(ada.location)).status_code == 405  # still there
            await until(lambda: ada.connection.connectionState == "connected")
            metrics = (await stage.http.get("/metrics", headers=OPERATOR)).text
            assert "rostra_stage_sessions_failed_total 0" in metrics
            await given_up.close()

    asyncio.run(test())
