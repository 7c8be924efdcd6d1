"""A stage on real sockets with its own data, and speakers of another implementation (aiortc) that join it."""

import asyncio
import contextlib
import fractions
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aioice.ice
import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rostra.broadcast.programme import Broadcast
from rostra.codec import opus
from rostra.kernel.clock import Clock, SystemClock
from rostra.kernel.ids import SpaceId
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.space import events as e
from rostra.stage.role import StageRole
from rostra.timeline.disk import DiskLibrary

_addresses = aioice.ice.get_host_addresses
aioice.ice.get_host_addresses = lambda **kinds: (
    _addresses(**kinds) or ["127.0.0.1"]
)  # our clients, on a machine without a network

KEY = "the operator's key"
OPERATOR = {"authorization": f"Bearer {KEY}"}
SDP = "application/sdp"


class Tone(MediaStreamTrack):
    """A microphone that hears one tone, as ready Opus packets by the clock."""

    kind = "audio"

    def __init__(self, hz: float) -> None:
        super().__init__()
        encoder = opus.Encoder(48_000)
        t = np.arange(50 * 960) / 48_000
        tone = (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)
        self._packets = [encoder.encode(frame) for frame in np.split(tone, 50)]
        self._number = 0
        self._begun: float | None = None

    async def recv(self) -> av.Packet:
        now = time.monotonic()
        self._begun = self._begun or now
        await asyncio.sleep(max(0.0, self._begun + self._number * 0.02 - now))
        packet = av.Packet(self._packets[self._number % 50])
        packet.pts, packet.time_base = self._number * 960, fractions.Fraction(1, 48_000)
        self._number += 1
        return packet


@dataclass
class Speaker:
    """One who is, or was, connected. `heard`: the last second of what the stage sent him."""

    connection: RTCPeerConnection
    location: str
    etag: str
    answer: str
    decoder: opus.Decoder = field(default_factory=opus.Decoder)
    heard: list[np.ndarray] = field(default_factory=list)

    async def packet(self, packet: Any, arrival_time_ms: int) -> None:
        self.heard = [*self.heard[-49:], self.decoder.decode(packet.payload)]

    def strength(self, hz: float) -> float:
        """How strongly he hears this tone, 0.3 being how loud it is spoken."""
        sound = np.concatenate(self.heard[-25:]) if self.heard else np.zeros(1, np.float32)
        t = np.arange(sound.size) / 48_000
        return float(2 * abs(np.dot(sound, np.exp(-2j * np.pi * hz * t))) / sound.size)

    async def vanish(self) -> None:
        """Gone without a goodbye, as when a network is lost."""
        for transceiver in self.connection.getTransceivers():
            transceiver.sender.transport._task.cancel()
            for protocol in transceiver.sender.transport.transport._connection._protocols:
                protocol.transport.abort()


@dataclass
class World:
    role: StageRole
    library: DiskLibrary
    http: httpx.AsyncClient
    clock: Clock
    speakers: list[Speaker] = field(default_factory=list)

    async def space(self, **asked: Any) -> tuple[SpaceId, str]:
        answer = await self.http.post("/spaces", json={"title": "T", "host_name": "Ada", **asked}, headers=OPERATOR)
        assert answer.status_code == 201, answer.text
        return SpaceId(answer.json()["id"]), answer.json()["host_token"]

    async def command(self, space: str, token: str, **command: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        return await self.http.post(f"/s/{space}/commands", json=command, headers=headers)

    async def guest(self, space: str, host: str, name: str = "Bo") -> str:
        return str((await self.command(space, host, type="invite", name=name)).json()["token"])

    async def offer(
        self, hz: float = 440, *, only_sends: bool = False, reach: RTCConfiguration | None = None
    ) -> RTCPeerConnection:
        connection = RTCPeerConnection(reach or RTCConfiguration(iceServers=[]))
        connection.addTransceiver(Tone(hz), direction="sendonly" if only_sends else "sendrecv")
        await connection.setLocalDescription(await connection.createOffer())
        return connection

    async def join(
        self, space: str, token: str, hz: float = 440, *, whip: bool = False, reach: RTCConfiguration | None = None
    ) -> Speaker:
        connection = await self.offer(hz, only_sends=whip, reach=reach)
        answer = await self.http.post(
            f"/s/{space}/{'whip' if whip else 'stage'}",
            content=connection.localDescription.sdp,
            headers={"content-type": SDP, "authorization": f"Bearer {token}"},
        )
        if answer.status_code != 201:
            await connection.close()
            answer.raise_for_status()
        speaker = Speaker(connection, answer.headers["location"], answer.headers["etag"], answer.text)
        connection.getReceivers()[0]._handle_rtp_packet = speaker.packet
        await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        self.speakers.append(speaker)
        return speaker

    def state(self, space: SpaceId) -> str:
        return str(self.library.snapshot(space).state)

    def events(self, space: SpaceId) -> list[e.Event]:
        reader = self.library.reader(space)
        try:
            reader.refresh()
            return [reader.event(entry) for entry in reader.events()]
        finally:
            reader.close()


async def until(true: Callable[[], bool], within_s: float = 8.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def world(data: Path, *, clock: Clock | None = None, **settings: Any) -> AsyncIterator[World]:
    clock = clock or SystemClock()
    log = Log("stage")
    library = DiskLibrary(data, clock, sync="off")
    role = StageRole(
        library=library,
        settings=replace(Settings(), **settings),
        clock=clock,
        log=log,
        key=KEY,
        broadcasting=Broadcast(clock, log),
    )
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    await role.start([listening])
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=20) as http:
            one = World(role, library, http, clock)
            yield one
            for speaker in one.speakers:
                # aiortc leaves a task behind when it is closed while it connects.
                with contextlib.suppress(AssertionError):
                    await until(lambda: speaker.connection.connectionState != "connecting", 2)  # noqa: B023
                with contextlib.suppress(Exception):
                    await speaker.connection.close()
    finally:
        await role.stop(5)
        library.close()
        await asyncio.sleep(0.05)
