"""Sessions that were held and closed, with what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from checkin.models import Attendance
from roster.models import ClassSession, Course, Student
from tests.support.school import a_session, a_student, an_attendance

LONG = timedelta(minutes=90)


def a_held_session(
    course: Course, day: date, at: time = time(9), *, closed: bool = True
) -> ClassSession:
    """On this day and at this time as the course's clocks tell them."""
    starts_at = datetime.combine(day, at, tzinfo=course.zone)
    session = a_session(course, starts_at=starts_at, ends_at=starts_at + LONG)
    if closed:
        session.closed_at = session.ends_at
        session.save(update_fields=["closed_at"])
    return session


def a_status(
    session: ClassSession, student: Student, status: str, *, minutes: int = 0
) -> Attendance:
    """What was recorded of a student; who came, came so many minutes after the start."""
    came = status in ("present", "late")
    arrived_at = session.starts_at + timedelta(minutes=minutes) if came else None
    return an_attendance(session, student, status=status, arrived_at=arrived_at)


def a_history(course: Course, student: Student, statuses: Sequence[str]) -> list[ClassSession]:
    """One closed session a day from 2026-03-02 on, with one status each."""
    sessions = []
    for number, status in enumerate(statuses):
        session = a_held_session(course, date(2026, 3, 2) + timedelta(days=number))
        a_status(session, student, status)
        sessions.append(session)
    return sessions


def a_class(course: Course, count: int) -> list[Student]:
    return [
        a_student(f"{course.code}-{number:02}", f"Student {number:02}", course)
        for number in range(count)
    ]
