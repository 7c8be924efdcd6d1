"""The one settings file. Its comments are the manual; the defaults below are the only other place a setting exists."""

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, get_type_hints

from rostra.kernel.errors import Fault

ROLES: Final = ("door", "edge", "control", "stage", "radio")
"""In the order of their ports: the door on `port`, each following role one further."""

_HOST: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _setting(
    default: Any,
    meaning: str,
    least: float | None = None,
    most: float | None = None,
    *,
    secret: bool = False,
    like: tuple[str, str] | None = None,
) -> Any:
    """`like`: what a text that is not empty must match, and one that does."""
    metadata = {"meaning": meaning, "least": least, "most": most, "secret": secret, "like": like}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its unit, default and bounds. Field order is the order of the file."""

    host: str = _setting("127.0.0.1", "Address that the door and the edge listen on. 0.0.0.0 for the whole network.")
    port: int = _setting(
        8000, "The door's port. The edge, control, the stage and the radio take the four after it.", 1, 65531
    )
    public_url: str = _setting(
        "",
        "How people reach the door, such as https://live.example.org. Empty: http://HOST:PORT.",
        like=(rf"https?://{_HOST}/?", "https://live.example.org"),
    )
    sound_url: str = _setting(
        "",
        "How players reach the edge (any host or CDN). Empty: the door's host, one port up.",
        like=(rf"https?://{_HOST}(?:/[A-Za-z0-9._~/-]*)?", "https://sound.example.org"),
    )
    tls_certificate: str = _setting(
        "",
        "For small installations without a front: door and edge speak TLS with this certificate (PEM, the whole chain). A path below "
        "the data directory, or an absolute one; renewed files are taken up as they are.",
    )
    tls_key: str = _setting("", "The key of the certificate (PEM, without a password).")
    edges: int = _setting(
        0, "Processes that serve sound, side by side on the edge's port. 0: one per core but one, at least one.", 0, 64
    )
    log_level: str = _setting("info", "debug, info, warning or error.")
    sync: str = _setting(
        "part", "When the record is forced to disk: 'part' (each half second), 'segment' (each four), 'off'."
    )
    reserve_minutes: int = _setting(
        60, "Disk reserved ahead for each live Space, so that it stays on the air when the disk fills up.", 0, 1440
    )
    open_early_minutes: int = _setting(
        15, "How long before its time an encoder may open a Space just by connecting.", 0, 1440
    )
    end_after_away_minutes: int = _setting(
        120, "A live Space whose stage has been empty this long ends by itself.", 1, 10_000
    )
    window_s: int = _setting(60, "Seconds of sound in the live playlist; everything older is in the replay.", 30, 600)
    speakers_most: int = _setting(13, "Seats on one stage, the host's included.", 1, 13)
    spaces_live_most: int = _setting(
        20, "Spaces that may be live at once. One more is refused with a sentence.", 1, 500
    )
    count_by: str = _setting(
        "edge",
        "How listeners are counted: 'edge', by those who fetch sound here, or 'beacon', by what web players say, where a"
        " CDN stands between.",
    )
    beacon_one_in: int = _setting(
        1, "Of the web players, one in so many says that it is here. For crowds above some 100,000: 10 or 100.", 1, 1000
    )
    media_addresses: list[str] = _setting(
        [], "IP addresses the stage offers to speakers' browsers. Empty: those of this machine's network cards."
    )
    stun_url: str = _setting(
        "",
        "A STUN server for speakers behind NAT, such as stun:stun.example.org:3478.",
        like=(rf"stuns?:{_HOST}", "stun:stun.example.org:3478"),
    )
    turn_url: str = _setting(
        "",
        "A TURN server for speakers behind strict firewalls, such as turn:turn.example.org:3478.",
        like=(rf"turns?:{_HOST}(?:\?transport=(?:udp|tcp))?", "turn:turn.example.org:3478"),
    )
    turn_user: str = _setting("", "User name at the TURN server.")
    turn_password: str = _setting("", "Password at the TURN server.", secret=True)
    rehearsal_key: str = _setting(
        "",
        "Who holds this key may send a crowd here with `rostra rehearse`; long and random, for its hash is public. Empty: only"
        " crowds from this machine.",
        secret=True,
    )

    @property
    def door_base(self) -> str:
        return self.public_url.rstrip("/") or f"{self._scheme}://{_in_url(self.host)}:{self.port}"

    @property
    def sound_base(self) -> str:
        return self.sound_url.rstrip("/") or f"{self._scheme}://{_in_url(self.host)}:{self.port + 1}"

    def address(self, role: str) -> tuple[str, int]:
        """Where a role listens. Control, stage and radio never face outward: they stay on loopback whatever `host` says."""
        host = self.host if role in ("door", "edge") else "127.0.0.1"
        return host, self.port + ROLES.index(role)

    @property
    def processes(self) -> tuple[str, ...]:
        """The names of all processes: 'edge', 'edge-2', 'edge-3' where a role has several."""
        edges = self.edges or max(1, len(os.sched_getaffinity(0)) - 1)
        further = [f"edge-{number}" for number in range(2, edges + 1)]
        return tuple(name for role in ROLES for name in ((role, *further) if role == "edge" else (role,)))

    @property
    def _scheme(self) -> str:
        return "https" if self.tls_certificate else "http"

    @property
    def on_loopback(self) -> bool:
        return self.host in _LOOPBACK


@dataclass(frozen=True, slots=True)
class InForce:
    """A setting as it acts now.

    Attributes:
        value: what an empty or zero one stands for, where that is something else; None for a secret.
        changed: whether it was given another value than the default; of a secret, whether it was set.
    """

    name: str
    meaning: str
    value: str | int | list[str] | None
    changed: bool
    secret: bool


def in_force(settings: Settings) -> list[InForce]:
    """All of them, in the order of the file. Safe to show: no secret is among the values."""
    acting: dict[str, Any] = {
        "public_url": settings.door_base,
        "sound_url": settings.sound_base,
        "edges": sum(role_of(name) == "edge" for name in settings.processes),
    }
    usual, found = Settings(), []
    for one in fields(Settings):
        name, secret, given = one.name, one.metadata["secret"], getattr(settings, one.name)
        value = None if secret else acting.get(name, given)
        found.append(InForce(name, one.metadata["meaning"], value, given != getattr(usual, name), secret))
    return found


def role_of(process: str) -> str:
    """The role of a process by its name: 'edge-2' is an edge."""
    return process.partition("-")[0]


def load(path: Path, **override: Any) -> Settings:
    """Read the file if there is one; `override` (from the command line) wins where not None.

    Raises:
        Fault: not to be read, not TOML, an unknown key (with the nearest known one), a wrong type or a value out of bounds.
    """
    given: dict[str, Any] = {}
    try:
        given = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        pass
    except OSError as wrong:
        raise Fault(
            f"The settings {path} cannot be read: {wrong.strerror}.",
            "Run this as the user who runs the server, with the same --data.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise Fault(f"{path} is not valid TOML: {wrong}.", "Correct the line it names.") from None
    for key, value in given.items():
        _check(path, key, value)
    settings = replace(Settings(), **given)
    chosen = {key: value for key, value in override.items() if value is not None}
    for key, value in chosen.items():
        _check(Path("the command line"), key, value)
    return replace(settings, **chosen)


def manual() -> str:
    """The settings file as first written: each setting's meaning, bounds and default, commented out."""
    lines = ["# Rostra's settings. A line that begins with # shows the default; remove the # to change it.", ""]
    for one in fields(Settings):
        lines.append(f"# {one.metadata['meaning']}")
        if one.metadata["least"] is not None:
            lines.append(f"# From {one.metadata['least']} to {one.metadata['most']}.")
        default = one.default_factory() if callable(one.default_factory) else one.default
        lines += [f"# {one.name} = {_toml(default)}", ""]
    return "\n".join(lines)


def _check(path: Path, key: str, value: Any) -> None:
    known = {one.name: one for one in fields(Settings)}
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        raise Fault(f"{path} has a setting '{key}' that does not exist.", f"Did you mean '{near[0]}'?")
    wanted = get_type_hints(Settings)[key]
    kind = getattr(wanted, "__origin__", wanted)
    items_fit = not isinstance(value, list) or all(isinstance(one, str) for one in value)
    if not isinstance(value, kind) or isinstance(value, bool) and kind is not bool or not items_fit:
        raise Fault(f"{path}: '{key}' must be {_said(kind)}.", f"It is {_toml(value)} now.")
    least, most = known[key].metadata["least"], known[key].metadata["most"]
    if least is not None and not least <= value <= most:
        raise Fault(f"{path}: '{key}' must be from {least} to {most}.", f"It is {value} now.")
    like = known[key].metadata["like"]
    if like is not None and value and not re.fullmatch(like[0], value):
        raise Fault(f"{path}: '{key}' cannot be '{value}'.", f"Write it like {like[1]}.")
    allowed = {
        "sync": ("part", "segment", "off"),
        "log_level": ("debug", "info", "warning", "error"),
        "count_by": ("edge", "beacon"),
    }.get(key)
    if allowed and value not in allowed:
        raise Fault(f"{path}: '{key}' must be one of {', '.join(allowed)}.", f"It is '{value}' now.")


def _said(kind: type) -> str:
    return {int: "a whole number", str: "text in quotes", list: "a list of texts", bool: "true or false"}[kind]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    return str(value)


def _in_url(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
