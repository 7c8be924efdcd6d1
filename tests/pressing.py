"""A crowd that presses an edge, in a process of its own: `python pressing.py PORT PATH CONNECTIONS [AHEAD]`.

On each connection AHEAD requests for the path are always under way; with 0 each asks once and keeps quiet. Prints "in" when all have
been answered once. Ends with its standard input.
"""

import asyncio
import sys

import uvloop


class Line(asyncio.Protocol):
    """Asks for the same again and again; looks at the first answer only, and then counts bytes."""

    def __init__(self, asks: bytes, ahead: int, on_first: asyncio.Event) -> None:
        self._asks, self._ahead, self._on_first = asks * ahead, ahead, on_first
        self._first, self._length, self._due = b"", 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._length:
            self._due -= len(data)
        else:
            self._first += data
            head, ended, body = self._first.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) if ended else 0
            if not ended or len(body) < length:
                return
            self._length = len(head) + 4 + length
            self._on_first.set()
        if self._due <= 0 < self._ahead:
            self._due += self._ahead * self._length
            self._transport.write(self._asks)  # type: ignore[attr-defined]


async def main(port: int, path: str, connections: int, ahead: int) -> None:
    loop = asyncio.get_running_loop()
    asks = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    answered = [asyncio.Event() for _ in range(connections)]
    lines: list[asyncio.WriteTransport] = []
    for one in answered:
        transport, _ = await loop.create_connection(lambda: Line(asks, ahead, one), "127.0.0.1", port)  # noqa: B023 - called here
        transport.write(asks)
        lines.append(transport)
    for one in answered:
        await one.wait()
    sys.stdout.write("in\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    for transport in lines:
        transport.abort()


if __name__ == "__main__":
    port, path, connections, *ahead = sys.argv[1:]
    uvloop.run(main(int(port), path, int(connections), int(ahead[0]) if ahead else 0))
