"""What a listener costs an edge process in memory: connected and idle, waiting for the next part or list, on a stream, over TLS."""

import asyncio
import logging
import os
import re
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from broadcasts import SPACE, Broadcast, payload
from certificates import make
from rostra_process import ROSTRA, environment, free_ports
from sounding import sound

from rostra.app.place import Place
from rostra.sound.renditions import Rendition

LISTENERS = 5000
SECURE = 600
"""Handshakes cost more than what is measured here."""
IDLE_BYTES = 2560
WAITING_BYTES = 1024
LISTENER_BYTES = 3072
"""Of one who has heard some parts and waits for the next, or for more of a stream."""
SECURE_BYTES = 98_304
BEGUN = 40
ROUNDS = 3


class Role:
    """One role as a process of its own, with one socket."""

    def __init__(self, name: str, data: Path, port: int) -> None:
        listening = socket.create_server(("127.0.0.1", port), backlog=4096)
        hear, tell = os.pipe()
        self.process = subprocess.Popen(
            [*ROSTRA, "role", name, "--data", str(data), "--sockets", str(listening.fileno()),
             "--heart", str(tell), "--parent", str(os.getpid())],
            pass_fds=(listening.fileno(), tell), env=environment(), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(tell)
        assert os.read(hear, 1)
        os.close(hear)
        listening.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


class World:
    """A Space under way, an edge, and the radio it may ask."""

    def __init__(self, data: Path, secure: bool) -> None:
        place, first = Place(data), free_ports(8)
        place.prepare()
        settings = [f"port = {first}"]
        self._trust: ssl.SSLContext | None = None
        if secure:
            authority, chain, key = make(data / "tls")
            self._trust = ssl.create_default_context(cafile=authority)
            settings += [f'tls_certificate = "{chain}"', f'tls_key = "{key}"']
        place.settings_file.write_text("\n".join([*settings, ""]))
        self._key, self._port = place.operator_key(), first + 1
        self._broadcast, self._runner = Broadcast(data), asyncio.Runner()
        self.sockets: list[socket.socket] = []
        self._runner.run(self._broadcast.go_live())
        self._roles = [Role("edge", data, self._port), Role("radio", data, first + 4)]

    def close(self) -> None:
        for one in self.sockets:
            one.close()
        for role in self._roles:
            role.stop()
        self._runner.run(self._broadcast.close())
        self._runner.close()

    def grow(self, parts: int, add: Callable[[Broadcast, int], Awaitable[None]] = Broadcast.add) -> None:
        async def grow() -> None:
            await add(self._broadcast, parts)

        self._runner.run(grow())

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self._roles[0].process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def connect(self, count: int) -> list[socket.socket]:
        """So many more, once the edge has them all."""
        opened = self.count("rostra_wire_open")
        made = [self._connection() for _ in range(count)]
        self.sockets += made
        self.until("rostra_wire_open", opened + count)
        return made

    def ask(self, path: str) -> bytes:
        with self._connection() as one:
            one.sendall(
                f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {self._key}\r\n\r\n".encode()
            )
            whole = b""
            while more := one.recv(65536):
                whole += more
        return whole

    def count(self, metric: str) -> int:
        found = re.search(rf"^{re.escape(metric)}(?:{{[^}}]*}})? (\d+)$", self.ask("/metrics").decode(), re.MULTILINE)
        assert found is not None, metric
        return int(found[1])

    def until(self, metric: str, least: int) -> None:
        deadline = time.monotonic() + 60
        while self.count(metric) < least:
            assert time.monotonic() < deadline, metric
            time.sleep(0.02)

    def _connection(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        return self._trust.wrap_socket(plain, server_hostname="localhost") if self._trust is not None else plain


@contextmanager
def world(data: Path, *, secure: bool = False) -> Iterator[World]:
    made = World(data, secure)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True)
class Waiter:
    """`asks`: for what is made by part `number`. `gets`: how the answer to that ends."""

    asks: Callable[[int], str]
    gets: Callable[[int], bytes]
    listeners: int = LISTENERS
    in_all_bytes: int = LISTENER_BYTES
    secure: bool = False


def _part(number: int) -> str:
    return f"opus/part/{number}.m4s"


def _list(number: int) -> str:
    return f"hls/live.m3u8?_HLS_msn={number // 8}&_HLS_part={number % 8}"


def _sound_of(number: int) -> bytes:
    return payload(Rendition.OPUS, number)


def _report_after(number: int) -> bytes:
    return f'URI="../low/live.m3u8",LAST-MSN={number // 8},LAST-PART={number % 8}\n'.encode()


WAITERS = {
    "part": Waiter(_part, _sound_of),
    "list": Waiter(_list, _report_after),
    "part over TLS": Waiter(_part, _sound_of, SECURE, SECURE_BYTES, secure=True),
}


@pytest.mark.parametrize("kind", WAITERS)
def test_bytes_for_each_idle_and_each_waiting_listener_are_bounded(tmp_path: Path, kind: str) -> None:
    one_of = WAITERS[kind]
    with world(tmp_path, secure=one_of.secure) as here:
        here.grow(BEGUN)
        for path in ("opus/join.mp4", "hls/live.m3u8"):
            assert b" 200 OK\r\n" in here.ask(f"/s/{SPACE}/{path}")
        here.connect(one_of.listeners // 10)  # what the first few cost is not each one's
        before = here.resident_bytes()
        crowd = here.connect(one_of.listeners)
        connected = waiting = later = here.resident_bytes()
        for number in range(BEGUN, BEGUN + ROUNDS):
            held = f"GET /s/{SPACE}/{one_of.asks(number)} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            for one in crowd:
                one.sendall(held)
            here.until("rostra_edge_waiting", one_of.listeners)
            later = here.resident_bytes()
            waiting = later if number == BEGUN else waiting
            here.grow(1)
            for one in crowd:
                assert _read(one).endswith(one_of.gets(number))
    idle_bytes, waiting_bytes, in_all_bytes = (
        (after - from_) / one_of.listeners
        for after, from_ in ((connected, before), (waiting, connected), (later, before))
    )
    said = f"{kind}: a connection {idle_bytes:.0f} bytes, waiting {waiting_bytes:.0f} more, after {ROUNDS} answers {in_all_bytes:.0f}"
    logging.getLogger(__name__).info(said)
    if not one_of.secure:
        assert 0 < idle_bytes < IDLE_BYTES, said
        assert waiting_bytes < WAITING_BYTES, said
    assert 0 < in_all_bytes < one_of.in_all_bytes, said


@pytest.mark.parametrize("titles", [False, True])
@pytest.mark.parametrize("kind", ["opus", "mp3"])
def test_bytes_for_each_listener_of_a_stream_are_bounded(tmp_path: Path, kind: str, titles: bool) -> None:
    more = "Icy-MetaData: 1\r\n" if titles else ""
    asks = f"GET /s/{SPACE}/live.{kind} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()
    with world(tmp_path) as here:
        here.grow(BEGUN, sound)

        def listen(count: int) -> list[socket.socket]:
            on_air = here.count(f'rostra_edge_stream_listeners{{kind="{kind}"}}')
            made = here.connect(count)
            for one in made:
                one.sendall(asks)
            here.until(f'rostra_edge_stream_listeners{{kind="{kind}"}}', on_air + count)
            return made

        crowd = listen(LISTENERS // 10)
        before = here.resident_bytes()
        crowd += listen(LISTENERS)
        joined = later = here.resident_bytes()
        for _ in range(ROUNDS):
            written = here.count("rostra_edge_stream_parts_written_total")
            here.grow(1, sound)
            here.until("rostra_edge_stream_parts_written_total", written + len(crowd))
            later = here.resident_bytes()
            for one in crowd:
                assert one.recv(65536)
        assert here.count("rostra_edge_stream_fell_behind_total") == 0
    joined_bytes, in_all_bytes = (joined - before) / LISTENERS, (later - before) / LISTENERS
    said = f"{kind}{' with titles' if titles else ''}: joined {joined_bytes:.0f} bytes, after {ROUNDS} parts {in_all_bytes:.0f}"
    logging.getLogger(__name__).info(said)
    assert 0 < in_all_bytes < LISTENER_BYTES, said


def _read(one: socket.socket) -> bytes:
    one.settimeout(20)
    whole = b""
    while True:
        whole += one.recv(65536)
        head, ended, body = whole.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if ended and length and len(body) >= int(length[1]):
            return whole
