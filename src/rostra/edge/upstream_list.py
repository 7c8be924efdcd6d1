"""What is read from an upstream edge's playlists: when each segment began, how many parts there are, which is the newest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rostra.kernel.clock import parse_iso
from rostra.sound.renditions import Rendition


@dataclass(frozen=True, slots=True)
class Listed:
    """`dates`: wall microseconds of each segment's first sample; `parts`: of all segments together."""

    dates: Sequence[int]
    parts: int
    ended: bool


def read_replay(body: bytes, rendition: Rendition) -> Listed:
    """Raises ValueError where it is not the whole list of this rendition's segments from the first."""
    text = body.decode("utf-8")
    shape = rendition.shape
    found = _SEGMENT.findall(text)
    if not text.startswith("#EXTM3U") or any(int(number) != at for at, (_, _, number) in enumerate(found)):
        raise ValueError("upstream's replay is not a list of all segments")
    try:
        lengths = [round(float(seconds) / shape.part_s) for _, seconds, _ in found]
    except OverflowError:
        raise ValueError("upstream's segments last for ever") from None
    whole = shape.parts_per_segment
    if any(length != whole for length in lengths[:-1]) or lengths and not 0 < lengths[-1] <= whole:
        raise ValueError("upstream's segments are of another length than ours")
    return Listed([parse_iso(date) for date, _, _ in found], sum(lengths), "#EXT-X-ENDLIST" in text)


def newest_of(body: bytes) -> int:
    """How many parts there are by a live playlist; 0 where it does not say."""
    hint = _HINT.search(body)
    return int(hint[1]) if hint else 0


_SEGMENT = re.compile(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)\n#EXTINF:([0-9.]+),\n(?:[^#\n]*/)?seg/([0-9]+)\.m4s")
_HINT = re.compile(rb'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="(?:[^"]*/)?part/([0-9]{1,9})\.m4s"')
