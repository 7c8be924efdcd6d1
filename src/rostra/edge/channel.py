"""One rendition of one Space at the live edge: what is ready to be written, and who waits for what comes next.

Everything here is made once per part, however many ask: the part's answer, the playlist's, the first sound for newcomers.
A new part wakes all who wait for it, in turns, so that a crowd does not keep the loop from everything else.

A channel may have a wide sister: the same sound in parts of twice the length, with a playlist of its own. She is made when
somebody asks for her, and lives as long as he does.
"""

import asyncio
from collections.abc import Callable

from rostra.edge import answers
from rostra.edge.count import Ears
from rostra.edge.hot import Hot
from rostra.edge.lists import Lists
from rostra.edge.newest import Newest
from rostra.edge.waiting import Waiting
from rostra.kernel.ids import SpaceId
from rostra.sound.hls import Playlists, advance_part_limit
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import Prepared
from rostra.wire.server import Exchange


class Channel:
    """Attributes:
    parts: how many parts there are; the number of the next.
    ears: where who asks for the newest sound is heard.
    newest: the parts that are kept as written answers.
    lists: the playlists.
    in_vain: answers a request whose time is over.
    waiting: who waits for what is to come.
    ended: no further part will come.
    step: how many parts of the record one part of this channel is.
    """

    in_vain: Callable[[Exchange], None]

    def __init__(
        self, space_id: SpaceId, rendition: Rendition, hot: Hot, ears: Ears, playlists: Playlists, *, wide: bool = False
    ) -> None:
        self.rendition = rendition
        self.ended = playlists.ended
        self.step = 2 if wide else 1
        self._shape = rendition.wide if wide else rendition.shape
        self._sister: Channel | None = None
        self._of = space_id, ears
        self.init: Prepared | None = None
        self.init_bytes: bytes | None = None
        self.parts = playlists.parts // self.step
        self.ahead = advance_part_limit(self._shape)
        self.ears = ears.of(rendition)
        self._waited_for = False
        self._hot = hot
        self._coming = hot.coming
        self._playlists = playlists
        base = f"/s/{space_id}/{rendition.shape.url}/"
        self.newest = Newest(hot, self.ears, self._shape, base, "wide" if wide else "part")
        self.lists = Lists(rendition, playlists, wide=wide)
        self.lists.grow(self.parts, self.ended)
        self.waiting = Waiting(self.ears.add, lambda exchange: self.in_vain(exchange))
        self._join: Prepared | None = None
        self._growth: asyncio.Future[None] | None = None

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
        self.waiting.wake(self.parts, self.lists.made)
        if self._sister is not None:
            self._sister.wake()

    def end(self) -> None:
        """No further part will come: who waits for one is told so."""
        if self.ended:
            return
        sister = self._sister
        if sister is not None and self.parts % 2:
            sister._take(self.newest.last(1)[0][1])  # the last part has no second half
        self._await_nothing()
        self.ended = True
        self._playlists.end()
        if sister is not None:
            sister.end()
        self._changed()
        if not self.parts:
            self.give_up(answers.NEVER_CAME)
            return
        self.waiting.no_part_comes(self.over)
        self.waiting.wake(None, self.lists.made)

    def close(self) -> None:
        """Forget all answers. Nobody may be waiting."""
        if self._sister is not None:
            self._sister.close()
        self._changed()
        self._await_nothing()
        self.newest.close()

    # What is asked of it.

    def wide(self) -> "Channel":
        """The sister."""
        sister = self._sister
        if sister is None:
            space_id, ears = self._of
            sister = self._sister = Channel(space_id, self.rendition, self._hot, ears, self._playlists, wide=True)
            sister.in_vain, sister.ended = self.in_vain, self.ended
            for number in range(self.parts // 2 - len(self.newest) // 2, self.parts // 2):
                if self.newest.get(2 * number) is not None:
                    sister.newest.keep(number, self._pair(number))
            if self.ended and self.parts % 2:
                sister.newest.keep(self.parts // 2, self.newest.last(1)[0][1])
                sister.parts += 1
            self.lists.sister, sister.lists.siblings = sister.lists, self.lists.siblings
            sister.lists.grow(sister.parts, sister.ended)
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

    def segment_complete(self, msn: int) -> bool:
        shape = self.rendition.shape
        return msn < shape.segments_complete(self.parts) or self.ended and shape.first_part(msn) < self.parts

    def join(self) -> Prepared | None:
        """The init segment and about a second of the newest sound in one answer; None before the first part."""
        if self._join is None and len(self.newest) and self.init_bytes is not None:
            newest = self.newest.last(2 // self.step)
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
                path = self.newest.path(number)
                if path not in self._coming:
                    self._coming[path] = self, self.waiting.for_part(number)

    def _await_nothing(self) -> None:
        for number in range(self.parts, self.parts + self.ahead):
            self._coming.pop(self.newest.path(number), None)

    def _take(self, payload: bytes) -> None:
        number = self.parts
        answer = self.newest.keep(number, payload)
        self.parts = number + 1
        self._changed()
        self._coming.pop(self.newest.path(number), None)
        self._await_next()
        self._waited_for |= self.waiting.part_came(number, answer)

    def _pair(self, number: int) -> bytes:
        """Wide part `number`, both halves of which are among the newest parts."""
        first, second = self.newest.get(2 * number), self.newest.get(2 * number + 1)
        assert first is not None and second is not None
        return first + second

    async def growth(self) -> None:
        """Wait for the next part, or the end."""
        if self._growth is None:
            self._growth = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._growth)

    def _changed(self) -> None:
        growth, self._growth = self._growth, None
        if growth is not None:
            growth.set_result(None)
        self._join = None
        self.lists.grow(self.parts, self.ended)
