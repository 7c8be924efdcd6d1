"""Counters and gauges as plain numbers, written out in Prometheus' text format.

The hot paths do `counters.parts += 1`; nothing is locked, hashed or allocated there. Source: Prometheus exposition format 0.0.4.
"""

from collections.abc import Iterable, Mapping


def sample(name: str, value: float, labels: Mapping[str, str] | None = None) -> str:
    """One line, label values escaped."""
    if not labels:
        return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
    inside = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    number = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name}{{{inside}}} {number}"


def family(name: str, kind: str, meaning: str, samples: Iterable[tuple[Mapping[str, str] | None, float]]) -> str:
    """A metric with its HELP and TYPE lines. `kind`: counter or gauge; counters' names end in _total."""
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    lines += [sample(name, value, labels) for labels, value in samples]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
