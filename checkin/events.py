"""Events of sessions: attendance, closing, alerts, appeals, warnings.

No figure of a comparison, no picture and no text of a person is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts.events import Event, EventKind, Plain, event_kind, publish, utc
from checkin.alerts.models import Alert
from checkin.appeals.models import Appeal
from checkin.models import Attendance, AttendanceWarning
from roster.events import of_course, of_student
from roster.models import ClassSession, Student

SEES_ATTENDANCE = "checkin.view_attendance"
SEES_SESSIONS = "roster.view_classsession"
SEES_APPEALS = "checkin.view_appeal"

ATTENDANCE_RECORDED = event_kind(
    "attendance.recorded", label=_("Attendance recorded"), permission=SEES_ATTENDANCE
)
ATTENDANCE_CHANGED = event_kind(
    "attendance.changed", label=_("Attendance changed"), permission=SEES_ATTENDANCE
)
ATTENDANCE_CHECKED_OUT = event_kind(
    "attendance.checked_out", label=_("Checked out"), permission=SEES_ATTENDANCE
)
ATTENDANCE_UNDONE = event_kind(
    "attendance.undone", label=_("Attendance taken back"), permission=SEES_ATTENDANCE
)
ATTENDANCE_WARNED = event_kind(
    "attendance.warned", label=_("Warning of low attendance sent"), permission=SEES_ATTENDANCE
)
SESSION_OPENED = event_kind(
    "session.opened", label=_("Class session opened"), permission=SEES_SESSIONS
)
SESSION_CLOSED = event_kind(
    "session.closed", label=_("Class session closed"), permission=SEES_SESSIONS
)
SESSION_REOPENED = event_kind(
    "session.reopened", label=_("Class session opened again"), permission=SEES_SESSIONS
)
ALERT_RAISED = event_kind(
    "alert.raised",
    label=_("Stranger, spoof or wrong passes at a kiosk"),
    permission="checkin.view_alert",
)
ALERT_CONFIRMED = event_kind(
    "alert.confirmed",
    label=_("Alert stands: nobody was let in with this face since"),
    permission="checkin.view_alert",
)
APPEAL_OPENED = event_kind("appeal.opened", label=_("Appeal opened"), permission=SEES_APPEALS)
APPEAL_DECIDED = event_kind("appeal.decided", label=_("Appeal decided"), permission=SEES_APPEALS)


def of_session(session: ClassSession) -> dict[str, Plain]:
    """Which session it is, as every payload says it."""
    return {
        **of_course(session.course),
        "session": session.pk,
        "session_starts_at": utc(session.starts_at),
        "session_ends_at": utc(session.ends_at),
    }


# Attendance


def attendance_event(
    kind: EventKind,
    *,
    session: ClassSession,
    student: Student,
    row: Attendance | None,
    at: datetime,
) -> Event:
    """What stands of a student in a session from now on; nothing without a row."""
    return Event(
        kind=kind,
        at=at,
        course=session.course_id,
        student=student.pk,
        payload={
            **of_student(student),
            **of_session(session),
            "status": row.status if row else None,
            "method": row.method if row else None,
            "reason": row.reason if row else "",
            "arrived_at": utc(row.arrived_at) if row else None,
            "left_at": utc(row.left_at) if row else None,
            "kiosk": row.kiosk_id if row else None,
        },
    )


def attendance_became(
    *,
    session: ClassSession,
    student: Student,
    existed: bool,
    row: Attendance | None,
    at: datetime,
) -> None:
    """A record is new, another one than before, or gone."""
    if row is None:
        kind = ATTENDANCE_UNDONE
    else:
        kind = ATTENDANCE_CHANGED if existed else ATTENDANCE_RECORDED
    if existed or row is not None:
        event = attendance_event(kind, session=session, student=student, row=row, at=at)
        publish([event])


def publish_rows(
    kind: EventKind, *, session: ClassSession, rows: Iterable[Attendance], at: datetime
) -> None:
    """One event for each of many rows of a session, with their students."""
    publish(
        attendance_event(kind, session=session, student=row.student, row=row, at=at) for row in rows
    )


def rows_undone(*, session: ClassSession, rows: Iterable[Attendance], at: datetime) -> None:
    publish(
        attendance_event(ATTENDANCE_UNDONE, session=session, student=row.student, row=None, at=at)
        for row in rows
    )


def attendance_warned(warnings: Iterable[AttendanceWarning], at: datetime) -> None:
    publish(
        Event(
            kind=ATTENDANCE_WARNED,
            at=at,
            course=warning.course_id,
            student=warning.student_id,
            payload={
                **of_student(warning.student),
                **of_course(warning.course),
                "attended": warning.attended,
                "counted": warning.counted,
                "required_percentage": warning.threshold,
            },
        )
        for warning in warnings
    )


# Sessions


def session_opened(session: ClassSession) -> Event:
    """The clock opens a session, and every server's does: the same opening is told once."""
    opened = utc(session.opens_at)
    return Event(
        kind=SESSION_OPENED,
        at=session.opens_at,
        course=session.course_id,
        payload={**of_session(session), "opened_at": opened},
        once=f"{SESSION_OPENED.name} {session.pk} {opened}",
    )


def session_closed(session: ClassSession, *, absences: int, at: datetime) -> None:
    payload = {**of_session(session), "closed_at": utc(session.closed_at), "absences": absences}
    publish([Event(kind=SESSION_CLOSED, at=at, course=session.course_id, payload=payload)])


def session_reopened(session: ClassSession, *, at: datetime) -> None:
    payload = {**of_session(session), "reopened_until": utc(session.reopened_until)}
    publish([Event(kind=SESSION_REOPENED, at=at, course=session.course_id, payload=payload)])


# Alerts and appeals


def alert_raised(alert: Alert, *, at: datetime) -> None:
    publish([_of_alert(ALERT_RAISED, alert, at)])


def alert_confirmed(alert: Alert, *, at: datetime) -> None:
    """A stranger is often let in at the next try: this is told a minute later, of who was not."""
    publish([_of_alert(ALERT_CONFIRMED, alert, at)])


def _of_alert(kind: EventKind, alert: Alert, at: datetime) -> Event:
    """It names nobody: who was denied with a recognised face is on the desk's page."""
    return Event(
        kind=kind,
        at=at,
        course=alert.session.course_id,
        payload={
            **of_session(alert.session),
            "alert": alert.pk,
            "alert_kind": alert.kind,
            "kiosk": alert.kiosk_id,
        },
    )


def appeal_opened(appeal: Appeal, *, at: datetime) -> None:
    publish([_of_appeal(APPEAL_OPENED, appeal, at)])


def appeal_decided(appeal: Appeal, *, at: datetime) -> None:
    """Accepted, refused or withdrawn."""
    publish([_of_appeal(APPEAL_DECIDED, appeal, at)])


def _of_appeal(kind: EventKind, appeal: Appeal, at: datetime) -> Event:
    return Event(
        kind=kind,
        at=at,
        course=appeal.session.course_id,
        student=appeal.student_id,
        payload={
            **of_student(appeal.student),
            **of_session(appeal.session),
            "appeal": appeal.pk,
            "appeal_kind": appeal.kind,
            "status": appeal.status,
            "opened_at": utc(appeal.opened_at),
            "decided_at": utc(appeal.decided_at),
        },
    )
