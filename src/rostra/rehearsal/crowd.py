"""A crowd made to order: so many listeners from several processes, on a schedule that does not wait for the server.

The moment at which each listener comes is fixed beforehand; what the server does to one keeps no other away, and time to first
sound counts from the moment meant, not from when the generator got round to it.
"""

import asyncio
import contextlib
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from rostra.kernel.errors import Fault
from rostra.rehearsal.consent import check_consent, on_loopback
from rostra.rehearsal.http import Client, HttpError
from rostra.rehearsal.listener import Listener
from rostra.rehearsal.players import KINDS
from rostra.rehearsal.squad import Plan
from rostra.rehearsal.streaming import StreamListener
from rostra.rehearsal.tally import Effort, Tally, summary, why_void

LISTENERS_MOST = 200_000
SHARES = {"web": 0.8, "hls": 0.15, "stream": 0.05}
_LISTENERS_A_PROCESS = 2_000
_LINE_MOST = 64 * 1024 * 1024
_START_S = 1.5
_REPORT_S = 20.0
_TO_BE_HEARD = ("live", "break")

Progress = Callable[[str], None]


class Crowd:
    """Args:
    page: the Space's address, as people share it.
    ramp_s: how long until the last listener has come.
    seconds: how long all stay after that.
    shares: weights of the kinds of players.
    processes: None: as many as the listeners need, at most one a core unless the file limit asks for more.
    key: the target's rehearsal key, where it is not on loopback.
    decoded: full decoders of each kind beside the crowd.

    Attributes:
        report: after `run`, also when that was cancelled.
    """

    def __init__(
        self,
        page: str,
        *,
        listeners: int,
        ramp_s: float,
        seconds: float = 30.0,
        shares: dict[str, float] | None = None,
        processes: int | None = None,
        key: str | None = None,
        decoded: int = 1,
        progress: Progress = lambda line: None,
    ) -> None:
        self.report: dict[str, Any] = {}
        self._page = page.rstrip("/")
        self._listeners, self._ramp_s, self._seconds = listeners, ramp_s, seconds
        self._shares = {kind: share for kind, share in (shares or SHARES).items() if share > 0}
        self._processes, self._key, self._decoded, self._progress = processes, key, decoded, progress
        self._latest: dict[int, dict[str, dict[str, int]]] = {}
        self._reports: dict[int, dict[str, Any]] = {}
        self._samples: list[dict[str, Any]] = []
        self._broken: list[str] = []

    async def run(self) -> dict[str, Any]:
        """Raises: Fault: no such Space, nothing to hear there, no consent, or what was asked makes no sense."""
        self._check()
        plan = await self._plan()
        processes = [await _begin(replace(plan, process=at)) for at in range(plan.processes)]
        reading = [asyncio.create_task(self._read(at, one)) for at, one in enumerate(processes)]
        sampling = [asyncio.create_task(one) for one in self._sample(plan)]
        try:
            await asyncio.wait(reading)
        finally:
            for one in processes:
                if one.stdin is not None:
                    one.stdin.close()
            for task in sampling:
                task.cancel()
            await asyncio.wait(reading, timeout=_REPORT_S)
            for one in processes:
                if one.returncode is None:
                    one.kill()
                await one.wait()
            await asyncio.gather(*reading, *sampling, return_exceptions=True)
            self._conclude(plan)
        return self.report

    def _check(self) -> None:
        if not 1 <= self._listeners <= LISTENERS_MOST:
            raise Fault(f"{self._listeners} listeners are too many or too few.", f"Ask for 1 to {LISTENERS_MOST}.")
        unknown = set(self._shares) - set(KINDS)
        if unknown or not self._shares:
            raise Fault(f"There is no player '{', '.join(unknown)}'.", f"Name some of {', '.join(KINDS)} in --shares.")
        if self._processes is not None and self._processes < 1 or not math.isfinite(sum(self._shares.values())):
            raise Fault(
                "There must be a process at least, and no share without end.", "Correct --processes and --shares."
            )
        if self._ramp_s < 0 or self._seconds < 0 or not math.isfinite(self._ramp_s + self._seconds):
            raise Fault("A time cannot be negative.", "Give --ramp and --seconds from 0 on.")

    async def _plan(self) -> Plan:
        client = Client()
        try:
            await check_consent(client, self._page, self._key)
            try:
                answer = await client.request("GET", f"{self._page}/state.json", redirects=0)
                state = json.loads(answer.body) if answer.status == 200 else {}
                sound = urljoin(f"{self._page}/", str(state.get("sound", ""))).rstrip("/")
            except HttpError as wrong:
                raise Fault(f"{self._page} cannot be reached: {wrong}.", "Check the address and the server.") from None
            except (ValueError, AttributeError):
                state, sound = {}, ""
            if not sound or "state" not in state:
                raise Fault(f"There is no Space at {self._page}.", "Check the address; 'rostra space list' shows them.")
            if state["state"] not in _TO_BE_HEARD:
                raise Fault(
                    f"This Space is {state['state']}; there is nothing to hear.", "Rehearse with one that is live."
                )
            if not _same_host(sound, self._page):
                await check_consent(client, sound, self._key)
        finally:
            client.close()
        return Plan(
            self._page, sound, (self._page, sound), self._listeners, self._shares, time.time() + _START_S, self._ramp_s,
            self._seconds, 0, self._processes or _processes_for(self._listeners),
        )  # fmt: skip

    def _sample(self, plan: Plan) -> list[Any]:
        """Full decoders, coming evenly over the ramp, leaving a little before the crowd."""
        found = []
        for kind in self._shares:
            for at in range(self._decoded):
                after_s = _START_S + self._ramp_s * (at + 0.5) / max(1, self._decoded)
                found.append(
                    self._hear(kind, after_s, max(1.0, self._ramp_s + self._seconds + _START_S - after_s - 1.5))
                )
        return found

    async def _hear(self, kind: str, after_s: float, seconds: float) -> None:
        await asyncio.sleep(after_s)
        report: Any
        work: Any
        if kind in ("web", "hls"):
            listener = Listener(
                self._page, seconds=seconds, timeout_s=seconds + 10, via="opus" if kind == "web" else kind
            )
            report, work = listener.report, listener.run()
        else:
            url = f"{self._page}/live.{'mp3' if kind == 'stream' else 'opus'}"
            streaming = StreamListener(self._page, url, kind, seconds)
            report, work = streaming.report, streaming.run()
        try:
            # The seconds count from the first sound, which may be late: the crowd does not wait for it.
            async with asyncio.timeout(seconds + 1):
                await work
        except (TimeoutError, asyncio.CancelledError):
            pass
        except (Fault, HttpError) as wrong:
            self._samples.append({"via": report.via, "error": str(wrong)})
            return
        self._samples.append(asdict(report))

    async def _read(self, number: int, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                said = json.loads(line)
                if "report" in said:
                    self._reports[number] = said["report"]
                else:
                    self._latest[number] = said["progress"]
                    self._progress(self._line())
        except (ValueError, KeyError) as wrong:
            self._broken.append(f"Process {number + 1} of the generator said what cannot be read: {wrong}.")
        if number not in self._reports:
            code = await process.wait()
            self._broken.append(f"Process {number + 1} of the generator ended with code {code} and without a report.")

    def _line(self) -> str:
        told = [kind for one in self._latest.values() for kind in one.values()]
        whole = {name: sum(one[name] for one in told) for name in (told[0] if told else ())}
        if not whole:
            return "the first listeners are on their way"
        return (
            f"{whole['inside']} of {self._listeners} listening, {whole['gaps']} gaps, {whole['late']} late, "
            f"{whole['errors']} errors"
        )

    def _conclude(self, plan: Plan) -> None:
        tallies = {kind: Tally() for kind in KINDS}
        efforts = []
        for _, one in sorted(self._reports.items()):
            for kind, told in one["tallies"].items():
                tallies[kind].merge(Tally.of(told))
            efforts.append(Effort.of(one["effort"]))
        void = [*why_void(efforts), *self._broken]
        found = summary(tallies)
        self.report = {
            "page": plan.page, "asked": self._listeners, "ramp_s": self._ramp_s, "seconds": self._seconds,
            "shares": self._shares, **found, "decoded": self._samples,
            "generator": {
                "processes": [
                    {
                        "cpu_s": round(one.cpu_s, 2), "wall_s": round(one.wall_s, 1), "busiest": round(one.busiest, 3),
                        "joins_late_ms": one.joins_late.quantile_ms(0.99), "lag_ms": one.lag.quantile_ms(0.99),
                    }
                    for one in efforts
                ],
                "us_an_answer": _us_an_answer(efforts),
            },
            "void": bool(void), "why_void": void,
        }  # fmt: skip


async def _begin(plan: Plan) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rostra.rehearsal.squad",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_MOST,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(plan.line())
    with contextlib.suppress(ConnectionError):
        await process.stdin.drain()
    return process


def _processes_for(listeners: int) -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for_files = math.ceil(listeners / max(100, limit - 500)) if limit != resource.RLIM_INFINITY else 1
    return max(for_files, min(os.cpu_count() or 1, math.ceil(listeners / _LISTENERS_A_PROCESS)))


def _us_an_answer(efforts: list[Effort]) -> float | None:
    """Processor time of the generator for each answer, joining left out."""
    answers = sum(one.steady_answers for one in efforts)
    return round(1e6 * sum(one.steady_cpu_s for one in efforts) / answers, 1) if answers else None


def _same_host(one: str, other: str) -> bool:
    return urlsplit(one).hostname == urlsplit(other).hostname or on_loopback(one)
