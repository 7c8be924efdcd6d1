import ctypes
import datetime
import errno
import os
import resource
import shutil
import socket
import tempfile
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from certificates import make
from rostra_process import free_ports

from rostra.app import doctor
from rostra.app.findings import Finding


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


@pytest.mark.parametrize(
    ("free_gb", "result", "hours"), [(0.05, "fail", "0 hours"), (0.25, "warn", "2 hours"), (500.0, "ok", "5,000 hours")]
)
def test_room_on_the_disk_is_told_in_hours_and_too_little_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gb: float, result: str, hours: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, int(free_gb * 1e9)))
    found = findings(tmp_path, port=free_ports())["disk space"]
    assert found.result == result and hours in found.said
    assert "--data" in found.remedy or result == "ok"


def test_a_data_directory_that_cannot_be_written_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    found = findings(tmp_path, port=free_ports())["disk sync"]
    assert found.result == "fail" and "Read-only file system" in found.said and "writable" in found.remedy


def test_a_disk_too_slow_for_half_second_parts_is_a_warning_with_the_setting_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, perf_counter, fdatasync = 0.0, time.perf_counter, os.fdatasync

    def slow(descriptor: int) -> None:
        nonlocal now_s
        fdatasync(descriptor)
        now_s += 0.3

    monkeypatch.setattr(time, "perf_counter", lambda: perf_counter() + now_s)
    monkeypatch.setattr(os, "fdatasync", slow)
    found = findings(tmp_path, port=free_ports())["disk sync"]
    assert found.result == "warn" and 'sync = "segment"' in found.remedy


def test_a_date_that_was_never_set_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 946_684_800.0)
    found = findings(tmp_path, port=free_ports())["clock"]
    assert found.result == "fail" and "2000" in found.said


def test_a_clock_that_jumps_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = iter((1_800_000_000.0, 1_800_000_003.0))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    found = findings(tmp_path, port=free_ports())["clock"]
    assert found.result == "warn" and "slew" in found.remedy


@pytest.mark.parametrize(("kernel", "result"), [(5, "warn"), (0, "ok")])
def test_a_clock_that_nobody_keeps_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: int, result: str
) -> None:
    monkeypatch.setattr(doctor, "_SYNCED", tmp_path / "never")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(adjtimex=lambda _: kernel))
    assert next(one for one in doctor._clocks() if one.what == "time service").result == result


@pytest.mark.parametrize(
    ("hard", "result"), [(4096, "warn"), (524_288, "ok"), (resource.RLIM_INFINITY, "ok")], ids=["few", "many", "any"]
)
def test_a_file_limit_too_low_for_a_crowd_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard: int, result: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    found = findings(tmp_path, port=free_ports())["file limit"]
    assert found.result == result and ("LimitNOFILE" in found.remedy or result == "ok")


@pytest.mark.parametrize("how", ["dropped", "forbidden"])
def test_udp_that_a_firewall_takes_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def sendto(_: socket.socket, data: bytes, __: object) -> int:
        if how == "forbidden":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return len(data)

    (tmp_path / "rostra.toml").write_text('media_addresses = ["127.0.0.1"]\n')
    monkeypatch.setattr(socket.socket, "sendto", sendto)
    found = findings(tmp_path, port=free_ports())["media udp"]
    assert found.result == "fail" and "127.0.0.1" in found.said and "firewall" in found.remedy


def test_a_machine_without_the_kernels_ring_is_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: int) -> int:
        raise PermissionError(1, "not allowed here")

    monkeypatch.setattr("rostra.wire.fanout._system_call", forbidden)
    found = next(one for one in doctor.examine(tmp_path) if one.what == "fan-out")
    assert found.result == "ok" and "one system call for each listener" in found.said


@pytest.mark.parametrize(
    ("days", "result", "said"),
    [(-1, "fail", "begins on"), (1, "ok", "good until"), (20, "warn", "runs out on"), (31, "fail", "ran out on")],
)
def test_a_certificate_that_browsers_will_refuse_is_found_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, result: str, said: str
) -> None:
    """It is made for thirty days."""
    _, chain, key = make(tmp_path / "tls")
    (tmp_path / "rostra.toml").write_text(f'tls_certificate = "{chain}"\ntls_key = "tls/{key.name}"\n')
    today = datetime.datetime.now(datetime.UTC)

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Clock":
            return cls.fromtimestamp((today + datetime.timedelta(days=days)).timestamp(), tz)

    monkeypatch.setattr(doctor.datetime, "datetime", Clock)
    found = findings(tmp_path, port=free_ports())["certificate"]
    assert (found.result, said in found.said) == (result, True), found


def test_a_certificate_that_is_not_there_is_the_finding_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "rostra.toml").write_text('tls_certificate = "a.pem"\ntls_key = "a.key"\n')
    found = findings(tmp_path, port=free_ports())["certificate"]
    assert found.result == "fail" and "cannot be used" in found.said and found.remedy


def test_no_certificate_is_no_finding(tmp_path: Path) -> None:
    assert "certificate" not in findings(tmp_path, port=free_ports())
