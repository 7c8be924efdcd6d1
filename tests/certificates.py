"""Certificates for tests, made by openssl on the spot: an authority that is trusted nowhere else, and servers it vouches for."""

import subprocess
from pathlib import Path


def make(place: Path, name: str = "server", host: str = "localhost") -> tuple[Path, Path, Path]:
    """The authority's certificate, the server's chain, and its key, for `host` and 127.0.0.1."""
    place.mkdir(parents=True, exist_ok=True)
    authority, authority_key = place / "authority.pem", place / "authority.key"
    if not authority.exists():
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", "/CN=A test's authority", "-keyout", authority_key, "-out", authority,
        )  # fmt: skip
    asked, chain, key, more = (place / f"{name}.{ending}" for ending in ("csr", "pem", "key", "ext"))
    more.write_text(f"subjectAltName=DNS:{host},IP:127.0.0.1\n")
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
        "-keyout", key, "-out", asked,
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-in", asked, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-days", "30",
        "-extfile", more, "-out", chain,
    )  # fmt: skip
    return authority, chain, key


def _openssl(*args: str | Path) -> None:
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=30)
