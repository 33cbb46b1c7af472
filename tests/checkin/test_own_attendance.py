"""A student's own attendance, and never anybody else's."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from roster.models import Course, Student
from tests.support.school import a_course, a_student, an_account_of, enrol_in
from tests.support.terms import a_held_session, a_history, a_status

DAY = date(2026, 3, 2)


@pytest.fixture
def as_eileen(client: Client, eileen: Student) -> Client:
    client.force_login(an_account_of(eileen))
    return client


def own(client: Client, **query: object) -> HttpResponse:
    return client.get(reverse("own_attendance"), query)


def records(answer: HttpResponse) -> list[tuple[str, str]]:
    return [(row.session.course.code, row.status) for row in answer.context["page"]]


def test_the_history_has_every_record_with_the_latest_first(
    as_eileen: Client, math: Course, eileen: Student
) -> None:
    a_history(math, eileen, ["present", "late", "absent"])
    answer = own(as_eileen)
    assert records(answer) == [("MATH", "absent"), ("MATH", "late"), ("MATH", "present")]
    assert "66.6 %" in answer.text


def test_nothing_of_another_student_is_there(
    as_eileen: Client, math: Course, chem: Course, eileen: Student, dmitri: Student
) -> None:
    a_history(math, eileen, ["present"])
    other = a_student("S-3", "Other Person", math)
    a_history(math, other, ["absent", "absent"])
    a_history(chem, dmitri, ["absent"])
    answer = own(as_eileen)
    assert records(answer) == [("MATH", "present")]
    assert "100.0 %" in answer.text
    for foreign in ("Other Person", "CHEM", "S-3"):
        assert foreign not in answer.text
    for asked in ({"student": other.pk}, {"student_id": "S-3"}, {"pk": other.pk}):
        assert records(own(as_eileen, **asked)) == [("MATH", "present")]


def test_a_course_that_is_not_ones_own_is_refused_as_one_that_does_not_exist(
    as_eileen: Client, chem: Course, dmitri: Student
) -> None:
    a_history(chem, dmitri, ["absent"])
    for number in (chem.pk, 999_999):
        answer = own(as_eileen, course=number)
        assert "This course is not among yours" in answer.text
        assert records(answer) == []


def test_course_and_range_narrow_both_list_and_percentage(
    as_eileen: Client, math: Course, alice: User, eileen: Student
) -> None:
    physics = a_course("PHYS", alice)
    enrol_in(physics, eileen)
    a_history(math, eileen, ["present", "absent", "present"])
    a_history(physics, eileen, ["absent"])
    answer = own(as_eileen, course=math.pk, since="2026-03-03", until="2026-03-03")
    assert records(answer) == [("MATH", "absent")]
    (standing,) = answer.context["in_courses"]
    assert standing.rate.percentage == 0.0


def test_the_required_percentage_and_being_below_it_are_said_in_words(
    as_eileen: Client, math: Course, eileen: Student
) -> None:
    a_history(math, eileen, ["present", "absent"])
    assert "required" not in own(as_eileen).text
    Course.objects.filter(pk=math.pk).update(required_percentage=75)
    assert "below the required 75 %" in own(as_eileen).text
    Course.objects.filter(pk=math.pk).update(required_percentage=50)
    answer = own(as_eileen).text
    assert "below" not in answer
    assert "required are 50 %" in answer


def test_times_are_those_of_the_courses_clocks(
    as_eileen: Client, alice: User, eileen: Student
) -> None:
    shanghai = a_course("SH", alice, timezone="Asia/Shanghai")
    enrol_in(shanghai, eileen)
    a_status(a_held_session(shanghai, DAY, time(7, 15)), eileen, "late", minutes=12)
    answer = own(as_eileen).text
    assert "07:27" in answer
    assert "Mon 2 Mar 2026, 07:15" in answer
    assert "Asia/Shanghai" in answer


def test_an_open_session_is_listed_and_counts_for_nothing_yet(
    as_eileen: Client, math: Course, eileen: Student
) -> None:
    a_status(a_held_session(math, DAY, closed=False), eileen, "present")
    answer = own(as_eileen)
    assert records(answer) == [("MATH", "present")]
    assert "Not closed yet" in answer.text
    assert "No session counts yet" in answer.text


def test_a_long_history_has_pages_that_keep_the_filter(
    as_eileen: Client, math: Course, eileen: Student
) -> None:
    for number in range(31):
        a_status(a_held_session(math, DAY + timedelta(days=number)), eileen, "present")
    answer = own(as_eileen, since="2026-01-01")
    assert len(answer.context["page"]) == 30
    assert "?since=2026-01-01&amp;page=2" in answer.text
    assert len(own(as_eileen, since="2026-01-01", page=2).context["page"]) == 1
    assert len(own(as_eileen, page="nonsense").context["page"]) == 30


def test_the_number_of_queries_does_not_grow_with_records(
    as_eileen: Client, alice: User, math: Course, eileen: Student
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as done:
            own(as_eileen)
        return len(done)

    a_history(math, eileen, ["present"])
    own(as_eileen)
    few = queries()
    for code in ("PHYS", "BIO"):
        course = a_course(code, alice)
        enrol_in(course, eileen)
        a_history(course, eileen, ["present"] * 9)
    assert queries() == few


def test_without_a_class_list_and_without_records_the_page_says_what_comes(
    client: Client, as_eileen: Client, math: Course
) -> None:
    assert "Nothing was recorded yet" in own(as_eileen).text
    nova = a_student("S-4", "Nova Ice", email="nova@example.edu")
    client.force_login(an_account_of(nova))
    assert "You are on no class list yet" in own(client).text


def test_the_page_is_for_students_who_are_logged_in(client: Client, alice: User) -> None:
    assert reverse("account_login") in own(client).headers["Location"]
    client.force_login(alice)
    assert own(client).headers["Location"] == reverse("roster_claim")


def test_no_browser_keeps_the_page_and_nothing_is_posted_to_it(as_eileen: Client) -> None:
    assert "no-store" in own(as_eileen).headers["Cache-Control"]
    assert as_eileen.post(reverse("own_attendance")).status_code == 405


def test_the_account_page_leads_there(as_eileen: Client) -> None:
    assert reverse("own_attendance") in as_eileen.get(reverse("me")).text
