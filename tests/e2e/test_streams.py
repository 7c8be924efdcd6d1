"""Radio streams and HLS in players that people have, through the door's redirect, from joining to the end of the Space."""

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heard import likeness, read_wav
from people import make_speech
from rostra_process import Rostra

pytestmark = pytest.mark.timeout(180)

LISTENED_S = 9
CASES = {
    "streams": (("live.mp3", "live.opus"), 3),
    "hls": (("hls/index.m3u8",), 13),  # most players of HLS begin three segments back
}
"""What is played, and how long after the beginning."""


def players(address: str, folder: Path) -> dict[str, tuple[list[str], Path]]:
    """Commands that play `address` into a file until the stream ends."""
    wav = {name: folder / f"{name}.wav" for name in ("ffmpeg", "mpv", "vlc", "gstreamer")}
    # VLC does not run for root.
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    source = (
        f"uridecodebin3 uri={address}"
        if address.endswith(".m3u8")
        else f"souphttpsrc location={address} iradio-mode=true ! decodebin"
    )
    gstreamer = (
        f"{source} ! audioconvert ! audioresample ! "
        f"audio/x-raw,format=S16LE,rate=48000,channels=1 ! wavenc ! filesink location={wav['gstreamer']}"
    )
    commands = {
        "ffmpeg": ["ffmpeg", "-v", "error", "-y", "-i", address, "-ac", "1", "-ar", "48000", str(wav["ffmpeg"])],
        "mpv": ["mpv", "--no-config", "--no-video", "--audio-format=s16", "--ao=pcm", f"--ao-pcm-file={wav['mpv']}", address],
        "vlc": [*as_nobody, "cvlc", "--no-video", "--aout=afile", f"--audiofile-file={wav['vlc']}", address, "vlc://quit"],
        "gstreamer": ["gst-launch-1.0", "-q", *gstreamer.split()],
    }  # fmt: skip
    for program in ("ffmpeg", "mpv", "cvlc", "gst-launch-1.0"):
        assert shutil.which(program), f"{program} is not installed; 'make test' does that"
    return {name: (command, wav[name]) for name, command in commands.items()}


@pytest.fixture(scope="module")
def on_air(server: Rostra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """A Space for each case, begun together: what the second case has to wait for passes while the first is judged."""
    speech = make_speech(tmp_path_factory.mktemp("speech") / "speech.wav")
    spaces = {case: server.run("space", "create", "--title", "For radios", "--host-name", "Ada") for case in CASES}
    speaking = [
        server.begin("speak", one["whip"], "--token", one["token"], "--file", str(speech), "--loop")
        for one in spaces.values()
    ]
    yield spaces
    for command in speaking:
        command.interrupt()


@pytest.mark.parametrize("case", CASES)
def test_players_hear_what_is_on_the_record_and_stop_with_it(
    server: Rostra, on_air: dict[str, dict[str, Any]], tmp_path: Path, eventually: Callable[..., Any], case: str
) -> None:
    tmp_path.chmod(0o777)
    for folder in takewhile(lambda one: not one.stat().st_mode & stat.S_IXOTH, tmp_path.parents):
        folder.chmod(0o755)
    space, (kinds, after_s) = on_air[case], CASES[case]
    eventually(lambda: (server.state(space["id"])["elapsed_s"] or 0) > after_s, 40)
    playing = {}
    for kind in kinds:
        folder = tmp_path / kind.replace("/", "-")
        folder.mkdir()
        folder.chmod(0o777)
        for name, (command, file) in players(f"{space['page']}/{kind}", folder).items():
            said = (folder / f"{name}.log").open("w")
            environment = {**os.environ, "HOME": str(folder)}
            process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=environment)
            playing[kind, name] = (process, file, folder / f"{name}.log")
    try:
        time.sleep(LISTENED_S)  # the length of what is to be heard
        server.run("space", "end", space["id"])
        for process, _, _ in playing.values():
            process.wait(30)
    finally:
        for process, _, _ in playing.values():
            process.kill()
    record = tmp_path / "record.wav"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", space["replay"], "-ac", "1", "-ar", "48000", str(record)],
        check=True,
        timeout=60,
    )
    true = read_wav(record)
    for (kind, name), (process, file, said) in playing.items():
        heard = read_whole(file)
        assert len(heard) > (LISTENED_S - 2) * 48_000, (kind, name, process.returncode, said.read_text()[-2000:])
        # One alignment for all that was heard: nothing is missing, nothing is there twice.
        inside = heard[24_000:-24_000]
        correlation, level_db, _ = likeness(true, inside)
        assert correlation > 0.9 and abs(level_db) < 1, (kind, name, correlation, level_db)
    for kind, name in playing:
        if name == "mpv" and "hls" not in kind:
            assert "For radios" in playing[kind, name][2].read_text(errors="replace")


def read_whole(file: Path) -> np.ndarray:
    """A WAV of any kind, also one whose writer was stopped before it wrote down how long it is."""
    command = [
        "ffmpeg",
        "-v",
        "quiet",
        "-ignore_length",
        "1",
        "-i",
        str(file),
        "-ac",
        "1",
        "-ar",
        "48000",
        "-f",
        "s16le",
        "-",
    ]
    decoded = subprocess.run(command, stdout=subprocess.PIPE, timeout=30).stdout
    return np.frombuffer(decoded, np.int16).astype(np.float32) / 32767
