"""Reports on a session, a student, a course and a term: a table and what its charts show.

The number of queries does not grow with students or sessions. Only closed sessions are in a
report, but for the report on one session, which may still be open.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from checkin.models import Attendance, Report, ReportColumns
from checkin.reports.charts import Charts, Held
from checkin.reports.rates import (
    Rate,
    Status,
    Term,
    attendance_in,
    closed_sessions,
    rates_by,
    sessions_in,
)
from roster.models import ClassSession, Course, CourseEnrolment, Student
from roster.selectors import students_in

# Columns


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a report. The kind says how a page shows it."""

    code: str
    label: str | Promise
    cell: Callable[[Any], object]
    kind: str = "text"
    shown_at_first: bool = True


#: Stands for one column for each session.
EACH_SESSION = "sessions"


@dataclass(frozen=True, slots=True)
class Record:
    """A student in a session; without a row nothing was recorded."""

    session: ClassSession
    student: Student
    row: Attendance | None

    @property
    def pk(self) -> int:
        return self.student.pk

    def clock(self, field_name: str) -> str:
        moment: datetime | None = getattr(self.row, field_name, None)
        return self.session.clock(moment) if moment else ""

    @property
    def minutes_late(self) -> int | None:
        if self.row is None or self.row.status != Status.LATE:
            return None
        return self.row.minutes_late


@dataclass(frozen=True, slots=True)
class StudentLine:
    """A student's statuses in the sessions of a course, in their order."""

    student: Student
    marks: list[str]
    rate: Rate
    left_on: date | None

    @property
    def pk(self) -> int:
        return self.student.pk


@dataclass(frozen=True, slots=True)
class CourseLine:
    course: Course
    session_count: int
    student_count: int
    rate: Rate
    below: int | None

    @property
    def pk(self) -> int:
        return self.course.pk


def minutes_after_start(session: ClassSession, moment: datetime) -> int:
    """Whole minutes, rounded down; negative before the start."""
    return int((moment - session.starts_at).total_seconds() // 60)


def _rate_columns() -> tuple[Column, ...]:
    return (
        Column("present", _("present"), lambda line: line.rate.present, "number"),
        Column("late", _("late"), lambda line: line.rate.late, "number"),
        Column("excused", _("excused"), lambda line: line.rate.excused, "number"),
        Column("absent", _("absent"), lambda line: line.rate.absent, "number"),
        Column("percentage", _("attended (%)"), lambda line: line.rate.percentage, "percentage"),
    )


def _record_columns() -> tuple[Column, ...]:
    return (
        Column("status", _("status"), lambda one: one.row.status if one.row else "", "status"),
        Column("arrived", _("arrived"), lambda one: one.clock("arrived_at")),
        Column("minutes_late", _("minutes late"), lambda one: one.minutes_late, "number"),
        Column("left", _("left"), lambda one: one.clock("left_at")),
        Column(
            "minutes_attended",
            _("minutes attended"),
            lambda one: one.row.minutes_attended if one.row else None,
            "number",
            shown_at_first=False,
        ),
        Column("method", _("how"), lambda one: one.row.get_method_display() if one.row else ""),
    )


_PERSON = (
    Column("student_id", _("student number"), lambda line: line.student.student_id),
    Column("name", _("name"), lambda line: line.student.name, "student"),
    Column("email", _("e-mail"), lambda line: line.student.email, shown_at_first=False),
)
_COURSE = (
    Column("course", _("course"), lambda line: line.course.code, "course"),
    Column("title", _("title"), lambda line: line.course.title),
)

#: Every column that a report can have, in the order in which it has them at first.
COLUMNS: Mapping[str, tuple[Column, ...]] = {
    Report.SESSION: (
        *_PERSON,
        *_record_columns(),
        Column(
            "kiosk",
            _("kiosk"),
            lambda one: one.row.kiosk if one.row else "",
            shown_at_first=False,
        ),
    ),
    Report.COURSE: (
        *_PERSON,
        *_rate_columns(),
        Column(EACH_SESSION, _("each session"), lambda line: line.marks, "marks"),
    ),
    Report.STUDENT: (
        Column("course", _("course"), lambda one: one.session.course.code),
        Column("title", _("title"), lambda one: one.session.course.title, shown_at_first=False),
        Column("starts", _("session"), lambda one: one.session.clock(one.session.starts_at)),
        *_record_columns(),
    ),
    Report.TERM: (
        *_COURSE,
        Column("session_count", _("sessions"), lambda line: line.session_count, "number"),
        Column("student_count", _("students"), lambda line: line.student_count, "number"),
        *_rate_columns(),
        Column(
            "required", _("required (%)"), lambda line: line.course.required_percentage, "number"
        ),
        Column("below", _("students below"), lambda line: line.below, "number"),
    ),
}


def all_columns_for(user: User, report: str) -> list[tuple[Column, bool]]:
    """Every column of a report and whether it is shown, those shown first and in their order."""
    by_code = {column.code: column for column in COLUMNS[report]}
    saved = ReportColumns.objects.filter(user=user, report=report).first()
    if saved is None:
        return [(column, column.shown_at_first) for column in by_code.values()]
    chosen = [by_code.pop(code) for code in saved.columns if code in by_code]
    return [(column, True) for column in chosen] + [(column, False) for column in by_code.values()]


def columns_for(user: User, report: str) -> list[Column]:
    """The columns that this user wants, in their order."""
    return [column for column, shown in all_columns_for(user, report) if shown]


class NoColumnsError(Exception):
    """Nothing was saved: a report without columns shows nothing."""


def save_columns(*, user: User, report: str, codes: Sequence[str]) -> None:
    """Keep which columns this user wants in this kind of report, in this order.

    Raises:
        NoColumnsError: none of the codes is a column of the report.
    """
    known = {column.code for column in COLUMNS[report]}
    chosen = [code for code in dict.fromkeys(codes) if code in known]
    if not chosen:
        raise NoColumnsError
    ReportColumns.objects.update_or_create(user=user, report=report, defaults={"columns": chosen})


# Reports


@dataclass(frozen=True)
class Found:
    """A report before somebody's columns: its lines, the rate of all of them and its charts."""

    report: Report
    subject: str
    courses: list[Course]
    lines: Sequence[Record | StudentLine | CourseLine]
    rate: Rate
    charts: Charts
    sessions: list[ClassSession] = field(default_factory=list)
    not_closed: int = 0


def session_report(session: ClassSession) -> Found:
    """Everybody on the class list of that day and whoever has a row besides."""
    rows = {
        row.student_id: row
        for row in session.attendance.select_related("student", "kiosk").order_by()
    }
    listed = {student.pk: student for student in students_in(session)}
    people = {**{row.student_id: row.student for row in rows.values()}, **listed}
    records = [
        Record(session, student, rows.get(student.pk))
        for student in sorted(people.values(), key=_by_name)
    ]
    arrivals = [
        minutes_after_start(session, row.arrived_at) for row in rows.values() if row.arrived_at
    ]
    rate = _tally(row.status for row in rows.values())
    return Found(
        Report.SESSION,
        str(session),
        [session.course],
        records,
        rate,
        Charts([], arrivals),
        sessions=[session],
        not_closed=int(session.closed_at is None),
    )


def course_report(course: Course, term: Term) -> Found:
    """Students and closed sessions of one course, each with each."""
    own = Course.objects.filter(pk=course.pk)
    sessions = _in_order(closed_sessions(own, term), course)
    rows = list(
        Attendance.objects.filter(session__in=[session.pk for session in sessions])
        .order_by()
        .values_list("session__pk", "student__pk", "status", "arrived_at")
    )
    marks: dict[int, dict[int, str]] = defaultdict(dict)
    for session_pk, student_pk, status, _arrived_at in rows:
        marks[student_pk][session_pk] = status
    left_on = _on_the_list(course, term)
    students = Student.objects.filter(pk__in={*marks, *left_on}).in_bulk().values()
    lines = [
        _student_line(student, sessions, marks[student.pk], left_on.get(student.pk))
        for student in sorted(students, key=_by_name)
    ]
    by_pk = {session.pk: session for session in sessions}
    arrivals = [
        minutes_after_start(by_pk[session_pk], arrived_at)
        for session_pk, _student_pk, _status, arrived_at in rows
        if arrived_at
    ]
    by_session: dict[int, list[str]] = defaultdict(list)
    for session_pk, _student_pk, status, _arrived_at in rows:
        by_session[session_pk].append(status)
    return Found(
        Report.COURSE,
        f"{course}",
        [course],
        lines,
        _tally(status for _session_pk, _student_pk, status, _arrived_at in rows),
        Charts([Held(one, _tally(by_session[one.pk])) for one in sessions], arrivals),
        sessions=sessions,
        not_closed=_not_closed(own, term),
    )


def student_report(student: Student, courses: QuerySet[Course], term: Term) -> Found:
    """What is recorded of one student in these courses, the latest session first."""
    rows = list(
        attendance_in(closed_sessions(courses, term))
        .filter(student=student)
        .select_related("session__course")
        .order_by("-session__starts_at", "-pk")
    )
    records = [Record(row.session, student, row) for row in rows]
    held = [Held(row.session, _tally([row.status])) for row in reversed(rows)]
    arrivals = [minutes_after_start(row.session, row.arrived_at) for row in rows if row.arrived_at]
    return Found(
        Report.STUDENT,
        str(student),
        list({row.session.course_id: row.session.course for row in rows}.values()),
        records,
        _tally(row.status for row in rows),
        Charts(held, arrivals, by_week=True),
    )


def term_report(courses: QuerySet[Course], term: Term) -> Found:
    """Every course with its rate over all students."""
    sessions = closed_sessions(courses, term)
    rates = rates_by(attendance_in(sessions), "session")
    of_students: dict[int, list[Rate]] = defaultdict(list)
    for (course_pk, _student_pk), rate in rates_by(
        attendance_in(sessions), "session__course", "student"
    ).items():
        of_students[course_pk].append(rate)
    held = [
        Held(session, rates.get(session.pk, Rate()))
        for session in sessions.select_related("course").order_by("starts_at", "pk")
    ]
    count_of = Counter(one.session.course_id for one in held)
    lines = [
        _course_line(course, count_of[course.pk], of_students[course.pk])
        for course in courses.order_by("code")
    ]
    total = sum((one.rate for one in held), Rate())
    return Found(
        Report.TERM,
        str(_("All courses")),
        [line.course for line in lines],
        lines,
        total,
        Charts(held, by_week=True),
        not_closed=_not_closed(courses, term),
    )


def rates_by_course(found: Found) -> list[tuple[Course, Rate]]:
    """Of a report on one student."""
    rates: dict[int, Rate] = defaultdict(Rate)
    for held in found.charts.held:
        rates[held.session.course_id] += held.rate
    return [
        (course, rates[course.pk]) for course in sorted(found.courses, key=lambda one: one.code)
    ]


def _student_line(
    student: Student, sessions: list[ClassSession], marks: dict[int, str], left_on: date | None
) -> StudentLine:
    in_order = [marks.get(session.pk, "") for session in sessions]
    return StudentLine(student, in_order, _tally(in_order), left_on)


def _course_line(course: Course, session_count: int, rates: list[Rate]) -> CourseLine:
    required = course.required_percentage
    return CourseLine(
        course,
        session_count,
        len(rates),
        sum(rates, Rate()),
        sum(rate.is_below(required) for rate in rates) if required else None,
    )


def _tally(statuses: Any) -> Rate:
    found = list(statuses)
    return Rate(**{status.value: found.count(status) for status in Status})


def _in_order(sessions: QuerySet[ClassSession], course: Course) -> list[ClassSession]:
    found = list(sessions.order_by("starts_at", "pk"))
    for session in found:
        session.course = course
    return found


def _on_the_list(course: Course, term: Term) -> dict[int, date | None]:
    """Who was on the class list on a day of the term, and the day on which they left."""
    listed = CourseEnrolment.objects.filter(course=course)
    if term.until:
        listed = listed.filter(joined_on__lte=term.until)
    if term.since:
        listed = listed.filter(Q(left_on=None) | Q(left_on__gt=term.since))
    return dict(listed.order_by().values_list("student__pk", "left_on"))


def _not_closed(courses: QuerySet[Course], term: Term) -> int:
    """Sessions that are over and were never closed: they do not count."""
    return sessions_in(courses, term).filter(closed_at=None, ends_at__lt=timezone.now()).count()


def _by_name(student: Student) -> tuple[str, str]:
    return student.name.casefold(), student.student_id
