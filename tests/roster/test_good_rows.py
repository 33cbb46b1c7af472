"""Some rows are bad: nothing is written, or the good ones on request."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from roster.formats import read_table
from roster.imports.class_lists import ClassListResource
from roster.imports.progress import WRITING
from roster.models import Course, CourseEnrolment, Student
from tests.roster.by_file import bad_rows_of, confirm, confirm_good_rows, preview_list, rows_in
from tests.support.school import a_student

MIXED = (
    "student_id,phone,name,email\n"
    "S-7,1,Li Na,li@example.edu\n"
    "S-8,2,Bad Mail,nope\n"
    "S-9,3,,none@example.edu\n"
)


def test_good_rows_are_written_on_request_and_the_bad_ones_are_not(
    as_alice: Client, math: Course
) -> None:
    previewed = preview_list(as_alice, math, MIXED)
    page = previewed.content.decode()
    assert "Import the 1 good row" in page
    assert "Download the 2 bad rows" in page
    assert not Student.objects.exists()

    confirm_good_rows(as_alice, previewed)
    assert list(Student.objects.values_list("student_id", flat=True)) == ["S-7"]
    assert math.enrolments.count() == 1


def test_without_the_request_one_bad_row_stops_all_of_them(as_alice: Client, math: Course) -> None:
    answer = confirm(as_alice, preview_list(as_alice, math, MIXED))

    assert "Import the 1 good row" in answer.content.decode()
    assert not Student.objects.exists()


def test_a_row_that_became_bad_after_the_preview_stops_all_of_them(
    as_alice: Client, math: Course
) -> None:
    previewed = preview_list(as_alice, math, "student_id,name\nS-7,Li Na\nS-8,Xu Li\n")
    a_student("S-8", "Somebody of another course")

    answer = confirm(as_alice, previewed)
    assert "under another name" in answer.content.decode()
    assert not math.enrolments.exists()
    confirm_good_rows(as_alice, answer)
    assert [place.student.student_id for place in math.enrolments.all()] == ["S-7"]


def test_the_bad_rows_come_back_with_their_columns_and_the_problem(
    as_alice: Client, math: Course
) -> None:
    bad_mail, no_name = rows_in(bad_rows_of(as_alice, preview_list(as_alice, math, MIXED)))

    assert list(bad_mail) == ["student_id", "phone", "name", "email", "problem"]
    assert bad_mail["phone"] == "2"
    assert bad_mail["problem"] == "email: Enter a valid email address."
    assert no_name["problem"] == "name: This is missing."


def test_the_file_of_bad_rows_can_be_corrected_and_imported(as_alice: Client, math: Course) -> None:
    previewed = preview_list(as_alice, math, MIXED)
    bad = bad_rows_of(as_alice, previewed)
    again = preview_list(as_alice, math, bad)
    assert len(again.context["result"].bad) == 2
    assert list(rows_in(bad_rows_of(as_alice, again))[0]).count("problem") == 1
    assert "problem" not in again.context["result"].unused

    corrected = bad.replace(b"nope", b"yes@example.edu").replace(b"S-9,3,,", b"S-9,3,Wu Yi,")
    confirm(as_alice, preview_list(as_alice, math, corrected))
    assert set(Student.objects.values_list("student_id", flat=True)) == {"S-8", "S-9"}


def test_the_file_of_bad_rows_holds_no_formula(as_alice: Client, math: Course) -> None:
    content = "=x(),student_id,name,email\n+1,S-8,@SUM(A1),nope\n-2,S-9,=cmd|' /C calc'!A0,\n"
    bad = bad_rows_of(as_alice, preview_list(as_alice, math, content))

    cells = [cell for row in rows_in(bad) for cell in (*row.keys(), *row.values())]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "'@SUM(A1)" in cells


def test_who_stands_in_a_bad_row_is_not_end_dated(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    gone = a_student("S-3", "Gone", math)
    content = "student_id,name,email\nS-7,Li Na,\nS-1,Eileen Collins,nope\n"
    confirm_good_rows(as_alice, preview_list(as_alice, math, content, end_missing="on"))

    ended = CourseEnrolment.objects.exclude(left_on=None)
    assert [enrolment.student for enrolment in ended] == [gone]


def test_nobody_is_end_dated_while_a_row_has_no_number(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    content = "student_id,name\nS-7,Li Na\n,E. Collins\n"
    previewed = preview_list(as_alice, math, content, end_missing="on")
    assert "nobody will be end-dated" in previewed.content.decode()

    confirm_good_rows(as_alice, previewed)
    assert math.enrolments.filter(left_on=None).count() == 2


def test_charlie_cannot_download_alices_bad_rows(
    client: Client, as_alice: Client, charlie: User, math: Course
) -> None:
    address = preview_list(as_alice, math, MIXED).context["bad_rows_address"]
    other = Client()
    other.force_login(charlie)

    assert other.get(address).status_code == 404
    assert as_alice.get(address).status_code == 200


def test_the_bad_rows_can_still_be_downloaded_after_the_import(
    as_alice: Client, math: Course
) -> None:
    previewed = preview_list(as_alice, math, MIXED)
    confirm_good_rows(as_alice, previewed)

    page = as_alice.get("/admin/roster/courseenrolment/import/").content.decode()
    assert previewed.context["bad_rows_address"] in page


def test_a_second_click_imports_nothing_and_says_why(as_alice: Client, math: Course) -> None:
    previewed = preview_list(as_alice, math, "student_id,name\nS-7,Li Na\n")
    confirm(as_alice, previewed)
    answer = confirm(as_alice, previewed)

    assert answer.status_code == 302
    assert "imported already" in as_alice.get(answer["Location"]).content.decode()
    assert math.enrolments.count() == 1


@pytest.mark.parametrize("changes", [{"course": ""}, {"import_file_name": ""}])
def test_an_incomplete_confirmation_leads_back_to_the_start(
    as_alice: Client, math: Course, changes: dict[str, str]
) -> None:
    previewed = preview_list(as_alice, math, "student_id,name\nS-7,Li Na\n")
    answer = confirm(as_alice, previewed, **changes)

    assert answer["Location"] == "/admin/roster/courseenrolment/import/"
    assert not Student.objects.exists()


def test_nothing_is_written_when_somebody_else_is_faster(alice: User, math: Course) -> None:
    def be_faster(step: str, done: int, total: int) -> None:
        if step == WRITING:
            a_student("S-7", "Li Na", math)

    lines = "student_id,name\nS-6,Wu Yi\nS-7,Li Na\n"
    importing = ClassListResource(user=alice, course=math, progress=be_faster)
    report = importing.import_data(read_table(lines.encode()))

    assert not report.written
    assert "Choose the file again" in report.refusals[0]
    assert not Student.objects.exists()
