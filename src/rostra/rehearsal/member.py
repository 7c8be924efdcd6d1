"""One listener of a crowd: a connection, a question on it, and a note of when sound last came.

The hot path is one comparison and one write: whose answer is the same, byte for byte, as one that was read before need not
read it again.
"""

import asyncio
import random
from time import monotonic
from typing import Protocol, cast

from rostra.rehearsal.players import Answer, Origin, Players, Question, Step, Wrong
from rostra.rehearsal.tally import GAP_S, Tally

ANSWER_S = 20.0
"""A held request is answered or refused well within this; a stream is not silent for longer."""
_REJOIN_AFTER_S = 6.0
_ANSWER_MOST = 8 * 1024 * 1024
_FAILURES_MOST = 6


class Company(Protocol):
    """What a listener needs of those it comes with."""

    players: Players

    async def connect(self, member: "Member", at: Origin) -> None:
        """Make it the protocol of a new connection, unless it is over by then. Raises: OSError."""


class Member(asyncio.Protocol):
    """Attributes:
    joined: has heard something.
    over: has been told that the broadcast ended, or was sent home.
    """

    __slots__ = (
        "_at", "_asked", "_connecting", "_failures", "_flowing", "_gaps", "_heard", "_intended", "_question", "_rest", "_squad",
        "_tally", "_timer", "_transport", "joined", "kind", "over", "source",
    )  # fmt: skip

    def __init__(self, squad: Company, kind: str, tally: Tally, source: str | None) -> None:
        self.kind, self.source = kind, source
        self.joined = self.over = False
        self._squad, self._tally = squad, tally
        self._transport: asyncio.Transport | None = None
        self._at: Origin | None = None
        self._question: Question | None = None
        self._rest: bytearray | None = None
        self._flowing = False
        self._intended = self._asked = self._heard = 0.0
        self._gaps = self._failures = 0
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def inside(self) -> bool:
        return self.joined and self._transport is not None and not self.over

    def come(self, intended: float) -> None:
        self._intended = intended
        self._ask(self._squad.players.first(self.kind))

    def leave(self, now: float) -> None:
        """The rehearsal is over; a silence that still lasts counts."""
        if self.joined and not self.over:
            self._note_gap(now - self._heard)
        self.over = True
        self._drop()
        for pending in (self._connecting, self._timer):
            if pending is not None:
                pending.cancel()

    def check(self, now: float) -> None:
        """Called once a second: nobody waits without end."""
        if self._transport is not None and not self.over and now - self._asked > ANSWER_S:
            self._tally.errors["no answer"] += 1
            self._drop()
            self._try_again()

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        # The transport then tries each write at once.
        made.set_write_buffer_limits(high=0)
        assert self._question is not None
        made.write(self._question.request)

    def data_received(self, data: bytes) -> None:
        if self._flowing:
            self._flow(len(data))
            return
        question = self._question
        if question is None:
            return
        step = question.step
        if step is None or data != question.known or self._rest is not None:
            step = self._read(question, data)
            if step is None:
                return
        tally = self._tally
        tally.answers += 1
        tally.bytes += len(data)
        self._asked = now = monotonic()
        if step.sound:
            tally.sounds += 1
            if step.due is not None:
                late_s = now - step.due
                tally.lateness.add(late_s)
                if late_s > step.lasts_s:
                    tally.late += 1
            if now - self._heard > GAP_S:
                self._sound_again(now)
            self._heard = now
        following = step.next
        if following is not None and following.at is question.at and not step.wait_s:
            self._question = following
            self._transport.write(following.request)  # type: ignore[union-attr]
            return
        self._turn(step)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if not self.over:
            self._tally.errors["connection lost"] += 1
            self._try_again()

    # What is rare.

    def _read(self, question: Question, data: bytes) -> Step | None:
        """An answer, or a piece of one, that was not seen before. None: it is not whole yet, or cannot be used."""
        if self._rest is not None:
            self._rest += data
            data = bytes(self._rest)
        try:
            found = _whole(data, question.endless)
            if found is None:
                self._rest = self._rest if self._rest is not None else bytearray(data)
                return None
            self._rest = None
            answer, surplus = found
            step = question.read(answer, monotonic())
        except Wrong as wrong:
            self._fail(str(wrong))
            return None
        if step.error is not None:
            self._tally.errors[step.error] += 1
        if question.endless and answer.status == 200:
            self._flowing, self._asked = True, monotonic()
            if surplus:
                self._flow(surplus)
            return None
        if surplus:
            self._fail("bytes that nobody asked for")
            return None
        if step.error is None and not step.wait_s:
            question.known, question.step = data, step
        return step

    def _flow(self, count: int) -> None:
        tally = self._tally
        tally.bytes += count
        tally.answers += 1
        tally.sounds += 1
        self._asked = now = monotonic()
        if now - self._heard > GAP_S:
            self._sound_again(now)
        self._heard = now

    def _sound_again(self, now: float) -> None:
        if self.joined:
            self._note_gap(now - self._heard)
        else:
            self.joined = True
            self._tally.joined += 1
            self._tally.first_sound.add(now - self._intended)
        self._failures = 0

    def _note_gap(self, length_s: float) -> None:
        if length_s <= GAP_S:
            return
        tally = self._tally
        tally.gaps += 1
        tally.with_gaps += not self._gaps
        self._gaps += 1
        tally.longest_gap_s = max(tally.longest_gap_s, length_s)

    def _turn(self, step: Step) -> None:
        """The next question goes elsewhere, or later, or there is none."""
        following = step.next
        if following is None:
            self.over = True
            self._tally.ended += 1
            self._drop()
        elif step.wait_s:
            self._question = None
            self._asked += step.wait_s
            self._later(step.wait_s * random.uniform(1.0, 1.2), following)
        else:
            self._ask(following)

    def _ask(self, question: Question) -> None:
        self._question, self._asked = question, monotonic()
        if self._transport is not None and self._at is question.at:
            self._transport.write(question.request)
            return
        self._drop()
        self._question, self._at = question, question.at
        self._connecting = asyncio.get_running_loop().create_task(self._connect(question.at))

    async def _connect(self, at: Origin) -> None:
        try:
            await self._squad.connect(self, at)
        except OSError as wrong:
            self._tally.errors[f"cannot connect: {wrong.strerror or type(wrong).__name__}"] += 1
            self._try_again()
        else:
            if self._failures:
                self._tally.reconnects += 1
                self._failures = 0

    def _fail(self, error: str) -> None:
        """The answer cannot be used, and what else may come on this connection neither."""
        self._tally.errors[error] += 1
        self._question = None
        self._drop()
        self._try_again()

    def _try_again(self) -> None:
        """As a player does: soon, then less and less often, never in step with others; at the newest sound if it took long."""
        question = self._question
        if question is None or question.endless or monotonic() - self._heard > _REJOIN_AFTER_S:
            question = self._squad.players.again(self.kind) if self.joined else self._squad.players.first(self.kind)
        self._later(random.uniform(0.05, 0.25) * 2**self._failures, question)
        self._failures = min(self._failures + 1, _FAILURES_MOST)

    def _later(self, seconds: float, question: Question) -> None:
        if not self.over:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._ask, question)

    def _drop(self) -> None:
        """Let go of the connection, and hear nothing more from it."""
        transport, self._transport = self._transport, None
        self._rest, self._flowing, self._at = None, False, None
        if transport is not None:
            transport.set_protocol(_NOBODY)
            transport.abort()


_NOBODY = asyncio.Protocol()


def _whole(data: bytes, endless: bool) -> tuple[Answer, int] | None:
    """The answer and how many bytes came behind it; for a stream, the head alone is the answer. None: not all is there yet.

    Raises:
        Wrong: this is not HTTP/1.1, or not in bounds.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > 65_536 or not data.startswith(b"HTTP/1.1 "[: len(data)]):
            raise Wrong("not HTTP")
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    try:
        status = int(lines[0].split(" ", 2)[1])
    except (ValueError, IndexError):
        raise Wrong("not HTTP") from None
    headers = {name.strip().lower(): text.strip() for name, _, text in (line.partition(":") for line in lines[1:])}
    if endless and status == 200:
        return Answer(status, headers, b""), len(data) - end - 4
    length = headers.get("content-length", "0" if status in (204, 304) else "")
    if not length.isdigit():
        raise Wrong("an answer without a length")
    if int(length) > _ANSWER_MOST:
        raise Wrong("an answer too long")
    whole = end + 4 + int(length)
    if len(data) < whole:
        return None
    return Answer(status, headers, data[end + 4 : whole]), len(data) - whole
