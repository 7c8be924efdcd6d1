import socket
from pathlib import Path

import pytest
from rostra_process import free_ports

from rostra.app import doctor
from rostra.app.doctor import Finding


def findings(data: Path, **where: int) -> dict[str, Finding]:
    return {one.what: one for one in doctor.examine(data, **where)}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_DEADLINE_S", 0.15)
    monkeypatch.setattr(doctor, "_LIBRARIES", ("av", "numpy"))


def test_a_sound_installation_has_no_failure_and_nothing_is_written(tmp_path: Path) -> None:
    found = doctor.examine(tmp_path, port=free_ports())
    assert doctor.fit(found), [one for one in found if one.result == "fail"]
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_a_failure_with_a_remedy(tmp_path: Path) -> None:
    port = free_ports()
    with socket.create_server(("127.0.0.1", port + 2)):
        found = findings(tmp_path, port=port)
    assert found["port control"].result == "fail"
    assert "port" in found["port control"].remedy


def test_a_wrong_setting_is_the_finding_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "rostra.toml").write_text('turn_ulr = "turn:example.org"\n')
    found = findings(tmp_path)
    assert found["settings"].result == "fail"
    assert "turn_url" in found["settings"].remedy


def test_a_turn_server_that_does_not_answer_is_named_after_the_deadline(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        (tmp_path / "rostra.toml").write_text(
            f'turn_url = "turn:127.0.0.1:{silent.getsockname()[1]}"\nturn_user = "u"\n'
        )
        found = findings(tmp_path, port=free_ports())
    assert found["turn"].result == "fail"
    assert "turn_user" in found["turn"].remedy


def test_a_media_address_that_is_not_ours_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "rostra.toml").write_text('media_addresses = ["203.0.113.7"]\n')
    assert findings(tmp_path, port=free_ports())["media udp"].result == "warn"


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LIBRARIES", ("no_such_library",))
    assert "no_such_library" in findings(tmp_path, port=free_ports())["libraries"].said


def test_links_that_only_this_machine_can_follow_are_a_warning(tmp_path: Path) -> None:
    links = [one for one in doctor.examine(tmp_path, host="0.0.0.0", port=free_ports()) if one.what == "links"]
    assert [one.result for one in links] == ["warn"] and "public_url" in links[0].remedy
