"""What the pages say must be so."""

import argparse
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rostra.app.cli import parser

HOUSE = Path(__file__).parents[2]
PAGES = [
    HOUSE / "README.md",
    HOUSE / "CHANGELOG.md",
    HOUSE / "CONTRIBUTING.md",
    HOUSE / "ARCHITECTURE.md",
    *sorted((HOUSE / "docs").rglob("*.md")),
]


def commands(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from commands(inner, (*path, name))


KNOWN = dict(commands(parser()))


@pytest.mark.parametrize(("tool", "made"), [("settings_page", "settings.md"), ("hls_rules_page", "check-hls.md")])
def test_a_page_made_by_a_tool_is_what_the_tool_makes(tool: str, made: str) -> None:
    spec = importlib.util.spec_from_file_location(tool, HOUSE / "tools" / f"{tool}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (HOUSE / "docs" / made).read_text("utf-8") == module.page(), f"run tools/{tool}.py"


def wrong_commands(text: str) -> list[str]:
    """What is wrong with the `rostra …` commands in the code blocks and between the backticks of a page."""
    code = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    code += re.findall(r"^(?: {4}|\t)(.*)$", rest, re.MULTILINE)
    code += [" ".join(one.split()) for one in re.findall(r"(?<!`)`([^`]+)`(?!`)", rest)]
    lines = [line for piece in code for line in piece.replace("\\\n", " ").splitlines()]
    return [wrong for line in lines for wrong in _wrong_in(line)]


def _wrong_in(line: str) -> Iterator[str]:
    for said in re.findall(r"(?:^|[\s|;&(=]|bin/)rostra ([a-z][^|;&)#]*)", line):
        words = re.split(r"\s{2,}", said)[0].split()  # what stands further to the right explains it
        path: tuple[str, ...] = ()
        while words and (*path, words[0]) in KNOWN:
            path = (*path, words.pop(0))
        groups = any(isinstance(action, argparse._SubParsersAction) for action in KNOWN[path]._actions)
        if groups and words and re.fullmatch(r"[a-z-]+", words[0]):
            yield f"there is no 'rostra {' '.join((*path, words[0]))}'"
            continue
        options = {option for action in KNOWN[path]._actions for option in action.option_strings}
        for word in words:
            if re.fullmatch(r"--[a-z-]+(?:=.*)?", word) and word.partition("=")[0] not in options:
                yield f"'rostra {' '.join(path)}' has no {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_command_on_the_page_exists_with_its_options(page: Path) -> None:
    assert wrong_commands(page.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Ask `rostra sing` for a song.", ["there is no 'rostra sing'"]),
        ("Ask `rostra space\nsing ID`.", ["there is no 'rostra space sing'"]),
        ("So:\n\n    .venv/bin/rostra sing\n", ["there is no 'rostra sing'"]),
        ("```sh\nmake && rostra sing\n```\n", ["there is no 'rostra sing'"]),
        ("`rostra doctor --loudly`", ["'rostra doctor' has no --loudly"]),
        ("`.venv/bin/rostra space end ID`, `rostra timeline verify`, and what rostra does.", []),
        ("    rostra timeline counts ID --json    the same for programs that know --no such thing", []),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, wrong: list[str]) -> None:
    assert wrong_commands(text) == wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_link_within_the_house_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} points at {target}"


def test_every_command_explains_itself() -> None:
    for path, one in KNOWN.items():
        if path and path != ("role",):
            groups = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
            assert one.description or groups, path


def test_every_button_that_the_first_hour_names_is_in_the_studio() -> None:
    told = re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", (HOUSE / "docs" / "first-hour.md").read_text("utf-8"))
    studio = (HOUSE / "src" / "rostra" / "web" / "templates" / "studio.html").read_text("utf-8")
    buttons = re.findall(r"<button[^>]*>(?:<svg.*?</svg>)?(?:<span>)?([^<]+)", studio)
    assert len(told) >= 4 and set(told) <= set(buttons)
