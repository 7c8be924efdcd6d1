"""Every page in every state, by day and by night, as a person with a screen reader or weak eyes meets it: judged by axe-core."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from npm import needs_npm, npm_file
from people import FLAGS, MICROPHONE, go_live, go_on_stage
from playwright.sync_api import Browser, Page, expect, sync_playwright
from rostra_process import Rostra

pytestmark = [
    pytest.mark.timeout(180), pytest.mark.may_block("the driver's loop stands while the test itself works"), needs_npm,
]  # fmt: skip
VOICE = Path(__file__).parents[2] / "tools" / "voices" / "ada.opus"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS, *MICROPHONE])
        yield running
        running.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Its content security policy is set aside, so that the judge gets in."""
    context = chromium.new_context(bypass_csp=True, permissions=["microphone"], reduced_motion="reduce")
    yield context.new_page()
    context.close()


def is_for_everyone(page: Page, what: str) -> None:
    """Judges the page as it stands, light and dark, wide and narrow."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=str(npm_file("axe-core", "axe.min.js")))
    for scheme, width in (("light", 1280), ("dark", 360)):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(50)  # a frame in which the colours change
        wrong = page.evaluate(
            """async (rules) => (await axe.run(document, { runOnly: rules, resultTypes: ["violations"] })).violations.map(
                ({ id, nodes }) => [id, nodes.map((one) => one.html.slice(0, 160) + " " + one.failureSummary)])""",
            RULES,
        )
        assert wrong == [], (what, scheme, wrong)


def unfold(page: Page) -> None:
    """Opens what is folded and can be seen now: a page that goes on may show one more in the middle of this."""
    for fold in page.locator("summary:visible").element_handles():
        fold.click()


def test_the_judge_finds_what_is_wrong(server: Rostra, page: Page) -> None:
    page.goto(server.door + "/sign-in")
    page.evaluate("document.querySelector('h1').style.color = '#ccc'; document.querySelector('h1').hidden = false")
    with pytest.raises(AssertionError, match="color-contrast"):
        is_for_everyone(page, "a pale title")


def test_the_home_page_the_way_in_and_the_page_that_is_not_there(server: Rostra, page: Page) -> None:
    server.run("space", "create", "--title", "On the list")
    for path in ("/", "/sign-in", "/operator", "/s/zzzzzzzzzz", "/nowhere"):
        page.goto(server.door + path)
        page.locator("h1").first.wait_for()
        is_for_everyone(page, path)


def test_a_space_before_its_start_delayed_and_cancelled(server: Rostra, page: Page) -> None:
    space = server.run("space", "create", "--title", "Rivers", "--starts", "2040-01-01T19:00:00Z", "--host-name", "Ada")
    page.goto(space["page"])
    expect(page.locator("#countdown")).to_be_visible()
    is_for_everyone(page, "scheduled")
    server.run("space", "delay", space["id"], "--minutes", "20", "--reason", "a late train")
    page.reload()
    expect(page.locator("#lamp")).to_have_text("Starting late")
    is_for_everyone(page, "delayed")
    server.run("space", "end", space["id"])
    page.reload()
    expect(page.locator("#lamp")).to_have_attribute("data-state", "cancelled")
    is_for_everyone(page, "cancelled")


def test_a_space_open_live_in_a_break_and_ended(server: Rostra, page: Page, eventually: Callable[..., Any]) -> None:
    space = server.run("space", "create", "--title", "Rivers", "--host-name", "Ada")
    server.run("space", "open", space["id"])
    page.goto(space["page"])
    expect(page.locator("#lamp")).to_have_attribute("data-state", "open")
    is_for_everyone(page, "open")
    speaking = server.begin("speak", space["whip"], "--token", space["token"], "--file", str(VOICE), "--loop")
    eventually(lambda: server.state(space["id"])["state"] == "live")
    page.reload()
    eventually(lambda: page.evaluate("Boolean(window.rostra && rostra.position() > 0)"))
    unfold(page)
    is_for_everyone(page, "live")
    page.keyboard.press("k")
    is_for_everyone(page, "paused")
    speaking.interrupt()
    speaking.result()
    eventually(lambda: server.state(space["id"])["state"] == "break")
    page.reload()
    expect(page.locator("#lamp")).to_have_attribute("data-state", "break")
    is_for_everyone(page, "break")
    server.run("space", "end", space["id"])
    page.reload()
    expect(page.locator("#turns")).to_be_visible()
    unfold(page)
    is_for_everyone(page, "ended")


def test_the_studio_from_the_link_to_the_end(server: Rostra, page: Page, chromium: Browser) -> None:
    space = server.run("space", "create", "--title", "Rivers", "--host-name", "Ada")
    page.goto(space["studio"].partition("#")[0])
    expect(page.locator("#signin")).to_be_visible()
    is_for_everyone(page, "studio without a link")
    page.goto("about:blank")
    page.goto(space["studio"])
    expect(page.locator("#check")).to_be_visible()
    page.get_by_text("Start later").click()
    is_for_everyone(page, "studio before the microphone")
    go_on_stage(page, space["studio"])
    is_for_everyone(page, "green room")
    page.get_by_text("Invite a speaker").click()
    page.get_by_label("Name, as listeners see it").fill("Ben")
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator("#link")).not_to_have_value("")
    other = chromium.new_context(bypass_csp=True, permissions=["microphone"])
    guest = other.new_page()
    go_on_stage(guest, page.input_value("#link"))
    go_live(page)
    page.locator(".card", has_text="Ben").get_by_role("button", name="Mute").click()
    page.locator(".card", has_text="Ben").get_by_role("button", name="Ask to unmute").click()
    expect(guest.locator(".alert")).to_be_visible()
    is_for_everyone(guest, "a guest who is asked to unmute")
    is_for_everyone(page, "studio on the air")
    page.get_by_role("button", name="End the broadcast").click()
    expect(page.locator("dialog[open]")).to_be_visible()
    is_for_everyone(page, "are you sure")
    page.get_by_role("button", name="End it").click()
    expect(page.locator("#words")).to_contain_text("It has ended.")
    is_for_everyone(page, "studio after the end")
    other.close()


def test_the_office(own_server: Rostra, page: Page) -> None:
    page.goto(own_server.greeting["sign_in"])
    is_for_everyone(page, "sign-in with a link")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#none")).to_be_visible()
    expect(page.locator("#settings tr").first).to_be_visible()
    is_for_everyone(page, "an empty office")
    page.get_by_label("Title").fill("The night sky")
    page.get_by_role("button", name="Schedule it").click()
    expect(page.locator("#spaces li")).to_have_count(1)
    page.get_by_label("Invite somebody who hosts").fill("Chiara")
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator("#link")).not_to_have_value("")
    is_for_everyone(page, "a busy office")
