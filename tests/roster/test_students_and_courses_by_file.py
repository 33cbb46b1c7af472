"""An administrator brings courses and students as files; a lecturer only takes them out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import tablib
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from roster.models import Course, CourseEnrolment, Student
from tests.roster.by_file import confirm, preview, rows_in
from tests.support.school import a_course, a_student

COURSES = (
    "code,title,timezone,lecturers\n"
    "MATH,Linear Algebra,Europe/Berlin,alice; CHARLIE@example.edu\n"
    "HIST,世界历史,Asia/Shanghai,\n"
)
STUDENTS = "student_id,name,email\nS-1,Eileen Collins,eileen@example.edu\nS-7,王小明,\n"


def brought_in(client: Client, model: str, content: str | bytes) -> HttpResponse:
    previewed = preview(client, model, content)
    assert "confirm_form" in previewed.context, previewed.content.decode()
    answer = confirm(client, previewed)
    assert answer.status_code == 302
    return previewed


def courses() -> set[tuple[str, str, str, str]]:
    return {
        (
            course.code,
            course.title,
            course.timezone,
            " ".join(sorted(user.username for user in course.lecturers.all())),
        )
        for course in Course.objects.all()
    }


def problems(client: Client, model: str, content: str) -> dict[str, list[str]]:
    (bad,) = preview(client, model, content).context["result"].bad
    return bad.reasons


@pytest.mark.parametrize(
    "content",
    [
        COURSES.encode("utf-8-sig"),
        COURSES.replace(";", " ").replace(",", ";").encode(),
        COURSES.encode("utf-16"),
        tablib.Dataset().load(io.StringIO(COURSES), format="csv").export("xlsx"),
    ],
    ids=["byte order mark", "semicolons", "utf-16", "xlsx"],
)
def test_courses_come_with_their_lecturers(
    as_admin: Client, alice: User, charlie: User, content: bytes
) -> None:
    brought_in(as_admin, "course", content)

    assert courses() == {
        ("MATH", "Linear Algebra", "Europe/Berlin", "alice charlie"),
        ("HIST", "世界历史", "Asia/Shanghai", ""),
    }


def test_a_windows_file_keeps_its_umlauts(as_admin: Client) -> None:
    brought_in(as_admin, "course", "code;title\nGER;Übungen für Größen\n".encode("cp1252"))

    assert Course.objects.get().title == "Übungen für Größen"


def test_an_empty_time_zone_and_lecturers_cell_keep_what_is_known(
    as_admin: Client, alice: User
) -> None:
    a_course("MATH", alice, timezone="Europe/Berlin", shown_name=Course.ShownName.SHORT)
    brought_in(as_admin, "course", "code,title,timezone,lecturers\nMATH,Algebra,,\n")

    assert courses() == {("MATH", "Algebra", "Europe/Berlin", "alice")}
    assert Course.objects.get().shown_name == Course.ShownName.SHORT


def test_other_lecturers_replace_those_before(
    as_admin: Client, math: Course, charlie: User
) -> None:
    content = "code,title,lecturers\nMATH,Linear Algebra,charlie\n"
    shown = preview(as_admin, "course", content).content.decode()
    assert "<del>alice</del> <ins>charlie</ins>" in shown

    brought_in(as_admin, "course", content)
    assert list(math.lecturers.all()) == [charlie]


def test_the_same_courses_again_change_nothing(
    as_admin: Client, alice: User, charlie: User
) -> None:
    brought_in(as_admin, "course", COURSES)
    before = courses()
    again = preview(as_admin, "course", COURSES)

    assert again.context["result"].counts == {"same": 2}
    assert "There is nothing to import" in again.content.decode()
    confirm(as_admin, again)
    assert courses() == before


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("M,Algebra,Berlin,", "timezone", "“Berlin” is no time zone. Use a name like Europe"),
        ("M,Algebra,,ada", "lecturers", "No member of staff is called “ada”"),
        ("M,Algebra,,alice ada", "lecturers", "No member of staff is called “ada”"),
        ("M,Algebra,,sam", "lecturers", "No member of staff is called “sam”"),
        ("M,,,", "title", "This is missing"),
        (",Algebra,,", "code", "This is missing"),
        ("M" * 33 + ",Algebra,,", "code", "at most 32 characters"),
        ("M,=1+1,,", "title", "A formula cannot be imported"),
    ],
)
def test_a_bad_course_is_explained(
    as_admin: Client, alice: User, row: str, column: str, reason: str
) -> None:
    User.objects.create_user("sam", "sam@example.edu")  # a student's account

    wrong = problems(as_admin, "course", f"code,title,timezone,lecturers\n{row}\n")
    assert list(wrong) == [column]
    assert reason in wrong[column][0]


def test_all_that_is_wrong_with_a_row_is_told_at_once(as_admin: Client) -> None:
    content = "student_id,name,email\nS-1,,=x\n"

    assert set(problems(as_admin, "student", content)) == {"name", "email"}
    content = "code,title,timezone,lecturers\nM,Algebra,Berlin,ada bob\n"
    wrong = problems(as_admin, "course", content)
    assert (len(wrong["timezone"]), len(wrong["lecturers"])) == (1, 2)


def test_students_come_without_a_course_and_nobody_goes(
    as_admin: Client, math: Course, eileen: Student
) -> None:
    left = a_student("S-5", "Not in the file", math)
    brought_in(as_admin, "student", STUDENTS)

    assert set(Student.objects.values_list("student_id", "name")) == {
        ("S-1", "Eileen Collins"),
        ("S-7", "王小明"),
        ("S-5", "Not in the file"),
    }
    assert set(CourseEnrolment.objects.values_list("student", "left_on")) == {
        (eileen.pk, None),
        (left.pk, None),
    }


def test_a_corrected_student_keeps_account_and_place(
    as_admin: Client, math: Course, eileen: Student
) -> None:
    Student.objects.update(user=User.objects.create_user("eileen"))
    shown = brought_in(as_admin, "student", "student_id,name\nS-1,Eileen M. Collins\n")
    assert "<ins>Eileen M. Collins</ins>" in shown.content.decode()

    corrected = Student.objects.get()
    assert (corrected.pk, corrected.name, corrected.email) == (
        eileen.pk,
        "Eileen M. Collins",
        "eileen@example.edu",
    )
    assert corrected.user is not None
    assert list(corrected.courses.all()) == [math]


def test_the_same_students_again_change_nothing(as_admin: Client) -> None:
    brought_in(as_admin, "student", STUDENTS)
    before = list(Student.objects.values())
    brought_in(as_admin, "student", STUDENTS)

    assert list(Student.objects.values()) == before


@pytest.mark.parametrize(
    ("model", "sample", "count"),
    [("student", "sample-students.csv", 2), ("course", "sample-courses.csv", 2)],
)
def test_the_sample_files_work_as_they_are(
    as_admin: Client, model: str, sample: str, count: int
) -> None:
    content = Path("roster/static/roster", sample).read_bytes()

    assert sample in as_admin.get(f"/admin/roster/{model}/import/").content.decode()
    assert preview(as_admin, model, content).context["result"].counts == {"new": count}


@pytest.mark.parametrize("model", ["student", "course"])
def test_a_lecturer_cannot_import(as_alice: Client, math: Course, model: str) -> None:
    for page in ("import/", "import/progress/6b6d1c6e-5d0c-4b0e-9a53-0f6a0f0e2c11/"):
        assert as_alice.get(f"/admin/roster/{model}/{page}").status_code == 403
    assert preview(as_alice, model, STUDENTS).status_code == 403
    answer = as_alice.post(f"/admin/roster/{model}/process_import/", {})
    assert answer.status_code == 403
    assert "import_link" not in as_alice.get(f"/admin/roster/{model}/").content.decode()


@pytest.mark.parametrize("kind", ["export/", "export/xlsx/"])
def test_a_lecturer_exports_only_what_they_see(
    as_alice: Client, math: Course, chem: Course, eileen: Student, dmitri: Student, kind: str
) -> None:
    students = exported(as_alice, f"/admin/roster/student/{kind}")
    assert [row["name"] for row in students] == ["Eileen Collins"]
    (course,) = exported(as_alice, f"/admin/roster/course/{kind}")
    assert course == {
        "code": "MATH",
        "title": "Linear Algebra",
        "timezone": "UTC",
        "lecturers": "alice",
    }
    places = exported(as_alice, f"/admin/roster/courseenrolment/{kind}")
    assert [row["student_id"] for row in places] == ["S-1"]


def exported(client: Client, address: str) -> list[dict[str, str]]:
    content = client.get(address).content
    if "xlsx" in address:
        return tablib.Dataset().load(content, format="xlsx").dict
    return rows_in(content)


@pytest.mark.parametrize("kind", ["export/", "export/xlsx/"])
@pytest.mark.parametrize("model", ["student", "course", "courseenrolment"])
def test_nobody_exports_without_the_permission_to_see(
    client: Client, math: Course, kind: str, model: str
) -> None:
    nobody = User.objects.create_user("nobody", is_staff=True)
    client.force_login(nobody)

    assert client.get(f"/admin/roster/{model}/{kind}").status_code == 403


@pytest.mark.parametrize("kind", ["export/", "export/xlsx/"])
@pytest.mark.parametrize("model", ["student", "course"])
def test_an_export_is_a_file_that_changes_nothing(
    as_admin: Client, math: Course, eileen: Student, kind: str, model: str
) -> None:
    a_student("S-5", "-Ada", email="-ada@example.edu")
    a_course("+MUS", title="@Music")
    content = as_admin.get(f"/admin/roster/{model}/{kind}").content

    assert preview(as_admin, model, content).context["result"].counts == {"same": 2}


@pytest.mark.parametrize("model", ["student", "course"])
def test_exports_hold_no_formula(as_admin: Client, model: str) -> None:
    a_student("S-5", "=cmd|' /C calc'!A0")
    a_course("=1+1", title="@SUM(A1)")
    (row,) = exported(as_admin, f"/admin/roster/{model}/export/")

    assert not [cell for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert [cell for cell in row.values() if cell.startswith("'")]


def may(user: User, *codenames: str) -> None:
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))


def test_who_may_only_add_imports_nothing_since_a_file_corrects_too(
    as_alice: Client, alice: User
) -> None:
    may(alice, "add_student")

    assert preview(as_alice, "student", STUDENTS).status_code == 403


def test_a_file_changes_no_course_and_no_student_that_its_sender_does_not_see(
    as_alice: Client, alice: User, chem: Course, dmitri: Student
) -> None:
    may(alice, "add_student", "change_student", "add_course", "change_course")

    wrong = problems(as_alice, "course", "code,title\nCHEM,Mine now\n")
    assert wrong == {"code": ["A course of others has this code already."]}
    wrong = problems(as_alice, "student", "student_id,name\nS-2,Mine now\n")
    assert "under another name" in wrong["name"][0]
    same_name = "student_id,name,email\nS-2,Dmitri Mendeleev,mine@example.edu\n"
    assert preview(as_alice, "student", same_name).context["result"].counts == {"same": 1}
