"""The playlists of one channel as answers: made once between two parts, however many ask."""

from rostra.edge import answers
from rostra.sound.hls import (
    BLOCKING_PLAYLIST_MAX_AGE_S,
    MIME,
    PLAIN_PLAYLIST_MAX_AGE_S,
    Playlists,
    Ready,
    Reject,
    Sibling,
    Wait,
    resolve,
)
from rostra.sound.renditions import Rendition
from rostra.wire.http1 import Prepared, Request


class Lists:
    """Attributes:
    siblings: those of the other renditions of the same master.
    sister: those of the same rendition's wide parts, if anybody has asked for them.
    parts: of the channel.
    """

    def __init__(self, rendition: Rendition, playlists: Playlists, *, wide: bool) -> None:
        self.rendition = rendition
        self.siblings: tuple[Lists, ...] = ()
        self.sister: Lists | None = None
        self.parts = 0
        self.ended = False
        self._playlists = playlists
        self._wide = wide
        self._shape = rendition.wide if wide else rendition.shape
        self._live: dict[tuple[bool, bool, bool], Prepared] = {}
        self._replays: dict[bool, Prepared] = {}
        self._decisions: dict[tuple[str | None, ...], Ready | Wait | Reject] = {}

    def grow(self, parts: int, ended: bool) -> None:
        """What they said is no longer so."""
        self.parts, self.ended = parts, ended
        self._live.clear()
        self._decisions.clear()
        for sibling in self.siblings:
            sibling.forget()
        if ended or self._shape.index_in_segment(parts) == 0:
            self._replays.clear()

    def forget(self) -> None:
        """They speak of a sibling that has grown."""
        self._live.clear()
        if self.sister is not None:
            self.sister.forget()

    def live(self, request: Request) -> Prepared | tuple[int, bool, bool]:
        """The live playlist's answer, or the part to wait for and how to answer then (delta update, compressed)."""
        query = request.query
        msn = query.get("_HLS_msn")
        zipped = answers.takes_gzip(request.headers.get("accept-encoding", ""))
        key = (msn, query.get("_HLS_part"), query.get("_HLS_skip"))
        decision = self._decisions.get(key)
        if decision is None:
            newest = self.parts - 1 if self.parts else None
            decision = resolve(self.rendition, query, newest, self.ended, wide=self._wide)
            if len(self._decisions) < _DECISIONS_MOST and sum(map(len, filter(None, key))) <= _DIRECTIVES_MOST:
                self._decisions[key] = decision
        if isinstance(decision, Reject):
            return answers.sentence(decision.status, decision.sentence)
        if isinstance(decision, Wait):
            return decision.part, decision.skip, zipped
        first_segment = self._shape.parts_per_segment
        if msn is None and self.parts < first_segment and not self.ended:
            # Players without delivery directives take a playlist without a segment for the end.
            return first_segment - 1, decision.skip, zipped
        return self.made(decision.skip, zipped, msn is not None)

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

    def made(self, skip: bool, zipped: bool, blocking: bool) -> Prepared:
        """The live playlist as it is now: a delta update, compressed, for a blocking request."""
        key = (skip, zipped, blocking)
        answer = self._live.get(key)
        if answer is None:
            if self.ended:
                seconds = answers.FOR_EVER_S
            else:
                seconds = BLOCKING_PLAYLIST_MAX_AGE_S if blocking else PLAIN_PLAYLIST_MAX_AGE_S
            siblings = [Sibling(one.rendition, one.parts) for one in self.siblings]
            body = self._playlists.live(skip, wide=self._wide, siblings=siblings)
            answer = self._live[key] = answers.text(body, MIME, answers.fresh_for(seconds), zipped=zipped)
        return answer


_DECISIONS_MOST = 1024
_DIRECTIVES_MOST = 32
"""What players send is shorter; a decision on what is longer is not kept, for it would be kept with its words."""
