"""From one model to another: whose templates are whose, who has to enrol again, and asking them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from post_office.models import Email

from accounts.language import in_language_of
from accounts.mail import notice, send_together
from recognition.models import Consent, FaceTemplate, StudentFace
from recognition.selectors import with_recognisability
from roster.models import Course, CourseEnrolment
from roster.selectors import address_of

#: A mail that invites carries the model's id here, so that nobody is asked twice.
INVITATION_HEADER = "X-Rollcall-Enrol-Again"


@dataclass(frozen=True, slots=True)
class CourseAfterSwitch:
    """A course's students today, and how many of them a model would know."""

    course: Course
    ready: int
    must_enrol_again: int


@dataclass(frozen=True, slots=True)
class Invited:
    """What became of an invitation: students mailed, those who were before, and the unreachable."""

    mailed: int
    before: int
    without_address: int


def templates_by_model() -> dict[str, int]:
    """How many templates are in force, with consent, by the model that made them."""
    rows = (
        FaceTemplate.objects.filter(
            Exists(Consent.objects.filter(student=OuterRef("student"), withdrawn_at=None)),
            revoked_at=None,
        )
        .values("model_id")
        .annotate(templates=Count("pk"))
        .order_by("model_id")
    )
    return {row["model_id"]: row["templates"] for row in rows}


def who_must_enrol_again(*, model_id: str) -> QuerySet[Any, Any]:
    """Students on some class list whom only another model knows, with no registration waiting."""
    today = timezone.localdate()
    on_lists = CourseEnrolment.objects.filter(
        Q(left_on__isnull=True) | Q(left_on__gt=today), student=OuterRef("pk")
    )
    students = StudentFace.objects.filter(Exists(on_lists))
    known: QuerySet[Any, Any] = with_recognisability(students, model_id=model_id)
    return known.filter(recognisability="re_enrol").order_by("pk")


def courses_after_switch(*, model_id: str, at: datetime) -> Iterator[CourseAfterSwitch]:
    """Every course with students whom some model knows, by code."""
    for course in Course.objects.order_by("code"):
        day = timezone.localtime(at, course.zone).date()
        students = StudentFace.objects.filter(
            Q(enrolments__left_on__isnull=True) | Q(enrolments__left_on__gt=day),
            enrolments__course=course,
            enrolments__joined_on__lte=day,
        ).distinct()
        known: QuerySet[Any, Any] = with_recognisability(students, model_id=model_id)
        ready = known.filter(recognisability="ready").count()
        again = known.filter(recognisability="re_enrol").count()
        if ready or again:
            yield CourseAfterSwitch(course, ready, again)


@transaction.atomic
def invite_to_enrol_again(*, model_id: str) -> Invited:
    """Ask everybody by mail who must enrol again for this model.

    Who was asked is known as long as sent mails are kept (``MAIL_RETENTION_DAYS``); after that,
    whoever still has not enrolled is reminded.
    """
    asked = _asked_before(model_id)
    mails, before, without_address = [], 0, 0
    for student in who_must_enrol_again(model_id=model_id).select_related("user"):
        address = address_of(student)
        if not address:
            without_address += 1
        elif address in asked:
            before += 1
        else:
            with in_language_of(student.user):
                mail = notice(
                    address, _("Please register your face again"), "enrol_again", _of(student)
                )
            mail.extra_headers[INVITATION_HEADER] = model_id
            mails.append(mail)
    send_together(mails)
    return Invited(mailed=len(mails), before=before, without_address=without_address)


def _of(student: StudentFace) -> dict[str, Any]:
    return {
        "student": student,
        # Until then, the template by the model before is still searched.
        "still_recognised": settings.RECOGNITION_PREVIOUS_MODEL != ""
        and student.face_templates.filter(
            model_id=settings.RECOGNITION_PREVIOUS_MODEL, revoked_at=None
        ).exists(),
    }


def _asked_before(model_id: str) -> set[str]:
    mails = Email.objects.filter(**{f"headers__{INVITATION_HEADER}": model_id})
    return {address for addresses in mails.values_list("to", flat=True) for address in addresses}
