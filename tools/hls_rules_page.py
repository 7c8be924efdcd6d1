"""Writes docs/check-hls.md from the rules themselves, so that the page cannot lie. A test compares the two."""

from pathlib import Path

from rostra.rehearsal.hls.report import BOOKS, NOT_CHECKED

PAGE = Path(__file__).parents[1] / "docs" / "check-hls.md"

HEAD = """# check-hls

    rostra check-hls URL --seconds 60

holds a playlist, live or ended, ours or anybody's, against the rules of HLS: those of draft-pantos-hls-rfc8216bis-22 (clauses
without a name below) and of Apple's authoring specification where they can be seen from outside. It follows a multivariant
playlist to all its media playlists, reloads each as a player does (waiting where the server offers that, else by polling), takes
new segments and parts, and makes the odd requests that a server must hold or refuse. It needs no key and changes nothing;
it costs the server about as much as two listeners for each media playlist.

It exits 0 when no MUST is broken. An error breaks a MUST: some player may fail. A warning leaves a SHOULD aside: players work, with
more latency, load or risk. A note is a recommendation, or something that cannot be judged from here. `--json` prints all of it
as one object.

Not checked: {not_checked}.

| on | rule | weight | clause | what to do |
|---|---|---|---|---|
"""


def page() -> str:
    rows = [
        f"| {subject} | {rule.name} | {rule.severity} | {rule.clause} | {rule.remedy.replace('|', '/')} |\n"
        for subject, rules in BOOKS.items()
        for rule in rules
    ]
    return HEAD.format(not_checked="; ".join(NOT_CHECKED)) + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
