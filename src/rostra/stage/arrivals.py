"""What became of the speakers' packets, as metrics: of those who speak now, and of all who did since the process began."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Final

from rostra.kernel.metrics import family
from rostra.sound.jitter import Counters, JitterBuffer

_MEANS: Final = {
    "lost": "lost",
    "repairable": "repaired",
    "strays": "stray",
    "duplicates": "duplicate",
}
"""Where a counter's own name is not the word for a packet."""


def metrics(gone: Iterable[Counters], present: Iterable[JitterBuffer], now: float) -> str:
    """`gone`: the counters of speakers who have left; `now`: monotonic seconds."""
    buffers = list(present)
    total = Counters()
    for one in (*gone, *(buffer.counters for buffer in buffers)):
        total.take(one)
    fates = [({"fate": _MEANS.get(one.name, one.name)}, float(getattr(total, one.name))) for one in fields(total)]
    worst_jitter_s = max((buffer.jitter_s for buffer in buffers), default=0.0)
    worst_delay_s = max((buffer.delay_s(now) for buffer in buffers), default=0.0)
    return (
        family("rostra_stage_packets_total", "counter", "Speakers' packets by what became of them.", fates)
        + family(
            "rostra_stage_jitter_seconds", "gauge", "Interarrival jitter of the worst speaker present.",
            [(None, worst_jitter_s)],
        )
        + family(
            "rostra_stage_delay_seconds", "gauge", "What the longest jitter buffer adds now.", [(None, worst_delay_s)]
        )
    )  # fmt: skip
