"""The types that the pages' modules promise in their comments hold."""

import subprocess
from pathlib import Path

from npm import needs_npm, npm_file

WEB = Path(__file__).parents[2] / "src" / "rostra" / "web"


@needs_npm
def test_every_module_of_the_pages_is_typed_as_it_says() -> None:
    tsc = npm_file("typescript", "lib/tsc.js")
    said = subprocess.run(
        ["node", str(tsc), "--project", str(WEB / "jsconfig.json"), "--pretty", "false"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout
