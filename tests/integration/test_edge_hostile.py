"""What the internet sends to an open port: an edge in a process of its own answers it, keeps its memory, and its listener hears on."""

import contextlib
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broadcasts import SPACE, Broadcast, payload
from ogg_pages import pages
from rostra_process import environment, free_ports

from rostra.app.place import Place
from rostra.edge.crowd import RING_PARTS
from rostra.sound.renditions import Rendition

BASE = f"/s/{SPACE}"
RECORDED = 400
"""Parts on the record before the first test: a recording of two and a half megabytes."""
EVERY_S = 0.15
MB = 1 << 20


class Edge:
    """The edge's process, and its Space that goes on by a part every 0.15 s."""

    def __init__(self, data: Path, every_s: float = EVERY_S) -> None:
        Place(data).prepare()
        self._every_s = every_s
        self._broadcast = Broadcast(data)
        self.port = free_ports(8)
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=4096)
        hear, tell = os.pipe()
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "rostra", "role", "--data", str(data), "--host", "127.0.0.1", "--port", str(self.port - 1),
                "edge", "--sockets", str(self._listening.fileno()), "--heart", str(tell), "--parent", str(os.getpid()),
            ],
            pass_fds=(self._listening.fileno(), tell), env=environment(), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(tell)
        self.parts = 0
        self._stop, self._end = threading.Event(), threading.Event()
        self._going_on = threading.Thread(target=self._go_on)
        self._going_on.start()
        assert os.read(hear, 1), "the edge did not start"
        os.close(hear)
        while self.parts < RECORDED:
            time.sleep(0.01)
        assert self.get("/hls/live.m3u8").startswith(b"HTTP/1.1 200")

    def end(self) -> None:
        """The Space ends."""
        self._end.set()
        self._stop.set()
        self._going_on.join()

    def close(self) -> int:
        self._stop.set()
        self._going_on.join()
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(20)
        finally:
            self._process.kill()
            self._listening.close()

    def _go_on(self) -> None:
        import asyncio

        async def go_on() -> None:
            await self._broadcast.go_live()
            await self._broadcast.add(RECORDED)
            self.parts = RECORDED
            due = time.monotonic()
            while not self._stop.is_set():
                await self._broadcast.add()
                self.parts += 1
                due = max(due + self._every_s, time.monotonic())
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self._end.is_set():
                await self._broadcast.end()
            await self._broadcast.close()

        asyncio.run(go_on())

    def connect(self, receive_bytes: int | None = None) -> socket.socket:
        made = socket.socket()
        if receive_bytes is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.settimeout(10)
        made.connect(("127.0.0.1", self.port))
        return made

    def say(self, data: bytes) -> bytes:
        """All that comes back until the edge hangs up, or nothing more comes for half a second."""
        with self.connect() as one:
            with contextlib.suppress(ConnectionError):
                one.sendall(data)
            return read_all(one)

    def get(self, path: str, *lines: str) -> bytes:
        """The answer to one request below the Space, on a connection of its own."""
        return self.say(request(path, "Connection: close", *lines))

    @property
    def rss(self) -> int:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    @property
    def files(self) -> int:
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))


def request(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {BASE}{path} HTTP/1.1", "Host: a", *lines, "", ""]).encode("latin-1")


def read_all(one: socket.socket, quiet_s: float = 0.5) -> bytes:
    one.settimeout(quiet_s)
    got = bytearray()
    with contextlib.suppress(TimeoutError, ConnectionError):
        while piece := one.recv(65536):
            got += piece
    return bytes(got)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


class Listener(threading.Thread):
    """Inside before the trouble begins: asks for the next part, and the next, on one connection."""

    def __init__(self, edge: Edge) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.heard = 0
        self.slowest_s = 0.0
        self.wrong: list[str] = []
        self._edge, self._socket = edge, edge.connect()
        self._number = edge.parts - 1

    def run(self) -> None:
        waiting = bytearray()
        with self._socket as one:
            while not self.stop.is_set():
                began = time.monotonic()
                one.sendall(request(f"/opus/part/{self._number}.m4s"))
                body = payload(Rendition.OPUS, self._number)
                try:
                    while b"\r\n\r\n" not in waiting or len(waiting.partition(b"\r\n\r\n")[2]) < len(body):
                        piece = one.recv(65536)
                        if not piece:
                            self.wrong.append("the edge hung up")
                            return
                        waiting += piece
                except OSError as wrong:
                    self.wrong.append(f"part {self._number}: {wrong}")
                    return
                _, _, got = waiting.partition(b"\r\n\r\n")
                if status(bytes(waiting)) != 200 or got[: len(body)] != body:
                    self.wrong.append(f"part {self._number} was answered {bytes(waiting[:60])!r}")
                    return
                del waiting[:]
                self.heard += 1
                self._number += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    made = Edge(tmp_path_factory.mktemp("hostile") / "data")
    try:
        yield made
    finally:
        code = made.close()
    assert code == 0


@pytest.fixture(scope="module")
def half_open(edge: Edge) -> Iterator[tuple[float, list[socket.socket]]]:
    """Opened before the first test; the last one looks what became of them after the ten seconds that a request may take."""
    made, files = [], edge.files
    for at in range(300):
        one = edge.connect()
        # The last ones greet as SSH does: a line that could still become a request.
        one.sendall(request("/opus/part/1.m4s")[: 1 + at % 40] if at < 290 else b"SSH-2.0-OpenSSH_9.2\r\n")
        made.append(one)
    opened = time.monotonic()
    while edge.files < files + len(made) and time.monotonic() < opened + 5:
        time.sleep(0.01)
    yield opened, made
    for one in made:
        one.close()


@pytest.fixture
def undisturbed(edge: Edge, half_open: object) -> Iterator[Callable[[int], None]]:
    """A listener goes on through the test and at least two parts beyond. Call with the megabytes that the edge may have grown."""
    inside = Listener(edge)
    inside.start()
    before = edge.rss
    try:

        def check(grown_mb: int) -> None:
            heard = inside.heard
            deadline = time.monotonic() + 10
            while inside.heard < heard + 2 and inside.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert inside.wrong == []
            assert inside.heard >= heard + 2
            # Every part, in order, on the one connection; when, is for the benchmarks to say, on a machine that does nothing else.
            assert inside.slowest_s < 3
            assert edge.rss - before < grown_mb * MB, f"grown by {(edge.rss - before) / MB:.1f} MB"

        yield check
    finally:
        inside.stop.set()
        inside.join()


def test_slow_readers_cost_one_answer_each(edge: Edge, undisturbed: Callable[[int], None]) -> None:
    """400 ask for everything, again and again, or for the endless stream, and read nothing."""
    greedy = [edge.connect(4096) for _ in range(400)]
    everything = request("/recording.m4a") * 8 + request("/hls/replay.m3u8") * 8 + request("/hls/live.m3u8") * 40
    for at, one in enumerate(greedy):
        asks = everything if at < 300 else request("/live.opus", "Icy-MetaData: 1")
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            one.send(asks)
    undisturbed(60)
    patient = greedy[0]
    patient.setblocking(True)
    assert status(patient.recv(65536)) == 200
    for one in greedy:
        one.close()


def test_slow_listeners_of_a_stream_cost_no_more_when_it_ends(tmp_path: Path) -> None:
    """300 read nothing until the Space is over, when most of what is kept for such is owed to each; then one reads on."""
    edge = Edge(tmp_path / "data", every_s=0.03)
    slow = [edge.connect(4096) for _ in range(300)]
    try:
        for one in slow:
            one.sendall(request("/live.opus"))
        begun = edge.parts
        while edge.parts < begun + RING_PARTS:
            time.sleep(0.01)
        before = edge.rss
        edge.end()
        deadline = time.monotonic() + 10
        while status(edge.get("/live.opus")) != 404 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert edge.rss - before < 6 * MB, f"grown by {(edge.rss - before) / MB:.1f} MB"
        heard = pages(read_all(slow[0], 3).partition(b"\r\n\r\n")[2])
        assert heard[-1].flags == 4 and len(heard) > RING_PARTS
        assert [page.number for page in heard] == list(range(len(heard)))
        assert edge.rss - before < 6 * MB, f"grown by {(edge.rss - before) / MB:.1f} MB"
    finally:
        for one in slow:
            one.close()
        assert edge.close() == 0


def test_requests_may_be_split_anywhere_and_come_sixteen_at_once(
    edge: Edge, undisturbed: Callable[[int], None]
) -> None:
    whole = request("/opus/part/3.m4s")
    with edge.connect() as one:
        for byte in whole:
            one.send(bytes([byte]))
        assert read_all(one, 0.3).endswith(payload(Rendition.OPUS, 3))
    numbers = [number % 20 for number in range(16)]
    answers = edge.say(b"".join(request(f"/opus/part/{number}.m4s") for number in numbers))
    assert answers.count(b"HTTP/1.1 200") == 16
    bodies = [payload(Rendition.OPUS, number) for number in numbers]
    at = [answers.index(body) for body in bodies[:5]]
    assert at == sorted(at)
    undisturbed(4)


def test_who_sends_far_ahead_gets_the_first_answers_and_then_the_end(
    edge: Edge, undisturbed: Callable[[int], None]
) -> None:
    """100 peers with 85 megabytes of requests, behind one each that waits."""
    for _ in range(100):
        with edge.connect() as one:
            one.settimeout(0.2)
            with contextlib.suppress(OSError):
                one.sendall(request(f"/opus/part/{edge.parts + 3}.m4s") + request("/opus/part/1.m4s") * 15_000)
    undisturbed(24)


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_msn=99999", "_HLS_msn=-1", "_HLS_msn=18446744073709551615", "_HLS_msn=18446744073709551616", "_HLS_msn=1e3",
        "_HLS_msn=0x10", f"_HLS_msn={'9' * 3000}", "_HLS_part=0", "_HLS_msn=&_HLS_part=", "_HLS_msn=1&_HLS_msn=2",
        "_HLS_msn=%00", "_HLS_msn=1%0d%0aX:1", "_HLS_msn=٣",
    ],
)  # fmt: skip
def test_absurd_numbers_are_refused_at_once(edge: Edge, query: str) -> None:
    began = time.monotonic()
    answer = edge.say(f"GET {BASE}/hls/live.m3u8?{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert status(answer) == 400
    assert time.monotonic() - began < 2


def test_a_thousand_absurd_numbers_leave_nothing_behind(edge: Edge, undisturbed: Callable[[int], None]) -> None:
    with edge.connect() as one:
        for number in range(1000):
            one.sendall(request(f"/hls/live.m3u8?_HLS_msn={10**12 + number}"))
        refused = b""
        while refused.count(b"HTTP/1.1 400") < 1000:
            piece = one.recv(65536)
            assert piece
            refused += piece
        for number in range(200):
            one.sendall(request(f"/opus/part/{10**6 + number}.m4s"))
            assert one.recv(4096).startswith(b"HTTP/1.1 404")
    undisturbed(6)


RANGES = {
    "bytes=0-0": 206, "bytes=-1": 206, "bytes=0-": 206, "bytes=999999999-": 416, "bytes=99999999999999999999-": 200, "bytes=-0": 416,
    "bytes=5-2": 200, "bytes=0-18446744073709551615": 200, "bytes=0-999999999999": 206, "bytes=a-b": 200, "bytes=": 200, "lines=1-2": 200,
    "bytes=" + ",".join(f"{n}-{n}" for n in range(1500)): 200, f"bytes={'9' * 3000}-": 200,
}  # fmt: skip


def test_absurd_ranges_are_ignored_or_refused(edge: Edge, undisturbed: Callable[[int], None]) -> None:
    for asked, expected in RANGES.items():
        with edge.connect() as one:
            one.sendall(request("/recording.m4a", f"Range: {asked}", "Connection: close"))
            answer = one.recv(200)
        assert status(answer) in (expected, 400), (asked[:40], answer[:80])
    undisturbed(8)


@pytest.mark.parametrize("name", ["Cookie", "X-Strange", "Accept-Encoding", "If-None-Match", "User-Agent"])
def test_headers_of_every_size_are_read_or_refused_with_431(
    edge: Edge, undisturbed: Callable[[int], None], name: str
) -> None:
    for size in (0, 1, 100, 1000, 4000, 8000, 16_000, 17_000, 100_000, 1_000_000):
        answer = edge.get("/opus/part/2.m4s", f"{name}: {'x' * size}")
        assert status(answer) == (200 if size <= 16_000 else 431), (name, size)
    many = edge.get("/opus/part/2.m4s", *(f"X-{number}: 1" for number in range(200)))
    assert status(many) == 431
    undisturbed(4)


def test_long_addresses_are_refused_with_414(edge: Edge, undisturbed: Callable[[int], None]) -> None:
    for size, expected in ((3000, 404), (5000, 414), (100_000, 414)):
        assert status(edge.get(f"/{'x' * size}")) == expected
    undisturbed(4)


TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(185))
OTHERS = {
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "TLS": TLS_HELLO,
    "zeros": bytes(5000),
    "SOCKS": b"\5\1\0",
    "a proxy's line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + request("/opus/part/1.m4s"),
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_http_gets_one_refusal_and_the_end(
    edge: Edge, undisturbed: Callable[[int], None], what: str
) -> None:
    for _ in range(20):
        with edge.connect() as one:
            one.sendall(OTHERS[what])
            answer = one.recv(65536)
            assert status(answer) in (400, 505), answer[:80]
            assert read_all(one, 3) == b""
    undisturbed(4)


def test_ten_thousand_who_say_nothing_cost_little_and_not_for_long(
    edge: Edge, undisturbed: Callable[[int], None]
) -> None:
    crowd_size = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < crowd_size + 2000:
        pytest.skip(f"this machine allows {hard} open files, and ten thousand connections need more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, crowd_size + 2000), hard))
    files, before = edge.files, edge.rss
    crowd = [edge.connect() for _ in range(crowd_size)]
    try:
        deadline = time.monotonic() + 10
        while edge.files < files + crowd_size and time.monotonic() < deadline:
            time.sleep(0.02)
        assert edge.files >= files + crowd_size
        assert (edge.rss - before) / crowd_size < 3 * 1024, f"{(edge.rss - before) / crowd_size:.0f} bytes each"
        began = time.monotonic()
        assert status(edge.get("/opus/join.mp4")) == 200
        assert time.monotonic() - began < 2
        deadline = time.monotonic() + 25
        while edge.files > files + 50 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert edge.files <= files + 50, "who says nothing keeps a seat"
        undisturbed(32)
    finally:
        for one in crowd:
            one.close()


def test_who_hangs_up_while_waiting_is_forgotten(edge: Edge, undisturbed: Callable[[int], None]) -> None:
    """2,000 ask for what comes next and leave, half of them by closing their sending side only."""
    files = edge.files
    for at in range(2000):
        one = edge.connect()
        one.sendall(request(f"/opus/part/{edge.parts + 4}.m4s"))
        if at % 2:
            one.shutdown(socket.SHUT_WR)
        one.close()
    deadline = time.monotonic() + 10
    while edge.files > files + 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert edge.files <= files + 5
    undisturbed(8)


def test_half_a_request_is_answered_408_after_ten_seconds(
    edge: Edge, undisturbed: Callable[[int], None], half_open: tuple[float, list[socket.socket]]
) -> None:
    opened, waiting = half_open
    selector = selectors.DefaultSelector()
    for one in waiting:
        selector.register(one, selectors.EVENT_READ)
    answers: list[bytes] = []
    deadline = max(opened + 15, time.monotonic() + 10)
    while len(answers) < len(waiting) and time.monotonic() < deadline:
        for key, _ in selector.select(1):
            one = key.fileobj
            assert isinstance(one, socket.socket)
            selector.unregister(one)
            answers.append(one.recv(4096))
    assert {status(answer) for answer in answers} == {408}
    assert len(answers) == len(waiting)
    assert time.monotonic() - opened > 9
    undisturbed(8)
