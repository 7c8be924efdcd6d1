"""Errors say whose fault it is. Everything else that is raised is our own bug (trace, 500)."""


class RostraError(Exception):
    """Base of all errors we raise on purpose; its text is one sentence fit for a person."""


class PeerError(RostraError):
    """The other side broke a rule.

    Attributes:
        status: the HTTP status that says so, 400 to 499.
        code: a short word for programs, like "bad-sdp".
        headers: further response headers that the specification asks for, such as Allow or Accept-Patch.
    """

    def __init__(
        self, status: int, sentence: str, code: str = "bad-request", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.headers = headers


class Refused(PeerError):
    """A command that the Space's state or the actor's role does not allow. Nothing has changed."""

    def __init__(self, sentence: str, code: str, status: int = 409) -> None:
        super().__init__(status, sentence, code)


class Overloaded(RostraError):
    """We are full; asking again after `retry_after_s` is welcome."""

    def __init__(self, sentence: str, retry_after_s: int = 2) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class Unavailable(RostraError):
    """Something we depend on is away (another role, the database). The request failed closed; nothing was changed."""

    def __init__(self, sentence: str, retry_after_s: int = 1) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class UnknownSpace(RostraError):
    """No Space of this id was ever made here."""


class DiskFull(RostraError):
    """The record cannot grow. What is written is unharmed; appending again may succeed once there is room."""


class Damaged(RostraError):
    """A record on disk is not what was written.

    Attributes:
        seq: the first bad record's number.
        offset: where in the file it begins, bytes.
    """

    def __init__(self, sentence: str, seq: int, offset: int) -> None:
        super().__init__(sentence)
        self.seq = seq
        self.offset = offset


class Fault(RostraError):
    """The installation is not fit to run: one sentence what, one sentence what to do. Commands print both and exit."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy
