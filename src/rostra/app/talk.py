"""How commands talk to the server that runs on their data: the API, with the operator's key."""

import http.client
import json
import socket
from typing import Any

from rostra.app.place import Place, Running
from rostra.kernel.errors import Fault

_DEADLINE_S = 30.0


def ask(place: Place, running: Running, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One request to control on loopback, whatever address people use from outside.

    Raises:
        Fault: the server refused (its own sentence is passed on) or did not answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", running.ports["control"], timeout=_DEADLINE_S)
    headers = {"Authorization": f"Bearer {place.operator_key()}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, json.dumps(body or {}) if method != "GET" else None, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException, socket.gaierror) as wrong:
        raise Fault(
            f"The server on {place.data} does not answer: {wrong}.", "Look at its log, or ask 'rostra doctor'."
        ) from None
    finally:
        connection.close()
    try:
        said = json.loads(text) if text else {}
    except ValueError:
        said = {"message": text.decode("utf-8", "replace").strip()[:300]}
    if answer.status >= 400:
        raise refusal(answer.status, said)
    return said


class Refusal(Fault):
    """The server said no, in a sentence of its own.

    Attributes:
        code: a short word for programs.
    """

    def __init__(self, what: str, remedy: str, code: str) -> None:
        super().__init__(what, remedy)
        self.code = code


def refusal(status: int, said: Any) -> Refusal:
    message, code = f"The server answered {status}.", f"http-{status}"
    if isinstance(said, dict):
        detail = said.get("detail")
        inner = detail if isinstance(detail, dict) else said
        message = str(inner.get("message") or (detail if isinstance(detail, str) else message))
        code = str(inner.get("code") or code)
    remedies = {
        400: "Correct that and try again.",
        422: "Correct that and try again.",
        401: "Run this as the user who runs the server, with the same --data.",
        404: "'rostra space list' shows the Spaces there are.",
        503: "Try again in a moment.",
    }
    return Refusal(message, remedies.get(status, "'rostra space show ID' says how the Space stands."), code)
