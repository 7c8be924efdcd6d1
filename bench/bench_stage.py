"""Thirteen speakers on one stage, each in a WebRTC connection of its own from another process: what do stage and broadcast
cost together, and how long is the way from one speaker to another?

    python bench/bench_stage.py [--seconds 15] [--speakers 13] [--talking 13,3]
    python bench/bench_stage.py --seconds 3600 --talking 3 --keep        an hour, for its memory

cores: CPU time of the stage's process per second. way_ms: from the start of a sound at the sender (20 ms before its packet
leaves) to the arrival of the first packet that carries it at the receiver; a browser's own playout comes on top. Of runs of ten
minutes and more `rss_slope_kb_per_min` is the line through the stage's memory, looked at every ten seconds after the first sixth
of the time, in which libraries and buffers take what they then keep. `--keep` adds the row to bench/results.
"""

import argparse
import asyncio
import contextlib
import fractions
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import av
import httpx
import numpy as np
import uvloop
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rostra.codec import opus
from rostra.kernel.log import Log, write_to_stderr

KEY = "the operator's key of this bench"
FRAME_S = 0.02
SAMPLE_S = 10
LONG_S = 600
BEEP_EVERY = 53  # frames; not a multiple of anything in the room


def speech(seconds: float, seed: int) -> np.ndarray:
    """Harmonics and hiss in syllables: as hard to encode as speech."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * 48_000)) / 48_000
    pitch = 110 + 20 * seed % 90 + 15 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / 48_000
    voiced = sum(np.sin(k * phase) / k for k in range(1, 18))
    syllables = np.clip(np.sin(2 * np.pi * (3 + 0.3 * seed % 2) * t + seed), 0, 1)
    hiss = rng.standard_normal(t.size) * np.clip(np.sin(2 * np.pi * 1.7 * t + seed), 0, 1) ** 4
    return (0.15 * voiced * syllables + 0.05 * hiss).astype(np.float32)


def packets(kind: str, seed: int) -> list[bytes]:
    encoder = opus.Encoder(64_000, expected_loss_pct=5, tuned_for="voice")
    rng = np.random.default_rng(seed)
    if kind == "talks":
        sound = speech(5.0, seed)
    else:
        sound = (10 ** (-72 / 20) * rng.standard_normal(240_000)).astype(np.float32)
    return [encoder.encode(frame) for frame in np.split(sound, 250)]


class Mouth(MediaStreamTrack):
    """Sends prepared packets by the clock; a beeper makes a beep now and then and notes when it began."""

    kind = "audio"

    def __init__(self, ready: list[bytes], beeper: bool) -> None:
        super().__init__()
        self._ready, self._beeper = ready, beeper
        self._encoder = opus.Encoder(64_000, tuned_for="voice")
        self._number = random.randrange(50)
        self._begun: float | None = None
        self._first = self._number
        self.beeps: list[float] = []

    async def recv(self) -> av.Packet:
        now = time.monotonic()
        self._begun = self._begun or now
        due = self._begun + (self._number - self._first) * FRAME_S
        if due > now:
            await asyncio.sleep(due - now)
        packet = av.Packet(self._beep() if self._beeper else self._ready[self._number % len(self._ready)])
        packet.pts, packet.time_base = self._number * 960, fractions.Fraction(1, 48_000)
        self._number += 1
        return packet

    def _beep(self) -> bytes:
        t = np.arange(960) / 48_000
        on = self._number % BEEP_EVERY < 4
        if self._number % BEEP_EVERY == 0:
            self.beeps.append(time.monotonic() - FRAME_S)
        return self._encoder.encode((0.4 * on * np.sin(2 * np.pi * 1500 * t)).astype(np.float32))


class Ear:
    """Notes when a beep arrives."""

    def __init__(self) -> None:
        self.heard: list[float] = []
        self.packets = 0
        self._decoder = opus.Decoder()
        self._quiet = 100

    async def packet(self, packet: Any, arrival_time_ms: int) -> None:
        self.packets += 1
        sound = self._decoder.decode(packet.payload)
        t = np.arange(sound.size) / 48_000
        tone = abs(np.dot(sound, np.exp(-2j * np.pi * 1500 * t))) / sound.size
        if tone > 0.04 and self._quiet > 20:
            self.heard.append(time.monotonic())
        self._quiet = 0 if tone > 0.04 else self._quiet + 1


async def be_stage(data: str, port: int) -> None:
    from rostra.broadcast.programme import Broadcast
    from rostra.kernel.clock import SystemClock
    from rostra.kernel.settings import Settings
    from rostra.stage.role import StageRole
    from rostra.timeline.disk import DiskLibrary

    write_to_stderr("warning")
    with contextlib.suppress(OSError):  # as `rostra serve` does
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    clock, log = SystemClock(), Log("stage")
    role = StageRole(
        library=DiskLibrary(Path(data), clock),
        settings=Settings(port=port - 3),
        clock=clock,
        log=log,
        key=KEY,
        broadcasting=Broadcast(clock, log),
    )
    listening = socket.create_server(("127.0.0.1", port))
    listening.setblocking(False)
    await role.start([listening])
    await asyncio.Event().wait()


async def be_speakers(port: int, count: int, talking: int, seconds: float, stage: int) -> dict[str, Any]:
    """Join, wait until all stands, measure, leave."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        operator = {"authorization": f"Bearer {KEY}"}
        asked = {"title": "Bench", "starts": None, "host_name": "One", "auto_live": False}
        made = (await http.post("/spaces", json=asked, headers=operator)).json()
        space, tokens = made["id"], [made["host_token"]]
        for number in range(1, count):
            command = {"type": "invite", "name": f"Speaker {number}"}
            tokens.append((await http.post(f"/s/{space}/commands", json=command, headers=operator)).json()["token"])
        for command in ({"type": "open"}, {"type": "go_live"}):
            (await http.post(f"/s/{space}/commands", json=command, headers=operator)).raise_for_status()
        mouths, connections, ear = [], [], Ear()
        for number, token in enumerate(tokens):
            # The beeper is one of those who do not talk all the time; the last but one listens for it.
            mouth = Mouth(packets("talks" if number < talking else "silent", number), number == count - 1)
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            connection.addTrack(mouth)
            await connection.setLocalDescription(await connection.createOffer())
            answer = await http.post(
                f"/s/{space}/stage",
                content=connection.localDescription.sdp,
                headers={"content-type": "application/sdp", "authorization": f"Bearer {token}"},
            )
            answer.raise_for_status()
            own = Ear()
            connection.getReceivers()[0]._handle_rtp_packet = ear.packet if number == count - 2 else own.packet
            await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            mouths.append(mouth)
            connections.append(connection)
        await asyncio.sleep(6)  # jitter buffers settle on this machine's noise
        ear.heard.clear()
        before, began, packets_before, memory = cpu_s(stage), time.monotonic(), ear.packets, rss_kb(stage)
        memories = [memory]
        while (left_s := began + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(SAMPLE_S, left_s))
            memories.append(rss_kb(stage))
        cores = (cpu_s(stage) - before) / (time.monotonic() - began)
        received = ear.packets - packets_before
        grown_kb = rss_kb(stage) - memory
        ways = sorted(min((h - b for b in mouths[-1].beeps if h - b > 0), default=9.0) for h in ear.heard)
        metrics = (await http.get("/metrics", headers=operator)).text
        await http.post(f"/s/{space}/commands", json={"type": "end"}, headers=operator)
        await asyncio.gather(*(connection.close() for connection in connections))
    skipped = next(
        float(line.split()[1]) for line in metrics.splitlines() if line.startswith("rostra_stage_ticks_skipped_total")
    )
    return {
        "speakers": count,
        "talking": talking,
        "cores": round(cores, 3),
        "way_ms_median": round(1000 * statistics.median(ways)) if ways else None,
        "way_ms_p95": round(1000 * ways[int(0.95 * len(ways))]) if ways else None,
        "beeps_heard": len(ways),
        "return_packets_share": round(received / (seconds / FRAME_S), 3),
        "ticks_skipped": skipped,
        "rss_mb": round(rss_kb(stage) / 1000, 1),
        "rss_growth_kb_per_min": round(grown_kb / seconds * 60),
        **(_over_time(memories) if seconds >= LONG_S else {}),
    }


def _over_time(memories_kb: list[int]) -> dict[str, Any]:
    """The slope of memory after the first sixth, and how it was every twelfth of the time, in MB."""
    later = memories_kb[len(memories_kb) // 6 :]
    slope = float(np.polyfit(np.arange(len(later)) * SAMPLE_S / 60, later, 1)[0])
    return {
        "rss_slope_kb_per_min": round(slope, 2),
        "rss_mb_over_time": [round(one / 1000, 1) for one in memories_kb[:: max(1, len(memories_kb) // 12)]],
    }


def cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kb(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--speakers", type=int, default=13)
    parser.add_argument("--talking", default="13,3")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--be-stage", nargs=2, metavar=("DATA", "PORT"))
    given = parser.parse_args()
    if given.be_stage:
        uvloop.run(be_stage(given.be_stage[0], int(given.be_stage[1])))
        return
    for talking in (int(text) for text in given.talking.split(",")):
        with tempfile.TemporaryDirectory() as data, socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
            probe.close()
            stage = subprocess.Popen([sys.executable, __file__, "--be-stage", data, str(port)])
            try:
                for _ in range(100):
                    try:
                        httpx.get(f"http://127.0.0.1:{port}/healthz").raise_for_status()
                        break
                    except httpx.HTTPError:
                        time.sleep(0.1)
                row = uvloop.run(be_speakers(port, given.speakers, talking, given.seconds, stage.pid))
                row["seconds"] = given.seconds
                print(json.dumps(row), flush=True)
                if given.keep:
                    with (Path(__file__).parent / "results" / "stage_hour.jsonl").open("a") as results:
                        results.write(
                            json.dumps({"bench": "stage", "at": time.strftime("%FT%TZ", time.gmtime()), **row}) + "\n"
                        )
            finally:
                stage.kill()
                stage.wait()


if __name__ == "__main__":
    main()
