"""RTP and RTCP for one voice each way. Pure: bytes and `now` in, bytes and numbers out.

Sources: RFC 3550 (sections 5.1, 6.4, A.3, A.8), RFC 8285 for header extensions, which are passed over.
"""

import struct
from dataclasses import dataclass
from typing import Final

CLOCK_RATE: Final = 48_000
_NTP_FROM_UNIX_S: Final = 2_208_988_800
_SEQ_HALF: Final = 1 << 15
_RESTART_GAP: Final = 3000  # a jump this far is a sender that began anew (RFC 3550 A.1, MAX_DROPOUT)


@dataclass(frozen=True, slots=True)
class Packet:
    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> Packet | None:
    """The packet, or None where `data` is not RTP."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    first, second, seq, timestamp, ssrc = struct.unpack_from("!BBHLL", data)
    at = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < at + 4:
            return None
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4])
    end = len(data)
    if first & 0x20:
        padding = data[-1]
        if not padding or end - padding < at:
            return None
        end -= padding
    if at > end:
        return None
    return Packet(second & 0x7F, seq, timestamp, ssrc, data[at:end])


def build(payload_type: int, seq: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    return struct.pack("!BBHLL", 0x80, payload_type, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def is_rtcp(data: bytes) -> bool:
    return len(data) >= 8 and 192 <= data[1] <= 223  # RFC 5761 section 4


class Reception:
    """What we report of a stream we receive. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.ssrc: int | None = None
        self.packets_total = 0
        self.jitter_s = 0.0
        self._base = 0
        self._highest = 0  # extended by 65536 per turn
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0
        self._received = 0
        self._sender_report = 0
        self._sender_report_at: float | None = None

    def packet(self, seq: int, timestamp: int, ssrc: int, now: float) -> None:
        self.packets_total += 1
        ahead = (seq - self._highest) & 0xFFFF
        if ssrc != self.ssrc or _RESTART_GAP < ahead < 65536 - _RESTART_GAP:
            self._begin(seq, ssrc)
        elif ahead < _SEQ_HALF:
            self._highest += ahead
        self._received += 1
        transit = now - timestamp / CLOCK_RATE
        if self._transit is not None:
            drift = abs(transit - self._transit)
            if drift < 5.0:  # else the timestamp wrapped or began anew
                self.jitter_s += (drift - self.jitter_s) / 16
        self._transit = transit

    def sender_report(self, ntp: int, now: float) -> None:
        self._sender_report, self._sender_report_at = (ntp >> 16) & 0xFFFFFFFF, now

    @property
    def lost_total(self) -> int:
        return max(0, self._expected - self._received)

    def report(self, now: float) -> tuple[bytes, float]:
        """A report block of 24 bytes (none before the first packet) and the share lost since the last one, 0 to 1."""
        if self.ssrc is None:
            return b"", 0.0
        expected = self._expected - self._expected_before
        lost = expected - (self._received - self._received_before)
        self._expected_before, self._received_before = self._expected, self._received
        share = min(1.0, max(0.0, lost / expected)) if expected > 0 else 0.0
        since = 0 if self._sender_report_at is None else round((now - self._sender_report_at) * 65536)
        total = min(self.lost_total, 0x7FFFFF)
        block = struct.pack(
            "!LLLLLL", self.ssrc, min(255, int(share * 256)) << 24 | total, self._highest & 0xFFFFFFFF,
            min(round(self.jitter_s * CLOCK_RATE), 0xFFFFFFFF), self._sender_report, min(since, 0xFFFFFFFF),
        )  # fmt: skip
        return block, share

    @property
    def _expected(self) -> int:
        return 0 if self.ssrc is None else self._highest - self._base + 1

    def _begin(self, seq: int, ssrc: int) -> None:
        self.ssrc, self._base, self._highest = ssrc, seq, seq
        self._expected_before = self._received_before = self._received = 0
        self._transit = None


class Sending:
    """Numbers and counts of the stream we send, and its sender reports."""

    def __init__(self, ssrc: int, payload_type: int, first_seq: int, first_timestamp: int) -> None:
        self.ssrc = ssrc
        self.packets_total = 0
        self.octets_total = 0
        self.rtt_s: float | None = None
        self.lost_share = 0.0
        self._payload_type = payload_type
        self._seq = first_seq
        self._first_timestamp = first_timestamp
        self._timestamp = first_timestamp
        self._reports: dict[int, float] = {}

    def packet(self, payload: bytes, clock_samples: int) -> bytes:
        """The next packet; `clock_samples` is the room's clock, so that what was not sent leaves its gap in time."""
        self._timestamp = (self._first_timestamp + clock_samples) & 0xFFFFFFFF
        data = build(self._payload_type, self._seq, self._timestamp, self.ssrc, payload)
        self._seq = (self._seq + 1) & 0xFFFF
        self.packets_total += 1
        self.octets_total += len(payload)
        return data

    def report(self, wall_us: int, now: float, block: bytes) -> bytes:
        ntp = ntp_of(wall_us)
        middle = (ntp >> 16) & 0xFFFFFFFF
        self._reports = {**dict(list(self._reports.items())[-4:]), middle: now}
        body = struct.pack(
            "!LQLLL", self.ssrc, ntp, self._timestamp, self.packets_total & 0xFFFFFFFF, self.octets_total & 0xFFFFFFFF
        )
        return _rtcp(200, 1 if block else 0, body + block)

    def heard_report(self, block: bytes, now: float) -> None:
        """A report block of the other side about our stream."""
        ssrc, lost, _, _, last, since = struct.unpack("!LLLLLL", block)
        if ssrc != self.ssrc:
            return
        self.lost_share = (lost >> 24) / 256
        sent = self._reports.get(last)
        if sent is not None:
            self.rtt_s = max(0.0, now - sent - since / 65536)


def receiver_report(ssrc: int, block: bytes) -> bytes:
    return _rtcp(201, 1 if block else 0, struct.pack("!L", ssrc) + block)


def description(ssrc: int, cname: str) -> bytes:
    """SDES with the CNAME, which every compound packet must carry (RFC 3550 section 6.1)."""
    name = cname.encode()[:255]
    chunk = struct.pack("!LBB", ssrc, 1, len(name)) + name + b"\0"
    return _rtcp(202, 1, chunk + bytes(-len(chunk) % 4))


def goodbye(ssrc: int) -> bytes:
    return _rtcp(203, 1, struct.pack("!L", ssrc))


def take_rtcp(data: bytes, reception: Reception, sending: Sending | None, now: float) -> bool:
    """Read a compound packet as far as it is well formed. True where the other side said goodbye."""
    at, bye = 0, False
    while at + 8 <= len(data) and data[at] >> 6 == 2:
        count, kind = data[at] & 0x1F, data[at + 1]
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4])
        if end > len(data):
            break
        blocks = at + 8
        if kind == 200 and end - at >= 28:
            reception.sender_report(int.from_bytes(data[at + 8 : at + 16]), now)
            blocks = at + 28
        if kind in (200, 201) and sending is not None:
            for number in range(count):
                block = data[blocks + 24 * number : blocks + 24 * (number + 1)]
                if len(block) == 24 and blocks + 24 * (number + 1) <= end:
                    sending.heard_report(block, now)
        bye = bye or kind == 203
        at = end
    return bye


def ntp_of(wall_us: int) -> int:
    """64-bit NTP time: seconds since 1900 and their fraction."""
    seconds, rest = divmod(wall_us, 1_000_000)
    return ((seconds + _NTP_FROM_UNIX_S) << 32 | (rest << 32) // 1_000_000) & 0xFFFFFFFFFFFFFFFF


def _rtcp(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body
