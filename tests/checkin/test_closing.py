"""Closing a session writes who was absent, once; opening it again takes that back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from threading import Barrier

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.urls import reverse
from django.utils import timezone

from checkin.marking import key_of, mark, state_of
from checkin.models import Attendance, SessionClosing
from checkin.services import Evidence, record_attendance
from checkin.sessions import services
from checkin.sessions.services import (
    SessionRefusedError,
    close_due_sessions,
    close_session,
    reopen_session,
)
from roster.models import ClassSession, Course, CourseEnrolment
from roster.selectors import open_sessions
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_course,
    a_lecturer,
    a_session,
    a_student,
    a_template,
    an_attendance,
    enrol_in,
    utc,
)

NINE = utc(2026, 3, 2, 9)
HALF_PAST_TEN = utc(2026, 3, 2, 10, 30)
MINUTE = timedelta(minutes=1)
LIST_URL = "/admin/roster/classsession/"


@pytest.fixture
def session(math, room_101) -> ClassSession:
    """09:00 to 10:30, late from 09:10."""
    return a_session(math, room=room_101, starts_at=NINE, ends_at=HALF_PAST_TEN)


@pytest.fixture
def ada(math):
    return a_student("S-7", "Ada Lovelace", math)


@pytest.fixture
def grace(math):
    return a_student("S-8", "Grace Hopper", math)


def statuses(session: ClassSession) -> dict[str, str]:
    rows = Attendance.objects.filter(session=session)
    return dict(rows.values_list("student__student_id", "status"))


def marked(session, student, status, *, by, reason="They told me.", at=NINE) -> Attendance:
    row = Attendance.objects.filter(session=session, student=student).first()
    return mark(
        session=session,
        student=student,
        status=status,
        by=by,
        reason=reason,
        at=at,
        shown=key_of(state_of(row)),
    )


# Closing


def test_who_is_missing_at_the_close_becomes_absent(session, alice, eileen, ada, grace):
    an_attendance(session, eileen)
    an_attendance(session, ada, status="excused", method="manual", arrived_at=None)
    closing = close_session(session, HALF_PAST_TEN, by=alice)
    assert statuses(session) == {"S-1": "present", "S-7": "excused", "S-8": "absent"}
    assert (closing.absences, closing.closed_by, closing.closed_at) == (1, alice, HALF_PAST_TEN)
    row = Attendance.objects.get(student=grace)
    assert (row.method, row.arrived_at, row.kiosk) == ("closing", None, None)


def test_closing_twice_writes_once(session, alice, eileen, ada):
    close_session(session, HALF_PAST_TEN, by=alice)
    before = list(Attendance.objects.order_by("pk").values())
    assert close_session(session, HALF_PAST_TEN + MINUTE, by=alice) is None
    assert close_due_sessions(HALF_PAST_TEN + MINUTE) == 0
    assert list(Attendance.objects.order_by("pk").values()) == before
    assert SessionClosing.objects.count() == 1


def test_the_clock_closes_what_is_over_and_nothing_else(session, math, chem, eileen, dmitri):
    later = a_session(math, starts_at=HALF_PAST_TEN)
    other = a_session(chem, starts_at=NINE, ends_at=HALF_PAST_TEN)
    assert close_due_sessions(HALF_PAST_TEN - MINUTE) == 0
    assert close_due_sessions(HALF_PAST_TEN) == 2
    later.refresh_from_db()
    assert later.closed_at is None
    assert statuses(session) == {"S-1": "absent"}
    assert statuses(other) == {"S-2": "absent"}


def test_a_clock_that_looks_late_closes_for_the_time_at_which_the_session_ended(session, eileen):
    close_due_sessions(HALF_PAST_TEN + timedelta(days=2))
    closing = SessionClosing.objects.get()
    assert (closing.closed_at, closing.closed_by) == (HALF_PAST_TEN, None)


def test_one_session_that_cannot_be_closed_holds_up_no_other(
    session, chem, eileen, dmitri, monkeypatch
):
    a_session(chem, starts_at=NINE - MINUTE, ends_at=HALF_PAST_TEN)
    write_absences = services._write_absences

    def fail_for_math(one: ClassSession, at: datetime) -> int:
        if one.course.code == "MATH":
            raise RuntimeError
        return write_absences(one, at)

    monkeypatch.setattr(services, "_write_absences", fail_for_math)
    assert close_due_sessions(HALF_PAST_TEN) == 1
    session.refresh_from_db()
    assert session.closed_at is None


def test_a_session_that_has_not_opened_is_not_closed(session, alice, eileen):
    with pytest.raises(SessionRefusedError, match="everybody would be absent"):
        close_session(session, NINE - timedelta(minutes=16), by=alice)
    assert statuses(session) == {}


def test_whose_records_are_deleted_already_is_not_made_absent_again(session, eileen, settings):
    long_after = HALF_PAST_TEN + timedelta(days=settings.RECORD_RETENTION_DAYS)
    assert close_due_sessions(long_after) == 0
    assert statuses(session) == {}


def test_the_command_closes_what_is_over(math, eileen, capsys):
    over = a_session(math, starts_at=timezone.now() - timedelta(days=1))
    call_command("close_sessions")
    assert capsys.readouterr().out == "1 sessions were closed.\n"
    assert statuses(over) == {"S-1": "absent"}


# Joining and leaving, where the course is held


@pytest.mark.parametrize(
    ("zone", "starts_at", "day"),
    [
        # 23:30 UTC on the 27th is half past midnight of the 28th in Berlin, in winter …
        ("Europe/Berlin", utc(2026, 3, 27, 23, 30), date(2026, 3, 28)),
        # … and 22:30 UTC of the 29th half past midnight of the 30th, in summer.
        ("Europe/Berlin", utc(2026, 3, 29, 22, 30), date(2026, 3, 30)),
        ("Europe/Berlin", utc(2026, 10, 24, 22, 30), date(2026, 10, 25)),
        ("Asia/Shanghai", utc(2026, 3, 1, 23), date(2026, 3, 2)),
        ("America/Los_Angeles", utc(2026, 3, 3, 2), date(2026, 3, 2)),
    ],
)
def test_only_who_is_on_the_list_on_the_courses_day_can_be_absent(alice, zone, starts_at, day):
    course = a_course("ZONE", alice, timezone=zone)
    next_day = day + timedelta(days=1)
    for number, spans in {
        "joins that day": {"joined_on": day},
        "joins the day after": {"joined_on": next_day},
        "left that day": {"left_on": day},
        "leaves the day after": {"left_on": next_day},
    }.items():
        enrol_in(course, a_student(number, number), **spans)
    session = a_session(course, starts_at=starts_at)
    close_due_sessions(session.ends_at)
    assert statuses(session) == {"joins that day": "absent", "leaves the day after": "absent"}


# Opening again


@pytest.fixture
def closed(session, alice, eileen, ada, grace) -> ClassSession:
    """Eileen came, Ada and Grace did not. Closed by hand at 10:00."""
    an_attendance(session, eileen)
    close_session(session, NINE + timedelta(hours=1), by=alice)
    session.refresh_from_db()
    return session


def reopened(session, by, *, at=NINE + timedelta(minutes=65), **fields) -> ClassSession:
    reopen_session(session, at, by=by, **{"reason": "Closed by mistake", **fields})
    session.refresh_from_db()
    return session


def test_opening_again_takes_the_absences_back_and_is_recorded(closed, alice):
    at = NINE + timedelta(minutes=65)
    reopened(closed, alice, at=at)
    assert statuses(closed) == {"S-1": "present"}
    assert open_sessions(at) == [closed]
    closing = SessionClosing.objects.get()
    assert (closing.reopened_at, closing.reopened_by) == (at, alice)
    assert closing.reason == "Closed by mistake"


def test_closing_again_writes_again_what_is_missing(closed, alice, grace):
    reopened(closed, alice)
    an_attendance(closed, grace, status="late", arrived_at=NINE + timedelta(minutes=70))
    close_due_sessions(HALF_PAST_TEN)
    assert statuses(closed) == {"S-1": "present", "S-7": "absent", "S-8": "late"}
    assert [closing.absences for closing in closed.closings.order_by("pk")] == [2, 1]


def test_marks_made_after_the_close_stay(closed, alice, ada, grace):
    after = NINE + timedelta(minutes=62)
    marked(closed, ada, "excused", by=alice, at=after)
    marked(closed, grace, "present", by=alice, at=after)
    marked(closed, grace, "absent", by=alice, at=after)
    reopened(closed, alice)
    assert statuses(closed) == {"S-1": "present", "S-7": "excused", "S-8": "absent"}


def test_after_its_time_a_session_is_open_until_the_moment_that_was_chosen(session, alice, eileen):
    close_due_sessions(HALF_PAST_TEN)
    at, until = HALF_PAST_TEN + MINUTE, HALF_PAST_TEN + 31 * MINUTE
    reopened(session, alice, at=at, until=until)
    assert open_sessions(until - MINUTE) == [session]
    assert close_due_sessions(until - MINUTE) == 0
    assert open_sessions(until) == []
    assert close_due_sessions(until) == 1
    assert statuses(session) == {"S-1": "absent"}


def test_what_the_clock_has_not_closed_yet_can_be_opened_again(session, alice, eileen):
    at = HALF_PAST_TEN + MINUTE
    reopened(session, alice, at=at, until=at + MINUTE)
    assert open_sessions(at) == [session]
    assert SessionClosing.objects.get().reopened_by == alice


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": "  "}, "Give a reason"),
        ({"reason": "x" * 301}, "301 characters, at most 300"),
        ({"at": HALF_PAST_TEN}, "say until when"),
        ({"at": HALF_PAST_TEN, "until": HALF_PAST_TEN}, "say until when"),
    ],
)
def test_opening_again_is_refused_in_words(closed, alice, fields, words):
    with pytest.raises(SessionRefusedError, match=words):
        reopened(closed, alice, **fields)
    assert statuses(closed)["S-8"] == "absent"


def test_after_its_course_has_locked_it_a_session_is_not_opened_again(math, closed, alice):
    math.locks_after_days = 14
    math.save()
    locked = closed.ends_at + timedelta(days=14)
    with pytest.raises(SessionRefusedError, match="locks them 14 days after"):
        reopened(closed, alice, at=locked, until=locked + MINUTE)
    at = locked - MINUTE
    reopened(closed, alice, at=at, until=locked)
    assert open_sessions(at) == [closed]


def test_an_open_session_is_not_opened_again(session, alice):
    with pytest.raises(SessionRefusedError, match="is not closed"):
        reopened(session, alice, at=NINE)


def test_a_session_is_closed_once_in_the_database_too(closed):
    with pytest.raises(IntegrityError):
        SessionClosing.objects.create(session=closed, closed_at=HALF_PAST_TEN)


# Percentages of stays


@pytest.fixture
def with_check_out(session, math) -> ClassSession:
    """Of the ninety minutes, sixty must be attended: two thirds are 66.7 %, so 66 % ask for 60."""
    Course.objects.update(present_from_percent=66)
    ClassSession.objects.update(check_out=True)
    session.refresh_from_db()
    return session


@pytest.mark.parametrize(
    ("came", "left", "status"),
    [
        (0, 60, "present"),
        (0, 59, "absent"),  # 65.6 %
        (-10, 60, "present"),
        (-10, 55, "absent"),  # what lies before the start does not count
        (15, 75, "late"),
        (15, 74, "absent"),
        (0, None, "present"),  # never seen leaving
        (40, None, "absent"),  # 55.6 % at most
    ],
)
def test_whose_stay_was_too_short_becomes_absent_at_the_close(
    with_check_out, eileen, came, left, status
):
    row = an_attendance(
        with_check_out,
        eileen,
        status="late" if came >= 10 else "present",
        arrived_at=NINE + came * MINUTE,
        left_at=None if left is None else NINE + left * MINUTE,
    )
    close_due_sessions(HALF_PAST_TEN)
    row.refresh_from_db()
    assert row.status == status
    assert row.reason == ("short_stay" if status == "absent" else "")
    assert row.arrived_at == NINE + came * MINUTE


def test_of_a_session_that_was_closed_early_only_its_length_counts(with_check_out, alice, eileen):
    an_attendance(with_check_out, eileen, left_at=NINE + 30 * MINUTE)
    close_session(with_check_out, NINE + 45 * MINUTE, by=alice)
    assert statuses(with_check_out) == {"S-1": "present"}


def test_without_check_out_no_stay_is_judged(with_check_out, eileen):
    ClassSession.objects.update(check_out=False)
    an_attendance(with_check_out, eileen, left_at=NINE + MINUTE)
    close_due_sessions(HALF_PAST_TEN)
    assert statuses(with_check_out) == {"S-1": "present"}


def test_a_lecturers_word_outranks_the_rule(with_check_out, alice, eileen, ada):
    an_attendance(with_check_out, eileen, method="manual", left_at=NINE + MINUTE)
    an_attendance(with_check_out, ada, status="late", left_at=NINE + MINUTE)
    marked(with_check_out, ada, "present", by=alice, at=NINE + 2 * MINUTE)
    close_due_sessions(HALF_PAST_TEN)
    assert statuses(with_check_out) == {"S-1": "present", "S-7": "present"}


def test_opening_again_gives_a_short_stay_its_status_back(with_check_out, alice, eileen, ada):
    an_attendance(with_check_out, eileen, left_at=NINE + 20 * MINUTE)
    an_attendance(with_check_out, ada, status="late", arrived_at=NINE + 80 * MINUTE)
    close_due_sessions(HALF_PAST_TEN)
    assert statuses(with_check_out) == {"S-1": "absent", "S-7": "absent"}
    at = HALF_PAST_TEN + MINUTE
    reopened(with_check_out, alice, at=at, until=at + MINUTE)
    assert statuses(with_check_out) == {"S-1": "present", "S-7": "late"}
    assert not Attendance.objects.exclude(reason="").exists()


# At once


def at_once(*calls):
    """What each call returned; all start together, each on a connection of its own."""
    together = Barrier(len(calls))

    def run(call):
        try:
            together.wait(timeout=10)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(run, call) for call in calls]]


@pytest.mark.django_db(transaction=True)
def test_of_many_who_close_at_once_one_writes():
    lecturer = a_lecturer("dora")
    course = a_course("ONCE", lecturer)
    for number in range(20):
        a_student(f"O-{number}", "Somebody", course)
    session = a_session(course, starts_at=NINE, ends_at=HALF_PAST_TEN)
    by_clock = [lambda: close_due_sessions(HALF_PAST_TEN)] * 4
    by_hand = [lambda: int(close_session(session, HALF_PAST_TEN, by=lecturer) is not None)] * 4
    assert sum(at_once(*by_clock, *by_hand)) == 1
    assert Attendance.objects.filter(status="absent").count() == 20
    assert SessionClosing.objects.get().absences == 20


@pytest.mark.django_db(transaction=True)
def test_who_arrives_while_the_session_is_closed_is_present_or_absent_never_both_or_neither(kiosk):
    lecturer = a_lecturer("dora")
    course = a_course("DOOR", lecturer)
    students = [a_student(f"D-{number}", "Somebody", course) for number in range(6)]
    templates = [a_template(one, an_embedding(number)) for number, one in enumerate(students)]
    session = a_session(course, room=kiosk.room, starts_at=NINE, ends_at=HALF_PAST_TEN)
    evidence = Evidence(model_id="dlib-resnet-v1", gallery_size=6)

    def arrive(template):
        return lambda: (
            record_attendance(
                kiosk=kiosk,
                sessions=[session],
                template_id=template.pk,
                evidence=evidence,
                at=NINE + MINUTE,
            ).outcome
        )

    results = at_once(
        *map(arrive, templates), lambda: close_session(session, NINE + MINUTE, by=lecturer)
    )
    present = results[:-1].count("present")
    assert present + results[:-1].count("session_closed") == 6
    assert Attendance.objects.filter(status="present").count() == present
    assert Attendance.objects.filter(status="absent").count() == 6 - present


# At the desk


def test_the_page_of_a_session_tells_who_closed_and_reopened_it_and_why(
    as_alice, math_session, eileen
):
    close_url = {"action": "close_now", "_selected_action": [math_session.pk]}
    as_alice.post(LIST_URL, close_url)
    page = as_alice.get(reverse("admin:roster_classsession_change", args=[math_session.pk])).text
    assert "closed by Alice, 1 absent" in page
    assert "1 expected, 1 absent" in page
    assert 'value="reopen"' in page

    reopen = {"action": "reopen", "_selected_action": [math_session.pk], "minutes": "30"}
    as_alice.post(LIST_URL, reopen | {"reason": "The bus was <late>"})
    page = as_alice.get(reverse("admin:roster_classsession_change", args=[math_session.pk])).text
    assert "opened again by Alice: The bus was &lt;late&gt;" in page
    assert 'value="close_now"' in page


def test_a_session_that_is_not_closed_is_told_at_the_list(as_alice, math_session):
    reopen = {"action": "reopen", "_selected_action": [math_session.pk], "minutes": "30"}
    page = as_alice.post(LIST_URL, reopen | {"reason": "Why not"}, follow=True)
    assert "is not closed" in page.text
    assert not SessionClosing.objects.exists()


def test_a_planned_session_cannot_be_closed_at_the_list(as_alice, math, eileen):
    planned = a_session(math, starts_at=timezone.now() + timedelta(days=1))
    close = {"action": "close_now", "_selected_action": [planned.pk]}
    assert "has not opened yet" in as_alice.post(LIST_URL, close, follow=True).text
    assert statuses(planned) == {}


def test_who_left_is_expected_no_more_but_keeps_the_records(session, eileen, ada):
    an_attendance(session, ada)
    CourseEnrolment.objects.filter(student=ada).update(left_on=NINE.date())
    close_due_sessions(HALF_PAST_TEN)
    assert statuses(session) == {"S-1": "absent", "S-7": "present"}
