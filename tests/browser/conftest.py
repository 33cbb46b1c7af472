"""A real Chromium whose webcam plays a clip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from checkin.virtual_kiosk import as_jpeg
from recognition.engine.synthesis import blinking_clip
from recognition.engine.types import Face
from tests.support import pictures
from tests.support.evidence import evidence_of
from tests.support.letterbox import Letterbox, mail_server
from tests.support.live_server import FORGET, LiveServer, free_port, running_server

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
# A busy machine takes its time to start a server, a browser and the models.
expect.set_options(timeout=15_000)
BROWSERS = pytest.StashKey[list[Browser]]()
FAKE_WEBCAM = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if "browser" in item.path.parts]
    skip = pytest.mark.skip(reason="browser tests did not run: install Chromium")
    for item in here:
        # Server, browser and camera on a busy machine: what fails three times is broken.
        item.add_marker(pytest.mark.flaky(reruns=2))
        if not Path(CHROMIUM).exists() and not os.environ.get("CI"):
            item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with a failure what its pages showed, while they are still open."""
    report = yield
    browsers = item.stash.get(BROWSERS, [])
    if report.when == "call" and report.failed and browsers:
        report.sections.append(("open pages", evidence_of(browsers)))
    return report


@pytest.fixture
def browsers(request: pytest.FixtureRequest) -> list[Browser]:
    """Those that this attempt at the test started or was given."""
    browsers: list[Browser] = []
    request.node.stash[BROWSERS] = browsers
    return browsers


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    # Playwright's loop runs in this thread. Django's guard takes it for asynchronous code, and
    # the asynchronous tests of other modules could not start theirs.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        yield playwright
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def browser_with_webcam(
    playwright: Playwright, browsers: list[Browser]
) -> Iterator[Callable[[Path], Browser]]:
    """Start Chromium with a .mjpeg file as its webcam, played in a loop."""
    started = []

    def start(clip: Path) -> Browser:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*QUIET, *FAKE_WEBCAM, f"--use-file-for-fake-video-capture={clip}"],
        )
        started.append(browser)
        browsers.append(browser)
        return browser

    yield start
    for browser in started:
        browser.close()


@pytest.fixture(scope="session")
def webcam_clip(astronaut_face: Face, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = blinking_clip(
        pictures.astronaut(),
        landmarks=astronaut_face.landmarks,
        fps=15,
        # Longer than a check-in: within one, a camera never shows the same picture again.
        seconds=20,
        blinks_at=range(1, 20, 2),
    )
    clip = tmp_path_factory.mktemp("webcam") / "blinking.mjpeg"
    clip.write_bytes(b"".join(as_jpeg(frame) for frame in frames))
    return clip


class Chromium:
    """One process for the tests of a module, until one of them fails."""

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self.browser = self._start()

    def start_afresh(self) -> None:
        self.browser.close()
        self.browser = self._start()

    def _start(self) -> Browser:
        return self._playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Chromium]:
    chromium = Chromium(playwright)
    yield chromium
    chromium.browser.close()


@pytest.fixture
def browser(
    chromium: Chromium, browsers: list[Browser], request: pytest.FixtureRequest
) -> Iterator[Browser]:
    """Chromium without any camera; what a test opens in it is closed after it."""
    if getattr(request.node, "execution_count", 1) > 1:
        chromium.start_afresh()  # whatever the failed attempt left in the process
    browsers.append(chromium.browser)
    yield chromium.browser
    for context in chromium.browser.contexts:
        context.close()


class ServerWithMail:
    """One process for the tests of a module, until one of them fails, and where its mails arrive.

    It sees the rows that each test makes; numbers of rows do not come again.
    """

    def __init__(self) -> None:
        self._running = ExitStack()
        self._start()

    def start_afresh(self) -> None:
        self.end()
        self._start()

    def end(self) -> None:
        self._running.close()

    def forget(self) -> None:
        urlopen(self.server.url + FORGET, timeout=60)  # noqa: S310 -- our own address

    def _start(self) -> None:
        port = free_port()
        self.letterbox = self._running.enter_context(mail_server(port))
        self.server = self._running.enter_context(
            running_server(
                application="tests.support.forgetful_site", EMAIL_URL=f"smtp://127.0.0.1:{port}"
            )
        )


@pytest.fixture(scope="module")
def server_with_mail(django_db_setup: None) -> Iterator[ServerWithMail]:
    running = ServerWithMail()
    yield running
    running.end()


@pytest.fixture
def server(
    server_with_mail: ServerWithMail, transactional_db: None, request: pytest.FixtureRequest
) -> LiveServer:
    if getattr(request.node, "execution_count", 1) > 1:
        server_with_mail.start_afresh()
    else:
        server_with_mail.forget()
    return server_with_mail.server


@pytest.fixture
def letterbox(server: LiveServer, server_with_mail: ServerWithMail, settings: Any) -> Letterbox:
    """Where the server's mails arrive, and those that this process puts into its queue."""
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    server_with_mail.letterbox.mails.clear()
    return server_with_mail.letterbox


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
