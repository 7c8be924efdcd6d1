"""One rendition of one Space at the live edge: what is ready to be written, and who waits for what comes next.

Everything here is made once per part, however many ask: the part's answer, the playlist's, the first sound for newcomers.
A new part wakes all who wait for it, in turns, so that a crowd does not keep the loop from everything else.

A channel may have a wide sister: the same sound in parts of twice the length, with a playlist of its own. She is made when
somebody asks for her, and lives as long as he does.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from rostra.edge import answers
from rostra.edge.count import Ears, Heard
from rostra.edge.waiting import Waiting
from rostra.kernel.ids import SpaceId
from rostra.sound.hls import (
    BLOCKING_PLAYLIST_MAX_AGE_S,
    MEDIA_MAX_AGE_S,
    MIME,
    PLAIN_PLAYLIST_MAX_AGE_S,
    Playlists,
    Ready,
    Reject,
    Sibling,
    Wait,
    advance_part_limit,
    resolve,
)
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import Prepared, Request
from rostra.wire.server import Exchange, Gathering


class Hot(dict[str, tuple[Prepared, Heard]]):
    """Answers by path, with where who asks for them is heard: what the short way through looks at.

    Attributes:
        coming: the parts that may be waited for, by path: where that is, and who waits already.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coming: dict[str, tuple[Channel, Gathering]] = {}


RING_SEGMENTS = 6
"""How many segments of parts are kept as written answers; older ones are read from the record."""


class Channel:
    """Attributes:
    parts: how many parts there are; the number of the next.
    ears: where who asks for the newest sound is heard.
    ring_most: how many parts are kept as written answers.
    in_vain: answers a request whose time is over.
    siblings: the other renditions of the same master.
    waiting: who waits for what is to come.
    ended: no further part will come.
    step: how many parts of the record one part of this channel is.
    """

    in_vain: Callable[[Exchange], None]

    def __init__(
        self, space_id: SpaceId, rendition: Rendition, hot: Hot, ears: Ears, playlists: Playlists, *, wide: bool = False
    ) -> None:
        self.rendition = rendition
        self.siblings: tuple[Channel, ...] = ()
        self.ended = playlists.ended
        self.step = 2 if wide else 1
        self._shape = rendition.wide if wide else rendition.shape
        self._folder = "wide" if wide else "part"
        self._sister: Channel | None = None
        self._of = space_id, ears
        self.init: Prepared | None = None
        self.init_bytes: bytes | None = None
        self.parts = playlists.parts // self.step
        self.ahead = advance_part_limit(self._shape)
        self._waited_for = False
        self._base = f"/s/{space_id}/{rendition.shape.url}/"
        self.ears = ears.of(rendition)
        self._hot = hot
        self._coming = hot.coming
        self._playlists = playlists
        self._ring: deque[tuple[int, bytes]] = deque()
        self.ring_most = RING_SEGMENTS * self._shape.parts_per_segment
        self._segments: deque[int] = deque()
        self.waiting = Waiting(self.ears.add, lambda exchange: self.in_vain(exchange))
        self._lists: dict[tuple[bool, bool, bool], Prepared] = {}
        self._replays: dict[bool, Prepared] = {}
        self._join: Prepared | None = None
        self._growth: asyncio.Future[None] | None = None
        self._decisions: dict[tuple[str | None, ...], Ready | Wait | Reject] = {}

    # What grows it.

    def begin(self, init: bytes) -> None:
        """The init segment is known."""
        self.init_bytes = init
        self.init = answers.media(init, '"init"', answers.fresh_for(answers.FOR_EVER_S, immutable=True))
        self._await_next()
        if self._sister is not None:
            self._sister.begin(init)

    def add(self, payload: bytes, start_us: int) -> None:
        """The next part is on the record. Who waits for more than this part is answered by `wake`."""
        number = self.parts
        self._playlists.add(start_us)
        self._take(payload)
        if self._sister is not None and number % 2:
            self._sister._take(self._pair(number // 2))

    def wake(self) -> None:
        """Everything that came at once has been added: answer who waits for what is there now."""
        self.waiting.wake(self.parts, self._list)
        if self._sister is not None:
            self._sister.wake()

    def recall(self, number: int, payload: bytes) -> None:
        """Keep a part of the newest ones as an answer. Used alone for those that were there before we followed."""
        path = self._path(self._folder, number)
        answer = answers.media(payload, f'"p{number}"', answers.fresh_for(MEDIA_MAX_AGE_S, immutable=True))
        self._hot[path] = answer, self.ears
        self._ring.append((number, payload))
        if len(self._ring) > self.ring_most:
            old, _ = self._ring.popleft()
            del self._hot[self._path(self._folder, old)]
            while self._segments and self._segments[0] <= self._shape.segment_of_part(old):
                self._hot.pop(self._path("seg", self._segments.popleft()), None)

    def end(self) -> None:
        """No further part will come: who waits for one is told so."""
        if self.ended:
            return
        sister = self._sister
        if sister is not None and self.parts % 2:
            sister._take(self._ring[-1][1])  # the last part has no second half
        self._await_nothing()
        self.ended = True
        self._playlists.end()
        if sister is not None:
            sister.end()
        self._changed()
        self._replays.clear()
        if not self.parts:
            self.give_up(answers.NEVER_CAME)
            return
        self.waiting.no_part_comes(self.over)
        self.waiting.wake(None, self._list)

    def close(self) -> None:
        """Forget all answers. Nobody may be waiting."""
        if self._sister is not None:
            self._sister.close()
        self._changed()
        self._await_nothing()
        for number, _ in self._ring:
            self._hot.pop(self._path(self._folder, number), None)
        for msn in self._segments:
            self._hot.pop(self._path("seg", msn), None)

    # What is asked of it.

    def wide(self) -> "Channel":
        """The sister."""
        sister = self._sister
        if sister is None:
            space_id, ears = self._of
            sister = self._sister = Channel(space_id, self.rendition, self._hot, ears, self._playlists, wide=True)
            sister.in_vain, sister.siblings, sister.ended = self.in_vain, self.siblings, self.ended
            for number in range(self.parts // 2 - len(self._ring) // 2, self.parts // 2):
                if self.newest(2 * number) is not None:
                    sister.recall(number, self._pair(number))
            if self.ended and self.parts % 2:
                sister.recall(self.parts // 2, self._ring[-1][1])
                sister.parts += 1
            if self.init_bytes is not None:
                sister.begin(self.init_bytes)
        return sister

    @property
    def over(self) -> Prepared:
        """There is nothing after the last part of the record."""
        return answers.over(self._playlists.parts)

    @property
    def held_in_all(self) -> int:
        return self.waiting.held + (self._sister.waiting.held if self._sister is not None else 0)

    @property
    def waited_for(self) -> bool:
        """A part that has come since `rest` was waited for: whoever asks part by part may not be waiting at this moment."""
        return self._waited_for or self._sister is not None and self._sister._waited_for

    def rest(self) -> None:
        self._waited_for = False
        if self._sister is not None:
            self._sister._waited_for = False

    def of_record(self, number: int) -> range:
        """The parts of the record that this part is made of. It exists."""
        return range(self.step * number, min(self.step * (number + 1), self._playlists.parts))

    def newest(self, number: int) -> bytes | None:
        """The part, if it is one of the newest."""
        at = number - self.parts + len(self._ring)
        return self._ring[at][1] if 0 <= at < len(self._ring) else None

    def segment(self, msn: int) -> Prepared | None:
        """The segment's answer if its parts are still at hand, else None."""
        shape = self.rendition.shape
        numbers = shape.parts_of_segment(msn)
        stop = min(numbers.stop, self.parts)
        if not self._ring or self._ring[0][0] > numbers.start or stop <= numbers.start:
            return None
        begin = numbers.start - self._ring[0][0]
        body = b"".join(self._ring[at][1] for at in range(begin, begin + stop - numbers.start))
        answer = answers.media(body, f'"s{msn}"', answers.fresh_for(MEDIA_MAX_AGE_S, immutable=True))
        self._hot[self._path("seg", msn)] = answer, self.ears
        self._segments = deque(sorted({*self._segments, msn}))
        return answer

    def segment_complete(self, msn: int) -> bool:
        shape = self.rendition.shape
        return msn < shape.segments_complete(self.parts) or self.ended and shape.first_part(msn) < self.parts

    def join(self) -> Prepared | None:
        """The init segment and about a second of the newest sound in one answer; None before the first part."""
        if self._join is None and self._ring and self.init_bytes is not None:
            newest = list(self._ring)[-2 // self.step :]
            wide = [("Rostra-Step", str(self.step))] if self.step > 1 else []
            self._join = Prepared(
                200,
                [
                    ("Content-Type", "audio/mp4"),
                    answers.fresh_for(1),
                    answers.CORS,
                    answers.EXPOSE,
                    ("Rostra-Part", str(self.step * newest[0][0])),
                    ("Rostra-Next", str(self.step * self.parts)),
                    *wide,
                ],
                self.init_bytes + b"".join(payload for _, payload in newest),
            )
        return self._join

    def playlist(self, request: Request) -> Prepared | tuple[int, bool, bool]:
        """The live playlist's answer, or the part to wait for and how to answer then (delta update, compressed)."""
        query = request.query
        msn = query.get("_HLS_msn")
        zipped = answers.takes_gzip(request.headers.get("accept-encoding", ""))
        key = (msn, query.get("_HLS_part"), query.get("_HLS_skip"))
        decision = self._decisions.get(key)
        if decision is None:
            newest = self.parts - 1 if self.parts else None
            decision = resolve(self.rendition, query, newest, self.ended, wide=self.step > 1)
            if len(self._decisions) < _DECISIONS_MOST:
                self._decisions[key] = decision
        if isinstance(decision, Reject):
            return answers.sentence(decision.status, decision.sentence)
        if isinstance(decision, Wait):
            return decision.part, decision.skip, zipped
        first_segment = self._shape.parts_per_segment
        if msn is None and self.parts < first_segment and not self.ended:
            # Players without delivery directives take a playlist without a segment for the end.
            return first_segment - 1, decision.skip, zipped
        return self._list(decision.skip, zipped, msn is not None)

    def replay(self, request: Request) -> Prepared | None:
        """The playlist of the whole; None before its first segment."""
        if self.parts < self.rendition.shape.parts_per_segment and not self.ended:
            return None
        zipped = answers.takes_gzip(request.headers.get("accept-encoding", ""))
        answer = self._replays.get(zipped)
        if answer is None:
            seconds = PLAIN_PLAYLIST_MAX_AGE_S if not self.ended else answers.FOR_EVER_S
            body = self._playlists.replay()
            answer = self._replays[zipped] = answers.text(body, MIME, answers.fresh_for(seconds), zipped=zipped)
        return answer

    # Who waits.

    def forget_the_gone(self) -> None:
        """Let go of requests that are over: whose peers have left, or which were answered when their time was."""
        if self._sister is not None:
            self._sister.forget_the_gone()
        self.waiting.forget_the_gone()

    def give_up(self, why: Prepared) -> None:
        """Answer all who wait with this."""
        if self._sister is not None:
            self._sister.give_up(why)
        self._await_nothing()
        self.waiting.give_up(why)

    def _await_next(self) -> None:
        """The next few parts may be waited for without asking us."""
        if not self.ended:
            for number in range(self.parts, self.parts + self.ahead):
                path = self._path(self._folder, number)
                if path not in self._coming:
                    self._coming[path] = self, self.waiting.for_part(number)

    def _await_nothing(self) -> None:
        for number in range(self.parts, self.parts + self.ahead):
            self._coming.pop(self._path(self._folder, number), None)

    def _take(self, payload: bytes) -> None:
        number = self.parts
        self.recall(number, payload)
        self.parts = number + 1
        self._changed()
        path = self._path(self._folder, number)
        self._coming.pop(path, None)
        self._await_next()
        self._waited_for |= self.waiting.part_came(number, self._hot[path][0])

    def _pair(self, number: int) -> bytes:
        """Wide part `number`, both halves of which are among the newest parts."""
        first, second = self.newest(2 * number), self.newest(2 * number + 1)
        assert first is not None and second is not None
        return first + second

    def _list(self, skip: bool, zipped: bool, blocking: bool) -> Prepared:
        key = (skip, zipped, blocking)
        answer = self._lists.get(key)
        if answer is None:
            if self.ended:
                seconds = answers.FOR_EVER_S
            else:
                seconds = BLOCKING_PLAYLIST_MAX_AGE_S if blocking else PLAIN_PLAYLIST_MAX_AGE_S
            siblings = [Sibling(one.rendition, one.parts) for one in self.siblings]
            body = self._playlists.live(skip, wide=self.step > 1, siblings=siblings)
            answer = self._lists[key] = answers.text(body, MIME, answers.fresh_for(seconds), zipped=zipped)
        return answer

    def forget_lists(self) -> None:
        """They speak of a sibling that has grown."""
        self._lists.clear()
        if self._sister is not None:
            self._sister._lists.clear()

    async def growth(self) -> None:
        """Wait for the next part, or the end."""
        if self._growth is None:
            self._growth = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._growth)

    def _changed(self) -> None:
        growth, self._growth = self._growth, None
        if growth is not None:
            growth.set_result(None)
        self._lists.clear()
        self._decisions.clear()
        self._join = None
        for sibling in self.siblings:
            sibling.forget_lists()
        if self._shape.index_in_segment(self.parts) == 0:
            self._replays.clear()

    def _path(self, kind: str, number: int) -> str:
        return f"{self._base}{kind}/{number}.m4s"


_DECISIONS_MOST = 1024
