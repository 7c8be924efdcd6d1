"""What roles may ask of the store: who may sign in, who is signed in, and whose Space it is.

Methods block for a moment (a database on disk), so a loop calls them in a thread. Every change is one transaction.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType, Protocol

from rostra.kernel.ids import SpaceId

AccountId = NewType("AccountId", str)

MINUTE_US: Final = 60_000_000
DAY_US: Final = 24 * 60 * MINUTE_US
LINK_LIVES_US: Final = 30 * MINUTE_US
INVITATION_LIVES_US: Final = 7 * DAY_US
SESSION_IDLE_US: Final = 14 * DAY_US
SESSION_LIVES_US: Final = 90 * DAY_US
SEEN_EVERY_US: Final = MINUTE_US
"""A session's last use is written down at most this often, so that reading pages does not write to disk."""

LINKS_MOST: Final = 5
INVITATIONS_MOST: Final = 100
SESSIONS_MOST: Final = 20


class Role(StrEnum):
    OPERATOR = "operator"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Account:
    id: AccountId
    role: Role
    name: str
    created_us: int


@dataclass(frozen=True, slots=True)
class Invitation:
    """One that still waits to be accepted. Its token is known to the invited alone."""

    id: str
    role: Role
    name: str
    created_us: int
    expires_us: int


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    account: Account
    created_us: int
    seen_us: int
    expires_us: int
    user_agent: str


class Store(Protocol):
    """Tokens go in and out in the clear and are stored as hashes only.

    Every method raises `Unavailable` when the database is away or busy for too long; nothing was changed then.
    """

    def operator(self, now_us: int) -> Account:
        """The first operator, made now if there is none. Signing in takes a link: there is no password."""

    def accounts(self) -> list[Account]:
        """Oldest first."""

    def account(self, account_id: AccountId) -> Account | None: ...

    def remove_account(self, account_id: AccountId) -> bool:
        """Forget a person with their sessions, links and invitations; their Spaces fall to the operators.

        Returns:
            Whether there was such an account.
        Raises:
            Refused: it is the last operator's.
        """

    def make_link(self, account_id: AccountId, now_us: int) -> str | None:
        """A token that signs this person in once, within half an hour. The oldest of more than five is void.

        Returns:
            None if there is no such account.
        """

    def use_link(self, token: str, now_us: int, user_agent: str) -> tuple[str, Session]:
        """Sign in by link: the new session's token, and the session.

        Raises:
            Refused: the token was never ours, is used already, or is too old.
        """

    def invite(self, by: AccountId, role: Role, name: str, now_us: int) -> tuple[str, Invitation]:
        """A token by which somebody becomes a member once, within seven days.

        Raises:
            Refused: a hundred invitations wait already, or the inviting account is gone.
        """

    def invitations(self, now_us: int) -> list[Invitation]:
        """Those still waiting, oldest first."""

    def withdraw_invitation(self, invitation_id: str) -> bool:
        """Whether there was such an invitation, unused."""

    def accept_invitation(self, token: str, name: str, now_us: int, user_agent: str) -> tuple[str, Session]:
        """Make the invited account under the name they chose, and sign it in.

        Raises:
            Refused: the token was never ours, is used already, is withdrawn, or is too old.
        """

    def session(self, token: str, now_us: int) -> Session | None:
        """Who holds this token, or None. Using a session renews it, up to ninety days from sign-in."""

    def sessions(self, account_id: AccountId, now_us: int) -> list[Session]:
        """Those still good, latest used first."""

    def end_session(self, account_id: AccountId, session_id: str) -> bool:
        """Whether this account had such a session."""

    def end_other_sessions(self, account_id: AccountId, kept_id: str) -> int:
        """How many were ended."""

    def own_space(self, space_id: SpaceId, account_id: AccountId, now_us: int) -> None:
        """Write down whose Space this is. The first owner stays."""

    def owner(self, space_id: SpaceId) -> AccountId | None:
        """None for a Space of nobody, which the operators look after."""

    def owned_spaces(self, account_id: AccountId) -> list[SpaceId]:
        """Newest first."""

    def close(self) -> None: ...
