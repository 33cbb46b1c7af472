"""What changes kiosks, attendance and attempts. Each function is one transaction."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.events import publish
from checkin.appeals.not_me import ARRIVED, keep_probe
from checkin.events import ATTENDANCE_CHECKED_OUT, attendance_became, attendance_event
from checkin.locks import locked_sessions
from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome, PairingCode
from checkin.notices.services import tell_of_entry
from checkin.passes.second_factor import (
    DENIED_NOW,
    DENIED_STILL,
    HARMLESS_ALONE,
    MAX_WRONG_PASSES,
    can_leave,
    enrolled_in,
    is_denied,
    next_entry,
    wrong_passes_at,
    wrong_passes_of,
)
from checkin.passes.services import PassRefusedError, redeem, replace_used
from recognition.engine.dialogue import PassEnd
from recognition.engine.types import Embedding
from recognition.models import FaceTemplate
from recognition.selectors import in_force_after
from recognition.template_updates import learn_from_check_in
from roster.models import ClassSession, EntryPolicy, Student

KIOSK_TOKEN_PREFIX = "rck_"  # noqa: S105 -- marks leaked tokens for secret scanners

#: Refusals of somebody who was recognised: they are counted by person and session.
NAMED_REFUSALS = (Outcome.SECOND_FACTOR, Outcome.DENIED)


TOKEN_FIELDS = ("token_hash", "old_token_hash", "old_token_until")


class KioskRefusedError(Exception):
    """A kiosk cannot be changed like this; the text is for the person who wanted it."""


def hash_token(token: str) -> str:
    """What is stored of a token: it has 256 random bits, so a plain SHA-256 cannot be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def issue_kiosk_token(kiosk: Kiosk) -> str:
    """Give a kiosk a new token, which is not stored and so can be shown only now.

    The old token ends with it, and so do a revocation and a pairing code that waits.
    """
    token = KIOSK_TOKEN_PREFIX + secrets.token_urlsafe(32)
    _lock_kiosk(kiosk)
    kiosk.token_hash, kiosk.revoked_at = hash_token(token), None
    kiosk.old_token_hash, kiosk.old_token_until = None, None
    kiosk.save(update_fields=[*TOKEN_FIELDS, "revoked_at"])
    PairingCode.objects.filter(kiosk=kiosk).delete()
    return token


@transaction.atomic
def roll_kiosk_token(kiosk: Kiosk, at: datetime) -> str:
    """Give a kiosk that runs a new token, beside which the old one opens for a while.

    Rolled again within that while, the newest and the one before it open; the oldest ends.

    Raises:
        KioskRefusedError: it has no token, or was revoked.
    """
    _lock_kiosk(kiosk)
    if kiosk.token_hash is None or kiosk.revoked_at is not None:
        raise KioskRefusedError(_("Only a kiosk that is in use has a token to roll. Pair it."))
    token = KIOSK_TOKEN_PREFIX + secrets.token_urlsafe(32)
    kiosk.old_token_hash = kiosk.token_hash
    kiosk.old_token_until = at + timedelta(hours=settings.KIOSK_TOKEN_GRACE_HOURS)
    kiosk.token_hash = hash_token(token)
    kiosk.save(update_fields=[*TOKEN_FIELDS])
    return token


@transaction.atomic
def revoke_kiosk(kiosk: Kiosk) -> None:
    """Shut a kiosk out. An open connection ends within `checkin.consumers.RECHECK_S` seconds."""
    _lock_kiosk(kiosk)
    kiosk.revoked_at = timezone.now()
    kiosk.old_token_hash, kiosk.old_token_until = None, None
    kiosk.save(update_fields=["revoked_at", "old_token_hash", "old_token_until"])
    PairingCode.objects.filter(kiosk=kiosk).delete()


def _lock_kiosk(kiosk: Kiosk) -> None:
    """Of two who change the tokens at once, the later sees what the earlier did."""
    kiosk.refresh_from_db(
        fields=[*TOKEN_FIELDS, "revoked_at"],
        from_queryset=Kiosk.objects.select_for_update(),
    )


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
    """What the kiosk tells the person. ``attendance`` is the row in force, old or new.

    ``refused`` says what was wrong with a pass that was shown. ``session`` is the one that it was
    about, also where nothing was recorded. ``attempt`` is what was kept of it; a code that need
    not be kept leaves none.
    """

    outcome: Outcome
    reason: str = ""
    attendance: Attendance | None = None
    session: ClassSession | None = None
    refused: PassRefusedError | None = None
    attempt: CheckinAttempt | None = None


@transaction.atomic
def record_attendance(
    *,
    kiosk: Kiosk | None,
    sessions: Sequence[ClassSession],
    template_id: int,
    evidence: Evidence,
    at: datetime,
    embedding: Embedding | None = None,
    payload: str | None = None,
) -> CheckinResult:
    """Write one arrival, once, for the session of these where the student is enrolled.

    Everything that may have changed since the gallery was read is checked again: the template,
    the session, the class list. A repeated call returns `already` and the first row.

    ``embedding`` is the live face, ``(d,)``: it is kept for a while, so that "not me" can be said.
    ``payload`` is the code of the pass that was shown too, where the session or a look-alike in the
    class asks for one: then it has to be right. Without it such a session answers `second_factor`;
    with a wrong one too, and from the fifth on `denied`.
    """
    template = in_force_after(template_id)
    if template is None:
        result = CheckinResult(outcome=Outcome.UNKNOWN, reason="template_revoked")
    else:
        result = _entry_by_face(kiosk, sessions, template.student, at, payload)
    names_somebody = result.attendance is not None or result.outcome in NAMED_REFUSALS
    attempt = record_attempt(
        kiosk=kiosk,
        outcome=result.outcome,
        reason=result.reason,
        evidence=evidence,
        at=at,
        session=result.session,
        template=template if names_somebody else None,
    )
    if embedding is not None and result.attendance is not None:
        keep_probe(attempt=attempt, embedding=embedding)
        if kiosk is not None and result.outcome in ARRIVED and template is not None:
            _learn_later(template, embedding, evidence, at)
    return replace(result, attempt=attempt)


def _learn_later(
    template: FaceTemplate, embedding: Embedding, evidence: Evidence, at: datetime
) -> None:
    """After the commit: what has been recorded stands, whether a template learns of it or not.

    Only at a kiosk, which the institution's eyes are on, and only of an arrival: later visits of
    the day would show the same face again.
    """
    if template.model_id != evidence.model_id:
        return

    def learn() -> None:
        learn_from_check_in(
            template=template, embedding=embedding, runner_up=evidence.runner_up, at=at
        )

    transaction.on_commit(learn, robust=True)


@transaction.atomic
def record_pass(
    *,
    kiosk: Kiosk,
    sessions: Sequence[ClassSession],
    payload: str,
    evidence: Evidence,
    at: datetime,
) -> CheckinResult:
    """Write one arrival of who shows a pass and no face, where a session of these allows that.

    The pass and the arrival stand or fall together: who cannot enter, or is recorded already,
    keeps the pass. A wrong one is `second_factor`, the fifth at this kiosk within two minutes
    `denied`; what is no pass at all is not kept as an attempt.
    """
    still_open = _still_open(sessions, at)
    if still_open:
        result = _entry_by_pass(kiosk, still_open, payload, at)
    else:
        result = CheckinResult(outcome=Outcome.SESSION_CLOSED)
    if result.refused is not None and result.refused.refusal in HARMLESS_ALONE:
        return result
    if result.refused is not None and wrong_passes_at(kiosk, at) + 1 >= MAX_WRONG_PASSES:
        result = replace(result, outcome=Outcome.DENIED, reason=DENIED_NOW)
    only = still_open[0] if len(still_open) == 1 else None
    attempt = record_attempt(
        kiosk=kiosk,
        outcome=result.outcome,
        reason=result.reason,
        evidence=evidence,
        at=at,
        session=result.session or only,
        student=result.attendance.student if result.attendance else None,
    )
    return replace(result, attempt=attempt)


def _still_open(sessions: Sequence[ClassSession], at: datetime) -> list[ClassSession]:
    rows = locked_sessions().filter(pk__in=[session.pk for session in sessions]).order_by("pk")
    return [session for session in rows if session.is_open(at) and not session.period_lock()]


def _entry_by_face(
    kiosk: Kiosk | None,
    sessions: Sequence[ClassSession],
    student: Student,
    at: datetime,
    payload: str | None,
) -> CheckinResult:
    still_open = _still_open(sessions, at)
    if not still_open:
        return CheckinResult(outcome=Outcome.SESSION_CLOSED)
    enrolled = enrolled_in(still_open, student)
    if not enrolled:
        return CheckinResult(outcome=Outcome.NOT_ENROLLED)
    session = next_entry(enrolled, student, at)
    if session is None:
        return _already(enrolled[-1], student)
    if payload is None and session.entry_policy != EntryPolicy.FACE_AND_PASS:
        return _enter(kiosk, session, student, at, Attendance.Method.FACE)
    if payload is None:
        return CheckinResult(outcome=Outcome.SECOND_FACTOR, reason=PassEnd.TIMEOUT, session=session)
    return _entry_by_both(kiosk, session, student, at, payload)


def _entry_by_both(
    kiosk: Kiosk | None, session: ClassSession, student: Student, at: datetime, payload: str
) -> CheckinResult:
    if is_denied(student, session, at):
        return CheckinResult(outcome=Outcome.DENIED, reason=DENIED_STILL, session=session)
    try:
        redeem(payload=payload, sessions=[session], kiosk=kiosk, at=at, student=student)
    except PassRefusedError as error:
        last = wrong_passes_of(student, session, at) + 1 >= MAX_WRONG_PASSES
        return CheckinResult(
            outcome=Outcome.DENIED if last else Outcome.SECOND_FACTOR,
            reason=DENIED_NOW if last else error.refusal,
            session=session,
            refused=error,
        )
    _replace_pass_later(student, at)
    return _enter(kiosk, session, student, at, Attendance.Method.FACE_AND_PASS)


def _entry_by_pass(
    kiosk: Kiosk, sessions: Sequence[ClassSession], payload: str, at: datetime
) -> CheckinResult:
    try:
        # A savepoint: the pass that opens nothing is not spent.
        with transaction.atomic():
            shown = redeem(payload=payload, sessions=sessions, kiosk=kiosk, at=at)
            own = enrolled_in(shown.sessions, shown.student)
            session = next_entry(own, shown.student, at)
            if session is None:
                already = _already(own[-1], shown.student)
                transaction.set_rollback(True)
                return already
            _replace_pass_later(shown.student, at)
            return _enter(kiosk, session, shown.student, at, Attendance.Method.PASS)
    except PassRefusedError as error:
        return CheckinResult(outcome=Outcome.SECOND_FACTOR, reason=error.refusal, refused=error)


def _replace_pass_later(student: Student, at: datetime) -> None:
    """After the commit: drawing a picture takes milliseconds, and the session is locked now.

    What has been entered stands, whether the next pass can be mailed or not.
    """

    def mail_next() -> None:
        replace_used(student, at)

    transaction.on_commit(mail_next, robust=True)


def _enter(
    kiosk: Kiosk | None,
    session: ClassSession,
    student: Student,
    at: datetime,
    method: Attendance.Method,
) -> CheckinResult:
    """Arrive where there is no row yet, and leave where there is one that can be left."""
    late = at >= session.late_from
    attendance, created = Attendance.objects.get_or_create(
        session=session,
        student=student,
        defaults={
            "status": Attendance.Status.LATE if late else Attendance.Status.PRESENT,
            "method": method,
            "arrived_at": at,
            "kiosk": kiosk,
        },
    )
    if created:
        tell_of_entry(attendance, at)
        attendance_became(session=session, student=student, existed=False, row=attendance, at=at)
        return CheckinResult(
            outcome=Outcome(attendance.status), attendance=attendance, session=session
        )
    if not can_leave(attendance, session, at):
        return CheckinResult(outcome=Outcome.ALREADY, attendance=attendance, session=session)
    attendance.left_at = at
    attendance.save(update_fields=["left_at"])
    publish(
        [
            attendance_event(
                ATTENDANCE_CHECKED_OUT, session=session, student=student, row=attendance, at=at
            )
        ]
    )
    return CheckinResult(outcome=Outcome.CHECKED_OUT, attendance=attendance, session=session)


def _already(session: ClassSession, student: Student) -> CheckinResult:
    attendance = Attendance.objects.select_related("student").get(session=session, student=student)
    attendance.session = session
    return CheckinResult(outcome=Outcome.ALREADY, attendance=attendance, session=session)


def record_attempt(
    *,
    kiosk: Kiosk | None,
    outcome: Outcome,
    evidence: Evidence,
    at: datetime,
    reason: str = "",
    session: ClassSession | None = None,
    template: FaceTemplate | None = None,
    student: Student | None = None,
) -> CheckinAttempt:
    """Keep how one attempt ended. Without a template, whose student it is, or a student it names
    nobody.
    """
    return CheckinAttempt.objects.create(
        kiosk=kiosk,
        at=at,
        session=session,
        student=template.student if template else student,
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
