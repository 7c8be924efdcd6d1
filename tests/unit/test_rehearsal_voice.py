import asyncio
import io
import wave
from pathlib import Path

import numpy as np
import pytest

from rostra.codec.opus import Decoder
from rostra.kernel.errors import Fault
from rostra.rehearsal import voice

RATE = 48_000


def wav(path: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((sound * 32767).astype("<i2").tobytes())
    path.write_bytes(file.getvalue())
    return path


def test_a_file_becomes_packets_of_20_ms_that_last_as_long_as_it_does(tmp_path: Path) -> None:
    file = wav(tmp_path / "tone.wav", 0.3 * np.sin(np.arange(RATE) / 20))
    assert 50 <= len(list(voice.packets(file, bitrate=64_000, loop=False))) <= 52


def test_another_rate_becomes_48_khz_with_the_same_length(tmp_path: Path) -> None:
    file = wav(tmp_path / "tone.wav", 0.3 * np.sin(np.arange(16_000) / 8), 16_000)
    assert 50 <= len(list(voice.packets(file, bitrate=64_000, loop=False))) <= 52


def test_a_loop_goes_on_without_a_seam(tmp_path: Path) -> None:
    period = 0.3 * np.sin(2 * np.pi * np.arange(12_000) / 120)  # whole waves: its end fits its beginning
    source = voice.packets(wav(tmp_path / "tone.wav", period), bitrate=96_000, loop=True)
    decoder = Decoder()
    sound = np.concatenate([np.ravel(decoder.decode(next(source))) for _ in range(60)])[9600:]
    levels = np.sqrt((sound[: len(sound) // 480 * 480].reshape(-1, 480) ** 2).mean(axis=1))
    assert levels.min() > 0.95 * levels.max()


@pytest.mark.parametrize("content", [b"", b"not sound at all", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_sound_is_a_fault_and_not_a_crash(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(Fault):
        voice.check(tmp_path / "x")


def test_packets_leave_in_exact_real_time_whatever_the_reader_does() -> None:
    async def main() -> tuple[float, int]:
        loop, count = asyncio.get_running_loop(), 0
        began = loop.time()
        async for _ in voice.in_real_time(iter([b"x"] * 12)):
            count += 1
            if count == 3:
                await asyncio.sleep(0.06)  # a slow moment is made good, not added
        return loop.time() - began, count

    took_s, count = asyncio.run(main())
    assert count == 12
    assert 0.21 <= took_s < 0.3


def test_a_broken_source_is_an_error_of_the_reader() -> None:
    def source():  # type: ignore[no-untyped-def]
        yield b"x"
        raise Fault("It broke.", "Mend it.")

    async def main() -> None:
        async for _ in voice.in_real_time(source()):
            pass

    with pytest.raises(Fault, match="It broke"):
        asyncio.run(main())
