"""The listening sockets of all processes, opened once and kept open by the supervisor.

A role that dies leaves its socket open, so a connection made meanwhile waits in the kernel's queue and is served by the
role's successor; nobody is refused. Edges side by side each have a socket of their own on the one port, between which the
kernel shares out what comes, and a private one, because at the shared port nobody can choose whom he asks. The door has a
private one too: there it can be asked without TLS, whatever it speaks outside.
"""

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from rostra.kernel.errors import Fault
from rostra.kernel.settings import ROLES, Settings, role_of

_PRIVATE = ".sock"
_FACING_OUTWARD = ("door", "edge")
_BACKLOG = 8192
"""Cut by the kernel to net.core.somaxconn (4096 by default)."""


def open_all(
    settings: Settings, run: Path | None = None, only: Sequence[str] | None = None
) -> dict[str, list[socket.socket]]:
    """Sockets by process, all or none.

    Args:
        run: the directory for the private sockets.
        only: of these processes.
    Raises:
        Fault: a port is taken or not allowed, or the host is not one of this machine's addresses.
    """
    opened: dict[str, list[socket.socket]] = {}
    shared = {role_of(name) for name in settings.processes if name != role_of(name)}
    try:
        for name in settings.processes if only is None else only:
            opened[name] = []
            role = role_of(name)
            host, port = settings.address(role)
            for family, address in _addresses(host, port):
                opened[name].append(_listen(family, address, shared=role in shared, further=name != role))
        if run is not None:
            for old in run.glob(f"*{_PRIVATE}"):  # of a time with more edges
                old.unlink()
            for name, path in private_sockets(settings, run).items():
                if name in opened:
                    opened[name].append(_listen_privately(path))
    except OSError as wrong:
        close_all(opened)
        raise _said(settings, role, wrong) from None
    except BaseException:
        close_all(opened)
        raise
    return opened


def private_sockets_of(run: Path) -> dict[str, str]:
    """Those of the server that runs here now, or ran here last."""
    return {path.name.removesuffix(_PRIVATE): str(path) for path in sorted(run.glob(f"*{_PRIVATE}"))}


def private_sockets(settings: Settings, run: Path) -> dict[str, str]:
    """Where the door and each edge can be asked by this machine alone."""
    return {name: str(run / f"{name}{_PRIVATE}") for name in settings.processes if role_of(name) in _FACING_OUTWARD}


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


def _listen(family: socket.AddressFamily, address: tuple[object, ...], *, shared: bool, further: bool) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        if further:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        if shared:  # set only now: the first must find the port free, not share that of a stranger
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _listen_privately(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # However deep the data lies: a Unix address has room for 108 bytes.
            listening.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        finally:
            os.close(directory)
        listening.listen()
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
