"""A second scan writes the time of leaving, where the session asks for it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from checkin.kiosk import _shown
from checkin.models import Attendance, CheckinAttempt, Outcome
from checkin.services import Evidence, record_attendance
from roster.models import ClassSession, Course
from tests.support.face_samples import an_embedding
from tests.support.school import a_session, a_template, an_attendance, enrol_in, utc

NINE = utc(2026, 3, 2, 9)
MINUTE = timedelta(minutes=1)
EVIDENCE = Evidence(model_id="dlib-resnet-v1", gallery_size=30)


@pytest.fixture
def session(math, room_101) -> ClassSession:
    """09:00 to 10:30 with check-out."""
    return a_session(
        math, room=room_101, starts_at=NINE, ends_at=NINE + 90 * MINUTE, check_out=True
    )


@pytest.fixture
def scan(kiosk, eileen, session):
    template = a_template(eileen, an_embedding(1))

    def scan(minute: float, *sessions: ClassSession):
        return record_attendance(
            kiosk=kiosk,
            sessions=sessions or [session],
            template_id=template.pk,
            evidence=EVIDENCE,
            at=NINE + minute * MINUTE,
        )

    return scan


def test_the_second_scan_checks_out(scan):
    scan(0)
    result = scan(60)
    assert result.outcome is Outcome.CHECKED_OUT
    row = Attendance.objects.get()
    assert (row.status, row.arrived_at, row.left_at) == ("present", NINE, NINE + 60 * MINUTE)
    assert result.attendance == row
    outcomes = CheckinAttempt.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["present", "checked_out"]


@pytest.mark.parametrize(
    ("minute", "outcome"),
    [(4.99, Outcome.ALREADY), (5, Outcome.CHECKED_OUT)],
)
def test_a_scan_before_the_shortest_stay_checks_nobody_out(scan, minute, outcome):
    scan(0)
    assert scan(minute).outcome is outcome


def test_the_course_says_how_long_the_shortest_stay_is(scan):
    Course.objects.update(min_stay_min=30)
    scan(0)
    assert scan(29).outcome is Outcome.ALREADY
    assert scan(30).outcome is Outcome.CHECKED_OUT


def test_who_comes_early_does_not_leave_before_the_start(scan):
    scan(-14)
    assert scan(-2).outcome is Outcome.ALREADY
    assert scan(4).outcome is Outcome.ALREADY
    assert scan(5).outcome is Outcome.CHECKED_OUT


def test_a_third_scan_keeps_the_time_of_leaving(scan):
    for minute in (0, 60):
        scan(minute)
    assert scan(80).outcome is Outcome.ALREADY
    assert Attendance.objects.get().left_at == NINE + 60 * MINUTE


def test_who_comes_late_stays_late(scan):
    scan(15)
    scan(90 - 1)
    assert Attendance.objects.get().status == "late"


def test_without_check_out_the_second_scan_changes_nothing(scan):
    ClassSession.objects.update(check_out=False)
    scan(0)
    assert scan(60).outcome is Outcome.ALREADY
    assert Attendance.objects.get().left_at is None


def test_who_is_excused_cannot_check_out(scan, session, eileen):
    an_attendance(session, eileen, status="excused", method="manual", arrived_at=None)
    assert scan(60).outcome is Outcome.ALREADY
    assert Attendance.objects.get().left_at is None


def test_of_two_sessions_the_first_is_left_before_the_second_is_entered(
    scan, session, chem, eileen
):
    enrol_in(chem, eileen)
    second = a_session(chem, starts_at=NINE + 90 * MINUTE)
    scan(0)
    results = [scan(minute, second, session) for minute in (80, 81, 82)]
    assert [result.outcome for result in results] == ["checked_out", "present", "already"]
    assert [result.attendance.session for result in results] == [session, second, second]


def test_the_kiosk_says_so_with_the_time_of_leaving(scan):
    assert _shown([], scan(0)).time == "09:00"
    verdict = _shown([], scan(61))
    assert (verdict.title, verdict.time, verdict.tone) == ("Checked out", "10:01", "good")
    assert verdict.name == "Eileen Collins"


# Minutes


@pytest.mark.parametrize(
    ("came", "left", "minutes"),
    [
        (0, 90, 90),
        (-10, 60, 60),
        (20, 100, 70),
        (10.5, 70.4, 59),
        (95, 100, 0),
        (0, None, None),
    ],
)
def test_minutes_attended_are_those_of_the_session(session, eileen, came, left, minutes):
    row = an_attendance(
        session,
        eileen,
        arrived_at=NINE + came * MINUTE,
        left_at=None if left is None else NINE + left * MINUTE,
    )
    assert row.minutes_attended == minutes


@pytest.mark.parametrize(
    ("status", "came", "minutes"), [("late", 12.9, 12), ("present", 9, 0), ("excused", None, 0)]
)
def test_minutes_late_are_counted_from_the_start(session, eileen, status, came, minutes):
    row = an_attendance(
        session,
        eileen,
        status=status,
        arrived_at=None if came is None else NINE + came * MINUTE,
    )
    assert row.minutes_late == minutes
