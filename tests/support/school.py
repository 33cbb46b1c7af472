"""The cast: who teaches, who learns, and when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import User
from accounts.roles import LECTURER
from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from recognition.engine.types import Embedding
from recognition.models import Consent, FaceTemplate
from recognition.sealing import seal_vector
from roster.models import ClassSession, Course, CourseEnrolment, Room, Student

MODEL_ID = "dlib-resnet-v1"
LONG_AGO = date(2020, 1, 1)


def a_lecturer(username: str) -> User:
    user = User.objects.create_user(
        username, f"{username}@example.edu", is_staff=True, first_name=username.title()
    )
    user.groups.add(Group.objects.get(name=LECTURER))
    return user


def a_course(code: str, *lecturers: User, **fields: Any) -> Course:
    course = Course.objects.create(code=code, **{"title": f"About {code}", **fields})
    course.lecturers.set(lecturers)
    return course


def a_student(student_id: str, name: str, *courses: Course, **fields: Any) -> Student:
    student = Student.objects.create(student_id=student_id, name=name, **fields)
    for course in courses:
        enrol_in(course, student)
    return student


def enrol_in(
    course: Course, student: Student, *, joined_on: date = LONG_AGO, left_on: date | None = None
) -> CourseEnrolment:
    return CourseEnrolment.objects.create(
        course=course, student=student, joined_on=joined_on, left_on=left_on
    )


def a_session(course: Course, *, room: Room | None = None, **fields: Any) -> ClassSession:
    """Open now, since five minutes, unless the fields say something else."""
    starts_at = fields.pop("starts_at", timezone.now() - timedelta(minutes=5))
    ends_at = fields.pop("ends_at", starts_at + timedelta(hours=2))
    return ClassSession.objects.create(
        course=course, room=room, starts_at=starts_at, ends_at=ends_at, **fields
    )


def a_consent(student: Student) -> Consent:
    return Consent.objects.create(
        student=student, policy_version="2026-11", given_via=Consent.GivenVia.IN_PERSON
    )


def a_template(student: Student, embedding: Embedding, *, model_id: str = MODEL_ID) -> FaceTemplate:
    """A template in force, with the consent that it needs."""
    if not student.consents.filter(withdrawn_at=None).exists():
        a_consent(student)
    return FaceTemplate.objects.create(
        student=student,
        model_id=model_id,
        sealed_vector=seal_vector(embedding, student_pk=student.pk, model_id=model_id),
        photo_count=1,
    )


def an_attendance(session: ClassSession, student: Student, **fields: Any) -> Attendance:
    return Attendance.objects.create(
        session=session,
        student=student,
        **{
            "status": Attendance.Status.PRESENT,
            "method": Attendance.Method.FACE,
            "arrived_at": session.starts_at,
            **fields,
        },
    )


def an_attempt(kiosk: Kiosk, session: ClassSession | None, **fields: Any) -> CheckinAttempt:
    return CheckinAttempt.objects.create(
        kiosk=kiosk, session=session, **{"outcome": Outcome.UNKNOWN, **fields}
    )


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
