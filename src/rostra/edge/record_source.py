"""Sound from the record: timelines on this machine's disk, read off the loop where it may take long."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from rostra.edge.levels import overview
from rostra.edge.recording import Recording, finished_recording, growing_recording
from rostra.edge.source import Init, Part, Past, Stored
from rostra.kernel.ids import SpaceId
from rostra.sound.renditions import Rendition
from rostra.space.space import Space, evolve
from rostra.space.states import OVER
from rostra.timeline.ports import Kind, Library, Reader


class RecordSource:
    """See source.Source."""

    name = ""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def open(self, space_id: SpaceId) -> "RecordFeed":
        reader = self._library.reader(space_id)
        try:
            space, past = await asyncio.to_thread(_read, self._library, reader)
        except BaseException:
            reader.close()
            raise
        return RecordFeed(reader, space, past)

    def hear(self, heard: Callable[[SpaceId], None]) -> Callable[[], None]:
        return self._library.hear(heard)

    def metrics(self) -> str:
        return ""

    async def close(self) -> None:
        return


class RecordFeed:
    """See source.Feed."""

    def __init__(self, reader: Reader, space: Space, past: Mapping[Rendition, Past]) -> None:
        self.space_id = reader.space_id
        self.space = space
        self.past = past
        self._reader = reader
        self._inits = {rendition for rendition, one in past.items() if one.init is not None}
        self._recording: Recording | None = None

    def take(self) -> Iterable[Part | Init]:
        reader = self._reader
        for entry in reader.refresh():
            if entry.part is not None:
                yield Part(entry.part.rendition, reader.payload(entry), entry.part.start_us)
            elif entry.kind is Kind.EVENT and entry.seq > self.space.seq:
                self.space = evolve(self.space, reader.event(entry), entry.at_us, entry.seq)
            elif entry.kind is Kind.INIT:
                yield from self._new_inits()

    async def stored(self, rendition: Rendition, numbers: range) -> Stored:
        reader, entries = self._reader, self._reader.parts(rendition)
        wanted = [entries[number] for number in numbers]
        return Stored(await asyncio.to_thread(lambda: b"".join(reader.payload(entry) for entry in wanted)))

    async def levels(self) -> Stored:
        reader, space = self._reader, self.space
        parts, events = reader.parts(Rendition.OPUS), reader.events()
        count, known = len(parts), range(len(events))
        said = await asyncio.to_thread(
            lambda: overview(space, parts[:count], ((events[at].at_us, reader.event(events[at])) for at in known))
        )
        return Stored(said)

    async def recording(self) -> Recording:
        over = self.space.state in OVER
        if self._recording is None or self._recording.ended != over:
            init = self._reader.init(Rendition.HLS)
            assert init is not None
            make = finished_recording if over else growing_recording
            self._recording = await asyncio.to_thread(make, self._reader, init)
        else:
            self._recording.catch_up()
        return self._recording

    def close(self) -> None:
        self._reader.close()

    def _new_inits(self) -> Iterable[Init]:
        for rendition in set(Rendition) - self._inits:
            init = self._reader.init(rendition)
            if init is not None:
                self._inits.add(rendition)
                yield Init(rendition, init)


def _read(library: Library, reader: Reader) -> tuple[Space, dict[Rendition, Past]]:
    """What is on the record now, without looking at every part that ever was."""
    reader.refresh()
    space = library.snapshot(reader.space_id)
    events = reader.events()
    known = len(events)
    while known and events[known - 1].seq > space.seq:
        known -= 1
    for at in range(known, len(events)):
        space = evolve(space, reader.event(events[at]), events[at].at_us, events[at].seq)
    return space, {rendition: _past(reader, rendition) for rendition in Rendition}


def _past(reader: Reader, rendition: Rendition) -> Past:
    parts, per_segment = reader.parts(rendition), rendition.shape.parts_per_segment
    dates = []
    for number in range(0, len(parts), per_segment):
        first = parts[number].part
        assert first is not None
        dates.append(first.start_us)
    newest = range(max(0, len(parts) - 2 * per_segment), len(parts))
    payloads = [(number, reader.payload(parts[number])) for number in newest]
    return Past(len(parts), dates, payloads, reader.init(rendition))
