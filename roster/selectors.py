"""Questions about rosters and sessions."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from roster.models import MAX_OPENS_EARLY_MIN, ClassSession, Course, CourseEnrolment, Student

SEE_EVERY_COURSE = "roster.see_every_course"


def courses_of(user: User) -> QuerySet[Course]:
    """The courses that this user may see: those they teach, or all with the permission for it."""
    if user.has_perm(SEE_EVERY_COURSE):
        return Course.objects.all()
    return Course.objects.filter(lecturers=user)


def students_of(user: User) -> QuerySet[Student]:
    """The students that this user may see: of their courses, or all with the permission for it."""
    if user.has_perm(SEE_EVERY_COURSE):
        return Student.objects.all()
    on_own_lists = CourseEnrolment.objects.filter(course__in=courses_of(user))
    return Student.objects.filter(pk__in=on_own_lists.values("student"))


def address_of(student: Student) -> str:
    """Where mail reaches a student: their account's address, else the roster's, else nowhere."""
    return (student.user.email if student.user else "") or student.email


def open_sessions(
    at: datetime, *, among: QuerySet[ClassSession] | None = None
) -> list[ClassSession]:
    """Sessions that take attendance at this moment, the earliest start first; of all by default."""
    candidates = (
        (ClassSession.objects.all() if among is None else among)
        .filter(
            Q(ends_at__gt=at) | Q(reopened_until__gt=at),
            closed_at__isnull=True,
            starts_at__lte=at + timedelta(minutes=MAX_OPENS_EARLY_MIN),
        )
        .select_related("course", "room")
        .order_by("starts_at", "pk")
    )
    return [session for session in candidates if session.is_open(at)]


def students_in(session: ClassSession) -> QuerySet[Student]:
    """The class list on the day of the session, in the course's time zone."""
    day = timezone.localtime(session.starts_at, session.course.zone).date()
    return Student.objects.filter(
        Q(enrolments__left_on__isnull=True) | Q(enrolments__left_on__gt=day),
        enrolments__course=session.course_id,
        enrolments__joined_on__lte=day,
    )
