import argparse
from collections.abc import Callable
from typing import Any

from rostra.app.commands.face import Args, Declared, Run, show

Words = Callable[[dict[str, Any]], str]


def declare(commands: Declared) -> None:
    space = commands.group("space", "make and manage Spaces")
    create = space.add(
        "create",
        _space(lambda do, a: do.create(a.title, a.starts, a.host_name, not a.manual), _one_space),
        "schedule a Space",
    )
    create.add_argument("--title", required=True)
    create.add_argument("--starts", metavar="ISO8601", help="when it begins; without it, whenever the host opens it")
    create.add_argument("--host-name", metavar="NAME", help="who is shown as its host")
    create.add_argument("--manual", action="store_true", help="an encoder alone does not put it on the air")
    listed = space.add("list", _space(lambda do, a: do.list(whole=a.all), _all_spaces), "the Spaces, newest first")
    listed.add_argument("--all", action="store_true", help="also those that a running server leaves out of a long list")

    def on_one(
        name: str, act: Callable[[Any, Args], dict[str, Any]], meaning: str, words: Words = _one_space
    ) -> argparse.ArgumentParser:
        made = space.add(name, _space(act, words), meaning)
        made.add_argument("id", metavar="ID")
        return made

    on_one("show", lambda do, a: do.show(a.id), "how a Space stands")
    on_one("open", lambda do, a: do.open(a.id), "open the green room: speakers in, the public not yet")
    on_one("live", lambda do, a: do.live(a.id), "put an open Space on the air")
    delay = on_one("delay", lambda do, a: do.delay(a.id, a.minutes, a.reason), "start later, and say so")
    delay.add_argument("--minutes", type=int, required=True)
    delay.add_argument("--reason", default="")
    cancel = on_one("cancel", lambda do, a: do.cancel(a.id, a.reason), "call it off, and say so")
    cancel.add_argument("--reason", default="")
    on_one("end", lambda do, a: do.end(a.id), "end it; the same page plays the recording")
    invite = on_one(
        "invite", lambda do, a: do.invite(a.id, a.name), "a seat and a personal link for one more speaker", _invited
    )
    invite.add_argument("--name", required=True)


def _space(act: Callable[[Any, Args], dict[str, Any]], words: Words) -> Run:
    def run(args: Args) -> None:
        from rostra.app.spaces import Spaces

        show(act(Spaces(args.data), args), args.json, words)

    return run


def _one_space(space: dict[str, Any]) -> str:
    lines = [f"{space['title']}", f"  {'state':10} {space['state']}{_when(space)}", f"  {'host':10} {space['host']}"]
    lines += [
        f"  {key:10} {space[key]}"
        for key in ("id", "page", "studio", "whip", "hls", "opus_hls", "mp3", "ogg", "replay", "recording")
    ]
    if space.get("token"):
        lines += [f"  {'token':10} {space['token']}", "The token opens the host's seat and is shown only now."]
    return "\n".join(lines)


def _when(space: dict[str, Any]) -> str:
    if space.get("live_since") and not space.get("ended"):
        return f" since {space['live_since']}"
    return f", starts {space['starts']}" if space.get("starts") and space["state"] in ("scheduled", "delayed") else ""


def _all_spaces(found: dict[str, Any]) -> str:
    lines = [f"{one['id']}  {one['state']:9}  {one['starts'] or '-':24}  {one['title']}" for one in found["spaces"]]
    lines += [f"{one}  damaged    see 'rostra timeline verify {one}'" for one in found.get("damaged", ())]
    if found["more"]:
        lines.append(
            f"These are the newest {len(found['spaces'])}; there are more. 'rostra space list --all' shows them."
        )
    return "\n".join(lines) or 'No Spaces yet. Make one: rostra space create --title "…"'


def _invited(made: dict[str, Any]) -> str:
    return f"Seat {made['seat']}. Their personal link, shown only now:\n  {made['link']}\nFor an encoder, the token:\n  {made['token']}"
