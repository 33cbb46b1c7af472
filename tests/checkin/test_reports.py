"""Reports at the desk: on the page, as files, their columns, and whom to warn."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, time, timedelta

import openpyxl
import pytest
from cryptography.fernet import Fernet
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.roles import REGISTRAR
from checkin.models import Attendance, AttendanceWarning, ReportColumns, ReportExport
from checkin.reports.rates import Rate
from checkin.reports.selectors import COLUMNS
from roster.models import ClassSession, Course, Student
from tests.support.school import (
    a_course,
    a_lecturer,
    a_member,
    a_session,
    a_student,
    enrol_in,
)
from tests.support.terms import a_class, a_held_session, a_history, a_status

DAY = date(2026, 3, 2)


@pytest.fixture(autouse=True)
def _periods(settings: Settings) -> None:
    settings.EXPORT_RETENTION_DAYS = 7


@pytest.fixture
def history(math: Course, eileen: Student) -> list[ClassSession]:
    return a_history(math, eileen, ["present", "late", "absent", "excused"])


def page(name: str, *args: object, **query: object) -> str:
    parameters = "&".join(f"{key}={value}" for key, value in query.items())
    return f"{reverse(f'admin:checkin_{name}', args=args)}?{parameters}"


def course_page(course: Course, **query: object) -> str:
    return page("report_course", course.pk, **query)


def export(client: Client, address: str, kind: str = "csv") -> HttpResponse:
    return client.post(address, {"kind": kind})


def as_csv(answer: HttpResponse) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def log_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# On the page


def test_a_course_shows_each_student_in_each_session(
    as_alice: Client, math: Course, eileen: Student, history: list[ClassSession]
) -> None:
    found = as_alice.get(course_page(math)).context["found"]
    (line,) = found.lines
    assert line.marks == ["present", "late", "absent", "excused"]
    assert line.rate.percentage == 66.6
    assert found.rate == Rate(present=1, late=1, absent=1, excused=1)


def test_late_joiners_and_leavers_have_marks_of_their_time_only(
    as_alice: Client, math: Course, eileen: Student, history: list[ClassSession]
) -> None:
    late = a_student("S-5", "Late Joiner")
    enrol_in(math, late, joined_on=date(2026, 3, 5), left_on=date(2026, 3, 20))
    a_status(history[3], late, "present")
    lines = as_alice.get(course_page(math)).context["found"].lines
    line = next(line for line in lines if line.student == late)
    assert line.marks == ["", "", "", "present"]
    assert line.rate.percentage == 100.0
    assert "left 2026-03-20" in as_alice.get(course_page(math)).text


def test_a_range_of_days_limits_a_report(
    as_alice: Client, math: Course, history: list[ClassSession]
) -> None:
    found = as_alice.get(course_page(math, since="2026-03-03", until="2026-03-04")).context["found"]
    assert found.sessions == history[1:3]
    assert found.rate.percentage == 50.0


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"since": "yesterday"}, "This is no day"),
        ({"since": "0001-01-01"}, "greater than or equal"),
        ({"until": "9999-12-31"}, "less than or equal"),
        ({"since": "2026-03-04", "until": "2026-03-02"}, "lies before"),
    ],
)
def test_a_wrong_range_is_explained_and_the_whole_is_shown(
    as_alice: Client,
    math: Course,
    history: list[ClassSession],
    query: dict[str, str],
    complaint: str,
) -> None:
    answer = as_alice.get(course_page(math, **query))
    assert answer.status_code == 200
    assert complaint in answer.text
    assert len(answer.context["found"].sessions) == 4


def test_a_session_that_is_over_and_not_closed_is_named_and_left_out(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    a_status(a_held_session(math, DAY, closed=False), eileen, "present")
    answer = as_alice.get(course_page(math))
    assert answer.context["found"].sessions == []
    assert "1 session is over and not closed" in answer.text


def test_a_session_report_has_who_came_who_is_missing_and_how_late(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    missing = a_student("S-6", "Missing Person", math)
    session = a_held_session(math, DAY, closed=False)
    a_status(session, eileen, "late", minutes=17)
    answer = as_alice.get(page("report_session", session.pk))
    records = {record.student: record for record in answer.context["found"].lines}
    assert records[eileen].minutes_late == 17
    assert records[missing].row is None
    assert "not recorded" in answer.text
    assert "This session is not closed" in answer.text


def test_a_student_report_has_the_lecturers_courses_only(
    as_alice: Client, math: Course, chem: Course, eileen: Student, history: list[ClassSession]
) -> None:
    enrol_in(chem, eileen)
    a_status(a_held_session(chem, DAY), eileen, "absent")
    answer = as_alice.get(page("report_student", eileen.pk))
    assert [course for course, _rate in answer.context["by_course"]] == [math]
    assert len(answer.context["found"].lines) == 4
    assert "CHEM" not in answer.text


def test_the_term_has_every_course_and_how_many_students_are_below(
    as_alice: Client, math: Course, eileen: Student, history: list[ClassSession]
) -> None:
    Course.objects.filter(pk=math.pk).update(required_percentage=70)
    (line,) = as_alice.get(page("reportexport_changelist")).context["found"].lines
    assert (line.session_count, line.student_count, line.below) == (4, 1, 1)


def test_the_charts_say_what_the_table_says(
    as_alice: Client, math: Course, eileen: Student, history: list[ClassSession]
) -> None:
    charts = as_alice.get(course_page(math)).context["found"].charts
    assert [bar.rate for bar in charts.trend] == [
        Rate(present=1),
        Rate(late=1),
        Rate(absent=1),
        Rate(excused=1),
    ]
    (monday, *_others) = charts.heat.lines
    assert charts.heat.weeks == [DAY]
    assert monday[1][0].per_cent == 100
    assert sum(one.count for one in charts.arrivals) == 2


@pytest.mark.parametrize(("students", "sessions"), [(60, 40)])
def test_a_large_course_takes_no_more_queries_than_a_small_one(
    as_alice: Client, alice: User, math: Course, students: int, sessions: int
) -> None:
    small = a_course("SMALL", alice)
    _fill(small, students=2, sessions=2)
    _fill(math, students=students, sessions=sessions)
    as_alice.get(course_page(small))  # content types and the like are cached from here on
    assert _queries(as_alice, course_page(small)) == _queries(as_alice, course_page(math))
    assert len(as_alice.get(course_page(math)).context["found"].lines) == students


def _fill(course: Course, *, students: int, sessions: int) -> None:
    people = a_class(course, students)
    for number in range(sessions):
        session = a_held_session(course, DAY + timedelta(days=number))
        Attendance.objects.bulk_create(
            Attendance(
                session=session,
                student=student,
                status="present",
                method="face",
                arrived_at=session.starts_at,
            )
            for student in people
        )


def _queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


# Whose


def test_a_lecturer_cannot_see_or_export_reports_of_foreign_courses(
    as_alice: Client, chem: Course, dmitri: Student
) -> None:
    session = a_held_session(chem, DAY)
    for address in (
        course_page(chem),
        page("report_session", session.pk),
        page("report_student", dmitri.pk),
    ):
        assert as_alice.get(address).status_code == 404
        assert export(as_alice, address).status_code == 404
    assert not ReportExport.objects.exists()


def test_a_registrar_reads_and_exports_every_course_and_warns_nobody(
    math: Course, eileen: Student, history: list[ClassSession]
) -> None:
    registrar = log_in(a_member(REGISTRAR, "regina"))
    assert registrar.get(course_page(math)).status_code == 200
    assert export(registrar, course_page(math)).status_code == 200
    address = page("report_warn", threshold=90, min_sessions=1)
    assert "Mail the chosen" not in registrar.get(address).text
    answer = registrar.post(address, {"student": [f"{math.pk}-{eileen.pk}"]})
    assert answer.status_code == 403
    assert not AttendanceWarning.objects.exists()


# Files


def test_a_session_export_is_named_by_the_courses_clock(
    as_alice: Client, alice: User, eileen: Student
) -> None:
    course = a_course("SH", alice, timezone="Asia/Shanghai")
    enrol_in(course, eileen)
    session = a_held_session(course, DAY)
    answer = export(as_alice, page("report_session", session.pk))
    made_at = ReportExport.objects.get().made_at.astimezone(course.zone)
    name = f"StudentsAttendanceInfo_{made_at:%Y_%m_%d_%H_%M_%S}.csv"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert re.fullmatch(r"StudentsAttendanceInfo(_\d\d\d\d)(_\d\d){5}\.csv", name)


def test_a_csv_has_the_chosen_columns_in_utf8_that_spreadsheets_know(
    as_alice: Client, math: Course, eileen: Student, history: list[ClassSession]
) -> None:
    Student.objects.filter(pk=eileen.pk).update(name="Zoë Ångström")
    answer = export(as_alice, course_page(math))
    assert answer.content.startswith(b"\xef\xbb\xbf")
    (row,) = as_csv(answer)
    assert row["name"] == "Zoë Ångström"
    assert row["attended (%)"] == "66.6"
    assert row["2026-03-03 09:00"] == "late"
    assert "e-mail" not in row


def test_a_name_that_a_spreadsheet_would_run_is_made_text(
    as_alice: Client, math: Course, eileen: Student, history: list[ClassSession]
) -> None:
    Student.objects.filter(pk=eileen.pk).update(name="=HYPERLINK(1)")
    assert as_csv(export(as_alice, course_page(math)))[0]["name"] == "'=HYPERLINK(1)"
    answer = export(as_alice, course_page(math), "xlsx")
    cells = [
        cell for row in openpyxl.load_workbook(io.BytesIO(answer.content)).active for cell in row
    ]
    assert all(cell.data_type != "f" for cell in cells)
    assert "'=HYPERLINK(1)" in [cell.value for cell in cells]


def test_a_name_that_a_workbook_cannot_hold_stops_no_export(
    as_alice: Client, math: Course, eileen: Student, history: list[ClassSession]
) -> None:
    Student.objects.filter(pk=eileen.pk).update(name="Bell\x07Ringer")
    answer = export(as_alice, course_page(math), "xlsx")
    rows = openpyxl.load_workbook(io.BytesIO(answer.content)).active.iter_rows(values_only=True)
    assert any("Bell\ufffdRinger" in row for row in rows)


def test_an_xlsx_has_numbers_as_numbers(
    as_alice: Client, math: Course, history: list[ClassSession]
) -> None:
    answer = export(as_alice, course_page(math), "xlsx")
    header, row = openpyxl.load_workbook(io.BytesIO(answer.content)).active.iter_rows(
        values_only=True
    )
    assert row[header.index("attended (%)")] == 66.6
    assert row[header.index("absent")] == 1


def test_an_export_holds_the_range_that_the_page_showed(
    as_alice: Client, math: Course, history: list[ClassSession]
) -> None:
    (row,) = as_csv(export(as_alice, course_page(math, since="2026-03-05")))
    assert row["excused"] == "1"
    assert ReportExport.objects.get().subject == "MATH Linear Algebra, from 2026-03-05"


@pytest.mark.parametrize(
    ("name", "of"), [("report_student", "student"), ("reportexport_changelist", "term")]
)
def test_students_and_terms_are_exported_too(
    as_alice: Client, eileen: Student, history: list[ClassSession], name: str, of: str
) -> None:
    address = page(name, eileen.pk) if of == "student" else page(name)
    rows = as_csv(export(as_alice, address))
    assert len(rows) == (4 if of == "student" else 1)
    assert rows[0]["course"] == "MATH"
    assert ReportExport.objects.get().report == of


def test_another_kind_of_file_is_not_made(
    as_alice: Client, math: Course, history: list[ClassSession]
) -> None:
    assert export(as_alice, course_page(math), "pdf").status_code == 404
    assert not ReportExport.objects.exists()


# The history of exports


@pytest.fixture
def exported(as_alice: Client, math: Course, history: list[ClassSession]) -> ReportExport:
    export(as_alice, course_page(math))
    return ReportExport.objects.get()


def download(client: Client, exported: ReportExport) -> HttpResponse:
    return client.get(page("report_download", exported.pk))


def test_an_export_is_kept_as_it_was_made_and_encrypted(
    as_alice: Client, exported: ReportExport, eileen: Student
) -> None:
    assert b"Eileen" not in bytes(exported.sealed_file)
    Attendance.objects.update(status="excused")
    assert exported.file_name in as_alice.get(page("report_exports")).text
    assert as_csv(download(as_alice, exported))[0]["attended (%)"] == "66.6"
    assert "no-store" in download(as_alice, exported).headers["Cache-Control"]


def test_nobody_but_its_maker_and_those_who_see_every_course_get_an_export(
    exported: ReportExport, math: Course, charlie: User, admin: User
) -> None:
    colleague = a_lecturer("carol")
    math.lecturers.add(colleague)
    for user, allowed in [(colleague, False), (charlie, False), (admin, True)]:
        client = log_in(user)
        assert (download(client, exported).status_code == 200) is allowed
        assert (exported.file_name in client.get(page("report_exports")).text) is allowed


def test_a_lecturer_who_lost_a_course_cannot_download_its_exports(
    as_alice: Client, exported: ReportExport, alice: User, math: Course
) -> None:
    math.lecturers.remove(alice)
    assert download(as_alice, exported).status_code == 404
    assert exported.file_name not in as_alice.get(page("report_exports")).text


def test_a_file_of_two_courses_goes_with_either(
    as_alice: Client, alice: User, math: Course, history: list[ClassSession]
) -> None:
    other = a_course("OTHER", alice)
    export(as_alice, page("reportexport_changelist"))
    exported = ReportExport.objects.get()
    assert set(exported.courses.all()) == {math, other}
    other.lecturers.remove(alice)
    assert download(as_alice, exported).status_code == 404


def test_an_expired_export_is_not_given_and_is_deleted(
    as_alice: Client, exported: ReportExport
) -> None:
    fresh = ReportExport.objects.filter(pk=exported.pk)
    fresh.update(made_at=timezone.now() - timedelta(days=6, hours=23))
    call_command("purge_expired")
    assert download(as_alice, exported).status_code == 200
    fresh.update(made_at=timezone.now() - timedelta(days=7, seconds=1))
    assert download(as_alice, exported).status_code == 404
    call_command("purge_expired")
    assert not fresh.exists()


def test_a_file_whose_key_is_gone_is_explained(
    as_alice: Client, exported: ReportExport, settings: Settings
) -> None:
    settings.TEMPLATE_KEYS = [Fernet.generate_key().decode()]
    answer = as_alice.get(page("report_download", exported.pk), follow=True)
    assert "its key is gone" in answer.text


# Columns


def test_columns_and_their_order_are_kept_for_each_user(
    as_alice: Client, math: Course, history: list[ClassSession], admin: User
) -> None:
    chosen = ["percentage", "name"]
    every = [column.code for column in COLUMNS["course"]]
    order = chosen + [code for code in every if code not in chosen]
    as_alice.post(page("report_columns", "course"), {"order": order, "shown": chosen})
    (row,) = as_csv(export(as_alice, course_page(math)))
    assert list(row) == ["attended (%)", "name"]
    (others,) = as_csv(export(log_in(admin), course_page(math)))
    assert "student number" in others


def test_an_arrow_moves_a_column_by_one_place(as_alice: Client, alice: User) -> None:
    address = page("report_columns", "term")
    form = {"order": ["course", "title", "late"], "shown": ["course", "title", "late"]}
    as_alice.post(address, {**form, "up": "late"})
    assert ReportColumns.objects.get(user=alice).columns == ["course", "late", "title"]
    as_alice.post(address, {**form, "down": "late"})
    assert ReportColumns.objects.get(user=alice).columns == ["course", "title", "late"]


@pytest.mark.parametrize("shown", [[], ["password", "user__password"]])
def test_a_report_without_columns_is_not_saved(
    as_alice: Client, alice: User, shown: list[str]
) -> None:
    address = page("report_columns", "course")
    answer = as_alice.post(address, {"order": shown, "shown": shown}, follow=True)
    assert "choose at least one column" in answer.text
    assert not ReportColumns.objects.exists()


def test_after_saving_nobody_is_led_to_another_site(as_alice: Client) -> None:
    form = {"order": ["name"], "shown": ["name"]}
    answer = as_alice.post(page("report_columns", "course", next="https://evil.example/"), form)
    assert answer.headers["Location"] == reverse("admin:checkin_reportexport_changelist")


def test_there_are_no_columns_of_a_report_that_does_not_exist(as_alice: Client) -> None:
    assert as_alice.get(page("report_columns", "payroll")).status_code == 404


# Whom to warn


@pytest.fixture
def low(math: Course, eileen: Student) -> Student:
    """Attended one of four."""
    a_history(math, eileen, ["present", "absent", "absent", "absent"])
    Course.objects.filter(pk=math.pk).update(required_percentage=75)
    return eileen


def warn(client: Client, of: Course, *students: Student, **query: object) -> HttpResponse:
    keys = [f"{of.pk}-{student.pk}" for student in students]
    return client.post(page("report_warn", **query), {"student": keys}, follow=True)


def listed(client: Client, **query: object) -> list[Student]:
    return [one.student for one in client.get(page("report_warn", **query)).context["low"]]


def test_who_is_below_the_required_percentage_is_listed(
    as_alice: Client, math: Course, low: Student
) -> None:
    good = a_student("S-7", "Good Student", math)
    for session in math.sessions.all():
        a_status(session, good, "present")
    assert listed(as_alice) == [low]
    assert listed(as_alice, threshold=25) == []
    assert listed(as_alice, threshold=100) == [low]


def test_nobody_is_listed_before_enough_sessions_count(as_alice: Client, low: Student) -> None:
    assert listed(as_alice, min_sessions=4) == [low]
    assert listed(as_alice, min_sessions=5) == []


def test_who_has_left_the_course_is_not_listed(
    as_alice: Client, math: Course, low: Student
) -> None:
    math.enrolments.filter(student=low).update(left_on=timezone.localdate())
    assert listed(as_alice) == []


def test_a_course_without_a_rule_is_named_and_a_typed_threshold_holds_for_it(
    as_alice: Client, math: Course, low: Student
) -> None:
    Course.objects.filter(pk=math.pk).update(required_percentage=None)
    answer = as_alice.get(page("report_warn"))
    assert answer.context["low"] == []
    assert "1 course requires no percentage and is left out: MATH" in " ".join(answer.text.split())
    assert listed(as_alice, threshold=50) == [low]


def test_the_chosen_students_are_mailed_with_their_figures(
    as_alice: Client, alice: User, math: Course, low: Student, mailoutbox: list[EmailMessage]
) -> None:
    warn(as_alice, math, low)
    (mail,) = mailoutbox
    assert mail.to == ["eileen@example.edu"]
    assert "you attended 1 of 4 sessions of MATH" in mail.body
    assert "25.0 %" in mail.body
    assert "Required are 75 %" in mail.body
    warning = AttendanceWarning.objects.get()
    assert (warning.student, warning.course, warning.threshold) == (low, math, 75)
    assert (warning.attended, warning.counted, warning.sent_by) == (1, 4, alice)


def test_nobody_gets_a_second_mail_on_the_same_threshold_within_a_week(
    as_alice: Client, math: Course, low: Student, mailoutbox: list[EmailMessage]
) -> None:
    warn(as_alice, math, low)
    answer = warn(as_alice, math, low)
    assert len(mailoutbox) == 1
    assert "Nobody was mailed" in answer.text
    warn(as_alice, math, low, threshold=50)
    assert len(mailoutbox) == 2
    AttendanceWarning.objects.update(sent_at=timezone.now() - timedelta(days=7, minutes=1))
    warn(as_alice, math, low)
    assert len(mailoutbox) == 3


def test_who_is_not_chosen_not_low_or_not_of_the_lecturer_is_not_mailed(
    as_alice: Client,
    math: Course,
    chem: Course,
    low: Student,
    dmitri: Student,
    mailoutbox: list[EmailMessage],
) -> None:
    a_history(chem, dmitri, ["absent", "absent", "absent"])
    good = a_student("S-7", "Good Student", math, email="good@example.edu")
    for session in math.sessions.all():
        a_status(session, good, "present")
    warn(as_alice, math, good)
    warn(as_alice, chem, dmitri, threshold=90)
    warn(as_alice, math)
    assert mailoutbox == []
    assert not AttendanceWarning.objects.exists()


def test_a_student_without_an_address_is_listed_and_not_recorded_as_mailed(
    as_alice: Client, math: Course, low: Student
) -> None:
    Student.objects.filter(pk=low.pk).update(email="")
    assert "no address" in as_alice.get(page("report_warn")).text
    warn(as_alice, math, low)
    assert not AttendanceWarning.objects.exists()


def test_a_wrong_filter_mails_nobody(
    as_alice: Client, math: Course, low: Student, mailoutbox: list[EmailMessage]
) -> None:
    warn(as_alice, math, low, threshold=400)
    warn(as_alice, math, low, course=0)
    assert mailoutbox == []


def test_another_courses_number_in_the_filter_is_refused(
    as_alice: Client, chem: Course, low: Student
) -> None:
    assert "is not among yours" in as_alice.get(page("report_warn", course=chem.pk)).text


def test_a_report_of_a_course_without_anybody_says_so(as_alice: Client, math: Course) -> None:
    a_session(math)
    answer = as_alice.get(course_page(math))
    assert "Nobody was on the class list" in answer.text
    assert "Export CSV" not in answer.text
    assert export(as_alice, course_page(math)).headers["Content-Type"].startswith("text/html")


def test_parallel_sessions_each_have_a_column(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    for _group in range(2):
        a_status(a_held_session(math, DAY, time(9)), eileen, "present")
    header = export(as_alice, course_page(math)).content.decode("utf-8-sig").splitlines()[0]
    assert header.count("2026-03-02 09:00") == 2
