"""People at real browsers: a speaker whose microphone is a sound file, and listeners. Driven by what the pages say."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heard import TAPS
from npm import npm_file
from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--disable-renderer-backgrounding", "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
]  # fmt: skip
MICROPHONE = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
PATIENCE_S = 30
"""A machine torn between much else may take so long for what takes a second. What a page then says does not depend on it."""
expect.set_options(timeout=PATIENCE_S * 1000)
SPEECH = (
    "Good evening everybody, and welcome. Tonight we open on time. She sells sea shells by the sea shore, "
    "and six slick swans swam swiftly south. What was said here can be heard again by anyone."
)


def make_speech(path: Path, text: str = SPEECH, voice: str = "en-gb") -> Path:
    """Real speech, 48 kHz mono at -6 dBFS peak, with a second of quiet before it."""
    raw = path.with_suffix(".raw.wav")
    subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(raw), text], check=True, capture_output=True)
    subprocess.run(
        ["sox", str(raw), "-r", "48000", "-c", "1", "-b", "16", str(path), "norm", "-6", "pad", "1", "1"], check=True
    )
    raw.unlink()
    return path


@contextmanager
def browsers() -> Iterator[Callable[..., Browser]]:
    """Gives a way to start a Chromium: `start(microphone)`, where its only microphone plays that file over and over."""
    with sync_playwright() as playwright:
        started: list[Browser] = []

        def start(microphone: Path | None = None) -> Browser:
            flags = list(FLAGS)
            if microphone:
                flags += [*MICROPHONE, f"--use-file-for-fake-audio-capture={microphone}"]
            started.append(playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags))
            return started[-1]

        try:
            yield start
        finally:
            for one in started:
                one.close()


def tapped_page(chromium: Browser, **options: Any) -> Page:
    page = chromium.new_context(**options).new_page()
    page.add_init_script(TAPS)
    return page


def go_on_stage(page: Page, studio_url: str, *, processed: bool = True) -> None:
    """From the personal link to the stage. `processed`: switch the browser's own sound processing off."""
    page.goto(studio_url)
    page.get_by_role("button", name="Use my microphone").click()
    if processed:
        page.get_by_role("switch").check(force=True)
    opening = page.get_by_role("button", name="Open the green room")
    joining = page.get_by_role("button", name="Go to the stage")
    opening.or_(joining).first.wait_for()
    if opening.is_visible():
        opening.click()
    joining.click()
    page.get_by_role("button", name="Leave the stage").wait_for()


def go_live(page: Page) -> None:
    page.get_by_role("button", name="Go live").click()


def hls_js(page: Page, playlist_url: str) -> None:
    """Play a playlist in this page with hls.js, in its low-latency mode, as web sites do. The page may not forbid scripts."""
    page.goto(playlist_url.rsplit("/s/", 1)[0] + "/healthz")
    page.add_script_tag(path=str(npm_file("hls.js", "dist/hls.min.js")))
    page.evaluate(
        """(url) => new Promise((done, failed) => {
            const hls = (window.hls = new Hls({ lowLatencyMode: true }));
            window.wrong = [];
            hls.on(Hls.Events.ERROR, (_, data) => window.wrong.push(`${data.details}${data.fatal ? " (fatal)" : ""}`));
            const audio = document.body.appendChild(document.createElement("audio"));
            audio.addEventListener("playing", () => done(), { once: true });
            hls.loadSource(url);
            hls.attachMedia(audio);
            audio.play();
            setTimeout(() => failed(new Error("hls.js did not play: " + window.wrong)), 20000);
        })""",
        playlist_url,
    )
