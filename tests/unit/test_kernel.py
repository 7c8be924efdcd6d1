"""The words all rooms share."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.kernel import ids, metrics, settings
from rostra.kernel.clock import ManualClock, iso, parse_iso
from rostra.kernel.errors import Fault


def test_an_id_is_recognised_and_nothing_else_is() -> None:
    space_id = ids.new_space_id()
    assert ids.parse_space_id(space_id) == space_id
    for wrong in ("", "..", "abc", space_id + "\n", space_id[:-1] + "/", space_id.upper(), space_id + "a", "0" * 10):
        assert ids.parse_space_id(wrong) is None


@given(st.text(max_size=12))
def test_parsing_an_id_never_raises_and_never_widens(text: str) -> None:
    assert ids.parse_space_id(text) in (None, text)
    assert ids.parse_seat_id(text) in (None, text)


def test_a_secret_survives_a_command_line_and_the_end_of_a_link() -> None:
    for secret in (ids.new_secret() for _ in range(2000)):
        assert len(secret) == 32 and secret[0].isalnum() and secret[-1].isalnum()


def test_a_secret_is_known_by_its_hash() -> None:
    secret = ids.new_secret()
    assert ids.same_secret(secret, ids.secret_hash(secret))
    assert not ids.same_secret(secret + "x", ids.secret_hash(secret))
    assert not ids.same_secret("\ud800", ids.secret_hash(secret))


@given(st.integers(946_684_800_000, 7_258_118_399_000))
def test_times_read_back_to_the_millisecond(wall_ms: int) -> None:
    assert parse_iso(iso(wall_ms * 1000)) == wall_ms * 1000


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "1026-11-20T20:00:00Z", "2026-11-20T25:00Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_iso(text)


def test_a_time_without_a_zone_is_utc_and_with_one_is_moved() -> None:
    assert parse_iso("2026-11-20T20:00:00") == parse_iso("2026-11-20T21:00:00+01:00") == parse_iso("2026-11-20T20:00Z")


def test_the_manual_clock_keeps_boot_time_when_the_wall_jumps() -> None:
    clock = ManualClock()
    before = clock.boot_us()
    clock.jump_wall(3600)
    clock.advance(1)
    assert clock.boot_us() - before == 1_000_000


def test_the_settings_file_as_first_written_is_valid_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rostra.toml"
    path.write_text(settings.manual())
    assert settings.load(path) == settings.Settings()
    uncommented = "\n".join(
        line.removeprefix("# ") for line in settings.manual().splitlines() if " = " in line and line.startswith("# ")
    )
    path.write_text("\n".join(line for line in uncommented.splitlines() if line.split(" = ")[0].isidentifier()))
    assert settings.load(path) == settings.Settings()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prot = 80", "Did you mean 'port'"),
        ('port = "80"', "must be a whole number"),
        ("port = true", "must be a whole number"),
        ("port = 70000", "must be from 1 to 65531"),
        ('sync = "sometimes"', "must be one of part, segment, off"),
        ("port = ", "not valid TOML"),
        ("media_addresses = 5", "must be a list"),
        ("media_addresses = [1]", "must be a list of texts"),
        ('public_url = "live.example.org"', "Write it like https://live.example.org"),
        ('public_url = "https://example.org/live"', "Write it like https://live.example.org"),
        ('public_url = "ftp://live.example.org"', "'public_url'"),
        ('sound_url = "//cdn.example.org"', "Write it like https://sound.example.org"),
        ('sound_url = "https://cdn.example.org/?x"', "'sound_url'"),
        ('stun_url = "stun.example.org"', "Write it like stun:stun.example.org:3478"),
        ('stun_url = "turn:stun.example.org"', "'stun_url'"),
        ('turn_url = "turn://turn.example.org"', "Write it like turn:turn.example.org:3478"),
        ('turn_url = "turn:turn.example.org?transport=pigeon"', "'turn_url'"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_do(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "rostra.toml"
    path.write_text(line)
    with pytest.raises(Fault, match=said):
        settings.load(path)


@pytest.mark.parametrize(
    "line",
    [
        'public_url = "https://live.example.org/"',
        'public_url = "http://[::1]:8000"',
        'sound_url = "https://cdn.example.org/rostra"',
        'stun_url = "stun:stun.example.org"',
        'turn_url = "turns:[2001:db8::1]:443?transport=tcp"',
        'turn_url = ""',
    ],
)
def test_addresses_of_the_kinds_there_are_are_taken(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rostra.toml"
    path.write_text(line)
    settings.load(path)


def test_a_file_saved_by_an_editor_that_marks_its_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rostra.toml"
    path.write_bytes(b"\xef\xbb\xbfport = 9000\r\n")
    assert settings.load(path).port == 9000


def test_a_file_that_cannot_be_read_is_a_fault_of_the_installation(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be read"):
        settings.load(tmp_path)


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rostra.toml"
    path.write_text("port = 9000\nwindow_s = 120")
    loaded = settings.load(path, port=7000, host=None)
    assert (loaded.port, loaded.window_s, loaded.host) == (7000, 120, "127.0.0.1")


def test_addresses_follow_host_and_port() -> None:
    outward = settings.Settings(host="0.0.0.0", port=80)
    assert outward.address("door") == ("0.0.0.0", 80)
    assert outward.address("edge") == ("0.0.0.0", 81)
    assert outward.address("control") == ("127.0.0.1", 82)
    assert outward.address("stage") == ("127.0.0.1", 83)
    assert settings.Settings(host="::1", port=80).sound_base == "http://[::1]:81"
    assert settings.Settings(public_url="https://live.example.org/").door_base == "https://live.example.org"


def test_metrics_are_written_as_prometheus_reads_them() -> None:
    text = metrics.family("rostra_parts_total", "counter", "Parts served.", [({"space": 'a"b\n'}, 3), (None, 1.5)])
    assert text.splitlines() == [
        "# HELP rostra_parts_total Parts served.",
        "# TYPE rostra_parts_total counter",
        'rostra_parts_total{space="a\\"b\\n"} 3',
        "rostra_parts_total 1.5",
    ]
