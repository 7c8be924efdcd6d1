"""Debian's nginx, Varnish and HAProxy, started with the files of deploy/; only ports and paths are put in their places."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import make
from rostra_process import free_ports

DEPLOY = Path(__file__).parents[1] / "deploy"


def need(program: str) -> None:
    if shutil.which(program) is None and not Path(f"/usr/sbin/{program}").exists():
        pytest.skip(f"{program} is not installed; 'sh tools/test_tools.sh' installs it")


@contextmanager
def nginx(place: Path, door: int, edge: int, *, keeps: bool = False) -> Iterator[tuple[int, Path]]:
    """Gives its TLS port and the certificate to trust. `keeps`: with the cache that the file offers."""
    need("nginx")
    place.mkdir(parents=True, exist_ok=True)
    authority, chain, key = make(place)
    port = free_ports(1)
    cache = {"proxy_cache off;": "proxy_cache rostra;"} if keeps else {}
    text = _put(
        DEPLOY / "nginx" / "rostra.conf",
        cache
        | {
            "127.0.0.1:8000": f"127.0.0.1:{door}",
            "127.0.0.1:8001": f"127.0.0.1:{edge}",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
            "server_name live.example.org;": "server_name localhost;",
            "/etc/letsencrypt/live/live.example.org/fullchain.pem": str(chain),
            "/etc/letsencrypt/live/live.example.org/privkey.pem": str(key),
            "/var/cache/nginx/rostra": str(place / "cache"),
        },
    )
    (place / "rostra.conf").write_text(text)
    kinds = "".join(
        f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.getuid() == 0 else ""
    (place / "nginx.conf").write_text(
        f"{user} daemon off; pid {place}/nginx.pid; error_log {place}/error.log; events {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; {kinds} include {place}/rostra.conf; }}\n"
    )
    with _running(["/usr/sbin/nginx", "-p", str(place), "-c", str(place / "nginx.conf")], port, place / "error.log"):
        yield port, authority


@contextmanager
def varnish(place: Path, door: int, edge: int) -> Iterator[int]:
    """Gives its port."""
    need("varnishd")
    place.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)
    text = _put(
        DEPLOY / "varnish" / "default.vcl",
        {'.port = "8000"': f'.port = "{door}"', '.port = "8001"': f'.port = "{edge}"'},
    )
    (place / "default.vcl").write_text(text)
    command = [
        "/usr/sbin/varnishd", "-F", "-n", str(place / "work"), "-f", str(place / "default.vcl"), "-a", f"127.0.0.1:{port}",
        "-p", "timeout_idle=75", "-p", "thread_pool_max=200", "-p", "thread_pool_min=20", "-p", "thread_pools=1",
        "-s", "malloc,32M",
    ]  # fmt: skip
    if os.getuid() == 0:
        command += ["-j", "none"]
    with _running(command, port, place / "varnish.log"):
        yield port


@contextmanager
def haproxy(place: Path, door: int, edge: int) -> Iterator[tuple[int, Path]]:
    """Gives its TLS port and the certificate to trust."""
    need("haproxy")
    place.mkdir(parents=True, exist_ok=True)
    authority, chain, key = make(place)
    (place / "live.pem").write_text(chain.read_text() + key.read_text())
    port = free_ports(1)
    text = _put(
        DEPLOY / "haproxy" / "haproxy.cfg",
        {
            "127.0.0.1:8000": f"127.0.0.1:{door}",
            "127.0.0.1:8001": f"127.0.0.1:{edge}",
            "bind :443 ssl": f"bind 127.0.0.1:{port} ssl",
            "/etc/haproxy/live.pem": str(place / "live.pem"),
            "maxconn 100000": "maxconn 2000",
        },
    )
    (place / "haproxy.cfg").write_text(text)
    with _running(["/usr/sbin/haproxy", "-db", "-f", str(place / "haproxy.cfg")], port, place / "haproxy.log"):
        yield port, authority


def _put(file: Path, places: dict[str, str]) -> str:
    text = file.read_text()
    for old, new in places.items():
        assert old in text, f"{file.name} does not say {old!r} any more"
        text = text.replace(old, new)
    return text


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("a") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None, f"{command[0]} did not start: {log.read_text()[-2000:]}"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, f"{command[0]} does not answer: {log.read_text()[-2000:]}"
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
