"""“Not me”: who is recognised as somebody else says so, and the check-in is undone.

At the kiosk it is the person who stands there, on the student's page the owner of the account.
Either may be wrong or lie, so that it is all taken back if the lecturer refuses the appeal.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from checkin.appeals.models import Appeal, Disowning, KeptProbe
from checkin.appeals.services import appeal_of_not_me, midnight_after, tell_of_opening
from checkin.locks import locked
from checkin.marking import State, set_state, state_of, state_without_arrival
from checkin.models import Attendance, AttendanceChange, CheckinAttempt, Outcome
from checkin.sessions.services import locked_sentence
from recognition.engine.types import Embedding
from recognition.mistakes import remember_mistake
from recognition.models import FaceMistake
from recognition.sealing import TemplateUnreadableError, seal_vector
from recognition.template_updates import bring_back_if_learned
from roster.models import ClassSession

logger = logging.getLogger(__name__)

Status = Attendance.Status
ARRIVED = (Outcome.PRESENT, Outcome.LATE)
ACCEPTED = (*ARRIVED, Outcome.CHECKED_OUT, Outcome.ALREADY)
#: Where the course takes no appeals, this many days after the session.
LEAST_DAYS = 1


class NotMeRefusedError(Exception):
    """Nothing was changed; the text is for the person who said it."""


class NobodyAcceptedError(NotMeRefusedError):
    """The attempt let nobody in."""


class TooLateError(NotMeRefusedError):
    """The deadline is over, or the records of the session are locked."""


class ChangedSinceError(NotMeRefusedError):
    """What stands there is not what this check-in wrote."""


def not_me_until(session: ClassSession) -> datetime:
    """The first moment at which it is too late to say "not me" on the own page."""
    days = session.course.appeal_days
    return midnight_after(session, LEAST_DAYS if days is None else days)


def keep_probe(*, attempt: CheckinAttempt, embedding: Embedding) -> None:
    """Keep the face of an accepted check-in, ``(d,)``, encrypted, as long as it may be disowned.

    In the caller's transaction. Of an attempt without session, student or template nothing is
    kept: there is nobody whom it could have been taken for.
    """
    if attempt.session is None or attempt.template is None or attempt.outcome not in ACCEPTED:
        return
    owner_pk, model_id = attempt.template.student_id, attempt.template.model_id
    KeptProbe.objects.create(
        attempt=attempt,
        template=attempt.template,
        model_id=model_id,
        sealed_vector=seal_vector(embedding, student_pk=owner_pk, model_id=model_id),
        expires_at=not_me_until(attempt.session),
    )


@transaction.atomic
def disown(*, attempt: CheckinAttempt, at: datetime, at_kiosk: bool) -> Appeal | None:
    """Undo a check-in, keep that this face is not this template's person, and open an appeal.

    Said twice it counts once: the second time nothing happens and nothing is returned. A record
    that a lecturer has marked since stays as it is. At the kiosk the caller holds the 10 s.

    Raises:
        NobodyAcceptedError: the attempt let nobody in.
        TooLateError: the deadline is over, or the records are locked.
        ChangedSinceError: on the page, the record is not that of this check-in any more.
    """
    if attempt.session is None or attempt.student is None or attempt.outcome not in ACCEPTED:
        raise NobodyAcceptedError(_("Nobody was recorded at this check-in."))
    session = locked(attempt.session)
    if Disowning.objects.filter(attempt=attempt).exists():
        return None
    _check_time(session, at, at_kiosk=at_kiosk)
    if not at_kiosk and not is_undone_by_it(attempt):
        raise ChangedSinceError(
            _("The record was changed since this check-in. Question it in words instead.")
        )
    change = _undo(attempt, session, at, at_kiosk=at_kiosk)
    appeal = appeal_of_not_me(session=session, student=attempt.student, at=at)
    Disowning.objects.create(
        appeal=appeal,
        attempt=attempt,
        change=change,
        mistake=_pair(attempt, at),
        at=at,
        at_kiosk=at_kiosk,
    )
    tell_of_opening(appeal)
    logger.info("check-in attempt %s was disowned", attempt.pk)
    return appeal


def is_undone_by_it(attempt: CheckinAttempt) -> bool:
    """Whether the record stands as this check-in left it, so that a "not me" undoes it."""
    row = _row_of(attempt)
    if row is None or _marked_since(attempt):
        return False
    if attempt.outcome == Outcome.CHECKED_OUT:
        return row.left_at == attempt.at
    return attempt.outcome in ARRIVED and row.arrived_at == attempt.at


def _check_time(session: ClassSession, at: datetime, *, at_kiosk: bool) -> None:
    if session.is_locked(at):
        raise TooLateError(locked_sentence(session))
    if not at_kiosk and at >= not_me_until(session):
        raise TooLateError(
            _("The time to say “not me” to this check-in is over. Talk to your lecturer.")
        )


def _row_of(attempt: CheckinAttempt) -> Attendance | None:
    rows = Attendance.objects.filter(session=attempt.session, student=attempt.student)
    return rows.first()


def _marked_since(attempt: CheckinAttempt) -> bool:
    """A lecturer's word outranks it."""
    return AttendanceChange.objects.filter(
        session=attempt.session,
        student=attempt.student,
        at__gte=attempt.at,
        undoes=None,
        undone_by=None,
        disowning=None,
    ).exists()


def _undo(
    attempt: CheckinAttempt, session: ClassSession, at: datetime, *, at_kiosk: bool
) -> AttendanceChange | None:
    student, row = attempt.student, _row_of(attempt)
    if student is None or row is None or not is_undone_by_it(attempt):
        return None
    becomes = (
        _not_left(row, session)
        if attempt.outcome == Outcome.CHECKED_OUT
        else state_without_arrival(session, student)
    )
    by: User | None = None if at_kiosk else student.user
    reason = _("“Not me” at the kiosk") if at_kiosk else _("“Not me” on the own page")
    return set_state(session=session, student=student, becomes=becomes, by=by, at=at, reason=reason)


def _not_left(row: Attendance, session: ClassSession) -> State:
    """As before the check-out. Who was not seen leaving stayed to the end."""
    state: dict[str, Any] = {**(state_of(row) or {}), "left_at": None}
    if row.reason == Attendance.Reason.SHORT_STAY and row.arrived_at is not None:
        late = row.arrived_at >= session.late_from
        state |= {"status": (Status.LATE if late else Status.PRESENT).value, "reason": ""}
    return state


def _pair(attempt: CheckinAttempt, at: datetime) -> FaceMistake | None:
    """The template, without what it learned since, and the face that it was not; the probe goes.

    None without either.
    """
    if attempt.template is not None:
        bring_back_if_learned(attempt.template, since=attempt.at)
    probe = KeptProbe.objects.select_related("template").filter(attempt=attempt).first()
    if probe is None or probe.expires_at <= at:
        return None
    try:
        embedding = probe.vector()
    except TemplateUnreadableError as error:
        logger.error("the probe of attempt %s makes no pair: %s", attempt.pk, error)
        return None
    mistake = remember_mistake(template=probe.template, embedding=embedding, at=at)
    probe.delete()
    return mistake
