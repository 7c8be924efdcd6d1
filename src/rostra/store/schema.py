"""The tables, and how a database of an older Rostra becomes one of this. Times are wall microseconds, UTC."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Index, Integer, MetaData, Table, Text, inspect
from sqlalchemy.schema import SchemaItem

from rostra.kernel.errors import Fault

METADATA: Final = MetaData()

Step = Callable[[Connection], None]
STEPS: Final[Sequence[Step]] = ()
"""Step n turns schema n + 1 into schema n + 2. A step is never changed once released; a new one is added."""

schema_version = Table("schema_version", METADATA, Column("version", Integer, nullable=False))


def _account(nullable: bool = False) -> SchemaItem:
    return Column("account_id", Text, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=nullable, index=True)


accounts = Table(
    "accounts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

# A used or expired row stays a while, so that whoever opens an old link is told what is wrong with it.
links = Table(
    "links",
    METADATA,
    Column("hash", Text, primary_key=True),
    _account(),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
)

invitations = Table(
    "invitations",
    METADATA,
    Column("hash", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    _account(),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("hash", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    _account(),
    Column("created_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("user_agent", Text, nullable=False),
)

space_owners = Table(
    "space_owners",
    METADATA,
    Column("space_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("space_owners_newest", "account_id", "created_us"),
)


def prepare(connection: Connection, place: str, steps: Sequence[Step] = STEPS) -> None:
    """Make the tables, or bring those of an older version up to date, inside the caller's transaction.

    Args:
        place: what the refusal calls the database.
    Raises:
        Fault: a newer Rostra wrote this database; it is left as it is.
    """
    newest = len(steps) + 1
    if not inspect(connection).has_table(schema_version.name):
        METADATA.create_all(connection)
        connection.execute(schema_version.insert().values(version=newest))
        return
    found = connection.execute(schema_version.select()).scalar_one()
    if found > newest:
        raise Fault(
            f"{place} was written by a newer Rostra (its schema is {found}, this one knows {newest}).",
            "Start that newer version, or go back to a copy made before the upgrade.",
        )
    for step in steps[found - 1 :]:
        step(connection)
    connection.execute(schema_version.update().values(version=newest))
