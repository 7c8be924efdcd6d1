"""A sound file as Opus packets in exact real time, whoever happens to be connected."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from pathlib import Path

import av

from rostra.kernel.errors import Fault

FRAME = 960
FRAME_S = 0.02
_AHEAD = 100
"""Packets encoded ahead of time: two seconds, then the encoder thread waits."""


def check(file: Path) -> None:
    """Raises: Fault: the file is not there, or holds no sound that can be read."""
    try:
        with av.open(str(file)) as container:
            if not container.streams.audio:
                raise Fault(f"{file} holds no sound.", "Name a file with an audio track.")
    except FileNotFoundError:
        raise Fault(f"There is no file {file}.", "Check its name.") from None
    except (av.FFmpegError, OSError) as wrong:
        raise Fault(f"{file} cannot be read as sound: {wrong}.", "Try it in ffmpeg, or name another file.") from None


def packets(file: Path, *, bitrate: int, loop: bool) -> Iterator[bytes]:
    """The file as Opus packets of 20 ms, 48 kHz mono; the last one is filled up with silence."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.format, encoder.layout = 48_000, "flt", "mono"
    encoder.bit_rate, encoder.time_base = bitrate, Fraction(1, 48_000)
    encoder.options = {"application": "audio", "frame_duration": "20", "fec": "1", "packet_loss": "5"}
    fifo, clock = av.AudioFifo(), 0
    while True:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000)
        with av.open(str(file)) as container:
            for decoded in container.decode(audio=0):
                for frame in resampler.resample(decoded):
                    frame.pts = None
                    fifo.write(frame)
                while (frame := fifo.read(FRAME)) is not None:
                    frame.pts, frame.time_base, clock = clock, Fraction(1, 48_000), clock + FRAME
                    yield from (bytes(packet) for packet in encoder.encode(frame))
        if not loop:
            break
    rest = fifo.read(0, partial=True)
    if rest is not None:
        rest.pts, rest.time_base = clock, Fraction(1, 48_000)
        yield from (bytes(packet) for packet in encoder.encode(rest))
    yield from (bytes(packet) for packet in encoder.encode(None))


async def in_real_time(source: Iterator[bytes], seconds: float | None = None) -> AsyncIterator[bytes]:
    """Packet n leaves at start + n * 20 ms by the monotonic clock, however long the one before took.

    The source is drawn in a thread of its own, at most two seconds ahead.
    """
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: bytes | BaseException | None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.2)
                return

    def draw() -> None:
        try:
            for packet in source:
                put(packet)
                if stopped.is_set():
                    return
            put(None)
        except Exception as wrong:  # noqa: BLE001 - raised again in the task that reads
            put(wrong)

    thread = threading.Thread(target=draw, name="voice", daemon=True)
    thread.start()
    loop = asyncio.get_running_loop()
    most = None if seconds is None else round(seconds / FRAME_S)
    start: float | None = None
    count = 0
    try:
        while most is None or count < most:
            try:
                item = ready.get_nowait()
            except queue.Empty:
                await asyncio.sleep(FRAME_S / 4)
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            start = loop.time() if start is None else start
            wait_s = start + count * FRAME_S - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            yield item
            count += 1
    finally:
        stopped.set()
