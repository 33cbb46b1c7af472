"""An appeal from the student's page over the lecturer's desk and back, with its mails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from checkin.models import Attendance, AttendanceChange, Kiosk, Outcome
from roster.models import Course, Student
from tests.support.letterbox import Letterbox
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import (
    a_session,
    an_account_of,
    an_attempt,
    an_attendance,
    logged_in_cookie,
)

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def late(transactional_db: None, math: Course, eileen: Student, kiosk: Kiosk) -> User:
    """The account of Eileen, who came twelve minutes late yesterday."""
    starts_at = timezone.now() - timedelta(days=1)
    session = a_session(math, starts_at=starts_at, room=kiosk.room)
    session.closed_at = session.ends_at
    session.save(update_fields=["closed_at"])
    at = starts_at + timedelta(minutes=12)
    an_attendance(session, eileen, status="late", arrived_at=at, kiosk=kiosk)
    trace = {"frames": 5, "blink": {"reaction_ms": 420, "closed_ms": 120}}
    an_attempt(
        kiosk,
        session,
        at=at,
        student=eileen,
        outcome=Outcome.LATE,
        similarity=0.971,
        threshold=0.953,
        liveness=trace,
    )
    return an_account_of(eileen)


def page_of(browser: Browser, server: LiveServer, user: User, viewport: dict[str, int]) -> Page:
    context = browser.new_context(viewport=viewport)  # type: ignore[arg-type]
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": logged_in_cookie(user)}
    context.add_cookies([{**cookie, "url": server.url}])  # type: ignore[list-item]
    return context.new_page()


def test_a_student_appeals_the_lecturer_accepts_and_the_student_sees_it(
    browser: Browser,
    server: LiveServer,
    letterbox: Letterbox,
    late: User,
    alice: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    phone = page_of(browser, server, late, PHONE)
    heard = complaints(phone)
    phone.goto(server.url + reverse("own_attendance"))
    follow(phone.get_by_role("link", name="Details"))
    expect(phone.get_by_text("12 minutes late")).to_be_visible()
    expect(phone.get_by_text("0.971, needed 0.953")).to_be_visible()
    assert width_of(phone) <= PHONE["width"]
    phone.get_by_label("What is wrong?").fill("The door was locked until ten past.")
    phone.get_by_role("button", name="Send the appeal").press("Enter")
    expect(phone.get_by_role("status")).to_contain_text("Your appeal was sent")
    assert "has arrived" in letterbox.wait_for("Your appeal on MATH").get_content()
    opened = letterbox.wait_for("An appeal on MATH")
    assert opened["To"] == "alice@example.edu"

    desk = page_of(browser, server, alice, DESKTOP)
    heard_at_desk = complaints(desk)
    desk.goto(server.url + reverse("admin:index"))
    desk.get_by_role("link", name="1 appeal waits").click()
    desk.get_by_role("link", name="Eileen Collins").click()
    expect(desk.get_by_text("The door was locked until ten past.")).to_be_visible()
    desk.get_by_label("present").check()
    desk.get_by_label("Answer").fill("True, the key was late")
    desk.get_by_role("button", name="Accept").click()
    expect(desk.locator(".messagelist")).to_contain_text("was accepted")
    expect(desk.get_by_text("0 appeals")).to_be_visible()

    decided = letterbox.wait_for("was decided").get_content()
    assert "What stands there now: present." in decided
    assert "True, the key was late" in decided
    phone.reload()
    expect(phone.locator("#recorded ~ .own-now")).to_have_text("Present")
    expect(phone.locator(".own-card")).to_contain_text("Accepted")
    expect(phone.locator(".own-card")).to_contain_text("True, the key was late")
    assert Attendance.objects.get().status == "present"
    assert AttendanceChange.objects.get().by == alice
    assert heard == heard_at_desk == []
