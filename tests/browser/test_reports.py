"""Reports and the own attendance in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from checkin.models import AttendanceWarning
from roster.models import Course, Student
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import an_account_of, logged_in_cookie
from tests.support.terms import a_class, a_held_session, a_history, a_status

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
A4_LANDSCAPE = {"width": 1030, "height": 700}


@pytest.fixture
def term(transactional_db: None, math: Course, eileen: Student) -> Course:
    """Forty sessions; Eileen comes to every second one."""
    for number, student in enumerate(a_class(math, 5)):
        Student.objects.filter(pk=student.pk).update(name=f"Somebody With a Long Name {number}")
    a_history(math, eileen, ["present", "absent"] * 20)
    Course.objects.filter(pk=math.pk).update(required_percentage=75)
    return math


def page_of(
    browser: Browser, server: LiveServer, user: User, viewport: dict[str, int], **options: str
) -> Page:
    context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": logged_in_cookie(user)}
    context.add_cookies([{**cookie, "url": server.url}])  # type: ignore[list-item]
    return context.new_page()


def course_report(server: LiveServer, course: Course) -> str:
    return server.url + reverse("admin:checkin_report_course", args=[course.pk])


def test_a_lecturer_narrows_a_report_exports_it_and_finds_the_file_again(
    browser: Browser,
    server: LiveServer,
    term: Course,
    alice: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    page = page_of(browser, server, alice, DESKTOP)
    heard = complaints(page)
    page.goto(f"{server.url}/admin/")
    page.get_by_role("navigation", name="Daily lists").get_by_role("link", name="Reports").click()
    follow(page.get_by_role("link", name="MATH"))
    expect(page.locator(".mark-head")).to_have_count(40)
    page.get_by_label("From").fill("2026-03-10")
    follow(page.get_by_role("button", name="Show"))
    expect(page.locator(".mark-head")).to_have_count(32)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export XLSX").click()
    name = download.value.suggested_filename
    assert name.startswith("CourseAttendanceInfo_")
    follow(page.get_by_role("link", name="Exports"))
    expect(page.locator("tbody tr")).to_contain_text("from 2026-03-10")
    with page.expect_download() as again:
        page.get_by_role("link", name=name).click()
    assert again.value.path().read_bytes() == download.value.path().read_bytes()
    assert heard == []


def test_columns_are_chosen_and_moved_by_keyboard_and_lead_back(
    browser: Browser, server: LiveServer, term: Course, alice: User
) -> None:
    page = page_of(browser, server, alice, DESKTOP)
    page.goto(course_report(server, term) + "?since=2026-03-10")
    follow(page.get_by_role("link", name="Columns"))
    page.get_by_role("checkbox", name="E-mail").focus()
    page.keyboard.press("Space")
    page.get_by_role("checkbox", name="Student number").uncheck()
    page.get_by_role("button", name="Move “name” down").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Save").press("Enter")
    headers = page.locator(".report-table thead th")
    expect(headers.nth(0)).to_have_text("E-mail")
    expect(headers.nth(1)).to_have_text("Name")
    assert page.url.endswith("?since=2026-03-10")


def test_the_printed_report_fits_the_paper_and_has_no_controls(
    browser: Browser, server: LiveServer, term: Course, alice: User
) -> None:
    page = page_of(browser, server, alice, A4_LANDSCAPE, color_scheme="dark")
    page.goto(course_report(server, term))
    expect(page.get_by_role("button", name="Print")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    expect(page.locator("#header")).to_be_hidden()
    expect(page.locator(".report-printed")).to_be_visible()
    assert width_of(page) <= A4_LANDSCAPE["width"]
    ground = page.locator(".report-table").evaluate(
        "panel => getComputedStyle(panel.closest('body')).getPropertyValue('--colour-surface')"
    )
    assert ground.strip() == "#ffffff"


def test_no_report_is_wider_than_a_phone(
    browser: Browser, server: LiveServer, term: Course, alice: User, eileen: Student
) -> None:
    page = page_of(browser, server, alice, PHONE)
    session = term.sessions.earliest("starts_at")
    for name, args in [
        ("reportexport_changelist", []),
        ("report_course", [term.pk]),
        ("report_session", [session.pk]),
        ("report_student", [eileen.pk]),
        ("report_columns", ["course"]),
        ("report_exports", []),
        ("report_warn", []),
    ]:
        page.goto(server.url + reverse(f"admin:checkin_{name}", args=args))
        assert width_of(page) == PHONE["width"], name


def test_a_lecturer_mails_who_attended_too_little(
    browser: Browser, server: LiveServer, term: Course, alice: User, eileen: Student
) -> None:
    page = page_of(browser, server, alice, DESKTOP)
    page.goto(server.url + reverse("admin:checkin_report_warn"))
    expect(page.get_by_role("checkbox", name="Mail Eileen Collins on MATH")).to_be_checked()
    page.get_by_role("button", name="Mail the chosen students").click()
    expect(page.locator(".messagelist")).to_contain_text("1 student was mailed")
    expect(page.locator("#content")).to_contain_text("There is nobody left to mail")
    assert AttendanceWarning.objects.get().student == eileen


def test_a_student_reads_the_own_history_on_a_phone(
    browser: Browser,
    server: LiveServer,
    term: Course,
    eileen: Student,
    complaints: Callable[[Page], list[str]],
) -> None:
    a_status(a_held_session(term, date(2026, 6, 1)), eileen, "excused")
    page = page_of(browser, server, an_account_of(eileen), PHONE)
    heard = complaints(page)
    page.goto(f"{server.url}/me/")
    follow(page.get_by_role("link", name="History and percentages"))
    expect(page.locator(".own-courses li")).to_contain_text("below the required 75 %")
    expect(page.locator(".own-records li")).to_have_count(30)
    page.get_by_text("Choose course and time").click()
    page.get_by_label("From").fill("2026-06-01")
    follow(page.get_by_role("button", name="Show"))
    expect(page.locator(".own-records li")).to_have_count(1)
    expect(page.locator(".own-records")).to_contain_text("Excused")
    assert width_of(page) == PHONE["width"]
    assert heard == []
