"""Scripts and styles as they are sent: the same words without indentation and without the lines that only explain.

The sources stay what they are; nothing is renamed. Only whole lines go, so that no string can be cut, and the sources keep
to it: no template text over several lines, no comment after code that a reader of the page needs.
"""

import re
from collections.abc import Iterable

_BLOCK = re.compile(r"^[ \t]*/\*(?:(?!\*/).)*\*/[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_LINE = re.compile(r"^[ \t]*//.*$\n?", re.MULTILINE)
_IMPORT = re.compile(r"^import [^;]*;[ \t]*$\n?", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |class |function |async |let )", re.MULTILINE)
_CAST = re.compile(r"/\*\* @\w+ \{[^*\n]*\}(?: \w+)? \*/ ?")
_AFTER = re.compile(r"[ \t]+// [^\n\"'`]*$", re.MULTILINE)


def lean_script(text: str) -> str:
    text = _LINE.sub("", _CAST.sub("", _BLOCK.sub("", text)))
    return _tight(_AFTER.sub("", text))


def lean_style(text: str) -> str:
    text = _tight(_BLOCK.sub("", text)).replace("\n", " ")
    return re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r":\s+", ":", text)).replace(";}", "}").strip()


def one_script(modules: Iterable[str]) -> str:
    """Modules that import only each other, in order, as one. Their top-level names must differ."""
    return lean_script("".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in modules))


def _tight(text: str) -> str:
    return "".join(line.strip() + "\n" for line in text.splitlines() if line.strip())
