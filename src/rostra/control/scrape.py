"""The metrics of all roles as one page: each family once, each sample marked with its role.

Source: Prometheus exposition format 0.0.4: all lines of one metric must stand together, with one HELP and one TYPE.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rostra.kernel import metrics

_ABOUT = re.compile(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)\Z")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([+-]?(?:[0-9][0-9.eE+-]*|Inf|NaN)(?: -?[0-9]+)?)\Z")


@dataclass(slots=True)
class _Family:
    about: dict[str, str] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)


def merge(pages: Mapping[str, str | None]) -> str:
    """Role → its page, or None where the role is away. Lines that are not of the format are left out."""
    families: dict[str, _Family] = {}
    for role, page in pages.items():
        _read(families, role, page or "")
    up = metrics.family(
        "rostra_up",
        "gauge",
        "Whether the role answered when asked for its metrics.",
        [({"role": role}, 0 if page is None else 1) for role, page in pages.items()],
    )
    written = [up]
    for name, family in families.items():
        lines = [f"# {word} {name} {family.about[word]}" for word in ("HELP", "TYPE") if word in family.about]
        written.append("\n".join([*lines, *family.samples]) + "\n")
    return "".join(written)


def _read(families: dict[str, _Family], role: str, page: str) -> None:
    current = ""
    for line in page.split("\n"):
        if about := _ABOUT.match(line):
            word, current, said = about.groups()
            families.setdefault(current, _Family()).about.setdefault(word, said)
        elif sample := _SAMPLE.match(line):
            name, labels, value = sample.groups()
            if name == "rostra_up":
                continue
            # A histogram's samples are called after their family with an ending.
            belongs = current if current and name.startswith(current) else name
            marked = labels or ""
            if not re.search(r'(?:\A|,)role="', marked):
                marked = f'role="{role}"' + (f",{marked}" if marked else "")
            families.setdefault(belongs, _Family()).samples.append(f"{name}{{{marked}}} {value}")
