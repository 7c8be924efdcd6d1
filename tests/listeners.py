"""Listeners by the thousand in a process of their own: `python listeners.py PORT SPACE FROM KIND=COUNT…`.

They speak as players of their kind do, only more rarely than they must: each fetches a part every few seconds. Prints
"in" when all have had sound. At each line on its standard input those of the kind "web" move to new connections and say
so; "moved" is the answer. Ends with its standard input.
"""

import asyncio
import random
import re
import sys
from collections.abc import Iterator

import uvloop

PAUSE_S = 3.0
RAMP_PER_S = 3000
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_NEXT = re.compile(rb"\r\nrostra-next: (\d+)", re.IGNORECASE)


class Line(asyncio.Protocol):
    """One connection: asks, and tells of each whole answer."""

    def __init__(self, listener: "Listener") -> None:
        self._listener, self._left, self._head = listener, 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, path: str) -> None:
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: a player\r\n\r\n".encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._head, 0, end)
            if length is None and not self._head.startswith(b"HTTP/1.1 204"):
                self._listener.answered(self._head[:end])  # a stream
                self._head = b""
                return
            self._left = (int(length[1]) if length else 0) - (len(self._head) - end - 4)
            self._answer = self._head[:end]
            self._head = b""
        if not self._left:
            self._listener.answered(self._answer)

    def close(self) -> None:
        self._transport.abort()  # type: ignore[attr-defined]


class Listener:
    """`base`: below which the parts lie; `query`: what the player adds to every address."""

    connections = 1

    def __init__(self, house: "House", base: str, query: str = "") -> None:
        self.house, self.base, self.query = house, base, query
        self.lines: list[Line] = []
        self.next = house.begin
        self.heard = False
        self.asked = 0
        self.timer: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        self.lines = [await self.house.connect(self) for _ in range(self.connections)]
        self.lines[0].ask(self.first())

    def first(self) -> str:
        return f"{self.base}init.mp4{self.query}"

    def answered(self, head: bytes) -> None:
        if not head.startswith((b"HTTP/1.1 20", b"HTTP/1.0 200")):
            self.house.wrong(head)
        if not self.heard:
            self.heard = True
            self.house.inside()
            self.ask()
            return
        # So many seconds of sound are skipped as are waited: nobody falls behind the newest part, nobody is counted as replay.
        pause_s = PAUSE_S * random.uniform(0.8, 1.2)
        self.next += int(pause_s / 0.5)
        self.timer = self.house.loop.call_later(pause_s, self.ask)

    def ask(self) -> None:
        self.asked += 1
        line = self.lines[self.asked % len(self.lines)]  # one that says nothing for long would be closed
        line.ask(f"{self.base}part/{self.next}.m4s{self.query}")


class Web(Listener):
    def first(self) -> str:
        return f"{self.base}join.mp4{self.query}"

    def answered(self, head: bytes) -> None:
        found = _NEXT.search(head)
        if found is not None:
            self.next = int(found[1])
        super().answered(head)

    def ask(self) -> None:
        self.lines[0].ask(f"{self.base}part/{self.next}.m4s")

    async def move(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.lines[0].close()
        self.lines = [await self.house.connect(self)]
        self.lines[0].ask(f"/s/{self.house.space}/here{self.query}")


class Hls(Listener):
    pass


class HlsOnTwo(Listener):
    """A player that names its session and spreads its questions over two connections."""

    connections = 2


class Stream(Listener):
    def first(self) -> str:
        return self.base

    def answered(self, head: bytes) -> None:
        if not self.heard:
            self.heard = True
            self.house.inside()


class House:
    def __init__(self, port: int, space: str, begin: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.port, self.space, self.begin = port, space, begin
        self.missing = 0
        self.all_in = asyncio.Event()

    async def connect(self, listener: Listener) -> Line:
        return (await self.loop.create_connection(lambda: Line(listener), "127.0.0.1", self.port))[1]

    def inside(self) -> None:
        self.missing -= 1
        if not self.missing:
            self.all_in.set()

    def wrong(self, head: bytes) -> None:
        raise SystemExit(f"an answer that no player can use: {head[:200]!r}")

    def people(self, kind: str, count: int) -> Iterator[Listener]:
        base = f"/s/{self.space}/"
        for number in range(count):
            match kind:
                case "web":
                    yield Web(self, f"{base}opus/", f"?sid=browser-tab-{number}")
                case "web-unnamed":
                    yield Web(self, f"{base}opus/")
                case "hls":
                    yield Hls(self, f"{base}hls/")
                case "hls-cmcd":
                    yield HlsOnTwo(self, f"{base}hls/", f"?CMCD=sid%3D%22player-{number}%22%2Cv%3D1")
                case "stream":
                    yield Stream(self, f"{base}live.opus")


async def main(port: int, space: str, begin: int, kinds: list[str]) -> None:
    house = House(port, space, begin)
    everybody = [one for kind in kinds for one in house.people(kind.partition("=")[0], int(kind.partition("=")[2]))]
    random.shuffle(everybody)
    house.missing = len(everybody)
    began = house.loop.time()
    for number, listener in enumerate(everybody):
        await listener.begin()
        ahead_s = began + number / RAMP_PER_S - house.loop.time()
        if ahead_s > 0.02:
            await asyncio.sleep(ahead_s)
    await house.all_in.wait()
    sys.stdout.write("in\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        tabs = [one for one in everybody if isinstance(one, Web) and one.query]
        for tab in tabs[: int(line)]:
            await tab.move()
        sys.stdout.write("moved\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
