"""ICE for one speaker: aioice's agent, with the addresses we choose and a straight path for sound.

aioice leaves loopback out and cannot offer an address that is not on a network card; and it hands every datagram
through an unbounded queue and a task. Here host candidates are ours, and protected RTP goes to a callback at once.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import ifaddr
from aioice import Candidate, Connection, mdns
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, relayed_candidate, server_reflexive_candidate
from aiortc.rtcicetransport import parse_stun_turn_uri

from rostra.kernel.errors import Fault
from rostra.kernel.settings import Settings

GATHER_DEADLINE_S: Final = 1.0  # well below what the studio page waits for an answer (seat.js)
OTHER_ANSWERS_S: Final = 0.2  # for further answers of the STUN server once there is one
WAITING_MOST: Final = 64  # DTLS datagrams not yet looked at; one more is dropped, DTLS sends it again
_REMOTE_MOST: Final = 64
UNSENT_BYTES_MOST: Final = 64_000  # in a socket's buffer; beyond it packets are dropped, sound that is late is no use


def host_addresses(settings: Settings) -> list[str]:
    """The addresses to offer: those of the settings, else of this machine's cards; loopback where that is all there is
    or where the service itself listens only there.

    Raises:
        Fault: a media address of the settings is not an IP address.
    """
    if settings.media_addresses:
        for text in settings.media_addresses:
            try:
                ipaddress.ip_address(text)
            except ValueError:
                raise Fault(f"The setting media_addresses holds '{text}'.", "Give IP addresses only.") from None
        return list(settings.media_addresses)
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            address = ipaddress.ip_address(one.ip if isinstance(one.ip, str) else one.ip[0])
            if not (address.is_loopback or address.is_link_local):
                found.append(str(address))
    if settings.on_loopback or not found:
        found.append("127.0.0.1")
    return found


def ice_servers(settings: Settings) -> list[dict[str, str]]:
    """STUN and TURN as browsers take them (RTCIceServer). None unless the operator set some."""
    servers: list[dict[str, str]] = []
    if settings.stun_url:
        servers.append({"urls": settings.stun_url})
    if settings.turn_url:
        servers.append(
            {"urls": settings.turn_url, "username": settings.turn_user, "credential": settings.turn_password}
        )
    return servers


class IceAgent(Connection):  # type: ignore[misc]
    """One ICE agent. Call `gather`, then `connect` under a deadline; `sound` is told each SRTP and SRTCP datagram.

    It never gives up on its own for want of candidates: a browser that hides its addresses is learnt from its checks.
    """

    def __init__(self, settings: Settings, *, controlling: bool = False) -> None:
        super().__init__(ice_controlling=controlling, **_server_options(settings))
        self._addresses = host_addresses(settings)
        self.sound: Callable[[bytes], None] | None = None
        self.dropped_total = 0

    async def gather(self) -> list[str]:
        """All our candidates, as SDP writes them."""
        await self.gather_candidates()
        return [candidate.to_sdp() for candidate in self.local_candidates]

    def offered(self, candidates: Sequence[str]) -> None:
        """Take the peer's candidates. Those we cannot use (TCP, hidden behind mDNS, malformed) are passed over."""
        for text in candidates:
            with contextlib.suppress(ValueError):
                candidate = Candidate.from_sdp(text)
                usable = candidate.transport.lower() == "udp" and candidate.component == 1
                if usable and not mdns.is_mdns_hostname(candidate.host) and len(self._remote_candidates) < _REMOTE_MOST:
                    self._add_remote_candidate(candidate, candidate.host)

    def send_now(self, datagram: bytes) -> bool:
        """Send on the chosen pair without waiting. False where there is none or its socket is full: then it is dropped."""
        pair = self._nominated.get(1)
        if pair is None:
            return False
        transport = pair.protocol.transport
        backlog = getattr(transport, "get_write_buffer_size", None)
        if transport.is_closing() or backlog is not None and backlog() > UNSENT_BYTES_MOST:
            self.dropped_total += 1
            return False
        transport.sendto(datagram, pair.remote_addr)
        return True

    def data_received(self, data: bytes, component: int) -> None:
        if data and 127 < data[0] < 192 and self.sound is not None:  # RFC 7983: RTP and RTCP
            self.sound(data)
        elif self._queue.qsize() < WAITING_MOST:
            super().data_received(data, component)
        else:
            self.dropped_total += 1

    async def get_component_candidates(self, component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        """Replaces aioice's: our addresses, and a wildcard socket behind an address that a router maps to us."""
        found: list[Candidate] = []
        protocols: list[StunProtocol] = []
        for address in self._addresses:
            protocol = await self._listen(address)
            if protocol is None:
                continue
            port = protocol.transport.get_extra_info("sockname")[1]
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", address),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host", 65535 - len(protocols)),
                host=address,
                port=port,
                type="host",
            )
            protocols.append(protocol)
            found.append(protocol.local_candidate)
        self._protocols += protocols
        return found + await self._from_servers(component, protocols)

    async def _listen(self, address: str) -> StunProtocol | None:
        loop = asyncio.get_running_loop()
        wildcard = "::" if ":" in address else "0.0.0.0"
        for local in (address, wildcard):
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: _SplittingProtocol(self), local_addr=(local, 0)
                )
            except OSError:
                continue
            handle = transport.get_extra_info("socket")
            if handle is not None:
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            return protocol
        return None

    async def _from_servers(self, component: int, protocols: list[StunProtocol]) -> list[Candidate]:
        asking: list[asyncio.Task[tuple[Candidate, StunProtocol | None]]] = []
        relaying: list[asyncio.Task[tuple[Candidate, StunProtocol | None]]] = []
        if self.stun_server:
            for protocol in protocols:
                if _leads_out(protocol.local_candidate.host):
                    asking.append(asyncio.create_task(server_reflexive_candidate(protocol, self.stun_server)))
        if self.turn_server:
            relayed = relayed_candidate(
                component=component,
                hide_related_address=False,
                protocol_factory=lambda: _SplittingProtocol(self),
                turn_server=self.turn_server,
                turn_username=self.turn_username,
                turn_password=self.turn_password,
                turn_ssl=self.turn_ssl,
                turn_transport=self.turn_transport,
            )
            relaying.append(asyncio.create_task(relayed))
        tasks = [*asking, *relaying]
        try:
            async with asyncio.timeout(GATHER_DEADLINE_S):
                await asyncio.gather(_first_and_near(asking), *relaying, return_exceptions=True)
        except TimeoutError:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        found: list[Candidate] = []
        for task in tasks:
            if task.cancelled() or task.exception() is not None:
                continue  # a server that does not answer costs its candidate, nothing else
            candidate, protocol = task.result()
            found.append(candidate)
            if protocol is not None:
                self._protocols.append(protocol)
        return found


async def _first_and_near(asking: list[asyncio.Task[tuple[Candidate, StunProtocol | None]]]) -> None:
    """Until one has succeeded, and those that are about to; or all have failed."""
    waiting = set(asking)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if any(task.exception() is None for task in done):
            break
    if waiting:
        await asyncio.wait(waiting, timeout=OTHER_ANSWERS_S)


def _leads_out(host: str) -> bool:
    """Whether a STUN server elsewhere may answer to this address. (It is asked over IPv4 only: aioice looks up no other.)"""
    address = ipaddress.ip_address(host)
    return address.version == 4 and not (address.is_loopback or address.is_link_local)


class _SplittingProtocol(StunProtocol):  # type: ignore[misc]
    """Tells STUN from the rest by its first byte (RFC 7983), before any parsing."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if isinstance(data, bytes) and data and data[0] > 19:
            self.receiver.data_received(data, 1)
        else:
            super().datagram_received(data, addr)


def _server_options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {}
    try:
        if settings.stun_url:
            stun = parse_stun_turn_uri(settings.stun_url)
            options["stun_server"] = (stun["host"], stun["port"])
        if settings.turn_url:
            turn = parse_stun_turn_uri(settings.turn_url)
            options |= {
                "turn_server": (turn["host"], turn["port"]),
                "turn_ssl": turn["scheme"] == "turns",
                "turn_transport": turn["transport"],
                "turn_username": settings.turn_user,
                "turn_password": settings.turn_password,
            }
    except (ValueError, KeyError):
        raise Fault(
            "The setting stun_url or turn_url is not valid.", "Write it like stun:host:3478 or turn:host:3478."
        ) from None
    return options
