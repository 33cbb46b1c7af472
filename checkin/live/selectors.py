"""The live page of a session: who may see it, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import User
from checkin import marking
from checkin.alerts.services import open_alerts
from checkin.appeals.evidence import was_disowned_at_kiosk
from checkin.models import Attendance, AttendanceChange, CheckinAttempt, Kiosk, Outcome
from roster.models import ClassSession, Student
from roster.selectors import courses_of, students_in

SHOWN_REFUSALS = 20
SHOWN_ARRIVALS = 8

REFUSED = (
    Outcome.UNKNOWN,
    Outcome.AMBIGUOUS,
    Outcome.SPOOF,
    Outcome.SECOND_FACTOR,
    Outcome.DENIED,
    Outcome.NOT_ENROLLED,
    Outcome.SESSION_CLOSED,
)
#: Why, for the lecturer: by the attempt's own reason, else by its outcome.
WHY: dict[str, str | Promise] = {
    "no_blink": gettext_lazy("Did not blink when asked."),
    "no_action": gettext_lazy("Could not do what was asked; seen to be alive."),
    "no_sign_of_life": gettext_lazy("Neither moved nor blinked."),
    "wrong_action": gettext_lazy("Did other things than were asked."),
    "identity_changed": gettext_lazy("Another face came before the camera halfway."),
    "gap": gettext_lazy("The face was away for too long."),
    "jump": gettext_lazy("The face jumped or changed from one picture to the next."),
    "repeated_frames": gettext_lazy("The camera's pictures stopped or came again."),
    "out_of_order": gettext_lazy("The camera's pictures came out of order."),
    "too_slow": gettext_lazy("Too few pictures came: the connection is too slow."),
    "flat": gettext_lazy("The face moved like a picture, without depth."),
    "implausible_blink": gettext_lazy("The eyes did not close as lids do."),
    "screen": gettext_lazy("The face seemed to be on a screen."),
    "spoof_model": gettext_lazy("The anti-spoofing model took the face for a picture."),
    "template_revoked": gettext_lazy("The face was revoked a moment before."),
    "disowned": gettext_lazy("Somebody with this face said that they are not this person."),
    "no_pass": gettext_lazy("Recognised, but showed no pass in time."),
    "other_face": gettext_lazy("Recognised, then somebody else came before the pass."),
    "wrong_passes": gettext_lazy("Showed too many wrong passes."),
    "still_denied": gettext_lazy("Came again too soon after too many wrong passes."),
    Outcome.UNKNOWN: gettext_lazy("Like nobody in this class who is enrolled."),
    Outcome.AMBIGUOUS: gettext_lazy("Like two people in this class."),
    Outcome.SPOOF: gettext_lazy("Not proven to be a live face."),
    Outcome.NOT_ENROLLED: gettext_lazy("Known, but not on this class list."),
    Outcome.SESSION_CLOSED: gettext_lazy("The session was closed."),
    Outcome.SECOND_FACTOR: gettext_lazy("Showed no pass."),
    Outcome.DENIED: gettext_lazy("Showed too many wrong passes."),
}
#: The same of a wrong pass: its reasons are those of `checkin.passes.services`.
WHY_NO_PASS: dict[str, str | Promise] = {
    "foreign": gettext_lazy("Showed a code that is no pass."),
    "unknown": gettext_lazy("Showed a pass that is not known."),
    "used": gettext_lazy("Showed a pass that was used before."),
    "expired": gettext_lazy("Showed a pass that is too old."),
    "revoked": gettext_lazy("Showed a pass that a newer one replaces."),
    "other_student": gettext_lazy("Showed another student's pass."),
    "other_session": gettext_lazy("Showed a pass of another class."),
    "not_in_class": gettext_lazy("Showed a pass of somebody who is not in this class."),
}


# Who sees what


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody before the live page of a session that they may see."""

    user: User
    session: ClassSession

    @property
    def may_mark(self) -> bool:
        return self.user.has_perm("checkin.change_attendance")

    @property
    def may_see_changes(self) -> bool:
        return self.user.has_perm("checkin.view_attendancechange")

    @property
    def may_see_refusals(self) -> bool:
        return self.user.has_perm("checkin.view_checkinattempt")


def viewer_of(user: User, session_pk: int) -> Viewer | None:
    """None where the session does not exist or is not for this user's eyes."""
    if not user.has_perms(["roster.view_classsession", "checkin.view_attendance"]):
        return None
    own = ClassSession.objects.filter(course__in=courses_of(user))
    session = own.select_related("course", "room").filter(pk=session_pk).first()
    return Viewer(user, session) if session else None


# What is there


@dataclass(frozen=True, slots=True)
class Line:
    """One student, ready to show. ``shown`` is the key of the state, ``undo`` of a change."""

    student: int
    number: str
    name: str
    status: str = ""
    word: str = ""
    detail: str = ""
    note: str = ""
    arrived: str = ""
    time: str = ""
    shown: str = ""
    undo: int | None = None
    may_mark: bool = False


@dataclass(frozen=True, slots=True)
class RefusedAttempt:
    """An attempt that ended in a refusal; it says nothing of who it may have been."""

    time: str
    word: str
    why: str
    kiosk: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the live page shows at one moment."""

    lines: tuple[Line, ...]
    counts: dict[str, int]
    refusals: tuple[RefusedAttempt, ...]
    alerts: str
    state: str
    state_word: str

    @property
    def latest(self) -> list[Line]:
        came = [line for line in self.lines if line.arrived]
        return sorted(came, key=lambda line: line.arrived, reverse=True)[:SHOWN_ARRIVALS]


def snapshot_of(viewer: Viewer, at: datetime) -> Snapshot:
    session = viewer.session
    expected = list(students_in(session))
    rows = {row.student_id: row for row in _rows(session)}
    changes = _standing_changes(session) if viewer.may_see_changes else {}
    may_mark = viewer.may_mark and not session.is_locked(at)
    listed = [
        _line(session, student, rows.get(student.pk), changes.get(student.pk), may_mark=may_mark)
        for student in expected
    ]
    on_list = {student.pk for student in expected}
    others = [
        replace(
            _line(session, row.student, row, None, may_mark=False), note=_("not on the class list")
        )
        for pk, row in rows.items()
        if pk not in on_list
    ]
    state = session.state(at)
    return Snapshot(
        lines=(*listed, *others),
        counts=_counts(listed, others),
        refusals=tuple(_refusals(session)) if viewer.may_see_refusals else (),
        alerts=_alerts_word(viewer),
        state=state,
        state_word=_state_word(session, state, at),
    )


def _alerts_word(viewer: Viewer) -> str:
    """How many alerts of the session wait for a decision; empty where there is none to see."""
    waiting = open_alerts(viewer.user).filter(session=viewer.session).count()
    if not waiting:
        return ""
    text = ngettext("%(count)d alert waits", "%(count)d alerts wait", waiting)
    return text % {"count": waiting}


def _rows(session: ClassSession) -> QuerySet[Attendance]:
    rows = Attendance.objects.filter(session=session).select_related("student", "kiosk")
    return rows.order_by("student__name", "student__student_id")


def _standing_changes(session: ClassSession) -> dict[int, AttendanceChange]:
    """The newest change of each student that can be undone."""
    standing = AttendanceChange.objects.filter(session=session, undoes=None, undone_by=None)
    standing = standing.select_related("by", "disowning").order_by("pk")
    return {change.student_id: change for change in standing}


def _line(
    session: ClassSession,
    student: Student,
    row: Attendance | None,
    change: AttendanceChange | None,
    *,
    may_mark: bool,
) -> Line:
    state = marking.state_of(row)
    last = change if change and change.after == state else None
    line = Line(
        student=student.pk,
        number=student.student_id,
        name=student.name,
        word=_("missing"),
        shown=marking.key_of(state),
        note=_note(last),
        undo=last.pk if last else None,
        may_mark=may_mark,
    )
    if row is None:
        return line
    time = clock(session, row.arrived_at) if row.arrived_at else ""
    by_whom = row.kiosk.name if row.kiosk else str(row.get_method_display())
    return replace(
        line,
        status=row.status,
        word=str(Attendance.Status(row.status).label),
        detail=" · ".join(filter(None, [time, by_whom, _why_absent(row)])),
        arrived=row.arrived_at.isoformat() if row.arrived_at else "",
        time=time,
    )


def _why_absent(row: Attendance) -> str:
    return str(Attendance.Reason(row.reason).label) if row.reason else ""


def _note(change: AttendanceChange | None) -> str:
    if change is None:
        return ""
    return ": ".join(filter(None, [_who_changed(change), change.reason]))


def _who_changed(change: AttendanceChange) -> str:
    if was_disowned_at_kiosk(change):
        return _("the person at the kiosk")
    return name_of(change.by)


def name_of(user: User | None) -> str:
    return (user.get_full_name() or user.get_username()) if user else _("a former account")


def clock(session: ClassSession, moment: datetime) -> str:
    return f"{timezone.localtime(moment, session.course.zone):%H:%M}"


def _counts(listed: list[Line], others: list[Line]) -> dict[str, int]:
    statuses = [line.status for line in (*listed, *others)]
    missing = [line for line in listed if line.status in ("", Attendance.Status.ABSENT)]
    return {
        "expected": len(listed),
        "present": statuses.count(Attendance.Status.PRESENT),
        "late": statuses.count(Attendance.Status.LATE),
        "excused": statuses.count(Attendance.Status.EXCUSED),
        "missing": len(missing),
    }


def _refusals(session: ClassSession) -> list[RefusedAttempt]:
    """Of this session's kiosks, the newest first.

    An attempt names no session where two were open or nobody was recorded; then the kiosk and
    the time say to which it belongs.
    """
    serving = Kiosk.objects.filter(Q(courses=session.course_id) | Q(room__sessions=session))
    of_nobody = Q(
        session=None,
        kiosk__in=serving.values("pk"),
        at__gte=session.opens_at,
        at__lt=session.closes_at,
    )
    attempts = CheckinAttempt.objects.filter(Q(session=session) | of_nobody, outcome__in=REFUSED)
    return [
        RefusedAttempt(
            time=clock(session, attempt.at),
            word=str(attempt.get_outcome_display()),
            why=str(_why(attempt)),
            kiosk=attempt.kiosk.name if attempt.kiosk else _("own device"),
        )
        for attempt in attempts.select_related("kiosk").order_by("-at", "-pk")[:SHOWN_REFUSALS]
    ]


def _why(attempt: CheckinAttempt) -> str | Promise:
    if attempt.outcome == Outcome.SECOND_FACTOR and attempt.reason in WHY_NO_PASS:
        return WHY_NO_PASS[attempt.reason]
    return WHY.get(attempt.reason) or WHY[attempt.outcome]


def _state_word(session: ClassSession, state: ClassSession.State, at: datetime) -> str:
    if session.is_locked(at):
        return _("closed, records locked")
    words = {
        ClassSession.State.OPEN: _("open now"),
        ClassSession.State.CLOSED: _("closed"),
        ClassSession.State.PLANNED: _("opens at %(time)s")
        % {"time": session.clock(session.opens_at)},
    }
    return words[state]


# One student


@dataclass(frozen=True, slots=True)
class ChangeShown:
    at: str
    by: str
    before: str
    after: str
    reason: str


def history_of(session: ClassSession, student: Student) -> list[ChangeShown]:
    """Every change by hand, the newest first."""
    changes = AttendanceChange.objects.filter(session=session, student=student)
    return [
        ChangeShown(
            at=session.clock(change.at),
            by=_who_changed(change),
            before=marking.status_word(change.before),
            after=marking.status_word(change.after),
            reason=change.reason or (_("undone") if change.undoes_id else ""),
        )
        for change in changes.select_related("by", "disowning").order_by("-pk")
    ]
