"""Names of things: Spaces, seats, and the secrets that open doors."""

import hashlib
import hmac
import re
import secrets
from typing import NewType

SpaceId = NewType("SpaceId", str)
SeatId = NewType("SeatId", str)

# No 0/o, 1/l/i: people read these over the telephone.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_SPACE_ID = re.compile(rf"[{_ALPHABET}]{{10}}\Z")
_SEAT_ID = re.compile(r"s[1-9][0-9]{0,3}\Z")


def new_space_id() -> SpaceId:
    """A random id of ten characters (about 49 bits): not guessable at the rate a door answers."""
    return SpaceId("".join(secrets.choice(_ALPHABET) for _ in range(10)))


def parse_space_id(text: str) -> SpaceId | None:
    """The id if `text` is exactly one, else None. Every path segment that names a Space goes through here."""
    return SpaceId(text) if _SPACE_ID.match(text) else None


def parse_seat_id(text: str) -> SeatId | None:
    """The seat id ("s1", "s2", …) if `text` is exactly one, else None."""
    return SeatId(text) if _SEAT_ID.match(text) else None


def new_secret() -> str:
    """A bearer secret of some 191 random bits, safe in a URL and as a command's argument. Only its hash is ever stored."""
    while True:
        secret = secrets.token_urlsafe(24)
        # A command takes what begins with "-" for an option, and what writes links drops a mark at their end.
        if secret[0] not in "-_" and secret[-1] not in "-_":
            return secret


def secret_hash(secret: str) -> str:
    """What is stored of a secret: SHA-256 in hex. A random secret needs no salt and no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same_secret(secret: str, stored_hash: str) -> bool:
    """Whether `secret` is the one stored, in constant time."""
    return hmac.compare_digest(secret_hash(secret), stored_hash)
