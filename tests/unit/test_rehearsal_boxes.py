import contextlib
import io
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.rehearsal.boxes import NotMp4, read_fragment, read_init, split
from rostra.rehearsal.ears import Decoder

RATE = 48_000


def fragmented(codec: str, seconds: float = 2.0) -> bytes:
    """Half-second fragments of a 440 Hz tone, written by FFmpeg's own muxer."""
    file = io.BytesIO()
    with av.open(
        file, "w", format="mp4", options={"movflags": "empty_moov+default_base_moof", "frag_duration": "500000"}
    ) as out:
        stream = out.add_stream(codec, rate=RATE, layout="mono")
        frame_size = 960 if codec == "libopus" else 1024
        for at in range(0, round(seconds * RATE), frame_size):
            tone = 0.25 * np.sin(2 * np.pi * 440 * (at + np.arange(frame_size)) / RATE)
            frame = av.AudioFrame.from_ndarray(
                tone.astype(np.float32)[None], format="flt" if codec == "libopus" else "fltp", layout="mono"
            )
            frame.rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(scope="module", params=["libopus", "aac"])
def recording(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    return request.param, fragmented(request.param)


def without_index(data: bytes) -> bytes:
    return data[: data.rindex(b"mfra") - 4] if b"mfra" in data else data


def test_an_init_segment_names_codec_rate_and_channels(recording: tuple[str, bytes]) -> None:
    codec, data = recording
    init = read_init(split(without_index(data))[0])
    assert (init.codec, init.rate, init.channels) == ("opus" if codec == "libopus" else "aac", RATE, 1)


def test_fragments_follow_each_other_without_a_hole(recording: tuple[str, bytes]) -> None:
    fragments = [read_fragment(part) for part in split(without_index(recording[1]))[1]]
    assert len(fragments) >= 4
    for before, after in zip(fragments, fragments[1:], strict=False):
        assert after.start == before.start + before.length


def test_what_is_decoded_is_the_tone_that_was_encoded(recording: tuple[str, bytes]) -> None:
    init, parts = split(without_index(recording[1]))
    decoder = Decoder(read_init(init))
    sound = np.concatenate([decoder.decode(read_fragment(part)) for part in parts])[RATE // 2 : RATE * 3 // 2]
    spectrum = np.abs(np.fft.rfft(sound))
    assert int(np.argmax(spectrum)) == 440
    assert abs(20 * np.log10(np.sqrt(np.mean(sound**2)) / (0.25 / np.sqrt(2)))) < 0.3
    assert decoder.broken == 0


def test_a_packet_that_is_not_sound_becomes_silence_and_is_counted() -> None:
    init, parts = split(without_index(fragmented("aac")))
    decoder, fragment = Decoder(read_init(init)), read_fragment(parts[0])
    spoiled = type(fragment)(fragment.start, (b"\xff" * 40, *fragment.packets[1:]), fragment.durations, None, ())
    assert len(decoder.decode(spoiled)) == fragment.length
    assert decoder.broken >= 1


@given(st.data())
def test_broken_bytes_are_refused_as_such_and_never_otherwise(data: st.DataObject) -> None:
    good = FRAGMENT
    cut = data.draw(st.integers(0, len(good)))
    at, byte = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 255))
    for bytes_ in (good[:cut], good[:at] + bytes([byte]) + good[at + 1 :]):
        for read in (read_fragment, read_init):
            with contextlib.suppress(NotMp4):
                read(bytes_)


FRAGMENT = split(without_index(fragmented("libopus", 1.0)))[1][0]
