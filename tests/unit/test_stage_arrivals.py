from rostra.sound.jitter import Counters, JitterBuffer
from rostra.stage import arrivals

PACKET = bytes([0x08 | 31 << 3]) + bytes(40)
"""Opus, one frame of 20 ms."""


def fed(lost: int = 0) -> tuple[JitterBuffer, float]:
    buffer, now = JitterBuffer(), 100.0
    for seq in range(100):
        now += 0.02
        if seq >= 50 + lost or seq < 50:
            buffer.put(seq, seq * 960, PACKET, now)
        if seq > 5:
            buffer.pop(now, False)
    return buffer, now


def test_packets_are_counted_by_what_became_of_them() -> None:
    buffer, now = fed(lost=3)
    text = arrivals.metrics([], [buffer], now)
    assert 'rostra_stage_packets_total{fate="received"} 97\n' in text
    assert f'rostra_stage_packets_total{{fate="lost"}} {buffer.counters.lost}\n' in text
    assert buffer.counters.lost + buffer.counters.dry >= 3
    assert f"rostra_stage_jitter_seconds {buffer.jitter_s:g}\n" in text
    assert f"rostra_stage_delay_seconds {buffer.delay_s(now):g}\n" in text


def test_those_who_left_stay_in_the_sum() -> None:
    buffer, now = fed()
    gone = Counters()
    gone.take(buffer.counters)
    gone.take(buffer.counters)
    text = arrivals.metrics([gone, gone], [buffer], now)
    assert 'rostra_stage_packets_total{fate="received"} 500\n' in text


def test_a_stage_that_nobody_is_on_counts_nothing() -> None:
    text = arrivals.metrics([], [], 5.0)
    assert 'rostra_stage_packets_total{fate="late"} 0\n' in text
    assert "rostra_stage_delay_seconds 0\n" in text
