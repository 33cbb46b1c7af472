"""The student's own camera, and the look-up at the kiosk, in a real browser."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from checkin.language import KIOSK_COOKIE
from checkin.models import Attendance
from checkin.passes.models import EntryPass
from checkin.passes.services import ONE_TIME_PREFIX
from recognition.engine.types import Embedding
from roster.models import ClassSession, Course, Student
from tests.support.live_server import LiveServer
from tests.support.pages import noted
from tests.support.school import a_template, an_account_of, an_attendance, logged_in_cookie
from tests.support.shown_pass import jpeg_with

PHONE = {"width": 390, "height": 844}
CHECK_IN_MS = 60_000  # a blink of the clip may fall between two frames of a busy machine
ONE_TIME = ONE_TIME_PREFIX + "A" * 32

Complaints = Callable[[Page], list[str]]


@pytest.fixture
def as_eileen(
    server: LiveServer, math: Course, eileen: Student, astronaut_embedding: Embedding
) -> Callable[[Browser], Page]:
    """Eileen's telephone: she is logged in, and her course takes it."""
    math.own_device = True
    math.save()
    a_template(eileen, astronaut_embedding)
    cookie = logged_in_cookie(an_account_of(eileen))

    def page_of(browser: Browser) -> Page:
        context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": server.url}]
        )
        return context.new_page()

    return page_of


def test_a_student_checks_in_on_the_own_telephone(
    server: LiveServer,
    browser_with_webcam: Callable[[Path], Browser],
    webcam_clip: Path,
    as_eileen: Callable[[Browser], Page],
    math_session: ClassSession,
    eileen: Student,
    complaints: Complaints,
) -> None:
    page = as_eileen(browser_with_webcam(webcam_clip))
    heard = complaints(page)
    said = noted(page, '[data-slot="message"]')
    page.goto(server.url)
    page.get_by_role("link", name="Check in Linear Algebra").click()
    page.get_by_role("button", name="Start the camera").click()
    notice = page.locator('[data-screen="notice"]')
    expect(notice).to_contain_text("Present", timeout=CHECK_IN_MS)
    expect(notice).to_contain_text("Linear Algebra")
    assert "Blink once" in said()
    row = Attendance.objects.get()
    assert (row.student, row.session, row.kiosk) == (eileen, math_session, None)
    # The camera is off, and stays so.
    assert page.evaluate("document.querySelector('video').srcObject") is None
    assert heard == []
    page.reload()
    expect(page.locator(".own-card")).to_contain_text("Already recorded")


def test_without_a_camera_the_page_says_what_to_do_and_a_closed_session_ends_it(
    server: LiveServer,
    browser: Browser,
    as_eileen: Callable[[Browser], Page],
    math_session: ClassSession,
) -> None:
    page = as_eileen(browser)
    page.goto(f"{server.url}/me/check-in/{math_session.pk}/")
    page.get_by_role("button", name="Start the camera").click()
    notice = page.locator('[data-screen="notice"]')
    expect(notice).to_contain_text("No camera found")
    ClassSession.objects.update(closed_at=timezone.now())
    expect(notice).to_contain_text("The session is over")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".own-card")).to_contain_text("ask your lecturer")


def test_a_student_looks_up_the_own_record_with_the_pass(
    server: LiveServer,
    browser_with_webcam: Callable[[Path], Browser],
    tmp_path: Path,
    token: str,
    math_session: ClassSession,
    eileen: Student,
    complaints: Complaints,
) -> None:
    now = timezone.now()
    EntryPass.objects.create(
        student=eileen,
        code_hash=hashlib.sha256(ONE_TIME.encode()).hexdigest(),
        issued_at=now,
        expires_at=now + timedelta(days=1),
    )
    an_attendance(math_session, eileen)
    clip = tmp_path / "pass.mjpeg"
    clip.write_bytes(jpeg_with(ONE_TIME) * 15)
    context = browser_with_webcam(clip).new_context(viewport=PHONE)  # type: ignore[arg-type]
    # Not by its page: that would take the pass before the camera for an entry.
    context.add_cookies([{"name": KIOSK_COOKIE, "value": token, "url": server.url}])
    page = context.new_page()
    heard = complaints(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/kiosk/look-up/")
    for key in "S-1":
        page.get_by_role("button", name=key, exact=True).click()
    page.get_by_role("button", name="Next: show your pass").click()
    record = page.locator('[data-screen="record"]')
    expect(record).to_contain_text("Eileen Collins", timeout=CHECK_IN_MS)
    expect(record).to_contain_text("present")
    assert not any("S-1" in url for url in asked)
    page.get_by_role("button", name="Done").click()
    page.wait_for_url(f"{server.url}/kiosk/")
    expect(page.get_by_text("Eileen Collins")).to_have_count(0)
    # Back in the browser's history is the empty form, without number or record.
    page.go_back()
    assert "Eileen" not in page.content()
    assert heard == []
