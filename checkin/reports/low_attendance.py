"""Whom to warn: students of today's class lists who attended less than is required."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.language import in_language_of
from accounts.mail import send_notice
from accounts.models import User
from checkin.events import attendance_warned
from checkin.models import AttendanceWarning
from checkin.reports.rates import Rate, Term, attendance_in, closed_sessions, rates_by
from roster.models import Course, CourseEnrolment, Student
from roster.selectors import address_of

logger = logging.getLogger(__name__)

WARNED_AGAIN_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Low:
    """A student below what a course requires, or below the threshold that was typed."""

    student: Student
    course: Course
    rate: Rate
    threshold: int
    warned_at: datetime | None

    @property
    def key(self) -> str:
        return f"{self.course.pk}-{self.student.pk}"

    @property
    def has_address(self) -> bool:
        return bool(address_of(self.student))

    @property
    def can_be_warned(self) -> bool:
        return self.has_address and self.warned_at is None


def whom_to_warn(
    courses: QuerySet[Course], term: Term, *, threshold: int | None, min_sessions: int, at: datetime
) -> list[Low]:
    """The lowest first within each course. Without a threshold each course's own rule holds.

    ``min_sessions`` is how many sessions must count for a student before anything is said.
    """
    by_pk = {course.pk: course for course in courses}
    rates = rates_by(attendance_in(closed_sessions(courses, term)), "session__course", "student")
    below = {
        key: rate
        for key, rate in rates.items()
        if rate.counted >= min_sessions
        and (required := threshold or by_pk[key[0]].required_percentage)
        and rate.is_below(required)
    }
    listed = _on_lists_today(courses, at)
    students = Student.objects.select_related("user").in_bulk(
        {student_pk for _course_pk, student_pk in below}
    )
    warned = _warned_at(courses, at)
    found = []
    for key, rate in below.items():
        if key in listed:
            course, student = by_pk[key[0]], students[key[1]]
            required = threshold or course.required_percentage or 0
            found.append(Low(student, course, rate, required, warned.get((*key, required))))
    found.sort(key=lambda low: (low.course.code, low.rate.per_mille, low.student.name.casefold()))
    return found


@transaction.atomic
def warn(
    courses: QuerySet[Course],
    term: Term,
    *,
    threshold: int | None,
    min_sessions: int,
    chosen: Collection[str],
    user: User,
) -> int:
    """Mail those of the chosen who are to be warned; returns how many mails that were.

    Nobody gets a second mail on the same threshold of a course within a week.
    """
    # Two lecturers of a course wait for each other, and the second finds what the first sent.
    own = Course.objects.filter(pk__in=courses.order_by().values("pk"))
    list(own.order_by("pk").select_for_update())
    at = timezone.now()
    low = whom_to_warn(courses, term, threshold=threshold, min_sessions=min_sessions, at=at)
    due = [one for one in low if one.key in chosen and one.can_be_warned]
    warnings = AttendanceWarning.objects.bulk_create(_warning(one, user, at) for one in due)
    attendance_warned(warnings, at)
    _mail(due)
    logger.info("user %s warned %s students of low attendance", user.pk, len(due))
    return len(due)


def _warning(low: Low, user: User, at: datetime) -> AttendanceWarning:
    return AttendanceWarning(
        student=low.student,
        course=low.course,
        threshold=low.threshold,
        attended=low.rate.attended,
        counted=low.rate.counted,
        sent_at=at,
        sent_by=user,
    )


def _mail(due: Iterable[Low]) -> None:
    for low in due:
        with in_language_of(low.student.user):
            send_notice(
                to=address_of(low.student),
                subject=_("Your attendance in %(course)s") % {"course": low.course.code},
                template="attendance_low",
                context={"low": low},
            )


def _on_lists_today(courses: QuerySet[Course], at: datetime) -> set[tuple[int, int]]:
    today = timezone.localdate(at)
    listed = CourseEnrolment.objects.filter(
        Q(left_on=None) | Q(left_on__gt=today), course__in=courses.order_by()
    )
    return set(listed.order_by().values_list("course__pk", "student__pk"))


def _warned_at(courses: QuerySet[Course], at: datetime) -> dict[tuple[int, int, int], datetime]:
    """The last mail of this week by course, student and threshold."""
    sent = AttendanceWarning.objects.filter(
        course__in=courses.order_by(), sent_at__gt=at - WARNED_AGAIN_AFTER
    ).order_by("sent_at")
    return {
        (course_pk, student_pk, threshold): sent_at
        for course_pk, student_pk, threshold, sent_at in sent.values_list(
            "course__pk", "student__pk", "threshold", "sent_at"
        )
    }
