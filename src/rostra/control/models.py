"""What the API takes and gives. A field that is not named here is refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Asked(BaseModel):
    """Base of what is taken: no unknown fields, no numbers in quotes."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Given(BaseModel):
    """Base of what is given."""


Token = Annotated[str, Field(max_length=200, description="As it stands in the link, after the last equals sign.")]
Text = Annotated[str, Field(description="One line. Control characters and marks that turn the text are dropped.")]


class SignIn(Asked):
    token: Token


class Accept(Asked):
    token: Token
    name: Text


class NewLink(Asked):
    account: str | None = Field(None, max_length=64, description="Whom it signs in; yourself if not given.")


class NewInvitation(Asked):
    name: Text
    role: Literal["host", "operator"] = "host"


class NewSpace(Asked):
    title: Text
    starts: str | None = Field(None, max_length=64, description="ISO 8601; UTC if it names no zone.")
    host_name: Text | None = Field(None, description="Shown as the host; your own name if not given.")
    auto_live: bool = Field(True, description="Go live by itself when an encoder sends sound as the host.")


class Retitle(Asked):
    title: Text


class Delay(Asked):
    minutes: int = Field(description="Later than promised, or than now if that time has passed.")
    reason: Text = ""


class Reason(Asked):
    reason: Text = ""


class NewSpeaker(Asked):
    name: Text
    role: Literal["speaker", "host"] = "speaker"


class Failure(Given):
    code: str = Field(description="A short word for programs.")
    message: str = Field(description="A sentence for people.")


class Person(Given):
    id: str
    name: str
    role: Literal["operator", "host"]
    since: str


class SessionShown(Given):
    id: str
    since: str
    seen: str
    expires: str
    user_agent: str
    this: bool = Field(description="Whether it is the one that asks.")


class Me(Person):
    by: Literal["session", "key"]


class Waiting(Given):
    id: str
    name: str
    role: Literal["operator", "host"]
    since: str
    expires: str


class People(Given):
    people: list[Person]
    invitations: list[Waiting]


class Link(Given):
    link: str
    expires: str


class Invited(Link):
    id: str


class Sessions(Given):
    sessions: list[SessionShown]


class Ended(Given):
    ended: int


class Speaker(Given):
    seat: str
    name: str
    role: str
    muted: bool
    on_stage: bool


class SpaceShown(Given):
    """A Space. Times are ISO 8601 UTC or null."""

    model_config = ConfigDict(extra="allow")

    id: str
    title: str
    state: Literal["scheduled", "delayed", "open", "live", "break", "ended", "cancelled"]
    host: str
    starts: str | None
    first_starts: str | None
    reason: str
    live_since: str | None
    ended: str | None
    speakers: list[Speaker]
    count: int = Field(description="Listeners now, or at the end.")
    peak: int = Field(description="The most at once, for fifteen seconds or more.")
    unique: int = Field(description="All who have listened; who opens it twice counts twice.")
    unique_error: float = Field(description="Standard error of it, as a share.")
    kinds: dict[str, int] = Field(description="Listeners now by kind of player: web, hls, stream, replay.")
    counted: str = Field(description="How, to follow 'We count'.")
    page: str
    studio: str
    whip: str
    hls: str
    opus_hls: str
    mp3: str
    ogg: str
    replay: str
    recording: str


class SpaceMade(SpaceShown):
    token: str = Field(description="The host's seat token, for the studio and for WHIP. Shown this once.")


class Spaces(Given):
    spaces: list[SpaceShown]
    more: bool = Field(description="Whether there are older ones beyond `limit`.")
    damaged: list[str] = Field(description="Spaces whose record cannot be read.")


class Setting(Given):
    name: str
    meaning: str
    value: str | int | list[str] | None = Field(
        description="What an empty or zero one stands for, where that is something else. Null for a secret."
    )
    changed: bool = Field(description="Whether it is another than the default; of a secret, whether it was set.")
    secret: bool


class SettingsInForce(Given):
    settings: list[Setting]


class Seat(Given):
    seat: str
    token: str = Field(description="Opens this seat. Shown this once.")
    link: str


class Studio(Given):
    seat: str
    token: str


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the reference: these answers carry a Failure."""
    return {status: {"model": Failure} for status in statuses}
