"""One Space of an upstream edge: its parts pulled as they are made, everything else asked for when somebody wants it."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from rostra.edge.pull import Pull
from rostra.edge.source import Init, Part, Past, Stored
from rostra.edge.upstream import SMALL_MOST, Upstream, fine, plain
from rostra.edge.upstream_file import Blocks, UpstreamFile, look
from rostra.kernel.errors import RostraError, Unavailable
from rostra.kernel.ids import SeatId
from rostra.sound.fmp4 import PartView, check_init, read_part, split
from rostra.sound.renditions import Rendition
from rostra.space.space import Space
from rostra.space.states import OVER, State

Look = Callable[[], Awaitable[Space]]
"""How the Space stands upstream."""
UNTAKEN_MOST = 4096
"""Parts that may wait to be taken; the pulls stand still then."""
_FILE_S = 1.0
"""How long the growing recording is taken to be as long as it was."""


class UpstreamFeed:
    """See source.Feed.

    Attributes:
        again: questions for parts that had to be repeated.
    """

    def __init__(
        self,
        upstream: Upstream,
        blocks: Blocks,
        space: Space,
        past: Mapping[Rendition, Past],
        look: Look,
        heard: Callable[[], None],
        on_closed: Callable[["UpstreamFeed"], None],
    ) -> None:
        self.space_id = space.id
        self.space = space
        self.past = past
        self._upstream = upstream
        self._base = f"/s/{space.id}/"
        self._look_up = look
        self._blocks = blocks
        self._heard = heard
        self._on_closed = on_closed
        self._news: deque[Part | Init] = deque()
        self._inits = {rendition for rendition, one in past.items() if one.init is not None}
        self._pulls: dict[Rendition, Pull] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._running = 0
        self._looking: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._taken = asyncio.Event()
        self._file: UpstreamFile | None = None
        self._file_at = 0.0
        self._broken: Exception | None = None

    @property
    def again(self) -> int:
        return sum(pull.again for pull in self._pulls.values())

    async def start(self, upto: Mapping[Rendition, int], deadline_s: float) -> None:
        """Begin to pull, and wait until these parts have come, but not for long."""
        if self.space.state in OVER:
            return
        for rendition, past in self.past.items():
            pull = Pull(
                self._upstream,
                f"{self._base}{rendition.shape.url}/",
                rendition,
                past.parts,
                self._deliver_of(rendition),
                self._is_over,
            )
            self._pulls[rendition] = pull
            self._tasks.append(asyncio.create_task(self._run(pull)))
        self._running = len(self._pulls)
        try:
            async with asyncio.timeout(deadline_s):
                while any(self._pulls[rendition].next < number for rendition, number in upto.items()):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass  # who waits gets what there is; the rest follows
        except BaseException:
            self.close()
            raise

    def take(self) -> Iterable[Part | Init]:
        if self._broken is not None:
            raise ValueError("what upstream sends cannot be followed") from self._broken
        while self._news:
            yield self._news.popleft()
        self._taken.set()

    async def stored(self, rendition: Rendition, numbers: range) -> Stored:
        shape = rendition.shape
        if numbers == shape.parts_of_segment(shape.segment_of_part(numbers.start)):
            return await self._numbered(rendition, f"seg/{shape.segment_of_part(numbers.start)}.m4s", numbers)
        asked = [self._numbered(rendition, f"part/{number}.m4s", range(number, number + 1)) for number in numbers]
        parts = await asyncio.gather(*asked)
        return Stored(b"".join(one.body for one in parts), max(one.age_s for one in parts))

    async def levels(self) -> Stored:
        reply = await self._upstream.whole(f"{self._base}opus/levels.json")
        plain(reply)
        return Stored(reply.body, reply.age_s)

    async def recording(self) -> UpstreamFile:
        now = asyncio.get_running_loop().time()
        file = self._file
        if file is None or file.ended != (self.space.state in OVER) or not file.ended and now - self._file_at > _FILE_S:
            file = self._file = await look(self._upstream, self._blocks, f"{self._base}recording.m4a")
            self._file_at = now
        return file

    def close(self) -> None:
        for task in self._all_tasks():
            task.cancel()
        asyncio.ensure_future(self.closed()).add_done_callback(lambda _: self._on_closed(self))

    async def closed(self) -> None:
        """After `close`: wait until nothing runs."""
        await asyncio.gather(*self._all_tasks(), return_exceptions=True)

    def _all_tasks(self) -> list[asyncio.Task[None]]:
        return self._tasks + ([self._looking] if self._looking is not None else [])

    async def _numbered(self, rendition: Rendition, path: str, numbers: range) -> Stored:
        """One object of these parts; asked for past the caches where what comes is something else."""
        shape = rendition.shape
        for again in ("", "?again=1"):
            most = SMALL_MOST * len(numbers)
            reply = await self._upstream.whole(f"{self._base}{shape.url}/{path}{again}", most=most)
            try:
                firsts = [read_part(payload).first_sample for payload in split(fine(reply))]
            except ValueError:
                continue
            if firsts == [shape.first_sample(number) for number in numbers]:
                return Stored(reply.body, reply.age_s)
        raise Unavailable("Upstream gave something else than it was asked for.")

    async def _run(self, pull: Pull) -> None:
        try:
            await pull.run()
        except Exception as wrong:  # noqa: BLE001 - told to who takes; a pull that just ends would leave listeners waiting
            self._broken = wrong
            self._heard()
            return
        self._running -= 1
        if self._running:
            return
        # The last rendition has come to its end. From here on nothing more will be taken.
        await self._look()
        if self.space.state not in OVER:
            state = State.ENDED if self.space.live_since_us is not None or self._inits else State.CANCELLED
            self.space = replace(self.space, state=state)
        self._heard()

    def _deliver_of(self, rendition: Rendition) -> Callable[[bytes, PartView], Awaitable[None]]:
        async def deliver(payload: bytes, view: PartView) -> None:
            if rendition not in self._inits:
                self._news.append(Init(rendition, await self._init(rendition)))
                self._inits.add(rendition)
            if len(self._news) >= UNTAKEN_MOST:
                self._taken.clear()
                await self._taken.wait()
            assert view.start_us is not None
            self._news.append(Part(rendition, payload, view.start_us))
            if rendition is Rendition.OPUS:
                self._note(view.messages)
            self._heard()
            self._moved.set()

        return deliver

    async def _init(self, rendition: Rendition) -> bytes:
        while True:
            try:
                return await ask_init(self._upstream, self._base, rendition)
            except Unavailable:
                await asyncio.sleep(0.2)

    def _note(self, messages: tuple[bytes, ...]) -> None:
        """A part says what is the case while it sounds; what else there is to know is asked for when that has changed."""
        for message in messages:
            try:
                now = json.loads(message)
                state, speaking, news = State(now["state"]), tuple(map(SeatId, now["speaking"])), int(now["seq"])
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                continue
            if state not in OVER:
                self.space = replace(self.space, state=state, speaking=speaking)
            if news > self.space.news and (self._looking is None or self._looking.done()):
                self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Ask how the Space stands; where that fails, the next part asks again."""
        try:
            fresh = await self._look_up()
        except RostraError:
            return
        if fresh.state in OVER and self._running:
            fresh = replace(fresh, state=self.space.state)  # its last parts are still on their way
        self.space = replace(fresh, speaking=self.space.speaking)

    async def _is_over(self) -> bool:
        try:
            return (await self._look_up()).state in OVER
        except RostraError:
            return False


async def ask_init(upstream: Upstream, base: str, rendition: Rendition) -> bytes:
    """The init segment; past the caches where what comes is something else. It is kept for as long as the Space is. Raises Unavailable."""
    for again in ("", "?again=1"):
        body = fine(await upstream.whole(f"{base}{rendition.shape.url}/init.mp4{again}", most=SMALL_MOST))
        try:
            check_init(rendition, body)
        except ValueError:
            continue
        return body
    raise Unavailable("Upstream gave something else than its init segment.")
