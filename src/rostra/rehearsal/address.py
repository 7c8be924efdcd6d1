"""Addresses as people paste them, read before anything waits for an answer from there."""

from urllib.parse import urlsplit

from rostra.kernel.errors import Fault
from rostra.kernel.ids import parse_space_id


def page_of(text: str) -> str:
    """The address of a Space's page, without what sharing has hung on to it (a query, a fragment, a slash, capitals in the ID).

    Raises:
        Fault: it is none, so that no sound can ever come from there.
    """
    host, path = _parts(text)
    front, _, name = path.rstrip("/").rpartition("/")
    space_id = parse_space_id(name.lower())
    if not host or space_id is None or front.rpartition("/")[2] != "s":
        raise Fault(
            f"{text} is not the address of a Space's page.",
            "Give it as people share it: https://HOST/s/ID, and no more.",
        )
    return f"{host}{front}/{space_id}"


def endpoint_of(text: str) -> str:
    """A WHIP endpoint, as it was given. Raises: Fault: it is no address at all."""
    if not _parts(text)[0]:
        raise Fault(
            f"{text} is not an http address.", "Give the WHIP address as the Space has it: https://HOST/s/ID/whip."
        )
    return text


def _parts(text: str) -> tuple[str, str]:
    """Scheme and host, empty where it is no http address, and the path."""
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "", ""
    return (f"{parts.scheme}://{parts.netloc}" if usable else ""), parts.path
