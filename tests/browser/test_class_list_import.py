"""A lecturer brings a class list of 200 students, three of them wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from roster.models import Course
from tests.support.live_server import LiveServer
from tests.support.pages import noted
from tests.support.waiting import until


@pytest.fixture
def class_list(tmp_path: Path) -> Path:
    rows = [[f"S-{number}", f"Student {number}", ""] for number in range(1, 201)]
    rows[9][2] = "not-an-address"
    rows[99][1] = ""
    rows[199][0] = ""
    file = tmp_path / "spring.csv"
    with file.open("w", newline="") as content:
        csv.writer(content).writerows([["student_id", "name", "email"], *rows])
    return file


@pytest.fixture
def desk(browser: Browser, server: LiveServer, as_alice: Client) -> Page:
    """Alice, logged in."""
    context = browser.new_context(base_url=server.url, accept_downloads=True)
    session = as_alice.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": server.url}]
    )
    return context.new_page()


def choose(page: Page, file: Path) -> None:
    fill_in(page, file)
    page.get_by_role("button", name="Show what changes").click()


def fill_in(page: Page, file: Path) -> None:
    page.goto("/admin/roster/courseenrolment/import/")
    page.get_by_label("Course").select_option(label="MATH Linear Algebra")
    page.get_by_label("File:", exact=True).set_input_files(file)


@pytest.mark.django_db(transaction=True)
def test_a_lecturer_sees_three_bad_rows_explained_and_imports_the_good_ones(
    desk: Page,
    math: Course,
    class_list: Path,
    tmp_path: Path,
    complaints: Callable[[Page], list[str]],
) -> None:
    heard = complaints(desk)
    choose(desk, class_list)
    expect(desk.get_by_role("heading", name="3 rows need a correction")).to_be_visible()
    expect(desk.get_by_role("row", name="11 email not-an-address")).to_be_visible()
    expect(desk.get_by_role("row", name="101 name")).to_be_visible()
    expect(desk.get_by_role("row", name="201 student_id")).to_be_visible()
    assert not math.enrolments.exists()

    with desk.expect_download() as download:
        desk.get_by_role("link", name="Download the 3 bad rows").click()
    bad = tmp_path / "bad-rows.csv"
    download.value.save_as(bad)
    desk.get_by_role("button", name="Import the 197 good rows").click()
    expect(desk.locator(".messagelist")).to_contain_text("197 new")
    expect(desk.get_by_role("row", name="spring.csv")).to_contain_text("197")
    assert math.enrolments.count() == 197

    text = bad.read_text("utf-8-sig").replace("not-an-address", "ten@example.edu")
    bad.write_text(text.replace("S-100,,", "S-100,Student 100,").replace("\n,", "\nS-200,"))
    choose(desk, bad)
    desk.get_by_role("button", name="Import 3 rows").click()
    expect(desk.locator(".messagelist")).to_contain_text("3 new")
    assert math.enrolments.count() == 200
    assert heard == []


@pytest.mark.django_db(transaction=True)
def test_a_long_file_shows_how_far_it_is_read_and_leaving_the_page_does_not_stop_it(
    desk: Page, math: Course, tmp_path: Path
) -> None:
    file = tmp_path / "long.csv"
    rows = "".join(f"S-{number},Student {number},\n" for number in range(20_000))
    file.write_text(f"student_id,name,email\n{rows}")
    # The page that waits is gone when the answer comes: it notes what it says, and the answer is
    # held back until it has asked again.
    said = noted(desk, ".import-progress:not([hidden]) p")
    fill_in(desk, file)
    answers: list[dict[str, Any]] = []
    chromium = desk.context.new_cdp_session(desk)
    chromium.on("Fetch.requestPaused", lambda answer: answers.append(answer))
    held = {"urlPattern": "*/import/", "requestStage": "Response"}
    chromium.send("Fetch.enable", {"patterns": [held]})
    desk.get_by_role("button", name="Show what changes").click(no_wait_after=True)
    while not answers:
        desk.wait_for_timeout(50)
    for _ in range(3):
        desk.wait_for_event("requestfinished", lambda asked: "/progress/" in asked.url)
    chromium.send("Fetch.continueResponse", {"requestId": answers[0]["requestId"]})
    chromium.detach()
    expect(desk.get_by_role("button", name="Import 20000 rows")).to_be_visible()
    assert "Reading the file" in said()
    assert "20,000 of 20,000 rows checked" in said()

    job = desk.locator("[name=progress_id]").input_value()
    desk.evaluate("setTimeout(() => document.querySelector('form[data-progress]').submit())")
    progress = f"/admin/roster/courseenrolment/import/progress/{job}/"
    until(lambda: desk.context.request.get(progress).json() != {})
    desk.goto("about:blank")
    until(LogEntry.objects.exists)
    assert math.enrolments.count() == 20_000
    desk.goto("/admin/roster/courseenrolment/import/")
    expect(desk.get_by_role("row", name="long.csv")).to_contain_text("20000")
