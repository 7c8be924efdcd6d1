"""Requests of studio and API, handed on to the role that answers them.

What passes is the request as it was sent (a HEAD as the GET whose head it asks for), less what concerns one connection alone (RFC 9110, 7.6.1) and less anything that
claims to know where it came from: that, the door says itself. What a front on this machine says of it, the door believes.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from rostra.kernel.errors import Unavailable
from rostra.kernel.settings import Settings
from rostra.wire.answer import Answer
from rostra.wire.client import Client, ClientLimits
from rostra.wire.http1 import Request, Response

ANSWER_S: Final = 20.0
_ONE_HOP: Final = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "host", "content-length", "expect")
)  # fmt: skip
_CLAIMS: Final = frozenset(("forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip"))


class Handing:
    """To one role. `what` names it in sentences: "The stage"."""

    def __init__(self, role: str, what: str, settings: Settings) -> None:
        self._what = what
        self._client = Client(settings.address(role), ClientLimits(connections=1024, idle_kept=32))
        self._scheme = urlsplit(settings.door_base).scheme or "http"
        self.handed = 0
        self.away = 0

    async def answer(self, request: Request) -> Response:
        """The role's response.

        Raises:
            Unavailable: the role is away or too slow; it may have carried out anything but a GET.
        """
        self.handed += 1
        headers = [*passed_on(request.headers), *seen(request, self._scheme)]
        try:
            answer = await self._client.request(
                "GET" if request.method == "HEAD" else request.method,
                request.target,
                headers,
                request.body,
                answer_s=ANSWER_S,
            )
            return await _response(answer)
        except Unavailable:
            self.away += 1
            raise Unavailable(f"{self._what} is away for a moment. It returns by itself; try again.", 2) from None

    async def close(self) -> None:
        await self._client.close()


def seen(request: Request, scheme: str) -> list[tuple[str, str]]:
    """Who asks, by what name and over what.

    From a front on this machine that is what the front has seen: the last word of each header. What stands before it, and
    whatever comes from elsewhere, anybody may have said.

    Args:
        scheme: of our public address.
    """
    headers = request.headers
    peer, host = _address(request.peer), headers.get("host", "")
    if peer is not None and peer.is_loopback:
        peer = _address(_last(headers, "for")) or peer
        host = _last(headers, "host") or host
        proto = _last(headers, "proto")
        scheme = proto if proto in ("http", "https") else scheme
    address = str(peer) if peer is not None else request.peer
    return [("X-Forwarded-For", address), ("X-Forwarded-Host", host), ("X-Forwarded-Proto", scheme)]


def passed_on(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The headers of a request that go on to the next server. Names must be in lower case."""
    named = {one.strip().lower() for one in headers.get("connection", "").split(",")}
    return [
        (name, value)
        for name, value in headers.items()
        if name not in _ONE_HOP and name not in named and name not in _CLAIMS and not name.startswith("x-forwarded-")
    ]


def passed_back(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of an answer that go back to who asked; the length and the date are said anew."""
    return [(name, value) for name, value in headers if name.lower() not in _ONE_HOP and name.lower() != "date"]


def _last(headers: Mapping[str, str], what: str) -> str:
    return headers.get(f"x-forwarded-{what}", "").rpartition(",")[2].strip()


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # On a socket for both kinds an old address comes in a new one's clothes.
    return getattr(address, "ipv4_mapped", None) or address


async def _response(answer: Answer) -> Response:
    headers = passed_back(answer.headers)
    if answer.header("content-type").startswith("text/event-stream"):
        return Response(answer.status, headers, _Events(answer), endless=True)
    async with answer:
        return Response(answer.status, headers, await answer.read())


class _Events:
    """An endless answer piece by piece. Where the role breaks off, the stream just ends: who listens asks again."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._pieces = answer.pieces()

    def __aiter__(self) -> "_Events":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except Unavailable:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._answer.close()
