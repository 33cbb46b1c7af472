"""From sign-up to the kiosk: the whole way of a new student, in a real browser with a webcam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.models import User
from checkin.models import Attendance
from recognition.models import FaceTemplate, RegistrationPhoto
from roster.models import ClassSession, Student
from tests.support import pictures
from tests.support.letterbox import Letterbox
from tests.support.live_server import LiveServer
from tests.support.pages import follow
from tests.support.school import a_consent, an_account_of, logged_in_cookie

PASSWORD = "correct horse battery"
DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
CHECK_IN_MS = 60_000  # a blink of the clip may fall between two frames of a busy machine
VERDICT_MS = 30_000  # the first picture may have to wait for the models

Complaints = Callable[[Page], list[str]]


def as_user(browser: Browser, server: LiveServer, user: User, viewport: dict[str, int]) -> Page:
    context = browser.new_context(viewport=viewport)  # type: ignore[arg-type]
    log_in(context, server, user)
    return context.new_page()


def log_in(context: BrowserContext, server: LiveServer, user: User) -> None:
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": logged_in_cookie(user), "url": server.url}]
    )


@pytest.mark.django_db(transaction=True)
def test_a_new_student_signs_up_registers_by_camera_is_approved_and_recognised(
    server: LiveServer,
    letterbox: Letterbox,
    browser_with_webcam: Callable[[Path], Browser],
    webcam_clip: Path,
    complaints: Complaints,
    alice: User,
    eileen: Student,
    math_session: ClassSession,
    token: str,
) -> None:
    browser = browser_with_webcam(webcam_clip)
    page = browser.new_context(viewport=PHONE).new_page()  # type: ignore[arg-type]
    heard = complaints(page)
    page.goto(f"{server.url}/accounts/signup/")
    page.get_by_label("Username").fill("eileen")
    page.get_by_label("E-mail").fill("eileen@example.edu")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password, once more").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.goto(letterbox.link("Confirm"))
    page.get_by_role("button", name="Confirm").click()

    page.goto(f"{server.url}/face/")
    page.get_by_label("Student number").fill("S-1")
    page.get_by_role("button", name="Link").click()
    page.get_by_role("link", name="Read how it works").click()
    page.get_by_role("button", name="I agree").click()
    page.get_by_role("button", name="Open the camera").click()
    for count in (1, 2):
        page.get_by_role("button", name="Take a picture").click()
        expect(page.locator(".pictures img")).to_have_count(count, timeout=VERDICT_MS)
    expect(page.locator("#verdicts")).to_contain_text("This picture is good.")
    page.get_by_role("button", name="Send to my lecturer").click()
    expect(page.locator("main")).to_contain_text("Waiting.")
    letterbox.wait_for("We have your pictures")

    desk = as_user(browser, server, alice, DESKTOP)
    heard_at_desk = complaints(desk)
    desk.goto(f"{server.url}/admin/recognition/faceregistration/")
    follow(desk.get_by_role("link", name="Eileen Collins"))
    expect(desk.locator(".review-pictures img")).to_have_count(2)
    picture = desk.locator(".review-pictures img").first
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    desk.keyboard.press("a")
    expect(desk.locator(".messagelist")).to_contain_text("Eileen Collins (S-1) was approved.")
    letterbox.wait_for("Your face is registered")
    assert not RegistrationPhoto.objects.exists()

    page.goto(f"{server.url}/face/")
    expect(page.locator("main")).to_contain_text("Registered since")
    page.goto(f"{server.url}/kiosk/#{token}")
    verdict = page.locator('[data-slot="verdict"]')
    expect(verdict).to_contain_text("Eileen Collins", timeout=CHECK_IN_MS)
    assert heard == []
    assert heard_at_desk == []
    assert Attendance.objects.get(session=math_session).student == eileen


def test_a_file_gets_its_verdict_in_words(
    server: LiveServer, browser: Browser, complaints: Complaints, eileen: Student
) -> None:
    a_consent(eileen)
    page = as_user(browser, server, an_account_of(eileen), DESKTOP)
    heard = complaints(page)
    page.goto(f"{server.url}/face/photos/")
    page.locator("input[type=file]").set_input_files(
        [
            {"name": "one.jpg", "mimeType": "image/jpeg", "buffer": pictures.portrait()},
            {"name": "two.jpg", "mimeType": "image/jpeg", "buffer": pictures.two_people()},
        ]
    )
    verdicts = page.locator("#verdicts")
    expect(verdicts).to_contain_text("This picture is good.", timeout=VERDICT_MS)
    expect(verdicts).to_contain_text("More than one face was found.")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(".pictures img")).to_have_count(0)
    page.get_by_role("button", name="Open the camera").click()
    expect(page.locator("#camera-problem")).to_contain_text("No camera was found.")
    assert heard == []


def test_the_lecturer_takes_the_pictures_in_person(
    server: LiveServer,
    browser_with_webcam: Callable[[Path], Browser],
    webcam_clip: Path,
    complaints: Complaints,
    alice: User,
    eileen: Student,
) -> None:
    page = as_user(browser_with_webcam(webcam_clip), server, alice, DESKTOP)
    heard = complaints(page)
    page.goto(f"{server.url}/admin/recognition/studentface/{eileen.pk}/change/")
    page.get_by_role("button", name="Open the camera").click()
    for count in (1, 2, 3):
        page.get_by_role("button", name="Take a picture").click()
        expect(page.locator("#shots img")).to_have_count(count)
    page.get_by_label("The student has consented in person").check()
    page.get_by_role("button", name="Enrol").click()
    expect(page.locator(".messagelist")).to_contain_text("Enrolled from 3 of 3 pictures.")
    assert FaceTemplate.objects.get().created_by == alice
    assert eileen.consents.get().recorded_by == alice
    assert heard == []
