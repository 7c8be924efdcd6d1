"""People: who has an account here, and who is invited."""

from fastapi import APIRouter

from rostra.control import addresses, models
from rostra.control.desk import AtDesk, Desk
from rostra.control.guard import OperatorOnly
from rostra.kernel.clock import iso
from rostra.kernel.errors import Damaged, PeerError, UnknownSpace
from rostra.kernel.ids import SpaceId
from rostra.space.states import OVER
from rostra.space.text import NAME_MOST, clean
from rostra.store.ports import AccountId, Role

router = APIRouter(prefix="/api/people", tags=["People"], responses=models.described(401, 403))


@router.get("")
async def people(person: OperatorOnly, desk: AtDesk) -> models.People:
    """All accounts, oldest first, and the invitations that wait."""
    accounts = await desk.read(desk.store.accounts)
    waiting = await desk.read(desk.store.invitations, desk.now_us())
    return models.People(
        people=[
            models.Person(id=one.id, name=one.name, role=one.role.value, since=iso(one.created_us)) for one in accounts
        ],
        invitations=[
            models.Waiting(
                id=one.id, name=one.name, role=one.role.value, since=iso(one.created_us), expires=iso(one.expires_us)
            )
            for one in waiting
        ],
    )


@router.post("/invitations", responses=models.described(400, 409), status_code=201)
async def invite(body: models.NewInvitation, person: OperatorOnly, desk: AtDesk) -> models.Invited:
    """Invite somebody. Send them the link: it works once, within seven days."""
    name = clean(body.name, "The name", NAME_MOST)
    token, made = await desk.read(desk.store.invite, person.account.id, Role(body.role), name, desk.now_us())
    desk.log.info("an invitation was made", invitation=made.id, role=body.role, by=person.account.id)
    return models.Invited(id=made.id, link=addresses.invitation(desk.settings, token), expires=iso(made.expires_us))


@router.delete("/invitations/{invitation_id}", responses=models.described(404), status_code=204)
async def withdraw(invitation_id: str, person: OperatorOnly, desk: AtDesk) -> None:
    """Take an invitation back. Its link is void at once."""
    if not await desk.read(desk.store.withdraw_invitation, invitation_id[:64]):
        raise PeerError(404, "No such invitation waits.", "unknown-invitation")
    desk.log.info("an invitation was withdrawn", by=person.account.id)


@router.delete("/{account_id}", responses=models.described(404, 409, 503), status_code=204)
async def remove(account_id: str, person: OperatorOnly, desk: AtDesk) -> None:
    """Remove a person. They are signed out everywhere at once; their Spaces fall to the operators, and the host's links to
    those that are not over are void. Where the stage is away nothing has changed: try again."""
    account = AccountId(account_id[:64])
    everybody = await desk.read(desk.store.accounts)
    if all(one.id != account for one in everybody):
        raise PeerError(404, "There is no such person.", "unknown-person")
    owned = await desk.read(desk.store.owned_spaces, account)
    if any(one.id != account and one.role is Role.OPERATOR for one in everybody):  # else the store refuses below
        desk.forget_seat_keys(account)
        await _void_hosts_links(desk, owned)
    if not await desk.read(desk.store.remove_account, account):
        raise PeerError(404, "There is no such person.", "unknown-person")
    desk.log.info("a person was removed", account=account, by=person.account.id)
    # A studio that they opened between the two steps has a link of its own.
    await _void_hosts_links(desk, [one for one in desk.forget_seat_keys(account) if one in owned])


async def _void_hosts_links(desk: Desk, spaces: list[SpaceId]) -> None:
    """Whoever speaks there by one is sent away. Raises Unavailable where the stage is away."""
    for space_id in spaces:
        try:
            space = await desk.read(desk.library.snapshot, space_id)
        except (UnknownSpace, Damaged, OSError, ValueError) as wrong:
            desk.log.error("a space could not be read", space=space_id, why=str(wrong))
            continue
        if space.state not in OVER:
            host = next(seat for seat in space.sitting() if seat.role == "host")
            await desk.stage.command(space_id, "renew_link", seat=host.seat, keep_old=False)
