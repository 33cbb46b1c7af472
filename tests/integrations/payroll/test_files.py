"""Files as other systems want them."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import openpyxl
import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from checkin.models import ReportExport
from checkin.people.erasure import Account, erase_student
from checkin.reports.exports import content_of
from integrations.payroll.files import UnwritableError, checked_columns, written
from integrations.payroll.models import ExportProfile
from integrations.payroll.ready import READY, ensure_ready_profiles
from integrations.payroll.selectors import courses_in, sheet_of
from integrations.payroll.services import RefusedError, make_file
from roster.models import ClassSession, Course, Student
from tests.support.school import a_course, a_student, an_attendance
from tests.support.terms import a_held_session, a_status

DAY = date(2026, 3, 2)


@pytest.fixture
def berlin(alice: User) -> Course:
    return a_course("BE-1", alice, timezone="Europe/Berlin", title="Front desk")


@pytest.fixture
def jonas(berlin: Course) -> Student:
    return a_student("4711", "Jonas Weber", berlin, email="jonas@example.edu")


def worked(course: Course, student: Student, day: date, minutes: int) -> ClassSession:
    session = a_held_session(course, day)
    an_attendance(session, student, left_at=session.starts_at + timedelta(minutes=minutes))
    return session


@pytest.fixture
def two_days(berlin: Course, jonas: Student) -> None:
    """81 minutes on Monday, 45 on Tuesday, and Wednesday without a leaving."""
    worked(berlin, jonas, DAY, 81)
    worked(berlin, jonas, DAY + timedelta(days=1), 45)
    an_attendance(a_held_session(berlin, DAY + timedelta(days=2)), jonas)


def ready(code: str) -> ExportProfile:
    return ExportProfile.objects.get(ready=code)


def made(profile: ExportProfile, *, until: date = date(2026, 3, 31)) -> bytes:
    sheet = sheet_of(profile, Course.objects.all(), first_day=date(2026, 3, 1), last_day=until)
    return written(sheet, profile)


def test_the_ready_profiles_are_there_and_stay_as_somebody_changed_them(db: None) -> None:
    assert set(ExportProfile.objects.values_list("ready", flat=True)) == set(READY)
    ExportProfile.objects.filter(ready="adp").update(name="Our ADP")
    ExportProfile.objects.filter(ready="moodle").delete()
    ensure_ready_profiles()
    assert ready("adp").name == "Our ADP"
    assert ready("moodle").name == "Moodle attendance"
    for profile in ExportProfile.objects.all():
        assert checked_columns(profile.columns, profile.kind) == profile.columns
        profile.full_clean(exclude=["ready", "owner"])


def test_the_generic_file(two_days: None) -> None:
    """81 + 45 minutes are 2.1 hours."""
    assert made(ready("generic")).decode("utf-8-sig").splitlines() == [
        "employee_id,name,period_start,period_end,hours,break_hours,shifts,flags",
        "4711,Jonas Weber,2026-03-01,2026-03-31,2.10,0.00,3,no_leaving",
    ]


def test_the_adp_like_file_rounds_each_shift_to_tenths_of_an_hour(two_days: None) -> None:
    """81 → 84 (a half goes up), 45 → 48 minutes: 132 minutes are 2.2 hours."""
    assert made(ready("adp")).decode() == (
        "Co Code,Batch ID,File #,Reg Hours\r\nXXX,ROLLCALL,4711,2.20\r\n"
    )


def test_the_workday_like_file_has_moments_with_their_offset(two_days: None) -> None:
    lines = made(ready("workday")).decode().splitlines()
    assert lines[0].startswith('"Worker ID","Reported Date","In Time","Out Time"')
    assert lines[1] == (
        '"4711","2026-03-02","2026-03-02T09:00:00+01:00","2026-03-02T10:21:00+01:00",'
        '"REGULAR","1.35","Hours","BE-1",""'
    )
    assert lines[3].endswith(
        '"2026-03-04T09:00:00+01:00","","REGULAR","0.00","Hours","BE-1","no_leaving"'
    )


def test_the_moodle_file_says_what_holds_of_everybody_and_no_scan_time(
    berlin: Course, jonas: Student
) -> None:
    """Moodle would judge a scan time anew; the status is what was decided here."""
    people = [jonas, *(a_student(f"N-{n}", f"Zoe {n}", berlin) for n in range(3))]
    session = a_held_session(berlin, date(2026, 3, 30))
    for student, status in zip(people, ["present", "late", "excused", "absent"], strict=True):
        a_status(session, student, status)
    assert made(ready("moodle")).decode() == (
        "sessiondate,idnumber,status\r\n"
        "2026-03-30 09:00,4711,P\r\n"
        "2026-03-30 09:00,N-0,L\r\n"
        "2026-03-30 09:00,N-1,E\r\n"
        "2026-03-30 09:00,N-2,A\r\n"
    )


def test_a_german_file_has_its_own_separators_and_dates(two_days: None) -> None:
    profile = ExportProfile(
        grouping="day",
        delimiter=";",
        decimal_separator=",",
        date_format="%d.%m.%Y",
        time_format="%H:%M:%S",
        encoding="cp1252",
        header=False,
        columns=[
            {"code": "day", "heading": ""},
            {"code": "left", "heading": ""},
            {"code": "hours", "heading": ""},
        ],
    )
    assert made(profile).decode("cp1252").splitlines() == [
        "02.03.2026;10:21:00;1,35",
        "03.03.2026;09:45:00;0,75",
        "04.03.2026;;0,00",
    ]


@pytest.mark.parametrize(("hours_as", "shown"), [("clock", "2:06"), ("minutes", "126")])
def test_hours_are_written_as_the_profile_says(two_days: None, hours_as: str, shown: str) -> None:
    profile = ExportProfile(hours_as=hours_as, columns=[{"code": "hours", "heading": "h"}])
    assert made(profile).decode("utf-8-sig") == f"h\r\n{shown}\r\n"


def test_only_closed_sessions_count_and_the_others_are_told(berlin: Course, jonas: Student) -> None:
    session = worked(berlin, jonas, DAY, 60)
    ClassSession.objects.filter(pk=session.pk).update(closed_at=None)
    sheet = sheet_of(ExportProfile(), Course.objects.all(), first_day=DAY, last_day=DAY)
    assert (sheet.rows, sheet.not_closed) == ([], 1)


def test_cells_that_a_spreadsheet_would_run_become_text(berlin: Course) -> None:
    mallory = a_student("+1", '=HYPERLINK("http://x")', berlin, email="-a@example.edu")
    worked(berlin, mallory, DAY, 60)
    columns = [
        {"code": "student_id", "heading": "@id"},
        {"code": "name", "heading": ""},
        {"code": "email", "heading": ""},
        {"code": "fixed", "heading": "f", "text": "=1+1"},
        {"code": "hours", "heading": ""},
    ]
    text = made(ExportProfile(columns=columns)).decode("utf-8-sig")
    header, line = csv.reader(io.StringIO(text))
    assert header[0] == "'@id"
    assert line == ["'+1", '\'=HYPERLINK("http://x")', "'-a@example.edu", "'=1+1", "1.00"]
    book = openpyxl.load_workbook(
        io.BytesIO(made(ExportProfile(columns=columns, file_kind="xlsx")))
    )
    cells = [cell for row in book.active.iter_rows() for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)


def test_hours_in_a_workbook_are_numbers(two_days: None) -> None:
    rows = openpyxl.load_workbook(io.BytesIO(made(ready("hours_xlsx")))).active
    values = list(rows.iter_rows(values_only=True))
    assert values[0][6] == "hours"
    assert [row[6] for row in values[1:]] == [1.35, 0.75, 0]


def test_a_name_that_the_encoding_does_not_have_is_told_by_its_line(berlin: Course) -> None:
    worked(berlin, a_student("1", "Anna", berlin), DAY, 10)
    worked(berlin, a_student("2", "李娜", berlin), DAY + timedelta(days=1), 10)
    profile = ExportProfile(columns=[{"code": "name", "heading": ""}], encoding="cp1252")
    with pytest.raises(UnwritableError, match="Line 3 holds a character") as refused:
        made(profile)
    assert "李" not in str(refused.value)


def test_columns_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnwritableError, match="at least one"):
        checked_columns([], "hours")
    with pytest.raises(UnwritableError, match="no column “status”"):
        checked_columns([{"code": "status", "heading": ""}], "hours")
    with pytest.raises(UnwritableError, match="at most 60"):
        checked_columns([{"code": "name", "heading": ""}] * 61, "hours")
    with pytest.raises(UnwritableError, match="too long"):
        checked_columns([{"code": "name", "heading": "x" * 101}], "hours")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"grouping": "shift", "rounding_level": "day"},
        {"grouping": "day", "rounding_level": "period"},
        {"delimiter": ",", "decimal_separator": ","},
        {"rounding_step_min": 7},
    ],
)
def test_profiles_that_contradict_themselves_cannot_be_stored(fields: dict[str, object]) -> None:
    profile = ExportProfile(name="x", columns=[{"code": "name", "heading": ""}], **fields)
    with pytest.raises(ValidationError):
        profile.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        profile.save()


def test_a_file_is_kept_encrypted_and_goes_with_the_student(
    two_days: None, berlin: Course, jonas: Student, alice: User
) -> None:
    profile = ready("generic")
    export = make_file(
        profile=profile,
        courses=courses_in(profile, alice),
        first_day=DAY,
        last_day=DAY,
        user=alice,
        at=timezone.now(),
    )
    assert b"Jonas" in content_of(export)
    assert b"Jonas" not in bytes(export.sealed_file)
    assert export.file_name == "payroll-generic_2026-03-02_2026-03-02.csv"
    erase_student(student=jonas, account=Account.UNLINK)
    assert not ReportExport.objects.exists()


def test_a_report_over_ten_years_is_refused_before_it_is_counted(alice: User) -> None:
    with pytest.raises(RefusedError, match="at most 366 days"):
        make_file(
            profile=ready("generic"),
            courses=Course.objects.all(),
            first_day=date(2016, 1, 1),
            last_day=date(2026, 1, 1),
            user=alice,
            at=timezone.now(),
        )


def test_a_file_covers_the_profiles_courses_and_none_that_its_maker_may_not_see(
    berlin: Course, chem: Course, alice: User
) -> None:
    profile = ready("generic")
    assert set(courses_in(profile, alice)) == {berlin}
    profile.courses.set([chem])
    assert set(courses_in(profile, alice)) == set()
