"""A rehearsal tells the truth: about the server when it fails, and about itself when it is the limit."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rostra_process import Command, Rostra, free_ports

pytestmark = pytest.mark.timeout(180)

KEY = "a key that only its operator and we know"


@pytest.fixture(scope="module")
def on_air(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rostra, str, str]]:
    """A server with a rehearsal key and one edge; the id and page of a Space that is live on it."""
    place = tmp_path_factory.mktemp("rehearsed")
    (place / "data").mkdir()
    (place / "data" / "rostra.toml").write_text(f'edges = 1\nrehearsal_key = "{KEY}"\n')
    tone = place / "tone.wav"
    subprocess.run(["sox", "-n", "-r", "48000", "-c", "1", str(tone), "synth", "10", "sine", "330"], check=True)
    with Rostra(place / "data", free_ports(5)) as server:
        space = server.run("space", "create", "--title", "Rehearsed")
        speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone), "--loop")
        deadline = time.monotonic() + 30
        while server.state(space["id"])["state"] != "live":
            assert time.monotonic() < deadline, server.log()[-2000:]
            time.sleep(0.2)
        server.get(f"{server.sound}/s/{space['id']}/hls/live.m3u8")
        yield server, space["id"], space["page"]
        speaking.interrupt()
        speaking.result(30)


def crowd(server: Rostra, page: str, listeners: int, ramp_s: float, seconds: float, *more: str) -> Command:
    return server.begin(
        "rehearse", page, "--listeners", str(listeners), "--ramp", str(ramp_s), "--seconds", str(seconds), *more
    )


def connections(port: int) -> int:
    """How many are established at this port of ours."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(fields[1].endswith(f":{port:04X}") and fields[3] == "01" for fields in map(str.split, lines))


def test_a_dead_and_a_stuck_edge_show_in_the_report(
    on_air: tuple[Rostra, str, str], eventually: Callable[..., Any]
) -> None:
    server, _, page = on_air
    running = crowd(server, page, 300, 1, 11, "--processes", "2", "--shares", "web=8,hls=1,stream=1", "--decoded", "0")
    eventually(lambda: connections(server.port + 1) >= 300, 30)
    time.sleep(1)
    killed = server.kill_role("edge")
    eventually(lambda: server.pids()["edge"] != killed and connections(server.port + 1) >= 300, 30)
    time.sleep(2)
    stuck = server.pids()["edge"]
    os.kill(stuck, signal.SIGSTOP)
    time.sleep(2.6)
    os.kill(stuck, signal.SIGCONT)
    report = running.result(60)
    assert (report["joined"], report["inside"]) == (300, 300), report
    assert report["reconnects"] >= 300
    assert report["errors"]["connection lost"] >= 300
    # Held for 2.6 s, and the last part came at most half a second before that: for all of them too long.
    assert report["with_gaps"] == 300
    assert report["gaps"] >= 300
    assert report["longest_gap_s"] >= 2.5
    assert report["late"] >= 270
    assert {kind: one["listeners"] for kind, one in report["kinds"].items()} == {"web": 240, "hls": 30, "stream": 30}


def test_a_good_edge_gets_a_good_report_and_what_is_heard_is_sound(on_air: tuple[Rostra, str, str]) -> None:
    server, _, page = on_air
    report = crowd(server, page, 40, 0.5, 5, "--shares", "web=2,hls=1,stream=1,ogg=1").result(60)
    assert (report["joined"], report["inside"], report["gaps"], report["errors"]) == (40, 40, 0, {}), report
    assert report["first_sound_ms"]["p99"] is not None
    decoded = {one["via"]: one for one in report["decoded"]}
    assert decoded.keys() == {"opus", "hls", "stream", "ogg"}
    for one in decoded.values():
        assert one["seconds_heard"] > 2 and one["silent_seconds"] < 1, one


def test_a_generator_that_was_held_up_calls_its_run_void_and_ctrl_c_ends_the_crowd_but_not_the_report(
    on_air: tuple[Rostra, str, str], eventually: Callable[..., Any]
) -> None:
    server, _, page = on_air
    before = connections(server.port + 1)
    running = crowd(server, page, 60, 3, 600, "--processes", "1", "--shares", "web=1", "--decoded", "0")
    eventually(lambda: connections(server.port + 1) >= before + 5, 30)
    generator = children(running.pid)[0]
    os.kill(generator, signal.SIGSTOP)
    time.sleep(1.2)
    os.kill(generator, signal.SIGCONT)
    eventually(lambda: connections(server.port + 1) >= before + 60, 30)
    time.sleep(0.5)
    running.interrupt()
    report = running.result(30)
    assert (report["joined"], report["inside"]) == (60, 60)
    assert report["void"] is True
    assert any("late" in why for why in report["why_void"]), report["why_void"]


def test_nobody_is_loaded_who_has_not_agreed(on_air: tuple[Rostra, str, str], server: Rostra) -> None:
    with_key, space_id, _ = on_air
    # Reaches this machine, and is no loopback address.
    page = f"http://0.0.0.0:{with_key.port}/s/{space_id}"
    short = ("--listeners", "5", "--ramp", "0", "--seconds", "1", "--shares", "web=1", "--decoded", "0")
    assert "rehearsal key" in with_key.run("rehearse", page, *short, code=1)["error"]["message"]
    wrong = with_key.run("rehearse", page, *short, "--key", "another key", code=1)["error"]
    assert wrong["message"].startswith("This is not the rehearsal key")
    elsewhere = f"http://0.0.0.0:{server.port}/s/{space_id}"
    assert "does not consent" in with_key.run("rehearse", elsewhere, *short, "--key", KEY, code=1)["error"]["message"]
    assert with_key.run("rehearse", page, *short, "--key", KEY)["joined"] == 5


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
