"""Who passed the kiosk by gets their times from a lecturer, with a reason."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from checkin.marking import (
    MarkRefusedError,
    StaleMarkError,
    key_of,
    set_times,
    state_of,
    undo,
)
from checkin.models import Attendance, AttendanceChange
from roster.models import ClassSession, Course, PeriodLock, Student
from tests.support.school import a_course, a_student
from tests.support.terms import a_held_session, a_status

NOW = timezone.make_aware(datetime(2026, 4, 1, 12))


@pytest.fixture
def berlin(alice: User) -> Course:
    return a_course("BE", alice, timezone="Europe/Berlin")


@pytest.fixture
def jonas(berlin: Course) -> Student:
    return a_student("S-9", "Jonas Weber", berlin)


@pytest.fixture
def session(berlin: Course, jonas: Student) -> ClassSession:
    """From nine on the day of the change of clocks; Jonas came, and was not seen leaving."""
    session = a_held_session(berlin, date(2026, 3, 29))
    a_status(session, jonas, "present")
    return session


def change(session: ClassSession, student: Student, by: User, **fields: object) -> Attendance:
    row = Attendance.objects.get(session=session, student=student)
    return set_times(
        **{
            "session": session,
            "student": student,
            "arrived_at": session.starts_at,
            "left_at": session.starts_at + timedelta(minutes=80),
            "by": by,
            "reason": "The kiosk was off",
            "at": NOW,
            "shown": key_of(state_of(row)),
            **fields,
        }
    )


def test_the_leaving_is_written_kept_and_undone(
    session: ClassSession, jonas: Student, alice: User
) -> None:
    assert change(session, jonas, alice).minutes_attended == 80
    kept = AttendanceChange.objects.get()
    assert (kept.by, kept.reason) == (alice, "The kiosk was off")
    undo(change=kept, by=alice, at=NOW)
    assert Attendance.objects.get().left_at is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reason": " "}, "Give a reason"),
        ({"left_at": NOW + timedelta(minutes=1)}, "and now"),
        ({"arrived_at": NOW - timedelta(days=9)}, "Between the opening"),
    ],
)
def test_times_that_cannot_be_are_refused(
    session: ClassSession, jonas: Student, alice: User, fields: dict[str, object], told: str
) -> None:
    with pytest.raises(MarkRefusedError, match=told):
        change(session, jonas, alice, **fields)
    with pytest.raises(MarkRefusedError, match="before the arrival"):
        change(session, jonas, alice, left_at=session.starts_at - timedelta(minutes=1))
    assert not AttendanceChange.objects.exists()


def test_who_did_not_come_has_no_times(session: ClassSession, jonas: Student, alice: User) -> None:
    Attendance.objects.update(status="absent", arrived_at=None)
    with pytest.raises(MarkRefusedError, match="Mark them present first"):
        change(session, jonas, alice)


def test_what_changed_meanwhile_foreign_sessions_and_locked_days_stay(
    session: ClassSession, jonas: Student, alice: User, charlie: User
) -> None:
    with pytest.raises(StaleMarkError):
        change(session, jonas, alice, shown="something else")
    with pytest.raises(MarkRefusedError, match="not yours"):
        change(session, jonas, charlie)
    PeriodLock.objects.create(first_day=session.day, last_day=session.day, reason="Paid")
    with pytest.raises(MarkRefusedError, match="settled"):
        change(session, jonas, alice)


def test_the_page_takes_times_as_the_courses_clocks_tell_them(
    as_alice: Client, session: ClassSession, jonas: Student
) -> None:
    page = reverse("admin:checkin_attendance_live_student", args=[session.pk, jonas.pk])
    form = as_alice.get(page).context["times"]
    assert 'value="2026-03-29T09:00"' in str(form["arrived"])
    typed = {
        "arrived": "2026-03-29T09:00",
        "left": "2026-03-29T10:15",
        "reason": "Battery",
        "shown": form["shown"].value(),
    }
    address = reverse("admin:checkin_attendance_live_times", args=[session.pk, jonas.pk])
    assert "times changed" in as_alice.post(address, typed, follow=True).text
    assert Attendance.objects.get().left_at == session.starts_at + timedelta(minutes=75)
    assert "Nothing was changed" in as_alice.post(address, {}, follow=True).text


def test_a_foreign_lecturer_reaches_no_times(
    client: Client, charlie: User, session: ClassSession, jonas: Student
) -> None:
    client.force_login(charlie)
    address = reverse("admin:checkin_attendance_live_times", args=[session.pk, jonas.pk])
    assert client.post(address, {"left": "2026-03-29T10:15"}).status_code == 404
