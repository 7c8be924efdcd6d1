"""Who asks, and whether the request comes from our own pages.

Two ways in: the session cookie of a signed-in person, or the operator's key as a bearer (commands use it). A browser sends the
cookie along whoever made it ask, so a cookie counts for a change only when the request comes from our own pages.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from rostra.control.desk import AtDesk, Desk
from rostra.kernel.errors import PeerError, Refused
from rostra.kernel.ids import SpaceId, parse_space_id, same_secret, secret_hash
from rostra.kernel.settings import Settings
from rostra.store.ports import SESSION_LIVES_US, Account, Role, Session

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_CHALLENGE: Final = (("WWW-Authenticate", 'Bearer realm="rostra"'),)


@dataclass(frozen=True, slots=True)
class Caller:
    """`session` is None for the operator's key, which acts as the first operator."""

    account: Account
    session: Session | None

    @property
    def operates(self) -> bool:
        return self.account.role is Role.OPERATOR


async def from_our_pages(request: Request, desk: AtDesk) -> None:
    """Refuse what another site made a browser ask.

    Raises:
        Refused: 403.
    """
    check_origin(request, desk.settings)


FromOurPages: Final = Depends(from_our_pages)


def check_origin(request: Request, settings: Settings) -> None:
    site = request.headers.get("sec-fetch-site")
    if site is not None:  # the browser's own word, which pages cannot set
        ours = site in ("same-origin", "none")
    elif (origin := request.headers.get("origin")) is not None:
        ours = _is_ours(origin, _asked_hosts(request), settings)
    else:  # no browser of our time; then nothing may rest on a cookie alone
        ours = request.method in _SAFE or cookie_name(settings) not in request.cookies
    if not ours:
        raise Refused(
            "This request comes from another site's page. Open our own page and do it there.", "cross-site", 403
        )


async def caller(request: Request, desk: AtDesk) -> Caller:
    """Who asks.

    Raises:
        PeerError: 401, nobody we know.
        Refused: 403, a change by cookie from another site's page.
    """
    given = request.headers.get("authorization")
    if given is not None:
        scheme, _, secret = given.partition(" ")
        if scheme.lower() != "bearer" or not same_secret(secret.strip(), secret_hash(desk.key)):
            raise PeerError(401, "This key is not the operator's.", "wrong-key", _CHALLENGE)
        return Caller(await desk.read(desk.store.operator, desk.now_us()), None)
    token = request.cookies.get(cookie_name(desk.settings))
    if not token:
        raise PeerError(401, "Sign in first.", "signed-out", _CHALLENGE)
    if request.method not in _SAFE:
        check_origin(request, desk.settings)
    session = await desk.read(desk.store.session, token[:200], desk.now_us())
    if session is None:
        raise PeerError(401, "You are signed out. Ask for a new link to sign in.", "signed-out", _CHALLENGE)
    return Caller(session.account, session)


SignedIn = Annotated[Caller, Depends(caller)]


async def operator(person: SignedIn) -> Caller:
    if not person.operates:
        raise Refused("Only the operator can do that.", "operator-only", 403)
    return person


OperatorOnly = Annotated[Caller, Depends(operator)]


async def steered_space(space_id: str, person: SignedIn, desk: AtDesk) -> SpaceId:
    """The Space named in the path, if the caller may steer it: hosts their own, operators all.

    Raises:
        UnknownSpace: there never was one.
        Refused: 403, it is somebody else's.
    """
    return await check_steers(space_id, person, desk)


async def check_steers(text: str, person: Caller, desk: Desk) -> SpaceId:
    space_id = parse_space_id(text)
    if space_id is None:
        raise PeerError(404, "There is no such Space.", "unknown-space")
    await desk.read(desk.library.snapshot, space_id)
    if not person.operates and await desk.read(desk.store.owner, space_id) != person.account.id:
        raise Refused("This Space is somebody else's.", "not-yours", 403)
    return space_id


Steered = Annotated[SpaceId, Depends(steered_space)]


def cookie_name(settings: Settings) -> str:
    """The prefix makes browsers refuse the cookie from anybody but this very host over TLS (RFC 6265bis 4.1.3.2)."""
    return "__Host-rostra" if _over_tls(settings) else "rostra"


def set_cookie(response: Response, token: str, settings: Settings) -> None:
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=SESSION_LIVES_US // 1_000_000,
        path="/",
        secure=_over_tls(settings),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(response: Response, settings: Settings) -> None:
    response.delete_cookie(cookie_name(settings), path="/", secure=_over_tls(settings), httponly=True, samesite="lax")


def peer_of(request: Request) -> str:
    """The address that asks; behind the door, which is on this machine, the one the door saw."""
    seen = request.client.host if request.client else ""
    try:
        if not ip_address(seen).is_loopback:
            return seen
    except ValueError:
        return seen
    return request.headers.get("x-forwarded-for", seen).rpartition(",")[2].strip()


def _over_tls(settings: Settings) -> bool:
    return settings.door_base.startswith("https://")


def _asked_hosts(request: Request) -> list[str]:
    """The host this request was sent to, and the one the door was asked for. No page can make a browser send either falsely."""
    return [request.headers[name] for name in ("host", "x-forwarded-host") if name in request.headers]


def _is_ours(origin: str, hosts: list[str], settings: Settings) -> bool:
    """Whether `origin` is our public address, or the one this request was sent to."""
    here = _place(origin)
    if here is None:
        return False
    public = _place(settings.door_base)
    if public is not None and here == public:
        return True
    # What stands before us may have taken TLS off, so the scheme of the request itself says nothing.
    scheme = here[0]
    return any(here == _place(f"{scheme}://{host}") for host in hosts)


def _place(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]
