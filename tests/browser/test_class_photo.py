"""Attendance from a class photo in a real browser: corrected by clicking, then confirmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from checkin.models import Attendance, ClassPhoto
from recognition.engine.types import Embedding
from roster.models import ClassSession, Course, Student
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.portraits import as_jpeg, astronaut
from tests.support.school import a_student, a_template, logged_in_cookie

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
LOOKING_MS = 30_000  # the first picture may have to wait for the models


@pytest.fixture
def wernher(transactional_db: None, math: Course) -> Student:
    student = a_student("S-7", "Wernher Braun", math)
    a_template(student, np.eye(1, 128, dtype=np.float32)[0])
    return student


@pytest.fixture
def eileen_enrolled(
    transactional_db: None, eileen: Student, astronaut_embedding: Embedding
) -> Student:
    a_template(eileen, astronaut_embedding)
    return eileen


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "class.jpg"
    path.write_bytes(as_jpeg(astronaut()[:300]))
    return path


def class_photo_page(
    browser: Browser,
    server: LiveServer,
    user: User,
    session: ClassSession,
    viewport: dict[str, int] = DESKTOP,
) -> Page:
    context = browser.new_context(viewport=viewport, has_touch=viewport == PHONE)  # type: ignore[arg-type]
    context.add_cookies([{"name": "sessionid", "value": logged_in_cookie(user), "url": server.url}])
    page = context.new_page()
    page.goto(f"{server.url}/admin/checkin/attendance/live/{session.pk}/")
    follow(page.get_by_role("link", name="Class photo"))
    return page


def find_faces(page: Page, picture: Path) -> None:
    page.get_by_label("Choose pictures").set_input_files(picture)
    follow(page.get_by_role("button", name="Find the faces"))
    expect(page.locator("#review")).to_be_visible()


def test_a_lecturer_corrects_a_face_by_clicking_and_confirms(
    browser: Browser,
    server: LiveServer,
    alice: User,
    math_session: ClassSession,
    eileen_enrolled: Student,
    wernher: Student,
    portrait: Path,
    complaints: Callable[[Page], list[str]],
) -> None:
    page = class_photo_page(browser, server, alice, math_session)
    heard = complaints(page)
    find_faces(page, portrait)
    face = page.locator("a[data-face]")
    expect(face).to_have_text("1 Eileen")
    expect(page.locator("#count-present")).to_have_text("1")

    face.click()
    dialog = page.get_by_role("dialog", name="Who is this?")
    dialog.get_by_role("combobox").select_option(label="Wernher Braun · S-7")
    dialog.get_by_role("button", name="Done").click()
    expect(face).to_have_text("1 Wernher Braun")
    expect(page.get_by_role("checkbox", name="Eileen Collins")).not_to_be_checked()
    expect(page.get_by_role("checkbox", name="Wernher Braun")).to_be_checked()
    assert not Attendance.objects.exists()

    page.get_by_role("button", name="Confirm attendance").click()
    expect(page.get_by_text("1 student was recorded. The pictures are gone.")).to_be_visible()
    row = Attendance.objects.get()
    assert (row.student, row.method) == (wernher, "photo")
    assert not ClassPhoto.objects.exists()
    assert heard == []


def test_a_name_that_is_taken_away_leaves_everybody_absent(
    browser: Browser,
    server: LiveServer,
    alice: User,
    math_session: ClassSession,
    eileen_enrolled: Student,
    portrait: Path,
) -> None:
    page = class_photo_page(browser, server, alice, math_session)
    find_faces(page, portrait)
    expect(page.get_by_text("Everybody is absent.")).to_be_hidden()
    page.locator("a[data-face]").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("combobox").select_option(label="Nobody of this class")
    page.keyboard.press("Escape")

    expect(page.get_by_text("Everybody is absent.")).to_be_visible()
    expect(page.locator("a[data-face]")).to_have_text("1 ?")
    expect(page.locator("#count-unknown")).to_have_text("1")


def test_somebody_is_marked_by_hand(
    browser: Browser,
    server: LiveServer,
    alice: User,
    math_session: ClassSession,
    eileen_enrolled: Student,
    wernher: Student,
    portrait: Path,
) -> None:
    page = class_photo_page(browser, server, alice, math_session)
    find_faces(page, portrait)
    page.get_by_role("checkbox", name="Wernher Braun").check()
    expect(page.locator("#count-present")).to_have_text("2")
    page.get_by_role("button", name="Confirm attendance").click()
    expect(page.get_by_text("2 students were recorded.")).to_be_visible()

    methods = {row.student: row.method for row in Attendance.objects.all()}
    assert methods == {eileen_enrolled: "photo", wernher: "manual"}


def test_a_phone_takes_the_picture_with_its_camera_and_nothing_overflows(
    browser: Browser,
    server: LiveServer,
    alice: User,
    math_session: ClassSession,
    eileen_enrolled: Student,
    portrait: Path,
) -> None:
    page = class_photo_page(browser, server, alice, math_session, PHONE)
    camera = page.locator("#camera")
    expect(camera).to_have_attribute("capture", "environment")
    camera.set_input_files(portrait)
    expect(page.locator("#review")).to_be_visible(timeout=LOOKING_MS)

    expect(page.locator("a[data-face]")).to_have_text("1 Eileen")
    page.reload()
    assert width_of(page) <= PHONE["width"]
