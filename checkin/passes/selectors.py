"""Questions about passes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils import timezone

from checkin.passes.models import EntryPass
from roster.models import ClassSession, Course, CourseEnrolment, EntryPolicy, Student
from roster.selectors import open_sessions, students_in

_BY_COURSE = Q(own_entry_policy="") & ~Q(course__entry_policy=EntryPolicy.FACE)
_TAKES_PASS = _BY_COURSE | ~Q(own_entry_policy__in=["", EntryPolicy.FACE])


def is_in_class(student: Student, session: ClassSession) -> bool:
    return students_in(session).filter(pk=student.pk).exists()


def takes_pass(session: ClassSession, *, alone: bool) -> bool:
    """Whether a pass opens this session: alone, or at least together with a face."""
    if alone:
        return session.entry_policy == EntryPolicy.FACE_OR_PASS
    return session.entry_policy != EntryPolicy.FACE


def open_for_pass(student: Student, at: datetime) -> list[ClassSession]:
    """The open sessions of this student's classes where a pass helps, the earliest start first."""
    courses = set(CourseEnrolment.objects.filter(student=student).values_list("course", flat=True))
    return [
        session
        for session in open_sessions(at)
        if session.course_id in courses
        and takes_pass(session, alone=False)
        and is_in_class(student, session)
    ]


def next_for_pass(student: Student, at: datetime) -> ClassSession | None:
    """The next session of this student's classes, not open yet, where a pass helps."""
    planned = ClassSession.objects.filter(
        _TAKES_PASS, starts_at__gt=at, closed_at=None, course__enrolments__student=student
    )
    for session in planned.select_related("course").order_by("starts_at", "pk"):
        if session.opens_at > at and is_in_class(student, session):
            return session
    return None


def passes_in_force(at: datetime) -> QuerySet[EntryPass]:
    return EntryPass.objects.filter(used_at=None, revoked_at=None, expires_at__gt=at)


def students_without_pass(courses: Iterable[Course], at: datetime) -> QuerySet[Student]:
    """Those on the class lists of these courses who have no mailed pass in force."""
    listed = CourseEnrolment.objects.filter(
        Q(left_on=None) | Q(left_on__gt=timezone.localdate(at)), course__in=list(courses)
    )
    having = passes_in_force(at).values("student")
    return Student.objects.filter(pk__in=listed.values("student")).exclude(pk__in=having)


def in_zone_of(student: Student, moment: datetime) -> str:
    """Day and time as the student's courses tell them, or the site where these differ."""
    zones = {course.zone for course in student.courses.all()}
    zone = zones.pop() if len(zones) == 1 else timezone.get_default_timezone()
    return f"{timezone.localtime(moment, zone):%Y-%m-%d %H:%M} ({zone})"
