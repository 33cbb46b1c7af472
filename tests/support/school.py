"""The cast: who teaches, who learns, and when."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.roles import LECTURER
from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from recognition.engine.types import Embedding
from recognition.models import Consent, FaceRegistration, FaceTemplate, RegistrationPhoto
from recognition.sealing import seal_picture, seal_vector
from roster.models import (
    ClassSession,
    Course,
    CourseEnrolment,
    LivenessPolicy,
    Room,
    SessionSeries,
    Student,
)

MODEL_ID = "dlib-resnet-v1"
LONG_AGO = date(2020, 1, 1)


def a_member(role: str, username: str) -> User:
    """Somebody with a role at the desk."""
    user = User.objects.create_user(
        username, f"{username}@example.edu", is_staff=True, first_name=username.title()
    )
    user.groups.add(Group.objects.get(name=role))
    return user


def a_lecturer(username: str) -> User:
    return a_member(LECTURER, username)


def an_account(username: str, *, confirmed: bool = True) -> User:
    """Somebody who signed up, without a password to log in with."""
    user = User.objects.create_user(username, f"{username}@example.edu")
    EmailAddress.objects.create(user=user, email=user.email, verified=confirmed, primary=True)
    return user


def a_course(code: str, *lecturers: User, **fields: Any) -> Course:
    # One blink is what the clips of most tests show.
    given = {"title": f"About {code}", "liveness": LivenessPolicy.BLINK, **fields}
    course = Course.objects.create(code=code, **given)
    course.lecturers.set(lecturers)
    return course


def a_student(student_id: str, name: str, *courses: Course, **fields: Any) -> Student:
    student = Student.objects.create(student_id=student_id, name=name, **fields)
    for course in courses:
        enrol_in(course, student)
    return student


def an_account_of(student: Student, **fields: Any) -> User:
    """A login of the student, with the confirmed address that the roster has."""
    username = student.name.split()[0].lower()
    student.user = User.objects.create_user(username, student.email, **fields)
    student.save(update_fields=["user"])
    EmailAddress.objects.create(user=student.user, email=student.email, verified=True, primary=True)
    return student.user


def logged_in_cookie(user: User) -> str:
    """The value of a session cookie, for a browser that does not have to log in."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


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


def a_series(course: Course, **fields: Any) -> SessionSeries:
    """Mondays at nine, without its sessions: `roster.series` makes them."""
    first_day = fields.pop("first_day", LONG_AGO)
    return SessionSeries.objects.create(
        course=course,
        **{
            "weekdays": ["MO"],
            "start_time": time(9),
            "end_time": time(10, 30),
            "first_day": first_day,
            "last_day": first_day + timedelta(weeks=12),
            **fields,
        },
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


def a_registration(student: Student, embedding: Embedding, **fields: Any) -> FaceRegistration:
    """It waits for approval, with one picture and the consent that it needs."""
    if not student.consents.filter(withdrawn_at=None).exists():
        a_consent(student)
    registration = FaceRegistration.objects.create(
        student=student,
        **{"status": FaceRegistration.Status.PENDING, "submitted_at": timezone.now(), **fields},
    )
    RegistrationPhoto.objects.create(
        registration=registration,
        sealed_picture=seal_picture(b"a JPEG", student_pk=student.pk),
        sealed_vector=seal_vector(embedding, student_pk=student.pk, model_id=MODEL_ID),
        model_id=MODEL_ID,
        face_height_px=200,
        sharpness=100,
        brightness=120,
    )
    return registration


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


def cookie_with_second_factor(user: User, *, shown: bool) -> str:
    """The value of a session cookie of somebody who has set up an app, and may have shown it."""
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    cookie = logged_in_cookie(user)
    if shown:
        session = SessionStore(cookie)
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "mfa", "at": 0}]
        session[f"{AUTHENTICATION_METHODS_SESSION_KEY}_user"] = str(user.pk)
        session.save()
    return cookie


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
