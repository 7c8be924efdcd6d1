"""The bell: tells other processes of this machine that a timeline grew.

Every follower has a datagram socket in one directory; the writer sends each the Space's id. Nothing depends on
a message arriving: what a full socket refuses is sent with the next ring, and followers look by themselves twice a second.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from rostra.kernel.ids import SpaceId, parse_space_id

LOOK_S = 0.5
"""How often a follower looks without having heard anything."""


class Ringer:
    """Rings every follower. Called from the writer's thread or loop; never blocks."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self._place = place
        self._dir = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._names: list[str] = []
        self._names_until = 0.0
        self._missed: dict[str, set[SpaceId]] = {}
        self.refused_total = 0

    def ring(self, space_id: SpaceId) -> None:
        for name in self._followers():
            owed = self._missed.setdefault(name, set())
            owed.add(space_id)
            self._send(name, owed)

    def close(self) -> None:
        self._socket.close()
        os.close(self._dir)

    def _followers(self) -> list[str]:
        now = time.monotonic()
        if now >= self._names_until:
            self._names = os.listdir(self._dir)
            self._names_until = now + 0.2
            for gone in self._missed.keys() - set(self._names):
                del self._missed[gone]
        return self._names

    def _send(self, name: str, owed: set[SpaceId]) -> None:
        while owed:
            space_id = owed.pop()
            try:
                self._socket.sendto(space_id.encode(), _short(self._dir, name))
            except (BlockingIOError, InterruptedError):
                self.refused_total += 1
                owed.add(space_id)
                return
            except OSError:  # nobody listens there any more: its process died without saying goodbye
                owed.clear()
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._dir)
                self._names_until = 0.0
                return


class Ear:
    """A follower's end, on the running loop."""

    def __init__(self, place: Path, heard: Callable[[SpaceId], None], look: Callable[[], None]) -> None:
        """`heard` is called for each Space named; `look` every LOOK_S, for what was not heard."""
        place.mkdir(parents=True, exist_ok=True)
        self._heard = heard
        self._look = look
        self._dir = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(_short(self._dir, self._name))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._timer = self._loop.call_later(LOOK_S, self._tick)

    def close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._name, dir_fd=self._dir)
        os.close(self._dir)

    def _read(self) -> None:
        named: set[SpaceId] = set()
        for _ in range(256):
            try:
                space_id = parse_space_id(self._socket.recv(64).decode("ascii", "replace"))
            except (BlockingIOError, InterruptedError):
                break
            if space_id:
                named.add(space_id)
        for space_id in named:
            self._heard(space_id)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(LOOK_S, self._tick)
        self._look()


def _short(directory: int, name: str) -> str:
    """A path to the socket that fits into the 108 bytes a Unix address has, however deep the data directory lies."""
    return f"/proc/self/fd/{directory}/{name}"
