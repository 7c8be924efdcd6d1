"""One peer's connection: uvicorn's own, with a deadline on the head of each request, which uvicorn waits for without end."""

import asyncio
import json
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_DEADLINE_S: Final = 10.0


class Protocol(H11Protocol):
    """A head that is not whole in time closes the connection: there is no request yet to answer."""

    _late: asyncio.TimerHandle | None = None
    head_deadline_s = HEAD_DEADLINE_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        elif self._late is not None:
            self._late.cancel()
            self._late = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait_for_head()

    def send_400_response(self, msg: str) -> None:
        """In the one shape of all failures. `msg` is uvicorn's own; what exactly was wrong helps nobody but an attacker."""
        body = json.dumps({"code": "bad-request", "message": "This is not HTTP as we read it."}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_deadline_s, self.transport.close)
