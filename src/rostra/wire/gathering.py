"""Requests that wait for the same thing, and get the same answer when it is there: thousands with one call."""

import asyncio
from array import array
from collections.abc import Callable, Sequence
from functools import partial

from rostra.wire.exchange import Caller, Exchange
from rostra.wire.fanout import AT_ONCE
from rostra.wire.http1 import Prepared, Request


class Gathering:
    """Attributes:
    exchanges: who waits; some of their peers may have gone.
    """

    __slots__ = ("_hold_s", "_in_vain", "_most", "_open", "_told", "exchanges")

    def __init__(
        self, told: Callable[[int], None], in_vain: Callable[[Exchange], None], hold_s: float, most: int
    ) -> None:
        """
        Args:
            told: called with the connection's number for each who joins by the short way.
            in_vain: answers a request that has waited for `hold_s`.
            most: how many may wait before nobody joins by the short way any more.
        """
        self.exchanges: list[Exchange] = []
        self._told = told
        self._in_vain = in_vain
        self._hold_s = hold_s
        self._most = most
        self._open = True

    def join(self, exchange: Exchange, *, lasting: bool = False) -> None:
        """Let this one wait.

        Args:
            lasting: whoever sends the same bytes within the next moment may join as well, unasked: `told` learns of it.
        """
        exchange.hold(self._hold_s, self._in_vain)
        self.exchanges.append(exchange)
        if lasting:
            exchange.repeat(partial(self._join_again, exchange.request))

    def answer(self, answer: Prepared) -> None:
        """It is there. Nobody may join after this."""
        self._open = False
        send_to_all(self.exchanges, answer)

    def forget_the_gone(self) -> None:
        self.exchanges[:] = [one for one in self.exchanges if not one.gone]

    def _join_again(self, request: Request, connection: Caller) -> bool:
        exchanges = self.exchanges
        if not self._open or len(exchanges) >= self._most:
            return False
        server = connection.server
        server.counters.held += 1
        connection.exchange = exchange = Exchange(connection, request, self._in_vain)
        connection.deadline = server.now + self._hold_s
        exchanges.append(exchange)
        self._told(connection.number)
        return True


def send_to_all(exchanges: Sequence[Exchange], answer: Prepared, begin: int = 0) -> None:
    """As `Exchange.send_prepared` to each of them, who are all of one server: in turns, so that a crowd does not keep the loop."""
    end = begin + AT_ONCE
    _send(exchanges[begin:end], answer)
    if end < len(exchanges):
        asyncio.get_running_loop().call_soon(send_to_all, exchanges, answer, end)


def _send(exchanges: Sequence[Exchange], answer: Prepared) -> None:
    together: list[Caller] = []
    files = array("i")
    whole = b""
    for exchange in exchanges:
        connection = exchange.connection
        if connection is None:
            exchange.over()
            continue
        server = connection.server
        whole = whole or answer.at(server.date)
        exchange.connection = None
        if connection.calm and exchange.request.plain:
            # Nothing has to be done for this one but to write the bytes.
            connection.exchange = None
            connection.deadline = server.idle_until
            together.append(connection)
            files.append(connection.file)
        else:
            connection.answered(whole, exchange.request)
    if together:
        for place, sent in server.fanout.send(files, whole):
            together[place].write(whole[sent:])
