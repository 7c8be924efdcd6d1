"""How many listen, told to the stage: for this edge every two seconds, and passed on for the edges that follow it."""

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from rostra.edge import answers
from rostra.edge.count import TURN_S
from rostra.edge.follower import Follower
from rostra.edge.pressure import RARER, RARER_FROM
from rostra.edge.shelf import Shelf
from rostra.edge.upstream import Upstream
from rostra.kernel.clock import Clock
from rostra.kernel.errors import PeerError, RostraError
from rostra.kernel.ids import SpaceId
from rostra.kernel.settings import Settings
from rostra.space.count import KEY_BYTES, Report
from rostra.wire.client import Client
from rostra.wire.http1 import Prepared
from rostra.wire.server import Exchange

DEADLINE_S: Final = 1.5

Tell = Callable[[SpaceId, bytes], Awaitable[tuple[int, bytes]]]
"""Hands a report on: the status and body of the answer. Raises RostraError where nobody is there."""


class Telling:
    """Attributes:
    every_s: how often; a whole number of turns. More when the edge is under pressure.
    step, why: what is left out under pressure.
    failed: counter: reports that were not taken. It does no harm: the next one says all.
    """

    def __init__(self, name: str, tell: Tell, shelf: Shelf, settings: Settings, clock: Clock, key: str) -> None:
        self.every_s = TURN_S
        self.step = 0
        self.why = ""
        self.failed = 0
        self._since_s = 0.0
        self._name, self._tell, self._shelf, self._settings, self._clock = name, tell, shelf, settings, clock
        self._key = key
        self._passing = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TURN_S)
            self._since_s += TURN_S
            followers = [one for one in self._shelf.followers.values() if not one.over]
            if self._since_s < self.every_s:
                for follower in followers:
                    follower.ears.count(self._clock.monotonic())  # turns are kept, whoever is told of them
                continue
            self._since_s = 0.0
            await asyncio.gather(*(self._report(follower) for follower in followers))

    def thin(self, step: int, why: str) -> None:
        """From now on this is left out; it is told with the next turn."""
        self.step, self.why = step, why
        self.every_s = self._since_s = TURN_S * (RARER if step >= RARER_FROM else 1)

    def pass_on(self, exchange: Exchange, space_id: SpaceId) -> None:
        """POST /s/ID/count: an edge that takes its sound from here says how many listen there."""
        given = exchange.request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), f"Bearer {self._key}".encode()):
            exchange.send_prepared(_KEY_NEEDED)
        elif self._passing >= PASSING_MOST:
            exchange.send_prepared(answers.CROWDED)
        else:
            self._passing += 1
            exchange.server.spawn(self._pass_on(exchange, space_id))

    async def _pass_on(self, exchange: Exchange, space_id: SpaceId) -> None:
        try:
            body = exchange.request.body
            # The rest is for the stage to read: what a crowd elsewhere has to say shall not be work for us.
            edge = _plain(body).get("edge")
            if not isinstance(edge, str) or "/" not in edge:
                raise PeerError(400, "An edge elsewhere names its machine too: MACHINE/NAME.", "bad-count")
            status, said = await self._tell(space_id, body)
            exchange.send_prepared(Prepared(status, [("Content-Type", "application/json"), answers.NO_STORE], said))
        except PeerError as wrong:
            exchange.send_prepared(answers.sentence(wrong.status, str(wrong)))
        except RostraError:
            exchange.send_prepared(_AWAY)
        finally:
            self._passing -= 1

    async def _report(self, follower: Follower) -> None:
        for _ in range(2):
            report = self._made(follower)
            if not report.now and not follower.reported and report.step == follower.thinned:
                return
            try:
                status, said = await self._tell(follower.space_id, json.dumps(report.to_plain()).encode())
                if status != 200:
                    break
                key, again = _answer(said)
            except RostraError:
                break
            follower.ears.told(report, key, again, self._clock.monotonic())
            if key == report.key:
                follower.reported, follower.thinned = report.now, report.step
                return
            # The stage marks with another key, and takes what is marked with that: say it again so.
        self.failed += 1

    def _made(self, follower: Follower) -> Report:
        settings = self._settings
        report = follower.ears.report(
            self._name,
            self._clock.monotonic(),
            method=settings.count_by,
            one_in=settings.beacon_one_in if settings.count_by == "beacon" else 1,
            every_s=self.every_s,
        )
        return replace(report, step=self.step, why=self.why)


PASSING_MOST: Final = 64
"""Reports of other edges being passed on at once; one more is answered 503."""


def to_stage(stage: Client, key: str) -> Tell:
    async def tell(space_id: SpaceId, body: bytes) -> tuple[int, bytes]:
        headers = [("Authorization", f"Bearer {key}"), ("Content-Type", "application/json")]
        answer = await stage.request("POST", f"/spaces/{space_id}/count", headers, body, answer_s=DEADLINE_S)
        async with answer:
            return answer.status, await answer.read()

    return tell


def to_upstream(upstream: Upstream, key: str) -> Tell:
    """`key`: the operator's, of the server that the sound comes from."""

    async def tell(space_id: SpaceId, body: bytes) -> tuple[int, bytes]:
        headers = [("Authorization", f"Bearer {key}"), ("Content-Type", "application/json")]
        return await upstream.post(f"/s/{space_id}/count", headers, body)

    return tell


def _plain(body: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        raise PeerError(400, "A count is a JSON object.", "bad-json")
    return plain


def _answer(said: bytes) -> tuple[bytes, bool]:
    """What the stage marks with, and whether it wants to be told all. Raises PeerError where it does not say."""
    plain = _plain(said)
    try:
        key = base64.b64decode(plain.get("key", ""), validate=True)
    except (TypeError, ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise PeerError(400, "The stage did not say what it marks with.", "bad-key")
    return key, plain.get("again") is True


_KEY_NEEDED: Final = answers.sentence(401, "The operator's key is needed here.", ("WWW-Authenticate", "Bearer"))
_AWAY: Final = answers.sentence(503, "The stage does not take counts just now.", ("Retry-After", "2"))
