"""What the door says of a Space: state.json, and the same in words for a page that runs no scripts."""

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape

from rostra.kernel.clock import iso
from rostra.kernel.settings import Settings
from rostra.space.count import BEACON_EVERY_S, EDGE, method_in_words
from rostra.space.space import Space
from rostra.space.states import BEFORE, ON_AIR, State
from rostra.space.view import public

PART_S: Final = 0.5
OVERDUE_US: Final = 5_000_000
"""How long after the promised start a page goes on promising it. web/player/words.js says the same."""
_POLLS_S: Final = ((3600, 60), (600, 20), (60, 10), (-1800, 2))
"""While more than so much is left, a page asks so often."""
LAMP: Final = {
    State.SCHEDULED: "Not on yet",
    State.DELAYED: "Starting late",
    State.OPEN: "About to start",
    State.LIVE: "On air",
    State.BREAK: "Holding the line",
    State.ENDED: "Ended",
    State.CANCELLED: "Cancelled",
}


def state_json(space: Space, now_us: int, sound_base: str, beacon: dict[str, int] | None = None) -> dict[str, Any]:
    """All of state.json. Only `now`, `elapsed_s` and `next_poll_s` change while the Space does not."""
    return {
        **public(space, now_us),
        "lobby": None,
        "now": iso(now_us),
        "next_poll_s": next_poll_s(space, now_us),
        "sound": f"{sound_base}/s/{space.id}",
        "part_s": PART_S,
        "beacon": beacon,
    }


def beacon(settings: Settings) -> dict[str, int] | None:
    """Which web players say that they are here, and how often; None where the edge counts by itself."""
    if settings.count_by == EDGE:
        return None
    return {"every_s": BEACON_EVERY_S, "one_in": settings.beacon_one_in}


def next_poll_s(space: Space, now_us: int) -> int:
    """When a page that hears nothing should ask again: rarely while nothing can happen, often when it is about to."""
    if space.state in ON_AIR:
        return 10
    if space.state not in BEFORE:
        return 300
    if space.state is State.OPEN:
        return 2
    if space.starts_us is None:
        return 5
    left_us = space.starts_us - now_us
    return next((poll_s for least_s, poll_s in _POLLS_S if left_us > least_s * 1_000_000), 15)


def overdue(space: Space, now_us: int) -> bool:
    """Whether it should have begun."""
    return space.state in BEFORE and space.starts_us is not None and now_us >= space.starts_us + OVERDUE_US


def stands_until_us(space: Space, now_us: int) -> int | None:
    """When a page will have to say something else though nothing happens; None: never."""
    if space.state not in BEFORE or space.starts_us is None:
        return None
    polls = [] if space.state is State.OPEN else [space.starts_us - 1_000_000 * least_s for least_s, _ in _POLLS_S]
    return min((at_us for at_us in (*polls, space.starts_us + OVERDUE_US) if at_us > now_us), default=None)


def sentence(space: Space, now_us: int) -> Markup:
    """What a listener needs to know, with times in UTC."""
    stay = " Stay here; it begins by itself."
    starts = time_tag(space.starts_us, "starts")
    match space.state:
        case State.LIVE:
            return Markup("It is on the air now.")
        case State.BREAK:
            what = "left the stage" if space.break_why == "all left" else "lost their connection"
            said = "The speakers {} at {}. We are holding the line; sound returns by itself."
            return Markup(said).format(what, time_tag(space.break_since_us))
        case State.ENDED:
            return Markup("It ended at {}. This is the whole of it.").format(time_tag(space.over_us))
        case State.CANCELLED:
            return Markup("This will not take place.") + _said(space.reason)
        case _ if space.starts_us is None:
            ready = "The speakers are getting ready." if space.state is State.OPEN else "No time is set yet."
            return Markup(ready + stay)
        case _ if overdue(space, now_us):
            return Markup("It should have begun at {}. The speakers are not on yet.").format(starts) + stay
        case _ if space.starts_us != space.first_starts_us:
            return Markup("Starting late: now {}.").format(starts) + _said(space.reason) + stay
        case _:
            return Markup("We start at {}.").format(starts) + stay


def speakers(space: Space) -> list[dict[str, str]]:
    """Who stands on the page, before a script changes it."""
    shown = [seat for seat in space.sitting() if seat.on_stage or space.state not in ON_AIR]
    return [
        {
            "seat": seat.seat,
            "name": seat.name,
            "initials": initials(seat.name),
            "said": "muted" if seat.muted and space.state in ON_AIR else "host" if seat.role == "host" else "",
        }
        for seat in shown
    ]


def counted(space: Space) -> str:
    if space.state in ON_AIR:
        return f"{space.count:,} listening"
    return f"Up to {space.peak:,} at once" if space.state is State.ENDED and space.peak else ""


def counting(space: Space) -> str:
    """How we count, and what came of it. web/player/count.js says the same."""
    how = space.count_method or method_in_words(EDGE, 1)
    said = [f"We count {how}{_within(space.count_error)}."]
    kinds = [f"{space.kinds[kind]:,} {words}" for kind, words in _KINDS.items() if space.kinds.get(kind)]
    if space.state in ON_AIR and kinds:
        said.append(f"Now: {', '.join(kinds)}.")
    if space.peak:
        said.append(f"At most {space.peak:,} at once.")
    if space.unique:
        said.append(f"{space.unique:,} in all{_within(space.unique_error)}; who opens it twice counts twice.")
    return " ".join(said)


def _within(error: float) -> str:
    """A standard error in words: nineteen of twenty such counts are off by less."""
    return f", give or take {200 * error:.1f} %" if error else ""


_KINDS: Final = {
    "web": "on this page",
    "hls": "in HLS players",
    "stream": "on radio streams",
    "replay": "listening to what was said before",
}


def initials(name: str) -> str:
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


def time_tag(wall_us: int | None, what: str = "") -> Markup:
    """A time in UTC that a script may turn into the reader's own zone."""
    if wall_us is None:
        return Markup("")
    moment = datetime.fromtimestamp(wall_us // 1_000_000, UTC)
    said = f"{moment:%H:%M} UTC on {moment:%A} {moment.day} {moment:%B}"
    kind = Markup(' data-is="{}"').format(what) if what else Markup("")
    return Markup('<time datetime="{}"{}>{}</time>').format(iso(wall_us), kind, said)


def calendar_link(space: Space, page_url: str, now_us: int) -> str:
    """The start as an iCalendar file inside a data: address (RFC 5545; RFC 2397), with an alarm ten minutes before."""
    if space.starts_us is None:
        return ""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Rostra//Space//EN",
        "BEGIN:VEVENT",
        f"UID:{space.id}@rostra",
        f"DTSTAMP:{_basic(space.created_us or now_us)}",
        f"DTSTART:{_basic(space.starts_us)}",
        "DURATION:PT1H",
        *_folded(f"SUMMARY:{_calendar_text(space.title)}"),
        *_folded(f"URL:{page_url}"),
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        *_folded(f"DESCRIPTION:{_calendar_text(space.title)}"),
        "TRIGGER:-PT10M",
        "END:VALARM",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    return "data:text/calendar;charset=utf-8," + quote("\r\n".join(lines), safe=":;/-@,=.")


def _said(reason: str) -> Markup:
    if not reason:
        return Markup("")
    return Markup(" The host says: <bdi>{}</bdi>{}").format(escape(reason), "" if reason[-1] in ".!?…" else ".")


def _basic(wall_us: int) -> str:
    return f"{datetime.fromtimestamp(wall_us // 1_000_000, UTC):%Y%m%dT%H%M%SZ}"


def _calendar_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> list[str]:
    """Lines of at most 75 octets, the rest indented by a blank (RFC 5545, 3.1)."""
    lines, rest = [], line.encode()
    while len(rest) > 75:
        cut = 75
        while rest[cut] & 0xC0 == 0x80:
            cut -= 1
        lines.append(rest[:cut].decode())
        rest = b" " + rest[cut:]
    return [*lines, rest.decode()]
