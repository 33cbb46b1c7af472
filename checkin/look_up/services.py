"""A student's own record at the kiosk: by number, and only together with the own pass.

Anybody can type a number, so the number alone says nothing, not even whether it is on the roster:
an unknown number, another's pass and a used one are answered with the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from checkin.models import Attendance, Kiosk
from checkin.passes.services import (
    ONE_TIME_PREFIX,
    ROTATING_PREFIX,
    PassRefusedError,
    check,
    replace_used,
)
from checkin.reports.rates import Rate, attendance_in, closed_sessions, rates_by
from roster.models import Course, Student

LAST_SESSIONS = 5


class LookUpRefusedError(Exception):
    """Number and pass did not open a record. It does not say which of them was wrong."""

    def __init__(self) -> None:
        super().__init__(
            _("This number and this pass do not open a record. Check the number, use a new pass.")
        )


@dataclass(frozen=True, slots=True)
class OwnCourse:
    course: Course
    rate: Rate

    @property
    def is_below(self) -> bool:
        return self.rate.is_below(self.course.required_percentage or 0)


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """What a kiosk shows of one student: the courses that it serves, and the last sessions."""

    student: Student
    courses: list[OwnCourse]
    sessions: list[Attendance]


def is_pass(payload: str) -> bool:
    """Whether a code is meant as a pass at all; it may still be a wrong one."""
    return payload.startswith((ONE_TIME_PREFIX, ROTATING_PREFIX))


@transaction.atomic
def look_up(*, kiosk: Kiosk, number: str, payload: str, at: datetime) -> OwnRecord:
    """Accept the pass once and for ever, and read what is recorded of its owner.

    Raises:
        LookUpRefusedError: there is no such number, or the pass is not that student's, or not good.
    """
    student = student_with_number(number)
    if student is None:
        raise LookUpRefusedError
    try:
        check(payload=payload, student=student, at=at)
    except PassRefusedError as error:
        raise LookUpRefusedError from error
    # What was shown stands, whether the next pass can be mailed or not.
    transaction.on_commit(partial(replace_used, student, at), robust=True)
    return _record_of(student, kiosk)


def student_with_number(number: str) -> Student | None:
    """As it stands on the roster, or in other capitals where that is clear: keys have one size."""
    number = number.strip()
    alike = list(Student.objects.filter(student_id__iexact=number)[:2])
    exact = [student for student in alike if student.student_id == number]
    found = exact or alike
    return found[0] if len(found) == 1 else None


def served_courses(kiosk: Kiosk) -> QuerySet[Course]:
    """The kiosk's own courses, and those that are held in its room."""
    own = Q(kiosks=kiosk)
    if kiosk.room_id is not None:
        own |= Q(sessions__room=kiosk.room_id)
    return Course.objects.filter(pk__in=Course.objects.filter(own).values("pk"))


def _record_of(student: Student, kiosk: Kiosk) -> OwnRecord:
    own = Q(enrolments__student=student) | Q(sessions__attendance__student=student)
    mine = Course.objects.filter(own).values("pk")
    courses = served_courses(kiosk).filter(pk__in=mine).order_by("code")
    closed = attendance_in(closed_sessions(courses)).filter(student=student)
    rates = rates_by(closed, "session__course")
    last = (
        Attendance.objects.filter(student=student, session__course__in=courses.values("pk"))
        .select_related("session__course")
        .order_by("-session__starts_at", "-pk")
    )
    return OwnRecord(
        student=student,
        courses=[OwnCourse(course, rates.get(course.pk, Rate())) for course in courses],
        sessions=list(last[:LAST_SESSIONS]),
    )


def as_shown(record: OwnRecord) -> dict[str, Any]:
    """For the screen, in words."""
    return {
        "name": record.student.name,
        "courses": [_course_as_shown(own) for own in record.courses],
        "sessions": [_session_as_shown(row) for row in record.sessions],
    }


def _course_as_shown(own: OwnCourse) -> dict[str, Any]:
    required = own.course.required_percentage
    return {
        "code": own.course.code,
        "title": own.course.title,
        "percentage": None if own.rate.percentage is None else f"{own.rate.percentage} %",
        "required": _("required are %(required)s %%") % {"required": required} if required else "",
        "below": own.is_below,
        "attended": _("%(attended)d of %(counted)d sessions")
        % {"attended": own.rate.attended, "counted": own.rate.counted},
    }


def _session_as_shown(row: Attendance) -> dict[str, str]:
    session = row.session
    arrived = timezone.localtime(row.arrived_at, session.course.zone) if row.arrived_at else None
    return {
        "session": f"{session.course.code} · {session.clock(session.starts_at)}",
        "status": str(row.get_status_display()),
        "time": arrived.strftime("%H:%M") if arrived else "",
    }
