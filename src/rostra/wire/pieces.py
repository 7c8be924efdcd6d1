"""A response whose body comes in pieces, sent at the pace its reader takes it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, cast

from rostra.wire.exchange import Exchange
from rostra.wire.http1 import Request, Response, encode


class Owner(Protocol):
    """What is needed of the server."""

    date: bytes

    def fault(self, error: BaseException, request: Request) -> None: ...


async def send_pieces(exchange: Exchange, response: Response, owner: Owner) -> None:
    """Send until the iterator ends, the peer leaves or, for an endless body, the server drains.

    Chunked, unless the response says its Content-Length or the peer speaks HTTP/1.0. If the iterator fails, the connection is
    cut, so that the peer does not take a part for the whole.
    """
    request = exchange.request
    body = cast(AsyncIterator[bytes], response.body)
    if exchange.gone:
        # The peer left before this began.
        await _close(body)
        return
    counted = any(name.lower() == "content-length" for name, _ in response.headers)
    chunked = not counted and request.version >= 11
    head = encode(response, keep_alive=True, head_only=True, date=owner.date, chunked=chunked)
    if request.method == "HEAD":
        exchange.send(head)
        await _close(body)
        return
    task = cast(asyncio.Task[None], asyncio.current_task())
    draining = False

    def drain() -> None:
        nonlocal draining
        draining = True
        task.cancel()

    stream = exchange.stream(head, ends_connection=not (chunked or counted))
    stream.on_gone(lambda: _cancel(task))
    if response.endless:
        stream.watched = True
        stream.on_drain(drain)
    try:
        async for piece in body:
            if piece:
                stream.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if not await stream.drained():
                    return
    except asyncio.CancelledError:
        if not draining or stream.gone:
            stream.abort()
            raise
    except Exception as error:  # noqa: BLE001 - the border of one request: it must not take the server with it
        owner.fault(error, request)
        stream.abort()
        return
    finally:
        await _close(body)
    if chunked:
        stream.write(b"0\r\n\r\n")
    stream.close()


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


async def _close(body: AsyncIterator[bytes]) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
