"""Nothing that says something about a person is kept for ever."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.core.mail import EmailMessage, get_connection
from django.core.management import call_command
from django.utils import timezone
from post_office.models import STATUS, Email
from pytest_django import Settings

from accounts.models import User
from checkin.models import Attendance, CheckinAttempt, Kiosk
from checkin.retention import expired, purge
from recognition.cohort.models import PhotoImport, PhotoImportItem
from recognition.models import (
    Consent,
    FaceRegistration,
    FaceTemplate,
    RegistrationPhoto,
    Resemblance,
)
from recognition.registration import cancel_registration
from recognition.services import revoke_template
from roster.models import ClassSession, Course, CourseEnrolment, RosterClaim, Student
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_consent,
    a_student,
    a_template,
    an_attempt,
    an_attendance,
    enrol_in,
)
from tests.support.traces import tables_with
from tests.support.whole_life import (
    a_registration,
    an_account_of,
    an_imported_picture,
    live_a_whole_life,
)

NOW = timezone.now()
Status = FaceRegistration.Status


def purge_expired(*options: str) -> str:
    told = io.StringIO()
    call_command("purge_expired", *options, stdout=told)
    return told.getvalue()


@pytest.fixture(autouse=True)
def _periods(settings: Settings) -> None:
    settings.ATTEMPT_RETENTION_DAYS = 90
    settings.TEMPLATE_RETENTION_DAYS = 30
    settings.RECORD_RETENTION_DAYS = 1000
    settings.DRAFT_RETENTION_DAYS = 14
    settings.REGISTRATION_RETENTION_DAYS = 60
    settings.SIGN_UP_RETENTION_DAYS = 30
    settings.MAIL_RETENTION_DAYS = 7


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
    assert Student.objects.count() == 1


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


# Faces


def test_pictures_that_were_never_sent_in_go(eileen: Student) -> None:
    draft = a_registration(eileen, status=Status.DRAFT)
    FaceRegistration.objects.update(created_at=days_ago(13))
    purge_expired()
    assert draft.photos.count() == 1

    FaceRegistration.objects.update(created_at=days_ago(15))
    assert "unfinished face registrations: 1 deleted" in purge_expired()
    assert not FaceRegistration.objects.exists()
    assert not RegistrationPhoto.objects.exists()


@pytest.mark.parametrize("status", [Status.PENDING, Status.AWAITING_CONSENT])
def test_pictures_do_not_wait_for_ever_and_the_student_is_told(
    eileen: Student, status: FaceRegistration.Status, mailoutbox: list[EmailMessage]
) -> None:
    registration = a_registration(eileen, status=status)
    FaceRegistration.objects.update(created_at=days_ago(59), submitted_at=days_ago(59))
    purge_expired()
    assert registration.photos.count() == 1
    assert mailoutbox == []

    FaceRegistration.objects.update(created_at=days_ago(61), submitted_at=days_ago(61))
    purge_expired()
    registration.refresh_from_db()
    assert registration.status == Status.CANCELLED
    assert not RegistrationPhoto.objects.exists()
    (mail,) = mailoutbox
    assert mail.to == ["eileen@example.edu"]
    assert "waited for 60 days" in mail.body


def test_the_record_of_a_decision_goes_after_its_time(eileen: Student) -> None:
    registration = a_registration(eileen, status=Status.PENDING)
    cancel_registration(registration)
    FaceRegistration.objects.update(decided_at=days_ago(999))
    purge_expired()
    assert FaceRegistration.objects.exists()

    FaceRegistration.objects.update(decided_at=days_ago(1001))
    purge_expired()
    assert not FaceRegistration.objects.exists()


@pytest.mark.parametrize(("unfinished", "days"), [(True, 8), (False, 91)])
def test_an_import_of_photos_goes_with_its_verdicts(
    eileen: Student, math: Course, unfinished: bool, days: int
) -> None:
    photo_import = PhotoImport.objects.create(
        course=math, archive_name="class.zip", replaces_known=False
    )
    an_imported_picture(eileen, photo_import)
    purge_expired()
    assert PhotoImportItem.objects.exists()

    PhotoImport.objects.update(
        created_at=days_ago(days),
        **({} if unfinished else {"status": "finished", "finished_at": days_ago(days)}),
    )
    purge_expired()
    assert not PhotoImportItem.objects.exists()


def test_a_resemblance_goes_when_one_of_the_two_faces_is_gone(
    template: FaceTemplate, eileen: Student, dmitri: Student
) -> None:
    Resemblance.objects.create(
        student=eileen, other=dmitri, similarity=1, kind="same_face", found_at=days_ago(31)
    )
    other = a_template(dmitri, an_embedding(2))
    purge_expired()
    assert Resemblance.objects.exists()

    revoke_template(other)
    purge_expired()
    assert not Resemblance.objects.exists()


# Students and accounts


def left(student: Student, days: float) -> None:
    CourseEnrolment.objects.filter(student=student).update(
        left_on=(NOW - timedelta(days=days)).date()
    )


def test_a_student_who_left_every_course_long_ago_is_erased(
    eileen: Student, math_session: ClassSession, kiosk: Kiosk, dmitri: Student, admin: User
) -> None:
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    ClassSession.objects.update(starts_at=days_ago(1001.2), ends_at=days_ago(1001))
    left(eileen, 999)
    purge_expired()
    assert Student.objects.filter(pk=eileen.pk).exists()

    left(eileen, 1001)
    assert "students who have left every course: 1 deleted" in purge_expired()
    assert list(Student.objects.all()) == [dmitri]
    assert tables_with("Eileen Collins") == set()
    assert User.objects.filter(username="eileen").exists()


def test_a_student_who_was_never_on_a_list_stays(db: None) -> None:
    student = a_student("S-9", "Newly Imported")
    purge_expired()
    assert list(Student.objects.all()) == [student]


def test_a_student_of_another_course_loses_only_the_old_place(
    eileen: Student, chem: Course
) -> None:
    left(eileen, 1001)
    current = enrol_in(chem, eileen)
    assert "ended course enrolments: 1 deleted" in purge_expired()
    assert list(CourseEnrolment.objects.all()) == [current]


def test_claims_go_after_their_time_decided_or_not(eileen: Student) -> None:
    erin = User.objects.create_user("erin", "erin@example.edu")
    old = {"user": erin, "student": eileen, "made_at": days_ago(1002)}
    RosterClaim.objects.create(**old)
    RosterClaim.objects.create(**old, status="rejected", decided_at=days_ago(1001))
    kept = RosterClaim.objects.create(**old, status="rejected", decided_at=days_ago(999))
    purge_expired()
    assert list(RosterClaim.objects.all()) == [kept]


@pytest.mark.parametrize(
    ("days", "confirmed", "kept"), [(29, False, True), (31, False, False), (31, True, True)]
)
def test_a_sign_up_that_is_never_confirmed_goes(
    db: None, days: int, confirmed: bool, kept: bool
) -> None:
    erin = User.objects.create_user("erin", "erin@example.edu", date_joined=days_ago(days))
    EmailAddress.objects.create(user=erin, email=erin.email, verified=confirmed)
    purge_expired()
    assert User.objects.exists() is kept


def test_an_account_without_a_student_goes_when_it_is_not_used(eileen: Student) -> None:
    an_account_of(eileen, "eileen")
    User.objects.create_user("erin", "erin@example.edu")
    User.objects.update(date_joined=days_ago(2000), last_login=days_ago(999))
    purge_expired()
    assert User.objects.filter(username="erin").exists()

    User.objects.update(last_login=days_ago(1001))
    purge_expired()
    assert set(User.objects.values_list("username", flat=True)) == {"alice", "eileen"}


def test_staff_keep_their_accounts_however_seldom_they_come(
    alice: User, math: Course, admin: User
) -> None:
    User.objects.update(date_joined=days_ago(2000), last_login=None, is_staff=False)
    purge_expired()
    assert set(User.objects.all()) == {alice, admin}


def test_mails_logins_and_the_history_go(admin: User) -> None:
    queue = get_connection("accounts.mail.QueueBackend")
    EmailMessage("Hello", "text", to=["x@example.edu"], connection=queue).send()
    sent = {"status": STATUS.sent, "last_updated": days_ago(8)}
    Session.objects.create(session_key="ended", expire_date=days_ago(0.1))
    Session.objects.create(session_key="lasts", expire_date=NOW + timedelta(days=1))
    about = {"user": admin, "content_type": None, "object_repr": "x", "action_flag": 2}
    LogEntry.objects.create(**about, action_time=days_ago(1001))
    kept = LogEntry.objects.create(**about, action_time=days_ago(999))
    purge_expired()
    assert Email.objects.count() == 1

    Email.objects.update(**sent)
    purge_expired()
    assert not Email.objects.exists()
    assert Session.objects.get().session_key == "lasts"
    assert LogEntry.objects.get() == kept


# All of it


def test_a_dry_run_names_every_kind_with_its_period(db: None) -> None:
    told = purge_expired("--dry-run")
    kinds = [found.kind for found in expired(NOW)]
    assert len(set(kinds)) == len(kinds)
    assert [line.partition(":")[0] for line in told.splitlines()] == kinds


def test_a_second_run_finds_nothing(
    eileen: Student, math_session: ClassSession, kiosk: Kiosk, dmitri: Student, admin: User
) -> None:
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    ClassSession.objects.update(starts_at=days_ago(1001.2), ends_at=days_ago(1001))
    left(eileen, 1001)
    assert any(purge(NOW).values())
    assert not any(purge(NOW).values())
