"""Files of the web room under names that hold their content, so that browsers may keep them for ever."""

import hashlib
import re
from pathlib import Path
from typing import Final

from rostra.door.answer import Answer
from rostra.door.lean import lean_script, lean_style

_KINDS: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_IMPORT: Final = re.compile(r'(?<=from ")(\.{1,2}/[\w/-]+\.js)(?=";)')


class Assets:
    """Reads every file once. A module's imports are renamed with it, so a page never mixes two versions."""

    def __init__(self, web: Path) -> None:
        self._web = web
        self._names: dict[Path, str] = {}
        self.answers: dict[str, Answer] = {}
        for path in sorted(web.rglob("*")):
            if path.suffix in _KINDS:
                self._take(path.resolve())

    def address(self, name: str) -> str:
        """Where the file is served: address("studio/studio.js") → "/web/studio.1f….js"."""
        return f"/web/{self._names[(self._web / name).resolve()]}"

    def text(self, name: str) -> str:
        return (self._web / name).read_text("utf-8")

    def _take(self, path: Path) -> str:
        if path in self._names:
            return self._names[path]
        text = path.read_text("utf-8")
        if path.suffix == ".js":
            text = lean_script(_IMPORT.sub(lambda found: "./" + self._take((path.parent / found[1]).resolve()), text))
        elif path.suffix == ".css":
            text = lean_style(text)
        body = text.encode()
        name = f"{path.stem}.{hashlib.sha256(body).hexdigest()[:12]}{path.suffix}"
        self._names[path] = name
        headers = [
            ("Content-Type", _KINDS[path.suffix]),
            ("Cache-Control", "public, max-age=31536000, immutable"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        self.answers[name] = Answer(headers, body)
        return name
