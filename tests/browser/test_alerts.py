"""A stranger's alert in a real browser: the live page tells of it, the lecturer decides."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connection
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from checkin.alerts.models import Alert
from checkin.alerts.services import note_stranger
from checkin.models import Attendance, Kiosk
from recognition.engine.types import Embedding
from roster.models import ClassSession, Student
from tests.support import pictures
from tests.support.live_server import LiveServer
from tests.support.school import MODEL_ID, an_attempt, logged_in_cookie


def stranger_comes(kiosk: Kiosk, session: ClassSession, embedding: Embedding) -> None:
    """In a thread of its own, as at a kiosk: the browser's loop runs in this one."""
    try:
        attempt = an_attempt(kiosk, session, model_id=MODEL_ID)
        note_stranger(
            kiosk=kiosk,
            session=session,
            attempt=attempt,
            embedding=embedding,
            picture=pictures.portrait(),
            at=attempt.at,
        )
    finally:
        connection.close()


def test_a_lecturer_says_who_the_stranger_is_and_marks_them(
    browser: Browser,
    server: LiveServer,
    alice: User,
    eileen: Student,
    kiosk: Kiosk,
    math_session: ClassSession,
    astronaut_embedding: Embedding,
    complaints: Callable[[Page], list[str]],
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.add_cookies(
        [{"name": "sessionid", "value": logged_in_cookie(alice), "url": server.url}]
    )
    page = context.new_page()
    heard = complaints(page)
    page.goto(f"{server.url}/admin/checkin/attendance/live/{math_session.pk}/")
    expect(page.locator("#link")).to_have_attribute("data-link", "open")
    expect(page.locator("#alerts")).to_be_hidden()

    with ThreadPoolExecutor(1) as kiosks:
        kiosks.submit(stranger_comes, kiosk, math_session, astronaut_embedding).result()
    page.get_by_role("link", name="1 alert waits").click()
    page.locator("#result_list").get_by_role("link", name="stranger").click()
    picture = page.get_by_role("img", name="Who stood before the kiosk")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 100

    page.get_by_label("This is").select_option(label=str(eileen))
    page.get_by_role("button", name="This is who it is").click()
    expect(page.get_by_text("The picture was deleted with the decision.")).to_be_visible()
    page.get_by_role("link", name="Mark in this session").click()
    page.get_by_label("present", exact=True).check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#count-present")).to_have_text("1")

    assert Attendance.objects.get().student == eileen
    alert = Alert.objects.get()
    assert (alert.decision, alert.student, alert.decided_by) == ("identified", eileen, alice)
    assert heard == []
