"""What holds for every request before and after the API proper: bounds, deadlines, headers, and a sentence when all fails."""

import asyncio
import json
from collections import Counter
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rostra.kernel import metrics
from rostra.kernel.errors import DiskFull, Overloaded, PeerError, RostraError, Unavailable, UnknownSpace
from rostra.kernel.log import Log

BODY_MOST_BYTES: Final = 65_536
BODY_DEADLINE_S: Final = 20.0
ANSWER_DEADLINE_S: Final = 25.0
IN_WORK_MOST: Final = 64
"""Requests in work at once; one more is answered 503 with Retry-After."""

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_CLOSED: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Borders:
    """An ASGI application round the API's. The body is read whole, within its bounds, before the API hears of the request."""

    def __init__(self, app: ASGIApp, log: Log, *, body_deadline_s: float = BODY_DEADLINE_S) -> None:
        self._app = app
        self._log = log
        self._body_deadline_s = body_deadline_s
        self._in_work = 0
        self.answers: Counter[str] = Counter()
        self.refused_full = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = _Answer(send, self.answers)
        if self._in_work >= IN_WORK_MOST:
            self.refused_full += 1
            await answer.fail(Overloaded("Too many requests are in work. Try again in a moment.", 1))
            return
        self._in_work += 1
        try:
            await self._pass_on(scope, receive, answer)
        except RostraError as failure:
            await answer.fail(failure)
        except Exception as bug:  # noqa: BLE001 - the last border: traced here, one sentence to the peer
            self._log.error("a request failed by our fault", trace=bug, path=_route(scope))
            await answer.fail(bug)
        finally:
            self._in_work -= 1

    def metrics(self) -> str:
        answered = [({"class": kind}, float(count)) for kind, count in sorted(self.answers.items())]
        return (
            metrics.family("rostra_control_requests_total", "counter", "Answers by class of status.", answered)
            + metrics.family("rostra_control_in_work", "gauge", "Requests in work now.", [(None, self._in_work)])
            + metrics.family(
                "rostra_control_refused_full_total",
                "counter",
                "Requests refused because too many were in work.",
                [(None, self.refused_full)],
            )
        )

    async def _pass_on(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            async with asyncio.timeout(self._body_deadline_s):
                body = await _whole_body(scope, receive)
        except TimeoutError:
            raise PeerError(408, "The request did not come in whole in time.", "slow-request") from None
        if body is None:
            return  # the peer is gone
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                await self._app(scope, replay, answer.send)
        except TimeoutError as late:
            self._log.warning("a request was not answered in time", path=_route(scope))
            raise Unavailable("That took too long. Look whether it was done before you try again.", 2) from late


class _Answer:
    """One response: counted, given its headers, and sent at most once."""

    def __init__(self, send: Send, counted: Counter[str]) -> None:
        self._send = send
        self._counted = counted
        self._begun = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            self._counted[f"{message['status'] // 100}xx"] += 1
            given = list(message.get("headers", ()))
            named = {name for name, _ in given}
            added = [header for header in (*_HEADERS, _CLOSED) if header[0] not in named]
            message = {**message, "headers": [*given, *added]}
        await self._send(message)

    async def fail(self, failure: Exception) -> None:
        if self._begun:
            return
        status, body, headers = told(failure)
        # What is left of the request is not read.
        raw = [(b"content-type", b"application/json"), (b"connection", b"close")]
        raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        raw.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def told(failure: Exception) -> tuple[int, bytes, dict[str, str]]:
    """Status, JSON body and headers that say whose fault it was."""
    headers: dict[str, str] = {}
    match failure:
        case PeerError():
            status, code, headers = failure.status, failure.code, dict(failure.headers)
        case Overloaded():
            status, code = 503, "overloaded"
            headers["Retry-After"] = str(failure.retry_after_s)
        case Unavailable():
            status, code = 503, "unavailable"
            headers["Retry-After"] = str(failure.retry_after_s)
        case UnknownSpace():
            status, code = 404, "unknown-space"
        case DiskFull():
            status, code = 503, "disk-full"
            headers["Retry-After"] = "30"
        case _:
            status, code = 500, "fault"
    sentence = "Something went wrong on our side; the log says what. Trying again may help."
    if isinstance(failure, RostraError):
        sentence = str(failure)
    body = json.dumps({"code": code, "message": sentence}, ensure_ascii=False).encode("utf-8", "replace")
    return status, body, headers


async def _whole_body(scope: Scope, receive: Receive) -> bytes | None:
    too_large = PeerError(413, f"The request is too large: {BODY_MOST_BYTES:,} bytes at most.", "too-large")
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced[:20]) > BODY_MOST_BYTES:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > BODY_MOST_BYTES:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def _route(scope: Scope) -> str:
    """The route's pattern, never the path itself: logs carry no user text."""
    return str(getattr(scope.get("route"), "path", "unknown"))
