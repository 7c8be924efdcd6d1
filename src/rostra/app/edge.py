"""`rostra edge --upstream URL`: edges alone, which follow another edge over HTTP instead of a record on disk."""

import asyncio
import json
import os
import signal
from pathlib import Path

from rostra.app.place import Place, settings_of
from rostra.kernel.errors import Fault
from rostra.kernel.log import Log, write_to_stderr
from rostra.kernel.settings import Settings, role_of
from rostra.wire.secure import certificate_of


def edge(data: Path, upstream: str, *, host: str | None, port: int, as_json: bool, debug: bool) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        Fault: the data is in use, the port is taken, the settings or the address are wrong, or the edge does not start.
    """
    from rostra.edge.upstream import check_url

    check_url(upstream)
    if not 2 <= port <= 65535:
        raise Fault(f"There is no port {port} to listen on.", "Choose one from 2 to 65535.")
    place = Place(data)
    place.prepare()
    # The edge listens one port above the door's, and here is no door.
    settings = settings_of(place, host=host, port=min(port - 1, 65_531))
    if settings.address("edge")[1] != port:
        raise Fault(f"Port {port} is too high for an edge.", "Choose one up to 65532.")
    write_to_stderr("debug" if debug else settings.log_level)
    certificate_of(settings.tls_certificate, settings.tls_key)
    with place.locked() as lock:
        asyncio.run(_run(place, settings, upstream, lock, as_json, debug))


async def _run(place: Place, settings: Settings, upstream: str, lock: int, as_json: bool, debug: bool) -> None:
    from rostra.app.listening import close_all, open_all
    from rostra.app.supervisor import Supervisor, role_command

    log = Log("edge")
    names = [name for name in settings.processes if role_of(name) == "edge"]
    sockets = open_all(settings, place.run, names)
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    command = role_command(str(place.data), settings.host, settings.port, debug)
    supervisor = Supervisor([*command, "--upstream", upstream], sockets, log, keep=(lock,))
    greeting = asyncio.create_task(_greet(settings, upstream, ready, as_json))
    log.info("starting", host=settings.host, port=settings.address("edge")[1], upstream=upstream, pid=os.getpid())
    try:
        await supervisor.run(stop, ready)
    finally:
        greeting.cancel()
        await asyncio.gather(greeting, return_exceptions=True)
        close_all(sockets)
        log.info("stopped", restarts=supervisor.restarts())


async def _greet(settings: Settings, upstream: str, ready: asyncio.Event, as_json: bool) -> None:
    await ready.wait()
    if as_json:
        print(json.dumps({"sound": settings.sound_base, "upstream": upstream, "pid": os.getpid()}), flush=True)
    else:
        print(f"\nThe sound of {upstream} is on {settings.sound_base}\n\nStop with Ctrl-C.", flush=True)
