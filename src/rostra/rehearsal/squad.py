"""One process of a crowd: sends its listeners off at their times, watches itself, and tells what they met.

Its plan comes as one JSON line on standard input; it answers with one line of progress a second and its report at the end. When
standard input ends, it stops at once and reports.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import ssl
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Self

from rostra.rehearsal.member import Member
from rostra.rehearsal.players import KINDS, Origin, Players
from rostra.rehearsal.tally import Effort, Tally

_LAG_EVERY_S = 0.1
_BUSY_OVER_S = 5
_SETTLE_S = 2.0
_PER_SOURCE = 1000
_NO_PORT_YET = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)


@dataclass(frozen=True, slots=True)
class Plan:
    """Attributes:
    shares: how many of all listeners are of each kind.
    starts_at: Unix time at which the first listener comes.
    ramp_s: how long until the last has come.
    seconds: how long all of them stay after that.
    process, processes: of the listeners, those whose number has this remainder are ours.
    """

    page: str
    sound: str
    consented: tuple[str, ...]
    listeners: int
    shares: dict[str, float]
    starts_at: float
    ramp_s: float
    seconds: float
    process: int
    processes: int

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: str) -> Self:
        given = json.loads(line)
        return cls(**{**given, "consented": tuple(given["consented"])})


def kinds(listeners: int, shares: dict[str, float]) -> list[str]:
    """The kind of each listener, mixed evenly, so that each tenth of the crowd is like the whole."""
    whole = sum(shares.values())
    wanted = [(kind, shares[kind] / whole) for kind in KINDS if shares.get(kind)]
    given = dict.fromkeys(KINDS, 0)
    found = []
    for at in range(1, listeners + 1):
        kind = max(wanted, key=lambda one: one[1] * at - given[one[0]])[0]
        given[kind] += 1
        found.append(kind)
    return found


class Squad:
    def __init__(self, plan: Plan) -> None:
        self.players = Players(plan.page, plan.sound, frozenset(Origin.of(url) for url in plan.consented))
        self._plan = plan
        self._tallies = {kind: Tally() for kind in KINDS}
        self._effort = Effort()
        self._members: list[Member] = []
        self._addresses: dict[Origin, tuple[Any, ...]] = {}
        self._stop = asyncio.Event()
        self._context: ssl.SSLContext | None = None

    async def run(self) -> dict[str, Any]:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._told)
        plan = self._plan
        watching = [asyncio.create_task(one) for one in (self._watch_lag(), self._watch_effort())]
        sending = asyncio.create_task(self._send_off())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, plan.starts_at - time.time()) + plan.ramp_s + plan.seconds):
                await self._stop.wait()
        for task in (sending, *watching):
            task.cancel()
        await asyncio.gather(sending, *watching, return_exceptions=True)
        now = time.monotonic()
        self._count_inside()
        for one in self._members:
            one.leave(now)
        return {
            "tallies": {kind: one.plain() for kind, one in self._tallies.items()},
            "effort": self._effort.plain(),
        }

    async def connect(self, member: Member, at: Origin) -> None:
        """Raises: OSError."""
        loop = asyncio.get_running_loop()
        address = self._addresses.get(at)
        if address is None:
            found = await loop.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)
            address = self._addresses[at] = found[0]
        family, kind, protocol, _, where = address
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if member.source is not None and family == socket.AF_INET and where[0].startswith("127."):
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_IP, _NO_PORT_YET, 1)
                sock.bind((member.source, 0))
            async with asyncio.timeout(20):
                await loop.sock_connect(sock, where)
                if member.over:
                    sock.close()
                    return
                if at.scheme == "https":
                    self._context = self._context or ssl.create_default_context()
                    await loop.create_connection(lambda: member, sock=sock, ssl=self._context, server_hostname=at.host)
                else:
                    await loop.create_connection(lambda: member, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def _send_off(self) -> None:
        """Every listener at the moment meant for it, however the others fare."""
        plan = self._plan
        mine = list(enumerate(kinds(plan.listeners, plan.shares)))[plan.process :: plan.processes]
        began = time.monotonic() + plan.starts_at - time.time()
        for count, (number, kind) in enumerate(mine):
            intended = began + plan.ramp_s * number / plan.listeners
            if (wait_s := intended - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            tally = self._tallies[kind]
            # One address has some 28,000 ports to come from; loopback has sixteen million addresses.
            source = f"127.{64 + plan.process % 128}.{count // _PER_SOURCE % 250}.1"
            member = Member(self, kind, tally, source)
            self._members.append(member)
            tally.listeners += 1
            self._effort.joins_late.add(time.monotonic() - intended)
            member.come(intended)
            if count % 50 == 49:
                await asyncio.sleep(0)

    async def _watch_lag(self) -> None:
        while True:
            due = time.monotonic() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self._effort.lag.add(time.monotonic() - due)

    async def _watch_effort(self) -> None:
        effort = self._effort
        began, began_cpu = time.monotonic(), time.process_time()
        lately: deque[tuple[float, float]] = deque([(began, began_cpu)], maxlen=_BUSY_OVER_S + 1)
        steady: tuple[float, int] | None = None
        while True:
            await asyncio.sleep(1)
            now, cpu = time.monotonic(), time.process_time()
            effort.wall_s, effort.cpu_s = now - began, cpu - began_cpu
            lately.append((now, cpu))
            answers = sum(one.answers for one in self._tallies.values())
            if steady is None and time.time() > self._plan.starts_at + self._plan.ramp_s + _SETTLE_S:
                steady = cpu, answers
            if steady is not None:
                effort.steady_cpu_s, effort.steady_answers = cpu - steady[0], answers - steady[1]
            if len(lately) > _BUSY_OVER_S:
                effort.busiest = max(effort.busiest, (cpu - lately[0][1]) / (now - lately[0][0]))
            for one in self._members:
                one.check(now)
            self._count_inside()
            _say({"progress": {kind: tally.brief() for kind, tally in self._tallies.items() if tally.listeners}})

    def _count_inside(self) -> None:
        for tally in self._tallies.values():
            tally.inside = 0
        for one in self._members:
            self._tallies[one.kind].inside += one.inside

    def _told(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop.set()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plan = Plan.of(sys.stdin.readline())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Members and their transports live to the end; walking them again and again finds nothing.
    gc.set_threshold(100_000, 50, 100)

    async def live() -> dict[str, Any]:
        return await Squad(plan).run()

    try:
        import uvloop
    except ImportError:
        report = asyncio.run(live())
    else:
        report = uvloop.run(live())
    _say({"report": report})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
