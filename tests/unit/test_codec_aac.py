import av
import numpy as np

from rostra.codec import aac


def _decode(units: list[bytes], channels: int = 2) -> np.ndarray:
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = aac.audio_specific_config(channels)
    decoder.sample_rate = aac.SAMPLE_RATE
    return np.concatenate([frame.to_ndarray() for unit in units for frame in decoder.decode(av.Packet(unit))], axis=1)


def test_unit_k_holds_the_samples_from_k_times_1024_on_both_channels() -> None:
    t = np.arange(48_000) / aac.SAMPLE_RATE
    sent = (0.4 * np.sin(2 * np.pi * 330 * t * (1 + t))).astype(np.float32)
    encoder = aac.Encoder(96_000)
    heard = _decode([unit for start in range(0, sent.size, 960) for unit in encoder.encode(sent[start : start + 960])])
    assert np.allclose(heard[0], heard[1], atol=0.02)
    assert np.corrcoef(sent[2048 : heard.shape[1]], heard[0][2048:])[0, 1] > 0.999


def test_one_channel_at_the_low_rate_holds_the_same_samples_and_no_more_bits_than_promised() -> None:
    t = np.arange(96_000) / aac.SAMPLE_RATE
    sent = (
        0.3 * np.sin(2 * np.pi * 140 * t) * (1 + np.sin(2 * np.pi * 3 * t)) * np.sin(2 * np.pi * 900 * t * t)
    ).astype(np.float32)
    units = aac.Encoder(48_000, channels=1).encode(sent)
    heard = _decode(units, channels=1)
    assert heard.shape[0] == 1
    assert np.corrcoef(sent[2048 : heard.shape[1]], heard[0][2048:])[0, 1] > 0.99
    assert sum(map(len, units)) * 8 / (len(units) * aac.FRAME_SAMPLES / aac.SAMPLE_RATE) < 52_000


def test_a_unit_comes_out_when_two_more_frames_have_gone_in() -> None:
    encoder = aac.Encoder(96_000)
    assert encoder.encode(np.zeros(2048, np.float32)) == []
    assert len(encoder.encode(np.zeros(1024, np.float32))) == 1
    assert len(encoder.encode(np.zeros(10 * 1024 + 1, np.float32))) == 10
