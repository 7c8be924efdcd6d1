"""One timeline followed: woken by the bell, it hands what is new to its channels."""

from collections.abc import Sequence

from rostra.edge import answers
from rostra.edge.channel import Channel, Hot
from rostra.edge.count import Ears
from rostra.kernel.ids import SpaceId
from rostra.sound.hls import Playlists
from rostra.sound.renditions import Rendition
from rostra.space.space import Space, evolve
from rostra.space.states import OVER, State
from rostra.timeline.ports import Entry, Kind, Library, Reader
from rostra.wire.http1 import Prepared


class Follower:
    """Attributes:
    space: the Space as of the last `grow`.
    asked: somebody asked for something here since this was last set back.
    busy: reads of the record under way in other threads; it may not be closed before they end.
    reported: the count last told to the stage.
    """

    def __init__(self, reader: Reader, space: Space, ears: Ears, channels: dict[Rendition, Channel]) -> None:
        self.space_id = reader.space_id
        self.reader = reader
        self.space = space
        self.ears = ears
        self.channels = channels
        self.asked = True
        self.idle_turns = 0
        self.busy = 0
        self.reported = 0
        self.closed = False

    @property
    def over(self) -> bool:
        return self.space.state in OVER

    @property
    def held(self) -> int:
        return sum(channel.held for channel in self.channels.values())

    def grow(self) -> None:
        """Take in what was committed. Raises Damaged or OSError where the record cannot be read."""
        reader = self.reader
        for entry in reader.refresh():
            if entry.part is not None:
                self.channels[entry.part.rendition].add(reader.payload(entry), entry.part.start_us)
            elif entry.kind is Kind.EVENT and entry.seq > self.space.seq:
                self.space = evolve(self.space, reader.event(entry), entry.at_us, entry.seq)
            elif entry.kind is Kind.INIT:
                self._take_inits()
        if self.over:
            for channel in self.channels.values():
                channel.end()

    def why_nothing(self) -> Prepared:
        """The answer to a request that waited in vain."""
        if self.over:
            return answers.NEVER_CAME if self.space.state is State.CANCELLED else answers.OVER
        if self.space.live_since_us is None:
            return answers.NOT_ON_AIR
        return answers.BLOCKED_TOO_LONG

    def close(self, why: Prepared) -> None:
        self.closed = True
        for channel in self.channels.values():
            channel.give_up(why)
            channel.close()
        self.reader.close()

    def _take_inits(self) -> None:
        for rendition, channel in self.channels.items():
            if channel.init is None and (init := self.reader.init(rendition)) is not None:
                channel.begin(init)


class Opening:
    """The long part of beginning to follow a timeline, fit for a thread: read its index, list its segments.

    What is on the record before `run` is taken in at once, without making an answer of every part that ever was.
    """

    def __init__(self, library: Library, space_id: SpaceId, window_s: float) -> None:
        """Raises UnknownSpace."""
        self.reader = library.reader(space_id)
        self._library = library
        self._playlists = {rendition: Playlists(rendition, window_s) for rendition in Rendition}
        self._space: Space | None = None
        self._newest: dict[Rendition, list[tuple[int, bytes]]] = {}

    def run(self) -> None:
        """Raises Damaged, OSError."""
        reader = self.reader
        reader.refresh()
        space = self._library.snapshot(reader.space_id)
        events = reader.events()
        known = len(events)
        while known and events[known - 1].seq > space.seq:
            known -= 1
        for at in range(known, len(events)):
            space = evolve(space, reader.event(events[at]), events[at].at_us, events[at].seq)
        self._space = space
        for rendition, playlists in self._playlists.items():
            parts = reader.parts(rendition)
            _list(playlists, parts, rendition.shape.parts_per_segment)
            if space.state in OVER:
                playlists.end()
            ring = range(max(0, len(parts) - 2 * rendition.shape.parts_per_segment), len(parts))
            self._newest[rendition] = [(number, reader.payload(parts[number])) for number in ring]

    def follower(self, hot: Hot, now: float) -> Follower:
        """On the loop, after `run`."""
        assert self._space is not None
        ears = Ears(now)
        channels: dict[Rendition, Channel] = {}
        for rendition, playlists in self._playlists.items():
            channel = channels[rendition] = Channel(self.reader.space_id, rendition, hot, ears, playlists)
            for number, payload in self._newest[rendition]:
                channel.recall(number, payload)
            init = self.reader.init(rendition)
            if init is not None:
                channel.begin(init)
        follower = Follower(self.reader, self._space, ears, channels)
        follower.grow()
        return follower


def _list(playlists: Playlists, parts: Sequence[Entry], parts_per_segment: int) -> None:
    start_us = 0
    for number in range(len(parts)):
        if number % parts_per_segment == 0:
            # Only the first part of a segment is dated; looking at every entry would take ten times as long.
            first = parts[number].part
            assert first is not None
            start_us = first.start_us
        playlists.add(start_us)
