"""Makes the two voices of the demonstration: tools/voices/ada.opus and ben.opus, equally long, each silent while the other speaks.

Needs espeak-ng and ffmpeg. The result is kept in the repository, so nobody has to run this to hear the demonstration.
"""

import io
import subprocess
import wave
from pathlib import Path

import numpy as np

RATE = 48_000
PAUSE_S = 0.45
VOICES = {"ada": ("en-gb-x-rp+f4", "165", "54"), "ben": ("en-us+m3", "158", "38")}
TALK = [
    ("ada", "Good evening, and welcome to the Lighthouse Hour. I am Ada, and with me tonight is Ben, who kept a light for eleven years."),
    ("ben", "Good evening Ada. Kept is a large word. Mostly I polished glass and made tea."),
    ("ada", "Let us begin there. Why does the glass need so much polishing?"),
    ("ben", "Salt. The wind carries it up the tower, and a film you can hardly see takes a mile off the reach of the lamp."),
    ("ada", "A whole mile? From a film of salt?"),
    ("ben", "On a clear night, yes. The lens is made of rings of glass, and each ring bends a little of the light towards the horizon. "
            "If a ring is dull, its share of the light goes nowhere."),
    ("ada", "And every lighthouse has its own rhythm, so that sailors can tell them apart."),
    ("ben", "That is right. Ours gave two short flashes every fifteen seconds. After a year you stop seeing it. "
            "After two years you wake up when it stops."),
    ("ada", "Did it ever stop?"),
    ("ben", "Once. For nine minutes, in a storm. We turned the lens by hand until the motor ran again, and counted aloud so that we kept the time."),
    ("ada", "Counted aloud, in the dark. That is a picture to end on. Next time we shall talk about fog horns."),
    ("ben", "Bring something for your ears."),
]  # fmt: skip


def speech(voice: str, text: str) -> np.ndarray:
    name, speed, pitch = VOICES[voice]
    said = subprocess.run(
        ["espeak-ng", "-v", name, "-s", speed, "-p", pitch, "--stdout", text], check=True, capture_output=True
    ).stdout
    filters = "highpass=f=70,equalizer=f=3000:t=q:w=1:g=-3,loudnorm=I=-18:TP=-2"
    sound = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "-", "-af", filters, "-ar", str(RATE), "-ac", "1", "-f", "s16le", "-"],
        input=said, check=True, capture_output=True,
    ).stdout  # fmt: skip
    return np.frombuffer(sound, np.int16)


def main() -> None:
    tracks: dict[str, list[np.ndarray]] = {voice: [] for voice in VOICES}
    for voice, text in TALK:
        said = np.concatenate((speech(voice, text), np.zeros(round(PAUSE_S * RATE), np.int16)))
        for other, track in tracks.items():
            track.append(said if other == voice else np.zeros_like(said))
    for voice, pieces in tracks.items():
        pieces.append(np.zeros(2 * RATE, np.int16))
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", ""))
            out.writeframes(np.concatenate(pieces).tobytes())
        target = Path(__file__).parent / "voices" / f"{voice}.opus"
        encode = ["-c:a", "libopus", "-b:a", "28k", "-application", "voip", "-frame_duration", "60"]
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", "-", *encode, str(target)], input=file.getvalue(), check=True
        )


if __name__ == "__main__":
    main()
