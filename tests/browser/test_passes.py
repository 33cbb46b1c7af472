"""The student's own pass on a phone: what a camera sees of it, also without a network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from checkin.passes.services import redeem
from checkin.sessions.services import close_session
from recognition.engine.codes import read_code
from roster.models import ClassSession, Course, Student
from tests.support.cards import picture_in
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import a_session, an_account_of, an_attendance, logged_in_cookie

PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def phone(browser: Browser, server: LiveServer, eileen: Student) -> Page:
    """Eileen's, in the dark scheme, logged in; its clock can be moved."""
    context = browser.new_context(viewport=PHONE, color_scheme="dark", device_scale_factor=2)
    cookie = logged_in_cookie(an_account_of(eileen))
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": server.url}]
    )
    page = context.new_page()
    page.clock.install()
    return page


def seen_by_a_camera(page: Page) -> str:
    return read_code(picture_in(page.screenshot())) or ""


def test_the_code_on_the_phone_opens_the_door_and_renews_itself(
    phone: Page,
    server: LiveServer,
    eileen: Student,
    math_session: ClassSession,
    alice: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    heard = complaints(phone)
    phone.goto(f"{server.url}/me/")
    follow(phone.get_by_role("link", name="The code for the door"))
    expect(phone.locator(".pass-card")).to_contain_text("Eileen Collins")
    expect(phone.locator("#pass-time")).to_contain_text("New code in")
    assert width_of(phone) <= PHONE["width"]
    with transaction.atomic():
        shown = redeem(
            payload=seen_by_a_camera(phone),
            sessions=[math_session],
            kiosk=None,
            at=timezone.now(),
        )
    assert shown.student == eileen

    an_attendance(math_session, eileen, arrived_at=timezone.now())
    with phone.expect_response("**/code/") as renewed:
        phone.clock.run_for(31_000)
    assert "no-store" in renewed.value.headers["cache-control"]
    expect(phone.locator("#pass-recorded")).to_contain_text("You are marked present")

    close_session(math_session, timezone.now(), by=alice)
    phone.clock.run_for(31_000)
    expect(phone.get_by_role("alert")).to_contain_text("takes no pass any more")
    expect(phone.locator("#pass-code")).not_to_be_visible()
    assert [text for text in heard if "404" not in text] == []


def test_without_a_network_the_page_says_so_and_comes_back(
    phone: Page, server: LiveServer, math_session: ClassSession
) -> None:
    phone.goto(f"{server.url}/me/pass/")
    expect(phone.locator("#pass-code")).to_be_visible()
    phone.context.set_offline(True)
    phone.clock.run_for(31_000)
    expect(phone.get_by_role("alert")).to_contain_text("No connection to the server")
    expect(phone.locator("#pass-code")).to_be_visible()  # the door takes it for one more step
    phone.clock.run_for(31_000)
    expect(phone.locator("#pass-code")).not_to_be_visible()
    phone.context.set_offline(False)
    phone.clock.run_for(6_000)
    expect(phone.locator("#pass-code")).to_be_visible()
    expect(phone.get_by_role("alert")).to_have_count(0)


def test_before_the_session_the_page_waits_for_it(
    phone: Page, server: LiveServer, math: Course
) -> None:
    opens_soon = timezone.now() + timedelta(minutes=15, seconds=4)
    a_session(math, starts_at=opens_soon, opens_early_min=15)
    phone.goto(f"{server.url}/me/pass/")
    expect(phone.locator(".pass-empty")).to_contain_text("The next one is MATH")
    phone.wait_for_timeout(4_000)
    phone.clock.run_for(6_000)
    expect(phone.locator("#pass-code")).to_be_visible()
