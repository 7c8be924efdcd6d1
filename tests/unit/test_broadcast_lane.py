import av
import numpy as np
import pytest

from rostra.broadcast.lane import Finished, Lane, silent_frame, silent_part
from rostra.codec import aac, opus
from rostra.sound import fmp4
from rostra.sound.renditions import FRAME, RATE, Rendition
from rostra.timeline.ports import PartFlag


def voice(seconds: float) -> list[np.ndarray]:
    t = np.arange(round(seconds * RATE)) / RATE
    sound = (0.3 * np.sin(2 * np.pi * (200 + 60 * t) * t)).astype(np.float32)
    return [sound[start : start + FRAME] for start in range(0, sound.size - FRAME + 1, FRAME)]


def decode(rendition: Rendition, frames: list[bytes]) -> np.ndarray:
    if rendition is Rendition.OPUS:
        decoder = opus.Decoder()
        return np.concatenate([decoder.decode(frame) for frame in frames])
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata, decoder.sample_rate = aac.audio_specific_config(rendition.shape.channels), RATE
    return np.concatenate([out.to_ndarray()[0] for frame in frames for out in decoder.decode(av.Packet(frame))])


def all_frames(parts: list[Finished]) -> list[bytes]:
    return [frame for part in parts for frame in part.cut.frames]


@pytest.mark.parametrize("rendition", Rendition)
def test_a_lane_taken_up_anywhere_holds_each_sample_at_its_own_time(rendition: Rendition) -> None:
    first, into = 7, 5 * FRAME if rendition is Rendition.OPUS else 5000
    lane = Lane(rendition, first)
    begins = lane.position + into
    parts = lane.pad_to(begins, 1_000_000)
    sound = voice(1.5)
    for number, frame in enumerate(sound):
        parts += lane.push(frame, 1_000_000 + number * 20_000, PartFlag.NONE)
    parts += lane.finish(3_000_000)
    assert [part.cut.number for part in parts] == list(range(first, first + len(parts)))
    heard = decode(rendition, all_frames(parts))
    assert heard.size == len(parts) * rendition.shape.part_samples
    delay = into + (312 if rendition is Rendition.OPUS else 0)
    spoken = np.concatenate(sound)
    inside = slice(9600, spoken.size - 9600)
    assert np.corrcoef(spoken[inside], heard[delay:][inside])[0, 1] > 0.98
    assert float(np.max(np.abs(heard[: into - 2000]))) < 0.02


@pytest.mark.parametrize("rendition", Rendition)
def test_a_part_says_when_its_first_sample_sounded(rendition: Rendition) -> None:
    lane, parts = Lane(rendition, 0), []
    for number, frame in enumerate(voice(2.2)):
        parts += lane.push(frame, number * 20_000, PartFlag.NONE)
    assert all(abs(part.cut.start_us - part.cut.number * rendition.shape.part_us) <= 1 for part in parts)


def _hard_to_encode() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(3)
    noise = np.clip(0.2 * chance.standard_normal(20 * RATE), -0.95, 0.95).astype(np.float32)
    t = np.arange(noise.size)
    return {
        "silence": np.zeros_like(noise),
        "noise": noise,
        "noise that comes and goes": noise * (t // (RATE // 2) % 2),
        "claps": noise * (t % (3 * RATE) < RATE // 20),
        "silence, then noise": noise * (t > 10 * RATE),
        "hisses over a voice": (np.concatenate(voice(20))[: noise.size] + 0.3 * noise * (t % RATE < RATE // 8)),
    }


@pytest.mark.parametrize("rendition", Rendition)
def test_no_segment_takes_more_than_the_bandwidth_that_players_are_told(rendition: Rendition) -> None:
    shape, most_bps = rendition.shape, 0.0
    for name, sound in _hard_to_encode().items():
        lane, sizes = Lane(rendition, 0), []
        for start in range(0, sound.size, FRAME):
            for part in lane.push(sound[start : start + FRAME].astype(np.float32), start, PartFlag.NONE):
                sizes.append(len(fmp4.part(rendition, part.cut.number, part.cut.frames, part.cut.start_us, bytes(120))))
        per_segment = shape.parts_per_segment
        peak = max(sum(sizes[at : at + per_segment]) for at in range(len(sizes) - per_segment + 1))
        bps = 8 * peak / shape.segment_s
        assert bps <= shape.bandwidth_bps, f"{name}: {bps:,.0f} b/s"
        most_bps = max(most_bps, bps)
    assert most_bps > 0.6 * shape.bandwidth_bps, "players would take it for heavier than it is"


def test_finishing_adds_no_more_than_what_makes_the_last_part_whole() -> None:
    for frames, parts in ((0, 0), (1, 1), (24, 1), (25, 1), (26, 2)):
        lane = Lane(Rendition.OPUS, 0)
        done = [one for frame in voice(1)[:frames] for one in lane.push(frame, 0, PartFlag.NONE)]
        assert len(done + lane.finish(0)) == parts


def test_a_part_tells_its_loudness_and_whether_anybody_was_there() -> None:
    lane, parts = Lane(Rendition.OPUS, 0), []
    quiet = np.zeros(FRAME, np.float32)
    for frame in voice(0.5):
        parts += lane.push(frame, 0, PartFlag.NONE)
    for _ in range(25):
        parts += lane.push(quiet, 0, PartFlag.AWAY)
    parts += lane.pad_to(lane.position + 24_000, 0)
    for number in range(25):
        parts += lane.push(quiet, 0, PartFlag.AWAY if number else PartFlag.FILL)
    assert [(one.flags, one.peak_dbfs) for one in parts] == [
        (PartFlag.NONE, -10), (PartFlag.AWAY, -127), (PartFlag.FILL, -127), (PartFlag.AWAY, -127),
    ]  # fmt: skip
    assert parts[0].level_dbfs == -13


def test_prepared_silence_decodes_to_silence_behind_any_sound() -> None:
    for rendition in Rendition:
        lane, parts = Lane(rendition, 0), []
        for frame in voice(1.2):
            parts += lane.push(frame, 0, PartFlag.NONE)
        frames = all_frames(parts) + list(silent_part(rendition, 2, 0).cut.frames)
        heard = decode(rendition, frames)
        assert float(np.max(np.abs(heard[-rendition.shape.part_samples // 2 :]))) < 1e-3
        assert len(silent_frame(rendition)) < 20
