"""TLS by the server itself, for installations without a front. A certificate that is renewed on disk is taken up as it is."""

import os
import ssl
from pathlib import Path

from rostra.kernel.errors import Fault

LOOK_EVERY_S = 10.0
HANDSHAKE_S = 10.0
"""A peer that has not shaken hands by then is let go."""
SHUTDOWN_S = 2.0
"""And one that does not say goodbye."""


class Certificate:
    """Attributes:
    context: for the listening sockets; connections made after a renewal get the new certificate, others keep theirs.
    wrong: why what is on disk now cannot be used; "" where it is in use.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        """
        Args:
            chain: PEM, the server's own certificate first, as certbot's fullchain.pem.
        Raises:
            Fault: they cannot be read or do not belong together.
        """
        self._chain, self._key = chain, key
        self._mark = self._now()
        self.wrong = ""
        try:
            self.context = self._load(_fresh())
        except (OSError, ValueError) as wrong:
            raise Fault(
                f"The certificate {chain} with the key {key} cannot be used: {_said(wrong)}.",
                "Correct tls_certificate and tls_key, and see that this user may read both files.",
            ) from None

    def renewed(self) -> bool:
        """Whether there was something new on disk, and it is in use now. What cannot be used yet is looked at again."""
        mark = self._now()
        if mark == self._mark:
            self.wrong = ""
            return False
        try:
            self._load(_fresh())  # on trial: a chain whose key is not there yet must not spoil the context in use
            self._load(self.context)
        except (OSError, ValueError) as wrong:
            self.wrong = _said(wrong)
            return False
        self._mark, self.wrong = mark, ""
        return True

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.load_cert_chain(self._chain, self._key, password=_no_password)
        return context

    def _now(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_mark_of(path) for path in (self._chain, self._key))


def certificate_of(chain: str, key: str) -> Certificate | None:
    """None where neither is set. Raises Fault where only one is, and as Certificate."""
    if not chain and not key:
        return None
    if not chain or not key:
        raise Fault("TLS needs both a certificate and its key.", "Set tls_certificate and tls_key, or neither.")
    return Certificate(Path(chain), Path(key))


def _fresh() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _mark_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _no_password() -> str:
    raise ValueError("the key is locked with a password")


def _said(wrong: Exception) -> str:
    if isinstance(wrong, ssl.SSLError):
        return (wrong.reason or "not PEM").lower().replace("_", " ")
    return wrong.strerror or "unreadable" if isinstance(wrong, OSError) else str(wrong)
