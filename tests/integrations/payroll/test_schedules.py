"""Files that are made and sent by themselves: once for each period, until they have arrived."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import boto3
import pytest
from django.conf import settings as django_settings
from django.db import connections
from moto.server import ThreadedMotoServer
from pytest_django import Settings
from standardwebhooks.webhooks import Webhook

from accounts.models import User
from accounts.roles import ADMINISTRATOR
from checkin.models import Attendance, ReportExport
from checkin.retention import expired
from integrations.payroll import services
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule
from integrations.payroll.services import (
    MAX_ATTEMPTS,
    RefusedError,
    next_occurrence,
    period_of,
    run_due_exports,
    run_now,
    save_schedule,
    try_again,
)
from integrations.payroll.targets import TARGETS, DeliveryError, Parcel, Target
from integrations.webhooks.models import WebhookEndpoint
from integrations.webhooks.services import open_endpoint, switch_off
from roster.models import ClassSession, Course, Student
from tests.support.receiver import a_receiver
from tests.support.school import a_course, a_member, a_student, an_attendance
from tests.support.terms import a_held_session

BERLIN = "Europe/Berlin"
#: The first of April, five in the morning in Berlin.
APRIL = datetime(2026, 4, 1, 3, tzinfo=UTC)


@pytest.fixture
def ada(db: None) -> User:
    return a_member(ADMINISTRATOR, "ada")


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.PAYROLL_EXPORT_DIR = str(tmp_path / "exports")
    return tmp_path / "exports"


@pytest.fixture
def jonas(alice: User) -> Student:
    berlin = a_course("BE-1", alice, timezone=BERLIN)
    jonas = a_student("4711", "Jonas Weber", berlin)
    session = a_held_session(berlin, date(2026, 3, 2))
    an_attendance(session, jonas, left_at=session.starts_at + timedelta(hours=1))
    return jonas


def a_schedule(
    by: User, *, since: datetime = APRIL - timedelta(days=2), **fields: object
) -> ExportSchedule:
    schedule = ExportSchedule(
        **{
            "profile": ExportProfile.objects.get(ready="generic"),
            "timezone": BERLIN,
            "at": time(5),
            "place": "hr",
            **fields,
        }
    )
    save_schedule(schedule, by=by, at=since)
    return schedule


def the_run() -> ExportRun:
    return ExportRun.objects.get()


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# When


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)  # type: ignore[misc,arg-type]


def test_each_rhythm_is_due_on_its_own_clocks_and_tells_of_days_that_are_over() -> None:
    daily = ExportSchedule(rhythm="daily", timezone=BERLIN, at=time(4))
    weekly = ExportSchedule(rhythm="weekly", weekday=2, timezone=BERLIN, at=time(4))
    monthly = ExportSchedule(rhythm="monthly", month_day=3, timezone=BERLIN, at=time(4))
    after = local(2026, 3, 28, 4)  # a Saturday; the clocks change in the night after
    assert next_occurrence(daily, after) == local(2026, 3, 29, 4)
    assert next_occurrence(weekly, after) == local(2026, 4, 1, 4)
    assert next_occurrence(monthly, after) == local(2026, 4, 3, 4)
    assert local(2026, 3, 29, 4) - after == timedelta(hours=23)
    assert period_of(daily, local(2026, 3, 29, 4)) == (date(2026, 3, 28), date(2026, 3, 28))
    assert period_of(weekly, local(2026, 4, 1, 4)) == (date(2026, 3, 23), date(2026, 3, 29))
    assert period_of(monthly, local(2026, 3, 3, 4)) == (date(2026, 2, 1), date(2026, 2, 28))
    assert period_of(monthly, local(2026, 1, 3, 4)) == (date(2025, 12, 1), date(2025, 12, 31))


def test_a_time_that_the_clocks_leave_out_or_have_twice_is_due_once() -> None:
    daily = ExportSchedule(rhythm="daily", timezone=BERLIN, at=time(2, 30))
    due, seen = local(2026, 3, 27, 12), []
    for _day in range(4):
        due = next_occurrence(daily, due)
        seen.append(period_of(daily, due)[0])
    assert seen == [date(2026, 3, 27) + timedelta(days=n) for n in range(4)]
    due = local(2026, 10, 24, 12)
    first = next_occurrence(daily, due)
    second = next_occurrence(daily, first)
    assert second - first == timedelta(hours=25)


# To a folder


def test_the_file_of_the_month_before_arrives_once(folder: Path, ada: User, jonas: Student) -> None:
    schedule = a_schedule(ada)
    assert schedule.next_at == APRIL
    assert run_due_exports(APRIL - timedelta(minutes=1)) == 0
    assert run_due_exports(APRIL) == 1
    assert run_due_exports(APRIL + timedelta(hours=1)) == 0
    name = f"hr/payroll-generic-{schedule.pk}_2026-03-01_2026-03-31.csv"
    assert list(files_in(folder)) == [name]
    assert b"4711,Jonas Weber,2026-03-01,2026-03-31,1.00" in files_in(folder)[name]
    run = the_run()
    assert (run.state, run.attempts, run.error) == ("delivered", 1, "")
    assert run.delivered_to.endswith(name)
    schedule.refresh_from_db()
    assert schedule.next_at == local(2026, 5, 1, 5)


def test_what_was_missed_while_no_server_ran_is_made_up_for(
    folder: Path, ada: User, jonas: Student
) -> None:
    a_schedule(ada, rhythm="daily")
    assert run_due_exports(APRIL + timedelta(days=3)) == 5
    days = list(ExportRun.objects.order_by("first_day").values_list("first_day", flat=True))
    assert days == [date(2026, 3, 30) + timedelta(days=n) for n in range(5)]


def test_a_schedule_that_is_switched_off_is_not_due(
    folder: Path, ada: User, jonas: Student
) -> None:
    a_schedule(ada, active=False)
    assert run_due_exports(APRIL) == 0
    assert not ExportRun.objects.exists()


def test_no_file_is_written_over(folder: Path, ada: User, jonas: Student) -> None:
    schedule = a_schedule(ada)
    other = folder / "hr" / f"payroll-generic-{schedule.pk}_2026-03-01_2026-03-31.csv"
    other.parent.mkdir(parents=True)
    other.write_text("somebody else's")
    assert run_due_exports(APRIL) == 0
    assert other.read_text() == "somebody else's"
    assert "another file with the name" in the_run().error
    assert [path.name for path in other.parent.iterdir()] == [other.name]


def test_who_was_stopped_after_the_file_arrived_sends_no_second_one(
    folder: Path, ada: User, jonas: Student
) -> None:
    """The same bytes under the same name are the file that had arrived already."""
    a_schedule(ada)
    run_due_exports(APRIL)
    before = files_in(folder)
    ExportRun.objects.update(state="running", delivered_at=None, claimed_at=APRIL)
    assert run_due_exports(APRIL + timedelta(minutes=5)) == 0  # it may still be at work
    # Meanwhile somebody's hours have changed; what was made is what is sent.
    Attendance.objects.update(left_at=None)
    assert run_due_exports(APRIL + timedelta(minutes=16)) == 1
    assert files_in(folder) == before
    assert ReportExport.objects.count() == 1


@pytest.mark.parametrize("place", ["../elsewhere", "/etc", "hr/../../elsewhere", "link"])
def test_no_file_leaves_the_folder_that_the_server_allows(
    folder: Path, ada: User, jonas: Student, place: str
) -> None:
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(folder.parent)
    with pytest.raises(RefusedError, match="does not lie below"):
        a_schedule(ada, place=place)
    schedule = a_schedule(ada)
    ExportSchedule.objects.filter(pk=schedule.pk).update(place=place)
    assert run_due_exports(APRIL) == 0
    assert "does not lie below" in the_run().error


def test_without_a_folder_in_the_settings_there_is_none(ada: User) -> None:
    assert django_settings.PAYROLL_EXPORT_DIR == ""
    with pytest.raises(RefusedError, match="PAYROLL_EXPORT_DIR"):
        a_schedule(ada)


# What goes wrong


class Flaky:
    """A target that fails as often as it is told."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error = failures, error
        self.parcels: list[Parcel] = []

    def deliver(self, place: str, parcel: Parcel) -> str:
        if self.failures:
            self.failures -= 1
            raise self.error
        self.parcels.append(parcel)
        return f"flaky://{place}"


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Flaky:
    target = Flaky(2, DeliveryError("The other side is down."))
    monkeypatch.setitem(TARGETS, "webhook", Target(target.deliver, lambda place: ""))
    return target


def test_a_failure_is_told_in_words_and_tried_again_later_and_later(
    ada: User, jonas: Student, flaky: Flaky
) -> None:
    a_schedule(ada, target="webhook")
    at = APRIL
    assert run_due_exports(at) == 0
    run = the_run()
    assert (run.state, run.error) == ("waiting", "The other side is down.")
    assert run.next_attempt_at == at + timedelta(minutes=1)
    assert run_due_exports(at + timedelta(seconds=59)) == 0
    assert the_run().attempts == 1
    at = run.next_attempt_at
    assert run_due_exports(at) == 0
    assert the_run().next_attempt_at == at + timedelta(minutes=2)
    assert run_due_exports(the_run().next_attempt_at) == 1
    assert (the_run().state, the_run().attempts, the_run().error) == ("delivered", 3, "")
    assert [parcel.delivery_id for parcel in flaky.parcels] == [the_run().delivery_id]


def test_in_the_end_it_is_given_up_until_somebody_asks_again(
    ada: User, jonas: Student, flaky: Flaky
) -> None:
    flaky.failures = MAX_ATTEMPTS
    a_schedule(ada, target="webhook")
    for _attempt in range(MAX_ATTEMPTS):
        run = ExportRun.objects.first()
        run_due_exports(run.next_attempt_at if run else APRIL)
    assert the_run().state == "failed"
    later = APRIL + timedelta(days=10)
    assert run_due_exports(later) == 0
    try_again(run=the_run(), at=later)
    assert run_due_exports(later) == 1


def test_a_fault_names_its_kind_only(
    ada: User, jonas: Student, flaky: Flaky, caplog: pytest.LogCaptureFixture
) -> None:
    flaky.error = ValueError("Jonas Weber has a secret")
    a_schedule(ada, target="webhook")
    run_due_exports(APRIL)
    assert the_run().error == "An unexpected fault: ValueError."
    assert "Jonas" not in caplog.text


def test_nothing_is_sent_before_every_session_of_the_days_is_closed(
    folder: Path, ada: User, jonas: Student
) -> None:
    ClassSession.objects.update(closed_at=None)
    a_schedule(ada)
    assert run_due_exports(APRIL) == 0
    assert the_run().error == "1 session of these days is not closed yet."
    ClassSession.objects.update(closed_at=APRIL)
    assert run_due_exports(APRIL + timedelta(minutes=1)) == 1


def test_an_account_that_is_switched_off_sends_nothing(
    folder: Path, ada: User, jonas: Student
) -> None:
    a_schedule(ada)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert run_due_exports(APRIL) == 0
    assert "Save the schedule again" in the_run().error


def test_what_its_owner_may_no_longer_see_is_not_sent(
    folder: Path, alice: User, ada: User, jonas: Student, chem: Course
) -> None:
    schedule = a_schedule(ada)
    schedule.profile.courses.set([chem])
    ada.groups.clear()
    assert run_due_exports(APRIL) == 0
    assert "None of the profile's courses" in the_run().error


def test_run_now_sends_the_last_full_period_and_not_twice(
    folder: Path, ada: User, jonas: Student
) -> None:
    schedule = a_schedule(ada)
    now = APRIL + timedelta(days=5)
    ExportSchedule.objects.filter(pk=schedule.pk).update(next_at=now + timedelta(days=25))
    run = run_now(schedule=schedule, at=now)
    assert (run.first_day, run.last_day) == (date(2026, 3, 1), date(2026, 3, 31))
    assert run_due_exports(now) == 1
    with pytest.raises(RefusedError, match="delivered already"):
        run_now(schedule=schedule, at=now)
    assert len(files_in(folder)) == 1


@pytest.mark.django_db(transaction=True)
def test_several_servers_send_each_file_once(ada: User, jonas: Student, flaky: Flaky) -> None:
    flaky.failures = 0
    a_schedule(ada, target="webhook", rhythm="daily")
    begin = threading.Barrier(4)
    sent: list[int] = []

    def serve() -> None:
        begin.wait(timeout=60)
        try:
            sent.append(run_due_exports(APRIL + timedelta(days=1)))
        finally:
            connections.close_all()

    servers = [threading.Thread(target=serve) for _number in range(4)]
    for server in servers:
        server.start()
    for server in servers:
        server.join(timeout=120)
    names = [parcel.file_name for parcel in flaky.parcels]
    assert len(names) == len(set(names)) == 3
    assert sum(sent) == 3
    assert set(ExportRun.objects.values_list("state", flat=True)) == {"delivered"}


def test_runs_are_known_as_long_as_records_are_kept(
    folder: Path, ada: User, jonas: Student, settings: Settings
) -> None:
    settings.RECORD_RETENTION_DAYS = 30
    a_schedule(ada)
    run_due_exports(APRIL)

    def ended(at: datetime) -> int:
        return next(
            found.rows.count() for found in expired(at) if found.kind == "runs of scheduled exports"
        )

    assert ended(APRIL + timedelta(days=30)) == 0
    assert ended(APRIL + timedelta(days=31)) == 1


# To a bucket


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    settings.PAYROLL_S3_BUCKET = "payroll"
    settings.PAYROLL_S3_ENDPOINT_URL = s3
    settings.PAYROLL_S3_REGION = "us-east-1"
    client = boto3.resource("s3", endpoint_url=s3, region_name="us-east-1")
    bucket = client.create_bucket(Bucket="payroll")
    bucket.objects.all().delete()
    return bucket


def test_a_file_arrives_in_the_bucket_once(bucket: object, ada: User, jonas: Student) -> None:
    schedule = a_schedule(ada, target="s3", place="/hr/march/")
    assert run_due_exports(APRIL) == 1
    [there] = bucket.objects.all()  # type: ignore[attr-defined]
    assert there.key == f"hr/march/payroll-generic-{schedule.pk}_2026-03-01_2026-03-31.csv"
    assert b"4711,Jonas Weber" in there.get()["Body"].read()
    assert the_run().delivered_to == f"s3://payroll/{there.key}"
    ExportRun.objects.update(state="waiting", delivered_at=None)
    assert run_due_exports(APRIL + timedelta(hours=1)) == 1


def test_nothing_in_the_bucket_is_written_over(bucket: object, ada: User, jonas: Student) -> None:
    schedule = a_schedule(ada, target="s3")
    key = f"hr/payroll-generic-{schedule.pk}_2026-03-01_2026-03-31.csv"
    bucket.put_object(Key=key, Body=b"somebody else's")  # type: ignore[attr-defined]
    assert run_due_exports(APRIL) == 0
    assert "another file with the name" in the_run().error
    [there] = bucket.objects.all()  # type: ignore[attr-defined]
    assert there.get()["Body"].read() == b"somebody else's"


def test_a_bucket_that_is_not_there_is_told_of(
    bucket: object, ada: User, jonas: Student, settings: Settings
) -> None:
    settings.PAYROLL_S3_BUCKET = "nowhere"
    a_schedule(ada, target="s3")
    assert run_due_exports(APRIL) == 0
    assert the_run().error == "The bucket did not take the file: NoSuchBucket."


# A webhook


def a_webhook(ada: User, url: str) -> str:
    """Called HR; returns its secret."""
    return open_endpoint(WebhookEndpoint(name="HR", url=url), owner=ada, at=APRIL)


def test_a_file_arrives_at_a_webhook_signed(ada: User, jonas: Student, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    with a_receiver(answers=[(503, {}, b"later")]) as receiver:
        secret = a_webhook(ada, receiver.url)
        a_schedule(ada, target="webhook", place="HR")
        assert run_due_exports(APRIL) == 0
        assert the_run().error == "“HR” did not take the file and answered 503."
        assert run_due_exports(APRIL + timedelta(hours=1)) == 1
    first, second = receiver.received
    assert b"4711,Jonas Weber" in second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert "payroll-generic" in second.headers["content-disposition"]
    assert the_run().delivered_to == "HR"
    Webhook(secret).verify(second.body, second.headers, json_parse=False)


def test_only_a_webhook_that_is_there_and_active_can_be_chosen(ada: User) -> None:
    with pytest.raises(RefusedError, match="no active webhook with the name “HR”"):
        a_schedule(ada, target="webhook", place="HR")
    a_webhook(ada, "https://hr.example.edu/hooks")
    assert services.why_not_there("webhook", "HR") == ""
    switch_off(WebhookEndpoint.objects.get(), at=APRIL, reason=WebhookEndpoint.Reason.BY_HAND)
    assert services.why_not_there("webhook", "HR")
