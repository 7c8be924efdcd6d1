"""Links that carry a secret. It stands behind the #, which browsers keep to themselves: no log on the way sees it."""

from rostra.kernel.ids import SpaceId
from rostra.kernel.settings import Settings


def sign_in(settings: Settings, token: str) -> str:
    return f"{settings.door_base}/sign-in#token={token}"


def invitation(settings: Settings, token: str) -> str:
    return f"{settings.door_base}/sign-in#invitation={token}"


def seat(settings: Settings, space_id: SpaceId, token: str) -> str:
    return f"{settings.door_base}/studio/{space_id}#key={token}"
