"""Every request to the edge passes here. The short way: a path whose answer lies ready is answered in one step."""

import hmac
from collections.abc import Callable
from functools import cache, partial

from rostra.edge import answers
from rostra.edge.air import MP3, OPUS
from rostra.edge.channel import Channel
from rostra.edge.ear import by_connection, connection_of, ear_of, sid_of
from rostra.edge.follower import Follower
from rostra.edge.hot import Awaited
from rostra.edge.pressure import LOW_FROM, WIDE_FROM
from rostra.edge.route import Route, Thing, count_route, route
from rostra.edge.shelf import Shelf
from rostra.edge.status import Status
from rostra.edge.streams import Streams
from rostra.edge.waiting import HELD_MOST
from rostra.edge.whole import Whole
from rostra.kernel.errors import RostraError, Unavailable
from rostra.kernel.ids import SpaceId
from rostra.sound.hls import MEDIA_MAX_AGE_S, MIME, multivariant
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import Prepared, Request
from rostra.wire.server import Exchange


class Desk:
    """Attributes:
    step: what is left out under pressure (edge.pressure): nothing that who listens already asks for, only what newcomers are offered.
    crowded, unknown, read: counters: requests turned away because too many wait, for no Space, read from records.
    """

    def __init__(
        self,
        shelf: Shelf,
        key: str,
        metrics: Callable[[], str],
        pass_on: Callable[[Exchange, SpaceId], None],
        streams: Streams,
        status: Status,
    ) -> None:
        self.step = 0
        self.crowded = 0
        self.unknown = 0
        self.read = 0
        self.whole = Whole()
        self._shelf = shelf
        self._hot = shelf.hot
        self._coming = shelf.hot.coming
        self._key = key
        self._metrics = metrics
        self._pass_on = pass_on
        self._streams = streams
        self._status = status
        self._reading: dict[str, list[Exchange]] = {}

    def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        ready = self._hot.get(request.path)
        if ready is not None and request.plain and "if-none-match" not in request.headers:
            answer, ears = ready
            if by_connection(request):
                exchange.send_lasting(answer, ears.add)
                return
            ears.hear(exchange)
            exchange.send_prepared(answer)
            return
        coming = self._coming.get(request.path)
        if coming is not None and request.plain:
            channel, waiting = coming
            channel.ears.hear(exchange)
            if self._may_wait(exchange, channel):
                waiting.join(exchange, lasting=by_connection(request))
            return
        self._look(exchange, request)

    def _look(self, exchange: Exchange, request: Request) -> None:
        if request.method not in ("GET", "HEAD"):
            if request.method == "POST" and (counted := count_route(request.path)) is not None:
                self._pass_on(exchange, counted)
                return
            exchange.send_prepared(answers.PREFLIGHT if request.method == "OPTIONS" else answers.NOT_ALLOWED)
            return
        wanted = route(request.path)
        if wanted is not None:
            self._find(exchange, wanted)
        elif request.path == "/healthz":
            exchange.send_prepared(answers.HEALTHY)
        elif request.path == "/status-json.xsl":
            self._status.show(exchange)
        elif request.path == "/metrics":
            self._show_metrics(exchange)
        else:
            self.unknown += 1
            exchange.send_prepared(answers.NOT_FOUND)

    def _find(self, exchange: Exchange, wanted: Route) -> None:
        if exchange.gone:
            return
        follower = self._shelf.followers.get(wanted.space_id)
        if follower is None:
            self._shelf.open(wanted.space_id, exchange, partial(self._find, exchange, wanted))
            return
        follower.asked = True
        if wanted.thing is Thing.STATE:
            exchange.send_prepared(self._shelf.state(follower))
            return
        if wanted.thing is Thing.HERE:
            self._here(exchange, follower)
            return
        channel = follower.channels[wanted.rendition]
        if channel.ended and not channel.parts and wanted.thing is not Thing.LEVELS:
            exchange.send_prepared(follower.why_nothing())
            return
        if wanted.thing in (Thing.WIDE_PART, Thing.WIDE_LIVE):
            channel = channel.wide()
        match wanted.thing:
            case Thing.PART | Thing.WIDE_PART:
                self._part(exchange, wanted, follower, channel)
            case Thing.LIVE | Thing.WIDE_LIVE:
                self._live(exchange, follower, channel)
            case Thing.SEGMENT:
                self._segment(exchange, wanted, follower, channel)
            case Thing.JOIN:
                self._join(exchange, wanted, follower, channel)
            case Thing.INIT:
                self._init(exchange, wanted, follower, channel)
            case Thing.INDEX:
                exchange.send_prepared(self._index(wanted.rendition, follower))
            case Thing.REPLAY:
                self._replay(exchange, wanted, follower, channel)
            case Thing.LEVELS:
                exchange.server.spawn(self.whole.levels(exchange, follower))
            case Thing.RECORDING:
                self._recording(exchange, wanted, follower, channel)
            case Thing.LIVE_MP3 | Thing.LIVE_OPUS:
                self._stream(exchange, wanted, follower, channel)
            case Thing.LIVE_M3U:
                self._streams.playlist(exchange, follower)
            case Thing.MP3_PART:
                self._mp3_part(exchange, wanted, follower, channel)

    def _index(self, rendition: Rendition, follower: Follower) -> Prepared:
        """What to play, to begin with the first."""
        offered = follower.offered(rendition)
        if self.step >= LOW_FROM:
            offered = tuple(sorted(offered, key=lambda one: one.shape.average_bps))
        return _master(offered, rendition, self.step >= WIDE_FROM and not follower.over)

    def _part(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel) -> None:
        number = wanted.number
        follower.heard(channel, number).hear(exchange)
        if number < channel.parts:
            self._stored(exchange, follower, channel, f'"p{number}"', channel.of_record(number))
        elif channel.ended:
            exchange.send_prepared(follower.why_nothing(channel))
        elif number >= channel.parts + channel.ahead:
            exchange.send_prepared(answers.TOO_FAR)
        elif self._may_wait(exchange, channel):
            channel.waiting.for_part(number).join(exchange)

    def _segment(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel) -> None:
        msn = wanted.number
        numbers = channel.rendition.shape.parts_of_segment(msn)
        follower.heard(channel, numbers.start).hear(exchange)
        if channel.segment_complete(msn):
            channel.newest.segment(msn)
            self._stored(
                exchange, follower, channel, f'"s{msn}"', range(numbers.start, min(numbers.stop, channel.parts))
            )
        elif channel.ended:
            exchange.send_prepared(follower.why_nothing(channel))
        elif msn > channel.rendition.shape.segments_complete(channel.parts):
            exchange.send_prepared(answers.TOO_FAR)
        elif self._may_wait(exchange, channel):
            channel.waiting.for_more(numbers.stop - 1, exchange, partial(self._find, exchange, wanted))

    def _stored(self, exchange: Exchange, follower: Follower, channel: Channel, etag: str, numbers: range) -> None:
        """Answer with these parts, from memory or from the record. They exist."""
        request = exchange.request
        path = request.path
        known = request.headers.get("if-none-match")
        if known is not None and answers.matches(etag, known):
            exchange.send_prepared(answers.not_modified(etag, _lasting(channel)))
            return
        ready = self._hot.get(path) or self._shelf.warm.get(path)
        if ready is not None:
            exchange.send_prepared(ready[0])
            return
        waiting = self._reading.get(path)
        if waiting is not None:
            waiting.append(exchange)
            return
        self._reading[path] = [exchange]
        exchange.server.spawn(self._read(path, follower, channel, etag, numbers))

    async def _read(self, path: str, follower: Follower, channel: Channel, etag: str, numbers: range) -> None:
        """However many ask for the same old part, it is fetched once."""
        self.read += 1
        answer = answers.DAMAGED
        try:
            with follower.reading():
                stored = await follower.feed.stored(channel.rendition, numbers)
            answer = answers.media(stored.body, etag, _lasting(channel), age_s=stored.age_s)
            self._shelf.warm.put(path, answer, follower.ears.replay, 2 * len(stored.body))
        except Unavailable:
            answer = answers.AWAY
        except (RostraError, OSError):
            self._shelf.damaged += 1
        finally:
            for exchange in self._reading.pop(path):
                exchange.send_prepared(answer)

    def _live(self, exchange: Exchange, follower: Follower, channel: Channel) -> None:
        answer = channel.lists.live(exchange.request)
        if isinstance(answer, Prepared):
            exchange.send_prepared(answer)
        elif self._may_wait(exchange, channel):
            number, skip, zipped = answer
            channel.waiting.for_list(number, exchange, skip, zipped)

    def _replay(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel) -> None:
        answer = channel.lists.replay(exchange.request)
        if answer is not None:
            exchange.send_prepared(answer)
        else:
            self._later(exchange, wanted, follower, channel, channel.rendition.shape.parts_per_segment - 1)

    def _join(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel) -> None:
        if self.step >= WIDE_FROM:
            channel = channel.wide()
        answer = channel.join()
        if channel.ended:
            exchange.send_prepared(follower.why_nothing(channel))
        elif answer is not None:
            self._begins(exchange, follower)
            channel.ears.hear(exchange)
            exchange.send_prepared(answer)
        else:
            self._later(exchange, wanted, follower, channel, 0)

    def _init(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel) -> None:
        known = exchange.request.headers.get("if-none-match")
        if channel.ears is follower.ears.hls:
            self._begins(exchange, follower)  # our own player has said so when it joined
        if channel.init is None:
            self._later(exchange, wanted, follower, channel, 0)
        elif known is not None and answers.matches('"init"', known):
            cache = answers.fresh_for(answers.FOR_EVER_S, immutable=True)
            exchange.send_prepared(answers.not_modified('"init"', cache))
        else:
            exchange.send_prepared(channel.init)

    def _recording(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel) -> None:
        if channel.parts and channel.init is not None:
            self._begins(exchange, follower)
            exchange.server.spawn(self._send_recording(exchange, follower, channel))
        else:
            self._later(exchange, wanted, follower, channel, 0)

    def _stream(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel) -> None:
        if channel.parts:
            self._streams.listen(exchange, follower, MP3 if wanted.thing is Thing.LIVE_MP3 else OPUS)
        else:
            self._later(exchange, wanted, follower, channel, 0)

    def _mp3_part(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel) -> None:
        follower.ears.stream.hear(exchange)
        if channel.ended and wanted.number >= channel.parts:
            exchange.send_prepared(follower.why_nothing())
        elif wanted.number >= channel.parts + channel.ahead:
            exchange.send_prepared(answers.TOO_FAR)
        elif self._may_wait(exchange, channel):
            self._streams.give_part(exchange, follower, wanted.number)

    def _later(self, exchange: Exchange, wanted: Route, follower: Follower, channel: Channel, number: int) -> None:
        """Look again when this part is there."""
        if channel.ended:
            exchange.send_prepared(follower.why_nothing())
        elif self._may_wait(exchange, channel):
            channel.waiting.for_more(number, exchange, partial(self._find, exchange, wanted))

    async def _send_recording(self, exchange: Exchange, follower: Follower, channel: Channel) -> None:
        leave = follower.ears.replay.stay(connection_of(exchange))
        try:
            await self.whole.recording(exchange, follower, channel)
        finally:
            leave()

    def _here(self, exchange: Exchange, follower: Follower) -> None:
        """A player of ours says that it listens, or, on a new connection, who it is."""
        sid = sid_of(exchange.request)
        if sid is not None:
            follower.ears.name(connection_of(exchange), sid)
            follower.ears.beacon.add(sid)
        exchange.send_prepared(answers.NOTED if sid is not None else answers.NO_SID)

    def _begins(self, exchange: Exchange, follower: Follower) -> None:
        """A player begins here; or ours says again, on a new connection, who it is."""
        ear, sid = ear_of(exchange), sid_of(exchange.request)
        if sid is not None:
            follower.ears.name(connection_of(exchange), sid)
        elif ear is not None:
            follower.ears.came(ear)

    def _may_wait(self, exchange: Exchange, channel: Awaited) -> bool:
        """Whether one more may wait; answered, when too many do."""
        if channel.waiting.held >= HELD_MOST:
            channel.forget_the_gone()
            if channel.waiting.held >= HELD_MOST:
                self.crowded += 1
                exchange.send_prepared(answers.CROWDED)
                return False
        return True

    def _show_metrics(self, exchange: Exchange) -> None:
        given = exchange.request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._key}".encode()):
            exchange.send_prepared(_KEY_NEEDED)
            return
        text = self._metrics().encode()
        exchange.send_prepared(Prepared(200, [("Content-Type", "text/plain; version=0.0.4"), answers.NO_STORE], text))


_KEY_NEEDED = answers.sentence(401, "The operator's key is needed here.", ("WWW-Authenticate", "Bearer"))


@cache
def _master(offered: tuple[Rendition, ...], at: Rendition, wide: bool) -> Prepared:
    body = multivariant(*offered, at=at, wide=wide)
    cache = answers.fresh_for(MEDIA_MAX_AGE_S)
    return Prepared(200, [("Content-Type", MIME), cache, answers.tag_of(body), answers.CORS], body)


def _lasting(channel: Channel) -> tuple[str, str]:
    return answers.fresh_for(answers.FOR_EVER_S if channel.ended else MEDIA_MAX_AGE_S, immutable=True)
