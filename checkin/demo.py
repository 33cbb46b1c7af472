"""A small school to try things out with. Called again, it starts from what is there."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.roles import LECTURER
from checkin.models import Kiosk
from checkin.services import issue_kiosk_token
from checkin.sessions.services import close_session
from recognition.models import Consent
from recognition.services import EnrolmentResult, enrol_face, record_consent
from roster.models import ClassSession, Course, CourseEnrolment, Room, Student

STUDENTS = (
    ("S-1001", "Eileen Collins", "eileen.collins@example.edu"),
    ("S-1002", "Amara Okafor", "amara.okafor@example.edu"),
    ("S-1003", "Mateus Silva", "mateus.silva@example.edu"),
    ("S-1004", "Li Na", "li.na@example.edu"),
    ("S-1005", "Jonas Weber", "jonas.weber@example.edu"),
    ("S-1006", "Aisha Rahman", "aisha.rahman@example.edu"),
)
STUDENT_WITH_ACCOUNT = "S-1002"
SESSION_LASTS = timedelta(hours=3)


@dataclass(frozen=True)
class Secrets:
    """What was generated for the demo, kept in the data folder so that it can be shown again."""

    admin_password: str
    lecturer_password: str
    student_password: str
    kiosk_token: str


@dataclass(frozen=True)
class School:
    kiosk: Kiosk
    session: ClassSession
    student: Student
    secrets: Secrets


@transaction.atomic
def set_up_school(secrets_file: Path) -> School:
    """The demo's people, course, room and kiosk, and a session that is open from now on."""
    course, _created = Course.objects.get_or_create(
        code="MATH-101", defaults={"title": "Linear Algebra", "own_device": True}
    )
    room, _created = Room.objects.get_or_create(name="Room 101")
    for student_id, name, email in STUDENTS:
        student, _created = Student.objects.get_or_create(
            student_id=student_id, defaults={"name": name, "email": email}
        )
        CourseEnrolment.objects.get_or_create(course=course, student=student)
    kiosk, _created = Kiosk.objects.get_or_create(name="Room 101, door", defaults={"room": room})
    secrets_of_demo = _secrets(secrets_file, course, kiosk)
    now = timezone.now()
    for before in course.sessions.filter(closed_at=None):
        close_session(before, now, by=User.objects.get(username="lecturer"))
    session = ClassSession.objects.create(
        course=course, room=room, starts_at=now, ends_at=now + SESSION_LASTS
    )
    return School(
        kiosk=kiosk,
        session=session,
        student=Student.objects.get(student_id=STUDENTS[0][0]),
        secrets=secrets_of_demo,
    )


def enrol(student: Student, portrait: bytes) -> EnrolmentResult | None:
    """Enrol the demo's student, unless they can be recognised already."""
    if student.face_templates.filter(revoked_at=None).exists():
        return None
    record_consent(student=student, given_via=Consent.GivenVia.IN_PERSON)
    return enrol_face(student=student, photos=[portrait])


def _secrets(secrets_file: Path, course: Course, kiosk: Kiosk) -> Secrets:
    """Those of the last time, as long as the accounts and the kiosk still go with them."""
    if secrets_file.exists() and kiosk.token_hash and kiosk.revoked_at is None:
        kept = json.loads(secrets_file.read_text())
        if kept.keys() == {field.name for field in fields(Secrets)}:
            return Secrets(**kept)
    fresh = Secrets(
        admin_password=secrets.token_urlsafe(9),
        lecturer_password=secrets.token_urlsafe(9),
        student_password=secrets.token_urlsafe(9),
        kiosk_token=issue_kiosk_token(kiosk),
    )
    _account("admin", fresh.admin_password, is_staff=True, is_superuser=True)
    lecturer = _account("lecturer", fresh.lecturer_password, is_staff=True)
    lecturer.groups.add(Group.objects.get(name=LECTURER))
    course.lecturers.add(lecturer)
    student = _account("student", fresh.student_password)
    Student.objects.filter(student_id=STUDENT_WITH_ACCOUNT).update(user=student)
    secrets_file.touch(mode=0o600)
    secrets_file.write_text(json.dumps(asdict(fresh)))
    return fresh


def _account(username: str, password: str, **rights: bool) -> User:
    user, _created = User.objects.get_or_create(
        username=username, defaults={"email": f"{username}@example.edu", **rights}
    )
    user.set_password(password)
    user.save(update_fields=["password"])
    return user
