"""A lecturer imports the photos of a class in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from recognition.models import FaceTemplate
from roster.models import Course
from tests.support import pictures
from tests.support.archives import a_zip
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import a_consent, a_student

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
IMPORT_MS = 60_000


@pytest.fixture
def archive(math: Course, tmp_path: Path) -> Path:
    """Photos of one who has agreed, one who was not asked, and nobody."""
    a_consent(a_student("S-1001", "Ada Lovelace", math))
    a_student("S-1002", "Grace Hopper", math)
    files = {
        "S-1001.jpg": pictures.portrait(),
        "S-1002.jpg": pictures.portrait(),
        "coffee.jpg": pictures.nobody(),
    }
    path = tmp_path / "cohort.zip"
    path.write_bytes(a_zip(files).getvalue())
    return path


def desk(browser: Browser, server: LiveServer, user: User, **context: Any) -> Page:
    """A page of somebody who has logged in."""
    client = Client()
    client.force_login(user)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": server.url}
    opened = browser.new_context(**context)
    opened.add_cookies([cookie])  # type: ignore[list-item]
    return opened.new_page()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_lecturer_imports_photos_and_sees_who_can_be_recognised(
    server: LiveServer,
    browser: Browser,
    alice: User,
    archive: Path,
    viewport: dict[str, int],
    tmp_path: Path,
    complaints: Callable[[Page], list[str]],
) -> None:
    page = desk(browser, server, alice, viewport=viewport)
    heard = complaints(page)
    page.goto(f"{server.url}/admin/recognition/studentface/")
    follow(page.get_by_role("link", name="Import photos of a cohort"))
    page.get_by_label("Course").select_option(label="MATH Linear Algebra")

    wrong = tmp_path / "wrong.zip"
    wrong.write_text("no archive")
    page.get_by_label("ZIP of photos").set_input_files(wrong)
    page.get_by_role("button", name="Import").click()
    expect(page.locator(".errorlist")).to_contain_text("This is no ZIP file")

    page.get_by_label("ZIP of photos").set_input_files(archive)
    page.get_by_role("button", name="Import").click()
    expect(page.locator(".messagelist")).to_contain_text("3 of 3 photos done", timeout=IMPORT_MS)
    expect(page.locator("#coverage")).to_have_text("1 of 2 students can be recognised")
    expect(page.get_by_role("table")).to_contain_text("waits for the student's consent")
    expect(page.get_by_role("table")).to_contain_text("has the number “coffee”")
    assert width_of(page) <= viewport["width"]

    with page.expect_download() as report:
        page.get_by_role("link", name="Download report").click()
    assert "Ada Lovelace,can be recognised" in report.value.path().read_text("utf-8-sig")
    assert heard == []
    assert FaceTemplate.objects.count() == 1


def test_without_scripts_the_same_is_told_on_reload(
    server: LiveServer, browser: Browser, alice: User, archive: Path
) -> None:
    page = desk(browser, server, alice, java_script_enabled=False)
    page.goto(f"{server.url}/admin/recognition/photoimport/add/")
    page.get_by_label("Course").select_option(label="MATH Linear Algebra")
    page.get_by_label("ZIP of photos").set_input_files(archive)
    page.get_by_role("button", name="Import").click()
    done = page.get_by_text("3 of 3 photos done")
    for _ask in range(60):
        if done.is_visible():
            break
        page.wait_for_timeout(1000)
        page.reload()
    expect(done).to_be_visible()
