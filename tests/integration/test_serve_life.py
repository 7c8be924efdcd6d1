"""One installation from its first start to its end: what an operator meets."""

import json
import os
import signal
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certificates import make
from rostra_process import ROSTRA, Rostra, environment, free_ports

from rostra.kernel.settings import ROLES, role_of


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def serve(data: Path, port: int) -> subprocess.CompletedProcess[str]:
    command = [*ROSTRA, "serve", "--json", "--data", str(data), "--port", str(port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())


def test_the_greeting_names_the_address_and_a_link_that_signs_in_once(server: Rostra) -> None:
    assert server.greeting["page"] == server.door
    token = server.greeting["sign_in"].partition("#token=")[2]

    def sign_in() -> int:
        request = urllib.request.Request(
            f"{server.door}/api/sign-in", json.dumps({"token": token}).encode(),
            {"Content-Type": "application/json", "Origin": server.door},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code

    assert sign_in() in (200, 201, 204)
    assert sign_in() in (400, 401, 403, 409, 410)


def test_the_data_is_for_its_owner_alone(server: Rostra) -> None:
    for name in ("operator.key", "rostra.toml", "people.db", "run/serve.json"):
        assert stat.S_IMODE((server.data / name).stat().st_mode) == 0o600, name


def test_every_role_answers(server: Rostra) -> None:
    for port in range(server.port, server.port + len(ROLES)):
        assert server.get(f"http://127.0.0.1:{port}/healthz")


def test_doctor_finds_nothing_broken(server: Rostra) -> None:
    report = server.run("doctor", "--port", str(server.port))
    failed = [one for one in report["findings"] if one["result"] == "fail"]
    assert report["ok"] and not failed


def test_a_house_that_speaks_tls_itself_finds_nothing_broken_and_shows_no_role_as_away(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rostra.toml").write_text(
        f'tls_certificate = "{tmp_path}/server.pem"\ntls_key = "{tmp_path}/server.key"\nedges = 2\n'
    )
    with Rostra(tmp_path / "data", free_ports()) as server:
        assert server.greeting["page"] == f"https://127.0.0.1:{server.port}"
        report = server.run("doctor", "--port", str(server.port))
        assert report["ok"], [one for one in report["findings"] if one["result"] == "fail"]
        answered = [one["what"] for one in report["findings"] if one["what"].startswith("role ")]
        assert sorted(answered) == sorted(f"role {name}" for name in (*ROLES, "edge-2"))
        office = f"http://127.0.0.1:{server.port + ROLES.index('control')}"
        request = urllib.request.Request(f"{office}/metrics", headers={"Authorization": f"Bearer {server.key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            up = [line for line in answer.read().decode().splitlines() if line.startswith("rostra_up{")]
        assert sorted(up) == sorted(f'rostra_up{{role="{name}"}} 1' for name in (*ROLES, "edge-2"))


def test_a_second_serve_on_the_same_data_is_refused_in_one_sentence(server: Rostra) -> None:
    began = time.monotonic()
    second = serve(server.data, free_ports())
    assert second.returncode == 1
    assert "already runs on" in second.stderr and server.door in second.stderr
    assert "Traceback" not in second.stderr
    assert time.monotonic() - began < 4


def test_a_port_in_use_is_named_with_the_remedy(tmp_path: Path) -> None:
    port = free_ports()
    with socket.create_server(("127.0.0.1", port + 1)):
        refused = serve(tmp_path / "data", port)
    assert refused.returncode == 1
    assert f"Port {port + 1}" in refused.stderr and "--port" in refused.stderr


def test_a_space_lives_its_life_by_command(server: Rostra) -> None:
    space = server.run("space", "create", "--title", "Evening", "--starts", "2030-05-04T20:00:00Z")
    assert server.state(space["id"])["state"] == "scheduled"
    assert space["studio"] == f"{server.door}/studio/{space['id']}#key={space['token']}"
    assert server.run("space", "delay", space["id"], "--minutes", "40", "--reason", "late")["state"] == "delayed"
    assert server.run("space", "open", space["id"])["state"] == "open"
    assert server.run("space", "show", space["id"])["state"] == "open"
    assert space["id"] in [one["id"] for one in server.run("space", "list")["spaces"]]
    assert server.run("space", "end", space["id"])["state"] in ("cancelled", "ended")
    refused = server.run("space", "open", space["id"], code=1)
    assert refused["error"]["code"] and refused["error"]["message"]


def test_the_page_answers_in_every_state_and_an_unknown_space_gets_404(server: Rostra) -> None:
    space = server.run("space", "create", "--title", "Evening")
    assert b"Evening" in server.get(space["page"])
    server.run("space", "cancel", space["id"])
    assert b"Evening" in server.get(space["page"])
    with pytest.raises(urllib.error.HTTPError, match="404"):
        server.get(f"{server.door}/s/zzzzzzzzzz")


@pytest.mark.parametrize("role", ROLES)
def test_who_asks_while_a_role_restarts_waits_and_is_served(
    server: Rostra, role: str, eventually: Callable[..., Any]
) -> None:
    port = server.port + ROLES.index(role)
    killed = server.kill_role(role)
    eventually(lambda: not alive(killed), 2)
    began = time.monotonic()
    assert server.get(f"http://127.0.0.1:{port}/healthz", timeout_s=15)
    took_s = time.monotonic() - began
    eventually(lambda: server.pids()[role] != killed)
    assert took_s < 8, f"the {role} came back after {took_s:.1f} s"


def test_a_space_made_before_the_first_start_is_there_after_it(tmp_path: Path) -> None:
    rostra = Rostra(tmp_path / "data", free_ports())
    space = rostra.run("space", "create", "--title", "Early bird")
    with rostra:
        assert rostra.state(space["id"])["title"] == "Early bird"


def test_stopping_is_orderly_and_leaves_nothing_running(tmp_path: Path) -> None:
    rostra = Rostra(tmp_path / "data", free_ports())
    rostra.start()
    pids = rostra.pids()
    began = time.monotonic()
    assert rostra.stop() == 0
    assert time.monotonic() - began < 15
    assert not [role for role, pid in pids.items() if alive(pid)]
    assert "killing it" not in rostra.log()
    stopped = [json.loads(line)["of"] for line in rostra.log().splitlines() if '"role stopped"' in line]
    assert list(dict.fromkeys(map(role_of, stopped))) == ["door", "edge", "radio", "control", "stage"]
    assert not (rostra.data / "run" / "serve.json").exists()
    assert not (rostra.data / "people.db-wal").exists(), "the database was not closed"


def test_when_the_supervisor_is_killed_its_roles_die_and_the_next_one_takes_over(
    tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    rostra = Rostra(tmp_path / "data", free_ports())
    rostra.start()
    space = rostra.run("space", "create", "--title", "Survivor")
    pids = rostra.pids()
    rostra.stop(signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in pids.values()), 5)
    with rostra:
        assert rostra.state(space["id"])["title"] == "Survivor"


def test_a_role_that_stands_still_does_not_stop_the_others(server: Rostra) -> None:
    control = server.pids()["control"]
    os.kill(control, signal.SIGSTOP)
    try:
        space_page = server.get(server.door)
        assert space_page
        assert server.get(f"{server.sound}/healthz")
    finally:
        os.kill(control, signal.SIGCONT)


def test_metrics_of_all_roles_are_for_the_operator_at_one_address(server: Rostra) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        server.get(f"{server.door}/metrics")
    request = urllib.request.Request(f"{server.door}/metrics", headers={"Authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    for role in ROLES:
        assert f'rostra_loop_late_seconds{{role="{role}"}}' in text
