"""Attendance by hand. Every change keeps who made it, when, and what stood there before.

A state is everything that an attendance row says, as JSON, or None where there is no row.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from checkin.events import attendance_became
from checkin.live.events import announce_after_commit
from checkin.locks import locked_sessions
from checkin.models import Attendance, AttendanceChange
from checkin.sessions.services import locked_sentence
from roster.models import ClassSession, Student
from roster.selectors import courses_of, students_in

State = dict[str, Any] | None

Status = Attendance.Status
CAME = (Status.PRESENT, Status.LATE)
MAX_REASON_LENGTH = 300
_WHOSE = ("id", "session_id", "student_id")


class MarkRefusedError(Exception):
    """Nothing was changed; the text is for the person who asked for it."""


class StaleMarkError(MarkRefusedError):
    """Somebody else, or a kiosk, was faster."""


def state_of(attendance: Attendance | None) -> State:
    """What a row says."""
    if attendance is None:
        return None
    values = {
        field.attname: getattr(attendance, field.attname)
        for field in Attendance._meta.concrete_fields
        if field.attname not in _WHOSE
    }
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def key_of(state: State) -> str:
    """A short text that differs where two states differ: what a page was shown."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]


@transaction.atomic
def mark(
    *,
    session: ClassSession,
    student: Student,
    status: str,
    by: User,
    reason: str,
    at: datetime,
    shown: str,
) -> Attendance:
    """Say what holds for a student in a session. ``shown`` is the key of what ``by`` saw.

    Raises:
        StaleMarkError: it is not so any more; the text says how it is now.
        MarkRefusedError: it cannot be marked so, and what to do about it.
    """
    session = _locked(session, by, at)
    if not students_in(session).filter(pk=student.pk).exists():
        raise MarkRefusedError(
            _("%(student)s is not on the class list of this session. Add them to the course first.")
            % {"student": student}
        )
    attendance = _row_of(session, student)
    before = state_of(attendance)
    if key_of(before) != shown:
        raise StaleMarkError(_stale(student, before))
    reason = _checked_reason(reason, status=status, before=before)
    _check_time(session, status, at)
    attendance = attendance or Attendance(
        session=session, student=student, method=Attendance.Method.MANUAL
    )
    _set(attendance, Status(status), session, at)
    attendance.save()
    AttendanceChange.objects.create(
        session=session,
        student=student,
        at=at,
        by=by,
        before=before,
        after=state_of(attendance),
        reason=reason,
    )
    attendance_became(
        session=session, student=student, existed=before is not None, row=attendance, at=at
    )
    announce_after_commit(session.pk)
    return attendance


@transaction.atomic
def set_times(
    *,
    session: ClassSession,
    student: Student,
    arrived_at: datetime,
    left_at: datetime | None,
    by: User,
    reason: str,
    at: datetime,
    shown: str,
) -> Attendance:
    """Say when a student who came arrived and left, where a kiosk was passed by.

    Raises:
        StaleMarkError: it is not as it was shown any more.
        MarkRefusedError: it cannot be so, and what to do about it.
    """
    session = _locked(session, by, at)
    attendance = _row_of(session, student)
    before = state_of(attendance)
    if key_of(before) != shown:
        raise StaleMarkError(_stale(student, before))
    if attendance is None or attendance.status not in CAME:
        raise MarkRefusedError(_("Who did not come has no times. Mark them present first."))
    _check_times(session, arrived_at, left_at, at)
    # As the database gives them back, or the state that is kept would seem another.
    attendance.arrived_at = arrived_at.astimezone(UTC)
    attendance.left_at = left_at.astimezone(UTC) if left_at else None
    if state_of(attendance) == before:
        raise MarkRefusedError(_("This is what stands there already."))
    reason = _given(reason)
    attendance.save()
    AttendanceChange.objects.create(
        session=session,
        student=student,
        at=at,
        by=by,
        before=before,
        after=state_of(attendance),
        reason=reason,
    )
    attendance_became(session=session, student=student, existed=True, row=attendance, at=at)
    announce_after_commit(session.pk)
    return attendance


@transaction.atomic
def undo(*, change: AttendanceChange, by: User, at: datetime) -> AttendanceChange:
    """Bring back exactly what stood there before a change; this is kept as a change too.

    Where nothing stood there and the session was closed since, it is the absence that the
    closing would have written: a closed session says something of everybody.

    Raises:
        MarkRefusedError: it is not the last change, something else happened since, or the
            records are locked.
    """
    session = _locked(change.session, by, at)
    attendance = _row_of(session, change.student)
    now = state_of(attendance)
    if now != change.after or last_change(session, change.student) != change:
        raise StaleMarkError(_stale(change.student, now))
    earlier = change.before
    if earlier is None and session.closed_at is not None:
        earlier = state_of(_absence(session, change.student))
    _restore(session, change.student, attendance, earlier, at)
    undone = AttendanceChange.objects.create(
        session=session,
        student=change.student,
        at=at,
        by=by,
        before=now,
        after=earlier,
        undoes=change,
    )
    announce_after_commit(session.pk)
    return undone


def set_state(
    *,
    session: ClassSession,
    student: Student,
    becomes: State,
    by: User | None,
    at: datetime,
    reason: str,
    undoes: AttendanceChange | None = None,
) -> AttendanceChange:
    """Write a whole state in the caller's transaction, and keep that as a change.

    For what follows from a "not me": the caller has locked the session and knows that it may be
    so. Without ``by`` nobody was logged in.
    """
    attendance = _row_of(session, student)
    before = state_of(attendance)
    _restore(session, student, attendance, becomes, at)
    change = AttendanceChange.objects.create(
        session=session,
        student=student,
        at=at,
        by=by,
        before=before,
        after=becomes,
        reason=reason[:MAX_REASON_LENGTH],
        undoes=undoes,
    )
    announce_after_commit(session.pk)
    return change


def state_without_arrival(session: ClassSession, student: Student) -> State:
    """What stands of somebody who did not come: nothing, or the absence once it is closed."""
    expected = students_in(session).filter(pk=student.pk).exists()
    if session.closed_at is None or not expected:
        return None
    return state_of(_absence(session, student))


def last_change(session: ClassSession, student: Student) -> AttendanceChange | None:
    """The newest change that can be undone: no undoing itself, and not undone."""
    standing = AttendanceChange.objects.filter(
        session=session, student=student, undoes=None, undone_by=None
    )
    return standing.order_by("-pk").first()


def status_word(state: State) -> str:
    return str(Status(state["status"]).label) if state else _("not recorded")


def _locked(session: ClassSession, by: User, at: datetime) -> ClassSession:
    found = locked_sessions().filter(pk=session.pk, course__in=courses_of(by)).first()
    if found is None or not by.has_perm("checkin.change_attendance"):
        raise MarkRefusedError(_("This session is not yours to mark."))
    if found.is_locked(at):
        raise MarkRefusedError(locked_sentence(found))
    return found


def _row_of(session: ClassSession, student: Student) -> Attendance | None:
    rows = Attendance.objects.select_for_update()
    return rows.filter(session=session, student=student).first()


def _checked_reason(reason: str, *, status: str, before: State) -> str:
    if status not in Status.values:
        raise MarkRefusedError(_("Choose present, late, excused or absent."))
    if before and before["status"] == status:
        raise MarkRefusedError(_("This is what stands there already."))
    if before or status == Status.EXCUSED:
        return _given(reason)
    return _storable(reason)


def _given(reason: str) -> str:
    reason = _storable(reason)
    if not reason:
        raise MarkRefusedError(_("Give a reason: it is kept with the change."))
    return reason


def _storable(reason: str) -> str:
    reason = " ".join(reason.split())
    if len(reason) > MAX_REASON_LENGTH:
        raise MarkRefusedError(
            _("The reason has %(got)d characters, at most %(most)d are kept. Make it shorter.")
            % {"got": len(reason), "most": MAX_REASON_LENGTH}
        )
    if "\0" in reason:
        raise MarkRefusedError(_("The reason holds a character that cannot be stored."))
    return reason


def _check_time(session: ClassSession, status: str, at: datetime) -> None:
    if at < session.opens_at and status != Status.EXCUSED:
        raise MarkRefusedError(
            _("The session opens at %(time)s. Until then, students can only be excused.")
            % {"time": session.clock(session.opens_at)}
        )


def _check_times(
    session: ClassSession, arrived_at: datetime, left_at: datetime | None, at: datetime
) -> None:
    last = left_at or arrived_at
    if last < arrived_at:
        raise MarkRefusedError(_("The leaving lies before the arrival."))
    if arrived_at < session.opens_at or last > at or arrived_at >= session.closes_at:
        raise MarkRefusedError(
            _("Between the opening, %(opens)s, and now: that is when somebody can come and leave.")
            % {"opens": session.clock(session.opens_at)}
        )


def _set(attendance: Attendance, status: Status, session: ClassSession, at: datetime) -> None:
    attendance.status, attendance.reason = status, ""
    if attendance.method == Attendance.Method.CLOSING:
        attendance.method = Attendance.Method.MANUAL
    if status not in CAME:
        attendance.arrived_at = attendance.left_at = None
    elif attendance.arrived_at is None:
        attendance.arrived_at = _arrival(status, session, at)


def _arrival(status: Status, session: ClassSession, at: datetime) -> datetime:
    """Whoever is marked during the session came now; afterwards nobody knows when exactly."""
    if at < session.ends_at:
        return at
    return (
        session.starts_at if status == Status.PRESENT else min(session.late_from, session.ends_at)
    )


def _absence(session: ClassSession, student: Student) -> Attendance:
    return Attendance(
        session=session, student=student, status=Status.ABSENT, method=Attendance.Method.CLOSING
    )


def _restore(
    session: ClassSession,
    student: Student,
    attendance: Attendance | None,
    state: State,
    at: datetime,
) -> None:
    existed = attendance is not None
    if state is not None:
        attendance = attendance or Attendance(session=session, student=student)
        for field in Attendance._meta.concrete_fields:
            if field.attname in state:
                setattr(attendance, field.attname, field.to_python(state[field.attname]))
        attendance.save()
    elif attendance is not None:
        attendance.delete()
        attendance = None
    attendance_became(session=session, student=student, existed=existed, row=attendance, at=at)


def _stale(student: Student, state: State) -> str:
    return _(
        "%(student)s is “%(status)s” by now: somebody else was faster. Look again, then decide."
    ) % {"student": student.name, "status": status_word(state)}
