"""The own record at the kiosk: nobody reads another's, and nobody learns who is on the roster."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from checkin.look_up.services import student_with_number
from checkin.passes.models import EntryPass, PassUse
from checkin.passes.services import ONE_TIME_PREFIX, rotating_payload
from checkin.services import revoke_kiosk
from checkin.views import KIOSK_COOKIE
from checkin.virtual_kiosk import as_jpeg
from tests.support.school import a_course, a_session, a_student, an_attendance, enrol_in
from tests.support.shown_pass import jpeg_with

pytestmark = pytest.mark.django_db

PAGE, READ = "kiosk-look-up", "kiosk-look-up-read"
ONE_TIME = ONE_TIME_PREFIX + "A" * 32


@pytest.fixture
def at_kiosk(token):
    client = Client()
    client.cookies[KIOSK_COOKIE] = token
    return client


@pytest.fixture
def dmitri_here(math, dmitri):
    """Dmitri studies MATH too."""
    enrol_in(math, dmitri)
    return dmitri


@pytest.fixture
def one_time(eileen):
    """Eileen's mailed pass."""
    now = timezone.now()
    return EntryPass.objects.create(
        student=eileen,
        code_hash=hashlib.sha256(ONE_TIME.encode()).hexdigest(),
        issued_at=now,
        expires_at=now + timedelta(days=1),
    )


def read(client, number, jpeg, status=200):
    frame = SimpleUploadedFile("frame.jpg", jpeg, "image/jpeg")
    response = client.post(reverse(READ), {"number": number, "frame": frame})
    assert response.status_code == status
    return response.json()


def shows(client, number, payload):
    return read(client, number, jpeg_with(payload))


def rotating(student, session, at=None):
    return rotating_payload(student=student, session=session, at=at or timezone.now())


def held(course, day, **fields):
    """A closed session, so many days ago."""
    begun = timezone.now() - timedelta(days=day)
    return a_session(course, starts_at=begun, closed_at=begun + timedelta(hours=2), **fields)


# The record


def test_number_and_own_pass_show_the_own_record(
    at_kiosk, math, math_session, room_101, eileen, dmitri_here
):
    math.required_percentage = 80
    math.save()
    first, second, third = (held(math, day, room=room_101) for day in (21, 14, 7))
    an_attendance(first, eileen)
    an_attendance(second, eileen, status="absent", arrived_at=None)
    an_attendance(third, eileen, status="late")
    an_attendance(first, dmitri_here)
    answer = shows(at_kiosk, "S-1", rotating(eileen, math_session))
    assert answer["state"] == "shown"
    record = answer["record"]
    assert record["name"] == "Eileen Collins"
    [course] = record["courses"]
    assert (course["code"], course["percentage"], course["below"]) == ("MATH", "66.6 %", True)
    assert course["attended"] == "2 of 3 sessions"
    assert [row["status"] for row in record["sessions"]] == ["late", "absent", "present"]
    assert "Dmitri" not in str(answer)


def test_only_courses_of_this_kiosk_are_shown(at_kiosk, math_session, room_102, eileen):
    elsewhere = a_course("BIO")
    enrol_in(elsewhere, eileen)
    an_attendance(held(elsewhere, 3, room=room_102), eileen)
    record = shows(at_kiosk, "S-1", rotating(eileen, math_session))["record"]
    assert [course["code"] for course in record["courses"]] == ["MATH"]
    assert record["courses"][0]["percentage"] is None
    assert record["sessions"] == []


def test_times_are_those_of_the_courses_zone(at_kiosk, math, math_session, room_101, eileen):
    math.timezone = "Asia/Tokyo"
    math.save()
    session = held(math, 7, room=room_101)
    an_attendance(session, eileen)
    session.course.refresh_from_db()
    [row] = shows(at_kiosk, "S-1", rotating(eileen, math_session))["record"]["sessions"]
    arrived = timezone.localtime(session.starts_at, math.zone)
    assert row["time"] == f"{arrived:%H:%M}" != f"{session.starts_at:%H:%M}"


def test_a_pass_shows_the_record_once(at_kiosk, math_session, eileen, one_time):
    assert shows(at_kiosk, "S-1", ONE_TIME)["state"] == "shown"
    assert PassUse.objects.get().student == eileen
    assert shows(at_kiosk, "S-1", ONE_TIME)["state"] == "refused"


def test_a_used_mailed_pass_is_replaced(
    at_kiosk, math_session, eileen, one_time, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        assert shows(at_kiosk, "S-1", ONE_TIME)["state"] == "shown"
    one_time.refresh_from_db()
    assert one_time.used_at is not None
    assert EntryPass.objects.get(used_at=None).student == eileen


# Nobody else's, and no oracle


def test_every_wrong_pair_is_answered_alike(
    at_kiosk, math_session, eileen, dmitri_here, one_time, settings
):
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "look_up_wrong": "99/m/key"}
    now = timezone.now()
    pairs = [
        ("S-1", rotating(dmitri_here, math_session)),
        ("S-2", ONE_TIME),
        ("S-77", ONE_TIME),
        ("S-77", rotating(eileen, math_session)),
        ("", ONE_TIME),
        ("S-1", ONE_TIME_PREFIX + "B" * 32),
        ("S-1", rotating(eileen, math_session, now - timedelta(minutes=5))),
        ("%", ONE_TIME),
    ]
    answers = [shows(at_kiosk, number, payload) for number, payload in pairs]
    assert {answer["state"] for answer in answers} == {"refused"}
    assert len({answer["message"] for answer in answers}) == 1
    assert "Eileen" not in str(answers)
    # A wrong number costs the owner of the pass nothing.
    assert PassUse.objects.count() == 0
    assert shows(at_kiosk, "S-1", ONE_TIME)["state"] == "shown"


def test_without_a_pass_the_number_says_nothing(at_kiosk, math_session, eileen):
    grey = as_jpeg(np.full((480, 640, 3), 128, np.uint8))
    known, unknown = read(at_kiosk, "S-1", grey), read(at_kiosk, "S-77", grey)
    assert known == unknown
    assert known["state"] == "looking"


def test_a_code_of_something_else_is_said_so_and_not_counted(at_kiosk, math_session, eileen):
    for number in ("S-1", "S-77") * 4:
        answer = shows(at_kiosk, number, "HTTPS://EXAMPLE.EDU")
        assert answer == {"state": "looking", "message": "This is no Rollcall pass"}
    assert shows(at_kiosk, "S-1", rotating(eileen, math_session))["state"] == "shown"


def test_five_wrong_passes_make_a_pause_also_for_the_right_one(
    at_kiosk, math_session, eileen, one_time
):
    wrong = ONE_TIME_PREFIX + "B" * 32
    assert [shows(at_kiosk, "S-1", wrong)["state"] for _try in range(6)] == [
        *["refused"] * 5,
        "paused",
    ]
    assert shows(at_kiosk, "S-1", ONE_TIME)["state"] == "paused"
    one_time.refresh_from_db()
    assert one_time.used_at is None


@pytest.mark.parametrize("junk", [b"GIF89a", b"\xff\xd8\xff\xe0 broken", b"x" * 500_000])
def test_what_is_no_picture_is_as_good_as_none(at_kiosk, math_session, eileen, junk):
    assert read(at_kiosk, "S-1", junk)["state"] == "looking"


@pytest.mark.parametrize(
    ("typed", "found"),
    [("S-1", True), ("s-1", True), (" S-1 ", True), ("S", False), ("", False), ("S_1", False)],
)
def test_a_number_is_found_as_it_can_be_typed(eileen, typed, found):
    assert (student_with_number(typed) == eileen) is found


def test_numbers_that_differ_in_capitals_only_must_be_typed_exactly(math):
    small, large = a_student("ab1", "Small", math), a_student("AB1", "Large", math)
    assert student_with_number("ab1") == small
    assert student_with_number("AB1") == large
    assert student_with_number("Ab1") is None


# Who gets to the page


def test_the_page_is_the_kiosks_and_is_not_kept(at_kiosk, math_session):
    page = at_kiosk.get(reverse(PAGE))
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    assert "no-store" in at_kiosk.post(reverse(READ), {"number": "S-1"})["Cache-Control"]


def test_without_a_kiosk_there_is_no_look_up(at_kiosk, kiosk, math_session, eileen, one_time):
    stranger = Client()
    assert stranger.get(reverse(PAGE)).url == reverse("kiosk")
    assert read(stranger, "S-1", jpeg_with(ONE_TIME), status=403)["state"] == "refused"
    revoke_kiosk(kiosk)
    assert at_kiosk.get(reverse(PAGE)).url == reverse("kiosk")
    assert read(at_kiosk, "S-1", jpeg_with(ONE_TIME), status=403)["state"] == "refused"


def test_another_sites_form_reads_nothing(token, math_session, eileen, one_time):
    client = Client(enforce_csrf_checks=True)
    client.cookies[KIOSK_COOKIE] = token
    frame = SimpleUploadedFile("frame.jpg", jpeg_with(ONE_TIME), "image/jpeg")
    answer = client.post(reverse(READ), {"number": "S-1", "frame": frame})
    assert answer.status_code == 403
    assert PassUse.objects.count() == 0


def test_logs_hold_no_number_and_no_name(at_kiosk, math_session, eileen, one_time, caplog):
    with caplog.at_level("INFO"):
        shows(at_kiosk, "S-1", ONE_TIME_PREFIX + "B" * 32)
        shows(at_kiosk, "S-1", ONE_TIME)
    assert "looked up" in caplog.text
    assert not any(word in caplog.text for word in ("S-1", "Eileen", ONE_TIME))
