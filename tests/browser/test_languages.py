"""Somebody switches the language, and it stays: on the student's pages, at the desk, at a kiosk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from roster.models import ClassSession, Student
from tests.browser.test_kiosk_page import CHECK_IN_MS, DESKTOP, PHONE
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import an_account

PASSWORD = "correct horse battery"
CHINESE = "简体中文"


def switch(page: Page, language: str) -> None:
    follow(page.get_by_role("button", name=language, exact=True))


def log_in(page: Page, server: LiveServer, username: str) -> None:
    page.goto(f"{server.url}/accounts/login/")
    page.locator("#id_login").fill(username)
    page.locator("#id_password").fill(PASSWORD)
    follow(page.locator("main form button[type=submit]").first)


def lang(page: Page) -> str | None:
    return page.locator("html").get_attribute("lang")


def test_a_student_switches_the_language_and_it_follows_to_another_device(
    server: LiveServer, browser: Browser, eileen: Student
) -> None:
    ann = an_account("ann")
    ann.set_password(PASSWORD)
    ann.save()
    Student.objects.filter(pk=eileen.pk).update(user=ann)
    page = browser.new_context(viewport=PHONE, locale="en-GB").new_page()  # type: ignore[arg-type]
    log_in(page, server, "ann")
    assert lang(page) == "en"

    switch(page, CHINESE)
    expect(page.locator("h1")).to_have_text("您的账号")
    assert lang(page) == "zh-hans"
    for path in ("/", "/face/", "/me/attendance/", "/me/pass/", "/me/notices/", "/me/data/"):
        page.goto(server.url + path)
        assert lang(page) == "zh-hans", path
        assert width_of(page) <= PHONE["width"], path
    page.goto(f"{server.url}/me/attendance/")
    expect(page.locator("h1")).to_have_text("您的考勤")

    other = browser.new_context(viewport=DESKTOP, locale="en-GB").new_page()  # type: ignore[arg-type]
    log_in(other, server, "ann")
    assert lang(other) == "zh-hans"
    switch(other, "English")
    expect(other.locator("h1")).to_have_text("Your account")


def test_a_browser_that_asks_for_chinese_gets_it_at_once(
    server: LiveServer, browser: Browser
) -> None:
    page = browser.new_context(locale="zh-CN").new_page()
    page.goto(server.url)
    expect(page.locator("h1")).to_have_text("看一眼，完成考勤")
    switch(page, "English")
    page.reload()
    expect(page.locator("h1")).to_have_text("Attendance at a glance")


def test_a_lecturer_switches_the_desk_and_its_live_page(
    server: LiveServer, browser: Browser, alice: User, math_session: ClassSession, eileen: Student
) -> None:
    alice.set_password(PASSWORD)
    alice.save()
    page = browser.new_context(viewport=DESKTOP, locale="en-GB").new_page()  # type: ignore[arg-type]
    log_in(page, server, "alice")
    expect(page.locator("h1")).to_have_text("Lecturer’s desk")

    switch(page, CHINESE)
    expect(page.locator("h1")).to_have_text("教师工作台")
    page.goto(f"{server.url}/admin/checkin/attendance/live/{math_session.pk}/")
    expect(page.locator("#link")).to_have_text("实时：随到课情况更新。")
    # What the socket says, too: it is opened with the same cookie.
    expect(page.locator("#state")).to_have_text("现在开放")
    expect(page.locator("#live").get_by_text("Eileen Collins").first).to_be_visible()
    page.reload()
    assert lang(page) == "zh-hans"


def test_a_kiosk_switches_without_a_reload_and_keeps_camera_and_choice(
    server: LiveServer,
    browser_with_webcam: Callable[[Path], Browser],
    webcam_clip: Path,
    token: str,
    math_session: ClassSession,
    complaints: Callable[[Page], list[str]],
) -> None:
    page = browser_with_webcam(webcam_clip).new_context(viewport=DESKTOP).new_page()  # type: ignore[arg-type]
    heard = complaints(page)
    page.goto(f"{server.url}/kiosk/#{token}")
    link = page.locator('[data-slot="link"]')
    expect(link).to_contain_text("Connected")
    track = "document.querySelector('video').srcObject?.getVideoTracks()[0]"
    page.wait_for_function(f"{track}?.readyState === 'live'", timeout=CHECK_IN_MS)
    page.evaluate(f"window.track = {track}")

    page.get_by_role("button", name=CHINESE).click()
    expect(link).to_contain_text("已连接")
    assert lang(page) == "zh-hans"
    # The server's own sentences, by the new connection.
    page.wait_for_function(
        "/请/.test(document.querySelector('[data-slot=message]').textContent)", timeout=CHECK_IN_MS
    )
    expect(page.locator('[data-slot="sessions"]')).to_contain_text("应到")
    assert page.evaluate(f"window.track === {track} && window.track.readyState === 'live'")

    page.reload()
    expect(link).to_contain_text("已连接")
    expect(page.locator('[data-control="full-screen"]')).to_have_attribute("title", "全屏")
    page.get_by_role("button", name="English").click()
    expect(link).to_contain_text("Connected")
    expect(page.locator('[data-screen="idle"] h2')).to_have_text("No session is open")
    assert heard == []
