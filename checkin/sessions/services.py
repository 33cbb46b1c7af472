"""Closing and reopening sessions, and what that means for attendance."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from checkin.events import (
    ATTENDANCE_CHANGED,
    ATTENDANCE_RECORDED,
    publish_rows,
    rows_undone,
    session_closed,
    session_reopened,
)
from checkin.live.events import announce_after_commit
from checkin.locks import locked
from checkin.models import Attendance, AttendanceChange, SessionClosing
from roster.models import ClassSession
from roster.selectors import students_in

logger = logging.getLogger(__name__)

Status = Attendance.Status
MAX_REASON_LENGTH = 300


class SessionRefusedError(Exception):
    """Nothing was changed; the text is for the person who asked for it."""


@transaction.atomic
def close_session(
    session: ClassSession, at: datetime, *, by: User | None = None
) -> SessionClosing | None:
    """Close a session and write who was absent. Without ``by`` it is the clock that closes.

    Closed already, or not yet over for the clock, it stays as it is: nothing is returned.

    Raises:
        SessionRefusedError: it has not opened yet, so that nobody could come, or its day is locked.
    """
    session = locked(session)
    if session.closed_at is not None or (by is None and at < session.closes_at):
        return None
    # Not by the course's own number of days, after which a clock that stood still may close.
    if session.period_lock() is not None:
        if by is None:
            return None
        raise SessionRefusedError(locked_sentence(session))
    if at < session.opens_at:
        raise SessionRefusedError(
            _(
                "%(session)s has not opened yet: everybody would be absent. Delete it, or make the "
                "day a holiday of the course."
            )
            % {"session": session}
        )
    session.closed_at = at if by else session.closes_at
    session.reopened_until = None
    session.save(update_fields=["closed_at", "reopened_until"])
    closing = SessionClosing.objects.create(
        session=session,
        closed_at=session.closed_at,
        closed_by=by,
        short_stays=_judge_stays(session, at),
        absences=_write_absences(session, at),
    )
    session_closed(session, absences=closing.absences, at=at)
    announce_after_commit(session.pk)
    return closing


def close_due_sessions(at: datetime) -> int:
    """Close whatever is over; returns how many sessions that were.

    Each is closed on its own: one that cannot be holds up no other.
    """
    closed = 0
    for session in _due(at):
        try:
            closed += close_session(session, at) is not None
        except Exception as error:
            # Its text may hold more than ids.
            logger.error("session %s was not closed: %s", session.pk, type(error).__name__)
    return closed


@transaction.atomic
def reopen_session(
    session: ClassSession, at: datetime, *, by: User, reason: str, until: datetime | None = None
) -> None:
    """Take attendance again, to the end of the session or, after it, ``until`` then.

    The absences that the closing wrote are taken back; marks by hand stay.

    Raises:
        SessionRefusedError: it is not closed, its records are locked, there is no reason, or no
            time left.
    """
    session = locked(session)
    if session.closed_at is None:
        close_session(session, at)  # its time is over, and the clock has not looked yet
        session.refresh_from_db()
    if session.closed_at is None:
        raise SessionRefusedError(_("%(session)s is not closed.") % {"session": session})
    if session.is_locked(at):
        raise SessionRefusedError(locked_sentence(session))
    reason = _checked(reason)
    if session.ends_at <= at and (until is None or until <= at):
        raise SessionRefusedError(
            _("%(session)s is over: say until when it is open again.") % {"session": session}
        )
    closing, _created = SessionClosing.objects.get_or_create(
        session=session, reopened_at=None, defaults={"closed_at": session.closed_at}
    )
    closing.reopened_at, closing.reopened_by, closing.reason = at, by, reason
    closing.save(update_fields=["reopened_at", "reopened_by", "reason"])
    session.closed_at = None
    session.reopened_until = until if session.ends_at <= at else None
    session.save(update_fields=["closed_at", "reopened_until"])
    session_reopened(session, at=at)
    _take_back(session, at)
    announce_after_commit(session.pk)


def locked_sentence(session: ClassSession) -> str:
    """Why nothing of a session whose records are locked is changed any more.

    Students read it too: it names nobody.
    """
    if lock := session.period_lock():
        return _(
            "The records of %(session)s are locked: the days from %(first)s to %(last)s are "
            "settled. Whoever administers the desk can unlock them."
        ) % {"session": session, "first": lock.first_day, "last": lock.last_day}
    days = session.course.locks_after_days or 0
    return ngettext(
        "The records of %(session)s are locked: its course locks them %(days)d day after a "
        "session. Whoever may change the course can give more time.",
        "The records of %(session)s are locked: its course locks them %(days)d days after a "
        "session. Whoever may change the course can give more time.",
        days,
    ) % {"session": session, "days": days}


def _due(at: datetime) -> QuerySet[ClassSession]:
    # What was recorded in older ones is deleted already: nobody's absence is written anew.
    kept_since = at - timedelta(days=settings.RECORD_RETENTION_DAYS)
    return ClassSession.objects.filter(
        Q(reopened_until=None) | Q(reopened_until__lte=at),
        closed_at=None,
        ends_at__lte=at,
        ends_at__gt=kept_since,
    ).order_by("ends_at", "pk")


def _checked(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason:
        raise SessionRefusedError(_("Give a reason: it is kept with the session."))
    if len(reason) > MAX_REASON_LENGTH:
        raise SessionRefusedError(
            _("The reason has %(got)d characters, at most %(most)d are kept. Make it shorter.")
            % {"got": len(reason), "most": MAX_REASON_LENGTH}
        )
    return reason


def _write_absences(session: ClassSession, at: datetime) -> int:
    recorded = Attendance.objects.filter(session=session, student=OuterRef("pk"))
    missing = students_in(session).filter(~Exists(recorded))
    absences = [
        Attendance(
            session=session,
            student=student,
            status=Status.ABSENT,
            method=Attendance.Method.CLOSING,
        )
        for student in missing
    ]
    Attendance.objects.bulk_create(absences)
    publish_rows(ATTENDANCE_RECORDED, session=session, rows=absences, at=at)
    return len(absences)


def _judge_stays(session: ClassSession, at: datetime) -> int:
    """Make those absent who stayed for less than the course asks for; returns how many."""
    share = session.course.present_from_percent
    length = session.held_until - session.starts_at
    if not session.check_out or share is None or not length:
        return 0
    came = _seen_by_kiosks(session).filter(status__in=[Status.PRESENT, Status.LATE])
    short = [
        row for row in came.select_related("student") if 100 * _stay(row, session) < share * length
    ]
    for row in short:
        row.status, row.reason = Status.ABSENT, Attendance.Reason.SHORT_STAY
    Attendance.objects.filter(pk__in=[row.pk for row in short]).update(
        status=Status.ABSENT, reason=Attendance.Reason.SHORT_STAY
    )
    publish_rows(ATTENDANCE_CHANGED, session=session, rows=short, at=at)
    return len(short)


def _stay(row: Attendance, session: ClassSession) -> timedelta:
    """How much of the session. Who never checked out was not seen leaving, and stayed."""
    arrived = max(row.arrived_at or session.held_until, session.starts_at)
    left = min(row.left_at or session.held_until, session.held_until)
    return max(left - arrived, timedelta(0))


def _seen_by_kiosks(session: ClassSession) -> QuerySet[Attendance]:
    """Rows that a kiosk wrote and nobody changed by hand: a lecturer's word outranks a rule."""
    method = Attendance.Method
    return _unmarked(session).filter(method__in=[method.FACE, method.FACE_AND_PASS, method.PASS])


def _unmarked(session: ClassSession) -> QuerySet[Attendance]:
    standing = AttendanceChange.objects.filter(
        # A "not me" is no lecturer's word: who comes again afterwards is judged as everybody.
        session=session,
        student=OuterRef("student"),
        undoes=None,
        undone_by=None,
        disowning=None,
    )
    return Attendance.objects.filter(~Exists(standing), session=session)


def _take_back(session: ClassSession, at: datetime) -> None:
    absent = _unmarked(session).filter(status=Status.ABSENT).select_related("student")
    written = list(absent.filter(method=Attendance.Method.CLOSING))
    Attendance.objects.filter(pk__in=[row.pk for row in written]).delete()
    rows_undone(session=session, rows=written, at=at)
    short = list(absent.filter(reason=Attendance.Reason.SHORT_STAY))
    for row in short:
        late = row.arrived_at is not None and row.arrived_at >= session.late_from
        row.status, row.reason = Status.LATE if late else Status.PRESENT, ""
    Attendance.objects.bulk_update(short, ["status", "reason"], batch_size=500)
    publish_rows(ATTENDANCE_CHANGED, session=session, rows=short, at=at)
