import json
import os
import socket
import stat
from pathlib import Path

import pytest
from rostra_process import free_ports

from rostra.app.listening import close_all, open_all
from rostra.app.place import Place, Running
from rostra.kernel.errors import Fault
from rostra.kernel.settings import Settings


def test_first_start_writes_the_manual_and_a_key_for_this_user_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    place.prepare()
    assert "# port = 8000" in place.settings_file.read_text()
    assert stat.S_IMODE(place.key_file.stat().st_mode) == 0o600
    assert len(place.operator_key()) >= 32


def test_a_second_start_changes_neither(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.prepare()
    key = place.operator_key()
    place.settings_file.write_text("port = 9000\n")
    place.prepare()
    assert place.operator_key() == key
    assert place.settings_file.read_text() == "port = 9000\n"


def test_a_second_owner_of_the_data_is_refused_with_the_first_ones_address(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.prepare()
    with place.locked():
        place.note(Running(os.getpid(), "http://door.example", "", "127.0.0.1", {}, 0))
        with pytest.raises(Fault, match=r"already runs on .* http://door\.example"), Place(tmp_path).locked():
            pass


def test_a_note_left_by_a_killed_server_is_not_believed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.prepare()
    place.note(Running(os.getpid(), "http://door.example", "", "127.0.0.1", {}, 0))
    assert place.running() is None


def test_a_broken_note_is_not_believed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.prepare()
    for text in ("", "{", json.dumps({"pid": 1}), json.dumps([1])):
        (tmp_path / "run" / "serve.json").write_text(text)
        assert place.running() is None


def test_data_that_cannot_be_made_is_a_fault_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fault, match="--data"):
        Place(tmp_path / "file" / "data").prepare()


def test_a_taken_port_is_named_with_the_role_and_the_remedy() -> None:
    door = free_ports()
    wanted = rf"Port {door + 1} .* the edge needs.*--port"
    with socket.create_server(("127.0.0.1", door + 1)), pytest.raises(Fault, match=wanted):
        open_all(Settings(port=door))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Fault, match="not an address of this machine"):
        open_all(Settings(host="203.0.113.7", port=free_ports()))


def test_control_and_stage_stay_on_loopback() -> None:
    sockets = open_all(Settings(host="0.0.0.0", port=free_ports()))
    try:
        where = {role: [one.getsockname()[0] for one in listening] for role, listening in sockets.items()}
    finally:
        close_all(sockets)
    assert where == {
        "door": ["0.0.0.0"],
        "edge": ["0.0.0.0"],
        "control": ["127.0.0.1"],
        "stage": ["127.0.0.1"],
        "radio": ["127.0.0.1"],
    }


def test_edges_share_a_port_but_not_with_a_stranger(tmp_path: Path) -> None:
    settings = Settings(port=free_ports(), edges=2)
    sockets = open_all(settings, tmp_path)
    try:
        assert list(sockets) == list(settings.processes)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["door.sock", "edge-2.sock", "edge.sock"]
        ports = [
            one.getsockname()[1] for name in ("edge", "edge-2") for one in sockets[name] if one.family != socket.AF_UNIX
        ]
        assert ports == [settings.port + 1] * 2
        with pytest.raises(Fault, match=f"Port {settings.port + 1}"):
            open_all(Settings(port=settings.port + 1, edges=2), tmp_path)
    finally:
        close_all(sockets)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", settings.port + 1))
        stranger.listen()
        with pytest.raises(Fault, match=f"Port {settings.port + 1}"):
            open_all(settings, tmp_path)
