"""Nothing that says something about a person is kept for ever."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from checkin.models import Attendance, CheckinAttempt, Kiosk
from recognition.models import Consent, FaceTemplate
from recognition.services import revoke_template
from roster.models import ClassSession, CourseEnrolment, Student
from tests.support.face_samples import an_embedding
from tests.support.school import a_consent, a_template, an_attempt, an_attendance

NOW = timezone.now()


def purge_expired(*options: str) -> str:
    told = io.StringIO()
    call_command("purge_expired", *options, stdout=told)
    return told.getvalue()


@pytest.fixture(autouse=True)
def _periods(settings: Settings) -> None:
    settings.ATTEMPT_RETENTION_DAYS = 90
    settings.TEMPLATE_RETENTION_DAYS = 30
    settings.RECORD_RETENTION_DAYS = 1000


@pytest.fixture
def template(eileen: Student) -> FaceTemplate:
    return a_template(eileen, an_embedding(1))


def days_ago(days: float) -> object:
    return NOW - timedelta(days=days)


def test_attempts_go_after_their_period_and_not_before(
    kiosk: Kiosk, math_session: ClassSession
) -> None:
    an_attempt(kiosk, math_session, at=days_ago(91))
    kept = an_attempt(kiosk, math_session, at=days_ago(89))

    assert "check-in attempts: 1 deleted" in purge_expired()
    assert list(CheckinAttempt.objects.all()) == [kept]


def test_attendance_outlives_its_attempts(math_session: ClassSession, eileen: Student) -> None:
    ClassSession.objects.update(starts_at=days_ago(999.2), ends_at=days_ago(999))
    an_attendance(math_session, eileen)

    purge_expired()
    assert Attendance.objects.count() == 1
    ClassSession.objects.update(starts_at=days_ago(1001.2), ends_at=days_ago(1001))
    purge_expired()
    assert not Attendance.objects.exists()


def test_a_revoked_template_goes(template: FaceTemplate) -> None:
    revoke_template(template)
    purge_expired()
    assert FaceTemplate.objects.count() == 1

    FaceTemplate.objects.update(revoked_at=days_ago(91))
    purge_expired()
    assert not FaceTemplate.objects.exists()


@pytest.mark.parametrize(
    ("left_days_ago", "kept"), [(None, True), (29, True), (32, False)], ids=str
)
def test_the_template_of_a_student_who_has_left_every_course_goes(
    template: FaceTemplate, left_days_ago: int | None, kept: bool
) -> None:
    FaceTemplate.objects.update(created_at=days_ago(200))
    if left_days_ago is not None:
        left_on = (NOW - timedelta(days=left_days_ago)).date()
        CourseEnrolment.objects.update(left_on=left_on)

    purge_expired()
    assert FaceTemplate.objects.exists() is kept


def test_a_withdrawn_consent_is_kept_as_a_record_for_its_time(eileen: Student) -> None:
    consent = a_consent(eileen)
    Consent.objects.filter(pk=consent.pk).update(withdrawn_at=days_ago(999))
    purge_expired()
    assert Consent.objects.exists()

    Consent.objects.update(withdrawn_at=days_ago(1001))
    purge_expired()
    assert not Consent.objects.exists()


def test_a_dry_run_counts_and_deletes_nothing(kiosk: Kiosk, math_session: ClassSession) -> None:
    an_attempt(kiosk, math_session, at=days_ago(91))

    assert "check-in attempts: 1 past 90 days would go" in purge_expired("--dry-run")
    assert CheckinAttempt.objects.count() == 1
