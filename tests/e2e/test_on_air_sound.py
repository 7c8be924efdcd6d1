"""What is spoken is what is heard: real speech through the whole house, by the commands and by ffmpeg."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heard import dented_s, likeness, read_wav, silent_s
from machine import kept_waiting_s
from rostra_process import Command, Rostra

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]

TEXT = (
    "The quick brown fox jumps over the lazy dog, while six sizzling sausages sit in the sunshine. "
    "Every half second of this sentence is written to disk before anybody hears it, and that is a promise. "
    "She sells sea shells by the sea shore, and the shells that she sells are sea shells, I am sure."
)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 18 s of spoken English at 48 kHz mono, loud as people record it."""
    folder = tmp_path_factory.mktemp("speech")
    said, file = folder / "said.wav", folder / "speech.wav"
    subprocess.run(["espeak-ng", "-v", "en-gb", "-s", "165", "-w", str(said), TEXT], check=True)
    subprocess.run(
        ["sox", str(said), "-r", "48000", "-c", "1", "-b", "16", str(file), "norm", "-6", "pad", "0", "1"], check=True
    )
    return file


@dataclass
class OnAir:
    server: Rostra
    space: dict[str, Any]
    speaking: Command


@pytest.fixture(scope="module")
def on_air(server: Rostra, speech: Path, eventually: Callable[..., Any]) -> OnAir:
    """A minute of speech. Those who hear it live come first; it is over when the last of them wants the whole of it."""
    space = server.run("space", "create", "--title", "On the air", "--host-name", "Ada")
    speaking = server.begin(
        "speak", space["whip"], "--token", space["token"], "--file", str(speech), "--loop", "--seconds", "60"
    )
    eventually(lambda: server.state(space["id"])["state"] == "live")
    return OnAir(server, space, speaking)


def spoken_twice(speech: Path) -> np.ndarray:
    return np.tile(read_wav(speech), 3)


def ffmpeg(address: str, to: Path, *more: str) -> None:
    subprocess.run(
        ["ffmpeg", "-v", "warning", "-y", "-i", address, *more, "-ac", "1", "-ar", "48000", "-c:a", "pcm_s16le", str(to)],
        check=True, timeout=60,
    )  # fmt: skip


def test_a_listener_hears_what_was_spoken(on_air: OnAir, speech: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    report = on_air.server.run("listen", on_air.space["page"], "--seconds", "15", "--out", str(heard))
    assert report["gaps"] == 0 and report["reconnects"] == 0 and report["broken_packets"] == 0
    assert 14.9 <= report["seconds_heard"] <= 15.1
    assert report["first_audio_ms"] <= 1500 and report["requests_before_sound"] <= 5
    assert report["latency_p95_ms"] <= 1500
    correlation, level_db, _ = likeness(spoken_twice(speech), read_wav(heard))
    assert correlation > 0.9
    assert abs(level_db) < 1


def test_an_hls_player_hears_what_was_spoken(on_air: OnAir, speech: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    report = on_air.server.run("listen", on_air.space["page"], "--via", "hls", "--seconds", "10", "--out", str(heard))
    assert report["gaps"] == 0 and report["broken_packets"] == 0
    assert report["latency_p95_ms"] <= 2500
    correlation, level_db, _ = likeness(spoken_twice(speech), read_wav(heard))
    assert correlation > 0.9
    assert abs(level_db) < 1


def test_ffmpeg_plays_the_playlist_live(on_air: OnAir, speech: Path, tmp_path: Path) -> None:
    live = tmp_path / "live.wav"
    ffmpeg(on_air.space["hls"], live, "-t", "8")
    correlation, level_db, _ = likeness(spoken_twice(speech), read_wav(live))
    assert correlation > 0.9 and abs(level_db) < 1


def test_a_speaker_with_a_wrong_token_or_no_stage_is_told_so_at_once(server: Rostra, speech: Path) -> None:
    space = server.run("space", "create", "--title", "Closed", "--starts", "2030-01-01T20:00:00Z")
    wrong = server.run("speak", space["whip"], "--token", "nonsense", "--file", str(speech), code=1, timeout_s=20)
    assert "token" in wrong["error"]["message"]
    early = server.run("speak", space["whip"], "--token", space["token"], "--file", str(speech), code=1, timeout_s=20)
    assert "not open" in early["error"]["message"]
    nowhere = space["whip"].replace(space["id"], "zzzzzzzzzz")
    assert (
        "no stage"
        in server.run("speak", nowhere, "--token", "x", "--file", str(speech), code=1, timeout_s=20)["error"]["message"]
    )


def test_a_speaker_whose_space_is_ended_has_spoken_to_the_end(
    server: Rostra, speech: Path, eventually: Callable[..., Any]
) -> None:
    space = server.run("space", "create", "--title", "Short")
    args = ("speak", space["whip"], "--token", space["token"], "--file", str(speech), "--loop")
    listening = server.begin("listen", space["page"], "--timeout", "40")
    speaking = server.begin(*args)
    eventually(lambda: (server.run("space", "show", space["id"])["elapsed_s"] or 0) > 2, every_s=0.5)
    server.run("space", "end", space["id"])
    spoken = speaking.result(30)
    assert spoken["ended"] and spoken["seconds_sent"] > 1
    assert listening.result(30)["ended"]
    replay = server.run("listen", space["page"], timeout_s=30)
    assert [one["state"] for one in replay["states"]] == ["ended"], "what was recorded tells how it was, not how it is"
    late = server.run(*args, code=1, timeout_s=20)["error"]["message"]
    assert late == "The stage is not open to us now: The stage of this Space is not open."


def test_a_listener_in_front_of_the_open_green_room_hears_the_first_word(server: Rostra, speech: Path) -> None:
    space = server.run("space", "create", "--title", "Soon")
    server.run("space", "open", space["id"])
    listening = server.begin("listen", space["page"], "--seconds", "5", "--timeout", "40")
    speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(speech), "--seconds", "14")
    report = listening.result(60)
    assert report["gaps"] == 0 and report["seconds_heard"] >= 4.9
    assert [one["state"] for one in report["states"]] == ["open", "live"]
    assert report["latency_p95_ms"] <= 1500
    speaking.result(60)


def test_ffmpeg_plays_the_recording_afterwards(on_air: OnAir, speech: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.wav"
    assert on_air.speaking.result(90)["seconds_sent"] >= 59
    assert on_air.server.run("space", "end", on_air.space["id"])["state"] == "ended"
    for address in (on_air.space["recording"], on_air.space["replay"], on_air.space["hls"]):
        ffmpeg(address, whole)
        recorded = read_wav(whole)
        correlation, level_db, _ = likeness(recorded, read_wav(speech))
        assert correlation > 0.9 and abs(level_db) < 1, address
        assert len(recorded) > 58 * 48_000
    proof = on_air.server.run("timeline", "verify", on_air.space["id"])
    assert proof["whole"] and proof["over"] and proof["filled_s"] == 0
    replay = on_air.server.run("listen", on_air.space["page"], "--seconds", "4")
    assert replay["replay"] and replay["gaps"] == 0 and replay["seconds_heard"] >= 3.9


def test_a_steady_tone_comes_through_without_a_hole(
    server: Rostra, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    """The house may lose nothing that reached it in time. What the speaker's command sent late is not the house's loss,
    nor what passed while the stage could have run and the machine gave it no processor for over a second.
    """
    tone, heard, recorded = tmp_path / "tone.wav", tmp_path / "heard.wav", tmp_path / "recorded.wav"
    subprocess.run(
        ["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", str(tone), "synth", "14", "sine", "440", "norm", "-12"],
        check=True,
    )
    pids = server.pids()

    def so_far() -> np.ndarray:
        skipped = server.metric("rostra_stage_ticks_skipped_total", "stage")
        return np.array([skipped * 0.02, kept_waiting_s(pids["stage"]), kept_waiting_s(pids["edge"])])

    before = so_far()
    space = server.run("space", "create", "--title", "Tone")
    speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(tone))
    eventually(lambda: server.state(space["id"])["state"] == "live")
    listening = server.begin("listen", space["page"], "--seconds", "8", "--out", str(heard))
    report, listener_waited_s = listening.watched()
    spoken = speaking.result()
    left_out_s, stage_waited_s, edge_waited_s = so_far() - before
    server.run("space", "end", space["id"])
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", space["recording"], "-ac", "1", "-ar", "48000", str(recorded)], check=True
    )
    middle = read_wav(recorded)[48_000 : 12 * 48_000]
    excused_s = spoken["seconds_late"] + spoken["seconds_missed"] + left_out_s
    said = f"silent {silent_s(middle):.2f} s, dented {dented_s(middle):.2f} s; {left_out_s:.2f} s left out; {spoken}"
    assert spoken["reconnects"] == 0
    assert left_out_s <= stage_waited_s, said
    assert silent_s(middle) <= excused_s, said
    # Concealment fades out and in again, and a correction of the delay by 20 ms dents a tone.
    assert dented_s(middle) <= 1.5 * excused_s + 0.05, said
    # Between the record and the ear nothing is lost; sound that comes too late is a gap.
    assert report["gap_s"] <= stage_waited_s + edge_waited_s + listener_waited_s, report
    assert report["broken_packets"] == 0 and report["reconnects"] == 0
    assert silent_s(read_wav(heard)) <= report["gap_s"] + excused_s, report
