"""One speaker's connection: ICE, DTLS and SRTP by aiortc's parts, RTP and RTCP by our own.

What arrives goes to `on_packet` the moment it is decrypted; what is sent goes out at the room's clock, at once or not
at all. There is no queue, no thread and no decoder here; two tasks (DTLS, consent) live as long as the connection.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import pylibsrtp
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport

from rostra.kernel.clock import Clock
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.stage import rtp, sdp
from rostra.stage.ice import IceAgent

CONNECT_DEADLINE_S: Final = 20.0  # from the answer until sound can flow
CLOSE_DEADLINE_S: Final = 3.0
REPORT_EVERY_S: Final = 1.0  # RTCP; RFC 3550 section 6.2 would allow 5 s, but the studio shows the connection's health


class PeerState(Enum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    GONE = "gone"


class Peer:
    """Make it, `answer` the offer, and be told: `on_connected`, `on_packet(packet, now)`, `on_gone(why)` exactly once."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        log: Log,
        *,
        on_connected: Callable[[], None],
        on_packet: Callable[[rtp.Packet, float], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self.state = PeerState.CONNECTING
        self.reception = rtp.Reception()
        self.sending: rtp.Sending | None = None
        self.lost_share = 0.0
        self.last_packet_at: float | None = None
        self.malformed_total = 0
        self.offer: sdp.Offer | None = None
        self._clock = clock
        self._log = log
        self._on_connected, self._on_packet, self._on_gone = on_connected, on_packet, on_gone
        self._agent = IceAgent(settings)
        self._certificate = RTCCertificate.generateCertificate()
        self._dtls = RTCDtlsTransport(_Way(self._agent), [self._certificate])
        self._dtls.on("statechange", self._dtls_changed)
        self._ssrc = secrets.randbits(32)
        self._cname = secrets.token_hex(8)
        self._task: asyncio.Task[None] | None = None
        self._report_at = 0.0
        self._payload_type = 0

    async def answer(self, offer: sdp.Offer, *, returns: bool) -> str:
        """Gather, begin to connect, and give our SDP answer. `returns`: whether we send sound too."""
        self.offer = offer
        candidates = await self._agent.gather()
        self._agent.remote_username, self._agent.remote_password = offer.ufrag, offer.pwd
        self._agent.remote_is_lite = offer.ice_lite
        self._agent.ice_controlling = offer.ice_lite
        self._agent.offered(offer.candidates)
        self._dtls._set_role("client" if offer.setup == "active" else "server")
        self._payload_type = offer.opus_payload_type
        if returns:
            # The first number lies in the lower half, so that it does not wrap before the other side is sure of it.
            self.sending = rtp.Sending(
                self._ssrc, offer.opus_payload_type, random.randrange(1 << 15), secrets.randbits(32)
            )
        prints = self._certificate.getFingerprints()
        own = next(one.value for one in prints if one.algorithm == "sha-256")
        local = sdp.Local(
            self._agent.local_username, self._agent.local_password, own, candidates, self._ssrc, self._cname
        )
        self._task = asyncio.create_task(self._connect(offer), name="peer connect")
        return sdp.answer(offer, local, returns=returns)

    def trickled(self, fragment: sdp.Fragment) -> None:
        """Take candidates that came after the offer."""
        self._agent.offered(fragment.candidates)

    def send(self, payload: bytes, clock_samples: int) -> None:
        """Send one Opus packet now; without a connection it is dropped."""
        if self.state is PeerState.CONNECTED and self.sending is not None:
            self._protected(self.sending.packet(payload, clock_samples))

    def tick(self) -> None:
        """Call often; sends RTCP when it is due."""
        now = self._clock.monotonic()
        if self.state is PeerState.CONNECTED and now >= self._report_at:
            self._report_at = now + REPORT_EVERY_S * random.uniform(0.7, 1.3)
            self._send_report(now)

    @property
    def rtt_s(self) -> float | None:
        return self.sending.rtt_s if self.sending else None

    @property
    def dropped_total(self) -> int:
        """Packets that a full socket refused."""
        return self._agent.dropped_total

    async def close(self, why: str) -> None:
        """Say goodbye and free everything. Safe to call more than once."""
        if self.state is PeerState.CONNECTED:
            empty = rtp.receiver_report(self._ssrc, b"")
            self._protected(empty + rtp.description(self._ssrc, self._cname) + rtp.goodbye(self._ssrc))
        self._gone(why)
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait((task,), timeout=CLOSE_DEADLINE_S)
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._dtls.stop()
                await self._agent.close()
        except TimeoutError:
            self._log.warning("A speaker's connection did not close in time and was let go.")
        self._dtls.remove_all_listeners()

    async def _connect(self, offer: sdp.Offer) -> None:
        why = "connection failed"
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await self._agent.connect()
                prints = [RTCDtlsFingerprint(algorithm, value) for algorithm, value in offer.fingerprints]
                await self._dtls.start(RTCDtlsParameters(fingerprints=prints))
            if self._dtls.state == "connected" and self.state is PeerState.CONNECTING:
                self._agent.sound = self._received
                self.state = PeerState.CONNECTED
                self._report_at = self._clock.monotonic() + 0.2
                self._on_connected()
                return
        except TimeoutError:
            why = "connection timed out"
        except ConnectionError:
            pass
        except Exception as bug:  # noqa: BLE001  a library's surprise costs this speaker, never the room
            self._log.error("A speaker's connection failed in a way nobody foresaw.", trace=bug)
        if self.state is not PeerState.GONE:
            self._gone(why)

    def _received(self, data: bytes) -> None:
        if self.state is not PeerState.CONNECTED:
            return
        now = self._clock.monotonic()
        try:
            if rtp.is_rtcp(data):
                compound = self._dtls._rx_srtp.unprotect_rtcp(data)
                if rtp.take_rtcp(compound, self.reception, self.sending, now):
                    self._gone("left")
                return
            if (
                data[1] & 0x7F != self._payload_type
            ):  # another codec or a video we did not ask for: not worth decrypting
                return
            packet = rtp.parse(self._dtls._rx_srtp.unprotect(data))
        except (pylibsrtp.Error, IndexError):
            self.malformed_total += 1
            return
        if packet is None:
            self.malformed_total += 1
            return
        self.last_packet_at = now
        self.reception.packet(packet.seq, packet.timestamp, packet.ssrc, now)
        self._on_packet(packet, now)

    def _send_report(self, now: float) -> None:
        block, self.lost_share = self.reception.report(now)
        if self.sending is not None and self.sending.packets_total:
            report = self.sending.report(self._clock.wall_us(), now, block)
        else:
            report = rtp.receiver_report(self._ssrc, block)
        self._protected(report + rtp.description(self._ssrc, self._cname))

    def _protected(self, datagram: bytes) -> None:
        """Encrypt and send. Whatever goes wrong costs this connection, never the room that sends."""
        srtp = self._dtls._tx_srtp
        try:
            self._agent.send_now(srtp.protect_rtcp(datagram) if rtp.is_rtcp(datagram) else srtp.protect(datagram))
        except (pylibsrtp.Error, OSError, RuntimeError) as wrong:
            self._log.warning("a speaker's connection takes nothing any more", why=str(wrong))
            self._gone("connection lost")

    def _dtls_changed(self) -> None:
        if self._dtls.state in ("closed", "failed") and self.state is PeerState.CONNECTED:
            # Both the other side's goodbye and the loss of consent (RFC 7675) end here.
            self._gone("connection lost")

    def _gone(self, why: str) -> None:
        if self.state is not PeerState.GONE:
            self.state = PeerState.GONE
            self._agent.sound = None
            self._on_gone(why)


class _Way:
    """What RTCDtlsTransport asks of its ICE transport."""

    role = "controlled"

    def __init__(self, agent: IceAgent) -> None:
        self._recv: Any = agent.recv
        self._send: Any = agent.send
