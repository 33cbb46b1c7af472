"""A real browser whose camera shows somebody doing what the screen asks for, at random."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect

from checkin.models import Attendance, CheckinAttempt
from checkin.virtual_kiosk import Performer
from recognition.engine.liveness.actions import Action
from recognition.engine.types import Embedding, Face
from roster.models import ClassSession, Course, LivenessPolicy, Student
from tests.support import pictures
from tests.support.live_server import LiveServer
from tests.support.pages import noted, width_of
from tests.support.school import a_template, an_account_of, logged_in_cookie

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
CHECK_IN_MS = 60_000
#: What the person reads off the screen is its icon; "once more" and "further" have those as well.
ACTION_OF_ICON = {
    **{f"hint-{action}": action for action in Action},
    "hint-blink": Action.BLINK_ONCE,
}

#: The camera of the page: pictures that `nextPicture` gives for what the screen shows just then.
#: Each is shown at the moment whose picture it is, however long it took to be made.
CAMERA = """
(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [640, 480];
    const context = canvas.getContext("2d");
    const draw = async () => {
        const icon = document.querySelector(".message use, .own-say use");
        const phase = document.querySelector("[data-phase]")?.dataset.phase ?? "";
        const shown = icon?.getAttribute("href")?.split("#")[1] ?? "";
        const due = performance.now() + 110;
        const picture = await window.nextPicture(due / 1000, phase, shown);
        const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes]));
        setTimeout(() => {
            context.drawImage(bitmap, 0, 0);
            draw();
        }, due - performance.now());
    };
    let drawing = null;
    navigator.mediaDevices.getUserMedia = async () => {
        drawing ??= draw();
        return canvas.captureStream(15);
    };
})();
"""


class Actor:
    """Somebody before a page's camera, who reads the screen; ``asked`` is what it has shown."""

    def __init__(self, context: BrowserContext, face: Face) -> None:
        self._performer = Performer(pictures.astronaut(), landmarks=face.landmarks)
        self.asked: set[Action] = set()
        context.expose_function("nextPicture", self._next_picture)
        context.add_init_script(CAMERA)

    def _next_picture(self, time_s: float, phase: str, icon: str) -> str:
        action = ACTION_OF_ICON.get(icon)
        asked = {"action": action, "number": 0} if action else None
        if action:
            self.asked.add(action)
        picture = self._performer(time_s, {"phase": phase, "asked": asked})
        return base64.b64encode(picture).decode()


@pytest.fixture
def challenged(math: Course, eileen: Student, astronaut_embedding: Embedding) -> Course:
    """The course asks for two actions; Eileen is enrolled in it."""
    math.liveness = LivenessPolicy.CHALLENGE
    math.own_device = True
    math.save()
    a_template(eileen, astronaut_embedding)
    return math


@pytest.fixture
def page_with_actor(
    browser: Browser, astronaut_face: Face
) -> Callable[[dict[str, int]], tuple[Page, Actor]]:
    def open_page(viewport: dict[str, int]) -> tuple[Page, Actor]:
        context = browser.new_context(viewport=viewport)  # type: ignore[arg-type]
        actor = Actor(context, astronaut_face)
        return context.new_page(), actor

    return open_page


@pytest.mark.parametrize(
    ("viewport", "level", "count"),
    [(DESKTOP, LivenessPolicy.CHALLENGE, 2), (PHONE, LivenessPolicy.STRICT, 3)],
    ids=["desktop", "phone, strict"],
)
def test_who_does_what_the_kiosk_asks_for_sees_their_name(
    server: LiveServer,
    page_with_actor: Callable[[dict[str, int]], tuple[Page, Actor]],
    token: str,
    math_session: ClassSession,
    eileen: Student,
    challenged: Course,
    viewport: dict[str, int],
    level: LivenessPolicy,
    count: int,
    complaints: Callable[[Page], list[str]],
) -> None:
    challenged.liveness = level
    challenged.save()
    page, actor = page_with_actor(viewport)
    heard = complaints(page)
    said = noted(page, '[data-slot="message"]')
    page.goto(f"{server.url}/kiosk/#{token}")

    expect(page.locator('[data-slot="steps"] li')).to_have_count(count, timeout=CHECK_IN_MS)
    assert width_of(page) <= viewport["width"]
    verdict = page.locator('[data-slot="verdict"]')
    expect(verdict).to_contain_text("Eileen Collins", timeout=CHECK_IN_MS)
    expect(verdict).to_contain_text("Present")
    assert Attendance.objects.get().student == eileen
    trace = CheckinAttempt.objects.get(outcome="present").liveness
    done = [Action(deed["action"]) for deed in trace["actions"]]
    assert " ".join(done) == trace["challenge"]
    assert len(done) == count
    assert set(done) <= actor.asked
    assert ("Stay like this" in said()) is (level is LivenessPolicy.STRICT)
    assert heard == []


def test_who_does_what_the_own_telephone_asks_for_is_present(
    server: LiveServer,
    page_with_actor: Callable[[dict[str, int]], tuple[Page, Actor]],
    math_session: ClassSession,
    eileen: Student,
    challenged: Course,
    complaints: Callable[[Page], list[str]],
) -> None:
    page, actor = page_with_actor(PHONE)
    cookie = logged_in_cookie(an_account_of(eileen))
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": server.url}]
    )
    heard = complaints(page)
    said = noted(page, '[data-slot="message"]')
    page.goto(f"{server.url}/me/check-in/{math_session.pk}/")
    page.get_by_role("button", name="Start the camera").click()

    notice = page.locator('[data-screen="notice"]')
    expect(notice).to_contain_text("Present", timeout=CHECK_IN_MS)
    assert Attendance.objects.get().student == eileen
    assert len(actor.asked) >= 2
    assert "One moment" in said()
    assert heard == []
