"""Percentages: what counts, and that they are right over a whole term."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from checkin.models import Attendance
from checkin.reports.rates import Rate, Term, attendance_in, closed_sessions, rate_of, rates_by
from checkin.reports.selectors import course_report, student_report, term_report
from checkin.sessions.services import close_session, reopen_session
from roster.models import ClassSession, Course, Student
from tests.support.school import a_course, a_session, a_student, an_attendance, enrol_in
from tests.support.terms import a_held_session, a_history, a_status

# What counts


def rate(course: Course, term: Term | None = None) -> Rate:
    own = Course.objects.filter(pk=course.pk)
    return rate_of(attendance_in(closed_sessions(own, term or Term())))


def test_late_is_attended_and_excused_counts_neither_way(math: Course, eileen: Student) -> None:
    a_history(math, eileen, ["present", "late", "excused", "excused", "absent"])
    assert rate(math) == Rate(present=1, late=1, excused=2, absent=1)
    assert rate(math).percentage == 66.6


@pytest.mark.parametrize(
    ("counts", "percentage"),
    [
        (Rate(), None),
        (Rate(excused=3), None),
        (Rate(absent=2), 0.0),
        (Rate(present=2), 100.0),
        (Rate(present=2999, absent=1), 99.9),  # rounded down: one was missed
    ],
)
def test_the_percentage_is_rounded_down_and_there_is_none_before_a_session_counts(
    counts: Rate, percentage: float | None
) -> None:
    assert counts.percentage == percentage


def test_whoever_has_exactly_what_is_required_is_not_below_it() -> None:
    assert not Rate(present=3, absent=1).is_below(75)
    assert Rate(present=2999, absent=1001).is_below(75)
    assert not Rate(excused=3).is_below(75)


def test_an_open_session_counts_only_once_it_is_closed(
    math: Course, eileen: Student, alice: User
) -> None:
    session = a_held_session(math, date(2026, 3, 2), closed=False)
    a_status(session, eileen, "present")
    assert rate(math) == Rate()
    close_session(session, session.ends_at)
    assert rate(math) == Rate(present=1)
    reopen_session(
        session,
        session.ends_at,
        by=alice,
        reason="Forgotten",
        until=session.ends_at + timedelta(hours=1),
    )
    assert rate(math) == Rate()


def test_a_term_goes_by_the_days_of_the_courses_clocks(alice: User) -> None:
    """Eight in the morning in Shanghai is the day before in UTC."""
    shanghai = a_course("SH", alice, timezone="Asia/Shanghai")
    student = a_student("S-9", "Li Na", shanghai)
    session = a_held_session(shanghai, date(2026, 3, 2), time(7))
    a_status(session, student, "present")
    assert session.starts_at.astimezone(ZoneInfo("UTC")).date() == date(2026, 3, 1)
    assert rate(shanghai, Term(since=date(2026, 3, 2), until=date(2026, 3, 2))).present == 1
    assert rate(shanghai, Term(until=date(2026, 3, 1))).present == 0
    assert rate(shanghai, Term(since=date(2026, 3, 3))).present == 0


def test_a_term_that_ends_on_the_day_of_the_clock_change_has_all_of_that_day(
    alice: User,
) -> None:
    berlin = a_course("BE", alice, timezone="Europe/Berlin")
    student = a_student("S-9", "Jonas Weber", berlin)
    for hour in (0, 23):
        session = a_held_session(berlin, date(2026, 3, 29), time(hour))
        a_status(session, student, "present")
    assert rate(berlin, Term(since=date(2026, 3, 29), until=date(2026, 3, 29))).present == 2


def test_rates_of_many_students_take_one_query(math: Course, eileen: Student) -> None:
    a_history(math, eileen, ["present", "absent"])
    other = a_student("S-8", "Grace Hopper", math)
    a_status(ClassSession.objects.earliest("starts_at"), other, "late")
    with CaptureQueriesContext(connection) as queries:
        rates = rates_by(attendance_in(closed_sessions(Course.objects.all())), "student")
    assert len(queries) == 1
    assert rates == {eileen.pk: Rate(present=1, absent=1), other.pk: Rate(late=1)}


# A term by simulation


@dataclass
class Expectation:
    """What must come out, counted by hand while the term is played."""

    by_student: dict[tuple[int, int], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    by_session: dict[int, Counter[str]] = field(default_factory=dict)

    def record(self, session: ClassSession, fates: dict[int, str]) -> None:
        self.by_session[session.pk] = Counter(fates.values())
        for student_pk, fate in fates.items():
            self.by_student[session.course_id, student_pk][fate] += 1

    def of_course(self, course: Course) -> Counter[str]:
        of_students = (
            counts
            for (course_pk, _student), counts in self.by_student.items()
            if course_pk == course.pk
        )
        return sum(of_students, Counter())


def percentage(counts: Counter[str]) -> float | None:
    """Written anew on purpose, with fractions of decimals and not with the code under test."""
    attended = counts["present"] + counts["late"]
    of = attended + counts["absent"]
    return int(attended / of * 1000 + 1e-9) / 10 if of else None


FIRST_MONDAY = date(2026, 9, 28)  # clocks change on 25 October and, in New York, 1 November
WEEKS, STUDENTS = 12, 60
COURSES = [
    ("BERLIN", "Europe/Berlin", time(9), (0, 3)),
    ("LEIPZIG", "Europe/Berlin", time(23, 30), (1,)),
    ("NEW-YORK", "America/New_York", time(20), (2, 4)),
]


def on_list(number: int, day: date) -> bool:
    """Every tenth joins in the fourth week, every eleventh leaves in the eighth."""
    joined = FIRST_MONDAY + timedelta(weeks=3, days=2) if number % 10 == 1 else FIRST_MONDAY
    left = FIRST_MONDAY + timedelta(weeks=7, days=3) if number % 11 == 2 else date.max
    return joined <= day < left


def enrol_everybody(course: Course) -> list[Student]:
    students = []
    for number in range(STUDENTS):
        student = a_student(f"{course.code}-{number:02}", f"Student {number:02}")
        enrol_in(
            course,
            student,
            joined_on=FIRST_MONDAY + timedelta(weeks=3, days=2)
            if number % 10 == 1
            else FIRST_MONDAY,
            left_on=FIRST_MONDAY + timedelta(weeks=7, days=3) if number % 11 == 2 else None,
        )
        students.append(student)
    return students


def days_of(weekdays: tuple[int, ...]) -> Iterator[date]:
    for week in range(WEEKS):
        for weekday in weekdays:
            yield FIRST_MONDAY + timedelta(weeks=week, days=weekday)


def play_session(
    course: Course,
    day: date,
    at: time,
    students: list[Student],
    lecturer: User,
    chance: random.Random,
) -> tuple[ClassSession, dict[int, str]]:
    """Hold it, close it; every fourth is reopened for somebody who was forgotten."""
    starts_at = datetime.combine(day, at, tzinfo=ZoneInfo(course.timezone))
    session = a_session(course, starts_at=starts_at, ends_at=starts_at + timedelta(minutes=90))
    fates = {}
    for number, student in enumerate(students):
        if not on_list(number, day):
            continue
        fate = chance.choices(["present", "late", "excused", "absent"], [70, 10, 5, 15])[0]
        fates[student.pk] = fate
        if fate != "absent":
            _record(session, student, fate)
    close_session(session, session.ends_at, by=lecturer)
    if chance.random() < 0.25:
        _reopen_for_one(session, fates, students, lecturer)
    return session, fates


def _record(session: ClassSession, student: Student, fate: str) -> None:
    came = fate in ("present", "late")
    an_attendance(
        session,
        student,
        status=fate,
        method="face" if came else "manual",
        arrived_at=session.starts_at + timedelta(minutes=20 if fate == "late" else -3)
        if came
        else None,
    )


def _reopen_for_one(
    session: ClassSession, fates: dict[int, str], students: list[Student], lecturer: User
) -> None:
    session.refresh_from_db()
    again = session.ends_at + timedelta(minutes=30)
    reopen_session(session, session.ends_at, by=lecturer, reason="One more", until=again)
    forgotten = next((pk for pk, fate in fates.items() if fate == "absent"), None)
    if forgotten is not None:
        student = next(student for student in students if student.pk == forgotten)
        assert not Attendance.objects.filter(session=session, student=student).exists()
        _record(session, student, "late")
        fates[forgotten] = "late"
    close_session(session, again, by=lecturer)


@pytest.mark.django_db
def test_a_simulated_term_has_the_percentages_that_were_worked_out_by_hand(alice: User) -> None:
    chance, expected, held = random.Random(20260928), Expectation(), defaultdict(list)
    for code, zone, at, weekdays in COURSES:
        course = a_course(code, alice, timezone=zone)
        students = enrol_everybody(course)
        for day in days_of(weekdays):
            session, fates = play_session(course, day, at, students, alice, chance)
            expected.record(session, fates)
            held[course.pk].append(session)

    _check_courses(expected, held)
    _check_students(expected)
    in_term = term_report(Course.objects.all(), Term())
    assert in_term.rate.percentage == percentage(sum(expected.by_session.values(), Counter()))
    assert {line.course.code: line.session_count for line in in_term.lines} == {
        code: WEEKS * len(weekdays) for code, _zone, _at, weekdays in COURSES
    }


def _check_courses(expected: Expectation, held: dict[int, list[ClassSession]]) -> None:
    for course in Course.objects.all():
        found = course_report(course, Term())
        assert [session.pk for session in found.sessions] == [
            session.pk for session in held[course.pk]
        ]
        # The same time on the clocks all term, whatever the offset from UTC.
        times = {f"{session.starts_at.astimezone(course.zone):%H:%M}" for session in found.sessions}
        assert len(times) == 1
        assert (
            len(
                {
                    session.starts_at.astimezone(course.zone).utcoffset()
                    for session in found.sessions
                }
            )
            == 2
        )
        assert found.rate.percentage == percentage(expected.of_course(course))
        assert len(found.lines) == STUDENTS
        for line in found.lines:
            counts = expected.by_student[course.pk, line.student.pk]
            assert vars_of(line.rate) == counts_of(counts), line.student
            assert line.rate.percentage == percentage(counts)
        for one in found.charts.held:
            assert vars_of(one.rate) == counts_of(expected.by_session[one.session.pk])


def _check_students(expected: Expectation) -> None:
    first_half = Term(until=FIRST_MONDAY + timedelta(weeks=6, days=-1))
    second_half = Term(since=FIRST_MONDAY + timedelta(weeks=6))
    for student in Student.objects.filter(student_id__endswith="1"):
        whole, first, second = (
            student_report(student, Course.objects.all(), term).rate
            for term in (Term(), first_half, second_half)
        )
        (counts,) = (
            counts for (_course, pk), counts in expected.by_student.items() if pk == student.pk
        )
        assert whole.percentage == percentage(counts)
        assert first + second == whole


def vars_of(rate: Rate) -> dict[str, int]:
    return {name: getattr(rate, name) for name in ("present", "late", "excused", "absent")}


def counts_of(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in ("present", "late", "excused", "absent")}
