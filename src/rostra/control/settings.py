"""The settings as they are in force. They are changed in their file alone, by whoever may write it."""

from dataclasses import asdict

from fastapi import APIRouter

from rostra.control import models
from rostra.control.desk import AtDesk
from rostra.control.guard import OperatorOnly
from rostra.kernel.settings import in_force

router = APIRouter(prefix="/api/settings", tags=["Server"], responses=models.described(401, 403))


@router.get("")
async def settings(_: OperatorOnly, desk: AtDesk) -> models.SettingsInForce:
    """The settings as they act now, from the file and the command line that the server was started with. Secrets are not shown."""
    return models.SettingsInForce(settings=[models.Setting(**asdict(one)) for one in in_force(desk.settings)])
