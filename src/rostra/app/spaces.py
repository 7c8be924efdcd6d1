"""`rostra space …`: by the running server's API, or, when none runs, on the data itself under its lock."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rostra.app.place import Place, settings_of
from rostra.control import addresses
from rostra.kernel.clock import SystemClock, iso, parse_iso
from rostra.kernel.errors import Fault, PeerError, RostraError, UnknownSpace
from rostra.kernel.ids import SpaceId, new_secret, new_space_id, parse_space_id, secret_hash

Plain = dict[str, Any]


class Spaces:
    """What an operator can do from the command line; each method gives what the API would give.

    Raises, all of them:
        Fault, PeerError, UnknownSpace: with a sentence for the person who typed the command.
    """

    def __init__(self, data: Path) -> None:
        self._place = Place(data)
        self._running = self._place.running()

    def create(self, title: str, starts: str | None, host_name: str | None, auto_live: bool) -> Plain:
        body: Plain = {"title": title, "auto_live": auto_live}
        if starts is not None:
            body["starts"] = starts = iso(_time(starts))
        if host_name is not None:
            body["host_name"] = host_name
        return self._ask("POST", "/api/spaces", body) or self._create_here(title, starts, host_name, auto_live)

    def list(self, *, whole: bool = False) -> Plain:
        """`whole`: all of them, read from the data; else the newest, as many as the API gives, where a server runs."""
        found = None if whole else self._ask("GET", "/api/spaces")
        if found is not None:
            return found
        found_here, damaged = [], []
        library = self._library()
        for space_id in library.ids():
            try:
                found_here.append(library.snapshot(space_id))
            except (RostraError, OSError, ValueError):
                damaged.append(str(space_id))
        found_here.sort(key=lambda space: space.created_us, reverse=True)
        return {"spaces": [self._shown(one) for one in found_here], "more": False, "damaged": damaged}

    def show(self, text: str) -> Plain:
        space_id = parse_id(text)
        return self._ask("GET", f"/api/spaces/{space_id}") or self._shown(self._library().snapshot(space_id))

    def open(self, text: str) -> Plain:
        return self._do(text, "open", lambda: _commands().Open())

    def live(self, text: str) -> Plain:
        space_id = parse_id(text)
        done = self._ask("POST", f"/api/spaces/{space_id}/live")
        if done is None:
            self._place.look()
            raise Fault(
                f"No server runs on {self._place.data}, so nothing can go live.", "Start it with 'rostra serve'."
            )
        return done

    def delay(self, text: str, minutes: int, reason: str) -> Plain:
        body = {"minutes": minutes, "reason": reason}
        return self._do(text, "delay", lambda: _commands().Delay(minutes=minutes, reason=reason), body)

    def cancel(self, text: str, reason: str) -> Plain:
        return self._do(text, "cancel", lambda: _commands().Cancel(reason=reason), {"reason": reason})

    def end(self, text: str) -> Plain:
        return self._do(text, "end", lambda: _commands().End())

    def invite(self, text: str, name: str) -> Plain:
        """A further seat: its token and its personal studio link."""
        space_id = parse_id(text)
        made = self._ask("POST", f"/api/spaces/{space_id}/speakers", {"name": name})
        if made is not None:
            return made
        token = new_secret()
        space = self._decide_here(space_id, lambda: _commands().Invite(name=name, token_hash=secret_hash(token)))
        seat = space.sitting()[-1].seat
        return {"seat": seat, "token": token, "link": addresses.seat(settings_of(self._place), space_id, token)}

    def _do(self, text: str, verb: str, command: Callable[[], Any], body: Plain | None = None) -> Plain:
        space_id = parse_id(text)
        done = self._ask("POST", f"/api/spaces/{space_id}/{verb}", body)
        return done if done is not None else self._shown(self._decide_here(space_id, command))

    def _ask(self, method: str, path: str, body: Plain | None = None) -> Plain | None:
        """The server's answer, or None when no server runs here."""
        if self._running is None:
            return None
        from rostra.app.talk import ask

        answer: Plain = ask(self._place, self._running, method, path, body)
        return answer

    def _library(self) -> Any:
        return library_of(self._place)

    def _shown(self, space: Any) -> Plain:
        from rostra.space.view import links, public

        settings = settings_of(self._place)
        return {**public(space, time.time_ns() // 1000), **links(space.id, settings.door_base, settings.sound_base)}

    def _create_here(self, title: str, starts: str | None, host_name: str | None, auto_live: bool) -> Plain:
        token, space_id = new_secret(), new_space_id()
        events = _commands().schedule(
            title,
            host_name or "Operator",
            None if starts is None else parse_iso(starts),
            secret_hash(token),
            time.time_ns() // 1000,
            auto_live=auto_live,
        )
        shown = self._shown(self._append(space_id, lambda space: events, create=True))
        return {**shown, "token": token, "studio": addresses.seat(settings_of(self._place), space_id, token)}

    def _decide_here(self, space_id: SpaceId, command: Callable[[], Any]) -> Any:
        self._place.look()
        commands, seats_most = _commands(), settings_of(self._place).speakers_most

        def decide(space: Any) -> Any:
            return commands.decide(space, command(), commands.OPERATOR, time.time_ns() // 1000, seats_most=seats_most)

        return self._append(space_id, decide)

    def _append(self, space_id: SpaceId, decide: Callable[[Any], Any], create: bool = False) -> Any:
        self._place.prepare()
        library = self._library()

        async def append() -> Any:
            writer = await library.writer(space_id, create=create)
            try:
                for event in decide(writer.space):
                    await writer.append_event(event)
                return writer.space
            finally:
                await writer.close()

        with self._place.locked():
            try:
                return asyncio.run(append())
            finally:
                library.close()


def sign_in(data: Path) -> Plain:
    """A fresh one-time link for the operator. Raises: Fault."""
    place = Place(data)
    running = place.running()
    if running is None:
        place.look()
        raise Fault(f"No server runs on {data}.", "Start it with 'rostra serve'; it prints a sign-in link itself.")
    from rostra.app.talk import ask

    answer: Plain = ask(place, running, "POST", "/api/links")
    return answer


def library_of(place: Place) -> Any:
    """The Spaces on this data, to be read. Raises: Fault: see Place.look."""
    from rostra.timeline.disk import DiskLibrary

    place.look()
    return DiskLibrary(place.data, SystemClock())


def _commands() -> Any:
    from rostra.space import commands

    return commands


def parse_id(text: str) -> SpaceId:
    """A Space's id, also when somebody pasted its whole page address."""
    space_id = parse_space_id(text.rstrip("/").rpartition("/")[2])
    if space_id is None:
        raise UnknownSpace(f"'{text}' is not a Space's id.")
    return space_id


def _time(text: str) -> int:
    try:
        return parse_iso(text)
    except ValueError as wrong:
        raise PeerError(400, f"'{text}' is not a time: {wrong}.", "bad-time") from None
