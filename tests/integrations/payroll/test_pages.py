"""The desk's pages of profiles, previews and schedules."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from accounts.roles import REGISTRAR
from checkin.models import ReportExport
from checkin.reports.exports import content_of
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule
from roster.models import Course, PeriodLock, Student
from tests.support.school import a_member, an_attendance
from tests.support.terms import a_held_session

DAY = date(2026, 3, 2)
MARCH = "?since=2026-03-01&until=2026-03-31"


@pytest.fixture
def worked(math: Course, eileen: Student) -> None:
    """An hour on Monday, and a Tuesday without a leaving."""
    session = a_held_session(math, DAY)
    an_attendance(session, eileen, left_at=session.starts_at + timedelta(hours=1))
    an_attendance(a_held_session(math, DAY + timedelta(days=1)), eileen)


def ready(code: str = "generic") -> ExportProfile:
    return ExportProfile.objects.get(ready=code)


def preview(profile: ExportProfile, query: str = MARCH) -> str:
    return reverse("admin:integrations_exportprofile_preview", args=[profile.pk]) + query


def form(**fields: object) -> dict[str, object]:
    return {
        "name": "Ours",
        "kind": "hours",
        "columns-code": ["hours", "fixed", "", "name"],
        "columns-heading": ["Hours", "Company", "", "Who"],
        "columns-text": ["", "ABC", "", ""],
        "columns-place": ["30", "10", "15", "20"],
        "grouping": "period",
        "rounding": "up",
        "rounding_step_min": 15,
        "rounding_level": "period",
        "break_after_min": 360,
        "break_min": 30,
        "file_kind": "csv",
        "header": "on",
        "hours_as": "clock",
        "date_format": "%d.%m.%Y",
        "time_format": "%H:%M",
        "delimiter": ";",
        "decimal_separator": ",",
        "quoting": "minimal",
        "encoding": "utf-8",
        **fields,
    }


def test_the_preview_says_totals_and_what_to_look_at_before_the_file_is_made(
    as_alice: Client, worked: None
) -> None:
    page = as_alice.get(preview(ready()))
    assert page.context["hours_clock"] == "1:00"
    assert page.context["sheet"].people == 1
    assert "did not check out: no hours" in page.text
    assert "These days are not locked" in page.text
    assert not ReportExport.objects.exists()
    answer = as_alice.post(preview(ready()))
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    export = ReportExport.objects.get()
    assert answer.content == content_of(export)
    assert export.file_name in as_alice.get(reverse("admin:checkin_report_exports")).text


def test_the_preview_says_whether_the_days_are_locked(
    as_alice: Client, worked: None, math: Course
) -> None:
    # One of the course, one of all courses, and together they hold both days.
    PeriodLock.objects.create(course=math, first_day=DAY, last_day=DAY, reason="Paid")
    tuesday = DAY + timedelta(days=1)
    PeriodLock.objects.create(first_day=tuesday, last_day=tuesday, reason="Paid too")
    both = preview(ready(), "?since=2026-03-02&until=2026-03-03")
    assert "These days are locked" in as_alice.get(both).text
    assert "These days are not locked" in as_alice.get(preview(ready())).text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?since=2026-03-31&until=2026-03-01", "lies before"),
        ("?since=2016-01-01&until=2026-01-01", "at most 366 days"),
        ("?since=yesterday&until=2026-01-01", "This is no day"),
        ("?since=&until=2026-01-01", "This field is required"),
        ("?since=2026-03-01&until=2026-03-31&course=99999", "not among yours"),
    ],
)
def test_days_that_make_no_sense_are_told_and_make_no_file(
    as_alice: Client, worked: None, query: str, told: str
) -> None:
    assert told in as_alice.get(preview(ready(), query)).text
    as_alice.post(preview(ready(), query))
    assert not ReportExport.objects.exists()


def test_an_empty_period_says_so(as_alice: Client, math: Course) -> None:
    page = as_alice.get(preview(ready(), ""))
    assert "Nothing was recorded in closed sessions" in page.text


def test_a_profile_of_ones_own_has_its_columns_in_the_order_of_their_numbers(
    as_alice: Client, alice: User, worked: None
) -> None:
    as_alice.post(reverse("admin:integrations_exportprofile_add"), form())
    profile = ExportProfile.objects.get(name="Ours")
    assert profile.owner == alice
    assert not profile.shared
    assert profile.columns == [
        {"code": "fixed", "heading": "Company", "text": "ABC"},
        {"code": "name", "heading": "Who"},
        {"code": "hours", "heading": "Hours"},
    ]
    file = as_alice.post(preview(profile)).content.decode()
    assert file == "Company;Who;Hours\r\nABC;Eileen Collins;1:00\r\n"
    again = as_alice.get(reverse("admin:integrations_exportprofile_change", args=[profile.pk]))
    assert 'value="Company"' in again.text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"grouping": "shift"}, "Rounded is at most one line"),
        ({"delimiter": ","}, "A comma cannot stand both"),
        ({"kind": "attendance"}, "There is no column “hours” here"),
        ({"columns-code": ["", "", "", ""]}, "This field is required"),
        ({"break_min": 9999}, "less than or equal to 240"),
    ],
)
def test_a_profile_that_contradicts_itself_is_told_why(
    as_alice: Client, wrong: dict[str, object], told: str
) -> None:
    answer = as_alice.post(reverse("admin:integrations_exportprofile_add"), form(**wrong))
    assert told in answer.text
    assert not ExportProfile.objects.filter(name="Ours").exists()


def test_a_lecturer_copies_a_ready_profile_and_changes_the_copy_only(
    as_alice: Client, alice: User
) -> None:
    lists = reverse("admin:integrations_exportprofile_changelist")
    as_alice.post(lists, {"action": "copy", "_selected_action": [ready().pk]})
    shown = as_alice.get(reverse("admin:integrations_exportprofile_change", args=[ready().pk]))
    assert "employee_id, name, period_start" in shown.text
    own = ExportProfile.objects.get(owner=alice)
    assert (own.name, own.ready, own.shared) == ("Copy of Payroll (generic)", None, False)
    for profile in (ready(), own):
        as_alice.post(
            reverse("admin:integrations_exportprofile_change", args=[profile.pk]),
            form(name="Changed", shared="on"),
        )
    own.refresh_from_db()
    assert (own.name, own.shared) == ("Changed", False)
    assert ready().name == "Payroll (generic)"


def test_a_lecturer_does_not_reach_another_ones_profile(
    as_alice: Client, charlie: User, worked: None
) -> None:
    foreign = ExportProfile.objects.create(
        name="Charlie's", owner=charlie, columns=[{"code": "name", "heading": ""}]
    )
    assert as_alice.get(preview(foreign)).status_code == 404
    assert as_alice.post(preview(foreign)).status_code == 404
    lists = reverse("admin:integrations_exportprofile_changelist")
    assert "Charlie's" not in as_alice.get(lists).text
    as_alice.post(
        lists, {"action": "delete_selected", "_selected_action": [foreign.pk], "post": "yes"}
    )
    assert ExportProfile.objects.filter(pk=foreign.pk).exists()


def test_a_ready_profile_is_not_deleted(as_admin: Client) -> None:
    as_admin.post(
        reverse("admin:integrations_exportprofile_delete", args=[ready().pk]), {"post": "yes"}
    )
    as_admin.post(
        reverse("admin:integrations_exportprofile_changelist"),
        {"action": "delete_selected", "_selected_action": [ready().pk], "post": "yes"},
    )
    assert ready()


def test_a_schedule_is_set_up_run_and_shows_what_happened(
    as_admin: Client, admin: User, settings: Settings, tmp_path: Path
) -> None:
    settings.PAYROLL_EXPORT_DIR = str(tmp_path)
    fields = {
        "profile": ready().pk,
        "active": "on",
        "rhythm": "weekly",
        "weekday": 1,
        "month_day": 1,
        "at": "05:00",
        "timezone": "Europe/Berlin",
        "target": "folder",
        "place": "hr",
    }
    add = reverse("admin:integrations_exportschedule_add")
    assert "does not lie below" in as_admin.post(add, fields | {"place": "../x"}).text
    assert "no active webhook" in as_admin.post(add, fields | {"target": "webhook"}).text
    as_admin.post(add, fields)
    schedule = ExportSchedule.objects.get()
    assert schedule.owner == admin
    page = reverse("admin:integrations_exportschedule_change", args=[schedule.pk])
    assert "It has not run yet." in as_admin.get(page).text
    assert "05:00 Europe/Berlin" in as_admin.get(page).text
    run = reverse("admin:integrations_exportschedule_run", args=[schedule.pk])
    assert as_admin.get(run).status_code == 405
    assert "is sent now" in as_admin.post(run, follow=True).text
    ExportRun.objects.update(error="The other side is down.", state="failed")
    assert "The other side is down." in as_admin.get(page).text
    as_admin.post(
        reverse("admin:integrations_exportrun_changelist"),
        {"action": "try_again", "_selected_action": [ExportRun.objects.get().pk]},
    )
    assert ExportRun.objects.get().state == "waiting"


def test_a_registrar_runs_a_schedule_and_does_not_change_it(client: Client, admin: User) -> None:
    schedule = ExportSchedule.objects.create(
        profile=ready(), owner=admin, next_at="2026-04-01T00:00Z", place="hr"
    )
    client.force_login(a_member(REGISTRAR, "rita"))
    page = reverse("admin:integrations_exportschedule_change", args=[schedule.pk])
    assert "Run now" in client.get(page).text
    client.post(page, {"place": "elsewhere"})
    client.post(reverse("admin:integrations_exportschedule_run", args=[schedule.pk]))
    schedule.refresh_from_db()
    assert schedule.place == "hr"
    assert schedule.runs.count() == 1
