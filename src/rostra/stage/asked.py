"""What people ask of the stage, parsed once, here at the border: JSON in, commands out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rostra.kernel.clock import parse_iso
from rostra.kernel.errors import PeerError
from rostra.kernel.ids import SeatId, new_secret, parse_seat_id, secret_hash
from rostra.space import commands as c


@dataclass(frozen=True, slots=True)
class Asked:
    """A command, and the secret that was made for it, if any: it is told once and never kept."""

    command: c.Command
    token: str | None = None


@dataclass(frozen=True, slots=True)
class NewSpace:
    title: str
    host_name: str
    starts_us: int | None
    auto_live: bool


def parse_json(body: bytes, content_type: str) -> dict[str, Any]:
    """Raises PeerError: 415 where it is not called JSON, 400 where it is not a JSON object."""
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise PeerError(415, "Send JSON (Content-Type: application/json).", "not-json")
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        raise PeerError(400, "The body is not valid JSON.", "bad-json") from None
    if not isinstance(plain, dict):
        raise PeerError(400, "The body must be a JSON object.", "bad-json")
    return plain


def parse_command(plain: dict[str, Any]) -> Asked:
    """{"type": "mute", "seat": "s2"} and the like.

    Raises:
        PeerError: an unknown type, or a field that is missing, superfluous or of the wrong kind.
    """
    given = dict(plain)
    name = given.pop("type", None)
    if not isinstance(name, str) or name not in _PARSERS:
        raise PeerError(400, f"A command's type is one of: {', '.join(_PARSERS)}.", "unknown-command")
    fields = _Fields(given)
    asked = _PARSERS[name](fields)
    fields.check_done(name)
    return asked


def parse_new_space(plain: dict[str, Any]) -> NewSpace:
    """Raises PeerError as `parse_command` does."""
    fields = _Fields(dict(plain))
    new = NewSpace(fields.text("title"), fields.text("host_name"), fields.time("starts"), fields.yes("auto_live", True))
    fields.check_done("a new Space")
    return new


class _Fields:
    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given

    def text(self, name: str, default: str | None = None) -> str:
        value = self._given.pop(name, None)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise PeerError(400, f"The field '{name}' must be text.", "bad-field")
        return value

    def number(self, name: str) -> int:
        value = self._given.pop(name, None)
        if not isinstance(value, int) or isinstance(value, bool):
            raise PeerError(400, f"The field '{name}' must be a whole number.", "bad-field")
        return value

    def yes(self, name: str, default: bool) -> bool:
        value = self._given.pop(name, None)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise PeerError(400, f"The field '{name}' must be true or false.", "bad-field")
        return value

    def seat(self) -> SeatId:
        seat = parse_seat_id(self.text("seat"))
        if seat is None:
            raise PeerError(404, "There is no such seat in this Space.", "no-seat")
        return seat

    def time(self, name: str) -> int | None:
        value = self._given.pop(name, None)
        if value is None:
            return None
        try:
            return parse_iso(value if isinstance(value, str) else "")
        except (ValueError, OverflowError):
            raise PeerError(
                400, f"The field '{name}' must be a time such as 2026-11-20T20:00:00Z.", "bad-time"
            ) from None

    def check_done(self, what: str) -> None:
        if self._given:
            raise PeerError(400, f"The field '{min(self._given)[:40]}' does not belong to {what}.", "bad-field")


def _invite(fields: _Fields) -> Asked:
    token = new_secret()
    return Asked(c.Invite(fields.text("name"), secret_hash(token), fields.text("role", "speaker")), token)


def _renew(fields: _Fields) -> Asked:
    token = new_secret()
    return Asked(c.RenewLink(fields.seat(), secret_hash(token), fields.yes("keep_old", False)), token)


_PARSERS: Final[dict[str, Callable[[_Fields], Asked]]] = {
    "open": lambda fields: Asked(c.Open()),
    "go_live": lambda fields: Asked(c.GoLive()),
    "delay": lambda fields: Asked(c.Delay(fields.number("minutes"), fields.text("reason", ""))),
    "cancel": lambda fields: Asked(c.Cancel(fields.text("reason", ""))),
    "end": lambda fields: Asked(c.End(fields.text("why", ""))),
    "edit": lambda fields: Asked(c.Edit(fields.text("title"))),
    "invite": _invite,
    "renew_link": _renew,
    "remove": lambda fields: Asked(c.Remove(fields.seat())),
    "mute": lambda fields: Asked(c.Mute(fields.seat())),
    "unmute": lambda fields: Asked(c.Unmute(fields.seat())),
    "ask_unmute": lambda fields: Asked(c.AskUnmute(fields.seat())),
}
