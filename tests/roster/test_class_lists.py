"""Who is on the class list on the day of a session, in the course's own time zone."""

from __future__ import annotations

from datetime import date

import pytest

from roster.selectors import courses_of, students_in
from tests.support.school import a_course, a_session, a_student, enrol_in, utc

MONDAY = date(2026, 3, 2)
SUNDAY = date(2026, 3, 1)
TUESDAY = date(2026, 3, 3)


@pytest.fixture
def session(math):
    return a_session(math, starts_at=utc(2026, 3, 2, 9))


@pytest.mark.parametrize(
    ("joined_on", "left_on", "is_on_the_list"),
    [
        (SUNDAY, None, True),
        (MONDAY, None, True),
        (TUESDAY, None, False),
        (SUNDAY, TUESDAY, True),
        (SUNDAY, MONDAY, False),
        (SUNDAY, SUNDAY, False),
    ],
)
def test_the_list_holds_who_has_joined_and_not_left(
    math, session, joined_on, left_on, is_on_the_list
):
    student = a_student("S-9", "Somebody")
    enrol_in(math, student, joined_on=joined_on, left_on=left_on)
    assert list(students_in(session)) == ([student] if is_on_the_list else [])


def test_students_of_other_classes_are_not_on_the_list(session, eileen, dmitri):
    a_student("S-9", "In no class at all")
    assert list(students_in(session)) == [eileen]


def test_leaving_another_class_changes_nothing(session, chem, eileen):
    enrol_in(chem, eileen, joined_on=SUNDAY, left_on=SUNDAY)
    assert list(students_in(session)) == [eileen]


def test_being_in_another_class_does_not_bring_a_leaver_back(math, session, dmitri):
    enrol_in(math, dmitri, joined_on=SUNDAY, left_on=MONDAY)
    assert list(students_in(session)) == []


@pytest.mark.parametrize(
    ("zone", "starts_at", "day"),
    [
        ("Pacific/Auckland", utc(2026, 3, 1, 20), MONDAY),
        ("America/Los_Angeles", utc(2026, 3, 3, 3), MONDAY),
        ("UTC", utc(2026, 3, 2, 0), MONDAY),
    ],
)
def test_the_day_is_that_of_the_courses_time_zone(alice, zone, starts_at, day):
    course = a_course("FAR", alice, timezone=zone)
    session = a_session(course, starts_at=starts_at)
    joins_that_day = a_student("S-8", "Joins that day")
    leaves_that_day = a_student("S-9", "Leaves that day")
    enrol_in(course, joins_that_day, joined_on=day)
    enrol_in(course, leaves_that_day, left_on=day)
    assert list(students_in(session)) == [joins_that_day]


def test_a_session_is_named_after_its_local_start(alice):
    course = a_course("FAR", alice, timezone="Pacific/Auckland")
    assert str(a_session(course, starts_at=utc(2026, 3, 1, 20))) == "FAR 2026-03-02 09:00"


def test_charlie_does_not_see_alices_course(alice, charlie, admin, math, chem):
    assert list(courses_of(alice)) == [math]
    assert list(courses_of(charlie)) == [chem]
    assert set(courses_of(admin)) == {math, chem}
