"""Working hours and attendance of a period, as the lines of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from checkin.models import Attendance
from checkin.reports.rates import Term, attendance_in, closed_sessions, sessions_in
from integrations.payroll.hours import Level, Line, Presence, Shift, lines_of, shifts_of
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule
from roster.models import ClassSession, Course, PeriodLock, Student
from roster.selectors import SEE_EVERY_COURSE, courses_of

Status = Attendance.Status
SHARE = "integrations.share_exportprofile"


def profiles_of(user: User) -> QuerySet[ExportProfile]:
    """Those that are for everybody, and the user's own; all for who looks after them."""
    if user.has_perm(SHARE):
        return ExportProfile.objects.all()
    return ExportProfile.objects.filter(Q(shared=True) | Q(owner=user))


def schedules_of(user: User) -> QuerySet[ExportSchedule]:
    """Files that leave the system hold every course: only who sees all of them sees these."""
    if user.has_perm(SEE_EVERY_COURSE):
        return ExportSchedule.objects.all()
    return ExportSchedule.objects.none()


def runs_of(user: User) -> QuerySet[ExportRun]:
    return ExportRun.objects.filter(schedule__in=schedules_of(user))


def courses_in(profile: ExportProfile, user: User) -> QuerySet[Course]:
    """What a file of this profile covers when this user makes it."""
    own, chosen = courses_of(user), profile.courses.values("pk")
    return own.filter(pk__in=chosen) if profile.courses.exists() else own


@dataclass(frozen=True)
class Row:
    """One line of a file, before it is formatted. Moments are on the course's clocks."""

    student: Student
    courses: tuple[Course, ...]
    first_day: date
    last_day: date
    day: date | None = None
    seconds: int = 0
    break_s: int = 0
    shift_count: int = 0
    arrived: datetime | None = None
    left: datetime | None = None
    starts: datetime | None = None
    ends: datetime | None = None
    status: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flagged:
    """A shift that somebody should look at."""

    student: Student
    session: ClassSession
    arrived: str
    left: str
    flag: str


@dataclass(frozen=True)
class Sheet:
    """The lines of a file and what they come to."""

    first_day: date
    last_day: date
    courses: list[Course]
    rows: list[Row]
    flagged: list[Flagged] = field(default_factory=list)
    not_closed: int = 0

    @property
    def seconds(self) -> int:
        return sum(row.seconds for row in self.rows)

    @property
    def break_s(self) -> int:
        return sum(row.break_s for row in self.rows)

    @property
    def people(self) -> int:
        return len({row.student.pk for row in self.rows})


def sheet_of(
    profile: ExportProfile, courses: QuerySet[Course], *, first_day: date, last_day: date
) -> Sheet:
    """Everything of a profile's file in these days, in a number of queries that does not grow.

    Only closed sessions count; who is in one of the others is told by their number.
    """
    term = Term(since=first_day, until=last_day)
    covered = list(courses.order_by("code"))
    records = list(
        attendance_in(closed_sessions(courses, term)).select_related("student").order_by("pk")
    )
    sessions = _sessions({row.session_id for row in records}, covered)
    for row in records:
        row.session = sessions[row.session_id]
    found = Found(profile, first_day, last_day, records)
    return Sheet(
        first_day,
        last_day,
        covered,
        found.attendance() if profile.kind == ExportProfile.Kind.ATTENDANCE else found.hours(),
        found.flagged() if profile.kind == ExportProfile.Kind.HOURS else [],
        sessions_in(courses, term).filter(closed_at=None).count(),
    )


def locks_over(
    courses: Sequence[Course], first_day: date, last_day: date
) -> list[tuple[Course, bool]]:
    """Each course, and whether locks hold all of these days of it."""
    locks = PeriodLock.objects.filter(
        unlocked_at=None, first_day__lte=last_day, last_day__gte=first_day
    ).order_by("first_day")
    found = list(locks)
    return [
        (
            course,
            _hold(
                [one for one in found if one.course_id in (None, course.pk)], first_day, last_day
            ),
        )
        for course in courses
    ]


def _hold(locks: Sequence[PeriodLock], first_day: date, last_day: date) -> bool:
    """Without a day between them; they come in the order of their first days."""
    free = first_day
    for lock in locks:
        if lock.first_day <= free <= lock.last_day:
            free = lock.last_day + timedelta(days=1)
    return free > last_day


def _sessions(pks: set[int], courses: Sequence[Course]) -> dict[int, ClassSession]:
    by_pk = {course.pk: course for course in courses}
    sessions = ClassSession.objects.in_bulk(pks)
    for session in sessions.values():
        session.course = by_pk[session.course_id]
    return sessions


@dataclass
class Found:
    """What was recorded in the days of a sheet."""

    profile: ExportProfile
    first_day: date
    last_day: date
    records: list[Attendance]

    def __post_init__(self) -> None:
        self._record = {(row.student_id, row.session_id): row for row in self.records}
        came = [
            row
            for row in self.records
            if row.status in (Status.PRESENT, Status.LATE) and row.arrived_at is not None
        ]
        self.shifts = shifts_of(map(_presence, came), self.profile.break_rule)

    def hours(self) -> list[Row]:
        lines = lines_of(
            self.shifts,
            grouping=Level(self.profile.grouping),
            by_course=self.profile.by_course,
            rounding=self.profile.rounding_rule,
        )
        return sorted(map(self._row, lines), key=_order)

    def attendance(self) -> list[Row]:
        rows = [
            Row(
                student=record.student,
                courses=(record.session.course,),
                first_day=self.first_day,
                last_day=self.last_day,
                day=record.session.day,
                arrived=_local(record.arrived_at, record.session),
                left=_local(record.left_at, record.session),
                starts=_local(record.session.starts_at, record.session),
                ends=_local(record.session.ends_at, record.session),
                status=record.status,
            )
            for record in self.records
        ]
        return sorted(rows, key=_order)

    def flagged(self) -> list[Flagged]:
        found = []
        for shift in self.shifts:
            if shift.flag is None:
                continue
            record = self._of(shift)
            session = record.session
            found.append(
                Flagged(
                    record.student,
                    session,
                    session.clock(record.arrived_at) if record.arrived_at else "",
                    session.clock(record.left_at) if record.left_at else "",
                    shift.flag,
                )
            )
        return found

    def _of(self, shift: Shift) -> Attendance:
        return self._record[shift.presence.person, shift.presence.session]

    def _row(self, line: Line) -> Row:
        records = [self._of(shift) for shift in line.shifts]
        first, last = records[0], records[-1]
        lefts = [_local(one.left_at, one.session) for one in records if one.left_at]
        courses = {one.session.course.pk: one.session.course for one in records}
        one_day = self.profile.grouping != ExportProfile.Grouping.PERIOD
        return Row(
            student=first.student,
            courses=tuple(sorted(courses.values(), key=lambda course: course.code)),
            first_day=self.first_day,
            last_day=self.last_day,
            day=first.session.day if one_day else None,
            seconds=line.seconds,
            break_s=line.break_s,
            shift_count=len(records),
            arrived=_local(first.arrived_at, first.session) if one_day else None,
            left=max((one for one in lefts if one), default=None) if one_day else None,
            starts=_local(first.session.starts_at, first.session) if one_day else None,
            ends=_local(last.session.ends_at, last.session) if one_day else None,
            status=first.status if len(records) == 1 else "",
            flags=tuple(dict.fromkeys(shift.flag for shift in line.flagged if shift.flag)),
        )


def _presence(record: Attendance) -> Presence:
    if record.arrived_at is None:
        raise ValueError(f"attendance {record.pk} has no arrival and so no hours")
    session = record.session
    return Presence(
        person=record.student_id,
        session=record.session_id,
        course=session.course_id,
        day=session.day,
        starts_at=session.starts_at,
        ends_at=session.ends_at,
        arrived_at=record.arrived_at,
        left_at=record.left_at,
    )


def _local(moment: datetime | None, session: ClassSession) -> datetime | None:
    return None if moment is None else timezone.localtime(moment, session.course.zone)


def _order(row: Row) -> tuple[Any, ...]:
    starts = row.starts.timestamp() if row.starts else 0.0
    codes = [course.code for course in row.courses]
    return (
        row.student.name.casefold(),
        row.student.student_id,
        row.day or row.first_day,
        starts,
        codes,
    )
