"""One run of the crowd (crowd.c) against a server, and what the server, the crowd and everybody else used meanwhile."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from house import LOAD_CORE, cpu_s, rss_kb

GENERATOR_MOST = 0.80
FOREIGN_MOST = 0.10
"""Of one core, used by processes that have nothing to do with the run."""
TRIES_MOST = 3
_OVER_S = 60


@dataclass(frozen=True, slots=True)
class Run:
    """Attributes:
    crowd: what crowd.c printed; of several processes, the list.
    cpu_s, wall_s: of the server while all were there.
    ramp_cpu_s: of the server while they came.
    grown_kb: how much more memory the server held at the end.
    """

    crowd: list[dict[str, Any]]
    cpu_s: float
    wall_s: float
    ramp_cpu_s: float
    grown_kb: int
    foreign: float
    void: list[str] = field(default_factory=list)

    def total(self, name: str) -> Any:
        return sum(one[name] for one in self.crowd)

    def worst(self, name: str, quantile: str) -> int:
        return max(int(one[name][quantile]) for one in self.crowd)

    @property
    def errors(self) -> dict[str, int]:
        return {name: sum(one["errors"][name] for one in self.crowd) for name in self.crowd[0]["errors"]}

    @property
    def server_share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.wall_s

    @property
    def generator_share(self) -> float:
        return max(max(one["busiest"], one["steady_cpu_s"] / one["steady_s"]) for one in self.crowd)


def crowd(
    program: Path, kind: str, port: int, path: str, listeners: Sequence[int], *, ramp_s: float, seconds: float, part_ms: float,
    pids: Sequence[int], others: Sequence[int] = (), core: int | None = LOAD_CORE,
) -> Run:  # fmt: skip
    """Args:
    listeners: for each process of the crowd.
    pids: the server's processes; others: further ones that belong to the run.
    core: where the crowd runs; None: anywhere.
    """
    pin = [] if core is None else ["taskset", "-c", str(core)]
    at_rest_kb = sum(map(rss_kb, pids))
    before, before_machine, before_others = cpu_s(pids), _machine_s(), cpu_s(others)
    processes = [
        subprocess.Popen(
            [*pin, str(program), kind, "127.0.0.1", str(port), path, str(count), str(ramp_s), str(seconds), str(part_ms)],
            stdout=subprocess.PIPE, text=True,
        )
        for count in listeners
    ]  # fmt: skip
    try:
        for one in processes:
            assert one.stdout is not None
            if one.stdout.readline() != "steady\n":
                raise SystemExit("the crowd did not get under way")
        steady, steady_at = cpu_s(pids), time.monotonic()
        lines = [one.stdout.readline() for one in processes if one.stdout is not None]
        ended, ended_at = cpu_s(pids), time.monotonic()
        grown_kb = sum(map(rss_kb, pids)) - at_rest_kb
        used_by_crowd = sum(map(_waited_s, processes))
    finally:
        for one in processes:
            one.kill()
            one.wait()
            if one.stdout is not None:
                one.stdout.close()
    said = [json.loads(line) for line in lines]
    lasted_s = ramp_s + 1 + seconds
    ours = ended - before + cpu_s(others) - before_others + used_by_crowd
    foreign = max(0.0, (_machine_s() - before_machine - ours) / lasted_s)
    run = Run(said, ended - steady, ended_at - steady_at, steady - before, grown_kb, foreign)
    if run.generator_share > GENERATOR_MOST:
        run.void.append(f"the generator used {run.generator_share:.0%} of a core")
    late_ms = max(int(one["joins_late_ms"]) for one in said)
    if late_ms > 250:
        run.void.append(f"the generator sent listeners off {late_ms} ms late (p99)")
    if foreign > FOREIGN_MOST:
        run.void.append(f"others used {foreign:.0%} of a core")
    return run


def repeated(measure: Callable[[], Run], quick: bool) -> Run:
    """Again while it is void, but not for ever; what is void to the end says so."""
    for _ in range(1 if quick else TRIES_MOST):
        run = measure()
        if not run.void:
            break
    return run


def _waited_s(process: "subprocess.Popen[str]") -> float:
    try:
        return cpu_s([process.pid])
    except OSError:
        return 0.0


def _machine_s() -> float:
    """Processor seconds that the whole machine has spent, idling left out."""
    import os

    fields = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
