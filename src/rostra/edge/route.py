"""What a path at the edge asks for."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from rostra.kernel.ids import SpaceId, parse_space_id
from rostra.sound.renditions import Rendition, rendition_of_url


class Thing(Enum):
    INDEX = auto()
    LIVE = auto()
    REPLAY = auto()
    INIT = auto()
    PART = auto()
    WIDE_LIVE = auto()
    WIDE_PART = auto()
    SEGMENT = auto()
    JOIN = auto()
    LEVELS = auto()
    RECORDING = auto()
    STATE = auto()
    HERE = auto()
    LIVE_MP3 = auto()
    LIVE_OPUS = auto()
    LIVE_M3U = auto()
    MP3_PART = auto()


@dataclass(frozen=True, slots=True)
class Route:
    """`number` is of the part or segment; 0 for everything else."""

    space_id: SpaceId
    thing: Thing
    rendition: Rendition
    number: int = 0


@lru_cache(maxsize=8192)
def route(path: str) -> Route | None:
    """None for a path that no Space can have."""
    words = path.split("/")
    if len(words) < 4 or words[0] or words[1] != "s":
        return None
    space_id = parse_space_id(words[2])
    if space_id is None:
        return None
    if words[3:] == ["recording.m4a"]:
        return Route(space_id, Thing.RECORDING, Rendition.HLS)
    if words[3:] == ["state.json"]:
        return Route(space_id, Thing.STATE, Rendition.OPUS)
    if words[3:] == ["here"]:
        return Route(space_id, Thing.HERE, Rendition.OPUS)
    if len(words) == 4 and words[3] in _STREAMS:
        return Route(space_id, _STREAMS[words[3]], Rendition.OPUS)
    if words[3:5] == ["mp3", "part"] and len(words) == 6 and (mp3 := _MP3_NUMBER.fullmatch(words[5])) is not None:
        return Route(space_id, Thing.MP3_PART, Rendition.OPUS, int(mp3[1]))
    rendition = rendition_of_url(words[3])
    if rendition is None:
        return None
    if len(words) == 5:
        thing = _FILES.get(words[4])
        if thing in (Thing.JOIN, Thing.LEVELS) and rendition is not Rendition.OPUS:
            return None
        return Route(space_id, thing, rendition) if thing is not None else None
    if len(words) == 6 and words[4] in _NUMBERED:
        match = _NUMBER.fullmatch(words[5])
        if match is not None:
            return Route(space_id, _NUMBERED[words[4]], rendition, int(match[1]))
    return None


def count_route(path: str) -> SpaceId | None:
    """The Space that a report of listeners is about."""
    match path.split("/"):
        case ["", "s", text, "count"]:
            return parse_space_id(text)
    return None


_FILES = {
    "index.m3u8": Thing.INDEX,
    "live.m3u8": Thing.LIVE,
    "wide.m3u8": Thing.WIDE_LIVE,
    "replay.m3u8": Thing.REPLAY,
    "init.mp4": Thing.INIT,
    "join.mp4": Thing.JOIN,
    "levels.json": Thing.LEVELS,
}
_STREAMS = {"live.mp3": Thing.LIVE_MP3, "live.opus": Thing.LIVE_OPUS, "live.m3u": Thing.LIVE_M3U}
_NUMBERED = {"part": Thing.PART, "wide": Thing.WIDE_PART, "seg": Thing.SEGMENT}
# One spelling for each number: no leading zeros, ASCII digits, below 2**32.
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,8})\.m4s", re.ASCII)
_MP3_NUMBER = re.compile(r"(0|[1-9][0-9]{0,8})\.mp3", re.ASCII)
