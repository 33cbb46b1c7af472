"""A line so slow that somebody acts before the scripts of a page have come.

Controls that need a script wait for it; whatever was done without a script is not lost with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from checkin.models import ClassPhoto
from checkin.views import KIOSK_COOKIE
from roster.models import ClassSession, Course, Student
from tests.support.live_server import LiveServer
from tests.support.pages import held_back
from tests.support.portraits import as_jpeg, astronaut
from tests.support.school import a_consent, a_template, an_account_of, logged_in_cookie

PHONE = {"width": 390, "height": 844}
VERDICT_MS = 30_000  # the first picture may have to wait for the models


@pytest.fixture
def page_of(browser: Browser, server: LiveServer) -> Callable[[User], Page]:
    """A page on this user's phone."""

    def open_page(user: User) -> Page:
        context = browser.new_context(viewport=PHONE, has_touch=True)  # type: ignore[arg-type]
        context.add_cookies(
            [{"name": "sessionid", "value": logged_in_cookie(user), "url": server.url}]
        )
        return context.new_page()

    return open_page


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "class.jpg"
    path.write_bytes(as_jpeg(astronaut()[:300]))
    return path


def open_without_waiting(page: Page, address: str) -> None:
    """Without the page's load event, which waits for scripts."""
    page.goto(address, wait_until="commit")


def test_a_class_photo_taken_before_the_script_came_is_sent_once(
    page_of: Callable[[User], Page],
    server: LiveServer,
    alice: User,
    math_session: ClassSession,
    eileen: Student,
    portrait: Path,
) -> None:
    a_template(eileen, np.eye(1, 128, dtype=np.float32)[0])
    page = page_of(alice)
    address = server.url + reverse("admin:checkin_classphoto_review", args=[math_session.pk])
    with held_back(page, "**/class-photo.js"):
        open_without_waiting(page, address)
        page.locator("#camera").set_input_files(portrait)
    expect(page.locator("#review")).to_be_visible()

    page.go_back(wait_until="load")
    assert page.locator("#camera").evaluate("input => input.files.length") == 0
    assert ClassPhoto.objects.count() == 1


@pytest.mark.parametrize("script", ["**/webauthn.js", "**/onload.js", "**/passkeys.js"])
def test_a_passkey_button_waits_for_its_scripts(
    browser: Browser, server: LiveServer, script: str
) -> None:
    page = browser.new_context(viewport=PHONE).new_page()  # type: ignore[arg-type]
    button = page.get_by_role("button", name="Log in with a passkey")
    # A passkey belongs to a name, and an IP address is none.
    home = server.url.replace("127.0.0.1", "localhost")
    with held_back(page, script):
        open_without_waiting(page, f"{home}/accounts/login/")
        expect(button).to_be_disabled()
    expect(button).to_be_enabled()
    with page.expect_response("**/webauthn/login/"):
        button.click()


def test_pictures_chosen_before_the_script_came_get_their_verdict(
    page_of: Callable[[User], Page], server: LiveServer, eileen: Student, portrait: Path
) -> None:
    a_consent(eileen)
    page = page_of(an_account_of(eileen))
    with held_back(page, "**/photos.js"):
        open_without_waiting(page, f"{server.url}/face/photos/")
        page.locator("input[type=file]").set_input_files(portrait)
    expect(page.locator("#verdicts")).to_contain_text("This picture is good.", timeout=VERDICT_MS)
    expect(page.locator(".pictures img")).to_have_count(1)


def test_pictures_chosen_at_the_desk_before_the_script_came_are_shown(
    page_of: Callable[[User], Page],
    server: LiveServer,
    alice: User,
    eileen: Student,
    portrait: Path,
) -> None:
    page = page_of(alice)
    address = reverse("admin:recognition_studentface_change", args=[eileen.pk])
    with held_back(page, "**/enrol.js"):
        open_without_waiting(page, server.url + address)
        page.locator("#enrol-form input[type=file]").set_input_files(portrait)
        expect(page.locator("#shots img")).to_have_count(0)
    expect(page.locator("#shots img")).to_have_count(1)


def test_the_number_at_the_kiosk_waits_for_the_script(
    browser: Browser, server: LiveServer, token: str
) -> None:
    context = browser.new_context()
    context.add_cookies([{"name": KIOSK_COOKIE, "value": token, "url": server.url}])
    page = context.new_page()
    button = page.get_by_role("button", name="Next: show your pass")
    with held_back(page, "**/look_up/main.js"):
        open_without_waiting(page, f"{server.url}/kiosk/look-up/")
        expect(button).to_be_disabled()
    expect(button).to_be_enabled()


def test_the_own_check_in_waits_for_the_script(
    page_of: Callable[[User], Page], server: LiveServer, eileen: Student, math_session: ClassSession
) -> None:
    a_consent(eileen)
    a_template(eileen, np.eye(1, 128, dtype=np.float32)[0])
    Course.objects.update(own_device=True)
    page = page_of(an_account_of(eileen))
    button = page.get_by_role("button", name="Start the camera")
    with held_back(page, "**/own_device/main.js"):
        open_without_waiting(page, f"{server.url}/me/check-in/{math_session.pk}/")
        expect(button).to_be_disabled()
    expect(button).to_be_enabled()
