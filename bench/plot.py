"""Two plots as SVG, in whatever light the reader has: bars with their spread, and points with a fitted line. Pure."""

from collections.abc import Sequence
from typing import Any

_STYLE = (
    "<style>text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-size:15px;font-weight:600}.a{stroke:#8c959f;stroke-width:1}"
    ".g{stroke:#8c959f;stroke-opacity:.3}.b{fill:#3564a8}.o{fill:#8c959f}.w{stroke:#24292f;stroke-width:1.5}.f{stroke:#b5480f;"
    "stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#7aa7e8}.w{stroke:#e6edf3}.f{stroke:#f0883e}}</style>"
)
_WIDTH = 640


def bars(title: str, values: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """One bar for each name; its spread as a line."""
    top = max(one["most"] for _, one in values) or 1
    scale, left, row = 400 / top, 150, 40
    height = 50 + row * len(values)
    made = [f'<text class="t" x="8" y="24">{_safe(title)}</text>']
    for at, (name, one) in enumerate(values):
        y = 44 + row * at
        length = one["median"] * scale
        kind = "b" if name.startswith("Rostra") else "o"
        made += [
            f'<text x="{left - 10}" y="{y + 17}" text-anchor="end">{_safe(name)}</text>',
            f'<rect class="{kind}" x="{left}" y="{y}" width="{length:.1f}" height="24" rx="2"/>',
            f'<line class="w" x1="{left + one["least"] * scale:.1f}" x2="{left + one["most"] * scale:.1f}" y1="{y + 12}" y2="{y + 12}"/>',
            f'<text x="{left + max(length, one["most"] * scale) + 8:.1f}" y="{y + 17}">{_short(one["median"])}</text>',
        ]
    return _svg(height, made)


def line(title: str, points: Sequence[tuple[float, dict[str, Any]]], slope: float, at_none: float, words: str) -> str:
    """Points with their spread, and the line y = at_none + slope · x."""
    right = max(x for x, _ in points) * 1.05
    top = max(max(one["most"] for _, one in points), at_none + slope * right) * 1.08
    left, floor, width, height = 60, 300, 550, 250

    def x_of(x: float) -> float:
        return left + x / right * width

    def y_of(y: float) -> float:
        return floor - y / top * height

    made = [f'<text class="t" x="8" y="24">{_safe(title)}</text>']
    for step in range(5):
        y = top * step / 4
        made += [
            f'<line class="{"g" if step else "a"}" x1="{left}" x2="{left + width}" y1="{y_of(y):.1f}" y2="{y_of(y):.1f}"/>',
            f'<text x="{left - 8}" y="{y_of(y) + 4:.1f}" text-anchor="end">{y:.2f}</text>',
        ]
    made.append(
        f'<line class="f" x1="{x_of(0):.1f}" y1="{y_of(max(0.0, at_none)):.1f}" x2="{x_of(right):.1f}" y2="{y_of(at_none + slope * right):.1f}"/>'
    )
    for x, one in points:
        made += [
            f'<line class="w" x1="{x_of(x):.1f}" x2="{x_of(x):.1f}" y1="{y_of(one["least"]):.1f}" y2="{y_of(one["most"]):.1f}"/>',
            f'<circle class="b" cx="{x_of(x):.1f}" cy="{y_of(one["median"]):.1f}" r="5"/>',
            f'<text x="{x_of(x):.1f}" y="{floor + 20}" text-anchor="middle">{_short(x)}</text>',
        ]
    made.append(f'<text x="{left + 12}" y="60">{_safe(words)}</text>')
    return _svg(floor + 32, made)


def _svg(height: int, made: Sequence[str]) -> str:
    body = "\n".join(made)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n{_STYLE}\n{body}\n</svg>\n'


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
