"""Sessions over HTTP: WHIP as RFC 9725 has it, and the studio's own address, which also sends sound back.

`/s/ID/whip` takes encoders: the answer only receives (section 4.2). `/s/ID/stage` takes browsers, with the same requests and
the same codes, but answers sendrecv. Both trickle (PATCH, RFC 8840); neither restarts ICE: a client begins a new session.
"""

from typing import Final

from rostra.kernel.errors import PeerError
from rostra.kernel.settings import Settings
from rostra.space.commands import Actor
from rostra.stage import sdp
from rostra.stage.ice import ice_servers
from rostra.stage.session import Session, Via
from rostra.stage.space_loop import SpaceLoop
from rostra.wire.http1 import Request, Response

SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
PATHS: Final = {Via.WHIP: "whip", Via.BROWSER: "stage"}

# Encoders may run in pages of other sites (section 4.2 asks for CORS); no cookie is looked at here, only the bearer.
_CORS: Final = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After, WWW-Authenticate, Accept-Patch"),
]
_ENDPOINT_METHODS: Final = "POST, OPTIONS"
_SESSION_METHODS: Final = "PATCH, DELETE, OPTIONS"


class Signalling:
    """Answers for one Space's two endpoints and their sessions; whoever calls has found out who asks."""

    def __init__(self, settings: Settings) -> None:
        self._links = [("Link", _link(server)) for server in ice_servers(settings)]

    def options(self, *, session: bool) -> Response:
        """What may be done here, for clients and for browsers' preflight: nobody has shown a token yet, so no server is named
        (section 4.6 lets us tell them with the 201)."""
        methods = _SESSION_METHODS if session else _ENDPOINT_METHODS
        accepts = ("Accept-Patch", FRAGMENT) if session else ("Accept-Post", SDP)
        return Response(
            204,
            [
                *_CORS,
                ("Allow", methods),
                accepts,
                ("Access-Control-Allow-Methods", methods),
                ("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match"),
                ("Access-Control-Max-Age", "86400"),
            ],
        )

    async def post(self, loop: SpaceLoop, actor: Actor, via: Via, request: Request) -> Response:
        """Section 4.2: an offer makes a session."""
        if actor.seat is None:
            raise PeerError(403, "Only a seat's own token takes a seat.", "no-seat")
        _expect(request, SDP, "Accept-Post")
        session, answer = await loop.offer(actor.seat, _text(request), via)
        headers = [
            ("Content-Type", SDP),
            ("Location", f"/s/{loop.id}/{PATHS[via]}/{session.id}"),
            ("ETag", session.etag),
            ("Accept-Patch", FRAGMENT),
            ("Cache-Control", "no-store"),
            *self._links,
            *_CORS,
        ]
        return Response(201, headers, answer.encode())

    async def patch(self, loop: SpaceLoop, session: Session, request: Request) -> Response:
        """Section 4.3.1: candidates that came later."""
        _expect(request, FRAGMENT, "Accept-Patch")
        match = request.headers.get("if-match")
        if match is None:
            raise PeerError(428, "Say by If-Match (the session's ETag) which ICE generation you mean.", "no-if-match")
        if match.strip() != "*" and session.etag not in [tag.strip() for tag in match.split(",")]:
            raise PeerError(412, "The session's ICE generation is another one.", "etag-mismatch")
        fragment = sdp.parse_fragment(_text(request))
        if fragment.ufrag != session.ufrag:
            raise PeerError(422, "ICE restart is not supported: begin a new session.", "no-ice-restart")
        session.chair.peer.trickled(fragment)
        return Response(204, [*_CORS])

    async def delete(self, loop: SpaceLoop, session: Session) -> Response:
        """Section 4.2: the end of the session. Entity tags play no part here (section 4.3.1)."""
        await loop.hang_up(session)
        return Response(200, [*_CORS])

    def not_allowed(self, *, session: bool) -> PeerError:
        """Sections 4.2 and 4.3: other methods are kept for later versions of the protocol."""
        methods = _SESSION_METHODS if session else _ENDPOINT_METHODS
        return PeerError(405, f"Only {methods} here.", "method-not-allowed", (("Allow", methods), *_CORS))


def find_session(loop: SpaceLoop, via: Via, session_id: str) -> Session:
    """Raises PeerError 404."""
    session = loop.sessions.by_id.get(session_id)
    if session is None or session.via is not via:
        raise PeerError(404, "There is no such session (any more).", "no-session")
    return session


def check_owner(session: Session, actor: Actor) -> None:
    """Raises PeerError 403 where the session is another seat's."""
    if actor.kind != "operator" and actor.seat != session.seat:
        raise PeerError(403, "This session belongs to another seat.", "not-yours")


def with_cors(refusal: PeerError) -> PeerError:
    """The same refusal, readable for a page of another site."""
    if ("Access-Control-Allow-Origin", "*") in refusal.headers:
        return refusal
    return PeerError(refusal.status, str(refusal), refusal.code, (*refusal.headers, *_CORS))


def _expect(request: Request, media_type: str, accept: str) -> None:
    given = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if given != media_type:
        raise PeerError(415, f"Send {media_type} (Content-Type).", "wrong-type", ((accept, media_type),))


def _text(request: Request) -> str:
    try:
        return request.body.decode()
    except UnicodeDecodeError:
        raise PeerError(400, "The body is not text in UTF-8.", "bad-sdp") from None


def _link(server: dict[str, str]) -> str:
    """Section 4.6: a STUN or TURN server as a Link."""
    link = f'<{server["urls"]}>; rel="ice-server"'
    if "username" in server:
        quoted = {key: server[key].replace("\\", "\\\\").replace('"', '\\"') for key in ("username", "credential")}
        link += f'; username="{quoted["username"]}"; credential="{quoted["credential"]}"; credential-type="password"'
    return link
