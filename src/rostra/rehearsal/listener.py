"""A listener made to order: opens the page, waits if it must, plays what it hears, and says how it was."""

import asyncio
import contextlib
import json
import math
import random
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from rostra.kernel.errors import Fault
from rostra.rehearsal.address import page_of
from rostra.rehearsal.boxes import Fragment, NotMp4
from rostra.rehearsal.ears import Decoder, Ear
from rostra.rehearsal.feeds import HOLD_S, Feed, NotNow, Over, Parts, Playlist
from rostra.rehearsal.http import Client, HttpError
from rostra.rehearsal.playout import RATE, Playout, Span

_REJOIN_AFTER_S = 6.0
_REPLAY_AHEAD_S = 5.0
_NOW_SCHEME = "urn:rostra:now"

Progress = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """What `rostra listen` prints. Times that waited for the Space to go live are not counted as joining."""

    page: str
    via: str
    replay: bool = False
    waited_s: float = 0.0
    joined_ms: int | None = None
    """Until the first sound was in hand."""
    first_audio_ms: int | None = None
    """Until the first sound came out."""
    requests_before_sound: int | None = None
    latency_ms: int | None = None
    """Median of wall time at play-out less wall time at the stage; None in a replay."""
    latency_p95_ms: int | None = None
    seconds_heard: float = 0.0
    gaps: int = 0
    gap_s: float = 0.0
    longest_gap_s: float = 0.0
    skipped_s: float = 0.0
    silent_seconds: float = 0.0
    """In tenths of a second quieter than -55 dBFS, gaps included."""
    longest_silence_s: float = 0.0
    level_dbfs: float | None = None
    reconnects: int = 0
    broken_packets: int = 0
    states: list[dict[str, Any]] = field(default_factory=list)
    """Each change of state as {"state", "at_s"}, seconds since listening began; a replay is of what has ended."""
    ended: bool = False


class Listener:
    """Plays one Space once.

    Args:
        page: the Space's address, as people share it.
        seconds: how long to listen, counted from the first sound; None: until it ends.
        timeout_s: give up when no sound has come for this long; None: never.
        via: "opus" (what the web player does) or "hls".
        out: a WAV file to be written.

    Raises:
        Fault: `page` is not the address of a Space, or `out` cannot be written.
    """

    def __init__(
        self,
        page: str,
        *,
        seconds: float | None = None,
        timeout_s: float | None = None,
        via: str = "opus",
        out: Path | None = None,
        progress: Progress = lambda line: None,
    ) -> None:
        self.report = Report(page_of(page), via)
        self._seconds, self._timeout_s, self._progress = seconds, timeout_s, progress
        self._client = Client()
        self._ear = Ear(out)
        self._decoder: Decoder | None = None
        self._playout = Playout()
        self._made: deque[tuple[int, float]] = deque(maxlen=64)
        self._latencies: list[float] = []
        self._began = self._joining_since = self._last_sound = time.monotonic()
        self._failures = self._reconnects = 0

    async def run(self) -> Report:
        """Raises: Fault: there is no such Space, it holds no sound, or patience ran out before the first."""
        try:
            await self._open_page()
            base = await self._wait_for_sound()
            feed: Feed = (Parts if self.report.via == "opus" else Playlist)(self._client, base, self.report.replay)
            await self._join(feed)
            await self._listen(feed)
        finally:
            self._client.close()
            self._ear.close()
        return self.report

    async def _open_page(self) -> None:
        page = self.report.page
        while True:
            try:
                answer = await self._client.request("GET", page, deadline_s=HOLD_S)
            except HttpError as wrong:
                await self._pause(wrong)
                continue
            if answer.status == 200:
                self._succeeded()
                return
            if answer.status == 404:
                raise Fault(f"There is no Space at {page}.", "Check the address; 'rostra space list' shows them.")
            if answer.status < 500:
                raise Fault(
                    f"The page {page} answered {answer.status}.", "Check the address with the host of the Space."
                )
            await self._pause(HttpError(f"the page answered {answer.status}"))

    async def _wait_for_sound(self) -> str:
        """Poll state.json until there is something to hear; gives the address of the sound."""
        while True:
            asked = time.monotonic()
            try:
                answer = await self._client.request("GET", f"{self.report.page}/state.json", deadline_s=HOLD_S)
                if answer.status != 200:
                    raise HttpError(f"state.json answered {answer.status}")
                state = json.loads(answer.body)
                name, base = str(state["state"]), str(state["sound"])
            except (HttpError, ValueError, KeyError, TypeError) as wrong:
                await self._pause(wrong)
                continue
            self._succeeded()
            self._note_state(name)
            if name == "cancelled":
                raise Fault("This Space was cancelled.", "The page says why, if the host gave a reason.")
            if name in ("live", "break", "open", "ended"):
                self.report.replay = self.report.ended = name == "ended"
                if name == "open":
                    self._progress("the green room is open; waiting for the Space to go live")
                if self.report.waited_s:
                    self._joining_since = asked
                return urljoin(answer.url, base).rstrip("/")
            self._check_patience()
            self._progress(f"{name}, starts {state.get('starts') or 'when the host opens it'}; waiting")
            await asyncio.sleep(min(float(state.get("next_poll_s") or 2), 30) * random.uniform(0.9, 1.1))
            self.report.waited_s = round(time.monotonic() - self._began, 3)

    async def _join(self, feed: Feed) -> None:
        waited = False
        while True:
            try:
                init, fragments = await feed.join()
            except NotNow as later:
                waited = True
                await self._pause(later)
                continue
            except (HttpError, NotMp4) as wrong:
                await self._pause(wrong)
                continue
            except Over:
                raise Fault("This Space ended and holds no sound.", "There is nothing to hear; ask its host.") from None
            if fragments:
                break
        self._succeeded()
        now = time.monotonic()
        self._decoder = Decoder(init)
        if self._playout.started_at is None:
            self._playout = Playout(feed.behind_s, None if self.report.replay else feed.behind_s + 1.2)
        for fragment in fragments:
            self._take(fragment)
        if self._playout.started_at is None:
            while self._playout.ahead_s < feed.behind_s - 0.05 and not self.report.replay:
                # The Space has just gone live: there is less yet than a player holds.
                try:
                    for fragment in await feed.next():
                        self._take(fragment)
                except (HttpError, NotNow, NotMp4) as wrong:
                    await self._pause(wrong)
                except Over:
                    break
            if waited:
                self.report.waited_s, self._joining_since = round(now - self._began, 3), now
            self._playout.start(time.monotonic())
            self.report.joined_ms = round((now - self._joining_since) * 1000)
            self.report.first_audio_ms = round((time.monotonic() - self._joining_since) * 1000)
            self.report.requests_before_sound = self._client.requests
            self._settle()

    async def _listen(self, feed: Feed) -> None:
        assert self._playout.started_at is not None
        until = math.inf if self._seconds is None else self._playout.started_at + self._seconds
        while (now := time.monotonic()) < until and not self._out_of_patience(now):
            self._play(self._playout.advance(now))
            if self.report.replay and self._playout.ahead_s > _REPLAY_AHEAD_S:
                await asyncio.sleep(min(0.5, until - now))
                continue
            try:
                async with asyncio.timeout(min(until - now, HOLD_S + 5)):
                    fragments = await feed.next()
            except TimeoutError:
                continue
            except Over:
                self.report.ended = True
                await asyncio.sleep(max(0.0, min(self._playout.ahead_s, until - time.monotonic())))
                break
            except (HttpError, NotNow, NotMp4) as wrong:
                await self._pause(wrong, until)
                if time.monotonic() - self._last_sound > _REJOIN_AFTER_S and not self.report.replay:
                    await self._join_again(feed, until)
                continue
            self._succeeded()
            for fragment in fragments:
                self._take(fragment)
            self._settle()
        self._play(self._playout.finish(min(time.monotonic(), until), self.report.ended))
        if self.report.ended and not self.report.replay:
            self._note_state("ended")
        self._settle()

    async def _join_again(self, feed: Feed, until: float) -> None:
        """After a long silence the newest sound matters, not the parts in between."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(until - time.monotonic(), 3600)):
                await self._join(feed)

    def _take(self, fragment: Fragment) -> None:
        assert self._decoder is not None
        samples = self._decoder.decode(fragment)
        now = self._last_sound = time.monotonic()
        self._ear.keep(fragment.start, samples)
        if fragment.made_wall_s is not None:
            self._made.append((fragment.start, fragment.made_wall_s))
        for scheme, message in fragment.messages:
            if scheme == _NOW_SCHEME and not self.report.replay:  # there they tell how it was
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self._note_state(str(json.loads(message)["state"]))
        self._play(self._playout.arrive(fragment.start, len(samples), now))

    def _play(self, spans: list[Span]) -> None:
        self._ear.play(spans)
        wall_less_monotonic = time.time() - time.monotonic()
        for heard in self._playout.heard():
            made = next(((start, wall) for start, wall in reversed(self._made) if start <= heard.start), None)
            if made is not None and not self.report.replay:
                spoken = made[1] + (heard.start - made[0]) / RATE
                self._latencies.append(heard.at + wall_less_monotonic - spoken)

    def _settle(self) -> None:
        """Bring the report up to date."""
        report, playout = self.report, self._playout
        report.seconds_heard = round(self._ear.heard / RATE, 3)
        report.gaps, report.gap_s = playout.gaps, round(playout.gap_s, 3)
        report.longest_gap_s = round(playout.longest_gap_s, 3)
        report.longest_silence_s = round(self._ear.longest_silence / RATE, 1)
        report.skipped_s = round(playout.skipped_s, 3)
        report.silent_seconds = round(self._ear.silent / RATE, 1)
        report.level_dbfs = self._ear.level_dbfs
        report.reconnects = self._reconnects + self._client.reopened
        report.broken_packets = self._decoder.broken if self._decoder else 0
        if self._latencies:
            report.latency_ms = round(statistics.median(self._latencies) * 1000)
            report.latency_p95_ms = round(sorted(self._latencies)[int(0.95 * (len(self._latencies) - 1))] * 1000)
        late = "" if report.latency_ms is None else f", {report.latency_ms} ms behind"
        self._progress(f"heard {report.seconds_heard:.1f} s, {report.gaps} gaps{late}")

    def _note_state(self, name: str) -> None:
        if not self.report.states or self.report.states[-1]["state"] != name:
            self.report.states.append({"state": name, "at_s": round(time.monotonic() - self._began, 2)})

    async def _pause(self, why: Exception, until: float = math.inf) -> None:
        """Wait before asking again: as long as the server said, else longer with each failure, never in step with others."""
        self._check_patience()
        wait_s = random.uniform(0.05, 0.25) * 2 ** min(self._failures, 3)
        if isinstance(why, NotNow):
            wait_s = max(wait_s, min(why.after_s or 0.0, 10.0))
        else:
            self._failures += 1
        self._progress(f"{why}; trying again")
        await asyncio.sleep(max(0.0, min(wait_s, until - time.monotonic())))

    def _succeeded(self) -> None:
        if self._failures:
            self._reconnects += 1
            self._failures = 0

    def _out_of_patience(self, now: float) -> bool:
        return self._timeout_s is not None and now - self._last_sound > self._timeout_s

    def _check_patience(self) -> None:
        if self._playout.started_at is None and self._out_of_patience(time.monotonic()):
            raise Fault(
                f"No sound came from {self.report.page} within {self._timeout_s:g} seconds.",
                "Look at the page for what it says, or wait longer with --timeout.",
            )
