"""The lecturer's desk in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from recognition.models import FaceRegistration
from roster.models import ClassSession, Course, Student
from tests.support.live_server import LiveServer
from tests.support.pages import width_of
from tests.support.school import a_student, an_attendance

PASSWORD = "correct horse battery"
DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def waiting(
    transactional_db: None, alice: User, math: Course, math_session: ClassSession
) -> list[Student]:
    """Alice can log in; three of her students wait, and one is in the room."""
    alice.set_password(PASSWORD)
    alice.save()
    students = [a_student(f"S-{number}", f"Student {number}", math) for number in range(3)]
    for student in students:
        FaceRegistration.objects.create(
            student=student, status="pending", submitted_at=timezone.now()
        )
    an_attendance(math_session, students[0])
    return students


def at_the_desk(browser: Browser, server: LiveServer, viewport: dict[str, int]) -> Page:
    page = browser.new_context(viewport=viewport).new_page()  # type: ignore[arg-type]
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Username or e-mail").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.locator("h1")).to_have_text("Lecturer’s desk")
    return page


def test_a_lecturer_goes_from_the_number_that_waits_to_the_list(
    browser: Browser,
    server: LiveServer,
    waiting: list[Student],
    complaints: Callable[[Page], list[str]],
) -> None:
    page = at_the_desk(browser, server, DESKTOP)
    heard = complaints(page)
    page.reload()
    page.get_by_role("link", name="3 registrations wait for approval").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(3)
    page.get_by_role("navigation", name="Daily lists").get_by_role("link", name="Desk").click()
    page.locator(".sessions").get_by_role("link", name="1", exact=True).click()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    expect(page.locator("#result_list")).to_contain_text("Student 0")
    assert heard == []


def test_the_keyboard_skips_to_what_waits(
    browser: Browser, server: LiveServer, waiting: list[Student]
) -> None:
    page = at_the_desk(browser, server, DESKTOP)
    page.reload()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    first = page.get_by_role("link", name="3 registrations wait for approval")
    expect(first).to_be_focused()
    assert first.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"


def test_wide_tables_do_not_move_the_page_on_a_phone(
    browser: Browser, server: LiveServer, waiting: list[Student]
) -> None:
    page = at_the_desk(browser, server, PHONE)
    for address in ("", "roster/student/", "checkin/attendance/", "recognition/studentface/"):
        page.goto(f"{server.url}/admin/{address}")
        width = width_of(page)
        assert width == PHONE["width"], address
