"""What a listener costs an edge process in memory: connected and idle, and waiting for the next part."""

import asyncio
import logging
import os
import re
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from broadcasts import SPACE, Broadcast, payload
from rostra_process import ROSTRA, environment

from rostra.app.place import Place
from rostra.sound.renditions import Rendition

LISTENERS = 5000
IDLE_BYTES = 2560
WAITING_BYTES = 1024
LISTENER_BYTES = 3072
"""Of one who has heard some parts and waits for the next."""
ROUNDS = 3


class Edge:
    """One edge as a process of its own, on a port of its own."""

    def __init__(self, data: Path) -> None:
        self._key = Place(data).operator_key()
        listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = int(listening.getsockname()[1])
        hear, tell = os.pipe()
        self.process = subprocess.Popen(
            [*ROSTRA, "role", "edge", "--data", str(data), "--sockets", str(listening.fileno()),
             "--heart", str(tell), "--parent", str(os.getpid())],
            pass_fds=(listening.fileno(), tell), env=environment(), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(tell)
        assert os.read(hear, 1)
        os.close(hear)
        listening.close()

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def ask(self, path: str, key: str = "") -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as one:
            one.sendall(
                f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
            )
            whole = b""
            while more := one.recv(65536):
                whole += more
        return whole

    def count(self, metric: str) -> int:
        found = re.search(rf"^{metric}(?:{{[^}}]*}})? (\d+)$", self.ask("/metrics", self._key).decode(), re.MULTILINE)
        assert found is not None, metric
        return int(found[1])

    def until(self, metric: str, least: int) -> None:
        deadline = time.monotonic() + 60
        while self.count(metric) < least:
            assert time.monotonic() < deadline, metric
            time.sleep(0.02)


@contextmanager
def edge_of(data: Path) -> Iterator[Edge]:
    edge = Edge(data)
    try:
        yield edge
    finally:
        edge.process.terminate()
        edge.process.wait(20)


def test_bytes_for_each_idle_and_each_waiting_listener_are_bounded(tmp_path: Path) -> None:
    Place(tmp_path).prepare()
    broadcast = Broadcast(tmp_path)

    async def grow(parts: int) -> None:
        await broadcast.add(parts)

    with asyncio.Runner() as runner, ExitStack() as stack:
        runner.run(broadcast.go_live())
        runner.run(grow(40))
        edge = stack.enter_context(edge_of(tmp_path))
        assert b"Rostra-Next: 40" in edge.ask(f"/s/{SPACE}/opus/join.mp4")
        _connect(edge, 500, stack)  # what the first few cost is not each one's
        before = edge.resident_bytes()
        sockets = _connect(edge, LISTENERS, stack)
        connected = waiting = later = edge.resident_bytes()
        for number in range(40, 40 + ROUNDS):
            held = f"GET /s/{SPACE}/opus/part/{number}.m4s HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            for one in sockets:
                one.sendall(held)
            edge.until("rostra_edge_waiting", LISTENERS)
            later = edge.resident_bytes()
            waiting = later if number == 40 else waiting
            runner.run(grow(1))
            expected = payload(Rendition.OPUS, number)
            for one in sockets:
                assert _read(one).endswith(expected)
        runner.run(broadcast.close())
    idle_bytes, waiting_bytes = (connected - before) / LISTENERS, (waiting - connected) / LISTENERS
    in_all_bytes = (later - before) / LISTENERS
    said = f"a connection {idle_bytes:.0f} bytes, waiting {waiting_bytes:.0f} more, after {ROUNDS} parts {in_all_bytes:.0f}"
    logging.getLogger(__name__).info(said)
    assert 0 < idle_bytes < IDLE_BYTES, said
    assert 0 < waiting_bytes < WAITING_BYTES, said
    assert in_all_bytes < LISTENER_BYTES, said


def _connect(edge: Edge, count: int, stack: ExitStack) -> list[socket.socket]:
    opened = edge.count("rostra_wire_open")
    sockets = [
        stack.enter_context(socket.create_connection(("127.0.0.1", edge.port), timeout=20)) for _ in range(count)
    ]
    edge.until("rostra_wire_open", opened + count)
    return sockets


def _read(one: socket.socket) -> bytes:
    one.settimeout(20)
    whole = b""
    while True:
        whole += one.recv(65536)
        head, ended, body = whole.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if ended and length and len(body) >= int(length[1]):
            return whole
