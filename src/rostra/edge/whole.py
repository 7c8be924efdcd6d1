"""What is made of a whole timeline at once, off the loop: the recording as a file, and the overview of its levels."""

import asyncio
from weakref import WeakKeyDictionary

from rostra.edge import answers
from rostra.edge.channel import Channel
from rostra.edge.follower import Follower
from rostra.edge.ranges import Span, Unsatisfiable, span_of
from rostra.edge.source import File, Stored
from rostra.kernel.errors import RostraError, Unavailable
from rostra.sound.hls import PLAIN_PLAYLIST_MAX_AGE_S
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import Prepared, Request, encode_head
from rostra.wire.server import Exchange

SENT_MOST = 256
"""Recordings sent at once; one more is answered 503. Each holds at most two pieces in memory."""
PIECE_BYTES = 65536
_OVERVIEW_PARTS = 4
"""While live an overview is made anew after this many parts."""


class Whole:
    """Attributes:
    sending: recordings under way.
    """

    def __init__(self) -> None:
        self.sending = 0
        self._overviews: WeakKeyDictionary[Follower, tuple[int, bool, Stored, float]] = WeakKeyDictionary()
        self._locks: WeakKeyDictionary[Follower, asyncio.Lock] = WeakKeyDictionary()

    async def levels(self, exchange: Exchange, follower: Follower) -> None:
        """Answer with the overview, not older than two seconds."""
        try:
            said, age_s = await self._overview(follower)
        except Unavailable:
            exchange.send_prepared(answers.AWAY)
            return
        except (RostraError, OSError, ValueError):
            exchange.send_prepared(answers.DAMAGED)
            return
        seconds = answers.FOR_EVER_S if follower.over else PLAIN_PLAYLIST_MAX_AGE_S
        zipped = answers.takes_gzip(exchange.request.headers.get("accept-encoding", ""))
        more = (("Age", str(age_s)),) if said.age_s else ()
        cache = answers.fresh_for(seconds)
        exchange.send_prepared(answers.text(said.body, "application/json", cache, zipped=zipped, more=more))

    async def recording(self, exchange: Exchange, follower: Follower, channel: Channel) -> None:
        """Send the recording, or the range asked for. There is at least one part."""
        if self.sending >= SENT_MOST:
            exchange.send_prepared(answers.CROWDED)
            return
        self.sending += 1
        try:
            with follower.reading():
                async with self._lock(follower):
                    recording = await follower.feed.recording()
                await _send(exchange, recording)
        except Unavailable:
            exchange.send_prepared(answers.AWAY)
        except (RostraError, OSError, ValueError):
            exchange.send_prepared(answers.DAMAGED)
        finally:
            self.sending -= 1

    async def _overview(self, follower: Follower) -> tuple[Stored, int]:
        """The overview and how old it is."""
        async with self._lock(follower):
            now = asyncio.get_running_loop().time()
            count, over = follower.channels[Rendition.OPUS].parts, follower.over
            made = self._overviews.get(follower)
            if made is not None and made[1] == over and count - made[0] < _OVERVIEW_PARTS:
                return made[2], made[2].age_s + int(now - made[3])
            with follower.reading():
                said = await follower.feed.levels()
            self._overviews[follower] = count, over, said, now
            return said, said.age_s

    def _lock(self, follower: Follower) -> asyncio.Lock:
        return self._locks.setdefault(follower, asyncio.Lock())


async def _send(exchange: Exchange, recording: File) -> None:
    request, size = exchange.request, recording.size
    etag = recording.etag(size)
    seconds = answers.FOR_EVER_S if recording.ended else 0
    headers = [
        ("Content-Type", "audio/mp4"),
        answers.fresh_for(seconds),
        ("ETag", etag),
        ("Accept-Ranges", "bytes"),
        answers.CORS,
        answers.EXPOSE,
    ]
    known = request.headers.get("if-none-match")
    if known is not None and answers.matches(etag, known):
        exchange.send_prepared(Prepared(304, headers))
        return
    try:
        span = _span(request, recording, size)
    except Unsatisfiable:
        exchange.send_prepared(
            answers.sentence(
                416, "The recording is not that long.", ("Content-Range", f"bytes */{size}"), answers.EXPOSE
            )
        )
        return
    status = 200
    if span is None:
        span = Span(0, size)
    else:
        status = 206
        headers.append(("Content-Range", f"bytes {span.start}-{span.stop - 1}/{size}"))
    head = encode_head(status, headers, span.length, exchange.server.date)
    if request.method == "HEAD":
        exchange.send(head)
        return
    first = await recording.read(span.start, min(span.stop, span.start + PIECE_BYTES))
    if exchange.gone:
        return
    stream = exchange.stream(head, ends_connection=False)
    piece, at = first, span.start
    try:
        while True:
            stream.write(piece)
            at += len(piece)
            if at >= span.stop or not await stream.drained():
                break
            piece = await recording.read(at, min(span.stop, at + PIECE_BYTES))
    except (OSError, ValueError, RostraError):
        stream.abort()
        return
    stream.close()


def _span(request: Request, recording: File, size: int) -> Span | None:
    """The range to send, if the peer's copy, when it names one, is of this file (RFC 9110 13.1.5)."""
    copy = request.headers.get("if-range")
    if copy is not None and not recording.still_begins_with(copy):
        return None
    return span_of(request.headers.get("range"), size)
