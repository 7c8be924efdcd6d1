"""A listener of an endless stream who decodes all of it, and says how it was."""

import asyncio
import io
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import av
import numpy as np

from rostra.rehearsal.ears import Ear
from rostra.rehearsal.http import Answer, Client, HttpError
from rostra.rehearsal.playout import RATE, Span
from rostra.rehearsal.tally import GAP_S

_BYTES_MOST = 32 * 1024 * 1024


@dataclass(slots=True)
class StreamReport:
    page: str
    via: str
    first_audio_ms: int | None = None
    seconds_heard: float = 0.0
    gaps: int = 0
    """Times that nothing came for longer than a player's store lasts."""
    longest_gap_s: float = 0.0
    silent_seconds: float = 0.0
    level_dbfs: float | None = None
    broken: bool = False
    """What came could not be decoded to its end."""


class StreamListener:
    def __init__(self, page: str, url: str, via: str, seconds: float) -> None:
        self.report = StreamReport(page, via)
        self._url, self._seconds = url, seconds
        self._bytes = bytearray()

    async def run(self) -> StreamReport:
        """Raises: HttpError: there is no such stream, or it cannot be reached."""
        client = Client()
        try:
            found: Answer = await client.request("HEAD", self._url)
        finally:
            client.close()
        try:
            async with asyncio.timeout(self._seconds):
                await self._listen(found.url)
        except TimeoutError:
            pass
        except OSError as wrong:
            raise HttpError(f"the stream broke: {wrong.strerror or wrong}") from None
        await asyncio.to_thread(self._decode)
        return self.report

    async def _listen(self, url: str) -> None:
        parts = urlsplit(url)
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), ssl=parts.scheme == "https" or None
        )
        try:
            writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nIcy-MetaData: 0\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if head.split(b" ", 2)[1] != b"200":
                raise HttpError(f"{url} answered {head[:40]!r}")
            heard = 0.0
            while data := await reader.read(65_536):
                now = time.monotonic()
                if not heard:
                    self.report.first_audio_ms = round((now - began) * 1000)
                elif now - heard > GAP_S:
                    self.report.gaps += 1
                    self.report.longest_gap_s = max(self.report.longest_gap_s, round(now - heard, 2))
                heard = now
                if len(self._bytes) < _BYTES_MOST:
                    self._bytes += data
        finally:
            writer.close()

    def _decode(self) -> None:
        ear = Ear()
        resampler = av.AudioResampler("flt", "mono", RATE)
        at = 0
        try:
            with av.open(io.BytesIO(bytes(self._bytes))) as container:
                for frame in container.decode(audio=0):
                    for one in resampler.resample(frame):
                        samples = one.to_ndarray().reshape(-1).astype(np.float32)
                        ear.keep(at, samples)
                        ear.play([Span(at, len(samples))])
                        at += len(samples)
        except av.FFmpegError:
            # The last packet of a stream that we left is seldom whole.
            self.report.broken = at == 0
        self.report.seconds_heard = round(at / RATE, 3)
        self.report.silent_seconds = round(ear.silent / RATE, 1)
        self.report.level_dbfs = ear.level_dbfs
