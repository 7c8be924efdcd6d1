"""`rostra serve`: one command that runs every role on one machine."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

from rostra.app.place import Place, Running, settings_of
from rostra.app.talk import ask
from rostra.kernel.errors import Fault, Unavailable
from rostra.kernel.log import Log, write_to_stderr
from rostra.kernel.settings import ROLES, Settings
from rostra.wire.secure import certificate_of


def serve(data: Path, *, host: str | None, port: int | None, as_json: bool, debug: bool) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        Fault: the data is in use, a port is taken, the settings are wrong, or a role does not start.
    """
    place = Place(data)
    place.prepare()
    settings = settings_of(place, host=host, port=port)
    write_to_stderr("debug" if debug else settings.log_level)
    certificate_of(settings.tls_certificate, settings.tls_key)
    log = Log("serve")
    with place.locked() as lock:
        asyncio.run(_run(place, settings, log, lock, as_json, debug))


async def _run(place: Place, settings: Settings, log: Log, lock: int, as_json: bool, debug: bool) -> None:
    from rostra.app.listening import close_all, open_all
    from rostra.app.supervisor import Supervisor, role_command

    sockets = open_all(settings, place.run)
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    command = role_command(str(place.data), settings.host, settings.port, debug)
    supervisor = Supervisor(command, sockets, log, keep=(lock,))
    greeting = asyncio.create_task(_greet(place, settings, ready, as_json))
    log.info("starting", host=settings.host, port=settings.port, pid=os.getpid())
    try:
        await supervisor.run(stop, ready)
    finally:
        greeting.cancel()
        await asyncio.gather(greeting, return_exceptions=True)
        place.forget()
        close_all(sockets)
        log.info("stopped", restarts=supervisor.restarts())


async def _greet(place: Place, settings: Settings, ready: asyncio.Event, as_json: bool) -> None:
    """When all roles are ready: note it for the other commands, and print where to go."""
    await ready.wait()
    running = Running(
        pid=os.getpid(),
        door=settings.door_base,
        sound=settings.sound_base,
        host=settings.host,
        ports={role: settings.address(role)[1] for role in ROLES},
        since_us=time.time_ns() // 1000,
    )
    place.note(running)
    link = None
    try:
        link = (await asyncio.to_thread(ask, place, running, "POST", "/api/links"))["link"]
    except (Fault, Unavailable, KeyError) as wrong:
        Log("serve").warning("no sign-in link", why=str(wrong))
    if as_json:
        said = {"page": settings.door_base, "sign_in": link, "sound": settings.sound_base, "pid": os.getpid()}
        print(json.dumps(said), flush=True)
        return
    print(f"\nRostra is on {settings.door_base}\n")
    if link:
        print(f"Sign in as the operator (once, within half an hour):\n  {link}\n")
    print("Stop with Ctrl-C.", flush=True)
