"""How the database is opened, and how a transaction begins: writers go one at a time on both engines, so that one line
of reasoning about races serves both.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rostra.kernel.errors import Fault, Unavailable

_BUSY_S: Final = 3
_ADVISORY_LOCK: Final = 0x526F73747261
_WRITES: Final = "rostra_writes"


def sqlite_engine(path: Path, busy_s: float = _BUSY_S) -> Engine:
    """One file, made if missing, readable by this user alone.

    Raises:
        Fault: the file cannot be opened for writing.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as wrong:
        raise Fault(f"{path} cannot be opened: {wrong.strerror}.", "Check who owns the data directory.") from None
    engine = create_engine(
        f"sqlite:///{path}", pool_size=4, max_overflow=0, pool_timeout=busy_s, connect_args={"timeout": busy_s}
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def postgres_engine(url: str) -> Engine:
    engine = create_engine(
        url,
        pool_size=4,
        max_overflow=0,
        pool_timeout=_BUSY_S,
        pool_pre_ping=True,
        connect_args={"connect_timeout": _BUSY_S},
    )
    event.listen(engine, "begin", _begin_postgres)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent look.

    Raises:
        Unavailable: the database is away, damaged, full, or busy for longer than three seconds.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (IntegrityError, ProgrammingError, DataError):
        raise  # our bug
    except (DatabaseError, InterfaceError, PoolTimeout) as away:
        raise Unavailable("The list of people cannot be reached just now. Try again in a moment.") from away


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One change, whole or not at all, after the writer before it.

    Raises:
        Unavailable: as in `reading`; nothing was changed.
    """
    with reading(engine.execution_options(**{_WRITES: True})) as connection:
        yield connection


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, below
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and then writes could find the file changed and fail at once, without waiting;
    # one that says beforehand that it will write waits its turn.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgres(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL statement_timeout = '{_BUSY_S}s'"))
    if connection.get_execution_options().get(_WRITES):
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
