"""The live page of a session in two browsers at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from checkin.models import Attendance, AttendanceChange, Kiosk
from roster.models import ClassSession, Course, Student
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import a_lecturer, a_student, a_template, an_attendance, logged_in_cookie

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def bob(transactional_db: None, math: Course) -> User:
    """Teaches MATH together with Alice."""
    bob = a_lecturer("bob")
    math.lecturers.add(bob)
    return bob


@pytest.fixture
def students(transactional_db: None, math: Course) -> list[Student]:
    names = ["Ada Lovelace", "Edsger Dijkstra", "Grace Hopper"]
    return [a_student(f"S-{number}", name, math) for number, name in enumerate(names)]


def a_window(
    browser: Browser, server: LiveServer, user: User, *, scripts: bool = True, viewport=DESKTOP
) -> Page:
    context = browser.new_context(java_script_enabled=scripts, viewport=viewport)
    cookie = {"name": "sessionid", "value": logged_in_cookie(user), "url": server.url}
    context.add_cookies([cookie])
    return context.new_page()


def live(page: Page, server: LiveServer, session: ClassSession) -> Page:
    page.goto(f"{server.url}/admin/checkin/attendance/live/{session.pk}/")
    return page


def connected(page: Page, server: LiveServer, session: ClassSession) -> Page:
    live(page, server, session)
    expect(page.locator("#link")).to_have_attribute("data-link", "open")
    return page


def row(page: Page, student: Student):
    return page.locator(f"#rows [data-student='{student.pk}']")


def test_a_mark_shows_in_both_browsers_and_stays_after_a_reload(
    browser: Browser,
    server: LiveServer,
    math_session: ClassSession,
    students: list[Student],
    alice: User,
    bob: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    hers, his = (a_window(browser, server, user) for user in (alice, bob))
    heard = complaints(hers)
    for page in (hers, his):
        connected(page, server, math_session)
    row(hers, students[0]).get_by_role("button", name="Present").click()
    for page in (hers, his):
        expect(row(page, students[0])).to_have_attribute("data-status", "present")
        expect(page.locator("#count-present")).to_have_text("1")
        expect(page.locator("#latest")).to_contain_text("Ada Lovelace")
    row(his, students[0]).get_by_role("button", name="Undo").click()
    for page in (hers, his):
        expect(row(page, students[0])).to_have_attribute("data-status", "")
        expect(page.locator("#count-missing")).to_have_text("3")
    row(his, students[1]).get_by_role("button", name="Present").click()
    expect(row(hers, students[1])).to_have_attribute("data-status", "present")
    hers.reload()
    expect(row(hers, students[1])).to_have_attribute("data-status", "present")
    assert Attendance.objects.get().student == students[1]
    assert AttendanceChange.objects.count() == 3
    assert heard == []


def test_a_check_in_at_the_kiosk_shows_in_both_browsers(
    browser_with_webcam: Callable,
    webcam_clip,
    server: LiveServer,
    math_session: ClassSession,
    eileen: Student,
    astronaut_embedding,
    token: str,
    alice: User,
    bob: User,
) -> None:
    a_template(eileen, astronaut_embedding)
    browser = browser_with_webcam(webcam_clip)
    windows = [a_window(browser, server, user) for user in (alice, bob)]
    for page in windows:
        connected(page, server, math_session)
        expect(row(page, eileen)).to_have_attribute("data-status", "")
    kiosk = browser.new_context(permissions=["camera"]).new_page()
    kiosk.goto(f"{server.url}/kiosk/#{token}")
    for page in windows:
        expect(row(page, eileen)).to_have_attribute("data-status", "present", timeout=60_000)
        expect(row(page, eileen)).to_contain_text("Door of 101")


def test_to_excuse_asks_for_a_reason_and_a_stale_mark_is_told(
    browser: Browser,
    server: LiveServer,
    math_session: ClassSession,
    students: list[Student],
    alice: User,
) -> None:
    page = connected(a_window(browser, server, alice), server, math_session)
    row(page, students[0]).get_by_role("link", name="Excuse").click()
    page.get_by_role("button", name="Save").click()  # the browser asks for the reason
    assert not Attendance.objects.exists()
    page.get_by_label("Reason").fill("Doctor")
    an_attendance(math_session, students[0])
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_contain_text("is “present” by now")
    page.get_by_role("button", name="Cancel").click()
    expect(row(page, students[0])).to_have_attribute("data-status", "present")
    row(page, students[0]).get_by_role("link", name="Change").click()
    page.get_by_label("excused").check()
    page.get_by_label("Reason").fill("Doctor")
    page.get_by_role("button", name="Save").click()
    expect(row(page, students[0])).to_contain_text("Alice: Doctor")


def test_the_keyboard_is_enough(
    browser: Browser,
    server: LiveServer,
    math_session: ClassSession,
    students: list[Student],
    alice: User,
) -> None:
    page = connected(a_window(browser, server, alice), server, math_session)
    page.keyboard.press("j")
    expect(row(page, students[0])).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(row(page, students[1])).to_be_focused()
    page.keyboard.press("p")
    expect(row(page, students[1])).to_have_attribute("data-status", "present")
    expect(row(page, students[1])).to_be_focused()
    page.keyboard.press("u")
    expect(row(page, students[1])).to_have_attribute("data-status", "")
    page.keyboard.press("/")
    page.keyboard.type("hopper")
    expect(row(page, students[1])).to_be_hidden()
    page.keyboard.press("ArrowDown")
    expect(row(page, students[2])).to_be_focused()
    page.keyboard.press("e")
    page.keyboard.type("Surgery")
    page.keyboard.press("Enter")
    expect(row(page, students[2])).to_have_attribute("data-status", "excused")
    expect(row(page, students[2])).to_be_focused()


def test_a_lost_line_is_said_and_caught_up(
    browser: Browser,
    server: LiveServer,
    math_session: ClassSession,
    students: list[Student],
    alice: User,
) -> None:
    page = connected(a_window(browser, server, alice), server, math_session)
    page.context.set_offline(True)
    expect(page.get_by_role("status").filter(has_text="Connection lost")).to_be_visible()
    an_attendance(math_session, students[2])
    page.context.set_offline(False)
    expect(page.locator("#link")).to_have_text(
        "Connected again: everything is up to date.", timeout=30_000
    )
    expect(row(page, students[2])).to_have_attribute("data-status", "present")


def test_forms_alone_are_enough(
    browser: Browser,
    server: LiveServer,
    math_session: ClassSession,
    students: list[Student],
    alice: User,
) -> None:
    page = live(a_window(browser, server, alice, scripts=False), server, math_session)
    page.get_by_label("Name or number").fill("ada")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#rows > li:visible")).to_have_count(1)
    page.get_by_role("button", name="Present").click()
    expect(page.locator("#rows > li:visible")).to_have_count(1)
    expect(row(page, students[0])).to_contain_text("present")
    page.get_by_role("link", name="Change").click()
    form = page.locator("form").filter(has=page.get_by_label("late"))
    form.get_by_label("late").check()
    form.get_by_label("Reason").fill("Came at ten")
    form.get_by_role("button", name="Save").click()
    expect(row(page, students[0])).to_contain_text("Came at ten")
    row(page, students[0]).get_by_role("button", name="Undo").click()
    expect(row(page, students[0])).to_contain_text("present")
    assert Attendance.objects.get().status == "present"


def test_the_page_fits_a_phone(
    browser: Browser,
    server: LiveServer,
    math: Course,
    math_session: ClassSession,
    kiosk: Kiosk,
    alice: User,
) -> None:
    long = a_student("S-" + "9" * 40, "Wolfeschlegelsteinhausenbergerdorff " * 3, math)
    an_attendance(math_session, long, kiosk=kiosk)
    page = connected(a_window(browser, server, alice, viewport=PHONE), server, math_session)
    for view in ("List", "Grid"):
        follow(page.get_by_role("link", name=view, exact=True))
        assert width_of(page) == PHONE["width"]
