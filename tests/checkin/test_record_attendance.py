"""One arrival, once, for the right session, checked again at the moment of writing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from checkin.services import CheckinResult, Evidence, record_attempt, record_attendance
from recognition.models import FaceTemplate
from recognition.services import revoke_template, withdraw_consent
from roster.models import ClassSession, CourseEnrolment
from tests.support.face_samples import an_embedding
from tests.support.school import a_session, a_template, an_attendance, enrol_in, utc

NINE = utc(2026, 3, 2, 9)
EVIDENCE = Evidence(
    model_id="dlib-resnet-v1",
    gallery_size=30,
    similarity=0.971,
    runner_up=0.902,
    threshold=0.94,
    liveness={"challenge": "blink_once", "blink": {"closed_ms": 180}},
)


@pytest.fixture
def session(math, room_101):
    """09:00 to 10:30, late from 09:10."""
    return a_session(math, room=room_101, starts_at=NINE, ends_at=NINE + timedelta(minutes=90))


@pytest.fixture
def template(eileen):
    return a_template(eileen, an_embedding(1))


@pytest.fixture
def arrive(kiosk: Kiosk, template: FaceTemplate):
    def arrive(*sessions: ClassSession, at=NINE, of: FaceTemplate = template) -> CheckinResult:
        return record_attendance(
            kiosk=kiosk, sessions=sessions, template_id=of.pk, evidence=EVIDENCE, at=at
        )

    return arrive


def test_who_comes_in_time_is_present(arrive, session, eileen, kiosk):
    result = arrive(session)
    assert result.outcome is Outcome.PRESENT
    row = Attendance.objects.get()
    assert row == result.attendance
    assert (row.session, row.student, row.kiosk) == (session, eileen, kiosk)
    assert (row.status, row.method) == ("present", "face")
    assert (row.arrived_at, row.left_at) == (NINE, None)


def test_who_comes_early_is_present(arrive, session):
    assert arrive(session, at=NINE - timedelta(minutes=15)).outcome is Outcome.PRESENT


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (timedelta(minutes=10) - timedelta(microseconds=1), Outcome.PRESENT),
        (timedelta(minutes=10), Outcome.LATE),
        (timedelta(minutes=89), Outcome.LATE),
    ],
)
def test_who_comes_from_the_tenth_minute_on_is_late(arrive, session, after, outcome):
    assert arrive(session, at=NINE + after).outcome is outcome
    assert Attendance.objects.get().status == outcome


def test_second_scan_keeps_the_first_arrival_time_and_status(arrive, session):
    first = arrive(session)
    second = arrive(session, at=NINE + timedelta(minutes=30))
    assert second.outcome is Outcome.ALREADY
    assert second.attendance == first.attendance
    row = Attendance.objects.get()
    assert (row.status, row.arrived_at) == ("present", NINE)


def test_a_row_written_by_hand_is_kept(arrive, session, eileen):
    an_attendance(session, eileen, status="excused", method="manual", arrived_at=None)
    assert arrive(session).outcome is Outcome.ALREADY
    row = Attendance.objects.get()
    assert (row.status, row.method) == ("excused", "manual")


def test_a_template_revoked_meanwhile_identifies_nobody(arrive, session, template):
    revoke_template(template)
    assert arrive(session).outcome is Outcome.UNKNOWN
    assert Attendance.objects.count() == 0
    attempt = CheckinAttempt.objects.get()
    assert (attempt.reason, attempt.student) == ("template_revoked", None)


def test_consent_withdrawn_meanwhile_identifies_nobody(arrive, session, template, eileen):
    withdraw_consent(student=eileen)
    assert arrive(session, of=template).outcome is Outcome.UNKNOWN
    assert Attendance.objects.count() == 0


@pytest.mark.parametrize("at", [NINE - timedelta(minutes=16), NINE + timedelta(minutes=90)])
def test_a_session_that_is_not_open_takes_nobody(arrive, session, at):
    assert arrive(session, at=at).outcome is Outcome.SESSION_CLOSED
    assert Attendance.objects.count() == 0


def test_a_session_closed_meanwhile_takes_nobody(arrive, session):
    ClassSession.objects.update(closed_at=NINE)
    assert arrive(session).outcome is Outcome.SESSION_CLOSED
    assert Attendance.objects.count() == 0


def test_a_session_deleted_meanwhile_takes_nobody(arrive, session):
    ClassSession.objects.all().delete()
    assert arrive(session).outcome is Outcome.SESSION_CLOSED


def test_who_left_the_class_meanwhile_is_not_enrolled(arrive, session):
    CourseEnrolment.objects.update(left_on=NINE.date())
    assert arrive(session).outcome is Outcome.NOT_ENROLLED
    assert Attendance.objects.count() == 0


def test_of_two_open_sessions_the_attendance_goes_where_the_student_is_enrolled(
    arrive, session, chem
):
    earlier = a_session(chem, starts_at=NINE - timedelta(minutes=5))
    result = arrive(earlier, session)
    assert result.outcome is Outcome.PRESENT
    assert Attendance.objects.get().session == session


def test_who_is_in_both_classes_is_recorded_in_the_first_then_the_second_then_already(
    arrive, session, chem, eileen
):
    enrol_in(chem, eileen)
    second = a_session(chem, starts_at=NINE + timedelta(minutes=5))
    sessions = (second, session)
    results = [arrive(*sessions) for _ in range(3)]
    assert [result.outcome for result in results] == ["present", "present", "already"]
    assert [result.attendance.session for result in results] == [session, second, second]
    assert Attendance.objects.count() == 2


def test_a_closed_session_of_two_is_passed_over(arrive, session, chem, eileen):
    enrol_in(chem, eileen)
    second = a_session(chem, starts_at=NINE)
    ClassSession.objects.filter(pk=session.pk).update(closed_at=NINE)
    assert arrive(session, second).attendance.session == second


def test_an_attempt_keeps_the_figures_behind_the_decision(arrive, session, template, eileen, kiosk):
    arrive(session)
    attempt = CheckinAttempt.objects.get()
    assert (attempt.outcome, attempt.reason, attempt.at) == ("present", "", NINE)
    assert (attempt.kiosk, attempt.session) == (kiosk, session)
    assert (attempt.student, attempt.template) == (eileen, template)
    assert (attempt.model_id, attempt.gallery_size) == ("dlib-resnet-v1", 30)
    assert (attempt.similarity, attempt.runner_up, attempt.threshold) == (0.971, 0.902, 0.94)
    assert attempt.liveness == {"challenge": "blink_once", "blink": {"closed_ms": 180}}


def test_every_scan_leaves_an_attempt(arrive, session):
    arrive(session)
    arrive(session)
    outcomes = CheckinAttempt.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["present", "already"]


def test_a_refusal_names_nobody(kiosk, session):
    record_attempt(
        kiosk=kiosk,
        outcome=Outcome.SPOOF,
        reason="no_blink",
        evidence=EVIDENCE,
        at=timezone.now(),
        session=session,
    )
    attempt = CheckinAttempt.objects.get()
    assert (attempt.student, attempt.template) == (None, None)
    assert (attempt.outcome, attempt.reason, attempt.session) == ("spoof", "no_blink", session)
