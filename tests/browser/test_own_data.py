"""Seeing, taking away, erasing and merging what is kept of a person, in a real browser."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from checkin.models import Kiosk
from roster.models import ClassSession, Course, Student
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import a_student, an_attendance
from tests.support.whole_life import an_account_of, live_a_whole_life

PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.django_db(transaction=True)


def page_of(browser: Browser, server: LiveServer, user: User, **options: object) -> Page:
    """A page on which the user is logged in."""
    client = Client()
    client.force_login(user)
    context = browser.new_context(**options)  # type: ignore[arg-type]
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": server.url}]
    )
    return context.new_page()


@pytest.fixture
def whole_life(
    eileen: Student, dmitri: Student, math_session: ClassSession, kiosk: Kiosk, admin: User
) -> Student:
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    return eileen


def test_a_student_takes_the_own_data_away_on_a_phone(
    browser: Browser,
    server: LiveServer,
    whole_life: Student,
    complaints: Callable[[Page], list[str]],
) -> None:
    assert whole_life.user is not None
    page = page_of(browser, server, whole_life.user, viewport=PHONE)
    heard = complaints(page)
    page.goto(f"{server.url}/me/")
    follow(page.locator(f"a[href='{reverse('own_data')}']"))
    expect(page.locator("h1")).to_have_text("Your data")
    expect(page.locator("main")).to_contain_text("Check-in attempts")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    archive = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert "tables/attendance.csv" in archive.namelist()
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    assert download.value.suggested_filename == "rollcall-data.json"
    assert width_of(page) <= PHONE["width"]
    assert heard == []


def test_an_administrator_erases_a_student_and_sees_the_receipt(
    browser: Browser,
    server: LiveServer,
    whole_life: Student,
    admin: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    page = page_of(browser, server, admin)
    heard = complaints(page)
    page.goto(server.url + reverse("admin:roster_student_change", args=[whole_life.pk]))
    page.get_by_role("link", name="Erase…").click()
    expect(page.locator("#content")).to_contain_text("Check-in attempts")
    page.get_by_label("Student number").fill("S-2")
    page.get_by_role("button", name="Erase everything").click()
    expect(page.locator("#content")).to_contain_text("expected the number of this student")
    page.get_by_label("Delete the account too").check()
    page.get_by_label("Student number").fill("S-1")
    page.get_by_role("button", name="Erase everything").click()
    expect(page.locator("#content")).to_contain_text("found nothing of this student")
    assert heard == []
    assert not Student.objects.filter(pk=whole_life.pk).exists()
    assert not User.objects.filter(username="eileen").exists()


def test_an_administrator_merges_two_records(
    browser: Browser,
    server: LiveServer,
    eileen: Student,
    math: Course,
    math_session: ClassSession,
    admin: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    double = a_student("D-77", "Eileen M. Collins", math)
    an_account_of(double, "eileen")
    an_attendance(math_session, eileen)
    page = page_of(browser, server, admin)
    heard = complaints(page)
    page.goto(server.url + reverse("admin:roster_student_changelist"))
    for row in ("Eileen Collins", "Eileen M. Collins"):
        page.get_by_role("row").filter(
            has=page.get_by_role("link", name=row, exact=True)
        ).get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option(label="Merge two records of one person…")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator("#content")).to_contain_text("What happens")
    page.get_by_role("link", name="Keep S-1 instead").click()
    page.get_by_role("button", name="Merge").click()
    expect(page.locator(".messagelist")).to_contain_text("The two records are one now")
    assert heard == []
    (student,) = Student.objects.all()
    assert (student.student_id, student.user.username) == ("S-1", "eileen")  # type: ignore[union-attr]
    assert student.attendance.count() == 1
