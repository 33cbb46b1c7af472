"""What is kept for how long. Every kind of row that says something about a person is listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from checkin.models import Attendance, CheckinAttempt
from recognition.models import Consent, FaceTemplate
from roster.models import CourseEnrolment


@dataclass(frozen=True, slots=True)
class Expired:
    """One kind of row, how long it is kept, and the rows that are past it."""

    kind: str
    kept_days: int
    rows: QuerySet[Any]


def expired(at: datetime) -> Iterator[Expired]:
    """Everything that is past its time."""
    attempts_days = settings.ATTEMPT_RETENTION_DAYS
    yield Expired(
        "check-in attempts",
        attempts_days,
        CheckinAttempt.objects.filter(at__lt=at - timedelta(days=attempts_days)),
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
    records_days = settings.RECORD_RETENTION_DAYS
    yield Expired(
        "withdrawn consents",
        records_days,
        Consent.objects.filter(withdrawn_at__lt=at - timedelta(days=records_days)),
    )
    yield Expired(
        "attendance",
        records_days,
        Attendance.objects.filter(session__ends_at__lt=at - timedelta(days=records_days)),
    )


@transaction.atomic
def purge(at: datetime) -> dict[str, int]:
    """Delete what is past its time; returns how many rows of each kind went."""
    return {found.kind: found.rows.delete()[0] for found in expired(at)}


def _templates_without_course(since: datetime) -> QuerySet[FaceTemplate]:
    """Templates of students who have been on no class list since that moment."""
    still_listed = CourseEnrolment.objects.filter(
        Q(left_on=None) | Q(left_on__gt=since.date()), student=OuterRef("student")
    )
    return FaceTemplate.objects.filter(~Exists(still_listed), created_at__lt=since)
