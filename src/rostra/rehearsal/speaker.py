"""A speaker made to order: puts a sound file on a stage by WHIP (RFC 9725), and comes back by itself when it is lost."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from urllib.parse import urljoin

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from rostra.kernel.errors import Fault
from rostra.rehearsal import voice
from rostra.rehearsal.address import endpoint_of
from rostra.rehearsal.http import Client, HttpError

_CONNECT_S = 10.0
_LATE_S = 0.04
_WATCH_S = 0.25
_SILENCE_S = 8.0
"""Without any report from the receiver: RFC 3550 6.2 lets one be 7.5 s away (1.5 times 5 s)."""
_SUSPICIOUS_S = 1.6
"""Rostra's stage reports about every second; asking after a session that lives costs next to nothing."""

_OVER = ("is-ended", "is-cancelled")
"""How Rostra's stage refuses who comes back to a Space that is over."""

Progress = Callable[[str], None]


@dataclass(slots=True)
class Spoken:
    """What `rostra speak` prints."""

    url: str
    seconds_sent: float = 0.0
    seconds_missed: float = 0.0
    """Sound whose moment passed while nobody was there to take it."""
    reconnects: int = 0
    connected_ms: int | None = None
    """From the first offer until sound could flow."""
    longest_pause_ms: int = 0
    """Between two packets as they left here; 20 on a machine with time to spare."""
    seconds_late: float = 0.0
    """Sound that left more than 40 ms after its moment, which a jitter buffer at its shortest does not mend."""
    loss_pct: float | None = None
    rtt_ms: float | None = None
    ended: bool = False
    """The Space was ended while we spoke."""


class Gone(Exception):
    """The session, or the way to it, is lost; trying again makes sense."""


class Ended(Exception):
    """The Space we spoke in is over, and so is our speech."""


class Speaker:
    """Speaks one file into one seat.

    Args:
        url: the WHIP endpoint, as `rostra space create` prints it.
        token: the seat's bearer token.
        bitrate: of the Opus stream, bits a second.
        patience_s: give up when the stage was away this long. None: never.

    Raises:
        Fault: `url` is no address.
    """

    def __init__(
        self,
        url: str,
        token: str,
        file: Path,
        *,
        loop: bool = False,
        seconds: float | None = None,
        bitrate: int = 64_000,
        patience_s: float | None = 600.0,
        progress: Progress = lambda line: None,
    ) -> None:
        self.result = Spoken(endpoint_of(url))
        self._token, self._file, self._loop, self._seconds = token, file, loop, seconds
        self._bitrate, self._patience_s, self._progress = bitrate, patience_s, progress
        self._session: _Session | None = None
        self._first = asyncio.Event()

    async def run(self) -> Spoken:
        """Speak to the end of the file (or for `seconds`, or until the Space is ended), then leave politely.

        Raises:
            Fault: the server refused for good (no such Space, wrong token, not now), or it stayed away too long.
        """
        voice.check(self._file)
        keeper = asyncio.create_task(self._keep_connected())
        speech = asyncio.create_task(self._speak())
        try:
            await asyncio.wait({keeper, speech}, return_when=asyncio.FIRST_COMPLETED)
            if keeper.done():
                keeper.result()
            await speech
            await asyncio.sleep(0.3)  # the last packets are still on their way
        except Ended:
            self.result.ended = True
        finally:
            for task in (speech, keeper):
                task.cancel()
            await asyncio.gather(speech, keeper, return_exceptions=True)
            if self._session is not None:
                await self._session.leave()
        return self.result

    async def _speak(self) -> None:
        await self._first.wait()
        source = voice.packets(self._file, bitrate=self._bitrate, loop=self._loop)
        told = 0.0
        left_at: float | None = None
        async for packet in voice.in_real_time(source, self._seconds):
            now = time.monotonic()
            if left_at is not None:
                self.result.longest_pause_ms = max(self.result.longest_pause_ms, round((now - left_at) * 1000))
            left_at = now
            if self._session is not None and self._session.track.put(packet):
                self.result.seconds_sent = round(self.result.seconds_sent + voice.FRAME_S, 2)
            else:
                self.result.seconds_missed = round(self.result.seconds_missed + voice.FRAME_S, 2)
            if self.result.seconds_sent - told >= 1:
                told = self.result.seconds_sent
                self._progress(f"spoke {told:.0f} s, came back {self.result.reconnects} times")

    async def _keep_connected(self) -> None:
        failures, away_since = 0, time.monotonic()
        while True:
            session = _Session(self.result, self._token)
            try:
                await session.connect(again=self._first.is_set())
                self._arrived(session, away_since)
                await session.watch(self.result)
            except (Gone, HttpError) as why:
                self._progress(f"{why}; coming back")
                if self._session is session:
                    self._session, failures, away_since = None, 0, time.monotonic()
                await session.close()
            except BaseException:
                if self._session is not session:
                    await session.close()
                raise
            if self._patience_s is not None and time.monotonic() - away_since > self._patience_s:
                raise Fault(
                    f"The stage at {self.result.url} has been away for {self._patience_s:g} seconds.",
                    "Look whether the server runs ('rostra doctor'), then speak again.",
                )
            await asyncio.sleep(random.uniform(0.1, 0.3) * 2 ** min(failures, 3))
            failures += 1

    def _arrived(self, session: "_Session", since: float) -> None:
        if self._first.is_set():
            self.result.reconnects += 1
        else:
            self.result.connected_ms = round((time.monotonic() - since) * 1000)
        self._session = session
        self._first.set()


class _Voice(MediaStreamTrack):  # type: ignore[misc]  # aiortc is not typed
    """Hands ready-made Opus packets to the sender; what is not taken within a fifth of a second is dropped, oldest first."""

    kind = "audio"

    def __init__(self, result: Spoken) -> None:
        super().__init__()
        self._result = result
        self._queue: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue(10)
        self._clock = 0
        self._began: float | None = None

    def put(self, payload: bytes) -> bool:
        """Whether it was taken without dropping another."""
        self._began = time.monotonic() if self._began is None else self._began
        room = not self._queue.full()
        if not room:
            self._queue.get_nowait()
        self._queue.put_nowait((payload, self._clock))
        self._clock += voice.FRAME
        return room

    async def recv(self) -> av.Packet:
        if self.readyState != "live":
            raise MediaStreamError
        payload, at = await self._queue.get()
        if self._began is not None and time.monotonic() - self._began - at / 48_000 > _LATE_S:
            self._result.seconds_late = round(self._result.seconds_late + voice.FRAME_S, 2)
        packet = av.Packet(payload)
        packet.pts, packet.time_base = at, Fraction(1, 48_000)
        return packet


def _words(body: bytes) -> tuple[str, str]:
    """What a refusal says in its first line, and its code, empty where it has none (Rostra's are JSON; others' are what they are)."""
    text = body.decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, RecursionError):
        plain = json.loads(text)
        if isinstance(plain, dict) and isinstance(plain.get("message"), str):
            return plain["message"][:300], str(plain.get("code", ""))
    return (text.splitlines() or [""])[0][:300], ""


class _Session:
    """One WHIP session, from the offer to the DELETE."""

    def __init__(self, result: Spoken, token: str) -> None:
        self._url, self._headers = result.url, {"Authorization": f"Bearer {token}"}
        self._client = Client()
        self._resource: str | None = None
        # No server is asked on a speaker's behalf that he did not name.
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.track = _Voice(result)
        self._sender = self._peer.addTransceiver(self.track, direction="sendonly").sender

    async def connect(self, *, again: bool) -> None:
        """`again`: we have been on this stage. Raises: Fault (no use in trying again), Ended, Gone, HttpError."""
        await self._peer.setLocalDescription(await self._peer.createOffer())
        offer = self._peer.localDescription.sdp.encode()
        headers = {**self._headers, "Content-Type": "application/sdp"}
        answer = await self._client.request("POST", self._url, headers=headers, body=offer, deadline_s=_CONNECT_S)
        if answer.status != 201:
            self._refused(answer.status, answer.body, again)
        if "location" not in answer.headers:
            raise Fault(
                "The server took the offer but named no session.", "It does not keep to RFC 9725; tell its operator."
            )
        self._resource = urljoin(answer.url, answer.headers["location"])
        try:
            await self._peer.setRemoteDescription(
                RTCSessionDescription(answer.body.decode("utf-8", "replace"), "answer")
            )
        except ValueError as wrong:
            raise Fault(f"The server's answer is not usable SDP: {wrong}.", "Tell its operator.") from None
        deadline = time.monotonic() + _CONNECT_S
        while self._peer.connectionState != "connected":
            if self._peer.connectionState in ("failed", "closed") or time.monotonic() > deadline:
                raise Gone("the media connection could not be made")
            await asyncio.sleep(0.02)

    async def watch(self, result: Spoken) -> None:
        """Return never; leave by Gone when the receiver has fallen silent."""
        last, longest = None, 0.0
        heard_at = asked_at = time.monotonic()
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._peer.connectionState in ("failed", "closed"):
                raise Gone("the media connection was closed")
            report = next(
                (one for one in (await self._sender.getStats()).values() if one.type == "remote-inbound-rtp"), None
            )
            now = time.monotonic()
            if report is not None and report.timestamp != last:
                longest = longest if last is None else max(longest, now - heard_at)
                last, heard_at = report.timestamp, now
                result.loss_pct = round(report.fractionLost / 2.56, 1)
                result.rtt_ms = None if report.roundTripTime is None else round(report.roundTripTime * 1000, 1)
                continue
            silence = now - heard_at
            if silence > max(_SILENCE_S, 2 * longest):
                raise Gone("the stage has fallen silent")
            if silence > max(_SUSPICIOUS_S, 1.3 * longest) and now - asked_at > _SUSPICIOUS_S / 2:
                asked_at = now
                if await self._session_is_gone():
                    raise Gone("the stage was restarted")

    async def _session_is_gone(self) -> bool:
        """A missing report may be chance; the session's address knows (RFC 9725 4.2: GET there is 405 while it lives)."""
        assert self._resource is not None
        try:
            answer = await self._client.request("GET", self._resource, headers=self._headers, deadline_s=2.0)
        except HttpError:
            return True
        return answer.status in (404, 410)

    def _refused(self, status: int, body: bytes, again: bool) -> None:
        said, code = _words(body)
        said = said.rstrip(".") or f"status {status}"
        if status in (401, 403):
            raise Fault(
                f"The stage does not accept this token: {said}.", "Copy it again, or ask the host for a new link."
            )
        if status in (404, 405, 410):
            raise Fault(f"There is no stage at {self._url}: {said}.", "Check the address; it ends in /s/ID/whip.")
        if status == 409 and again and code in _OVER:
            raise Ended
        if status == 409:
            raise Fault(f"The stage is not open to us now: {said}.", "Come back at the time it names, or ask the host.")
        if 400 <= status < 500 and status not in (408, 425, 429):
            raise Fault(f"The stage refused the offer: {said}.", "Tell its operator.")
        raise Gone(f"the stage answered {status}")

    async def leave(self) -> None:
        """Say goodbye (DELETE), then close."""
        if self._resource is not None:
            with contextlib.suppress(HttpError):
                await self._client.request("DELETE", self._resource, headers=self._headers, deadline_s=3.0)
        await self.close()

    async def close(self) -> None:
        self._client.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3.0):
                await self._peer.close()
