"""Pages as bytes: templates, and the headers that keep them safe."""

import base64
import hashlib
import json
import math
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rostra.door import view
from rostra.door.answer import Answer, Headers
from rostra.door.assets import Assets
from rostra.door.lean import lean_style, one_script
from rostra.kernel.settings import Settings
from rostra.space.space import Space
from rostra.space.view import links
from rostra.web import ROOT

PLAYER: Final = ("player/boxes.js", "player/sound.js", "player/words.js", "player/page.js")
"""Written into the page. What can wait until the first sound, player/more.js and what it imports, is loaded by it."""
SHELLS: Final = ("studio", "operator", "sign-in")
_PAGE_AGE_S: Final = 1
HOME_AGE_S: Final = 2
"""How old a copy may be that a cache or a browser shows."""
_NOT_FOR_THE_SCRIPT: Final = ("first_starts", "opened", "lobby", "part_s")
_ALWAYS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src data:; "


class Pages:
    """Everything the door says in HTML. Titles and names reach the templates as text and are escaped there."""

    def __init__(self, settings: Settings) -> None:
        self.assets = Assets(ROOT)
        self._door, self._sound = settings.door_base, settings.sound_base
        self._beacon = view.beacon(settings)
        loader = FileSystemLoader(ROOT / "templates")
        self._templates = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, auto_reload=False
        )
        self._templates.globals.update(asset=self.assets.address, time_tag=view.time_tag)
        self._style = lean_style(self.assets.text("base.css") + self.assets.text("player/space.css"))
        self._script = one_script(self.assets.text(name) for name in PLAYER)
        sound = "{0.scheme}://{0.netloc}".format(urlsplit(self._sound))
        self._space_policy = (
            f"{_POLICY}script-src 'self' {_hashed(self._script)}; style-src {_hashed(self._style)}; "
            f"connect-src 'self' {sound}; media-src blob: {sound}"
        )

    def space(self, space: Space, now_us: int) -> Answer:
        """It says what will be true as long as a copy may be shown, if it is given out before `fresh_until_us`."""
        then_us = now_us + _PAGE_AGE_S * 1_000_000
        state = view.state_json(space, then_us, self._sound, self._beacon)
        # What changes with time alone would make every copy of the page a new one; the script asks when it needs it.
        moving = ("now", "elapsed_s") if space.over_us is None else ("now",)
        for name in (*moving, *_NOT_FOR_THE_SCRIPT):
            state.pop(name)
        html = self._templates.get_template("space.html").render(
            space=state,
            lamp=view.LAMP[space.state],
            words=view.sentence(space, then_us),
            speakers=view.speakers(space),
            counted=view.counted(space),
            counting=view.counting(space),
            links=links(space.id, self._door, self._sound),
            calendar=view.calendar_link(space, f"{self._door}/s/{space.id}", now_us),
            state=_json_in_html(state),
            style=Markup(self._style),
            script=Markup(self._script),
        )
        return self._answer(html, self._space_policy, [("Cache-Control", f"public, max-age={_PAGE_AGE_S}")])

    def fresh_until_us(self, space: Space, now_us: int) -> float:
        """When the page that `space` made at `now_us` must be made anew, because time has passed."""
        age_us = _PAGE_AGE_S * 1_000_000
        until_us = view.stands_until_us(space, now_us + age_us)
        return math.inf if until_us is None else until_us - age_us

    def home(self, now: list[Space], soon: list[Space], past: list[Space], *, until_us: int) -> Answer:
        """`until_us`: how long it may be shown, by us or as a copy."""
        html = self._templates.get_template("home.html").render(
            now=now, soon=soon, past=past, lamp=view.LAMP, counted=view.counted,
            overdue=[one.id for one in soon if view.overdue(one, until_us)],
        )  # fmt: skip
        return self._answer(html, _own("'self'"), [("Cache-Control", f"public, max-age={HOME_AGE_S}")])

    def shell(self, name: str) -> Answer:
        """A page that a script fills: the same for everybody, so it holds nothing of anybody."""
        html = self._templates.get_template(f"{name}.html").render()
        headers = [("Cache-Control", "no-cache"), ("Permissions-Policy", "microphone=(self), camera=()")]
        return self._answer(html, _own("'self'"), headers)

    def plain(self, status: int, title: str, said: str, more: Headers | None = None) -> Answer:
        """A small page with one sentence, to be given out many times."""
        headers, body = self.sentence(title, said)
        return Answer([*headers, *(more or [])], body, status)

    def sentence(self, title: str, said: str) -> tuple[Headers, bytes]:
        """The same for one use."""
        html = self._templates.get_template("plain.html").render(title=title, said=said)
        policy = ("Content-Security-Policy", _own("'none'"))
        return [*_ALWAYS, policy, ("Cache-Control", "no-store")], html.encode()

    def _answer(self, html: str, policy: str, headers: Headers) -> Answer:
        return Answer([*_ALWAYS, ("Content-Security-Policy", policy), *headers], html.encode())


def _own(scripts: str) -> str:
    return f"{_POLICY}script-src {scripts}; style-src 'self'; connect-src 'self'; media-src blob: mediastream:"


def _hashed(inline: str) -> str:
    """What a policy must say for this inline script or style to run (CSP 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


def _json_in_html(plain: dict[str, Any]) -> Markup:
    """JSON that cannot end the script element it stands in, whatever a title says."""
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)
