"""Speakers whose network lets nothing through but a TURN relay (Debian's coturn on loopback)."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy
from rostra_process import free_ports
from stage_world import until, world

from rostra.app import doctor

USER, PASSWORD = "speaker", "only for this test"
RELAYS = 40

pytestmark = pytest.mark.skipif(
    shutil.which("turnserver") is None, reason="the relay is Debian's coturn, and it is not installed"
)


@contextmanager
def relay(place: Path) -> Iterator[int]:
    """Gives the port of a TURN server that relays on loopback."""
    port = free_ports(RELAYS + 1)
    command = [
        "turnserver", "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}",
        f"--min-port={port + 1}", f"--max-port={port + RELAYS}", "--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls",
        "--lt-cred-mech", f"--user={USER}:{PASSWORD}", "--realm=test", "--log-file=stdout", f"--pidfile={place / 'turn.pid'}",
        f"--userdb={place / 'turn.db'}", "--no-stdout-log", "--simple-log",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_speaker_behind_a_relay_is_heard_and_hears(tmp_path: Path, transport: str) -> None:
    async def test() -> None:
        with relay(tmp_path) as port:
            await answers(port)
            server = RTCIceServer(f"turn:127.0.0.1:{port}?transport={transport}", USER, PASSWORD)
            reach = RTCConfiguration([server], iceTransportPolicy=RTCIceTransportPolicy.RELAY)
            async with world(tmp_path / "data") as one:
                space, host = await one.space()
                await one.command(space, host, type="open")
                behind = await one.join(space, await one.guest(space, host), 1000, reach=reach)
                ada = await one.join(space, host, 440)
                offered = behind.connection.localDescription.sdp
                kinds = {line.split(" typ ")[1].split()[0] for line in offered.splitlines() if " typ " in line}
                assert kinds == {"relay"}
                await until(lambda: ada.strength(1000) > 0.2 and behind.strength(440) > 0.2, 15)
                assert behind.strength(1000) < 0.02

    asyncio.run(test())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_doctor_gets_a_relayed_address_with_the_right_password_and_says_so_without_it(
    tmp_path: Path, transport: str
) -> None:
    def finding(password: str) -> doctor.Finding:
        (tmp_path / "rostra.toml").write_text(
            f'turn_url = "turn:127.0.0.1:{port}?transport={transport}"\nturn_user = "{USER}"\nturn_password = "{password}"\n'
        )
        found = doctor.examine(tmp_path, port=free_ports())
        return next(one for one in found if one.what == "turn")

    with relay(tmp_path) as port:
        asyncio.run(answers(port))
        allowed, refused = finding(PASSWORD), finding("guessed")
    assert allowed.result == "ok"
    host, _, relayed = allowed.said.rpartition(" ")[2].rpartition(":")
    assert host == "127.0.0.1" and port < int(relayed) <= port + RELAYS
    assert refused.result == "fail" and "turn_password" in refused.remedy


async def answers(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
