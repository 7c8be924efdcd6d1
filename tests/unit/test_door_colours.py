"""Ink on paper can be read, by day and by night: contrast as WCAG 2.2 (1.4.3, 1.4.11) measures it."""

import re

import pytest

from rostra.web import ROOT

STYLE = (ROOT / "base.css").read_text("utf-8")
TEXT = [(ink, on) for ink in ("ink", "soft", "red", "green", "amber") for on in ("paper", "card")] + [("on-red", "red")]


def colours(night: bool) -> dict[str, str]:
    day, _, dark = STYLE.partition("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", day))
    return (
        {**found, **dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", dark.partition("\n}")[0]))} if night else found
    )


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(one * 2 for one in colour[1:])
    linear = []
    for at in (0, 2, 4):
        part = int(digits[at : at + 2], 16) / 255
        linear.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("night", [False, True], ids=["day", "night"])
def test_every_text_has_contrast_of_at_least_four_and_a_half(night: bool) -> None:
    known = colours(night)
    low = {(a, b): round(contrast(known[a], known[b]), 2) for a, b in TEXT if contrast(known[a], known[b]) < 4.5}
    assert not low


@pytest.mark.parametrize("night", [False, True], ids=["day", "night"])
def test_the_edge_of_every_control_has_contrast_of_at_least_three(night: bool) -> None:
    known = colours(night)
    assert contrast(known["field"], known["paper"]) >= 3 and contrast(known["field"], known["card"]) >= 3
