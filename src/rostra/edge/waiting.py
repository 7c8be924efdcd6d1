"""Who waits for what of one channel, and how all of them are answered."""

import asyncio
from collections.abc import Callable
from typing import Final

from rostra.sound.hls import BLOCK_MOST_S
from rostra.wire.http1 import Prepared
from rostra.wire.server import Exchange, Gathering, send_to_all

HELD_MOST: Final = 50_000
"""Requests waiting in one rendition of one Space; one more is answered 503."""
_AT_A_TIME: Final = 500


class Waiting:
    """Requests by the number of the part that they wait for. Some of their peers may have gone."""

    def __init__(self, told: Callable[[int], None], in_vain: Callable[[Exchange], None]) -> None:
        """
        Args:
            told: called with the connection's number of whoever waits for a part unasked (wire.gathering).
            in_vain: answers a request whose time is over.
        """
        self._told = told
        self._in_vain = in_vain
        self._for_part: dict[int, Gathering] = {}
        self._for_list: dict[int, list[tuple[Exchange, bool, bool]]] = {}
        self._for_more: dict[int, list[tuple[Exchange, Callable[[], None]]]] = {}

    @property
    def held(self) -> int:
        return (
            sum(len(one.exchanges) for one in self._for_part.values())
            + sum(map(len, self._for_list.values()))
            + sum(map(len, self._for_more.values()))
        )

    def for_part(self, number: int) -> Gathering:
        """Where to wait for the part itself."""
        gathering = self._for_part.get(number)
        if gathering is None:
            gathering = self._for_part[number] = Gathering(self._told, self._in_vain, BLOCK_MOST_S, HELD_MOST)
        return gathering

    def for_list(self, number: int, exchange: Exchange, skip: bool, zipped: bool) -> None:
        """Wait for a playlist with part `number` (a delta update, compressed)."""
        self._for_list.setdefault(number, []).append((exchange, skip, zipped))
        exchange.hold(BLOCK_MOST_S, self._in_vain)

    def for_more(self, number: int, exchange: Exchange, again: Callable[[], None]) -> None:
        """Call `again` when part `number` is there, or when no more will come."""
        self._for_more.setdefault(number, []).append((exchange, again))
        exchange.hold(BLOCK_MOST_S, self._in_vain)

    def part_came(self, number: int, answer: Prepared) -> bool:
        """Answer who waits for this part. False: nobody does."""
        gathering = self._for_part.pop(number, None)
        if gathering is None:
            return False
        gathering.answer(answer)
        return bool(gathering.exchanges)

    def no_part_comes(self, answer: Prepared) -> None:
        for gathering in self._for_part.values():
            gathering.answer(answer)
        self._for_part.clear()

    def wake(self, parts: int | None, playlist: Callable[[bool, bool, bool], Prepared]) -> None:
        """Answer who waits for a playlist or for more, up to as many parts; None: everybody.

        Args:
            playlist: of a delta update, compressed, to a blocking request.
        """
        for number in [one for one in self._for_list if parts is None or one < parts]:
            alike: dict[tuple[bool, bool, bool], list[Exchange]] = {}
            for exchange, skip, zipped in self._for_list.pop(number):
                # A playlist that was asked for by its plain address speaks of this moment, though it was waited for.
                blocking = "_HLS_msn" in exchange.request.query
                alike.setdefault((skip, zipped, blocking), []).append(exchange)
            for how, exchanges in alike.items():
                send_to_all(exchanges, playlist(*how))
        for number in [one for one in self._for_more if parts is None or one < parts]:
            _call_all(self._for_more.pop(number))

    def give_up(self, why: Prepared) -> None:
        """Answer all who wait with this."""
        self.no_part_comes(why)
        for lists in self._for_list.values():
            send_to_all([one[0] for one in lists], why)
        for others in self._for_more.values():
            send_to_all([one[0] for one in others], why)
        self._for_list, self._for_more = {}, {}

    def forget_the_gone(self) -> None:
        """Let go of requests that are over: whose peers have left, or which were answered when their time was."""
        for gathering in self._for_part.values():
            gathering.forget_the_gone()
        for number, lists in self._for_list.items():
            self._for_list[number] = [one for one in lists if not one[0].gone]
        for number, others in self._for_more.items():
            self._for_more[number] = [one for one in others if not one[0].gone]


def _call_all(others: list[tuple[Exchange, Callable[[], None]]], begin: int = 0) -> None:
    for exchange, again in others[begin : begin + _AT_A_TIME]:
        if not exchange.gone:
            again()
    if begin + _AT_A_TIME < len(others):
        asyncio.get_running_loop().call_soon(_call_all, others, begin + _AT_A_TIME)
