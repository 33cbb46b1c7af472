"""What the database itself refuses."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from roster.models import ClassSession, Course, Room, Student, validate_time_zone
from tests.support.school import a_course, a_session, a_student, enrol_in, utc

NINE = utc(2026, 3, 2, 9)


def test_a_student_number_is_used_once(eileen):
    with pytest.raises(IntegrityError):
        a_student("S-1", "Somebody Else")


@pytest.mark.django_db
def test_a_student_has_a_number():
    with pytest.raises(IntegrityError):
        Student.objects.create(student_id="", name="Nobody")


def test_an_account_belongs_to_one_student(eileen, alice):
    Student.objects.filter(pk=eileen.pk).update(user=alice)
    with pytest.raises(IntegrityError):
        a_student("S-9", "Somebody Else", user=alice)


def test_a_course_code_is_used_once(math):
    with pytest.raises(IntegrityError):
        a_course("MATH")


@pytest.mark.django_db
def test_a_course_shows_names_in_a_known_way():
    with pytest.raises(IntegrityError):
        a_course("MATH", shown_name="upside")


def test_a_room_name_is_used_once(room_101):
    with pytest.raises(IntegrityError):
        Room.objects.create(name="101")


def test_a_student_is_on_a_class_list_once(math, eileen):
    with pytest.raises(IntegrityError):
        enrol_in(math, eileen)


def test_nobody_leaves_a_class_before_joining_it(math, dmitri):
    with pytest.raises(IntegrityError):
        enrol_in(math, dmitri, joined_on=date(2026, 3, 2), left_on=date(2026, 3, 1))


def test_a_session_ends_after_it_starts(math):
    with pytest.raises(IntegrityError):
        a_session(math, starts_at=NINE, ends_at=NINE)


def test_a_session_opens_at_most_four_hours_early(math):
    with pytest.raises(IntegrityError):
        a_session(math, opens_early_min=241)


def test_forms_tell_what_is_wrong_with_a_session(math):
    session = ClassSession(course=math, starts_at=NINE, ends_at=NINE - timedelta(hours=1))
    with pytest.raises(ValidationError, match="ends before it starts"):
        session.full_clean()


@pytest.mark.parametrize("name", ["Europe/Berlin", "Asia/Shanghai", "UTC"])
def test_a_time_zone_that_exists_is_taken(name):
    validate_time_zone(name)


@pytest.mark.parametrize("name", ["Berlin", "CEST+2", "../etc/passwd", ""])
def test_a_time_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(ValidationError, match="is no time zone"):
        validate_time_zone(name)


def test_a_course_refuses_an_unknown_time_zone():
    with pytest.raises(ValidationError, match="is no time zone"):
        Course(code="X", title="X", timezone="Mars/Olympus").clean_fields()
