"""What the file on disk promises beyond the contract: who can read it, what is in it, and versions."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from rostra.kernel.errors import Fault, Unavailable
from rostra.store import schema
from rostra.store.engine import sqlite_engine, writing
from rostra.store.ports import SEEN_EVERY_US, Role
from rostra.store.sql import SqlStore, open_sqlite

NOW = 1_800_000_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


def test_only_this_user_can_read_the_file(path: Path) -> None:
    open_sqlite(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_secret_stands_in_the_file(path: Path) -> None:
    store = open_sqlite(path)
    operator = store.operator(NOW)
    link = store.make_link(operator.id, NOW)
    assert link
    invitation, _ = store.invite(operator.id, Role.HOST, "Ada", NOW)
    session, _ = store.use_link(link, NOW, "")
    store.close()
    written = b"".join(one.read_bytes() for one in path.parent.iterdir())
    assert b"Ada" in written
    for secret in (link, invitation, session):
        assert secret.encode() not in written


def test_people_are_still_there_after_a_restart(path: Path) -> None:
    store = open_sqlite(path)
    link = store.make_link(store.operator(NOW).id, NOW)
    token, session = store.use_link(link or "", NOW, "")
    store.close()
    again = open_sqlite(path)
    assert again.session(token, NOW) == session
    again.close()


def test_two_processes_share_one_file(path: Path) -> None:
    server, command = open_sqlite(path), open_sqlite(path)
    link = command.make_link(command.operator(NOW).id, NOW)
    assert server.use_link(link or "", NOW, "")
    server.close()
    command.close()


def test_a_file_from_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    open_sqlite(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE schema_version SET version = 7")
        database.commit()
    with pytest.raises(Fault, match=r"newer Rostra \(its schema is 7, this one knows 1\)"):
        open_sqlite(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version FROM schema_version").fetchall() == [(7,)]


def test_an_older_file_takes_each_missing_step_once(path: Path) -> None:
    open_sqlite(path).close()

    def add_profile(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE accounts ADD COLUMN profile TEXT"))

    engine = sqlite_engine(path)
    for _ in range(2):
        with writing(engine) as connection:
            schema.prepare(connection, "it", [add_profile])
    with writing(engine) as connection:
        assert connection.execute(schema.schema_version.select()).scalar_one() == 2
    engine.dispose()


def test_a_step_that_fails_changes_nothing(path: Path) -> None:
    open_sqlite(path).close()

    def half(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE accounts ADD COLUMN profile TEXT"))
        raise RuntimeError("power cut")

    engine = sqlite_engine(path)
    with pytest.raises(RuntimeError), writing(engine) as connection:
        schema.prepare(connection, "it", [half])
    engine.dispose()
    with closing(sqlite3.connect(path)) as database:
        assert "profile" not in [row[1] for row in database.execute("PRAGMA table_info(accounts)")]


def test_a_file_that_is_no_database_is_refused_with_a_sentence(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to look" * 100)
    with pytest.raises(Fault, match="cannot be used: file is not a database"):
        open_sqlite(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_place_where_no_file_can_be_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be opened"):
        open_sqlite(tmp_path / "missing" / "people.db")


def test_a_busy_database_is_reported_and_readers_go_on(path: Path) -> None:
    store = SqlStore(sqlite_engine(path, busy_s=0.02), "it")
    operator = store.operator(NOW)
    token, session = store.use_link(store.make_link(operator.id, NOW) or "", NOW, "")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            store.make_link(operator.id, NOW)
        assert store.accounts() == [operator]
        late = store.session(token, NOW + SEEN_EVERY_US)
        assert late == session, "who is signed in stays so, even if the last use cannot be written"
    assert store.make_link(operator.id, NOW)
    store.close()


def test_the_file_is_written_ahead_and_forced_to_disk(path: Path) -> None:
    engine = sqlite_engine(path)
    with writing(engine) as connection:
        asked = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    engine.dispose()
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
