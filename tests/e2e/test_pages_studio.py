"""The studio and the office in a real Chromium with a make-believe microphone."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from people import FLAGS, MICROPHONE, go_live, go_on_stage
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright
from rostra_process import Rostra, free_ports

pytestmark = [pytest.mark.timeout(180), pytest.mark.may_block("the driver's loop stands while the test itself works")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS, *MICROPHONE])
        yield running
        running.close()


@pytest.fixture
def device(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """A person's own device: nothing shared with the others. Fails the test where a page of it broke."""
    wrong: list[str] = []
    devices: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = chromium.new_context(
            permissions=["microphone", "clipboard-read", "clipboard-write"], timezone_id="Europe/Berlin", **options
        )
        context.on("weberror", lambda error: wrong.append(str(error.error)))
        context.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
        devices.append(context)
        return context

    yield make
    for context in devices:
        context.close()
    assert not wrong, wrong


@pytest.fixture
def space(server: Rostra) -> dict[str, Any]:
    return server.run("space", "create", "--title", "Rivers <after> the flood", "--host-name", "Ada Lovelace")


def place(page: Page) -> str:
    return str(page.evaluate("studio.place"))


def ring(page: Page, seat: str) -> float:
    """How loud this page shows that seat to be, 0 to 1."""
    return float(
        page.evaluate(f"document.querySelector('[data-seat={seat}] .ring').style.getPropertyValue('--l') || 0")
    )


def microphones(page: Page) -> Callable[[], int]:
    """Gives the way to ask how many microphones this page holds open."""
    page.add_init_script(
        """window.opened = [];
        const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            const stream = await ask(wanted);
            window.opened.push(...stream.getTracks());
            return stream;
        };"""
    )
    return lambda: int(page.evaluate("opened.filter((one) => one.readyState === 'live').length"))


def asks_for_a_seat(page: Page) -> list[str]:
    """From now on, each offer that this page sends."""
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if (one.method, one.url[-6:]) == ("POST", "/stage") else None)
    return asked


def test_a_host_goes_from_the_link_to_the_air_and_to_the_end(
    server: Rostra, space: dict[str, Any], device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    page = device().new_page()
    listening = microphones(page)
    page.goto(space["studio"])
    expect(page.locator("h1")).to_have_text("Rivers <after> the flood")
    assert "#" not in page.url, "the key stays out of the address bar"
    expect(page.locator("#list")).to_contain_text("Choose your microphone")

    page.get_by_role("button", name="Use my microphone").click()
    page.get_by_role("button", name="Test for two seconds").click()
    expect(page.locator("#echowords")).to_have_text("Speak now.")
    expect(page.locator("#echowords")).to_have_text("Did it sound right? Then you are ready.")
    expect(page.locator("#list")).to_contain_text("Your microphone sounds right")

    page.get_by_role("button", name="Open the green room").click()
    page.get_by_role("button", name="Go to the stage").click()
    expect(page.locator("#words")).to_have_text(
        "Green room: the speakers hear each other, listeners hear nothing.", timeout=10_000
    )
    expect(page.locator(".card")).to_contain_text("can be heard · connection good")
    go_live(page)
    expect(page.locator("#words")).to_have_text("On the air. Everybody hears you.")
    expect(page.locator("#lamp")).to_have_text("On air")
    expect(page.locator("#clock")).to_have_text(re.compile(r"0:0[2-9]|0:[1-9]\d"))

    page.get_by_role("button", name="End the broadcast").click()
    page.get_by_role("button", name="No", exact=True).click()
    assert server.state(space["id"])["state"] == "live", "asked once, and the answer was no"
    page.get_by_role("button", name="End the broadcast").click()
    page.get_by_role("button", name="End it").click()
    expect(page.locator("#words")).to_have_text("It has ended. Listeners find the recording on the same page.")
    eventually(lambda: server.state(space["id"])["state"] == "ended")
    expect(page.locator(".card")).to_contain_text("not here")
    expect(page.locator(".card .ring")).to_have_attribute("style", "--l: 0;")
    expect(page.locator("#count")).to_have_text("")
    assert listening() == 0, "the browser still shows that we listen"


def test_a_question_that_is_closed_is_answered_with_no(
    server: Rostra, space: dict[str, Any], device: Callable[..., BrowserContext]
) -> None:
    """In some browsers a dialog that Escape closes keeps the answer it was given the time before."""
    page = device().new_page()
    go_on_stage(page, space["studio"])
    go_live(page)
    ending = page.get_by_role("button", name="End the broadcast")
    page.evaluate("document.getElementById('sure').returnValue = 'yes'")
    ending.click()
    page.evaluate("document.getElementById('sure').close()")
    ending.click()
    page.get_by_role("dialog").get_by_role("button", name="No").click()
    assert server.run("space", "show", space["id"])["state"] == "live"


def test_a_guest_comes_by_link_is_muted_asked_and_removed(
    space: dict[str, Any], device: Callable[..., BrowserContext]
) -> None:
    host, guest = device().new_page(), device(viewport={"width": 390, "height": 844}).new_page()
    listening = microphones(guest)
    go_on_stage(host, space["studio"])
    host.get_by_text("Invite a speaker").click()
    host.get_by_label("Name, as listeners see it").fill("Benjamin Okri")
    host.get_by_role("button", name="Make a link").click()
    expect(host.locator("#link")).not_to_have_value("")
    go_on_stage(guest, host.input_value("#link"))

    card = host.locator(".card", has_text="Benjamin Okri")
    card.get_by_role("button", name="Mute").click()
    expect(guest.locator("#mute")).to_have_text("Unmute")
    assert guest.evaluate("studio.peer.getSenders()[0].track.enabled") is False
    card.get_by_role("button", name="Ask to unmute").click()
    guest.locator(".alert", has_text="The host asks you to unmute.").get_by_role("button").click()
    expect(card).to_contain_text("can be heard")
    assert guest.evaluate("studio.peer.getSenders()[0].track.enabled") is True

    guest.keyboard.press("m")
    expect(card).to_contain_text("muted")
    card.get_by_role("button", name="Remove").click()
    host.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(host.locator(".card")).to_have_count(1)
    expect(guest.locator("#words")).to_contain_text("opens no seat")
    expect(guest.locator("#lamp")).to_have_text("Studio")
    for gone in ("#next", "#stage", "#onair"):
        expect(guest.locator(gone)).to_be_hidden()
    assert listening() == 0, "the browser still shows that we listen"


def test_a_speaker_is_back_in_the_same_seat_after_the_stage_died(
    own_server: Rostra, device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    space = own_server.run("space", "create", "--title", "Sturdy")
    page = device().new_page()
    go_on_stage(page, space["studio"])
    go_live(page)
    expect(page.locator("#words")).to_have_text("On the air. Everybody hears you.")
    page.evaluate("void (window.first = studio.peer)")
    own_server.kill_role("stage")
    eventually(lambda: page.evaluate("studio.peer !== first && studio.peer?.connectionState === 'connected'"))
    expect(page.locator("#words")).to_have_text("On the air. Everybody hears you.")
    speakers = own_server.state(space["id"])["speakers"]
    assert [(one["seat"], one["on_stage"]) for one in speakers] == [("s1", True)]


def test_a_speaker_is_back_in_the_same_seat_after_the_network_was_away_or_the_page_loaded_anew(
    space: dict[str, Any], device: Callable[..., BrowserContext]
) -> None:
    context = device()
    page = context.new_page()
    go_on_stage(page, space["studio"])
    page.evaluate("studio.peer.close()")  # what a change of network does to a connection
    context.set_offline(True)
    expect(page.locator("#words")).to_have_text(re.compile("We keep trying|We are putting you back"))
    asked = asks_for_a_seat(page)
    context.set_offline(False)
    expect(page.locator("#words")).to_contain_text("Green room")
    page.wait_for_timeout(1000)  # nor does it ask once more
    assert len(asked) == 1, "the first attempt after the network's return is the last"
    page.reload()
    expect(page.locator("#words")).to_contain_text("Green room: the speakers hear each other")
    assert place(page) == "on"


def test_a_network_that_comes_back_in_the_middle_of_an_attempt_does_not_leave_the_speaker_outside(
    space: dict[str, Any], device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    page = device().new_page()
    page.add_init_script(
        """const real = RTCPeerConnection.prototype.setLocalDescription;
        window.returns = 0;
        RTCPeerConnection.prototype.setLocalDescription = function (...rest) {
          const under_way = real.apply(this, rest);
          if (window.returns-- > 0) dispatchEvent(new Event("online"));
          return under_way;
        };"""
    )
    go_on_stage(page, space["studio"])
    asked = asks_for_a_seat(page)
    page.evaluate("(window.returns = 3, studio.peer.close(), dispatchEvent(new Event('online')))")
    eventually(lambda: page.evaluate("returns < 0 && studio.peer?.connectionState === 'connected'"))
    expect(page.locator("#words")).to_contain_text("Green room")
    assert len(asked) == 1


def test_a_connection_that_a_change_of_network_left_dead_is_replaced_before_it_says_so_itself(
    space: dict[str, Any], device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    page = device().new_page()
    page.add_init_script(
        """const real = RTCPeerConnection.prototype.getStats;
        RTCPeerConnection.prototype.getStats = function (...rest) {
          return this === window.dead ? Promise.resolve(new Map()) : real.apply(this, rest);
        };"""
    )
    go_on_stage(page, space["studio"])
    asked = asks_for_a_seat(page)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(2500)
    assert not asked, "one that still brings sound is kept"
    page.evaluate("(window.dead = studio.peer, dispatchEvent(new Event('online')))")
    eventually(lambda: page.evaluate("studio.peer !== dead && studio.peer?.connectionState === 'connected'"))
    expect(page.locator("#words")).to_contain_text("Green room")
    assert len(asked) == 1


def test_an_answer_that_leads_nowhere_costs_seconds_and_not_the_whole_attempt(
    space: dict[str, Any], device: Callable[..., BrowserContext]
) -> None:
    page = device().new_page()
    asked = asks_for_a_seat(page)

    def mislead(route: Route) -> None:
        if len(asked) > 1:
            return route.continue_()
        answer = route.fetch()
        return route.fulfill(response=answer, body=re.sub(r"a=ice-ufrag:\w+", "a=ice-ufrag:none", answer.text()))

    page.route("**/stage", mislead)
    page.add_init_script(
        """const real = window.fetch;
        window.asked = [];
        window.fetch = (address, how) => {
          if (how?.method === "POST" && String(address).endsWith("/stage")) window.asked.push(performance.now());
          return real(address, how);
        };"""
    )
    go_on_stage(page, space["studio"])
    first, second = page.evaluate("window.asked")
    assert 2000 < second - first < 6500


def test_a_failure_in_what_is_shown_does_not_keep_the_speaker_from_his_seat(
    space: dict[str, Any], device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    page = device().new_page()
    page.add_init_script(
        """let breaks = 0;
        window.breakOnce = () => breaks++;
        addEventListener("error", (event) => event.error?.message === "broken" && event.preventDefault());
        Object.defineProperty(document, "title", { set() { if (breaks) throw (breaks--, new Error("broken")); } });"""
    )
    go_on_stage(page, space["studio"])
    page.evaluate(
        """() => {
            window.first = studio.peer;
            breakOnce();
            studio.peer.close();
            dispatchEvent(new Event("online"));
        }"""
    )
    eventually(
        lambda: page.evaluate("studio.peer && studio.peer !== first && studio.peer.connectionState === 'connected'")
    )


def test_a_page_that_loaded_while_the_stage_was_away_learns_of_the_servers_when_it_takes_the_seat(
    space: dict[str, Any], device: Callable[..., BrowserContext]
) -> None:
    page = device().new_page()
    told = [{"urls": "stun:127.0.0.1:9"}]
    answers = [lambda route: route.fulfill(status=503), lambda route: route.fulfill(json={"iceServers": told})]
    page.route("**/stage/ice", lambda route: answers.pop(0)(route))
    go_on_stage(page, space["studio"])
    assert page.evaluate("studio.peer.getConfiguration().iceServers[0].urls").count(told[0]["urls"]) and not answers


def test_a_studio_that_gets_no_answer_asks_again(space: dict[str, Any], device: Callable[..., BrowserContext]) -> None:
    page = device().new_page()
    page.add_init_script(
        "const real = AbortSignal.timeout.bind(AbortSignal); AbortSignal.timeout = (ms) => real(ms / 20);"
    )
    asked: list[Route] = []

    def silent_once(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()

    page.route("**/api/spaces/*/studio", silent_once)
    page.goto(space["studio"].partition("#")[0])
    expect(page.locator("#words")).to_contain_text("The studio opens with your personal link.")


def test_the_same_link_on_another_device_takes_the_seat_and_the_first_page_says_so(
    space: dict[str, Any], device: Callable[..., BrowserContext]
) -> None:
    first, second = device().new_page(), device().new_page()
    go_on_stage(first, space["studio"])
    go_on_stage(second, space["studio"])
    expect(first.locator("#words")).to_contain_text("You are on the stage from another tab or device.")
    second.wait_for_timeout(2000)
    assert (place(first), place(second)) == ("elsewhere", "on"), "they do not fight over it"
    first.get_by_role("button", name="Come back here").click()
    expect(second.locator("#words")).to_contain_text("You are on the stage from another tab or device.")
    assert place(first) == "on"


def test_another_microphone_is_taken_without_leaving_the_seat_and_is_kept_for_the_next_time(
    space: dict[str, Any], device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    page = device().new_page()
    go_on_stage(page, space["studio"])
    eventually(lambda: ring(page, "s1") > 0.2)
    asked = asks_for_a_seat(page)
    page.evaluate("void (window.first = studio.peer)")
    page.locator("#check summary").click()
    picker = page.get_by_label("Microphone", exact=True)
    names = picker.locator("option").all_inner_texts()
    assert len(names) > 1 and len(set(names)) == len(names)
    used = "studio.peer.getSenders()[0].track"
    for name in names[1:]:
        picker.select_option(label=name)
        eventually(lambda name=name: page.evaluate(f"{used}.label") == name)
    # While muted too: the new one is as mute as the old one was, and heard when that is over.
    page.locator("#mute").click()
    eventually(lambda: ring(page, "s1") == 0)
    picker.select_option(label=names[0])
    eventually(lambda: page.evaluate(f"{used}.label") == names[0])
    expect(page.locator("#mute")).to_have_text("Unmute")
    assert page.evaluate(f"{used}.enabled") is False
    picker.select_option(label=names[1])
    eventually(lambda: page.evaluate(f"{used}.label") == names[1])
    page.locator("#mute").click()
    eventually(lambda: ring(page, "s1") > 0.2)
    assert page.evaluate("studio.peer === first") and place(page) == "on" and not asked

    page.reload()
    eventually(lambda: place(page) == "on")
    assert page.evaluate(f"{used}.label") == names[1]
    assert picker.evaluate("(one) => one.selectedOptions[0].label") == names[1]


def test_the_ring_of_who_speaks_moves_and_that_of_who_is_muted_does_not(
    space: dict[str, Any], device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    host, guest = device().new_page(), device().new_page()
    go_on_stage(host, space["studio"])
    host.get_by_text("Invite a speaker").click()
    host.get_by_label("Name, as listeners see it").fill("Benjamin Okri")
    host.get_by_role("button", name="Make a link").click()
    expect(host.locator("#link")).not_to_have_value("")
    go_on_stage(guest, host.input_value("#link"))

    def moves(page: Page, seat: str) -> None:
        seen: set[float] = set()
        eventually(lambda: seen.add(ring(page, seat)) or (len(seen) > 2 and max(seen) > 0.2))

    for page in (host, guest):  # the make-believe microphone beeps
        moves(page, "s1")
        moves(page, "s2")
    guest.locator("#mute").click()
    for page in (host, guest):
        expect(page.locator(".card", has_text="Benjamin Okri")).to_contain_text("muted")
        eventually(lambda page=page: ring(page, "s2") == 0)
    moves(guest, "s1")
    moves(host, "s1")
    assert ring(host, "s2") == ring(guest, "s2") == 0


def test_on_the_air_the_studio_shows_how_long_and_how_many(
    space: dict[str, Any], server: Rostra, device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    page = device().new_page()
    go_on_stage(page, space["studio"])
    expect(page.locator("#onair")).to_be_hidden()
    go_live(page)
    expect(page.locator("#count")).to_have_text("0 listening")
    listening = server.begin("listen", space["page"], "--seconds", "60")
    expect(page.locator("#count")).to_have_text("1 listening")
    before = server.state(space["id"])["elapsed_s"]
    minutes, seconds = map(int, page.inner_text("#clock").split(":"))
    after = server.state(space["id"])["elapsed_s"]
    assert before - 2 < 60 * minutes + seconds < after + 2
    listening.interrupt()
    listening.result()
    expect(page.locator("#count")).to_have_text("0 listening")
    assert page.inner_text("#clock") != f"{minutes}:{seconds:02}"


def test_the_link_for_listeners_is_copied_and_the_button_says_so_each_time(
    space: dict[str, Any], device: Callable[..., BrowserContext]
) -> None:
    page = device().new_page()
    page.clock.install()
    page.goto(space["studio"])
    button = page.locator("#share")
    for _ in range(2):  # once more before it says again what it does
        button.click()
        expect(button).to_have_text("Copied")
        page.clock.run_for(2500)
    assert page.evaluate("navigator.clipboard.readText()") == space["page"]
    page.clock.run_for(10_000)
    expect(button).to_have_text("Copy the link for listeners")


def test_a_link_that_opens_nothing_says_what_to_do(
    space: dict[str, Any], device: Callable[..., BrowserContext]
) -> None:
    page = device().new_page()
    page.goto(space["studio"].partition("#")[0] + "#key=nonsense")
    expect(page.locator("#words")).to_contain_text("Ask for a new link")
    page.goto(space["studio"].partition("#")[0])
    page.reload()
    expect(page.locator("#words")).to_contain_text("The studio opens with your personal link.")


def test_a_new_link_opened_in_the_tab_of_the_old_one_is_taken(
    own_server: Rostra, device: Callable[..., BrowserContext]
) -> None:
    """Only what stands behind the # differs, so the browser does not load the page again by itself."""
    space = own_server.run("space", "create", "--title", "Rivers")
    page = device().new_page()
    page.goto(space["studio"].partition("#")[0] + "#key=nonsense")
    expect(page.locator("#words")).to_contain_text("Ask for a new link")
    page.evaluate("(link) => (location.href = link)", space["studio"])
    expect(page.locator("h1")).to_have_text("Rivers")
    expect(page.locator("#list")).to_be_visible()

    page.goto(own_server.door + "/sign-in#token=nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#words")).to_contain_text("not one of ours")
    page.evaluate("(link) => (location.href = link)", own_server.greeting["sign_in"])
    expect(page.locator("#words")).to_have_text("This link works once. Press to sign in on this device.")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#me")).to_have_text("Operator")


def test_long_words_stay_on_a_phones_screen_and_another_day_is_named_as_one(
    own_server: Rostra, device: Callable[..., BrowserContext]
) -> None:
    def fits(page: Page) -> bool:
        return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    page = device(viewport={"width": 360, "height": 740}).new_page()
    page.goto(own_server.greeting["sign_in"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Title").fill("W" * 140)
    page.get_by_label(re.compile("^Starts")).fill("2040-07-01T20:00")
    page.get_by_role("button", name="Schedule it").click()
    expect(page.locator("#words")).to_contain_text("is scheduled")
    assert fits(page)
    page.get_by_role("button", name="Cancel").click()
    assert fits(page)
    page.get_by_role("dialog").get_by_role("button", name="No").click()
    page.get_by_role("link", name="Studio").click()
    expect(page.locator("#words")).to_contain_text("It starts on Sunday")
    page.get_by_text("Start later").click()
    page.get_by_label("What listeners are told").fill("W" * 200)
    page.get_by_role("button", name="Tell everybody").click()
    expect(page.locator("#lamp")).to_have_text("Starting late")
    assert fits(page)
    page.goto(page.url.replace("/studio/", "/s/"))
    expect(page.locator("#words")).to_contain_text("WWW")
    assert fits(page)


def test_a_delay_reaches_the_listeners_with_its_reason(
    server: Rostra, device: Callable[..., BrowserContext], eventually: Callable[..., Any]
) -> None:
    space = server.run("space", "create", "--title", "Late", "--starts", "2040-01-01T19:00:00Z")
    page = device().new_page()
    page.goto(space["studio"])
    page.get_by_text("Start later").click()
    page.get_by_label("By how much").select_option("20")
    page.get_by_label("What listeners are told").fill("a late train")
    page.get_by_role("button", name="Tell everybody").click()
    expect(page.locator("#lamp")).to_have_text("Starting late")
    eventually(lambda: server.state(space["id"])["state"] == "delayed")
    state = server.state(space["id"])
    assert (state["state"], state["starts"], state["reason"]) == ("delayed", "2040-01-01T19:20:00.000Z", "a late train")


def test_the_operator_signs_in_schedules_invites_and_the_host_enters_his_studio(
    own_server: Rostra, device: Callable[..., BrowserContext]
) -> None:
    page = device().new_page()
    page.goto(own_server.greeting["sign_in"])
    assert "#" not in page.url
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#roles b.yes")).to_have_count(len(own_server.pids()))

    page.get_by_label("Title").fill("The night sky")
    page.get_by_label(re.compile("^Starts")).fill("2040-07-01T20:00")
    expect(page.locator("#startsaid")).to_have_text("That is Sun, 01 Jul 2040 18:00 UTC.")
    page.get_by_role("button", name="Schedule it").click()
    expect(page.locator("#spaces li")).to_have_count(1)

    page.get_by_label("Invite somebody who hosts").fill("Chiara")
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator("#link")).not_to_have_value("")
    host = device(viewport={"width": 390, "height": 844}).new_page()
    host.goto(page.input_value("#link"))
    host.get_by_label("Your name").fill("Chiara de la Torre")
    host.get_by_role("button", name="Come in").click()
    host.get_by_label("Title").fill("My own")
    host.get_by_role("button", name="Schedule it").click()
    expect(host.locator("#spaces li")).to_have_count(1)
    assert host.locator("#all").is_hidden()
    host.get_by_role("link", name="Studio: My own").click()
    expect(host.locator("h1")).to_have_text("My own")
    expect(host.locator(".card")).to_contain_text("Chiara de la Torre")

    host.goto(own_server.greeting["sign_in"])
    host.get_by_role("button", name="Sign in").click()
    expect(host.locator("#words")).not_to_have_text("This link works once. Press to sign in on this device.")
    assert host.url.endswith("/sign-in"), "the operator's link was used up"


def test_the_operator_sees_every_process_which_one_is_away_and_the_settings_in_force(
    tmp_path: Path, device: Callable[..., BrowserContext]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rostra.toml").write_text('edges = 2\nrehearsal_key = "a key that nobody shall read"\n')
    with Rostra(tmp_path / "data", free_ports()) as server:
        page = device().new_page()
        page.goto(server.greeting["sign_in"])
        page.get_by_role("button", name="Sign in").click()
        names = ["Door", "Edge", "Edge 2", "Stage", "Radio", "Control"]
        expect(page.locator("#roles b")).to_have_text(names)
        expect(page.locator("#roles b.yes")).to_have_text(names)

        server.kill_role("edge-2", signal.SIGSTOP)
        expect(page.locator("#roles b.care")).to_have_text(["Edge 2"], timeout=15_000)
        expect(page.locator("#roles li", has_text="Edge 2")).to_contain_text("does not answer")
        server.kill_role("edge-2", signal.SIGCONT)
        expect(page.locator("#roles b.yes")).to_have_text(names, timeout=15_000)

        server.kill_role("control", signal.SIGSTOP)  # which would have told of the others
        expect(page.locator("#roles b")).to_have_text(["Control"], timeout=15_000)
        expect(page.locator("#roles b")).to_have_class("care")
        server.kill_role("control", signal.SIGCONT)
        expect(page.locator("#roles b.yes")).to_have_text(names, timeout=15_000)

        rows = page.locator("#settings tr")
        expect(rows.filter(has=page.locator("code", has_text=re.compile("^edges$")))).to_contain_text("2changed")
        expect(rows.filter(has_text="rehearsal_key")).to_contain_text("set, not shown here")
        expect(rows.filter(has_text="turn_password")).to_contain_text("not set")
        expect(rows.filter(has_text="sound_url")).to_contain_text(server.sound)
        assert "nobody shall read" not in page.content()
