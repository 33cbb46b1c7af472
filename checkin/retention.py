"""What is kept for how long. Every kind of row that says something about a person is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.language import in_language_of
from accounts.mail import send_notice, sent_mails_before
from accounts.models import User
from checkin.alerts.services import alerts_before
from checkin.appeals.models import Appeal, KeptProbe
from checkin.class_photo.services import class_photos_before
from checkin.models import (
    Attendance,
    AttendanceChange,
    AttendanceWarning,
    CheckinAttempt,
    JobRun,
    PairingCode,
    ReportExport,
    SessionClosing,
)
from checkin.notices.models import RecognitionInvitation
from checkin.passes.models import EntryPass, PassUse
from checkin.people.erasure import Account, erase_student
from recognition.cohort.services import finished_imports_before, unfinished_imports_before
from recognition.models import (
    Consent,
    FaceMistake,
    FaceRegistration,
    FaceTemplate,
    GalleryEvaluation,
    Resemblance,
)
from recognition.registration import cancel_registration
from roster.models import CourseEnrolment, PeriodLock, RosterClaim, Student
from roster.selectors import address_of

SECONDS_PER_DAY = 24 * 3600
# Each row says itself until when, by its course.
NO_LONGER_THAN_NEEDED_DAYS = 0
# A rotating pass is too old after a minute, so that nobody needs to know it any longer.
ROTATING_USE_DAYS = 1


def _delete(rows: QuerySet[Any]) -> None:
    rows.delete()


@dataclass(frozen=True, slots=True)
class Expired:
    """One kind of row, how long it is kept, the rows that are past it and how they end."""

    kind: str
    kept_days: int
    rows: QuerySet[Any]
    end: Callable[[QuerySet[Any]], None] = _delete


def expired(at: datetime) -> Iterator[Expired]:
    """Everything that is past its time. What takes other kinds along comes before them."""
    yield from _of_students(at)
    yield from _of_faces(at)
    yield from _of_check_ins(at)
    yield from _of_accounts(at)
    for of_later_app in _of_later_apps:
        yield from of_later_app(at)


_of_later_apps: list[Callable[[datetime], Iterator[Expired]]] = []


def expire_too(rows: Callable[[datetime], Iterator[Expired]]) -> None:
    """Add what a later app keeps for a time, once at the start."""
    if rows not in _of_later_apps:
        _of_later_apps.append(rows)


@transaction.atomic
def purge(at: datetime) -> dict[str, int]:
    """End what is past its time; returns how many rows of each kind that were."""
    ended = {}
    for found in expired(at):
        ended[found.kind] = found.rows.count()
        found.end(found.rows)
    JobRun.objects.update_or_create(job=JobRun.Job.RETENTION, defaults={"ended_at": at})
    return ended


def _of_students(at: datetime) -> Iterator[Expired]:
    days = settings.RECORD_RETENTION_DAYS
    since = at - timedelta(days=days)
    listed = CourseEnrolment.objects.filter(student=OuterRef("pk"))
    yield Expired(
        "students who have left every course",
        days,
        Student.objects.filter(
            Exists(listed),
            ~Exists(listed.filter(_listed_since(since))),
            ~Exists(Attendance.objects.filter(student=OuterRef("pk"), session__ends_at__gte=since)),
        ),
        _erase_students,
    )
    yield Expired(
        "ended course enrolments", days, CourseEnrolment.objects.filter(left_on__lte=since.date())
    )
    yield Expired(
        "claims to a student number",
        days,
        RosterClaim.objects.filter(Q(decided_at__lt=since) | Q(decided_at=None, made_at__lt=since)),
    )


def _of_faces(at: datetime) -> Iterator[Expired]:
    drafts_days = settings.DRAFT_RETENTION_DAYS
    yield Expired(
        "unfinished face registrations",
        drafts_days,
        FaceRegistration.objects.filter(
            status=FaceRegistration.Status.DRAFT, created_at__lt=at - timedelta(days=drafts_days)
        ),
    )
    waiting_days = settings.REGISTRATION_RETENTION_DAYS
    waiting_since = at - timedelta(days=waiting_days)
    yield Expired(
        "face registrations that wait",
        waiting_days,
        _waiting_registrations(waiting_since),
        _cancel_registrations,
    )
    imports_days = settings.PHOTO_IMPORT_RETENTION_DAYS
    yield Expired(
        "unfinished photo imports",
        imports_days,
        unfinished_imports_before(at - timedelta(days=imports_days)),
    )
    attempts_days = settings.ATTEMPT_RETENTION_DAYS
    yield Expired(
        "finished photo imports",
        attempts_days,
        finished_imports_before(at - timedelta(days=attempts_days)),
    )
    records_days = settings.RECORD_RETENTION_DAYS
    yield Expired(
        "decided face registrations",
        records_days,
        FaceRegistration.objects.filter(decided_at__lt=at - timedelta(days=records_days)),
    )
    yield Expired(
        "revoked face templates",
        attempts_days,
        FaceTemplate.objects.filter(revoked_at__lt=at - timedelta(days=attempts_days)),
    )
    templates_days = settings.TEMPLATE_RETENTION_DAYS
    yield Expired(
        "face templates of students in no course",
        templates_days,
        _templates_without_course(at - timedelta(days=templates_days)),
    )
    yield Expired(
        "resemblances of faces that are gone",
        templates_days,
        _resemblances_without_face(at - timedelta(days=templates_days)),
    )
    yield Expired(
        "withdrawn consents",
        records_days,
        Consent.objects.filter(withdrawn_at__lt=at - timedelta(days=records_days)),
    )
    yield Expired(
        "measurements of recognition",
        records_days,
        _measurements_before(at - timedelta(days=records_days)),
    )


def _of_check_ins(at: datetime) -> Iterator[Expired]:
    attempts_days = settings.ATTEMPT_RETENTION_DAYS
    yield Expired(
        "check-in attempts",
        attempts_days,
        CheckinAttempt.objects.filter(at__lt=at - timedelta(days=attempts_days)),
    )
    yield Expired(
        "invitations to register again",
        attempts_days,
        RecognitionInvitation.objects.filter(sent_at__lt=at - timedelta(days=attempts_days)),
    )
    yield Expired(
        "faces of check-ins that cannot be disowned any more",
        NO_LONGER_THAN_NEEDED_DAYS,
        KeptProbe.objects.filter(Q(expires_at__lte=at) | Q(template__revoked_at__isnull=False)),
    )
    records_days = settings.RECORD_RETENTION_DAYS
    yield Expired(
        "mistaken faces",
        records_days,
        FaceMistake.objects.filter(made_at__lt=at - timedelta(days=records_days)),
    )
    yield Expired(
        "appeals",
        records_days,
        Appeal.objects.filter(session__ends_at__lt=at - timedelta(days=records_days)),
    )
    yield Expired(
        "attendance",
        records_days,
        Attendance.objects.filter(session__ends_at__lt=at - timedelta(days=records_days)),
    )
    yield Expired(
        "closings and reopenings of sessions",
        records_days,
        SessionClosing.objects.filter(session__ends_at__lt=at - timedelta(days=records_days)),
    )
    yield Expired(
        "changes of attendance by hand",
        records_days,
        AttendanceChange.objects.filter(session__ends_at__lt=at - timedelta(days=records_days)),
    )
    yield Expired(
        "locked periods",
        records_days,
        PeriodLock.objects.filter(last_day__lt=(at - timedelta(days=records_days + 1)).date()),
    )
    yield Expired(
        "warnings of low attendance",
        records_days,
        AttendanceWarning.objects.filter(sent_at__lt=at - timedelta(days=records_days)),
    )
    pictures_days = settings.CLASS_PHOTO_RETENTION_DAYS
    yield Expired(
        "class photos that nobody confirmed",
        pictures_days,
        class_photos_before(at - timedelta(days=pictures_days)),
    )
    passes_days = settings.PASS_RETENTION_DAYS
    yield Expired(
        "entry passes, after they ran out",
        passes_days,
        EntryPass.objects.filter(expires_at__lt=at - timedelta(days=passes_days)),
    )
    yield Expired(
        "uses of rotating passes",
        ROTATING_USE_DAYS,
        PassUse.objects.filter(
            kind=PassUse.Kind.ROTATING, at__lt=at - timedelta(days=ROTATING_USE_DAYS)
        ),
    )
    yield Expired(
        "pairing codes of kiosks, after they ran out",
        NO_LONGER_THAN_NEEDED_DAYS,
        PairingCode.objects.filter(expires_at__lte=at),
    )
    alerts_days = settings.ALERT_RETENTION_DAYS
    yield Expired(
        "alerts of strangers, spoofs and wrong passes",
        alerts_days,
        alerts_before(at - timedelta(days=alerts_days)),
    )
    exports_days = settings.EXPORT_RETENTION_DAYS
    yield Expired(
        "exports of reports",
        exports_days,
        ReportExport.objects.filter(made_at__lte=at - timedelta(days=exports_days)),
    )


def _of_accounts(at: datetime) -> Iterator[Expired]:
    sign_ups_days = settings.SIGN_UP_RETENTION_DAYS
    yield Expired(
        "sign-ups never confirmed",
        sign_ups_days,
        _unconfirmed_sign_ups(at - timedelta(days=sign_ups_days)),
    )
    records_days = settings.RECORD_RETENTION_DAYS
    yield Expired(
        "accounts without a student, not used",
        records_days,
        _unused_accounts(at - timedelta(days=records_days)),
    )
    yield Expired(
        "entries in the history of the desk",
        records_days,
        LogEntry.objects.filter(action_time__lt=at - timedelta(days=records_days)),
    )
    mails_days = settings.MAIL_RETENTION_DAYS
    yield Expired("sent mails", mails_days, sent_mails_before(at - timedelta(days=mails_days)))
    yield Expired(
        "ended logins",
        settings.SESSION_COOKIE_AGE // SECONDS_PER_DAY,
        Session.objects.filter(expire_date__lt=at),
    )


def _listed_since(moment: datetime) -> Q:
    return Q(left_on=None) | Q(left_on__gt=moment.date())


def _templates_without_course(since: datetime) -> QuerySet[FaceTemplate]:
    """Templates of students who have been on no class list since that moment."""
    still_listed = CourseEnrolment.objects.filter(_listed_since(since), student=OuterRef("student"))
    return FaceTemplate.objects.filter(~Exists(still_listed), created_at__lt=since)


def _resemblances_without_face(since: datetime) -> QuerySet[Resemblance]:
    """Notes on a student, or another, of whom there is no template and no picture any more."""
    return Resemblance.objects.filter(
        ~(_has_face("student") & _has_face("other")), found_at__lt=since
    )


def _measurements_before(since: datetime) -> QuerySet[GalleryEvaluation]:
    """Without those from which thresholds were taken: they say why these are in the history."""
    return GalleryEvaluation.objects.filter(settings=None, created_at__lt=since)


def _has_face(field: str) -> Q:
    in_force = FaceTemplate.objects.filter(student=OuterRef(field), revoked_at=None)
    pending = FaceRegistration.objects.filter(
        student=OuterRef(field), status__in=FaceRegistration.OPEN
    )
    return Q(Exists(in_force)) | Q(Exists(pending))


def _waiting_registrations(since: datetime) -> QuerySet[FaceRegistration]:
    status = FaceRegistration.Status
    return FaceRegistration.objects.filter(
        Q(status=status.PENDING, submitted_at__lt=since)
        | Q(status=status.AWAITING_CONSENT, created_at__lt=since)
    )


def _unconfirmed_sign_ups(since: datetime) -> QuerySet[User]:
    """Accounts that people made themselves, with an address that they never confirmed."""
    addresses = EmailAddress.objects.filter(user=OuterRef("pk"))
    return _plain_accounts().filter(
        Exists(addresses),
        ~Exists(addresses.filter(verified=True)),
        last_login=None,
        date_joined__lt=since,
    )


def _unused_accounts(since: datetime) -> QuerySet[User]:
    return _plain_accounts().filter(
        Q(last_login__lt=since) | Q(last_login=None, date_joined__lt=since)
    )


def _plain_accounts() -> QuerySet[User]:
    """Of nobody on the roster and nobody who works here."""
    return User.objects.filter(
        is_staff=False, is_superuser=False, student=None, courses=None, groups=None
    )


# How some kinds end


def _erase_students(students: QuerySet[Student]) -> None:
    for student in students:
        erase_student(student=student, account=Account.UNLINK)


def _cancel_registrations(registrations: QuerySet[FaceRegistration]) -> None:
    """The pictures go, the student is told; that there was a registration stays on record."""
    for registration in registrations.select_related("student__user"):
        cancel_registration(registration)
        student = registration.student
        with in_language_of(student.user):
            send_notice(
                to=address_of(student),
                subject=_("Your pictures were deleted"),
                template="registration_lapsed",
                context={"student": student, "days": settings.REGISTRATION_RETENTION_DAYS},
            )


def overwrite_what_is_deleted() -> None:
    """SQLite writes over what is deleted, but its log has the pages from before until this.

    Within a transaction it cannot be done.
    """
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
