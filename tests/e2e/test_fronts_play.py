"""A live Space played through each front that deploy/ offers, and through an edge that follows another and speaks TLS itself."""

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fronts
import pytest
import uvloop
from certificates import make
from rostra_process import ROSTRA, Rostra, environment, free_ports

from rostra.door.role import DoorRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.timeline.disk import DiskLibrary

pytestmark = [
    pytest.mark.alone, pytest.mark.timeout(180), pytest.mark.may_block("the fronts are started from inside its loop"),
]  # fmt: skip
SECONDS = 5


@dataclass(frozen=True)
class OnAir:
    server: Rostra
    space_id: str


@pytest.fixture(scope="module")
def on_air(server: Rostra, tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]) -> Iterator[OnAir]:
    tone = tmp_path_factory.mktemp("tone") / "tone.wav"
    subprocess.run(
        ["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", str(tone), "synth", "10", "sine", "330", "norm", "-12"],
        check=True,
    )
    space = server.run("space", "create", "--title", "From behind")
    speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone), "--loop")
    try:
        eventually(lambda: server.state(space["id"])["state"] == "live", 30)
        yield OnAir(server, space["id"])
    finally:
        speaking.interrupt()
        speaking.result(30)


def test_a_live_space_plays_through_every_front(on_air: OnAir, tmp_path: Path) -> None:
    async def main() -> dict[str, dict[str, Any]]:
        async with AsyncExitStack() as stack:
            pages: dict[str, str] = {}
            for name, start in (("nginx", fronts.nginx), ("haproxy", fronts.haproxy), ("varnish", fronts.varnish)):
                listening = _bound()
                door = int(listening.getsockname()[1])
                started = stack.enter_context(start(tmp_path, door, on_air.server.port + 1))
                base = (
                    f"https://localhost:{started[0]}" if isinstance(started, tuple) else f"http://localhost:{started}"
                )
                await stack.enter_async_context(_door(on_air, listening, base, base))
                pages[name] = f"{base}/s/{on_air.space_id}"
            edge = await stack.enter_async_context(_edge(on_air, tmp_path))
            listening = _bound()
            base = f"https://localhost:{listening.getsockname()[1]}"
            await stack.enter_async_context(_door(on_air, listening, base, edge, tmp_path))
            pages["edge"] = f"{base}/s/{on_air.space_id}"
            asked = {(name, via): (page, via) for name, page in pages.items() for via in ("opus", "hls")}
            reports = await asyncio.gather(*(_listen(*one, tmp_path / "authority.pem") for one in asked.values()))
            return {f"{name} {via}": report for (name, via), report in zip(asked, reports, strict=True)}

    for how, report in uvloop.run(main()).items():
        print(how, {key: report[key] for key in ("first_audio_ms", "latency_p95_ms", "gaps", "reconnects")})  # noqa: T201
        assert report["seconds_heard"] >= SECONDS - 0.1, how
        assert (report["gaps"], report["reconnects"], report["broken_packets"]) == (0, 0, 0), (how, report)
        assert report["silent_seconds"] < 0.2, how
        assert report["latency_p95_ms"] <= (3500 if how.endswith("hls") else 2500), (how, report)


async def _listen(page: str, via: str, authority: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *ROSTRA, "listen", page, "--via", via, "--seconds", str(SECONDS), "--timeout", "30", "--json",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**environment(), "SSL_CERT_FILE": str(authority)},
    )  # fmt: skip
    said, complained = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, (page, via, complained.decode())
    return dict(json.loads(said))


@asynccontextmanager
async def _door(
    on_air: OnAir, listening: socket.socket, page: str, sound: str, certificates: Path | None = None
) -> AsyncIterator[None]:
    """A door of its own to the same Spaces, that gives these addresses."""
    chain, key = (
        ("", "") if certificates is None else (str(certificates / "server.pem"), str(certificates / "server.key"))
    )
    library = DiskLibrary(on_air.server.data, SystemClock())
    settings = Settings(port=on_air.server.port, public_url=page, sound_url=sound, tls_certificate=chain, tls_key=key)
    role = DoorRole(library=library, settings=settings, clock=SystemClock(), log=Log("door"), key=on_air.server.key)
    await role.start([listening])
    try:
        yield
    finally:
        await role.stop(1)
        library.close()


@asynccontextmanager
async def _edge(on_air: OnAir, place: Path) -> AsyncIterator[str]:
    """`rostra edge` with its own certificate; gives its address."""
    data = place / "edge"
    data.mkdir()
    make(place)
    (data / "rostra.toml").write_text(
        f'tls_certificate = "{place}/server.pem"\ntls_key = "{place}/server.key"\nedges = 1\n'
    )
    port = free_ports(1)
    with (place / "edge.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *ROSTRA, "edge", "--upstream", on_air.server.sound, "--port", str(port), "--data", str(data), "--json",
            stdout=subprocess.PIPE, stderr=log, env=environment(),
        )  # fmt: skip
    assert process.stdout is not None
    try:
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        assert said["sound"] == f"https://127.0.0.1:{port}"
        yield said["sound"]
    finally:
        os.kill(process.pid, signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)


def _bound() -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    return one
