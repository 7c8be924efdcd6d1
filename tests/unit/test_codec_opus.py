import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.codec import opus


def tone(frames: int, hz: float = 440.0) -> list[opus.Samples]:
    t = np.arange(frames * opus.FRAME_SAMPLES) / opus.SAMPLE_RATE
    return list(np.split((0.4 * np.sin(2 * np.pi * hz * t)).astype(np.float32), frames))


def test_what_goes_in_comes_out_at_the_same_level_after_the_stated_delay() -> None:
    encoder, decoder = opus.Encoder(48_000), opus.Decoder()
    sent = tone(20)
    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in sent])
    shifted = np.concatenate(sent)[: heard.size - encoder.delay_samples]
    tail = slice(4800, None)
    assert np.corrcoef(shifted[tail], heard[encoder.delay_samples :][tail])[0, 1] > 0.99
    assert abs(float(np.std(heard[9600:])) - float(np.std(shifted[9600:]))) < 0.02


def talk(frames: int) -> list[opus.Samples]:
    """Harmonics in syllables: the encoder protects only what it takes for speech."""
    t = np.arange(frames * opus.FRAME_SAMPLES) / opus.SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 3 * t)) / opus.SAMPLE_RATE
    voiced = np.sum([np.sin(k * phase) / k for k in range(1, 18)], axis=0)
    return list(np.split((0.15 * voiced * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)).astype(np.float32), frames))


def test_a_lost_packet_is_better_recovered_from_the_next_one_than_guessed() -> None:
    sent = talk(100)
    encoder = opus.Encoder(40_000, expected_loss_pct=5, tuned_for="voice")
    packets = [encoder.encode(frame) for frame in sent]
    errors = {"recovered": 0.0, "guessed": 0.0}
    for lost in range(20, 98, 6):
        whole, fec, plc = opus.Decoder(), opus.Decoder(), opus.Decoder()
        for packet in packets[:lost]:
            for decoder in (whole, fec, plc):
                decoder.decode(packet)
        wanted = whole.decode(packets[lost])
        errors["recovered"] += float(np.sum((fec.recover(packets[lost + 1]) - wanted) ** 2))
        errors["guessed"] += float(np.sum((plc.conceal() - wanted) ** 2))
    assert errors["recovered"] < 0.7 * errors["guessed"]


def test_concealment_fades_and_never_stops_giving_sound() -> None:
    encoder, decoder = opus.Encoder(48_000), opus.Decoder()
    for frame in tone(10):
        decoder.decode(encoder.encode(frame))
    guesses = [decoder.conceal() for _ in range(50)]
    assert all(guess.shape == (960,) for guess in guesses)
    assert float(np.std(guesses[0])) > 0.05
    assert float(np.std(guesses[-1])) < 0.2 * float(np.std(guesses[0]))


def test_silence_is_sent_as_packets_too() -> None:
    encoder = opus.Encoder(48_000)
    assert all(opus.packet_samples(encoder.encode(np.zeros(960, np.float32))) == 960 for _ in range(200))


def test_a_frame_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="960 float32"):
        opus.Encoder(48_000).encode(np.zeros(961, np.float32))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_either_decode_or_are_named_bad_and_the_decoder_goes_on(noise: bytes) -> None:
    decoder = opus.Decoder()
    with contextlib.suppress(opus.BadOpus):
        assert decoder.decode(noise).dtype == np.float32
    assert decoder.decode(opus.Encoder(48_000).encode(tone(1)[0])).shape == (960,)
