from typing import Any

import pytest

from rostra.kernel.errors import PeerError
from rostra.kernel.ids import SeatId, secret_hash
from rostra.space import commands as c
from rostra.stage import asked


def test_each_command_is_parsed_into_its_own_kind() -> None:
    for plain, command in [
        ({"type": "open"}, c.Open()),
        ({"type": "go_live"}, c.GoLive()),
        ({"type": "delay", "minutes": 5, "reason": "rain"}, c.Delay(5, "rain")),
        ({"type": "end"}, c.End("")),
        ({"type": "mute", "seat": "s2"}, c.Mute(SeatId("s2"))),
        ({"type": "edit", "title": "T"}, c.Edit("T")),
    ]:
        assert asked.parse_command(plain) == asked.Asked(command)


def test_a_secret_is_made_for_an_invitation_and_only_its_hash_goes_on() -> None:
    wanted = asked.parse_command({"type": "invite", "name": "Bo"})
    assert isinstance(wanted.command, c.Invite) and wanted.token
    assert wanted.command.token_hash == secret_hash(wanted.token)


@pytest.mark.parametrize(
    ("plain", "status"),
    [
        ({}, 400),
        ({"type": "shout"}, 400),
        ({"type": ["open"]}, 400),
        ({"type": "open", "seat": "s1"}, 400),
        ({"type": "delay", "minutes": "5"}, 400),
        ({"type": "delay", "minutes": True}, 400),
        ({"type": "mute"}, 400),
        ({"type": "mute", "seat": "../s1"}, 404),
        ({"type": "join", "seat": "s1", "via": "whip"}, 400),
        ({"type": "stage_away", "why": "x"}, 400),
    ],
)
def test_what_is_no_command_is_refused_with_a_sentence(plain: dict[str, Any], status: int) -> None:
    with pytest.raises(PeerError) as refusal:
        asked.parse_command(plain)
    assert refusal.value.status == status


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"{}", "text/plain", 415), (b"[]", "application/json", 400), (b"{", "application/json", 400), (b"[" * 60_000, "application/json", 400)],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(PeerError) as refusal:
        asked.parse_json(body, kind)
    assert refusal.value.status == status


def test_a_new_space_may_have_a_time_or_none() -> None:
    new = asked.parse_new_space({"title": "T", "starts": "2027-01-15T08:00:00Z", "host_name": "H"})
    assert new == asked.NewSpace("T", "H", 1_800_000_000_000_000, True)
    assert asked.parse_new_space({"title": "T", "host_name": "H", "auto_live": False}).auto_live is False
    with pytest.raises(PeerError):
        asked.parse_new_space({"title": "T", "host_name": "H", "starts": "soon"})
