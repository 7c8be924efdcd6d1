"""Signing in and out, links that sign in, and one's own sessions. There are no passwords."""

import math
from collections.abc import Callable
from typing import ParamSpec

from fastapi import APIRouter, Request, Response

from rostra.control import addresses, models
from rostra.control.desk import AtDesk, Desk
from rostra.control.guard import FromOurPages, SignedIn, cookie_name, drop_cookie, peer_of, set_cookie
from rostra.kernel.clock import iso
from rostra.kernel.errors import PeerError, Refused
from rostra.space.text import NAME_MOST, clean
from rostra.store.ports import LINK_LIVES_US, AccountId, Session

_P = ParamSpec("_P")

router = APIRouter(prefix="/api", tags=["Signing in"])


@router.post("/sign-in", dependencies=[FromOurPages], responses=models.described(403, 429))
async def sign_in(body: models.SignIn, request: Request, response: Response, desk: AtDesk) -> models.Me:
    """Sign in with the token of a one-time link. Sets the session cookie."""
    _check_pace(request, desk)
    token, session = await _try(desk, desk.store.use_link, body.token, desk.now_us(), _agent(request))
    set_cookie(response, token, desk.settings)
    return _me(session)


@router.post("/people/accept", dependencies=[FromOurPages], responses=models.described(400, 403, 429), status_code=201)
async def accept(body: models.Accept, request: Request, response: Response, desk: AtDesk) -> models.Me:
    """Accept an invitation under a name of one's own. Makes the account and signs it in."""
    _check_pace(request, desk)
    name = clean(body.name, "Your name", NAME_MOST)
    token, session = await _try(desk, desk.store.accept_invitation, body.token, name, desk.now_us(), _agent(request))
    desk.log.info("an invitation was accepted", account=session.account.id, role=str(session.account.role))
    set_cookie(response, token, desk.settings)
    return _me(session)


@router.post("/sign-out", dependencies=[FromOurPages], status_code=204)
async def sign_out(request: Request, response: Response, desk: AtDesk) -> None:
    """End this session, if there is one."""
    token = request.cookies.get(cookie_name(desk.settings), "")
    session = await desk.read(desk.store.session, token[:200], desk.now_us())
    if session:
        await desk.read(desk.store.end_session, session.account.id, session.id)
    drop_cookie(response, desk.settings)


@router.get("/me", responses=models.described(401))
async def me(person: SignedIn) -> models.Me:
    """Who is signed in."""
    account = person.account
    return models.Me(
        id=account.id,
        name=account.name,
        role=account.role.value,
        since=iso(account.created_us),
        by="session" if person.session else "key",
    )


@router.post("/links", responses=models.described(401, 403, 404), status_code=201)
async def make_link(person: SignedIn, desk: AtDesk, body: models.NewLink | None = None) -> models.Link:
    """A link that signs you in once, within half an hour, on another device. Operators can make one for anybody."""
    whom = AccountId(body.account) if body and body.account else person.account.id
    if whom != person.account.id and not person.operates:
        raise Refused("Only the operator makes links for other people.", "operator-only", 403)
    now_us = desk.now_us()
    token = await desk.read(desk.store.make_link, whom, now_us)
    if token is None:
        raise PeerError(404, "There is no such person.", "unknown-person")
    desk.log.info("a sign-in link was made", account=whom, by=person.account.id)
    return models.Link(link=addresses.sign_in(desk.settings, token), expires=iso(now_us + LINK_LIVES_US))


@router.get("/sessions", responses=models.described(401))
async def sessions(person: SignedIn, desk: AtDesk) -> models.Sessions:
    """Where you are signed in, latest used first."""
    found = await desk.read(desk.store.sessions, person.account.id, desk.now_us())
    this = person.session.id if person.session else ""
    return models.Sessions(
        sessions=[
            models.SessionShown(
                id=one.id,
                since=iso(one.created_us),
                seen=iso(one.seen_us),
                expires=iso(one.expires_us),
                user_agent=one.user_agent,
                this=one.id == this,
            )
            for one in found
        ]
    )


@router.delete("/sessions", responses=models.described(401, 403))
async def end_other_sessions(person: SignedIn, desk: AtDesk) -> models.Ended:
    """Sign out everywhere else."""
    kept = person.session.id if person.session else ""
    return models.Ended(ended=await desk.read(desk.store.end_other_sessions, person.account.id, kept))


@router.delete("/sessions/{session_id}", responses=models.described(401, 403, 404), status_code=204)
async def end_session(session_id: str, person: SignedIn, desk: AtDesk) -> None:
    """Sign out on one device."""
    if not await desk.read(desk.store.end_session, person.account.id, session_id[:64]):
        raise PeerError(404, "You have no such session.", "unknown-session")


def _check_pace(request: Request, desk: Desk) -> None:
    wait_s = desk.throttle.wait_s(peer_of(request), desk.clock.monotonic())
    if wait_s > 0:
        desk.signed_in["throttled"] += 1
        again_s = max(1, math.ceil(wait_s))
        raise PeerError(
            429, f"Too many tries. Try again in {again_s} s.", "too-many-tries", (("Retry-After", str(again_s)),)
        )


async def _try(
    desk: Desk, use: Callable[_P, tuple[str, Session]], *args: _P.args, **named: _P.kwargs
) -> tuple[str, Session]:
    try:
        token, session = await desk.read(use, *args, **named)
    except Refused as refusal:
        desk.signed_in["refused"] += 1
        desk.log.info("a sign-in was refused", code=refusal.code)
        raise
    desk.signed_in["done"] += 1
    return token, session


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")


def _me(session: Session) -> models.Me:
    account = session.account
    return models.Me(
        id=account.id, name=account.name, role=account.role.value, since=iso(account.created_us), by="session"
    )
