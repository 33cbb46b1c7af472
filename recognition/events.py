"""Events of registrations and consent. Nothing of a face is told, and no reason in words."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts.events import Event, EventKind, event_kind, publish, utc
from recognition.models import FaceRegistration
from roster.events import of_student
from roster.models import Student

REGISTRATION_SUBMITTED = event_kind(
    "registration.submitted",
    label=_("Face registration handed in"),
    permission="recognition.view_faceregistration",
)
REGISTRATION_APPROVED = event_kind(
    "registration.approved",
    label=_("Face registration approved"),
    permission="recognition.view_faceregistration",
)
REGISTRATION_REJECTED = event_kind(
    "registration.rejected",
    label=_("Face registration rejected"),
    permission="recognition.view_faceregistration",
)
REGISTRATION_WITHDRAWN = event_kind(
    "registration.withdrawn",
    label=_("Face registration withdrawn"),
    permission="recognition.view_faceregistration",
)
CONSENT_WITHDRAWN = event_kind(
    "consent.withdrawn",
    label=_("Consent to face recognition withdrawn"),
    permission="recognition.view_studentface",
)

Status = FaceRegistration.Status
OF_STATUS = {
    Status.PENDING: REGISTRATION_SUBMITTED,
    Status.APPROVED: REGISTRATION_APPROVED,
    Status.REJECTED: REGISTRATION_REJECTED,
    Status.CANCELLED: REGISTRATION_WITHDRAWN,
}


def registration_became(
    registration: FaceRegistration, status: FaceRegistration.Status, *, at: datetime
) -> None:
    """A registration that was handed in has this status from now on."""
    publish([_of_registration(registration, OF_STATUS[status], at)])


def consent_withdrawn(student: Student, *, at: datetime) -> None:
    publish(
        [
            Event(
                kind=CONSENT_WITHDRAWN,
                at=at,
                student=student.pk,
                payload={**of_student(student), "withdrawn_at": utc(at)},
            )
        ]
    )


def _of_registration(registration: FaceRegistration, kind: EventKind, at: datetime) -> Event:
    return Event(
        kind=kind,
        at=at,
        student=registration.student_id,
        payload={
            **of_student(registration.student),
            "registration": registration.pk,
            "submitted_at": utc(registration.submitted_at),
            "decided_at": utc(registration.decided_at),
        },
    )
