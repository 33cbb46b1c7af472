"""The line between a camera and the server breaks, stalls and comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from checkin.models import Attendance
from recognition.engine.types import Embedding
from roster.models import ClassSession, Student
from tests.support.cuttable_line import CuttableLine, cuttable_line
from tests.support.live_server import LiveServer
from tests.support.school import a_template
from tests.support.waiting import until

CHECK_IN_MS = 60_000

#: Notes when which sentence came up, and every verdict that was in sight, on the page's own clock.
_NOTES = """
window.notes = [];
new MutationObserver(() => {
    const said = document.querySelector('[data-slot="message"]')?.textContent;
    const sheet = document.querySelector('.verdict-sheet');
    const shown = sheet && !sheet.hidden ? sheet.dataset.tone : "";
    const last = window.notes.at(-1);
    if (last?.said === said && last?.shown === shown) return;
    window.notes.push({ said, shown, at: performance.now() });
}).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
"""
_TRACK = "document.querySelector('video').srcObject?.getVideoTracks()[0]"


@pytest.fixture
def line(server: LiveServer) -> Iterator[CuttableLine]:
    with cuttable_line(server.port) as line:
        yield line


@pytest.fixture
def enrolled(eileen: Student, astronaut_embedding: Embedding) -> Student:
    a_template(eileen, astronaut_embedding)
    return eileen


@pytest.fixture
def kiosk_page(
    browser_with_webcam: Callable[[Path], Browser],
    webcam_clip: Path,
    line: CuttableLine,
    token: str,
) -> Page:
    page = browser_with_webcam(webcam_clip).new_page()
    page.add_init_script(_NOTES)
    page.goto(f"{line.url}/kiosk/#{token}")
    expect(page.locator('[data-slot="link"]')).to_contain_text("Connected")
    page.wait_for_function(f"{_TRACK}?.readyState === 'live'", timeout=CHECK_IN_MS)
    return page


def message(page: Page):
    return page.locator('[data-slot="message"]')


def how_long_until(page: Page, sentence: str, since: float) -> float:
    """In milliseconds on the page's own clock."""
    said = page.evaluate(
        "([text, since]) => window.notes.find(n => n.said === text && n.at >= since)?.at",
        [sentence, since],
    )
    return float(said) - since


@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_a_kiosk_says_within_five_seconds_that_the_line_is_gone(
    kiosk_page: Page, line: CuttableLine, math_session: ClassSession, how: str
) -> None:
    """Nobody is enrolled here: what is looked at is the line alone."""
    page = kiosk_page
    page.evaluate(f"window.track = {_TRACK}")
    since = page.evaluate("performance.now()")
    getattr(line, how)()

    expect(message(page)).to_have_text("No connection")
    assert how_long_until(page, "No connection", since) < 5000
    expect(message(page)).to_have_text("Show your pass to the lecturer")
    expect(page.locator('[data-slot="sessions"]')).to_be_hidden()

    line.mend()
    expect(page.locator('[data-slot="link"]')).to_contain_text("Connected", timeout=CHECK_IN_MS)
    expect(page.locator('[data-slot="sessions"]')).to_contain_text("Linear Algebra")
    expect(message(page)).not_to_have_text("Show your pass to the lecturer")
    # The camera was open all the time: nobody waits for it, and no browser asks again.
    assert page.evaluate(f"window.track === {_TRACK} && window.track.readyState === 'live'")


def test_nothing_is_green_that_did_not_come_through(
    enrolled: Student, kiosk_page: Page, line: CuttableLine, math_session: ClassSession
) -> None:
    """The server has recorded the arrival; its verdict is lost on the way."""
    page = kiosk_page
    line.freeze_at(b'"outcome": "present"')
    until(lambda: line.frozen)
    assert Attendance.objects.get(session=math_session).student == enrolled
    expect(message(page)).to_have_text("No connection")
    expect(message(page)).to_have_text("Show your pass to the lecturer")
    assert "good" not in page.evaluate("window.notes.map(n => n.shown)")

    line.mend()
    verdict = page.locator('[data-slot="verdict"]')
    expect(verdict).to_contain_text("Already recorded", timeout=CHECK_IN_MS)
    assert "good" not in page.evaluate("window.notes.map(n => n.shown)")
    assert Attendance.objects.count() == 1


def test_a_browser_that_knows_it_is_offline_says_so_at_once_and_returns_at_once(
    kiosk_page: Page, math_session: ClassSession
) -> None:
    page = kiosk_page
    page.context.set_offline(True)
    expect(message(page)).to_have_text("No connection")
    page.context.set_offline(False)
    expect(page.locator('[data-slot="link"]')).to_contain_text("Connected")
