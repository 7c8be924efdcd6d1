"""What comes from the npm registry: other people's programs that judge our pages. Fetched once, kept in .venv."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

VERSIONS = {"hls.js": "1.7.4", "axe-core": "4.14.1", "typescript": "5.9.3"}
needs_npm = pytest.mark.skipif(
    shutil.which("npm") is None and "CI" not in os.environ,
    reason="it comes from the npm registry, and npm is not installed",
)
"""`make test` installs npm; where nobody looks at what was skipped, a test that lacks it fails."""


def npm_file(package: str, path: str) -> Path:
    """This file of the package, in the version that we chose."""
    version = VERSIONS[package]
    place = Path(sys.prefix) / "share" / "npm" / f"{package}-{version}"
    if not (place / "package" / path).exists():
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], cwd=place, check=True, capture_output=True)
        subprocess.run(["tar", "xzf", f"{package}-{version}.tgz"], cwd=place, check=True)
    return place / "package" / path
