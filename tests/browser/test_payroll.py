"""Working hours, profiles, schedules and locked periods in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from integrations.payroll.models import ExportProfile, ExportSchedule
from roster.models import Course, PeriodLock, Student
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import an_attendance, logged_in_cookie
from tests.support.terms import a_class, a_held_session

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
DAY = date(2026, 3, 2)


@pytest.fixture
def office(transactional_db: None, math: Course, eileen: Student) -> Course:
    """A week of six people; one forgets to check out on Friday."""
    people = [eileen, *a_class(math, 5)]
    for number in range(5):
        session = a_held_session(math, DAY + timedelta(days=number))
        for place, student in enumerate(people):
            forgotten = number == 4 and place == 0
            left_at = session.starts_at + timedelta(minutes=50 + 7 * place + number)
            an_attendance(session, student, left_at=None if forgotten else left_at)
    return math


def page_of(
    browser: Browser, server: LiveServer, user: User, viewport: dict[str, int], **options: str
) -> Page:
    context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": logged_in_cookie(user)}
    context.add_cookies([{**cookie, "url": server.url}])  # type: ignore[list-item]
    return context.new_page()


def preview() -> str:
    profile = ExportProfile.objects.get(ready="generic")
    page = reverse("admin:integrations_exportprofile_preview", args=[profile.pk])
    return f"{page}?since=2026-03-01&until=2026-03-31"


def pages(office: Course, admin: User) -> dict[str, str]:
    profile = ExportProfile.objects.get(ready="workday")
    schedule = ExportSchedule.objects.create(
        profile=profile, owner=admin, next_at="2026-04-01T04:00Z", place="hr"
    )
    schedule.runs.create(
        first_day=DAY,
        last_day=date(2026, 3, 31),
        state="failed",
        attempts=12,
        error="The folder cannot be written: No space left on device.",
    )
    PeriodLock.objects.create(first_day=DAY, last_day=DAY, reason="Paid", locked_by=admin)
    row = office.sessions.latest("starts_at").attendance.earliest("pk")
    return {
        "preview": preview(),
        "profiles": reverse("admin:integrations_exportprofile_changelist"),
        "profile": reverse("admin:integrations_exportprofile_change", args=[profile.pk]),
        "schedules": reverse("admin:integrations_exportschedule_changelist"),
        "schedule": reverse("admin:integrations_exportschedule_change", args=[schedule.pk]),
        "runs": reverse("admin:integrations_exportrun_changelist"),
        "locks": reverse("admin:roster_periodlock_changelist"),
        "lock": reverse("admin:roster_periodlock_add"),
        "times": reverse(
            "admin:checkin_attendance_live_student", args=[row.session_id, row.student_id]
        ),
    }


def test_a_lecturer_finds_who_did_not_check_out_writes_it_and_makes_the_file(
    browser: Browser,
    server: LiveServer,
    office: Course,
    alice: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    page = page_of(browser, server, alice, DESKTOP)
    heard = complaints(page)
    page.goto(server.url + preview())
    expect(page.locator(".report-counts")).to_contain_text("6 people")
    expect(page.locator("#flagged")).to_contain_text("1")
    follow(page.get_by_role("link", name="MATH 2026-03-06"))
    page.get_by_label("Left").fill("2026-03-06T10:30")
    page.get_by_label("Reason").last.fill("Forgot to scan")
    page.get_by_role("button", name="Save times").click()
    expect(page.locator(".messagelist")).to_contain_text("times changed")
    page.goto(server.url + preview())
    expect(page.locator("#flagged")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Make the file").click()
    text = download.value.path().read_text("utf-8-sig")
    # 50 + 51 + 52 + 53 + 90 minutes are 4.93 hours.
    assert "S-1,Eileen Collins,2026-03-01,2026-03-31,4.93,0.00,5,\n" in text
    assert heard == []


def test_no_page_is_wider_than_a_phone_or_complains(
    browser: Browser,
    server: LiveServer,
    office: Course,
    admin: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    page = page_of(browser, server, admin, PHONE, color_scheme="dark")
    heard = complaints(page)
    for name, address in pages(office, admin).items():
        page.goto(server.url + address)
        assert width_of(page) <= PHONE["width"], name
    assert heard == []
