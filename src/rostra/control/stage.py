"""The line to the stage, which alone writes timelines, and to the other roles for their metrics. All calls carry the operator's key."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from rostra.kernel.errors import PeerError, Unavailable
from rostra.kernel.ids import SpaceId, parse_space_id
from rostra.kernel.log import Log
from rostra.kernel.settings import ROLES, Settings, role_of
from rostra.wire.client import Client, ClientLimits

COMMAND_DEADLINE_S: Final = 10.0
METRICS_DEADLINE_S: Final = 1.0
_LIMITS: Final = ClientLimits(connections=32, idle_kept=0, piece_s=5.0, read_bytes=1_048_576)
_METRICS_AT: Final = {"door": "/door/metrics"}


class StageLine:
    """A refusal of the stage is passed on as it is; where the stage is away, Unavailable says so."""

    def __init__(self, settings: Settings, key: str, log: Log, private: Mapping[str, str] | None = None) -> None:
        """`private`: private sockets by process; the others are asked at their role's port."""
        addresses: dict[str, tuple[str, int] | str] = {role: settings.address(role) for role in ROLES}
        addresses |= private or {}
        self._clients = {name: Client(at, _LIMITS) for name, at in addresses.items() if name != "control"}
        self._headers = [("authorization", f"Bearer {key}"), ("content-type", "application/json")]
        self._log = log
        self.calls: Counter[str] = Counter()

    async def schedule(self, asked: dict[str, Any]) -> tuple[SpaceId, str]:
        """The new Space's id and its host's seat token."""
        made = await self._ask("/spaces", asked)
        space_id = parse_space_id(str(made.get("id")))
        if space_id is None or not isinstance(made.get("host_token"), str):
            raise TypeError("the stage made a Space without telling its id and token")
        return space_id, made["host_token"]

    async def command(self, space_id: SpaceId, command: str, **fields: Any) -> dict[str, Any]:
        """What the stage answers to `command` in the operator's name."""
        return await self._ask(f"/s/{space_id}/commands", {"type": command, **fields})

    async def metrics(self) -> dict[str, str | None]:
        """The page of each other process, None for one that is away."""
        pages = await asyncio.gather(*(self._metrics_of(name) for name in self._clients))
        return dict(zip(self._clients, pages, strict=True))

    async def _metrics_of(self, name: str) -> str | None:
        path = _METRICS_AT.get(role_of(name), "/metrics")
        try:
            async with asyncio.timeout(METRICS_DEADLINE_S):
                async with await self._clients[name].request("GET", path, self._headers[:1]) as answer:
                    page = await answer.read()
        except (Unavailable, TimeoutError):
            return None
        return page.decode("utf-8", "replace") if answer.status == 200 else None

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _ask(self, target: str, asked: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(asked).encode()
        try:
            async with asyncio.timeout(COMMAND_DEADLINE_S):
                async with await self._clients["stage"].request("POST", target, self._headers, body) as answer:
                    told = _object(await answer.read())
        except (Unavailable, TimeoutError):
            self.calls["away"] += 1
            raise Unavailable(
                "The stage does not answer; it is back in a moment. Look whether it was done before you try again.", 2
            ) from None
        if answer.status in (200, 201):
            self.calls["done"] += 1
            return told
        self.calls["refused"] += 1
        sentence, code = str(told.get("message") or "The stage refused that."), str(told.get("code") or "refused")
        if answer.status == 401:
            self._log.error("the stage does not know the operator's key", target=target.split("/")[1])
            raise Unavailable("The stage and the API hold different keys. Restart the server.", 30)
        if 400 <= answer.status < 500:
            raise PeerError(answer.status, sentence, code)
        wait = answer.header("retry-after")
        raise Unavailable(sentence, int(wait) if wait.isdigit() else 2)


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
