"""What changes kiosks, attendance and attempts. Each function is one transaction."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from recognition.models import FaceTemplate
from roster.models import ClassSession, Student
from roster.selectors import students_in

KIOSK_TOKEN_PREFIX = "rck_"  # noqa: S105 -- marks leaked tokens for secret scanners


def hash_token(token: str) -> str:
    """What is stored of a token: it has 256 random bits, so a plain SHA-256 cannot be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue_kiosk_token(kiosk: Kiosk) -> str:
    """Give a kiosk a new token, which is not stored and so can be shown only now.

    The old token ends with it, and so does a revocation.
    """
    token = KIOSK_TOKEN_PREFIX + secrets.token_urlsafe(32)
    kiosk.token_hash = hash_token(token)
    kiosk.revoked_at = None
    kiosk.save(update_fields=["token_hash", "revoked_at"])
    return token


def revoke_kiosk(kiosk: Kiosk) -> None:
    """Shut a kiosk out. An open connection ends within `checkin.consumers.RECHECK_S` seconds."""
    kiosk.revoked_at = timezone.now()
    kiosk.save(update_fields=["revoked_at"])


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The figures behind one decision, as they are kept in the attempt."""

    model_id: str
    gallery_size: int
    similarity: float | None = None
    runner_up: float | None = None
    threshold: float | None = None
    liveness: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CheckinResult:
    """What the kiosk tells the person. ``attendance`` is the row in force, old or new."""

    outcome: Outcome
    reason: str = ""
    attendance: Attendance | None = None


@transaction.atomic
def record_attendance(
    *,
    kiosk: Kiosk,
    sessions: Sequence[ClassSession],
    template_id: int,
    evidence: Evidence,
    at: datetime,
) -> CheckinResult:
    """Write one arrival, once, for the session of these where the student is enrolled.

    Everything that may have changed since the gallery was read is checked again: the template,
    the session, the class list. A repeated call returns `already` and the first row.
    """
    in_force = FaceTemplate.objects.select_related("student").filter(revoked_at=None)
    template = in_force.filter(pk=template_id).first()
    if template is None:
        result = CheckinResult(outcome=Outcome.UNKNOWN, reason="template_revoked")
    else:
        result = _arrival(kiosk, sessions, template.student, at)
    record_attempt(
        kiosk=kiosk,
        outcome=result.outcome,
        reason=result.reason,
        evidence=evidence,
        at=at,
        session=result.attendance.session if result.attendance else None,
        template=template if result.attendance else None,
    )
    return result


def _arrival(
    kiosk: Kiosk, sessions: Sequence[ClassSession], student: Student, at: datetime
) -> CheckinResult:
    # The lock makes closing a session wait for this arrival, or this arrival see it closed.
    current = ClassSession.objects.select_for_update(of=("self",)).select_related("course")
    still_open = [
        session
        for session in current.filter(pk__in=[session.pk for session in sessions])
        if session.is_open(at)
    ]
    if not still_open:
        return CheckinResult(outcome=Outcome.SESSION_CLOSED)
    enrolled_in = [
        session
        for session in sorted(still_open, key=lambda session: (session.starts_at, session.pk))
        if students_in(session).filter(pk=student.pk).exists()
    ]
    if not enrolled_in:
        return CheckinResult(outcome=Outcome.NOT_ENROLLED)
    attendance, created = _first_unrecorded(kiosk, enrolled_in, student, at)
    outcome = Outcome(attendance.status) if created else Outcome.ALREADY
    return CheckinResult(outcome=outcome, attendance=attendance)


def _first_unrecorded(
    kiosk: Kiosk, sessions: Sequence[ClassSession], student: Student, at: datetime
) -> tuple[Attendance, bool]:
    """A new row in the first session without one; if all have one, the row of the last."""
    for session in sessions:
        late = at >= session.late_from
        attendance, created = Attendance.objects.get_or_create(
            session=session,
            student=student,
            defaults={
                "status": Attendance.Status.LATE if late else Attendance.Status.PRESENT,
                "method": Attendance.Method.FACE,
                "arrived_at": at,
                "kiosk": kiosk,
            },
        )
        if created:
            break
    return attendance, created


def record_attempt(
    *,
    kiosk: Kiosk,
    outcome: Outcome,
    evidence: Evidence,
    at: datetime,
    reason: str = "",
    session: ClassSession | None = None,
    template: FaceTemplate | None = None,
) -> CheckinAttempt:
    """Keep how one attempt ended. Without a template it names nobody."""
    return CheckinAttempt.objects.create(
        kiosk=kiosk,
        at=at,
        session=session,
        student=template.student if template else None,
        template=template,
        outcome=outcome,
        reason=reason,
        model_id=evidence.model_id,
        gallery_size=evidence.gallery_size,
        similarity=evidence.similarity,
        runner_up=evidence.runner_up,
        threshold=evidence.threshold,
        liveness=evidence.liveness,
    )
