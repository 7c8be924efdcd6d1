"""The machine's wall clock is set while a Space is live: hours forward, hours back. All roles see it (libfaketime)."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rostra_process import ROSTRA, Rostra, environment, free_ports

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(LIBRARY is None, reason="the clock is set by Debian's faketime, and it is not installed"),
]


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the wall clock of every process that is started while this stands, by so many seconds from the real one."""
    offset = tmp_path / "offset"

    def set_by(seconds: int) -> None:
        fresh = offset.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(offset)

    set_by(0)
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
    monkeypatch.setenv("FAKETIME_CACHE_DURATION", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("FAKETIME_DONT_RESET", "1")
    return set_by


@pytest.fixture
def installation(tmp_path: Path, wall: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Rostra]:
    with Rostra(tmp_path / "data", free_ports(8)) as running:
        # Those who speak and listen have clocks of their own.
        monkeypatch.delenv("LD_PRELOAD")
        yield running


def test_a_wall_clock_that_jumps_takes_nobody_off_the_air(
    installation: Rostra, wall: Callable[[int], None], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    server, tone = installation, tmp_path / "tone.wav"
    subprocess.run(
        ["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", str(tone), "synth", "10", "sine", "330", "norm", "-12"],
        check=True,
    )
    space = server.run("space", "create", "--title", "Whatever the time")
    speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone), "--loop")
    eventually(lambda: server.state(space["id"])["state"] == "live", 20)
    listening = server.begin("listen", space["page"], "--seconds", "8")
    checking = subprocess.Popen(
        [*ROSTRA, "check-hls", space["hls"], "--seconds", "7", "--json"],
        stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    for seconds in (7200, -7200):
        wall(seconds)
        before = time.time()
        now = eventually(lambda by=seconds, at=before: _near(server, space["id"], by, at), 5)
        assert now["state"] == "live"
        time.sleep(1)  # two parts at least are cut on this time
    report, checked = listening.result(), json.loads(checking.communicate(timeout=60)[0])
    assert server.state(space["id"])["state"] == "live"
    speaking.interrupt()
    spoken = speaking.result()
    assert (report["reconnects"], spoken["reconnects"]) == (0, 0)
    # What is allowed is the stutter of a machine that does much else.
    assert report["longest_silence_s"] < 1 and report["seconds_heard"] > 7, json.dumps(report)
    assert [one["sentence"] for one in checked["findings"] if one["severity"] == "error"] == []
    assert server.run("space", "end", space["id"])["state"] == "ended"
    proof = server.run("timeline", "verify", space["id"])
    assert proof["whole"] and proof["over"] and proof["filled_s"] == 0, proof
    lengths = list(proof["seconds"].values())
    assert max(lengths) - min(lengths) <= 0.6
    assert "role died" not in server.log()


def _near(server: Rostra, space_id: str, seconds: int, before: float) -> dict[str, Any] | None:
    """The Space's state, once the door's clock is set so many seconds off."""
    state = server.state(space_id)
    off = datetime.fromisoformat(state["now"]).timestamp() - before
    return state if abs(off - seconds) < 30 else None
