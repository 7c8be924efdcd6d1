"""One process of a role: built here from its parts, run on its own loop, stopped by a signal."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from rostra.app import heart
from rostra.app.listening import private_sockets
from rostra.app.place import Place, settings_of
from rostra.app.vitals import Vitals
from rostra.kernel.clock import SystemClock
from rostra.kernel.errors import Fault
from rostra.kernel.log import Log, write_to_stderr
from rostra.kernel.settings import Settings, role_of
from rostra.timeline.disk import DiskLibrary

_STOP_S = 4.0
_STAGE_NICE = -10
# A crowd's waiting requests are many objects and no cycles: walking all of them every few hundred would be a third of the work.
_GC_AFTER = (100_000, 20, 20)


class Role(Protocol):
    async def start(self, sockets: list[socket.socket]) -> None: ...

    async def stop(self, deadline_s: float) -> None: ...

    def metrics(self) -> str: ...


def run(
    name: str,
    data: Path,
    *,
    host: str | None,
    port: int | None,
    sockets: list[int],
    beat: int,
    parent: int,
    debug: bool,
    upstream: str = "",
) -> None:
    """Be this role until SIGTERM. Exits with EX_CONFIG when the installation, not chance, keeps it from starting.

    `upstream`: the address that an edge without a record takes its sound from.
    """
    heart.die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _take_all_files()
    import uvloop

    place = Place(data)
    settings = settings_of(place, host=host, port=port)
    write_to_stderr("debug" if debug else settings.log_level)
    log = Log(name)
    try:
        uvloop.run(_live(name, place, settings, log, sockets, beat, upstream))
    except Fault as wrong:
        log.error("cannot start", what=wrong.what, remedy=wrong.remedy)
        raise SystemExit(os.EX_CONFIG) from None
    except Exception as bug:  # noqa: BLE001 - the trace goes to the log, the supervisor starts the next life
        log.error("the role broke", trace=bug)
        raise SystemExit(os.EX_SOFTWARE) from None


def _take_all_files() -> None:
    """Each listener is an open file, and what a shell or systemd gives at first is often no more than 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1_048_576 if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _live(
    name: str, place: Place, settings: Settings, log: Log, sockets: list[int], beat: int, upstream: str
) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    vitals = Vitals(log)
    with ExitStack() as closing:
        if upstream:
            role = _edge_of(upstream, name, place, settings, log, vitals)
        else:
            role = _BUILDERS[role_of(name)](name, place, settings, log, closing, vitals)
        listening = [socket.socket(fileno=one) for one in sockets]  # held until the end: collected is closed
        await role.start(listening)
        gc.collect()
        gc.freeze()  # what lives from start to stop need not be walked again
        gc.set_threshold(*_GC_AFTER)
        tasks = [
            asyncio.create_task(heart.beat(beat), name="heart"),
            asyncio.create_task(vitals.watch(), name="vitals"),
        ]
        try:
            await stop.wait()
            await role.stop(_STOP_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _library(place: Place, settings: Settings, closing: ExitStack) -> DiskLibrary:
    library = DiskLibrary(place.data, SystemClock(), sync=settings.sync)
    closing.callback(library.close)
    return library


def _door(name: str, place: Place, settings: Settings, log: Log, closing: ExitStack, vitals: Vitals) -> Role:
    from rostra.door.role import DoorRole

    return DoorRole(
        library=_library(place, settings, closing),
        settings=settings,
        clock=SystemClock(),
        log=log,
        key=place.operator_key(),
        vitals=vitals.metrics,
    )


def _edge(name: str, place: Place, settings: Settings, log: Log, closing: ExitStack, vitals: Vitals) -> Role:
    from rostra.edge.role import EdgeRole

    return EdgeRole(
        library=_library(place, settings, closing),
        settings=settings,
        clock=SystemClock(),
        log=log,
        key=place.operator_key(),
        name=name,
        vitals=vitals.metrics,
    )


def _edge_of(upstream: str, name: str, place: Place, settings: Settings, log: Log, vitals: Vitals) -> Role:
    from rostra.edge.mp3 import RemoteMp3
    from rostra.edge.role import EdgeRole
    from rostra.edge.telling import to_upstream
    from rostra.edge.upstream import Upstream
    from rostra.edge.upstream_source import UpstreamSource

    clock = SystemClock()
    machine = f"{socket.gethostname()}:{settings.address('edge')[1]}"
    above = Upstream(upstream, machine)
    return EdgeRole(
        settings=settings,
        clock=clock,
        log=log,
        key=place.operator_key(),
        name=f"{machine}/{name}",
        vitals=vitals.metrics,
        source=UpstreamSource(above, clock),
        tell=to_upstream(above, place.operator_key()),
        mp3=RemoteMp3(Upstream(upstream, machine)),
    )


def _control(name: str, place: Place, settings: Settings, log: Log, closing: ExitStack, vitals: Vitals) -> Role:
    from rostra.control.role import ControlRole
    from rostra.store.sql import open_sqlite

    store = open_sqlite(place.data / "people.db")
    closing.callback(store.close)
    return ControlRole(
        library=_library(place, settings, closing),
        settings=settings,
        clock=SystemClock(),
        log=log,
        key=place.operator_key(),
        store=store,
        private=private_sockets(settings, place.run),
        vitals=vitals.metrics,
    )


def _radio(name: str, place: Place, settings: Settings, log: Log, closing: ExitStack, vitals: Vitals) -> Role:
    from rostra.broadcast.radio import RadioRole

    return RadioRole(library=_library(place, settings, closing), clock=SystemClock(), log=log, vitals=vitals.metrics)


def _stage(name: str, place: Place, settings: Settings, log: Log, closing: ExitStack, vitals: Vitals) -> Role:
    from rostra.broadcast.programme import Broadcast
    from rostra.stage.role import StageRole

    with contextlib.suppress(
        OSError
    ):  # where we may: a stage that has to wait for the others' work is heard to stutter
        os.setpriority(os.PRIO_PROCESS, 0, _STAGE_NICE)
    clock = SystemClock()
    return StageRole(
        library=_library(place, settings, closing),
        settings=settings,
        clock=clock,
        log=log,
        key=place.operator_key(),
        broadcasting=Broadcast(clock, log),
        vitals=vitals.metrics,
    )


_BUILDERS: dict[str, Callable[[str, Place, Settings, Log, ExitStack, Vitals], Role]] = {
    "door": _door,
    "edge": _edge,
    "control": _control,
    "stage": _stage,
    "radio": _radio,
}
