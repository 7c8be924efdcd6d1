"""An edge in a process of its own: `python edge_process.py DATA STAGE_PORT NAME SOCKET`. Ends with its standard input."""

import asyncio
import socket
import sys
from pathlib import Path

import uvloop

from rostra.edge.role import EdgeRole
from rostra.kernel.clock import SystemClock
from rostra.kernel.log import Log
from rostra.kernel.settings import Settings
from rostra.timeline.disk import DiskLibrary

KEY = "the operator's key"


async def serve(data: Path, stage_port: int, name: str, listening: socket.socket) -> None:
    library = DiskLibrary(data, SystemClock())
    settings = Settings(port=stage_port - 3)  # as if door, edge and control stood before it
    role = EdgeRole(library=library, settings=settings, clock=SystemClock(), log=Log(name), key=KEY, name=name)
    await role.start([listening])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await role.stop(1)
    library.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], socket.socket(fileno=int(sys.argv[4]))))
