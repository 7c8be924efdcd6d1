"""Spaces: what they are is read from their timelines, what shall happen to them is asked of the stage, which alone writes."""

from typing import Any

from fastapi import APIRouter, Query

from rostra.control import addresses, models
from rostra.control.desk import AtDesk, Desk
from rostra.control.guard import FromOurPages, SignedIn, Steered
from rostra.kernel.clock import iso, parse_iso
from rostra.kernel.errors import PeerError, RostraError, Unavailable
from rostra.kernel.ids import SpaceId, parse_seat_id
from rostra.space.space import Space
from rostra.space.view import links, public
from rostra.timeline.ports import Library

LISTED_MOST = 500

router = APIRouter(prefix="/api/spaces", tags=["Spaces"], responses=models.described(401, 403, 503))
_steering = models.described(404, 409)


@router.get("")
async def spaces(
    person: SignedIn, desk: AtDesk, limit: int = Query(100, ge=1, le=LISTED_MOST, description="Newest first.")
) -> models.Spaces:
    """Your Spaces; for operators, everybody's."""
    if person.operates:
        ids = await desk.read(desk.library.ids)
    else:
        ids = await desk.read(desk.store.owned_spaces, person.account.id)
    found, damaged = await desk.read(_snapshots, desk.library, ids)
    shown = [_shown(one, desk) for one in found[:limit]]
    return models.Spaces(spaces=shown, more=len(found) > limit, damaged=damaged)


@router.post("", responses=models.described(400), status_code=201)
async def schedule(body: models.NewSpace, person: SignedIn, desk: AtDesk) -> models.SpaceMade:
    """Schedule a Space. It is yours."""
    host_name = person.account.name if body.host_name is None else body.host_name
    asked = {"title": body.title, "starts": _start(body.starts), "host_name": host_name, "auto_live": body.auto_live}
    space_id, token = await desk.stage.schedule(asked)
    try:
        await desk.read(desk.store.own_space, space_id, person.account.id, desk.now_us())
    except Unavailable:
        await desk.stage.command(space_id, "cancel")  # a Space that its host cannot reach must not stay promised
        raise
    desk.log.info("a space was scheduled", space=space_id, by=person.account.id)
    shown = await _look(space_id, desk)
    return models.SpaceMade(
        **{**shown.model_dump(), "token": token, "studio": addresses.seat(desk.settings, space_id, token)}
    )


@router.get("/{space_id}", responses=models.described(404))
async def show(space_id: Steered, desk: AtDesk) -> models.SpaceShown:
    """One Space as it stands."""
    return await _look(space_id, desk)


@router.patch("/{space_id}", responses=_steering)
async def retitle(body: models.Retitle, space_id: Steered, desk: AtDesk) -> models.SpaceShown:
    """Give it another title."""
    return await _steer(desk, space_id, "edit", title=body.title)


@router.post("/{space_id}/open", responses=_steering)
async def open_space(space_id: Steered, desk: AtDesk) -> models.SpaceShown:
    """Open the green room: speakers hear each other, the public cannot."""
    return await _steer(desk, space_id, "open")


@router.post("/{space_id}/live", responses=_steering)
async def go_live(space_id: Steered, desk: AtDesk) -> models.SpaceShown:
    """Go on the air."""
    return await _steer(desk, space_id, "go_live")


@router.post("/{space_id}/delay", responses=_steering)
async def delay(body: models.Delay, space_id: Steered, desk: AtDesk) -> models.SpaceShown:
    """Start later than promised; the page says so at once."""
    return await _steer(desk, space_id, "delay", minutes=body.minutes, reason=body.reason)


@router.post("/{space_id}/cancel", responses=_steering)
async def cancel(space_id: Steered, desk: AtDesk, body: models.Reason | None = None) -> models.SpaceShown:
    """Call it off before it was on the air."""
    return await _steer(desk, space_id, "cancel", reason=body.reason if body else "")


@router.post("/{space_id}/end", responses=_steering)
async def end(space_id: Steered, desk: AtDesk, body: models.Reason | None = None) -> models.SpaceShown:
    """End it. Its page becomes the replay; what was never on the air is cancelled."""
    return await _steer(desk, space_id, "end", why=body.reason if body else "")


@router.post("/{space_id}/speakers", responses=_steering, status_code=201)
async def invite(body: models.NewSpeaker, space_id: Steered, desk: AtDesk) -> models.Seat:
    """A seat on the stage, and the personal link that opens it. No account is needed."""
    done = await desk.stage.command(space_id, "invite", name=body.name, role=body.role)
    return _seat(desk, space_id, done)


@router.delete("/{space_id}/speakers/{seat}", responses=_steering)
async def remove(space_id: Steered, seat: str, desk: AtDesk) -> models.SpaceShown:
    """Take a seat away: its links open nothing any more."""
    return await _steer(desk, space_id, "remove", seat=_parse_seat(seat))


@router.post("/{space_id}/speakers/{seat}/mute", responses=_steering)
async def mute(space_id: Steered, seat: str, desk: AtDesk) -> models.SpaceShown:
    """Close a microphone. Only its speaker opens it again."""
    return await _steer(desk, space_id, "mute", seat=_parse_seat(seat))


@router.post("/{space_id}/speakers/{seat}/ask-unmute", responses=_steering)
async def ask_unmute(space_id: Steered, seat: str, desk: AtDesk) -> models.SpaceShown:
    """Ask a speaker to open their microphone."""
    return await _steer(desk, space_id, "ask_unmute", seat=_parse_seat(seat))


@router.post("/{space_id}/speakers/{seat}/link", responses=_steering)
async def renew_link(space_id: Steered, seat: str, desk: AtDesk) -> models.Seat:
    """A new link for the same seat. The old ones are void."""
    done = await desk.stage.command(space_id, "renew_link", seat=_parse_seat(seat), keep_old=False)
    return _seat(desk, space_id, done)


@router.get("/{space_id}/studio", dependencies=[FromOurPages], responses=_steering)
async def studio(space_id: Steered, person: SignedIn, desk: AtDesk) -> models.Studio:
    """The host's own seat, opened for whoever is signed in and may steer this Space. Earlier links go on working."""
    space = await desk.read(desk.library.snapshot, space_id)
    kept = desk.seat_keys.get((person.account.id, space_id))
    held = space.seat_of(kept) if kept else None
    if kept and held:  # looking into the studio again and again makes no further keys
        return models.Studio(seat=held.seat, token=kept)
    host = next(seat for seat in space.sitting() if seat.role == "host")
    done = await desk.stage.command(space_id, "renew_link", seat=host.seat, keep_old=True)
    token = str(done["token"])
    desk.keep_seat_key((person.account.id, space_id), token)
    return models.Studio(seat=host.seat, token=token)


async def _steer(desk: Desk, space_id: SpaceId, command: str, **fields: Any) -> models.SpaceShown:
    await desk.stage.command(space_id, command, **fields)
    desk.log.info("a space was steered", space=space_id, command=command)
    return await _look(space_id, desk)


async def _look(space_id: SpaceId, desk: Desk) -> models.SpaceShown:
    return _shown(await desk.read(desk.library.snapshot, space_id), desk)


def _shown(space: Space, desk: Desk) -> models.SpaceShown:
    settings = desk.settings
    plain = {**public(space, desk.now_us()), **links(space.id, settings.door_base, settings.sound_base)}
    return models.SpaceShown.model_validate(plain)


def _snapshots(library: Library, ids: list[SpaceId]) -> tuple[list[Space], list[str]]:
    """Newest first; one that cannot be read hides no other."""
    found, damaged = [], []
    for space_id in ids:
        try:
            found.append(library.snapshot(space_id))
        except (RostraError, OSError, ValueError):
            damaged.append(str(space_id))
    return sorted(found, key=lambda space: space.created_us, reverse=True), damaged


def _seat(desk: Desk, space_id: SpaceId, done: dict[str, Any]) -> models.Seat:
    token = str(done["token"])
    desk.log.info("a seat's link was made", space=space_id, seat=done["seat"])
    return models.Seat(seat=done["seat"], token=token, link=addresses.seat(desk.settings, space_id, token))


def _parse_seat(text: str) -> str:
    seat = parse_seat_id(text)
    if seat is None:
        raise PeerError(404, "There is no such seat in this Space.", "no-seat")
    return seat


def _start(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return iso(parse_iso(text))
    except (ValueError, OverflowError):
        raise PeerError(
            400, "The start is not a time. Write it like 2026-11-20T20:00:00Z, or leave it out.", "bad-start"
        ) from None
