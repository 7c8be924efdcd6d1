"""What is taken out of scripts and styles, and what must stay."""

import shutil
import subprocess

import pytest

from rostra.door.lean import lean_script, lean_style, one_script
from rostra.web import ROOT


def test_explanations_and_indentation_go_and_code_stays() -> None:
    source = """/**
 * Says where.
 * @param {string} a
 */
export function where(a) {
  // Why it is so.
  return a + "https://example.org//x"; // the rest
}
"""
    assert lean_script(source) == 'export function where(a) {\nreturn a + "https://example.org//x";\n}\n'


def test_a_text_that_looks_like_a_comment_stays() -> None:
    source = 'const a = "no // comment";\nconst b = `/* nor this */`;\n'
    assert lean_script(source) == source


def test_a_comment_block_never_swallows_the_code_between_two() -> None:
    assert lean_script("/* one */\nkeep();\n/* two\n */\n") == "keep();\n"
    assert lean_script("/** @type {any} */ (a).b = 1;\n") == "(a).b = 1;\n"


def test_a_style_keeps_what_its_values_need() -> None:
    source = "/* Why. */\n.a > .b,\n#c { margin: 0 auto; color: var(--ink); }\n@media (min-width: 4rem) { a { top: calc(1px + 2px); } }\n"
    lean = ".a > .b,#c{margin:0 auto;color:var(--ink)}@media (min-width:4rem){a{top:calc(1px + 2px)}}"
    assert lean_style(source) == lean


def test_modules_become_one_script_without_imports() -> None:
    one = one_script(
        ["export const a = 1;\n", 'import { a } from "./a.js";\n\nexport function b() {\n  return a;\n}\n']
    )
    assert one == "const a = 1;\nfunction b() {\nreturn a;\n}\n"


@pytest.mark.skipif(shutil.which("node") is None, reason="node, which only checks the syntax here, is not installed")
@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.js")), ids=lambda path: path.name)
def test_every_script_of_ours_is_still_a_script_when_lean(path: object) -> None:
    source = lean_script((ROOT / str(path)).read_text("utf-8"))
    done = subprocess.run(["node", "--input-type=module", "--check"], input=source, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
