"""What every store promises, asked of each backend: SQLite, and PostgreSQL where ROSTRA_TEST_POSTGRES names one."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from rostra.kernel.errors import Refused
from rostra.kernel.ids import SpaceId
from rostra.store import ports
from rostra.store.ports import Account, AccountId, Role, Store
from rostra.store.schema import METADATA
from rostra.store.sql import open_postgres, open_sqlite

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
POSTGRES = os.environ.get("ROSTRA_TEST_POSTGRES", "")
SPACE = SpaceId("abcdefghjk")


@pytest.fixture(params=["sqlite", *(["postgres"] if POSTGRES else [])])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        opened: Store = open_sqlite(tmp_path / "people.db")
    else:
        engine = create_engine(POSTGRES)
        METADATA.drop_all(engine)
        engine.dispose()
        opened = open_postgres(POSTGRES)
    yield opened
    opened.close()


@pytest.fixture
def operator(store: Store) -> Account:
    return store.operator(NOW)


def join(store: Store, operator: Account, name: str = "Ada", at_us: int = NOW) -> tuple[str, ports.Session]:
    token, _ = store.invite(operator.id, Role.HOST, name, at_us)
    return store.accept_invitation(token, name, at_us, "a browser")


def test_there_is_one_operator_from_the_start_however_often_it_is_asked_for(store: Store) -> None:
    first = store.operator(NOW)
    assert store.operator(NOW + SECOND) == first
    assert store.accounts() == [first]
    assert first.role is Role.OPERATOR


def test_two_processes_that_start_at_once_make_one_operator(store: Store) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: store.operator(NOW), range(8)))
    assert len(set(made)) == 1


def test_a_link_signs_its_person_in(store: Store, operator: Account) -> None:
    link = store.make_link(operator.id, NOW)
    assert link
    token, session = store.use_link(link, NOW, "Browser 1.0")
    assert session.account == operator
    assert store.session(token, NOW) == session


def test_a_link_works_once(store: Store, operator: Account) -> None:
    link = store.make_link(operator.id, NOW)
    assert link
    store.use_link(link, NOW, "")
    with pytest.raises(Refused) as refusal:
        store.use_link(link, NOW, "")
    assert refusal.value.code == "link-used"


def test_a_link_used_by_eight_at_the_same_moment_lets_one_in(store: Store, operator: Account) -> None:
    link = store.make_link(operator.id, NOW)

    def use(_: int) -> bool:
        try:
            store.use_link(link or "", NOW, "")
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(use, range(8))) == 1


def test_a_link_is_void_after_half_an_hour(store: Store, operator: Account) -> None:
    link = store.make_link(operator.id, NOW)
    assert link
    with pytest.raises(Refused) as refusal:
        store.use_link(link, NOW + ports.LINK_LIVES_US, "")
    assert refusal.value.code == "link-expired"


def test_a_made_up_link_is_refused(store: Store) -> None:
    for wrong in ("", "guess", "\ud800", "x" * 10_000, "' OR 1=1 --"):
        with pytest.raises(Refused) as refusal:
            store.use_link(wrong, NOW, "")
        assert refusal.value.code == "link-unknown"


def test_of_more_than_five_links_the_oldest_are_void(store: Store, operator: Account) -> None:
    made = [store.make_link(operator.id, NOW + number) or "" for number in range(ports.LINKS_MOST + 1)]
    with pytest.raises(Refused):
        store.use_link(made[0], NOW + 9, "")
    for link in made[1:]:
        store.use_link(link, NOW + 9, "")


def test_nobody_gets_a_link_who_is_not_a_member(store: Store) -> None:
    assert store.make_link(AccountId("nobody"), NOW) is None


def test_an_invitation_makes_an_account_under_the_name_that_was_chosen_and_signs_it_in(
    store: Store, operator: Account
) -> None:
    token, waiting = store.invite(operator.id, Role.HOST, "Ada", NOW)
    assert store.invitations(NOW) == [waiting]
    session_token, session = store.accept_invitation(token, "Ada L.", NOW, "")
    assert (session.account.name, session.account.role) == ("Ada L.", Role.HOST)
    assert store.session(session_token, NOW) == session
    assert store.invitations(NOW) == []
    assert store.accounts() == [operator, session.account]


def test_an_invitation_works_once_and_not_after_a_week(store: Store, operator: Account) -> None:
    token, _ = store.invite(operator.id, Role.HOST, "Ada", NOW)
    late, _ = store.invite(operator.id, Role.HOST, "Ben", NOW)
    store.accept_invitation(token, "Ada", NOW, "")
    with pytest.raises(Refused) as used:
        store.accept_invitation(token, "Eve", NOW, "")
    with pytest.raises(Refused) as expired:
        store.accept_invitation(late, "Ben", NOW + ports.INVITATION_LIVES_US, "")
    assert (used.value.code, expired.value.code) == ("invitation-used", "invitation-expired")
    assert store.invitations(NOW + ports.INVITATION_LIVES_US) == []


def test_an_invitation_does_not_sign_in_and_a_link_does_not_invite(store: Store, operator: Account) -> None:
    invitation, _ = store.invite(operator.id, Role.OPERATOR, "Ada", NOW)
    link = store.make_link(operator.id, NOW)
    with pytest.raises(Refused):
        store.use_link(invitation, NOW, "")
    with pytest.raises(Refused):
        store.accept_invitation(link or "", "Eve", NOW, "")


def test_a_withdrawn_invitation_is_void(store: Store, operator: Account) -> None:
    token, waiting = store.invite(operator.id, Role.HOST, "Ada", NOW)
    assert store.withdraw_invitation(waiting.id)
    assert not store.withdraw_invitation(waiting.id)
    with pytest.raises(Refused):
        store.accept_invitation(token, "Ada", NOW, "")


def test_invitations_that_wait_are_limited_and_old_ones_make_room(store: Store, operator: Account) -> None:
    for number in range(ports.INVITATIONS_MOST):
        store.invite(operator.id, Role.HOST, f"Host {number}", NOW)
    with pytest.raises(Refused) as refusal:
        store.invite(operator.id, Role.HOST, "One more", NOW)
    assert refusal.value.code == "too-many-invitations"
    store.invite(operator.id, Role.HOST, "Later", NOW + ports.INVITATION_LIVES_US)


def test_a_session_in_use_lives_on_and_one_left_alone_dies(store: Store, operator: Account) -> None:
    token, _ = join(store, operator)
    almost = ports.SESSION_IDLE_US - SECOND
    assert store.session(token, NOW + almost)
    assert store.session(token, NOW + 2 * almost)
    assert store.session(token, NOW + 2 * almost + ports.SESSION_IDLE_US) is None


def test_no_session_outlives_ninety_days(store: Store, operator: Account) -> None:
    token, _ = join(store, operator)
    at = NOW
    while at + ports.SESSION_IDLE_US <= NOW + ports.SESSION_LIVES_US:
        at += ports.SESSION_IDLE_US - SECOND
        assert store.session(token, at)
    assert store.session(token, NOW + ports.SESSION_LIVES_US - SECOND)
    assert store.session(token, NOW + ports.SESSION_LIVES_US) is None


def test_last_use_is_written_at_most_once_a_minute(store: Store, operator: Account) -> None:
    token, made = join(store, operator)
    store.session(token, NOW + ports.SEEN_EVERY_US - 1)
    assert store.sessions(made.account.id, NOW)[0].seen_us == NOW
    store.session(token, NOW + ports.SEEN_EVERY_US)
    assert store.sessions(made.account.id, NOW)[0].seen_us == NOW + ports.SEEN_EVERY_US


def test_a_clock_set_back_signs_nobody_out(store: Store, operator: Account) -> None:
    token, _ = join(store, operator)
    assert store.session(token, NOW - 30 * ports.DAY_US)


def test_an_ended_session_is_gone_at_once_and_only_its_owner_can_end_it(store: Store, operator: Account) -> None:
    token, session = join(store, operator)
    _, other = join(store, operator, "Ben")
    assert not store.end_session(other.account.id, session.id)
    assert store.session(token, NOW)
    assert store.end_session(session.account.id, session.id)
    assert store.session(token, NOW) is None
    assert not store.end_session(session.account.id, session.id)


def test_all_other_sessions_end_together(store: Store, operator: Account) -> None:
    opened = [store.use_link(store.make_link(operator.id, NOW) or "", NOW, "") for _ in range(3)]
    _, foreign = join(store, operator)
    assert store.end_other_sessions(operator.id, opened[1][1].id) == 2
    assert store.sessions(operator.id, NOW) == [opened[1][1]]
    assert store.sessions(foreign.account.id, NOW) == [foreign]


def test_of_more_than_twenty_sessions_the_least_used_ends(store: Store, operator: Account) -> None:
    tokens = []
    for number in range(ports.SESSIONS_MOST + 1):
        at = NOW + number
        tokens.append(store.use_link(store.make_link(operator.id, at) or "", at, "")[0])
    assert store.session(tokens[0], NOW) is None
    assert len(store.sessions(operator.id, NOW)) == ports.SESSIONS_MOST


def test_the_user_agent_is_kept_short_and_plain(store: Store, operator: Account) -> None:
    link = store.make_link(operator.id, NOW) or ""
    _, session = store.use_link(link, NOW, "Browser\x00\x1b[31m \u202e" + "x" * 10_000)
    assert session.user_agent == ("Browser[31m " + "x" * 105)


def test_removing_a_person_ends_everything_of_theirs_but_their_spaces(store: Store, operator: Account) -> None:
    token, session = join(store, operator)
    link = store.make_link(session.account.id, NOW)
    store.own_space(SPACE, session.account.id, NOW)
    assert store.remove_account(session.account.id)
    assert store.session(token, NOW) is None
    with pytest.raises(Refused):
        store.use_link(link or "", NOW, "")
    assert store.owner(SPACE) is None
    assert store.accounts() == [operator]
    assert not store.remove_account(session.account.id)


def test_invitations_of_a_removed_operator_are_void(store: Store, operator: Account) -> None:
    token, _ = store.invite(operator.id, Role.OPERATOR, "Ada", NOW)
    _, second = store.accept_invitation(token, "Ada", NOW, "")
    by_her, _ = store.invite(second.account.id, Role.HOST, "Ben", NOW)
    store.remove_account(second.account.id)
    with pytest.raises(Refused):
        store.accept_invitation(by_her, "Ben", NOW, "")
    with pytest.raises(Refused):
        store.invite(second.account.id, Role.HOST, "Ben", NOW)


def test_the_last_operator_stays(store: Store, operator: Account) -> None:
    with pytest.raises(Refused) as refusal:
        store.remove_account(operator.id)
    assert refusal.value.code == "last-operator"
    token, _ = store.invite(operator.id, Role.OPERATOR, "Ada", NOW)
    store.accept_invitation(token, "Ada", NOW, "")
    assert store.remove_account(operator.id)


def test_two_operators_who_remove_each_other_leave_one(store: Store, operator: Account) -> None:
    token, _ = store.invite(operator.id, Role.OPERATOR, "Ada", NOW)
    _, session = store.accept_invitation(token, "Ada", NOW, "")

    def remove(account: AccountId) -> None:
        try:
            store.remove_account(account)
        except Refused:
            return

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(remove, (operator.id, session.account.id)))
    assert len(store.accounts()) == 1


def test_a_space_keeps_its_first_owner(store: Store, operator: Account) -> None:
    _, session = join(store, operator)
    store.own_space(SPACE, session.account.id, NOW)
    store.own_space(SPACE, operator.id, NOW + 1)
    assert store.owner(SPACE) == session.account.id
    assert store.owned_spaces(operator.id) == []


def test_owned_spaces_come_newest_first(store: Store, operator: Account) -> None:
    later = SpaceId("bbbbbbbbbb")
    store.own_space(SPACE, operator.id, NOW)
    store.own_space(later, operator.id, NOW + 1)
    assert store.owned_spaces(operator.id) == [later, SPACE]
    assert store.owner(SpaceId("cccccccccc")) is None


def test_nobody_owns_a_space_who_is_not_a_member(store: Store) -> None:
    store.own_space(SPACE, AccountId("nobody"), NOW)
    assert store.owner(SPACE) is None
