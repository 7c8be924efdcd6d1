"""A disk that fills up while a Space is live: nobody is put out, the operator is told, nothing is lost once there is room."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from people import make_speech
from rostra_process import Rostra, free_ports

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("a small disk of our own needs the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_puts_nobody_out_and_loses_nothing(
    small_disk: Path, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    speech = make_speech(tmp_path / "speech.wav")
    filler = small_disk / "somebody elses"
    with Rostra(small_disk / "data", free_ports()) as server:
        space = server.run("space", "create", "--title", "No room")
        speaking = server.begin(
            "speak", space["whip"], "--token", space["token"], "--file", str(speech), "--loop", "--seconds", "60"
        )
        eventually(lambda: (server.state(space["id"])["elapsed_s"] or 0) > 3, 30)
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
        eventually(lambda: '"disk-full"' in server.log(), 20)
        time.sleep(3)
        assert server.state(space["id"])["state"] == "live" and server.get(space["page"])
        filler.unlink()
        time.sleep(2)
        report = server.run("listen", space["page"], "--seconds", "4")
        assert report["gaps"] == 0
        speaking.interrupt()
        speaking.result()  # before the end, after which the command would find the stage closed and fail
        ended = server.run("space", "end", space["id"])
        proof = server.run("timeline", "verify", space["id"])
        assert proof["whole"] and proof["over"] and proof["filled_s"] == 0
        assert abs(proof["seconds"]["opus"] - ended["elapsed_s"]) < 2
