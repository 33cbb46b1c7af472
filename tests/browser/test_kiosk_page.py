"""The kiosk page in a real browser, before a webcam that shows a blinking portrait."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from checkin.kiosks.pairing import as_shown, new_pairing_code
from checkin.models import Attendance, Kiosk
from checkin.services import revoke_kiosk
from recognition.engine.types import Embedding
from roster.models import ClassSession, Student
from tests.support.live_server import LiveServer, running_server
from tests.support.pages import noted, width_of
from tests.support.school import a_template

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
CHECK_IN_MS = 60_000  # a blink of the clip may fall between two frames of a busy machine

Complaints = Callable[[Page], list[str]]


@pytest.fixture
def enrolled(eileen: Student, astronaut_embedding: Embedding) -> Student:
    a_template(eileen, astronaut_embedding)
    return eileen


def open_kiosk(browser: Browser, server: LiveServer, token: str, viewport: dict[str, int]) -> Page:
    page = browser.new_context(viewport=viewport).new_page()  # type: ignore[arg-type]
    page.goto(f"{server.url}/kiosk/#{token}")
    return page


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_person_before_the_webcam_blinks_and_sees_their_name(
    server: LiveServer,
    browser_with_webcam: Callable[[Path], Browser],
    webcam_clip: Path,
    token: str,
    math_session: ClassSession,
    enrolled: Student,
    viewport: dict[str, int],
    complaints: Complaints,
) -> None:
    page = browser_with_webcam(webcam_clip).new_context(viewport=viewport).new_page()  # type: ignore[arg-type]
    heard = complaints(page)
    said = noted(page, '[data-slot="message"]')
    page.goto(f"{server.url}/kiosk/#{token}")

    verdict = page.locator('[data-slot="verdict"]')
    expect(verdict).to_contain_text("Eileen Collins", timeout=CHECK_IN_MS)
    expect(verdict).to_contain_text("Present")
    assert "Blink once" in said()
    attendance = Attendance.objects.get(session=math_session)
    assert (attendance.student, attendance.status) == (enrolled, "present")
    assert token not in page.url
    assert heard == []
    expect(page.locator('[data-slot="sessions"]')).to_contain_text("1 of 1 present")
    # The same person stays: after a while they are told that they are recorded already.
    expect(verdict).to_contain_text("Already recorded", timeout=CHECK_IN_MS)
    assert Attendance.objects.count() == 1


def test_without_a_session_the_screen_says_so_and_wakes_up_when_one_opens(
    server: LiveServer,
    browser_with_webcam: Callable[[Path], Browser],
    webcam_clip: Path,
    token: str,
    math_session: ClassSession,
    enrolled: Student,
) -> None:
    ClassSession.objects.update(closed_at=math_session.starts_at)
    page = open_kiosk(browser_with_webcam(webcam_clip), server, token, DESKTOP)

    expect(page.locator('[data-screen="idle"]')).to_be_visible()
    expect(page.locator('[data-screen="idle"]')).to_contain_text("No session is open")
    ClassSession.objects.update(closed_at=None)
    expect(page.locator('[data-slot="verdict"]')).to_contain_text(
        "Eileen Collins", timeout=CHECK_IN_MS
    )


def test_an_unpaired_device_asks_for_the_code_and_explains_a_wrong_one(
    server: LiveServer, browser: Browser, kiosk: Kiosk
) -> None:
    code = as_shown(new_pairing_code(kiosk, at=timezone.now()))
    page = browser.new_page()
    page.goto(f"{server.url}/kiosk/pair/")
    form = page.locator('[data-screen="pairing"]')

    expect(form).to_be_visible()
    page.fill("#pairing-code", "wrong")
    page.keyboard.press("Enter")
    expect(form).to_contain_text("This code opens nothing")
    page.fill("#pairing-code", code.lower())
    page.keyboard.press("Enter")
    expect(form).to_be_hidden()
    assert page.context.cookies()[0]["httpOnly"]
    page.reload()
    expect(form).to_be_hidden()


def test_a_scanned_code_pairs_by_itself_and_leaves_the_address(
    server: LiveServer, browser: Browser, kiosk: Kiosk
) -> None:
    code = new_pairing_code(kiosk, at=timezone.now())
    page = browser.new_page()
    page.goto(f"{server.url}/kiosk/pair/#{code}")

    expect(page.locator('[data-slot="link"]')).to_contain_text("Connected")
    assert code not in page.url


def test_without_a_camera_the_screen_says_what_to_do(
    server: LiveServer, browser: Browser, token: str, math_session: ClassSession
) -> None:
    page = open_kiosk(browser, server, token, PHONE)

    expect(page.locator('[data-screen="camera"]')).to_be_visible(timeout=CHECK_IN_MS)
    expect(page.locator('[data-slot="problem-title"]')).not_to_be_empty()


def test_a_revoked_kiosk_goes_back_to_the_pairing_form(
    server: LiveServer, browser: Browser, token: str, kiosk: Kiosk
) -> None:
    page = open_kiosk(browser, server, token, DESKTOP)
    expect(page.locator('[data-slot="link"]')).to_contain_text("Connected")

    revoke_kiosk(kiosk)

    expect(page.locator('[data-screen="pairing"]')).to_be_visible(timeout=10_000)
    expect(page.locator('[data-screen="pairing"]')).to_contain_text("revoked")


def test_the_older_of_two_screens_steps_back_and_can_return(
    server: LiveServer, browser: Browser, token: str
) -> None:
    first = open_kiosk(browser, server, token, DESKTOP)
    expect(first.locator('[data-slot="link"]')).to_contain_text("Connected")
    second = open_kiosk(browser, server, token, DESKTOP)

    expect(first.locator('[data-screen="replaced"]')).to_be_visible()
    first.click('[data-action="use-this-screen"]')
    expect(second.locator('[data-screen="replaced"]')).to_be_visible()
    expect(first.locator('[data-slot="link"]')).to_contain_text("Connected")


@pytest.mark.django_db(transaction=True)
def test_the_page_says_at_once_that_the_server_is_gone_and_comes_back_by_itself(
    browser: Browser, token: str, math_session: ClassSession
) -> None:
    with running_server() as server:
        page = open_kiosk(browser, server, token, DESKTOP)
        link = page.locator('[data-slot="link"]')
        expect(link).to_contain_text("Connected")
        expect(page.locator('[data-slot="sessions"]')).to_contain_text("Linear Algebra")

    expect(link).to_contain_text("Reconnecting")
    expect(page.locator('[data-slot="sessions"]')).to_be_hidden()
    with running_server(server.port):
        expect(link).to_contain_text("Connected", timeout=CHECK_IN_MS)


PAGES = (
    "/",
    "/kiosk/",
    "/admin/login/",
    "/no-such-page",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/password/reset/key/1-abc-def/",
    "/accounts/confirm-email/",
    "/accounts/confirm-email/no-such-key/",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_breaks_its_own_content_security_policy_or_is_wider_than_a_phone(
    server: LiveServer, browser: Browser, scheme: str, complaints: Complaints
) -> None:
    page = browser.new_context(viewport=PHONE, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    heard = complaints(page)
    for path in PAGES:
        page.goto(server.url + path)
        expect(page.locator("body")).to_be_visible()
        assert [text for text in heard if not re.search(r"status of 404", text)] == [], path
        assert width_of(page) <= PHONE["width"], path
