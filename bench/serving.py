"""Door and edges as `rostra serve` runs them, without a stage, which would take up the Space that the bench's feed writes.

    python bench/serving.py DATA PORT

Prints the process id of each role as one JSON object when all are ready; stops when its standard input ends.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from rostra.app.listening import close_all, open_all
from rostra.app.place import Place, settings_of
from rostra.app.supervisor import Supervisor, role_command
from rostra.kernel.log import Log, write_to_stderr

AWAY = ("stage", "control")


async def _serve(data: Path, port: int) -> None:
    place = Place(data)
    place.prepare()
    settings = settings_of(place, host="127.0.0.1", port=port)
    write_to_stderr("warning")
    sockets = open_all(settings, place.run)
    for name in AWAY:
        close_all({name: sockets.pop(name)})
    stop, ready = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_reader(0, lambda: os.read(0, 4096) or stop.set())
    supervisor = Supervisor(role_command(str(place.data), settings.host, port, False), sockets, Log("serve"))
    running = asyncio.create_task(supervisor.run(stop, ready))
    saying = asyncio.create_task(ready.wait())
    await asyncio.wait([running, saying], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        print(json.dumps(supervisor.pids()), flush=True)
    try:
        await running
    finally:
        saying.cancel()
        close_all(sockets)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
