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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_command_on_the_page_exists_with_its_options(page: Path) -> None:
    for line in re.findall(r"rostra ((?:[a-z-]+ )*[a-z-]+(?: [^`\n]*)?)", page.read_text("utf-8")):
        words = line.split()
        path: tuple[str, ...] = ()
        while words and (*path, words[0]) in KNOWN:
            path = (*path, words.pop(0))
        if not path:
            continue
        options = {option for action in KNOWN[path]._actions for option in action.option_strings}
        for option in re.findall(r"(?<!\S)--[a-z-]+", " ".join(words)):
            assert option in options, f"{' '.join(path)} has no {option}"


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
