"""People: who has an account here, and who is invited."""

from fastapi import APIRouter

from rostra.control import addresses, models
from rostra.control.desk import AtDesk
from rostra.control.guard import OperatorOnly
from rostra.kernel.clock import iso
from rostra.kernel.errors import PeerError
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


@router.delete("/{account_id}", responses=models.described(404, 409), status_code=204)
async def remove(account_id: str, person: OperatorOnly, desk: AtDesk) -> None:
    """Remove a person. They are signed out everywhere at once; their Spaces fall to the operators."""
    if not await desk.read(desk.store.remove_account, AccountId(account_id[:64])):
        raise PeerError(404, "There is no such person.", "unknown-person")
    desk.log.info("a person was removed", account=account_id[:64], by=person.account.id)
