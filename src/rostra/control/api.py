"""The API put together: routes, the reference, the metrics page, and one shape for every failure."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import rostra
from rostra.control import people, reference, scrape, settings, sign_in, spaces
from rostra.control.borders import told
from rostra.control.desk import AtDesk, Desk
from rostra.control.guard import OperatorOnly
from rostra.control.models import Failure
from rostra.kernel.errors import PeerError, RostraError

_DESCRIPTION = (
    "Programs send the operator's key as a bearer token; browsers hold a session cookie. Every failure is a JSON object with a "
    "code for programs and a message for people. Bodies are JSON, 64 KiB at most; unknown fields are refused."
)
_SAID = {
    404: ("There is nothing at this address. The reference is at /api/docs.", "not-found"),
    405: ("This address does not take that method.", "bad-method"),
}

_BAD_JSON = ("The body is not JSON that can be read.", "bad-json")

_pages = APIRouter()


def build(desk: Desk) -> FastAPI:
    """The application. Its failures are answered here or, at the last, by Borders round it."""
    app = FastAPI(
        title="Rostra API",
        version=rostra.__version__,
        description=_DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"model": Failure, "description": "What was wrong."}},
    )
    app.state.desk = desk
    for router in (sign_in.router, people.router, spaces.router, settings.router, _pages):
        app.include_router(router)
    app.add_exception_handler(RostraError, _answer)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _answer)
    return app


@_pages.get("/api/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    page = reference.render(request.app.openapi())
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})


@_pages.get("/metrics", include_in_schema=False)
async def metrics(_: OperatorOnly, desk: AtDesk) -> Response:
    merged = scrape.merge({**await desk.stage.metrics(), "control": desk.own_metrics()})
    return Response(merged, media_type="text/plain; version=0.0.4")


@_pages.get("/healthz", include_in_schema=False)
async def healthz() -> Response:
    return Response("ok\n", media_type="text/plain")


async def _answer(_: Request, failure: Exception) -> Response:
    status, body, headers = told(failure)
    return Response(body, status, headers, "application/json")


async def _invalid(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, RequestValidationError)
    if failure.errors()[0]["type"] == "json_invalid":
        return await _answer(request, PeerError(400, *_BAD_JSON))
    return await _answer(request, PeerError(422, _sentence(failure.errors()[0]), "invalid"))


async def _plain(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    sentence, code = _SAID.get(failure.status_code, _BAD_JSON)
    headers = tuple((failure.headers or {}).items())
    return await _answer(request, PeerError(failure.status_code, sentence, code, headers))


def _sentence(wrong: dict[str, Any]) -> str:
    """What is wrong with one field, without repeating what was sent."""
    place = [str(one) for one in wrong["loc"][1:]]
    name = ".".join(place)[:80]
    match wrong["type"]:
        case "missing" if not place:
            return "The body is missing: a JSON object is expected."
        case "missing":
            return f"The field '{name}' is missing."
        case "extra_forbidden":
            return f"There is no field '{name}' here."
        case "model_attributes_type" | "model_type":
            return "The body must be a JSON object, sent as application/json."
        case "string_unicode":
            return f"The field '{name}' holds half a character."
        case _:
            said = str(wrong["msg"])
            return f"The field '{name}' is not right: {said[:1].lower()}{said[1:]}."
