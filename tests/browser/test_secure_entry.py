"""Face and pass at the door: the webcam shows a face, then the pass out of the mail."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from django.utils import timezone
from PIL import Image as PillowImage
from playwright.sync_api import Browser, Locator, Page, expect

from checkin.alerts.mail import send_due_alerts
from checkin.alerts.models import Alert
from checkin.models import Attendance, CheckinAttempt
from checkin.passes.services import issue_pass
from checkin.virtual_kiosk import as_jpeg
from recognition.engine.synthesis import entry_clip
from recognition.engine.types import Embedding, Face, Image
from recognition.workers import worker_pool
from roster.models import ClassSession, EntryPolicy, Student
from tests.support import pictures
from tests.support.cards import card, picture_in, unknown_pass
from tests.support.letterbox import Letterbox
from tests.support.live_server import LiveServer
from tests.support.pages import noted
from tests.support.school import a_session, a_template
from tests.support.waiting import until

DESKTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
CHECK_IN_MS = 60_000
#: Chromium plays a clip at this rate, whatever it was made for.
WEBCAM_FPS = 30
CARD_S = 1.2

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Door:
    """A kiosk page before a webcam that plays a clip."""

    page: Page
    #: Everything that its message has said.
    said: Callable[[], str]

    @property
    def verdict(self) -> Locator:
        return self.page.locator('[data-slot="verdict"]')

    @property
    def not_me(self) -> Locator:
        return self.page.get_by_role("button", name="Not me")


@pytest.fixture
def enrolled(eileen: Student, astronaut_embedding: Embedding) -> Student:
    a_template(eileen, astronaut_embedding)
    return eileen


@pytest.fixture
def strict(math_session: ClassSession) -> ClassSession:
    """Wants face and pass."""
    math_session.own_entry_policy = EntryPolicy.FACE_AND_PASS
    math_session.save()
    return math_session


@pytest.fixture
def clip_of(tmp_path: Path, astronaut_face: Face) -> Callable[[Sequence[Image]], Path]:
    def make(cards: Sequence[Image]) -> Path:
        clip = tmp_path / f"entry-{len(cards)}.mjpeg"
        frames = entry_clip(
            pictures.astronaut(),
            cards,
            landmarks=astronaut_face.landmarks,
            fps=WEBCAM_FPS,
            face_seconds=4.5,
            blinks_at=(2.2, 3.3),
            card_seconds=CARD_S,
        )
        clip.write_bytes(b"".join(as_jpeg(frame) for frame in frames))
        return clip

    return make


def open_door(browser: Browser, server: LiveServer, token: str, viewport: dict[str, int]) -> Door:
    page = browser.new_context(viewport=viewport).new_page()  # type: ignore[arg-type]
    door = Door(page, noted(page, '[data-slot="message"]'))
    page.goto(f"{server.url}/kiosk/#{token}")
    return door


def attachment_of(box: Letterbox, subject: str, kind: str) -> bytes:
    parts = box.wait_for(subject).walk()
    return next(part.get_content() for part in parts if part.get_content_type() == kind)


def test_a_face_and_the_pass_of_the_mail_are_granted_once_and_the_used_pass_is_refused(
    server: LiveServer,
    letterbox: Letterbox,
    browser_with_webcam: Callable[[Path], Browser],
    clip_of: Callable[[Sequence[Image]], Path],
    complaints: Callable[[Page], list[str]],
    token: str,
    strict: ClassSession,
    enrolled: Student,
) -> None:
    issue_pass(student=enrolled, by=None, at=timezone.now())
    mailed = picture_in(attachment_of(letterbox, "entry pass", "image/png"))
    browser = browser_with_webcam(clip_of([mailed]))
    door = open_door(browser, server, token, DESKTOP)
    heard = complaints(door.page)

    until(lambda: "Show your pass" in door.said())
    expect(door.page.locator("body")).not_to_contain_text("Eileen")
    expect(door.verdict).to_contain_text("Eileen Collins", timeout=CHECK_IN_MS)
    row = Attendance.objects.get()
    assert (row.student, row.session, row.method) == (enrolled, strict, "face_pass")
    expect(door.not_me).to_be_hidden()

    next_session = a_session(strict.course, room=strict.room, own_entry_policy="face_and_pass")
    strict.closed_at = timezone.now()
    strict.save()
    until(lambda: "This pass was used already" in door.said())
    attempt = CheckinAttempt.objects.filter(session=next_session).earliest("pk")
    assert (attempt.outcome, attempt.reason) == ("second_factor", "used")
    assert not Attendance.objects.filter(session=next_session).exists()
    assert heard == []


def test_five_wrong_passes_are_denied_and_the_lecturer_gets_a_mail_with_the_picture(
    server: LiveServer,
    letterbox: Letterbox,
    browser_with_webcam: Callable[[Path], Browser],
    clip_of: Callable[[Sequence[Image]], Path],
    token: str,
    strict: ClassSession,
    enrolled: Student,
) -> None:
    clip = clip_of([card(unknown_pass()) for _ in range(5)])
    door = open_door(browser_with_webcam(clip), server, token, PHONE)

    expect(door.verdict).to_contain_text("No entry", timeout=CHECK_IN_MS)
    assert "This pass is not known here" in door.said()
    expect(door.verdict).to_contain_text("Please go to your lecturer")
    expect(door.page.locator("body")).not_to_contain_text("Eileen")
    outcomes = CheckinAttempt.objects.filter(student=enrolled).order_by("pk")[:5]
    assert [one.outcome for one in outcomes] == [*["second_factor"] * 4, "denied"]

    # The server raises it after its answer, and its clock looks every 20 s: no need to wait.
    until(Alert.objects.exclude(sealed_picture=b"").exists)
    assert Alert.objects.get().kind == "denied"
    send_due_alerts(timezone.now())
    picture = attachment_of(letterbox, "passes", "image/jpeg")
    assert letterbox.wait_for("passes")["To"] == "alice@example.edu"
    width, _height = PillowImage.open(io.BytesIO(picture)).size
    assert width >= 200
    face = worker_pool().analyse_photo(picture).result().main_face
    assert face is not None
    own = enrolled.face_templates.get().vector()
    assert face.embedding is not None
    assert float(np.dot(face.embedding, own)) > 0.9
    assert not Attendance.objects.exists()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_not_me_is_offered_with_the_name_and_undoes_the_record(
    server: LiveServer,
    browser_with_webcam: Callable[[Path], Browser],
    webcam_clip: Path,
    complaints: Callable[[Page], list[str]],
    token: str,
    math_session: ClassSession,
    enrolled: Student,
    viewport: dict[str, int],
) -> None:
    door = open_door(browser_with_webcam(webcam_clip), server, token, viewport)
    heard = complaints(door.page)

    expect(door.page.locator('[data-slot="detail"]')).to_contain_text("Or hold your pass")
    expect(door.verdict).to_contain_text("Eileen Collins", timeout=CHECK_IN_MS)
    expect(door.verdict).to_contain_text("Not you? Press N")
    expect(door.not_me).to_be_visible()
    # The verdict goes after 2.5 s and the offer stays.
    expect(door.verdict.locator(".verdict-sheet")).to_be_hidden()
    expect(door.not_me).to_be_visible()
    assert Attendance.objects.exists()
    if viewport is DESKTOP:
        door.page.keyboard.press("n")
    else:
        door.not_me.click()
    expect(door.verdict).to_contain_text("Your lecturer will look into it.")
    expect(door.not_me).to_be_hidden()
    assert not Attendance.objects.exists()
    assert heard == []
