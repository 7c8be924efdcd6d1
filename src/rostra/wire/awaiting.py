"""Handlers that take time, and errors as the responses that say them."""

import json
from collections.abc import Awaitable, Callable

from rostra.kernel.errors import Overloaded, PeerError, RostraError, Unavailable
from rostra.wire.exchange import Exchange, Handler, Owner
from rostra.wire.http1 import Request, Response


def awaiting(answer: Callable[[Request], Awaitable[Response]]) -> Handler:
    """A handler for requests that take time.

    What `answer` raises becomes a response: PeerError its status, Overloaded and Unavailable 503 with Retry-After, anything
    else a logged 500. It runs to its end even if the peer leaves, so that no command is half done.
    """

    async def run(exchange: Exchange, server: Owner) -> None:
        try:
            response = await answer(exchange.request.of(exchange.peer))
        except RostraError as error:
            response = refusal(error)
        except Exception as error:  # noqa: BLE001 - the border of one request: it must not take the server with it
            server.fault(error, exchange.request)
            response = refusal(RostraError())
        if not exchange.gone:
            exchange.send_response(response)
            return
        server.counters.late_answers += 1
        close = getattr(response.body, "aclose", None)
        if close is not None:
            await close()

    def handle(exchange: Exchange) -> None:
        server = exchange.server
        server.spawn(run(exchange, server))

    return handle


def refusal(error: RostraError) -> Response:
    """The response that says what `error` says: a JSON object with `code` and `message`."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if isinstance(error, PeerError):
        return Response(error.status, headers + list(error.headers), _json(error.code, str(error)))
    if isinstance(error, Overloaded | Unavailable):
        headers.append(("Retry-After", str(error.retry_after_s)))
        return Response(
            503, headers, _json("overloaded" if isinstance(error, Overloaded) else "unavailable", str(error))
        )
    return Response(500, headers, _json("fault", "Something failed on our side. It has been written down."))


def _json(code: str, message: str) -> bytes:
    return json.dumps({"code": code, "message": message}).encode()
