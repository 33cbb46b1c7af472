"""A real Chromium whose webcam plays a clip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.support.live_server import LiveServer, running_server

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FAKE_WEBCAM = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if Path(CHROMIUM).exists() or os.environ.get("CI"):
        return
    skip = pytest.mark.skip(reason="browser tests did not run: install Chromium")
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(skip)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    # Playwright's loop runs in this thread. Django's guard takes it for asynchronous code, and
    # the asynchronous tests of other modules could not start theirs.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        yield playwright
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def browser_with_webcam(playwright: Playwright) -> Iterator[Callable[[Path], Browser]]:
    """Start Chromium with a .mjpeg file as its webcam, played in a loop."""
    browsers = []

    def start(clip: Path) -> Browser:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*QUIET, *FAKE_WEBCAM, f"--use-file-for-fake-video-capture={clip}"],
        )
        browsers.append(browser)
        return browser

    yield start
    for browser in browsers:
        browser.close()


@pytest.fixture
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium without any camera."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
    yield browser
    browser.close()


@pytest.fixture
def server(transactional_db: None) -> Iterator[LiveServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def complaints() -> Callable[[Page], list[str]]:
    """Collect what a page says on its console as an error, CSP violations among it."""

    def listen(page: Page) -> list[str]:
        heard: list[str] = []
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on(
            "console",
            lambda message: heard.append(message.text) if message.type == "error" else None,
        )
        return heard

    return listen
