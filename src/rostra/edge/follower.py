"""One Space followed: told by its feed's source that something came, it hands it to its channels."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from rostra.edge import answers
from rostra.edge.channel import Channel
from rostra.edge.count import Ears, Heard
from rostra.edge.hot import Hot
from rostra.edge.source import Feed, Part, Past
from rostra.kernel.errors import Unavailable
from rostra.sound.hls import Playlists
from rostra.sound.renditions import Rendition
from rostra.space.space import Space
from rostra.space.states import OVER, State
from rostra.wire.http1 import Prepared
from rostra.wire.server import Exchange


class Follower:
    """Attributes:
    asked: somebody asked for something here since `rest`, not counting the short way through.
    idle_turns: turns of the shelf since it was last in use.
    busy: readings under way.
    reported: the count last told to the stage.
    thinned: the step last told with it.
    """

    def __init__(self, feed: Feed, ears: Ears, channels: dict[Rendition, Channel]) -> None:
        self.space_id = feed.space_id
        self._feed = feed
        self.ears = ears
        self.channels = channels
        self.asked = True
        self.idle_turns = 0
        self.busy = 0
        self.reported = 0
        self.thinned = 0
        self.closed = False
        self._gone = False
        for channel in channels.values():
            channel.in_vain = self.in_vain
        apple = [channels[one] for one in (Rendition.HLS, Rendition.LOW) if one in channels]
        for channel in apple:
            channel.lists.siblings = tuple(one.lists for one in apple if one is not channel)

    @property
    def feed(self) -> Feed:
        """To be asked for what is not at hand, while `reading`. Raises Unavailable: it is closed."""
        if self.closed:
            raise Unavailable("This Space is no longer followed.")
        return self._feed

    @property
    def space(self) -> Space:
        return self._feed.space

    @property
    def over(self) -> bool:
        return self._feed.space.state in OVER

    @property
    def held(self) -> int:
        return sum(channel.held_in_all for channel in self.channels.values())

    def in_use(self, now: float) -> bool:
        """Somebody listens, waits or reads, or has asked since `rest`. Then it is closed for nobody else's sake."""
        asked = self.asked or any(channel.waited_for for channel in self.channels.values())
        return asked or self.busy > 0 or self.held > 0 or self.ears.count(now) > 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read meanwhile is read to its end, whoever closes this."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            if self.closed:
                self._let_go()

    def rest(self) -> None:
        """From here on it is said anew whether anybody asks."""
        self.asked = False
        for channel in self.channels.values():
            channel.rest()

    def forget_the_gone(self) -> None:
        """Let go of requests that are over."""
        for channel in self.channels.values():
            channel.forget_the_gone()

    def grow(self) -> None:
        """Take in what came. Raises what the feed does."""
        for news in self._feed.take():
            channel = self.channels[news.rendition]
            if isinstance(news, Part):
                channel.add(news.payload, news.start_us)
            elif channel.init is None:
                channel.begin(news.payload)
        if self.over:
            for channel in self.channels.values():
                channel.end()
        for channel in self.channels.values():
            channel.wake()

    def heard(self, channel: Channel, number: int) -> Heard:
        """Where who asks for this part, or what begins with it, is heard: what is long over is heard as replay."""
        return self.ears.replay if number < channel.parts - channel.newest.most else channel.ears

    def offered(self, rendition: Rendition) -> tuple[Rendition, ...]:
        """What a master of this rendition names: itself, then those that play for the same players and are on the record."""
        siblings = (one.rendition for one in self.channels[rendition].lists.siblings)
        return tuple(one for one in (rendition, *siblings) if one is not Rendition.LOW or self._has_low())

    def _has_low(self) -> bool:
        """Records of earlier versions have none."""
        return self.channels[Rendition.LOW].init is not None or not self.channels[Rendition.HLS].parts

    def why_nothing(self, channel: Channel | None = None) -> Prepared:
        """The answer to a request that waited in vain, for a part of this channel if it was for one."""
        if self.over and self.space.state is State.CANCELLED:
            return answers.NEVER_CAME
        if self.over:
            return channel.over if channel is not None else answers.OVER
        if self.space.live_since_us is None:
            return answers.NOT_ON_AIR
        return answers.BLOCKED_TOO_LONG

    def in_vain(self, exchange: Exchange) -> None:
        """Answer a request whose time is over."""
        exchange.send_prepared(self.why_nothing())

    def close(self, why: Prepared) -> None:
        """Answer all who wait with this. The feed is let go of when nothing is being read from it."""
        self.closed = True
        for channel in self.channels.values():
            channel.give_up(why)
            channel.close()
        self._let_go()

    def _let_go(self) -> None:
        if not self.busy and not self._gone:
            self._gone = True
            self._feed.close()


async def follow(feed: Feed, window_s: float, hot: Hot, now: float) -> Follower:
    """Begin with what the feed had when it was opened, without making an answer of every part that ever was."""
    over = feed.space.state in OVER
    playlists = await asyncio.to_thread(
        lambda: {rendition: _listed(rendition, past, window_s, over) for rendition, past in feed.past.items()}
    )
    ears = Ears(now)
    channels: dict[Rendition, Channel] = {}
    for rendition, past in feed.past.items():
        channel = channels[rendition] = Channel(feed.space_id, rendition, hot, ears, playlists[rendition])
        for number, payload in past.newest:
            channel.newest.keep(number, payload)
        if past.init is not None:
            channel.begin(past.init)
    follower = Follower(feed, ears, channels)
    follower.grow()
    return follower


def _listed(rendition: Rendition, past: Past, window_s: float, over: bool) -> Playlists:
    playlists = Playlists(rendition, window_s)
    playlists.resume(past.parts, past.dates)
    if over:
        playlists.end()
    return playlists
