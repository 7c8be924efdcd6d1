import asyncio
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broadcasts import SPACE, Broadcast

from rostra.app.cli import main
from rostra.app.spaces import Spaces
from rostra.space import events as e

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rostra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on data of its own; gives exit code, standard output, standard error."""

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["rostra", *args, "--data", str(tmp_path / "data")])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def made(rostra: Run, *args: str) -> dict[str, Any]:
    code, said, _ = rostra(*args, "--json")
    assert code == 0
    return dict(json.loads(said))


def test_a_space_made_before_the_server_ever_ran_is_there_with_all_its_addresses(rostra: Run) -> None:
    space = made(rostra, "space", "create", "--title", "Evening", "--starts", "2030-05-04T20:00:00+02:00")
    assert space["state"] == "scheduled"
    assert space["starts"] == "2030-05-04T18:00:00.000Z"
    assert {"id", "page", "studio", "whip", "token", "hls", "opus_hls", "replay", "recording"} <= space.keys()
    assert [one["id"] for one in made(rostra, "space", "list")["spaces"]] == [space["id"]]


def test_what_is_shown_later_does_not_hold_the_token(rostra: Run) -> None:
    space = made(rostra, "space", "create", "--title", "Evening")
    assert "token" not in made(rostra, "space", "show", space["id"])


def test_a_whole_page_address_does_as_an_id(rostra: Run) -> None:
    space = made(rostra, "space", "create", "--title", "Evening")
    assert made(rostra, "space", "show", space["page"])["id"] == space["id"]


def test_a_space_is_delayed_with_its_reason_and_cancelled(rostra: Run) -> None:
    space = made(rostra, "space", "create", "--title", "Evening", "--starts", "2030-05-04T20:00:00Z")
    later = made(rostra, "space", "delay", space["id"], "--minutes", "40", "--reason", "Waiting for our guest")
    assert (later["state"], later["starts"], later["reason"]) == (
        "delayed",
        "2030-05-04T20:40:00.000Z",
        "Waiting for our guest",
    )
    assert made(rostra, "space", "cancel", space["id"])["state"] == "cancelled"


def test_an_invited_speaker_gets_a_seat_and_a_link(rostra: Run) -> None:
    space = made(rostra, "space", "create", "--title", "Evening")
    guest = made(rostra, "space", "invite", space["id"], "--name", "Ben")
    assert guest["seat"] == "s2"
    assert guest["link"].endswith(f"/studio/{space['id']}#key={guest['token']}")


def test_the_studio_link_opens_the_hosts_seat_though_no_server_runs(rostra: Run) -> None:
    space = made(rostra, "space", "create", "--title", "Evening")
    assert space["studio"] == f"{space['page'].replace('/s/', '/studio/')}#key={space['token']}"
    assert "#" not in made(rostra, "space", "show", space["id"])["studio"]


def test_no_more_are_invited_than_the_settings_seat_though_no_server_runs(rostra: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rostra.toml").write_text("speakers_most = 2\n")
    space = made(rostra, "space", "create", "--title", "Evening")
    assert made(rostra, "space", "invite", space["id"], "--name", "Ben")["seat"] == "s2"
    code, said, _ = rostra("space", "invite", space["id"], "--name", "Cleo", "--json")
    assert code == 1 and json.loads(said)["error"]["code"] == "stage-full"


def test_the_counts_of_a_record_are_listed_and_a_changed_figure_is_found(rostra: Run, tmp_path: Path) -> None:
    counts = [
        e.Counted(90, 0, "connections"),  # as records had them once
        e.Counted(
            3900, 4100, "players that fetched sound in the last 10 s", 5012, {"web": 3400, "hls": 500}, 0.0, 0.0081
        ),
    ]

    async def record() -> None:
        broadcast = Broadcast(tmp_path / "data")
        await broadcast.go_live()
        for one in counts:
            await broadcast.writer.append_event(one)
        await broadcast.end()
        await broadcast.close()

    asyncio.run(record())
    listed = made(rostra, "timeline", "counts", SPACE)
    assert [(one["now"], one["peak"], one["unique"]) for one in listed["counts"]] == [(90, 0, 0), (3900, 4100, 5012)]
    assert (listed["peak"], listed["unique"], listed["unique_error"]) == (4100, 5012, 0.0081)
    assert listed["chain"] == made(rostra, "timeline", "verify", SPACE)["chain"]
    _, said, _ = rostra("timeline", "counts", SPACE)
    assert "At most 4,100 at once; 5,012 in all, give or take 1.6 %." in said

    file = tmp_path / "data" / "spaces" / SPACE / "timeline"
    file.write_bytes(file.read_bytes().replace(b'"peak":4100', b'"peak":9100'))
    code, said, complained = rostra("timeline", "counts", SPACE)
    assert (code, said) == (1, "") and "damaged" in complained


def test_going_live_without_a_server_says_what_to_do(rostra: Run) -> None:
    space = made(rostra, "space", "create", "--title", "Evening")
    code, _, complained = rostra("space", "live", space["id"])
    assert code == 1
    assert complained.splitlines()[1] == "Start it with 'rostra serve'."


@pytest.mark.parametrize(
    "command",
    [
        ("space", "show", "zzzzzzzzzz"),
        ("space", "show", "../../etc/passwd"),
        ("space", "create", "--title", ""),
        ("space", "create", "--title", "x" * 10_000),
        ("space", "create", "--title", "x", "--starts", "tomorrow"),
        ("space", "end", "zzzzzzzzzz"),
        ("timeline", "verify", "zzzzzzzzzz"),
        ("timeline", "counts", "zzzzzzzzzz"),
        (),
        ("spcae",),
        ("space",),
        ("space", "create"),
        ("space", "show", "zzzzzzzzzz", "twice\nor more"),
        ("space", "delay", "zzzzzzzzzz", "--minutes", "some"),
        ("listen", "http://127.0.0.1:9/s/zzzzzzzzzz", "--via", "pigeon"),
        ("sign-in",),
        ("listen", "http://127.0.0.1:9/s/zzzzzzzzzz", "--timeout", "0.2"),
        ("listen", "http://127.0.0.1:9/studio/zzzzzzzzzz"),
        ("listen", "127.0.0.1:9/s/zzzzzzzzzz"),
        ("listen", "http://127.0.0.1:9/s/zzzzzzzzzz", "--seconds", "nan"),
        ("listen", "http://127.0.0.1:9/s/zzzzzzzzzz", "--seconds", "-1"),
        ("listen", "http://127.0.0.1:9/s/zzzzzzzzzz", "--out", "/nowhere/at-all.wav", "--timeout", "0.2"),
        ("rehearse", "127.0.0.1:9/s/zzzzzzzzzz", "--listeners", "1", "--ramp", "1"),
        ("speak", "ftp://127.0.0.1:9/s/x/whip", "--token", "t", "--file", __file__),
        ("speak", "http://127.0.0.1:9/s/x/whip", "--token", "t", "--file", "/nowhere.wav"),
        ("speak", "http://127.0.0.1:9/s/x/whip", "--token", "t", "--file", __file__),
    ],
)
def test_a_failure_is_what_and_what_to_do_and_an_object_for_programs(rostra: Run, command: tuple[str, ...]) -> None:
    code, said, complained = rostra(*command, "--json")
    assert code == 1
    assert len(complained.strip().splitlines()) == 2, complained
    assert "Traceback" not in complained and "made a mistake" not in complained
    assert json.loads(said)["error"].keys() == {"code", "message", "remedy"}


READING = [
    ("space", "list"), ("space", "show", "zzzzzzzzzz"), ("space", "end", "zzzzzzzzzz"), ("space", "live", "zzzzzzzzzz"),
    ("space", "invite", "zzzzzzzzzz", "--name", "B"), ("timeline", "verify", "zzzzzzzzzz"), ("timeline", "counts", "zzzzzzzzzz"),
    ("sign-in",),
]  # fmt: skip


@pytest.mark.parametrize("command", [*READING, ("space", "create", "--title", "x"), ("serve",)], ids=" ".join)
def test_data_that_is_a_plain_file_is_named_with_what_to_do(
    rostra: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    for there in (tmp_path / "data", tmp_path / "data" / "spaces"):
        there.write_text("")
        code, _, complained = rostra(*command)
        assert code == 1
        assert complained.splitlines() == [
            f"The data directory {tmp_path / 'data'} cannot be read: Not a directory.",
            "Name the one that 'rostra serve' uses, or a new one, with --data.",
        ]
        there.unlink()
        (tmp_path / "data").mkdir(exist_ok=True)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_data_that_this_user_may_not_read_is_named_with_what_to_do(
    rostra: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def refuse(where: Path) -> list[str]:  # root, who runs some tests, may read everything
        raise PermissionError(errno.EACCES, "Permission denied", str(where))

    monkeypatch.setattr("rostra.app.place.os.listdir", refuse)
    code, _, complained = rostra(*command)
    assert code == 1
    assert complained.splitlines() == [
        f"The data directory {tmp_path / 'data'} cannot be read: Permission denied.",
        "Run this as the user who runs the server, with the same --data.",
    ]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_directory_of_something_else_is_not_taken_for_one_without_spaces(
    rostra: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "holiday.jpg").write_text("")
    code, _, complained = rostra(*command)
    assert code == 1
    assert complained.splitlines() == [
        f"There is nothing of Rostra's in {tmp_path / 'data'}.",
        "Name the directory that 'rostra serve' uses with --data.",
    ]
    assert [one.name for one in (tmp_path / "data").iterdir()] == ["holiday.jpg"]


def test_a_list_of_the_newest_says_that_there_are_more_and_how_to_see_them(
    rostra: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces = [made(rostra, "space", "create", "--title", f"Evening {number}") for number in range(3)]
    newest = {"spaces": spaces[1:], "more": True, "damaged": []}
    with monkeypatch.context() as served:
        served.setattr(Spaces, "_ask", lambda self, *asked: newest)  # as a server answers
        assert made(rostra, "space", "list") == newest
        _, said, _ = rostra("space", "list")
        assert said.splitlines()[2:] == [
            "These are the newest 2; there are more. 'rostra space list --all' shows them."
        ]
        whole = made(rostra, "space", "list", "--all")
    assert [one["title"] for one in whole["spaces"]] == ["Evening 2", "Evening 1", "Evening 0"]
    assert whole["more"] is False


def test_what_to_do_about_a_refusal_fits_what_was_asked_and_its_code_is_the_apis(rostra: Run) -> None:
    _, _, complained = rostra("space", "create", "--title", "x", "--starts", "tomorrow")
    assert complained.splitlines()[1] == "Correct that and try again."
    _, said, _ = rostra("space", "show", "zzzzzzzzzz", "--json")
    assert json.loads(said)["error"]["code"] == "unknown-space"


def test_a_command_typed_wrongly_is_told_what_was_wrong_and_where_to_read(rostra: Run) -> None:
    code, said, complained = rostra("space", "create", "--json")
    assert (code, json.loads(said)["error"]["code"]) == (1, "usage")
    what, remedy = complained.splitlines()
    assert "--title" in what and remedy.startswith("'rostra space create --help'")


def test_a_setting_that_does_not_exist_stops_the_start_and_names_the_nearest(rostra: Run, tmp_path: Path) -> None:
    made(rostra, "space", "create", "--title", "Evening")
    (tmp_path / "data" / "rostra.toml").write_text("prot = 9000\n")
    code, _, complained = rostra("serve")
    assert code == 1
    assert "'prot'" in complained and "'port'" in complained
