"""The page of a Space in a real Chromium: before, during and after, and when things break."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from broadcasts import SPACE, Broadcast
from people import FLAGS
from playwright.sync_api import Browser, Page, Request, Route, expect, sync_playwright
from rostra_process import Command, Rostra
from sounding import sound

pytestmark = [pytest.mark.timeout(180), pytest.mark.may_block("the driver's loop stands while the test itself works")]
VOICE = Path(__file__).parents[2] / "tools" / "voices" / "ada.opus"
Eventually = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, timezone_id="Europe/Berlin")
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield context.new_page()
    context.close()
    assert not wrong, wrong


def speak(server: Rostra, space: dict[str, Any], seconds: int = 60) -> Command:
    return server.begin(
        "speak", space["whip"], "--token", space["token"], "--file", str(VOICE), "--loop", "--seconds", str(seconds)
    )


def hang_up(speaking: Command) -> None:
    speaking.interrupt()
    with suppress(AssertionError):  # where the Space ended first, the command says so and fails
        speaking.result()


@contextmanager
def going_live(server: Rostra) -> Iterator[dict[str, Any]]:
    """A Space that somebody speaks in; it is live in a moment, and ended afterwards."""
    space = server.run("space", "create", "--title", "Rivers after the flood", "--host-name", "Ada Lovelace")
    speaking = speak(server, space, 600)
    try:
        yield space
    finally:
        hang_up(speaking)
        if server.state(space["id"])["state"] != "ended":
            server.run("space", "end", space["id"])


@pytest.fixture(scope="module")
def on_air(server: Rostra, eventually: Eventually) -> Iterator[dict[str, Any]]:
    """Live for some seconds, for all who listen and leave it as they found it."""
    with going_live(server) as space:
        eventually(lambda: (server.state(space["id"])["elapsed_s"] or 0) > 12, 40)
        yield space


@pytest.fixture
def own_on_air(server: Rostra, eventually: Eventually) -> Iterator[dict[str, Any]]:
    """Live since a moment, for one test that counts its listeners or ends it."""
    with going_live(server) as space:
        eventually(lambda: server.state(space["id"])["state"] == "live", 20)
        yield space


@pytest.fixture(scope="module")
def recorded(server: Rostra) -> str:
    """The page of a recording of three minutes, written as the stage would have."""

    async def write() -> None:
        broadcast = Broadcast(server.data)
        await broadcast.go_live()
        await sound(broadcast, 360)
        await broadcast.end()
        await broadcast.close()

    with ThreadPoolExecutor() as aside:  # the browser's driver has this thread's loop
        aside.submit(asyncio.run, write()).result()
    return f"{server.door}/s/{SPACE}"


def player(page: Page, what: str) -> Any:
    return page.evaluate(f"window.rostra ? rostra.{what} : null")


def until(page: Page, what: str, within_s: float = 10) -> None:
    """Ask the page until it is so. Not by the driver's own waiting, which the page's policy forbids."""
    end = time.monotonic() + within_s
    while not page.evaluate(f"Boolean({what})"):
        if time.monotonic() > end:
            pytest.fail(f"not within {within_s:g} s: {what}")
        page.wait_for_timeout(30)


def hears(page: Page, within_s: float = 10) -> None:
    until(page, "window.rostra && rostra.playing && rostra.position() > 0", within_s)
    before = player(page, "position()")
    until(page, f"rostra.position() > {before} + 0.5", within_s)


def comes_to_the_front(page: Page) -> None:
    """A page asks once a minute while the start is years away; coming to the front it asks at once, every 3 s at most."""
    page.wait_for_timeout(3100)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def seek(page: Page, second: float) -> None:
    page.evaluate(
        """(to) => {
          const bar = document.getElementById("seek");
          bar.value = to;
          bar.dispatchEvent(new Event("input"));
          bar.dispatchEvent(new Event("change"));
        }""",
        second,
    )


def left_out_s(page: Page, begin: float, end: float) -> float:
    """How many of these seconds were not heard."""
    heard: list[list[float]] = page.evaluate(
        """() => {
          const { played } = document.getElementById("audio");
          return Array.from({ length: played.length }, (_, i) => [played.start(i), played.end(i)]);
        }"""
    )
    return end - begin - sum(max(0.0, min(to, end) - max(since, begin)) for since, to in heard)


def note_states(page: Page) -> None:
    """Keeps in `states` which states the page has said, one after another."""
    page.evaluate(
        "(window.states = [], setInterval(() => states.at(-1) === rostra.state || states.push(rostra.state), 10))"
    )


@pytest.mark.alone
def test_sound_comes_within_five_requests_and_stays_close_to_the_newest(own_on_air: dict[str, Any], page: Page) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: None if request.url.startswith("data:") else asked.append(request))
    page.goto(own_on_air["page"])
    until(page, "window.rostra && rostra.firstSoundAt > 0", 10)
    assert player(page, "firstSoundAt") < 3000  # that it takes a second at most is measured by a benchmark
    page.wait_for_timeout(6000)
    sounded_at = page.evaluate("performance.timeOrigin + rostra.firstSoundAt")
    before_sound = [one.url for one in asked if 0 < one.timing["startTime"] <= sounded_at]
    assert before_sound[0] == own_on_air["page"] and "/opus/join.mp4?sid=" in before_sound[1]
    assert 2 <= len(before_sound) <= 5, before_sound
    assert len(asked) > 10 and asked[-2].timing["startTime"] > sounded_at, "the times are of one clock"
    assert player(page, "gaps") == 0
    assert 0.1 < player(page, "bufferedEnd() - rostra.position()") < 1.6
    # From the first sample on the stage to the ear; both clocks are this machine's.
    assert player(page, "t0") and page.evaluate("(Date.now() - rostra.t0) / 1000 - rostra.position()") < 2
    assert page.text_content("#lamp") == "On air" and page.text_content("#caption") == "You hear it live"
    page.wait_for_selector("#speakers .speaks", timeout=5000)


def test_a_browser_that_wants_a_press_first_gets_a_button(on_air: dict[str, Any], page: Page) -> None:
    page.add_init_script(
        """const play = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = function () {
          return navigator.userActivation.isActive ? play.call(this) : Promise.reject(new DOMException("", "NotAllowedError"));
        };"""
    )
    page.goto(on_air["page"])
    page.get_by_text("Your browser waits for you").wait_for(timeout=5000)
    page.get_by_role("button", name="Listen live").click()
    hears(page)


def test_a_page_opened_early_begins_by_itself(server: Rostra, page: Page, eventually: Eventually) -> None:
    space = server.run("space", "create", "--title", "Soon", "--starts", "2040-01-01T19:00:00Z")
    page.goto(space["page"])
    page.locator("#words", has_text="We start on Sunday").wait_for(timeout=5000)
    assert "8:00" in page.inner_text("#words") or "20:00" in page.inner_text("#words")  # Berlin's hour, not UTC's
    assert page.text_content("#zone") == "Europe/Berlin"
    assert page.is_visible("#countdown") and page.is_visible("#calendar")
    page.get_by_role("button", name="Play when it starts").click()
    assert page.inner_text("#caption") == "Ready. It begins by itself."
    page.get_by_text("Other ways to listen", exact=True).click()
    assert page.get_by_role("link", name="Radio stream", exact=True).is_visible()

    page.evaluate("window.unloaded = false; addEventListener('beforeunload', () => (window.unloaded = true))")
    server.run("space", "open", space["id"])
    speaking = speak(server, space, 20)
    eventually(lambda: server.state(space["id"])["state"] == "live", 20)
    comes_to_the_front(page)
    hears(page, 15)
    assert page.evaluate("window.unloaded") is False
    hang_up(speaking)


def test_a_late_start_says_the_new_time_and_the_reason(server: Rostra, page: Page) -> None:
    space = server.run("space", "create", "--title", "Late", "--starts", "2040-01-01T19:00:00Z")
    page.goto(space["page"])
    until(page, "window.rostra")
    server.run("space", "delay", space["id"], "--minutes", "40", "--reason", "waiting for our guest")
    comes_to_the_front(page)
    page.get_by_text("Starting late").first.wait_for(timeout=5000)
    assert "The host says: \u2068waiting for our guest\u2069. Stay here;" in page.inner_text("#words")
    assert "DTSTART:20400101T194000Z" in (page.get_attribute("#calendar", "href") or "")


def test_going_back_and_to_live_again(on_air: dict[str, Any], page: Page) -> None:
    page.goto(on_air["page"])
    hears(page)
    until(page, "rostra.position() > 9", 15)
    seek(page, 2)
    until(page, "rostra.position() >= 2 && rostra.position() < 4", 3)
    hears(page)
    assert not player(page, "live")
    page.get_by_text("behind live").wait_for(timeout=2000)
    page.keyboard.press("ArrowRight")
    until(page, "rostra.position() > 11 || rostra.live", 5)
    page.keyboard.press("l")
    until(page, "rostra.live", 3)
    hears(page)
    assert page.text_content("#caption") == "You hear it live"


def test_who_went_back_sees_where_they_are_and_how_long_it_has_been_on_the_air(
    on_air: dict[str, Any], page: Page, server: Rostra
) -> None:
    def shown_s() -> list[int]:
        clocks = page.inner_text("#here").split(" of ")
        return [60 * int(minutes) + int(seconds) for minutes, seconds in (one.split(":") for one in clocks)]

    page.goto(on_air["page"])
    hears(page)
    until(page, "rostra.position() > 9", 15)
    assert len(shown_s()) == 1, "live, the two are one"
    seek(page, 2)
    until(page, "rostra.position() >= 2 && rostra.position() < 4", 3)
    page.keyboard.press("k")
    page.get_by_text("Paused").wait_for(timeout=5000)
    least = server.state(on_air["id"])["elapsed_s"]
    here, whole = shown_s()
    assert 2 <= here <= 5 and least - 2 < whole < server.state(on_air["id"])["elapsed_s"] + 2
    until(page, f"!document.getElementById('here').textContent.endsWith('{whole % 60:02}')")
    assert shown_s()[0] == here, "the broadcast goes on, the ear does not"
    page.keyboard.press("l")
    until(page, "rostra.live && !document.getElementById('here').textContent.includes('of')")


def test_pause_and_play_by_keyboard_go_on_where_it_stopped(on_air: dict[str, Any], page: Page) -> None:
    page.goto(on_air["page"])
    hears(page)
    page.keyboard.press("k")
    page.get_by_text("Paused").wait_for(timeout=2000)
    stopped = player(page, "position()")
    page.wait_for_timeout(600)
    assert player(page, "position()") == stopped
    page.keyboard.press(" ")
    hears(page)
    assert player(page, "position()") < stopped + 3


def test_the_keys_of_a_headset_or_a_lock_screen_do_what_they_say(on_air: dict[str, Any], page: Page) -> None:
    page.add_init_script(
        """window.keys = {};
        const real = MediaSession.prototype.setActionHandler;
        MediaSession.prototype.setActionHandler = function (key, act) {
          window.keys[key] = (details) => act({ action: key, ...details });
          return real.call(this, key, act);
        };"""
    )
    page.goto(on_air["page"])
    until(page, "window.keys.play && navigator.mediaSession.metadata", 20)
    shown = page.evaluate("(({ title, artist, album }) => [title, artist, album])(navigator.mediaSession.metadata)")
    assert shown == ["Rivers after the flood", "Ada Lovelace", "Live"]
    hears(page)
    for stopping in ("pause", "stop"):
        page.evaluate(f"keys.{stopping}()")
        until(page, "!rostra.playing && document.getElementById('caption').textContent === 'Paused'")
        for _ in range(2):  # some headsets send it twice
            page.evaluate("keys.play()")
        hears(page)

    until(page, "rostra.position() > 8", 20)
    before = player(page, "position()")
    page.evaluate("keys.seekbackward({ seekOffset: 4 })")
    until(page, f"rostra.playing && !rostra.live && rostra.position() < {before} - 2")
    hears(page)
    page.evaluate("keys.seekto({ seekTime: 2 })")
    until(page, "rostra.position() >= 2 && rostra.position() < 4")
    hears(page)
    page.evaluate("keys.seekforward({ seekOffset: 600 })")  # beyond the newest is the newest
    until(page, "rostra.live")
    hears(page)


def test_volume_and_mute_are_the_listeners_own(on_air: dict[str, Any], page: Page) -> None:
    page.goto(on_air["page"])
    hears(page)
    loudness = "[document.getElementById('audio').volume, document.getElementById('audio').muted]"
    volume, mute = page.get_by_label("Volume"), page.get_by_role("button", name="Mute")
    volume.fill("0.3")
    assert page.evaluate(loudness) == [0.3, False]
    mute.click()
    until(page, "document.getElementById('mute').ariaPressed === 'true'")
    assert page.evaluate(loudness) == [0.3, True]
    volume.press("ArrowRight")  # who moves it wants to hear
    until(page, "document.getElementById('mute').ariaPressed === 'false'")
    assert page.evaluate(loudness) == [0.35, False]
    for pressed in ("true", "false"):
        page.keyboard.press("m")
        until(page, f"document.getElementById('mute').ariaPressed === '{pressed}'")
    hears(page)


def test_the_page_becomes_the_replay_without_a_reload(own_on_air: dict[str, Any], page: Page, server: Rostra) -> None:
    page.goto(own_on_air["page"])
    hears(page)
    note_states(page)
    server.run("space", "end", own_on_air["id"])
    until(page, "rostra.state === 'ended'", 6)
    page.get_by_text("That was all of it.").wait_for(timeout=10_000)
    page.wait_for_selector("#turns", timeout=10_000)
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "rostra.playing && rostra.position() > 0.5 && rostra.position() < 6", 5)
    whole = player(page, "parts") * 0.5
    seek(page, whole - 1.5)
    until(page, "document.getElementById('audio').ended", 8)
    page.get_by_text("Other ways to listen", exact=True).click()
    ways = [page.get_by_role("link", name=one, exact=True) for one in ("The recording", "HLS stream", "Radio stream")]
    assert [one.is_visible() for one in ways] == [True, False, False], "what is over flows no more"
    page.get_by_text("Who spoke when").click()
    page.locator("#turnlist button").first.click()
    hears(page)
    assert player(page, "gaps") == 0
    assert page.evaluate("states") == ["live", "ended"], "the last words, heard after the end, do not undo it"


def test_who_comes_as_it_ends_is_given_the_recording(
    own_on_air: dict[str, Any], page: Page, server: Rostra, eventually: Eventually
) -> None:
    eventually(lambda: (server.state(own_on_air["id"])["elapsed_s"] or 0) > 3, 20)

    def too_late(route: Route) -> None:
        server.run("space", "end", own_on_air["id"])
        route.continue_()

    page.route("**/join.mp4*", too_late)
    page.goto(own_on_air["page"])
    until(page, "window.rostra && rostra.state === 'ended'", 20)
    page.get_by_text("Who spoke when").wait_for(timeout=10_000)
    page.get_by_role("button", name="Play", exact=True).click()
    hears(page)
    assert player(page, "position()") < 6


def test_seeking_anywhere_in_a_recording_answers_at_once(recorded: str, page: Page) -> None:
    page.goto(recorded)
    page.get_by_role("button", name="Play", exact=True).click()
    hears(page)
    took_ms = page.evaluate(
        """async () => {
          const audio = document.getElementById("audio"), bar = document.getElementById("seek"), took = [];
          for (const to of [150, 10, 90, 40]) {
            const began = performance.now();
            bar.value = to;
            bar.dispatchEvent(new Event("input"));
            bar.dispatchEvent(new Event("change"));
            await new Promise((done) => audio.addEventListener("seeked", done, { once: true }));
            took.push(performance.now() - began);
          }
          return took;
        }"""
    )
    assert sorted(took_ms)[len(took_ms) // 2] < 200


@pytest.mark.alone
def test_the_edge_may_die_and_the_listener_is_back_within_five_seconds(
    own_server: Rostra, page: Page, eventually: Eventually
) -> None:
    space = own_server.run("space", "create", "--title", "Sturdy")
    speaking = speak(own_server, space)
    eventually(lambda: own_server.state(space["id"])["state"] == "live", 20)
    page.goto(space["page"])
    hears(page)
    old = own_server.kill_role("edge")
    stopped = player(page, "position()")
    eventually(lambda: own_server.pids()["edge"] != old)
    until(page, f"rostra.position() > {stopped} + 2.5", 7)
    # It is still one listener, and no second one in all.
    eventually(lambda: (own_server.state(space["id"])["count"], own_server.state(space["id"])["unique"]) == (1, 1), 25)
    assert page.inner_text("#lamp") == "On air"
    for role in ("door", "control"):
        own_server.kill_role(role)
    page.wait_for_timeout(2500)
    gaps = player(page, "gaps")
    hears(page)
    assert player(page, "gaps") == gaps, "the door and control are nothing to the ear"
    hang_up(speaking)


@pytest.mark.alone
def test_a_newcomer_under_pressure_takes_longer_steps_and_how_we_count_is_said(
    own_on_air: dict[str, Any], page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def in_long_steps(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(
            response=answer, headers={**answer.headers, "rostra-step": "2", "access-control-expose-headers": "*"}
        )

    page.route("**/join.mp4*", in_long_steps)
    page.goto(own_on_air["page"])
    hears(page)
    page.wait_for_timeout(6000)
    wide = [int(url.rpartition("/")[2].removesuffix(".m4s")) for url in asked if "/wide/" in url]
    assert len(wide) >= 4 and wide == list(range(wide[0], wide[0] + len(wide)))
    assert sum("/part/" in url for url in asked) <= 3 and player(page, "gaps") == 0
    page.get_by_text("How we count").click()
    page.locator("#counted", has_text="Now: 1 on this page.").wait_for(timeout=20_000)
    assert "1 in all; who opens it twice counts twice." in page.inner_text("#counted")


def test_a_lost_and_regained_network_needs_no_hand(on_air: dict[str, Any], page: Page) -> None:
    page.goto(on_air["page"])
    hears(page)
    page.context.set_offline(True)
    page.locator("#words", has_text="We cannot reach the sound just now.").wait_for(timeout=10_000)
    page.context.set_offline(False)
    hears(page, 5)
    until(page, "document.getElementById('words').hidden", 5)


def test_who_slept_long_joins_at_the_newest_and_does_not_fetch_what_was_missed(
    on_air: dict[str, Any], page: Page, server: Rostra, eventually: Eventually
) -> None:
    page.goto(on_air["page"])
    hears(page)
    asleep: list[Route] = []
    page.route("**/opus/**", lambda route: asleep.append(route))  # nothing comes, and nobody says why
    until(page, "document.getElementById('words').textContent.includes('We cannot reach the sound')", 20)
    stopped = player(page, "position()")
    eventually(lambda: server.state(on_air["id"])["elapsed_s"] > stopped + 18, 40)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/opus/" in request.url else None)
    page.unroute("**/opus/**")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    until(page, f"rostra.position() > {stopped} + 16", 15)
    hears(page)
    assert player(page, "live") and page.inner_text("#caption") == "You hear it live"
    joined = next(i for i, url in enumerate(asked) if "/join.mp4" in url)
    assert joined <= 2, asked


@contextmanager
def cut_off(page: Page) -> Iterator[None]:
    """The page goes on, and reaches nobody."""
    page.context.set_offline(True)
    try:
        yield
    finally:
        page.context.set_offline(False)


@contextmanager
def asleep(page: Page) -> Iterator[None]:
    """The whole browser stands still, as when the machine is suspended."""
    assert page.context.browser is not None
    processes = page.context.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    for one in processes:
        os.kill(one["id"], signal.SIGSTOP)
    try:
        yield
    finally:
        for one in processes:
            os.kill(one["id"], signal.SIGCONT)


def ear_across_the_end(
    space: dict[str, Any],
    page: Page,
    server: Rostra,
    eventually: Eventually,
    away: Callable[[Page], AbstractContextManager[None]],
    seconds: float,
) -> float:
    """Be away for so long, and from before the end to after it. Where the ear was, in seconds from the beginning."""
    page.goto(space["page"])
    hears(page)
    stopped: float = player(page, "position()")
    with away(page):
        eventually(lambda: server.state(space["id"])["elapsed_s"] > stopped + seconds, 40)
        server.run("space", "end", space["id"])
    page.locator("#lamp", has_text="Ended").wait_for(timeout=20_000)
    return stopped


@pytest.mark.parametrize("away", [cut_off, asleep])
def test_who_was_away_past_the_end_goes_on_where_the_ear_was(
    own_on_air: dict[str, Any],
    page: Page,
    server: Rostra,
    eventually: Eventually,
    away: Callable[[Page], AbstractContextManager[None]],
) -> None:
    stopped = ear_across_the_end(own_on_air, page, server, eventually, away, 18)
    page.locator("#words", has_text="This is the whole of it.").wait_for(timeout=5000)
    until(page, f"rostra.position() > {stopped} + 2.5", 10)
    assert player(page, "position()") < stopped + 8, "nothing was left out"
    assert page.inner_text("#caption") == "Playing the recording"
    page.wait_for_selector("#turns", timeout=10_000)
    whole = player(page, "parts") * 0.5
    assert whole > stopped + 16
    seek(page, whole - 2)
    page.get_by_text("That was all of it.").wait_for(timeout=10_000)


@pytest.mark.parametrize("away", [cut_off, asleep])
def test_who_was_away_for_some_seconds_across_the_end_hears_all_of_it(
    own_on_air: dict[str, Any],
    page: Page,
    server: Rostra,
    eventually: Eventually,
    away: Callable[[Page], AbstractContextManager[None]],
) -> None:
    stopped = ear_across_the_end(own_on_air, page, server, eventually, away, 11)
    page.get_by_text("That was all of it.").wait_for(timeout=25_000)
    whole = player(page, "parts") * 0.5
    assert whole > stopped + 9
    missed = left_out_s(page, stopped, whole)
    assert missed < 0.2, "nobody is behind live where there is no live"
    assert page.evaluate("document.getElementById('audio').playbackRate") == 1


@contextmanager
def told_late(page: Page) -> Iterator[None]:
    """What the door said last is all that it says for a while, as through a cache."""
    said = page.evaluate("fetch(location.pathname + '/state.json').then((answer) => answer.text())")
    page.route("**/state.json", lambda route: route.fulfill(body=said, content_type="application/json"))
    yield
    page.unroute("**/state.json")


def test_go_live_after_an_end_that_the_page_does_not_know_of_leads_into_the_recording(
    own_on_air: dict[str, Any], page: Page, server: Rostra
) -> None:
    page.goto(own_on_air["page"])
    hears(page)
    until(page, "rostra.position() > 6", 15)
    seek(page, 1)
    until(page, "!rostra.live && rostra.position() >= 1 && rostra.position() < 3", 3)
    hears(page)
    note_states(page)
    page.wait_for_event("request", lambda request: request.url.endswith("/state.json"), timeout=20_000)
    with told_late(page):  # and the page's own next question is 8 s away
        server.run("space", "end", own_on_air["id"])
        page.get_by_role("button", name="Go live").click()
        stopped = player(page, "position()")
        page.wait_for_timeout(1000)
    page.locator("#lamp", has_text="Ended").wait_for(timeout=4000)
    page.locator("#words", has_text="This is the whole of it.").wait_for(timeout=1000)
    until(page, f"rostra.playing && rostra.position() > {stopped} + 1.5")
    assert page.inner_text("#caption") == "Playing the recording" and not page.is_visible("#golive")
    page.get_by_text("That was all of it.").wait_for(timeout=20_000)
    whole = player(page, "parts") * 0.5
    assert left_out_s(page, 1.5, whole) < 0.2
    page.get_by_role("button", name="Play", exact=True).click()
    hears(page)
    assert player(page, "gaps") == 0 and page.evaluate("states") == ["live", "ended"]


def test_who_moves_the_bar_beyond_an_end_that_the_page_does_not_know_of_comes_to_that_end(
    own_on_air: dict[str, Any], page: Page, server: Rostra, eventually: Eventually
) -> None:
    page.goto(own_on_air["page"])
    hears(page)
    until(page, "rostra.position() > 6", 15)
    seek(page, player(page, "position()") - 3)
    until(page, "!rostra.live")
    kept_back: list[Route] = []
    page.route("**/opus/**", lambda route: kept_back.append(route))  # so that the end is not at hand
    eventually(lambda: server.state(own_on_air["id"])["elapsed_s"] > 14, 20)
    with told_late(page):
        server.run("space", "end", own_on_air["id"])
        page.unroute("**/opus/**")
        page.wait_for_timeout(5000)
        seek(page, player(page, "parts") * 0.5 - 2.5)
        page.wait_for_timeout(300)
    page.get_by_text("That was all of it.").wait_for(timeout=5000)
    page.wait_for_selector("#turns", timeout=10_000)
    whole = player(page, "parts") * 0.5
    assert abs(whole - server.state(own_on_air["id"])["elapsed_s"]) < 1.5
    assert abs(player(page, "position()") - whole) < 0.3
    seek(page, 2)
    hears(page)


def test_sound_goes_on_where_nothing_may_say_that_we_are_here(on_air: dict[str, Any], page: Page) -> None:
    """Telling who we are after a loss helps the count alone; what keeps it from the edge must not cost the sound."""
    kept_back: list[Route] = []
    broken: list[Route] = []

    def lose_one(route: Route) -> None:
        if broken:
            route.continue_()
        else:
            broken.append(route)
            route.abort("connectionreset")

    def keep_back(route: Route) -> None:
        kept_back.append(route)
        route.abort("blockedbyclient")

    page.route("**/here?*", keep_back)
    page.goto(on_air["page"])
    hears(page)
    page.route("**/opus/part/*", lose_one)
    page.wait_for_timeout(1000)
    assert broken
    until(page, "rostra.bufferedEnd() - rostra.position() > 0.05", 5)
    hears(page, 5)
    hears(page, 2)
    assert kept_back and len(kept_back) == len(broken)
    assert page.inner_text("#lamp") == "On air" and page.is_hidden("#words")


def test_a_page_that_waits_asks_again_though_one_question_is_never_answered(
    server: Rostra, page: Page, eventually: Eventually
) -> None:
    space = server.run("space", "create", "--title", "Through a dead line")
    server.run("space", "open", space["id"])
    asked: list[Route] = []

    def leave_one_unanswered(route: Route) -> None:
        asked.append(route)
        if len(asked) != 2:
            route.continue_()

    page.route("**/state.json", leave_one_unanswered)
    page.goto(space["page"])
    waits_until = time.monotonic() + 10
    while len(asked) < 2 and time.monotonic() < waits_until:
        page.wait_for_timeout(30)
    speaking = speak(server, space, 40)
    eventually(lambda: server.state(space["id"])["state"] == "live", 20)
    hears(page, 20)
    hang_up(speaking)


def test_in_a_break_the_page_claims_no_sound_and_takes_that_back_by_itself(
    server: Rostra, page: Page, eventually: Eventually
) -> None:
    space = server.run("space", "create", "--title", "Rivers after the flood", "--host-name", "Ada Lovelace")
    speaking = speak(server, space, 600)
    eventually(lambda: server.state(space["id"])["state"] == "live", 20)
    page.goto(space["page"])
    said = page.locator("#caption")
    expect(said).to_have_text("You hear it live", timeout=20_000)
    hang_up(speaking)
    expect(page.locator("#lamp")).to_have_attribute("data-state", "break", timeout=20_000)
    expect(said).to_have_text("Silent until they return")
    speaking = speak(server, space, 600)
    expect(said).to_have_text("You hear it live", timeout=20_000)
    expect(page.locator("#lamp")).to_have_attribute("data-state", "live")
    hang_up(speaking)
    server.run("space", "end", space["id"])


def test_a_browser_without_media_source_is_told_what_works(on_air: dict[str, Any], page: Page) -> None:
    page.add_init_script(
        "delete window.MediaSource; delete window.ManagedMediaSource; HTMLMediaElement.prototype.canPlayType = () => '';"
    )
    page.goto(on_air["page"])
    page.get_by_text("Your browser cannot play this stream. These can:").wait_for(timeout=5000)
    assert page.get_by_role("link", name="an HLS player such as VLC").get_attribute("href") == on_air["hls"]
    assert page.is_hidden("#deck")


def test_a_browser_with_hls_of_its_own_is_given_the_playlist(on_air: dict[str, Any], page: Page) -> None:
    page.add_init_script(
        "delete window.MediaSource; delete window.ManagedMediaSource; HTMLMediaElement.prototype.canPlayType = () => 'maybe';"
    )
    page.goto(on_air["page"])
    until(page, "document.getElementById('audio').src", 5)
    assert page.evaluate("document.getElementById('audio').src") == on_air["hls"]


def test_going_back_with_hls_of_its_own_takes_the_playlist_that_begins_at_the_first_second(
    on_air: dict[str, Any], page: Page
) -> None:
    """The live playlist holds its newest minute alone, whose seconds are not those of the broadcast."""
    page.add_init_script(
        "delete window.MediaSource; delete window.ManagedMediaSource; HTMLMediaElement.prototype.canPlayType = () => 'maybe';"
    )
    loading: list[Route] = []
    page.route(
        "**/hls/*.m3u8", lambda route: loading.append(route)
    )  # a Chromium that has HLS of its own shall not move the ear as well
    source, sought = "document.getElementById('audio').src", "document.getElementById('audio').currentTime"
    page.goto(on_air["page"])
    until(page, f"{source} && window.rostra.parts > 24", 30)
    page.locator("#clock").click()  # brings the keys
    page.wait_for_selector("#share:not([hidden])")
    seek(page, 3)
    assert page.evaluate(f"[{source}, {sought}]") == [on_air["replay"], 3]
    forgets = "(one) => { one.currentTime = 0; one.dispatchEvent(new Event('loadedmetadata')); }"
    page.locator("#audio").evaluate(forgets)  # as some do when they have loaded
    assert page.evaluate(sought) == 3
    page.get_by_text("behind live").wait_for(timeout=5000)
    page.keyboard.press("l")
    assert page.evaluate(source) == on_air["hls"]
    until(page, "document.getElementById('caption').textContent === 'You hear it live'")
    assert page.inner_text("#here") != "0:00", "live is where the broadcast is, whatever the player calls it"
    page.keyboard.press("ArrowLeft")
    whole = player(page, "parts") * 0.5
    assert page.evaluate(source) == on_air["replay"]
    assert whole - 12 < page.evaluate(sought) <= whole - 9.5


def test_where_hls_is_the_browsers_own_the_end_does_not_change_where_the_ear_is(
    own_on_air: dict[str, Any], page: Page, server: Rostra, eventually: Eventually
) -> None:
    """The newest minute has seconds of its own; here it ends at 5 and the ear is at 2, three seconds before the end."""
    page.add_init_script(
        """delete window.MediaSource; delete window.ManagedMediaSource;
        HTMLMediaElement.prototype.canPlayType = () => "maybe";
        Object.defineProperties(HTMLMediaElement.prototype, {
          currentTime: { get() { return this.at ?? 2; }, set(to) { this.at = to; } },
          duration: { get: () => (window.tells === "duration" ? 5 : Infinity) },
          seekable: { get: () => ({ length: Number(window.tells === "seekable"), end: () => 5 }) },
        });"""
    )
    loading: list[Route] = []
    page.route("**/hls/*.m3u8", lambda route: loading.append(route))
    page.route("**/recording.m4a", lambda route: loading.append(route))

    def shown_s(what: str) -> int:
        minutes, _, seconds = page.inner_text(what).partition(":")
        return 60 * int(minutes) + int(seconds)

    eventually(lambda: (server.state(own_on_air["id"])["elapsed_s"] or 0) > 9, 30)
    page.goto(own_on_air["page"])
    until(page, "document.getElementById('audio').src && window.rostra.parts > 18", 20)
    server.run("space", "end", own_on_air["id"])
    page.evaluate("window.tells = 'duration'")
    page.locator("#audio").dispatch_event("durationchange")  # which is how such a page learns of it soonest
    page.locator("#lamp", has_text="Ended").wait_for(timeout=5000)
    whole = server.state(own_on_air["id"])["elapsed_s"]
    for tells in ("duration", "seekable"):  # as browsers differ
        page.evaluate(f"window.tells = '{tells}'")
        page.wait_for_timeout(500)
        assert abs(shown_s("#total") - whole) <= 1 and abs(shown_s("#here") - (whole - 3)) <= 1
        assert abs(int(page.locator("#seek").input_value()) - (whole - 3)) <= 1
    page.wait_for_selector("#turns", timeout=10_000)  # and with it the length of the record
    assert abs(shown_s("#total") - whole) <= 1 and abs(shown_s("#here") - (whole - 3)) <= 1
    seek(page, 4)
    assert page.evaluate("document.getElementById('audio').src").endswith("/recording.m4a")
    assert shown_s("#here") == 4


def test_a_pause_with_hls_of_the_browsers_own_stops_the_clock_and_is_behind_until_go_live(
    on_air: dict[str, Any], page: Page
) -> None:
    """As such a browser does it: in a pause neither the ear nor the end of what it knows moves on."""
    page.add_init_script(
        """delete window.MediaSource; delete window.ManagedMediaSource;
        HTMLMediaElement.prototype.canPlayType = () => "maybe";
        const began = Date.now();
        window.lost = 0; // to pauses, seconds
        const since = () => (window.pausedAt ?? Date.now()) / 1000 - began / 1000;
        Object.defineProperties(HTMLMediaElement.prototype, {
          readyState: { get: () => 4 },
          duration: { get: () => Infinity },
          currentTime: { get: () => 2 + since() - window.lost, set() {} },
          seekable: { get: () => ({ length: 1, end: () => 5 + since() }) },
        });
        document.addEventListener("pause", () => (window.pausedAt = Date.now()), true);
        document.addEventListener("play", () => {
          if (window.pausedAt) window.lost += (Date.now() - window.pausedAt) / 1000;
          window.pausedAt = undefined;
        }, true);
        document.addEventListener("loadstart", () => { window.loads = (window.loads ?? 0) + 1; window.lost = 0; }, true);"""
    )
    loading: list[Route] = []
    page.route("**/hls/*.m3u8", lambda route: loading.append(route))
    page.goto(on_air["page"])
    until(page, "window.rostra.parts > 18", 30)
    page.locator("#audio").dispatch_event("playing")
    said, live = page.locator("#caption"), page.locator("#golive")
    expect(said).to_have_text("You hear it live")
    expect(live).to_be_disabled()
    page.locator("#play").click()
    expect(said).to_have_text("Paused")
    here = page.inner_text("#here")
    page.wait_for_timeout(6500)
    assert page.inner_text("#here").partition(" of ")[0] == here
    page.locator("#play").click()
    expect(said).to_contain_text("behind live")
    expect(live).to_be_enabled()
    loads = page.evaluate("window.loads")
    live.click()
    until(page, f"window.loads > {loads}")
    expect(said).to_have_text("You hear it live")


def test_the_page_can_be_understood_without_scripts(on_air: dict[str, Any], chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(on_air["page"])
    assert page.inner_text("#words") == "It is on the air now."
    assert page.locator("noscript audio source").count() == 2 or page.locator("audio source").count() == 2
    page.get_by_text("Other ways to listen", exact=True).click()
    assert page.get_by_role("link", name="HLS stream", exact=True).is_visible()
    context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_everything_to_press_is_large_enough_named_and_on_the_page(
    on_air: dict[str, Any], server: Rostra, page: Page, width: int
) -> None:
    pages = [page, *(page.context.new_page() for _ in range(3))]
    addresses = (on_air["page"], server.door + "/", server.door + "/sign-in", on_air["studio"])
    for one, address in zip(pages, addresses, strict=True):
        one.set_viewport_size({"width": width, "height": 800})
        one.goto(address)
    page.wait_for_timeout(700)
    for one in pages:
        wrong = one.evaluate(
            """() => [...document.querySelectorAll("button, a.button, summary, select, input:not([type=checkbox])")]
              .filter((one) => one.checkVisibility())
              .filter((one) => one.getBoundingClientRect().height < 43.9
                || !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length))
              .map((one) => one.outerHTML.slice(0, 80))"""
        )
        assert wrong == [], one.url
        assert one.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, one.url
