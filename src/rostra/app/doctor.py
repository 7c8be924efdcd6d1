"""`rostra doctor`: what is missing, in one line each, with what to do about it."""

import asyncio
import datetime
import importlib
import importlib.metadata
import os
import platform
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from rostra.app.findings import Finding
from rostra.app.listening import private_sockets_of
from rostra.app.place import Place, Running, settings_of
from rostra.app.validity import validity
from rostra.kernel.errors import Fault, Unavailable
from rostra.kernel.settings import ROLES, Settings
from rostra.wire.client import Client, ClientLimits
from rostra.wire.fanout import Ring, fanout

_LIBRARIES = ("aiortc", "av", "fastapi", "jinja2", "numpy", "sqlalchemy", "uvicorn", "uvloop")
_DEADLINE_S = 3.0
_GIVE_BACK_S = 0.5
_PART_S = 0.5
_SYNCED = Path("/run/systemd/timesync/synchronized")
_MB_PER_HOUR = 100
"""One Space's record: 48 + 96 + 48 kb/s and frames, when somebody always speaks."""


def examine(data: Path, *, host: str | None = None, port: int | None = None) -> list[Finding]:
    """Look at everything; nothing is changed but a test file that is removed again."""
    findings = [_python(), *_libraries(), _libopus(), _programs()]
    place = Place(data)
    try:
        place.look(ours=False)
        settings = settings_of(place, host=host, port=port)
    except Fault as wrong:
        return [*findings, Finding("settings", "fail", wrong.what, wrong.remedy)]
    running = place.running()
    known = f"{place.settings_file}" if place.settings_file.exists() else "defaults; 'rostra serve' writes the file"
    findings += [Finding("settings", "ok", known), _links(settings), *_ports(settings, running)]
    certificate = validity(settings.tls_certificate, settings.tls_key, datetime.datetime.now(datetime.UTC))
    findings += [*_media(settings), *_turn(settings), *([certificate] if certificate else [])]
    return [*findings, *_disk(data), *_clocks(), _file_limit(), _fanout(), *_roles(running, place.run)]


def fit(findings: list[Finding]) -> bool:
    return all(one.result != "fail" for one in findings)


def said(result: dict[str, Any]) -> str:
    lines = []
    for one in result["findings"]:
        lines.append(f"{one['result']:4}  {one['what']:14} {one['said']}")
        if one["remedy"] and one["result"] != "ok":
            lines.append(f"      {'':14} → {one['remedy']}")
    return "\n".join(lines)


def _python() -> Finding:
    return Finding("python", "ok", platform.python_version())


def _libraries() -> Iterator[Finding]:
    missing, found = [], []
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
            found.append(f"{name} {importlib.metadata.version(name)}")
        except (ImportError, importlib.metadata.PackageNotFoundError):
            missing.append(name)
    if missing:
        yield Finding(
            "libraries", "fail", f"missing: {', '.join(missing)}", "pip install --editable . (or: make serve)."
        )
    else:
        yield Finding("libraries", "ok", ", ".join(found))


def _libopus() -> Finding:
    try:
        from rostra.codec.opus import version
    except (ImportError, OSError, Fault) as wrong:
        return Finding("libopus", "fail", f"not found: {wrong}", "Install the av wheel again, or Debian's libopus0.")
    return Finding("libopus", "ok", version())


def _fanout() -> Finding:
    """A crowd is served without the kernel's ring too, so its absence is no fault."""
    made = fanout()
    made.close()
    if isinstance(made, Ring):
        return Finding("fan-out", "ok", "one system call writes to hundreds of listeners (io_uring)")
    return Finding(
        "fan-out", "ok", "one system call for each listener: this kernel, or the container, does not allow io_uring"
    )


def _programs() -> Finding:
    missing = [name for name in ("ffmpeg", "chromium", "espeak-ng", "sox") if shutil.which(name) is None]
    if missing:
        return Finding(
            "programs",
            "warn",
            f"not here: {', '.join(missing)}",
            "Only the tests need them; 'make test' installs them.",
        )
    return Finding("programs", "ok", "ffmpeg, chromium, espeak-ng, sox (only the tests need them)")


def _ports(settings: Settings, running: Running | None) -> Iterator[Finding]:
    for role in ROLES:
        host, port = settings.address(role)
        where = f"{host} port {port}"
        if running is not None and running.ports.get(role) == port:
            yield Finding(f"port {role}", "ok", f"{where} is ours (process {running.pid})")
            continue
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError as wrong:
                yield Finding(
                    f"port {role}", "fail", f"{where}: {wrong.strerror}", "Stop what uses it, or choose another 'port'."
                )
                continue
        yield Finding(f"port {role}", "ok", f"{where} is free")


def _links(settings: Settings) -> Finding:
    """What pages and commands print as addresses, seen from another machine."""
    links = f"{settings.door_base}, sound {settings.sound_base}"
    if not settings.on_loopback and not (settings.public_url and settings.sound_url):
        return Finding(
            "links", "warn", f"{links}: other machines may not reach these", "Set 'public_url' and 'sound_url'."
        )
    return Finding("links", "ok", links)


def _media(settings: Settings) -> Iterator[Finding]:
    """A packet from each address that speakers are offered to itself; what lies beyond this machine only a speaker can prove."""
    import ifaddr

    addresses = settings.media_addresses or [
        ip.ip
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if isinstance(ip.ip, str) and not ip.ip.startswith("169.254.")
    ]
    mine = {ip.ip if isinstance(ip.ip, str) else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips}
    for address in addresses:
        if address not in mine:
            yield Finding(
                "media udp", "warn", f"{address} is not on this machine's network cards",
                "Right behind 1:1 NAT; then forward UDP to this machine. Else correct 'media_addresses'.",
            )  # fmt: skip
            continue
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.settimeout(_DEADLINE_S)
            try:
                one.bind((address, 0))
                one.sendto(b"rostra", one.getsockname())
                one.recvfrom(16)
            except OSError as wrong:
                yield Finding(
                    "media udp", "fail", f"{address}: {wrong}", "A firewall here drops UDP; allow it for this machine."
                )
                continue
        yield Finding("media udp", "ok", f"{address} sends and receives")
    outward = [address for address in addresses if not address.startswith("127.")]
    if not outward and not settings.on_loopback:
        yield Finding(
            "media udp", "warn", "only loopback is offered to speakers",
            "Set 'media_addresses' to the address that speakers reach.",
        )  # fmt: skip


def _turn(settings: Settings) -> Iterator[Finding]:
    if not settings.turn_url:
        level: Literal["ok", "warn"] = "ok" if settings.on_loopback else "warn"
        yield Finding("turn", level, "none set", "Speakers behind strict firewalls need one: set 'turn_url'.")
        return
    try:
        relay = asyncio.run(asyncio.wait_for(_allocate(settings), _DEADLINE_S))
    except Exception as wrong:  # noqa: BLE001 - whatever the allocation raises is the finding
        why = str(wrong) or type(wrong).__name__
        yield Finding(
            "turn", "fail", f"{settings.turn_url}: {why}", "Check its address, 'turn_user' and 'turn_password'."
        )
    else:
        yield Finding("turn", "ok", f"{settings.turn_url} relays from {relay}")


async def _allocate(settings: Settings) -> str:
    """Ask the TURN server for a relayed address (RFC 8656 7), give it back to the server, and say which it was."""
    from aioice import turn

    over = asyncio.Event()

    class Relayed(asyncio.DatagramProtocol):
        def connection_lost(self, _: Exception | None) -> None:
            over.set()

    scheme, _, rest = settings.turn_url.partition(":")
    server, _, query = rest.partition("?")
    host, _, port = server.rpartition(":") if ":" in server else (server, "", "")
    address = (host, int(port or (5349 if scheme == "turns" else 3478)))
    transport, _ = await turn.create_turn_endpoint(
        Relayed,
        server_addr=address,
        username=settings.turn_user,
        password=settings.turn_password,
        ssl=scheme == "turns",
        transport="tcp" if "transport=tcp" in query or scheme == "turns" else "udp",
    )
    try:
        relay = transport.get_extra_info("sockname")
        return f"{relay[0]}:{relay[1]}"
    finally:
        transport.close()
        with suppress(TimeoutError):  # then it runs out by itself
            await asyncio.wait_for(over.wait(), _GIVE_BACK_S)


def _disk(data: Path) -> Iterator[Finding]:
    there = data
    while not there.exists() and there != there.parent:
        there = there.parent
    there = there if there.exists() else Path.cwd()
    free_mb = shutil.disk_usage(there).free // 1_000_000
    hours = free_mb / _MB_PER_HOUR
    room = f"{free_mb / 1000:.1f} GB free: {hours:,.0f} hours of one Space"
    if hours < 4:
        yield Finding("disk space", "fail" if hours < 1 else "warn", room, "Make room, or move the data with --data.")
    else:
        yield Finding("disk space", "ok", room)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            taken = []
            for _ in range(20):
                file.write(bytes(10_000))
                file.flush()
                began = time.perf_counter()
                os.fdatasync(file.fileno())
                taken.append(time.perf_counter() - began)
    except OSError as wrong:
        yield Finding(
            "disk sync", "fail", f"{there}: {wrong.strerror}", "Make the data directory writable for this user."
        )
        return
    slow_ms = sorted(taken)[-2] * 1000
    text = f"a part is safe on disk after {sorted(taken)[10] * 1000:.1f} ms, nearly always within {slow_ms:.1f} ms"
    if slow_ms > _PART_S * 500:
        yield Finding(
            "disk sync", "warn", text, 'Too slow for half-second parts: set sync = "segment", or use another disk.'
        )
    else:
        yield Finding("disk sync", "ok", text)


def _clocks() -> Iterator[Finding]:
    wall, monotonic = time.time(), time.monotonic()
    time.sleep(0.25)
    apart_ms = abs((time.time() - wall) - (time.monotonic() - monotonic)) * 1000
    if wall < 1_700_000_000:
        yield Finding(
            "clock",
            "fail",
            f"says {time.strftime('%Y-%m-%d', time.localtime(wall))}",
            "Set the date; listeners see wrong times.",
        )
    elif apart_ms > 20:
        yield Finding(
            "clock",
            "warn",
            f"moved {apart_ms:.0f} ms in a quarter of a second",
            "Let a time service slew it, not step it.",
        )
    else:
        yield Finding("clock", "ok", f"{time.strftime('%Y-%m-%d %H:%M:%S')} UTC{time.strftime('%z')}, steady")
    if _SYNCED.exists() or _kernel_says_synced():
        yield Finding("time service", "ok", "synchronised")
    else:
        yield Finding(
            "time service", "warn", "not synchronised, or not readable here", "Install chrony or systemd-timesyncd."
        )


def _kernel_says_synced() -> bool:
    """adjtimex(2) reports TIME_ERROR (5) while nobody disciplines the clock."""
    import ctypes

    buffer = ctypes.create_string_buffer(512)
    with suppress(OSError, AttributeError):
        return int(ctypes.CDLL(None).adjtimex(buffer)) not in (-1, 5)
    return False


def _file_limit() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else 1_048_576
    text = f"{soft} now, up to {most}: each listener takes one"
    if most < 10_000:
        return Finding("file limit", "warn", text, "Raise it (systemd: LimitNOFILE=1048576) before a crowd comes.")
    return Finding("file limit", "ok", text)


def _roles(running: Running | None, run: Path) -> Iterator[Finding]:
    if running is None:
        yield Finding("server", "ok", "does not run now", "")
        return
    addresses: dict[str, tuple[str, int] | str] = {role: running.address(role) for role in ROLES}
    addresses |= private_sockets_of(run)
    for name, address in addresses.items():
        yield _asked(name, address)


def _asked(process: str, address: tuple[str, int] | str) -> Finding:
    what, began = f"role {process}", time.perf_counter()
    try:
        asyncio.run(_ask(address))
    except (Unavailable, TimeoutError) as wrong:
        why = str(wrong) or "not in time"
        return Finding(what, "fail", f"does not answer: {why}", "Its lines in the log of 'rostra serve' say why.")
    return Finding(what, "ok", f"answers after {(time.perf_counter() - began) * 1000:.0f} ms")


async def _ask(address: tuple[str, int] | str) -> None:
    client = Client(address, ClientLimits(connect_s=_DEADLINE_S, answer_s=_DEADLINE_S, piece_s=_DEADLINE_S))
    async with await client.request("GET", "/healthz") as answer:
        await answer.read()
