"""Face and pass: who has to show one, and how often a wrong one may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from checkin.passes.services import PassRefusal
from recognition.models import FaceTemplate
from roster.models import ClassSession, EntryPolicy, Student
from roster.selectors import students_in

#: The last of so many wrong passes is answered with "denied".
MAX_WRONG_PASSES = 5
#: For one student at one session, at whatever kiosk: so long they count together, and so long
#: that student is denied there afterwards.
WRONG_PASSES_WITHIN = timedelta(minutes=10)
#: For one kiosk, where nobody knows who showed them.
WRONG_PASSES_ALONE_WITHIN = timedelta(minutes=2)

#: Who shows a pass after the face was recognised has shown a wrong one with any of these.
_WRONG = [refusal.value for refusal in PassRefusal]
#: Nobody was mistaken or tried anything: a code of something else is in view, or the pass is right
#: and comes too early.
HARMLESS_ALONE = (PassRefusal.FOREIGN, PassRefusal.NOT_ENOUGH)

DENIED_NOW = "wrong_passes"
DENIED_STILL = "still_denied"


@dataclass(frozen=True, slots=True)
class PassDue:
    """A recognised student who may enter this session with their pass only."""

    student: Student
    session: ClassSession


def pass_due(template_id: int, sessions: Sequence[ClassSession], at: datetime) -> PassDue | None:
    """Whether the person of this template has to show a pass at these sessions now."""
    template = FaceTemplate.objects.select_related("student").filter(pk=template_id).first()
    if template is None:
        return None
    session = next_entry(enrolled_in(sessions, template.student), template.student, at)
    if session is None or session.entry_policy != EntryPolicy.FACE_AND_PASS:
        return None
    return PassDue(template.student, session)


def enrolled_in(sessions: Sequence[ClassSession], student: Student) -> list[ClassSession]:
    """Those of the sessions on whose class list the student is, the earliest start first."""
    return [
        session
        for session in sorted(sessions, key=lambda session: (session.starts_at, session.pk))
        if students_in(session).filter(pk=student.pk).exists()
    ]


def next_entry(
    sessions: Sequence[ClassSession], student: Student, at: datetime
) -> ClassSession | None:
    """The first of these sessions that the student can arrive at or leave now."""
    rows = Attendance.objects.filter(session__in=sessions, student=student)
    of_session = {row.session_id: row for row in rows}
    for session in sessions:
        row = of_session.get(session.pk)
        if row is None or can_leave(row, session, at):
            return session
    return None


def can_leave(attendance: Attendance, session: ClassSession, at: datetime) -> bool:
    since = leaves_from(attendance, session)
    return since is not None and at >= since


def leaves_from(attendance: Attendance, session: ClassSession) -> datetime | None:
    """When a second scan begins to check out; None where it does not."""
    if not session.check_out or attendance.arrived_at is None or attendance.left_at is not None:
        return None
    # Who comes early has not left again before it began.
    since = max(attendance.arrived_at, session.starts_at)
    return since + timedelta(minutes=session.course.min_stay_min)


def is_denied(student: Student, session: ClassSession, at: datetime) -> bool:
    """Whether this student has shown too many wrong passes at this session a moment ago."""
    return CheckinAttempt.objects.filter(
        student=student,
        session=session,
        outcome=Outcome.DENIED,
        reason=DENIED_NOW,
        at__gt=at - WRONG_PASSES_WITHIN,
    ).exists()


def wrong_passes_of(student: Student, session: ClassSession, at: datetime) -> int:
    """How many this student has shown at this session lately."""
    return CheckinAttempt.objects.filter(
        student=student,
        session=session,
        outcome=Outcome.SECOND_FACTOR,
        reason__in=_WRONG,
        at__gt=at - WRONG_PASSES_WITHIN,
    ).count()


def wrong_passes_at(kiosk: Kiosk, at: datetime) -> int:
    """How many were shown alone here lately, since somebody last entered or was denied."""
    lately = CheckinAttempt.objects.filter(kiosk=kiosk, at__gt=at - WRONG_PASSES_ALONE_WITHIN)
    entered = Q(outcome__in=[Outcome.PRESENT, Outcome.LATE])
    denied = Q(outcome=Outcome.DENIED, student=None)
    last = lately.filter(entered | denied).order_by("-at", "-pk").first()
    since = lately.filter(at__gt=last.at) if last else lately
    wrong = since.filter(student=None, outcome=Outcome.SECOND_FACTOR, reason__in=_WRONG)
    return wrong.count()
