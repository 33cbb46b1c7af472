"""A lecturer brings a class list as a file: preview first, then all of it or nothing."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest
import tablib
from django.test import Client

from accounts.models import User
from roster.models import Course, CourseEnrolment, Student
from tests.roster.by_file import confirm
from tests.roster.by_file import preview_list as preview
from tests.support.school import a_student

TWO_STUDENTS = "student_id,name,email\nS-1,Eileen Collins,eileen@example.edu\nS-7,王小明,\n"


def brought_in(client: Client, course: Course, content: str | bytes, **options: object) -> None:
    previewed = preview(client, course, content, **options)
    assert "confirm_form" in previewed.context, previewed.content.decode()
    assert confirm(client, previewed).status_code == 302


def on_the_list(course: Course) -> set[tuple[str, str]]:
    rows = course.enrolments.filter(left_on=None)
    return set(rows.values_list("student__student_id", "student__name"))


@pytest.mark.parametrize(
    "content",
    [
        TWO_STUDENTS.encode(),
        TWO_STUDENTS.encode("utf-8-sig"),
        TWO_STUDENTS.replace(",", ";").encode(),
        TWO_STUDENTS.replace(",", "\t").encode(),
        TWO_STUDENTS.replace("student_id,name", " Student_ID ,NAME").encode(),
        TWO_STUDENTS.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-8", "byte order mark", "semicolons", "tabs", "untidy header", "windows lines"],
)
def test_a_file_as_people_have_it_becomes_the_class_list(
    as_alice: Client, math: Course, content: bytes
) -> None:
    brought_in(as_alice, math, content)

    assert on_the_list(math) == {("S-1", "Eileen Collins"), ("S-7", "王小明")}
    assert Student.objects.get(student_id="S-1").email == "eileen@example.edu"


def test_a_windows_file_keeps_its_umlauts(as_alice: Client, math: Course) -> None:
    brought_in(as_alice, math, "student_id;name\nS-9;Jürgen Größe\n".encode("cp1252"))

    assert on_the_list(math) == {("S-9", "Jürgen Größe")}


def test_a_spreadsheet_keeps_numbers_as_they_were_written(as_alice: Client, math: Course) -> None:
    rows = tablib.Dataset((1001, "Ada Lovelace", ""), headers=["student_id", "name", "email"])
    brought_in(as_alice, math, rows.export("xlsx"))

    assert on_the_list(math) == {("1001", "Ada Lovelace")}


def test_the_preview_writes_nothing(as_alice: Client, math: Course) -> None:
    shown = preview(as_alice, math, TWO_STUDENTS).content.decode()

    assert "Eileen Collins" in shown
    assert not CourseEnrolment.objects.exists()
    assert not Student.objects.exists()


def test_the_same_file_again_changes_nothing(as_alice: Client, math: Course) -> None:
    brought_in(as_alice, math, TWO_STUDENTS)
    before = list(CourseEnrolment.objects.values()), list(Student.objects.values())
    again = preview(as_alice, math, TWO_STUDENTS)

    assert again.context["result"].counts["same"] == 2
    confirm(as_alice, again)
    assert (list(CourseEnrolment.objects.values()), list(Student.objects.values())) == before


def test_a_corrected_name_is_taken_over_and_an_empty_email_is_not(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    brought_in(as_alice, math, "student_id,name,email\nS-1,Eileen M. Collins,\n")

    eileen.refresh_from_db()
    assert (eileen.name, eileen.email) == ("Eileen M. Collins", "eileen@example.edu")


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        (",Nobody,", "student_id", "This is missing"),
        ("S-8,,", "name", "This is missing"),
        ("S-8,Bad Mail,not-an-address", "email", "Enter a valid email address"),
        ("S-1,Eileen Again,", "student_id", "more than once"),
        ("S-8," + "x" * 201 + ",", "name", "at most 200 characters"),
    ],
)
def test_a_bad_row_is_explained_and_nothing_can_be_confirmed(
    as_alice: Client, math: Course, row: str, column: str, reason: str
) -> None:
    answer = preview(as_alice, math, TWO_STUDENTS + row + "\n")

    assert "confirm_form" not in answer.context
    assert column in answer.context["result"].bad[-1].reasons
    assert reason in answer.content.decode()
    assert not Student.objects.exists()


def test_a_bad_cell_is_found_in_any_order_of_the_columns(as_alice: Client, math: Course) -> None:
    result = preview(as_alice, math, "email,name,student_id\nnope,Ada,S-1\n").context["result"]

    (cell,) = result.bad_cells
    assert (cell.row, cell.column, cell.value) == (2, "email", "nope")


def test_a_file_without_the_columns_says_which_are_missing(as_alice: Client, math: Course) -> None:
    answer = preview(as_alice, math, "number,who\n1,Ada\n").content.decode()

    assert "student_id, name" in answer
    assert "number, who" in answer


def test_a_file_that_is_none_is_refused(as_alice: Client, math: Course) -> None:
    answer = preview(as_alice, math, b"\x00\x01\x02")

    assert answer.context["form"].errors["import_file"]
    assert not Student.objects.exists()


def test_who_is_not_in_the_file_is_shown_and_stays(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    previewed = preview(as_alice, math, "student_id,name\nS-7,Li Na\n")

    assert "Eileen Collins" in previewed.content.decode()
    confirm(as_alice, previewed)
    assert on_the_list(math) == {("S-1", "Eileen Collins"), ("S-7", "Li Na")}


def test_who_is_not_in_the_file_is_end_dated_on_request_and_comes_back_with_the_next(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    brought_in(as_alice, math, "student_id,name\nS-7,Li Na\n", end_missing="on")
    assert on_the_list(math) == {("S-7", "Li Na")}
    assert CourseEnrolment.objects.get(student=eileen).left_on is not None

    brought_in(as_alice, math, TWO_STUDENTS)
    assert on_the_list(math) == {("S-1", "Eileen Collins"), ("S-7", "王小明")}


def test_charlie_cannot_import_into_alices_course(
    client: Client, charlie: User, math: Course, chem: Course
) -> None:
    client.force_login(charlie)

    assert preview(client, math, TWO_STUDENTS).context["form"].errors["course"]
    previewed = preview(client, chem, TWO_STUDENTS)
    confirm(client, previewed, course=math.pk)
    assert not CourseEnrolment.objects.exists()


def test_charlie_may_take_alices_student_into_his_course_but_not_rename_them(
    client: Client, charlie: User, chem: Course, eileen: Student
) -> None:
    client.force_login(charlie)

    renamed = preview(client, chem, "student_id,name\nS-1,Somebody Else\n")
    assert "under another name" in renamed.content.decode()
    brought_in(client, chem, "student_id,name,email\nS-1,Eileen Collins,mine@example.edu\n")
    eileen.refresh_from_db()
    assert eileen.email == "eileen@example.edu"
    assert on_the_list(chem) == {("S-1", "Eileen Collins")}


def test_charlie_cannot_enrol_alices_student_by_guessing_an_id(
    client: Client, charlie: User, chem: Course, eileen: Student
) -> None:
    client.force_login(charlie)
    answer = client.post(
        "/admin/roster/courseenrolment/add/",
        {"course": chem.pk, "student": eileen.pk, "joined_on": "2026-03-02"},
    )

    assert "Select a valid choice" in answer.content.decode()
    assert "Eileen" not in answer.content.decode()
    assert not chem.enrolments.exists()


def test_a_lecturer_exports_only_the_own_lists_and_no_formula(
    as_alice: Client, math: Course, chem: Course, eileen: Student, dmitri: Student
) -> None:
    a_student("S-5", "=cmd|' /C calc'!A0", math)
    a_student("S-6", "@SUM(A1)", math)
    answer = as_alice.get("/admin/roster/courseenrolment/export/")
    exported = tablib.Dataset().load(io.StringIO(answer.content.decode("utf-8-sig")), format="csv")

    names = exported["name"]
    assert sorted(names) == ["'=cmd|' /C calc'!A0", "'@SUM(A1)", "Eileen Collins"]


def test_an_exported_list_can_be_imported_again(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    exported = as_alice.get("/admin/roster/courseenrolment/export/").content

    assert preview(as_alice, math, exported).context["result"].counts["same"] == 1


def test_the_sample_file_works_as_it_is(as_alice: Client, math: Course) -> None:
    sample = Path("roster/static/roster/sample-class-list.csv").read_bytes()
    brought_in(as_alice, math, sample)

    assert len(on_the_list(math)) == 2


def test_who_joined_in_the_future_is_end_dated_not_before_joining(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    CourseEnrolment.objects.update(joined_on=date(2999, 1, 1))
    brought_in(as_alice, math, "student_id,name\nS-7,Li Na\n", end_missing="on")

    assert CourseEnrolment.objects.get(student=eileen).left_on == date(2999, 1, 1)
