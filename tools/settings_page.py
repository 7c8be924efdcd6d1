"""Writes docs/settings.md from the settings themselves, so that the page cannot lie. A test compares the two."""

from dataclasses import fields
from pathlib import Path

from rostra.kernel.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

HEAD = """# Settings

All settings stand in `DATA/rostra.toml`, which `rostra serve` writes at its first start with every default commented out. An
unknown key, a wrong type or a value out of bounds stops the start with a sentence. `--host` and `--port` on the command line win
over the file. Changes take effect at the next start.

| setting | default | bounds | meaning |
|---|---|---|---|
"""


def page() -> str:
    rows = []
    for one in fields(Settings):
        default = one.default_factory() if callable(one.default_factory) else one.default
        shown = f'"{default}"' if isinstance(default, str) else default
        least, most = one.metadata["least"], one.metadata["most"]
        bounds = "" if least is None else f"{least} to {most}"
        rows.append(f"| `{one.name}` | `{shown}` | {bounds} | {one.metadata['meaning']} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
