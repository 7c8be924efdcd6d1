"""Until when a certificate is good, which the server that shows it does not ask: only browsers and players do."""

import datetime
from pathlib import Path

from rostra.app.findings import Finding
from rostra.kernel.errors import Fault
from rostra.wire.secure import certificate_of

_RENEW_BEFORE = datetime.timedelta(days=14)
_REMEDY = "Renew it in place: new files are taken up within ten seconds, and nobody is cut off."


def validity(chain: str, key: str, now: datetime.datetime) -> Finding | None:
    """None where the house does not speak TLS by itself.

    Args:
        chain, key: files as in the settings `tls_certificate` and `tls_key`.
    """
    try:
        if certificate_of(chain, key) is None:
            return None
    except Fault as wrong:
        return Finding("certificate", "fail", wrong.what, wrong.remedy)
    from cryptography import x509

    shown = x509.load_pem_x509_certificates(Path(chain).read_bytes())[0]
    begins, ends = shown.not_valid_before_utc, shown.not_valid_after_utc
    if now >= ends:
        return Finding("certificate", "fail", f"ran out on {ends:%Y-%m-%d}: browsers refuse it", _REMEDY)
    if now < begins:
        return Finding(
            "certificate", "fail", f"begins on {begins:%Y-%m-%d}: browsers refuse it", "Set the clock, or renew it."
        )
    if ends - now < _RENEW_BEFORE:
        return Finding("certificate", "warn", f"runs out on {ends:%Y-%m-%d}", _REMEDY)
    return Finding("certificate", "ok", f"good until {ends:%Y-%m-%d}")
