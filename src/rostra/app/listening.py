"""The listening sockets of all roles, opened once and kept open by the supervisor.

A role that dies leaves its socket open, so a connection made meanwhile waits in the kernel's queue and is served by the
role's successor; nobody is refused.
"""

import errno
import socket

from rostra.kernel.errors import Fault
from rostra.kernel.settings import ROLES, Settings

_BACKLOG = 8192
"""Cut by the kernel to net.core.somaxconn (4096 by default)."""


def open_all(settings: Settings) -> dict[str, list[socket.socket]]:
    """Sockets by role, all or none.

    Raises:
        Fault: a port is taken or not allowed, or the host is not one of this machine's addresses.
    """
    opened: dict[str, list[socket.socket]] = {}
    try:
        for role in ROLES:
            opened[role] = []
            host, port = settings.address(role)
            for family, address in _addresses(host, port):
                opened[role].append(_listen(family, address))
    except OSError as wrong:
        close_all(opened)
        raise _said(settings, role, wrong) from None
    except BaseException:
        close_all(opened)
        raise
    return opened


def close_all(sockets: dict[str, list[socket.socket]]) -> None:
    for listening in sockets.values():
        for one in listening:
            one.close()


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise Fault(f"'{host}' is not an address of this machine.", "Correct 'host', for example to 0.0.0.0.") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listen(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _said(settings: Settings, role: str, wrong: OSError) -> Fault:
    host, port = settings.address(role)
    if wrong.errno == errno.EADDRINUSE:
        return Fault(
            f"Port {port} on {host}, which the {role} needs, is used by another program.",
            f"Stop that program, or choose another port: rostra serve --port N takes N to N+{len(ROLES) - 1}.",
        )
    if wrong.errno == errno.EACCES:
        return Fault(f"This user may not listen on port {port}.", "Choose a port above 1023 and put a front before it.")
    if wrong.errno == errno.EADDRNOTAVAIL:
        return Fault(f"{host} is not an address of this machine.", "Correct 'host', for example to 0.0.0.0.")
    return Fault(f"Nothing can listen on {host} port {port}: {wrong.strerror}.", "Choose another host or port.")
