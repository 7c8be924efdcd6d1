"""The store on SQLite (a file of its own) or PostgreSQL. Only `app` names this module."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, Select, Table, delete, func, select
from sqlalchemy.exc import DatabaseError

from rostra.kernel.errors import Fault, Refused, Unavailable
from rostra.kernel.ids import SpaceId, new_secret, secret_hash
from rostra.store import ports, schema
from rostra.store.engine import postgres_engine, reading, sqlite_engine, writing
from rostra.store.ports import Account, AccountId, Invitation, Role, Session
from rostra.store.schema import accounts, invitations, links, sessions, space_owners

_USER_AGENT_MOST: Final = 120


def open_sqlite(path: Path) -> "SqlStore":
    """The store in one file, made if missing, readable by this user alone.

    Raises:
        Fault: not a database, not writable, or written by a newer Rostra.
    """
    return SqlStore(sqlite_engine(path), str(path))


def open_postgres(url: str) -> "SqlStore":
    """The store in a PostgreSQL database, such as postgresql+psycopg://rostra@db.example.org/rostra.

    Raises:
        Fault: not reachable, or written by a newer Rostra.
    """
    engine = postgres_engine(url)
    return SqlStore(engine, f"The database {engine.url.database}")


class SqlStore:
    """`Store`, as its docstrings promise."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        try:
            with writing(engine) as connection:
                schema.prepare(connection, place)
        except (Unavailable, DatabaseError) as wrong:
            said = getattr(wrong.__cause__ or wrong, "orig", wrong)
            raise Fault(f"{place} cannot be used: {said}.", "Put back a good copy, or see that it answers.") from None

    def close(self) -> None:
        self._engine.dispose()

    # People

    def operator(self, now_us: int) -> Account:
        with reading(self._engine) as connection:
            found = _first_operator(connection)
        if found:
            return found
        with writing(self._engine) as connection:
            return _first_operator(connection) or _add_account(connection, Role.OPERATOR, "Operator", now_us)

    def accounts(self) -> list[Account]:
        with reading(self._engine) as connection:
            return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.created_us))]

    def account(self, account_id: AccountId) -> Account | None:
        with reading(self._engine) as connection:
            return _find_account(connection, account_id)

    def remove_account(self, account_id: AccountId) -> bool:
        with writing(self._engine) as connection:
            found = _find_account(connection, account_id)
            if found is None:
                return False
            operators = select(func.count()).select_from(accounts).where(accounts.c.role == Role.OPERATOR)
            if found.role is Role.OPERATOR and connection.execute(operators).scalar_one() == 1:
                raise Refused("The last operator cannot be removed. Invite another one first.", "last-operator")
            connection.execute(delete(accounts).where(accounts.c.id == account_id))
            return True

    # Links that sign in

    def make_link(self, account_id: AccountId, now_us: int) -> str | None:
        token = new_secret()
        with writing(self._engine) as connection:
            if _find_account(connection, account_id) is None:
                return None
            _sweep(connection, links, now_us)
            unused = (links.c.account_id == account_id) & links.c.used_us.is_(None)
            newest = select(links.c.hash).where(unused).order_by(links.c.created_us.desc(), links.c.hash)
            for old in connection.execute(newest.offset(ports.LINKS_MOST - 1)).scalars().all():
                connection.execute(delete(links).where(links.c.hash == old))
            expires_us = now_us + ports.LINK_LIVES_US
            connection.execute(
                links.insert().values(
                    hash=secret_hash(token), account_id=account_id, created_us=now_us, expires_us=expires_us
                )
            )
        return token

    def use_link(self, token: str, now_us: int, user_agent: str) -> tuple[str, Session]:
        with writing(self._engine) as connection:
            used = _use_once(connection, links, token, now_us, "link")
            account = _find_account(connection, used.account_id)
            assert account is not None  # the foreign key holds it
            return _add_session(connection, account, now_us, user_agent)

    # Invitations

    def invite(self, by: AccountId, role: Role, name: str, now_us: int) -> tuple[str, Invitation]:
        token = new_secret()
        made = Invitation(_new_id(), role, name, now_us, now_us + ports.INVITATION_LIVES_US)
        with writing(self._engine) as connection:
            _sweep(connection, invitations, now_us)
            waiting = select(func.count()).select_from(_waiting(now_us).subquery())
            if connection.execute(waiting).scalar_one() >= ports.INVITATIONS_MOST:
                raise Refused(
                    f"{ports.INVITATIONS_MOST} invitations wait to be accepted. Withdraw one first.",
                    "too-many-invitations",
                )
            if _find_account(connection, by) is None:
                raise Refused("The account that invites is gone.", "account-gone")
            connection.execute(
                invitations.insert().values(
                    hash=secret_hash(token),
                    id=made.id,
                    account_id=by,
                    role=role,
                    name=name,
                    created_us=now_us,
                    expires_us=made.expires_us,
                )
            )
        return token, made

    def invitations(self, now_us: int) -> list[Invitation]:
        with reading(self._engine) as connection:
            rows = connection.execute(_waiting(now_us).order_by(invitations.c.created_us)).all()
        return [Invitation(row.id, Role(row.role), row.name, row.created_us, row.expires_us) for row in rows]

    def withdraw_invitation(self, invitation_id: str) -> bool:
        unused = (invitations.c.id == invitation_id) & invitations.c.used_us.is_(None)
        with writing(self._engine) as connection:
            return connection.execute(delete(invitations).where(unused)).rowcount > 0

    def accept_invitation(self, token: str, name: str, now_us: int, user_agent: str) -> tuple[str, Session]:
        with writing(self._engine) as connection:
            used = _use_once(connection, invitations, token, now_us, "invitation")
            account = _add_account(connection, Role(used.role), name, now_us)
            return _add_session(connection, account, now_us, user_agent)

    # Sessions

    def session(self, token: str, now_us: int) -> Session | None:
        good = (sessions.c.hash == secret_hash(token)) & (sessions.c.expires_us > now_us)
        with reading(self._engine) as connection:
            row = connection.execute(_sessions().where(good)).first()
        if row is None:
            return None
        if now_us - row.seen_us < ports.SEEN_EVERY_US:
            return _session(row)
        renewed = replace(_session(row), seen_us=now_us, expires_us=_expiry(row.created_us, now_us))
        change = sessions.update().values(seen_us=renewed.seen_us, expires_us=renewed.expires_us)
        try:
            with writing(self._engine) as connection:
                ended_meanwhile = connection.execute(change.where(sessions.c.id == row.id)).rowcount == 0
        except Unavailable:  # a full disk must not lock out the host who would end the Space
            return _session(row)
        return None if ended_meanwhile else renewed

    def sessions(self, account_id: AccountId, now_us: int) -> list[Session]:
        good = (sessions.c.account_id == account_id) & (sessions.c.expires_us > now_us)
        with reading(self._engine) as connection:
            rows = connection.execute(_sessions().where(good).order_by(sessions.c.seen_us.desc(), sessions.c.id))
            return [_session(row) for row in rows]

    def end_session(self, account_id: AccountId, session_id: str) -> bool:
        this = (sessions.c.account_id == account_id) & (sessions.c.id == session_id)
        with writing(self._engine) as connection:
            return connection.execute(delete(sessions).where(this)).rowcount > 0

    def end_other_sessions(self, account_id: AccountId, kept_id: str) -> int:
        others = (sessions.c.account_id == account_id) & (sessions.c.id != kept_id)
        with writing(self._engine) as connection:
            return connection.execute(delete(sessions).where(others)).rowcount

    # Whose Space

    def own_space(self, space_id: SpaceId, account_id: AccountId, now_us: int) -> None:
        with writing(self._engine) as connection:
            if _owner(connection, space_id) is None and _find_account(connection, account_id) is not None:
                connection.execute(
                    space_owners.insert().values(space_id=space_id, account_id=account_id, created_us=now_us)
                )

    def owner(self, space_id: SpaceId) -> AccountId | None:
        with reading(self._engine) as connection:
            return _owner(connection, space_id)

    def owned_spaces(self, account_id: AccountId) -> list[SpaceId]:
        own = select(space_owners.c.space_id).where(space_owners.c.account_id == account_id)
        with reading(self._engine) as connection:
            newest = own.order_by(space_owners.c.created_us.desc(), space_owners.c.space_id)
            return [SpaceId(found) for found in connection.execute(newest).scalars()]


def _new_id() -> str:
    return secrets.token_hex(6)


def _find_account(connection: Connection, account_id: str) -> Account | None:
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).first()
    return _account(row) if row else None


def _first_operator(connection: Connection) -> Account | None:
    operators = select(accounts).where(accounts.c.role == Role.OPERATOR)
    row = connection.execute(operators.order_by(accounts.c.created_us, accounts.c.id).limit(1)).first()
    return _account(row) if row else None


def _account(row: Row[Any]) -> Account:
    return Account(AccountId(row.id), Role(row.role), row.name, row.created_us)


def _add_account(connection: Connection, role: Role, name: str, now_us: int) -> Account:
    made = Account(AccountId(_new_id()), role, name, now_us)
    connection.execute(accounts.insert().values(id=made.id, role=role, name=name, created_us=now_us))
    return made


def _use_once(connection: Connection, table: Table, token: str, now_us: int, noun: str) -> Row[Any]:
    row = connection.execute(select(table).where(table.c.hash == secret_hash(token))).first()
    if row is None:
        raise Refused(f"This {noun} is not one of ours. Check that it was copied whole.", f"{noun}-unknown", 403)
    if row.used_us is not None:
        raise Refused(f"This {noun} has been used; it works once. Ask for a new one.", f"{noun}-used", 403)
    if row.expires_us <= now_us:
        raise Refused(f"This {noun} is too old. Ask for a new one.", f"{noun}-expired", 403)
    connection.execute(table.update().where(table.c.hash == row.hash).values(used_us=now_us))
    return row


def _sweep(connection: Connection, table: Table, now_us: int) -> None:
    connection.execute(delete(table).where(table.c.expires_us < now_us - 7 * ports.DAY_US))


def _waiting(now_us: int) -> Select[Any]:
    return select(invitations).where(invitations.c.used_us.is_(None), invitations.c.expires_us > now_us)


def _add_session(connection: Connection, account: Account, now_us: int, user_agent: str) -> tuple[str, Session]:
    token = new_secret()
    connection.execute(delete(sessions).where(sessions.c.expires_us <= now_us))
    own = select(sessions.c.id).where(sessions.c.account_id == account.id).order_by(sessions.c.seen_us.desc())
    for least_used in connection.execute(own.offset(ports.SESSIONS_MOST - 1)).scalars().all():
        connection.execute(delete(sessions).where(sessions.c.id == least_used))
    shown = "".join(letter for letter in user_agent[:_USER_AGENT_MOST] if letter.isascii() and letter.isprintable())
    made = Session(_new_id(), account, now_us, now_us, _expiry(now_us, now_us), shown)
    connection.execute(
        sessions.insert().values(
            hash=secret_hash(token),
            id=made.id,
            account_id=account.id,
            created_us=now_us,
            seen_us=now_us,
            expires_us=made.expires_us,
            user_agent=shown,
        )
    )
    return token, made


def _expiry(created_us: int, now_us: int) -> int:
    return min(now_us + ports.SESSION_IDLE_US, created_us + ports.SESSION_LIVES_US)


def _sessions() -> Select[Any]:
    return select(sessions, accounts.c.role, accounts.c.name, accounts.c.created_us.label("joined_us")).join(accounts)


def _session(row: Row[Any]) -> Session:
    account = Account(AccountId(row.account_id), Role(row.role), row.name, row.joined_us)
    return Session(row.id, account, row.created_us, row.seen_us, row.expires_us, row.user_agent)


def _owner(connection: Connection, space_id: SpaceId) -> AccountId | None:
    found = connection.execute(select(space_owners.c.account_id).where(space_owners.c.space_id == space_id)).scalar()
    return AccountId(found) if found else None
