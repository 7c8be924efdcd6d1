import struct

from aiortc import rtp as other
from hypothesis import given
from hypothesis import strategies as st

from rostra.stage import rtp


def test_a_packet_is_read_whatever_extensions_and_padding_it_carries() -> None:
    head = struct.pack("!BBHLL", 0xB1, 0x80 | 111, 7, 960, 42)  # padding, extension, one CSRC
    data = head + struct.pack("!L", 9) + struct.pack("!HH", 0xBEDE, 1) + b"\x10\x85\0\0" + b"opus" + b"\0\0\x03"
    assert rtp.parse(data) == rtp.Packet(111, 7, 960, 42, b"opus")


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_nothing(data: bytes) -> None:
    rtp.parse(data)
    rtp.take_rtcp(data, rtp.Reception(), rtp.Sending(1, 111, 0, 0), 0.0)


def test_what_we_write_another_implementation_reads() -> None:
    sending, reception = rtp.Sending(5, 111, 65_535, 0xFFFFFFFF), rtp.Reception()
    one = other.RtpPacket.parse(sending.packet(b"ab", 0))
    two = other.RtpPacket.parse(sending.packet(b"cd", 1920))
    assert (one.sequence_number, one.timestamp, two.sequence_number, two.timestamp) == (65_535, 0xFFFFFFFF, 0, 1919)
    reception.packet(10, 0, 77, 1.0)
    block, _ = reception.report(1.5)
    report, names, bye = other.RtcpPacket.parse(
        sending.report(1_800_000_000_000_000, 1.0, block) + rtp.description(5, "me") + rtp.goodbye(5)
    )
    assert isinstance(report, other.RtcpSrPacket) and report.sender_info.packet_count == 2
    assert report.reports[0].ssrc == 77 and report.reports[0].highest_sequence == 10
    assert isinstance(names, other.RtcpSdesPacket) and names.chunks[0].items == [(1, b"me")]
    assert isinstance(bye, other.RtcpByePacket)


def test_lost_packets_are_counted_over_the_turn_of_the_sequence_number() -> None:
    reception = rtp.Reception()
    for number in range(65_500, 65_700):
        if number % 10:
            reception.packet(number & 0xFFFF, number * 960, 1, number * 0.02)
    assert reception.lost_total == 19  # the first of all may have been lost before we listened
    _, share = reception.report(0.0)
    assert abs(share - 0.095) < 0.01
    _, later = reception.report(1.0)
    assert later == 0.0


def test_a_sender_that_begins_anew_is_no_loss() -> None:
    reception = rtp.Reception()
    for seq in (100, 101, 40_000, 40_001):
        reception.packet(seq, seq * 960, 1, 0.0)
    assert reception.lost_total == 0


def test_jitter_is_zero_for_a_metronome_and_grows_with_wobble() -> None:
    steady, shaky = rtp.Reception(), rtp.Reception()
    for number in range(200):
        steady.packet(number, number * 960, 1, number * 0.02)
        shaky.packet(number, number * 960, 1, number * 0.02 + (number % 2) * 0.01)
    assert steady.jitter_s < 1e-6
    assert 0.008 < shaky.jitter_s < 0.012


def test_the_round_trip_is_known_from_the_other_sides_report() -> None:
    sending = rtp.Sending(5, 111, 0, 0)
    sending.packet(b"x", 0)
    report = other.RtcpPacket.parse(sending.report(1_800_000_000_000_000, 10.0, b""))[0]
    assert isinstance(report, other.RtcpSrPacket)
    middle = report.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
    info = other.RtcpReceiverInfo(5, 64, 3, 9, 0, middle, round(0.5 * 65536))
    rtp.take_rtcp(bytes(other.RtcpRrPacket(9, [info])), rtp.Reception(), sending, 10.58)
    assert sending.rtt_s is not None and abs(sending.rtt_s - 0.08) < 0.001
    assert sending.lost_share == 0.25
