"""What is done and asked at the desk. It runs in a process over the stack's own database."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from post_office.models import STATUS, Email

from accounts.models import User
from checkin.models import Attendance, Kiosk
from checkin.notices.models import HowOften, NoticeChoice
from checkin.passes.models import PassUse
from checkin.services import issue_kiosk_token
from integrations.webhooks.models import WebhookDelivery, WebhookEndpoint
from integrations.webhooks.services import open_endpoint
from recognition.cohort.models import PhotoImport, PhotoImportItem
from recognition.cohort.services import CLAIM, receive_photos
from recognition.engine.types import Embedding
from recognition.models import FaceTemplate
from roster.models import ClassSession, Course, EntryPolicy, Room, Student
from tests.support.archives import a_zip
from tests.support.school import (
    a_consent,
    a_course,
    a_lecturer,
    a_session,
    a_student,
    a_template,
    cookie_with_second_factor,
)


def open_class(code: str, students: int, kiosks: int) -> dict[str, Any]:
    """A session that is open now, with kiosks at its doors; each student is mailed of an entry."""
    with transaction.atomic():
        lecturer = a_lecturer(f"lecturer-of-{code}")
        room = Room.objects.create(name=code)
        course = a_course(
            code,
            lecturer,
            entry_policy=EntryPolicy.FACE_OR_PASS,
            entry_notices_to=Course.EntryNotices.STUDENT,
        )
        session = a_session(course, room=room)
        pks = [_student(course, number) for number in range(students)]
        doors = [Kiosk.objects.create(name=f"{code} {n}", room=room) for n in range(kiosks)]
        tokens = [issue_kiosk_token(kiosk) for kiosk in doors]
    return {"session": session.pk, "students": pks, "tokens": tokens, "lecturer": lecturer.pk}


def _student(course: Course, number: int) -> int:
    name = f"{course.code.lower()}-{number}"
    student = a_student(f"{course.code}-{number}", f"Student {number}", course)
    student.user = User.objects.create_user(name, f"{name}@example.edu")
    student.save(update_fields=["user"])
    NoticeChoice.objects.create(user=student.user, how_often=HowOften.AT_ONCE)
    return student.pk


def make_recognisable(student_pk: int, embedding: Embedding) -> None:
    a_template(Student.objects.get(pk=student_pk), embedding)


def logged_in(user_pk: int) -> str:
    """The value of a session cookie of somebody who has shown a second factor."""
    return cookie_with_second_factor(User.objects.get(pk=user_pk), shown=True)


def arrivals(session_pk: int) -> dict[int, int]:
    """How many rows each student has."""
    return Counter(
        Attendance.objects.filter(session=session_pk).values_list("student_id", flat=True)
    )


def uses_of_passes(session_pk: int) -> dict[int, int]:
    return Counter(PassUse.objects.filter(session=session_pk).values_list("student_id", flat=True))


def open_webhook(url: str) -> None:
    """An endpoint that is told of everything that happens from now on."""
    owner, _made = User.objects.get_or_create(username="hr", is_superuser=True, is_staff=True)
    open_endpoint(WebhookEndpoint(name="HR", url=url), owner=owner, at=timezone.now())


def waiting_deliveries() -> int:
    return WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING).count()


def connections_so_far() -> int:
    """How often somebody has connected to the database since it was made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sessions FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def waiting_mails() -> int:
    return Email.objects.exclude(status=STATUS.sent).count()


def end_class(session_pk: int) -> None:
    """Its time is over; somebody has to close it."""
    ended = timezone.now() - timedelta(seconds=1)
    ClassSession.objects.filter(pk=session_pk).update(ends_at=ended)


def is_closed(session_pk: int) -> bool:
    return ClassSession.objects.get(pk=session_pk).closed_at is not None


def receive_cohort(code: str, portrait: bytes, students: int) -> int:
    course = Course.objects.filter(code=code).first() or a_course(code)
    for number in range(students):
        student_id = f"{code}-{number}"
        if not Student.objects.filter(student_id=student_id).exists():
            a_consent(a_student(student_id, f"Photo {number}", course))
    files = {f"{code}-{number}.jpg": portrait for number in range(students)}
    return receive_photos(course=course, archive=a_zip(files), archive_name="cohort.zip").pk


def states_of_photos(import_pk: int) -> dict[str, int]:
    items = PhotoImportItem.objects.filter(photo_import=import_pk)
    return Counter(items.values_list("state", flat=True))


def waiting_students(import_pk: int) -> int:
    waiting = PhotoImportItem.objects.filter(photo_import=import_pk, state="waiting")
    return waiting.values("student").distinct().order_by().count()


def claimed_students(import_pk: int) -> list[int]:
    claimed = PhotoImportItem.objects.filter(
        photo_import=import_pk, claimed_until__gt=timezone.now(), state="waiting"
    )
    return list(claimed.order_by("pk").values_list("student_id", flat=True))


def let_claims_run_out(student_pks: list[int]) -> None:
    PhotoImportItem.objects.filter(student__in=student_pks, state="waiting").update(
        claimed_until=timezone.now() - CLAIM
    )


def import_is_finished(import_pk: int) -> bool:
    return PhotoImport.objects.get(pk=import_pk).status == PhotoImport.Status.FINISHED


def templates_of(code: str) -> dict[int, int]:
    templates = FaceTemplate.objects.filter(student__student_id__startswith=f"{code}-")
    return Counter(templates.filter(revoked_at=None).values_list("student_id", flat=True))
