"""nginx as a rival of the edge: static files from one worker on the server's core, as Debian configures it (but without a log) and tuned."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from house import SERVER_CORE

_CONF = """
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 20000; }}
http {{
    access_log off; {how} keepalive_requests 1000000000; keepalive_timeout 600s;
    types {{ audio/mp4 m4s; }}
    client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
    uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {www}; }}
}}
"""
HOW = {
    "nginx": "sendfile on; tcp_nopush on;",
    "nginx_tuned": "sendfile off; output_buffers 1 32k; open_file_cache max=1000;",
}
"""Debian's way, less its access log; and as quick as it gets with files as small as parts are: without sendfile, the files kept open."""


@contextmanager
def nginx(how: str, place: Path, www: Path, port: int) -> Iterator[list[int]]:
    """Serves `www`; gives its processes. `place` must be open to nginx's own user."""
    own = place / how
    own.mkdir(exist_ok=True)
    (own / "nginx.conf").write_text(_CONF.format(place=own, port=port, how=HOW[how], www=www))
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), "nginx", "-p", str(own), "-c", str(own / "nginx.conf")]
    )
    try:
        _wait_for(port)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield [process.pid, *map(int, children)]
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing answers on port {port}")
