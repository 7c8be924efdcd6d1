"""The data directory: one lock, one key, one settings file, and a note of what runs on it now."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rostra.kernel import settings
from rostra.kernel.errors import Fault
from rostra.kernel.ids import new_secret

_TAKE_OVER_S = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """What a running `rostra serve` says of itself in DATA/run/serve.json."""

    pid: int
    door: str
    sound: str
    host: str
    ports: dict[str, int]
    since_us: int

    def address(self, role: str) -> tuple[str, int]:
        """How a command on this machine reaches a role."""
        host = "127.0.0.1" if role not in ("door", "edge") or self.host in ("0.0.0.0", "::") else self.host
        return host, self.ports[role]


class Place:
    def __init__(self, data: Path) -> None:
        self.data = data
        self.settings_file = data / "rostra.toml"
        self.key_file = data / "operator.key"
        self.run = data / "run"
        self._note = self.run / "serve.json"
        self._lock = self.run / "lock"

    def look(self, *, ours: bool = True) -> None:
        """What is only read may be missing, but it must not be something else.

        Args:
            ours: what is there must be Rostra's already.

        Raises:
            Fault: it is no directory, this user may not read it, or it holds other things.
        """
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            try:
                names = os.listdir(self.data)
                os.listdir(self.data / "spaces")
            except (NotADirectoryError, PermissionError) as wrong:
                raise Fault(
                    f"The data directory {self.data} cannot be read: {wrong.strerror}.",
                    "Run this as the user who runs the server, with the same --data."
                    if isinstance(wrong, PermissionError)
                    else "Name the one that 'rostra serve' uses, or a new one, with --data.",
                ) from None
        if ours and names and not {"spaces", self.settings_file.name, self.key_file.name} & set(names):
            raise Fault(
                f"There is nothing of Rostra's in {self.data}.",
                "Name the directory that 'rostra serve' uses with --data.",
            )

    def prepare(self) -> None:
        """Make what is missing: directories, the settings file with its manual, the operator's key.

        Raises:
            Fault: the place cannot be written.
        """
        self.look(ours=False)
        try:
            for directory in (self.data, self.run, self.data / "spaces"):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.settings_file.exists():
                self._write(self.settings_file, settings.manual(), 0o600)
            if not self.key_file.exists():
                self._write(self.key_file, new_secret() + "\n", 0o600)
        except OSError as wrong:
            raise Fault(
                f"The data directory {self.data} cannot be used: {wrong.strerror}.",
                "Make it writable for this user, or name another with --data.",
            ) from None

    def operator_key(self) -> str:
        """Raises: Fault: there is none that this user may read."""
        try:
            return self.key_file.read_text("ascii").strip()
        except OSError as wrong:
            raise Fault(
                f"The operator's key {self.key_file} cannot be read: {wrong.strerror}.",
                "Run this as the user who runs the server, with the same --data.",
            ) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Be the only owner of this data; gives the lock's descriptor, which a role may inherit to keep the lock alive.

        Raises:
            Fault: somebody else owns it.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + _TAKE_OVER_S
            while not _try_lock(descriptor):
                running = self.running()
                # A stage that outlives its killed supervisor for a moment still holds the lock: that is worth waiting for.
                if running is not None or time.monotonic() > deadline:
                    where = f" (process {running.pid}, {running.door})" if running else ""
                    raise Fault(
                        f"Another Rostra already runs on {self.data}{where}.",
                        "Stop it first, or give this one its own --data and --port.",
                    )
                time.sleep(0.05)
            yield descriptor
        finally:
            os.close(descriptor)

    def running(self) -> Running | None:
        """The server that runs on this data, if its process is alive."""
        try:
            running = Running(**json.loads(self._note.read_text("utf-8")))
            os.kill(running.pid, 0)
        except (OSError, ValueError, TypeError):
            return None
        return running if self._is_locked() else None

    def note(self, running: Running) -> None:
        self._write(self._note, json.dumps(asdict(running)), 0o600)

    def forget(self) -> None:
        self._note.unlink(missing_ok=True)

    def _is_locked(self) -> bool:
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)

    @staticmethod
    def _write(path: Path, text: str, mode: int) -> None:
        """Whole or not at all, and readable for nobody else at any moment."""
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def settings_of(place: Place, **override: Any) -> settings.Settings:
    """Paths in the file are taken from the data directory."""
    found = settings.load(place.settings_file, **override)
    chain, key = (str(place.data / path) if path else "" for path in (found.tls_certificate, found.tls_key))
    return replace(found, tls_certificate=chain, tls_key=key)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
