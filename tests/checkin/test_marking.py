"""Attendance by hand: what may be marked, what is kept of it, and how it is undone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from accounts.roles import REGISTRAR
from checkin.marking import (
    MarkRefusedError,
    StaleMarkError,
    key_of,
    last_change,
    mark,
    state_of,
    undo,
)
from checkin.models import Attendance, AttendanceChange, Kiosk
from checkin.sessions.services import close_session
from roster.models import ClassSession, Course, CourseEnrolment, Student
from tests.support.school import a_member, a_session, an_attendance, enrol_in

NOTHING = key_of(None)


def shown(session: ClassSession, student: Student) -> str:
    return key_of(state_of(Attendance.objects.filter(session=session, student=student).first()))


def marked(session: ClassSession, student: Student, status: str, by: User, **fields) -> Attendance:
    """Marked by somebody who has just looked."""
    return mark(
        **{
            "session": session,
            "student": student,
            "status": status,
            "by": by,
            "reason": "",
            "at": timezone.now(),
            "shown": shown(session, student),
            **fields,
        }
    )


def untouched() -> bool:
    return not Attendance.objects.exists() and not AttendanceChange.objects.exists()


def test_a_first_present_needs_no_reason_and_is_kept(math_session, eileen, alice):
    now = timezone.now()
    marked(math_session, eileen, "present", alice, at=now)
    row = Attendance.objects.get()
    assert (row.status, row.method, row.arrived_at, row.kiosk) == ("present", "manual", now, None)
    change = AttendanceChange.objects.get()
    assert (change.by, change.at, change.before, change.reason) == (alice, now, None, "")
    assert change.after == state_of(row)


def test_a_correction_keeps_the_method_and_the_arrival_of_the_kiosk(
    math_session, eileen, alice, kiosk
):
    an_attendance(math_session, eileen, status="late", kiosk=kiosk)
    before = state_of(Attendance.objects.get())
    marked(math_session, eileen, "present", alice, reason="The bus was late")
    row = Attendance.objects.get()
    assert (row.status, row.method, row.kiosk) == ("present", "face", kiosk)
    assert row.arrived_at == math_session.starts_at
    change = AttendanceChange.objects.get()
    assert (change.before, change.after) == (before, state_of(row))
    assert change.reason == "The bus was late"


@pytest.mark.parametrize("status", ["excused", "absent"])
def test_who_is_marked_as_not_there_has_no_arrival(math_session, eileen, alice, status):
    an_attendance(math_session, eileen, left_at=math_session.starts_at + timedelta(minutes=1))
    marked(math_session, eileen, status, alice, reason="It was somebody else")
    row = Attendance.objects.get()
    assert (row.status, row.arrived_at, row.left_at) == (status, None, None)


def test_who_was_written_as_absent_at_the_close_is_present_by_hand(math_session, eileen, alice):
    an_attendance(math_session, eileen, status="absent", method="closing", arrived_at=None)
    row = marked(math_session, eileen, "present", alice, reason="Was in the room")
    assert (row.status, row.method) == ("present", "manual")


def test_whoever_stayed_too_short_is_present_by_the_lecturers_word(math_session, eileen, alice):
    an_attendance(math_session, eileen, status="absent", reason="short_stay")
    row = marked(math_session, eileen, "present", alice, reason="Helped to carry chairs")
    assert (row.status, row.reason, row.arrived_at) == ("present", "", math_session.starts_at)


@pytest.mark.parametrize("reason", ["", "   \n"])
def test_to_excuse_needs_a_reason(math_session, eileen, alice, reason):
    with pytest.raises(MarkRefusedError, match="Give a reason"):
        marked(math_session, eileen, "excused", alice, reason=reason)
    assert untouched()


def test_to_change_what_exists_needs_a_reason(math_session, eileen, alice):
    an_attendance(math_session, eileen)
    with pytest.raises(MarkRefusedError, match="Give a reason"):
        marked(math_session, eileen, "late", alice)
    assert Attendance.objects.get().status == "present"
    assert not AttendanceChange.objects.exists()


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        ("excused", "x" * 301, "301 characters, at most 300"),
        ("excused", "a\0b", "cannot be stored"),
        ("asleep", "x", "Choose present"),
        ("", "x", "Choose present"),
    ],
)
def test_what_cannot_be_stored_is_refused(math_session, eileen, alice, status, reason, sentence):
    with pytest.raises(MarkRefusedError, match=sentence):
        marked(math_session, eileen, status, alice, reason=reason)
    assert untouched()


def test_the_same_status_again_is_no_change(math_session, eileen, alice):
    an_attendance(math_session, eileen)
    with pytest.raises(MarkRefusedError, match="already"):
        marked(math_session, eileen, "present", alice, reason="Really")
    assert not AttendanceChange.objects.exists()


def test_of_two_lecturers_the_second_is_told_what_the_first_did(math_session, eileen, alice, admin):
    marked(math_session, eileen, "late", alice, shown=NOTHING)
    with pytest.raises(StaleMarkError, match="Eileen Collins is “late” by now"):
        marked(math_session, eileen, "present", admin, shown=NOTHING, reason="I saw her")
    assert Attendance.objects.get().status == "late"
    assert AttendanceChange.objects.get().by == alice


def test_an_arrival_at_the_kiosk_makes_a_mark_stale(math_session, eileen, alice):
    an_attendance(math_session, eileen)
    with pytest.raises(StaleMarkError, match="present"):
        marked(math_session, eileen, "absent", alice, shown=NOTHING, reason="Not seen")
    assert Attendance.objects.get().status == "present"


def test_a_student_who_is_not_expected_cannot_be_marked(math_session, dmitri, alice):
    with pytest.raises(MarkRefusedError, match="not on the class list"):
        marked(math_session, dmitri, "present", alice)
    assert untouched()


def test_who_joins_the_course_later_cannot_be_marked(math, math_session, dmitri, alice):
    enrol_in(math, dmitri, joined_on=timezone.localdate() + timedelta(days=2))
    with pytest.raises(MarkRefusedError, match="not on the class list"):
        marked(math_session, dmitri, "present", alice)


def test_a_lecturer_cannot_mark_in_the_course_of_another(math_session, eileen, charlie):
    with pytest.raises(MarkRefusedError, match="not yours"):
        marked(math_session, eileen, "present", charlie)
    assert untouched()


def test_a_lecturer_cannot_undo_in_the_course_of_another(math_session, eileen, alice, charlie):
    marked(math_session, eileen, "present", alice)
    with pytest.raises(MarkRefusedError, match="not yours"):
        undo(change=AttendanceChange.objects.get(), by=charlie, at=timezone.now())
    assert Attendance.objects.exists()


def test_who_may_only_read_cannot_mark(math_session, eileen):
    with pytest.raises(MarkRefusedError, match="not yours"):
        marked(math_session, eileen, "present", a_member(REGISTRAR, "registrar"))
    assert untouched()


def test_before_a_session_opens_students_can_only_be_excused(math, eileen, alice):
    tomorrow = a_session(math, starts_at=timezone.now() + timedelta(days=1))
    with pytest.raises(MarkRefusedError, match="can only be excused"):
        marked(tomorrow, eileen, "present", alice)
    assert marked(tomorrow, eileen, "excused", alice, reason="Surgery").status == "excused"


def test_after_the_course_has_locked_a_session_nothing_is_marked_or_undone(
    math, math_session, eileen, alice
):
    marked(math_session, eileen, "present", alice)
    math.locks_after_days = 14
    math.save()
    locked = math_session.ends_at + timedelta(days=14)
    with pytest.raises(MarkRefusedError, match="locks them 14 days after"):
        marked(math_session, eileen, "late", alice, reason="came later", at=locked)
    change = last_change(math_session, eileen)
    with pytest.raises(MarkRefusedError, match="locks them 14 days after"):
        undo(change=change, by=alice, at=locked)
    undo(change=change, by=alice, at=locked - timedelta(seconds=1))


@pytest.mark.parametrize(("status", "minutes"), [("present", 0), ("late", 10)])
def test_who_is_marked_afterwards_arrived_at_the_time_that_the_status_says(
    math, eileen, alice, status, minutes
):
    over = a_session(math, starts_at=timezone.now() - timedelta(days=1))
    row = marked(over, eileen, status, alice)
    assert row.arrived_at == over.starts_at + timedelta(minutes=minutes)


# Undoing


def test_undoing_the_first_mark_leaves_no_row_and_is_kept(math_session, eileen, alice):
    marked(math_session, eileen, "present", alice)
    change = AttendanceChange.objects.get()
    undo(change=change, by=alice, at=timezone.now())
    assert not Attendance.objects.exists()
    undone = AttendanceChange.objects.exclude(pk=change.pk).get()
    assert (undone.undoes, undone.before, undone.after) == (change, change.after, None)
    assert undone.by == alice


def test_undoing_a_correction_brings_back_exactly_what_stood_there(
    math_session, eileen, alice, kiosk
):
    left = math_session.starts_at + timedelta(minutes=3, microseconds=123457)
    an_attendance(math_session, eileen, kiosk=kiosk, left_at=left)
    as_it_was = Attendance.objects.filter(student=eileen).values().get()
    marked(math_session, eileen, "absent", alice, reason="Somebody else")
    assert Attendance.objects.filter(student=eileen).values().get() != as_it_was
    undo(change=AttendanceChange.objects.get(), by=alice, at=timezone.now())
    assert Attendance.objects.filter(student=eileen).values().get() == as_it_was


def test_changes_are_undone_from_the_last_to_the_first(math_session, eileen, alice):
    marked(math_session, eileen, "present", alice)
    marked(math_session, eileen, "late", alice, reason="Came at ten")
    first, second = AttendanceChange.objects.order_by("pk")
    with pytest.raises(MarkRefusedError):
        undo(change=first, by=alice, at=timezone.now())
    undo(change=second, by=alice, at=timezone.now())
    assert Attendance.objects.get().status == "present"
    assert last_change(math_session, eileen) == first
    undo(change=first, by=alice, at=timezone.now())
    assert not Attendance.objects.exists()
    assert last_change(math_session, eileen) is None


def test_a_change_is_undone_once(math_session, eileen, alice):
    marked(math_session, eileen, "present", alice)
    change = AttendanceChange.objects.get()
    undo(change=change, by=alice, at=timezone.now())
    with pytest.raises(StaleMarkError, match="not recorded"):
        undo(change=change, by=alice, at=timezone.now())
    marked(math_session, eileen, "present", alice, at=change.at)
    with pytest.raises(StaleMarkError):
        undo(change=change, by=alice, at=timezone.now())
    assert AttendanceChange.objects.count() == 3


def test_undoing_after_the_close_leaves_an_absence_and_no_gap(math_session, eileen, alice):
    marked(math_session, eileen, "present", alice)
    close_session(math_session, timezone.now(), by=alice)
    undo(change=AttendanceChange.objects.get(), by=alice, at=timezone.now())
    row = Attendance.objects.get()
    assert (row.status, row.method, row.arrived_at) == ("absent", "closing", None)
    assert AttendanceChange.objects.latest("pk").after == state_of(row)


def test_what_changed_since_in_another_way_is_not_undone(math_session, eileen, alice):
    marked(math_session, eileen, "present", alice)
    Attendance.objects.update(left_at=timezone.now())
    with pytest.raises(StaleMarkError):
        undo(change=AttendanceChange.objects.get(), by=alice, at=timezone.now())
    assert Attendance.objects.exists()


def test_the_record_stays_when_the_lecturer_goes(math_session, eileen, alice):
    marked(math_session, eileen, "present", alice)
    alice.delete()
    assert AttendanceChange.objects.get().by is None


def test_a_mark_for_a_student_who_has_left_since_stays_readable(
    math: Course, math_session: ClassSession, eileen: Student, alice: User, kiosk: Kiosk
) -> None:
    marked(math_session, eileen, "present", alice)
    CourseEnrolment.objects.update(left_on=timezone.localdate() - timedelta(days=3))
    with pytest.raises(MarkRefusedError, match="not on the class list"):
        marked(math_session, eileen, "late", alice, reason="Came at ten")
    assert Attendance.objects.get().status == "present"


@pytest.mark.django_db(transaction=True)
def test_of_marks_at_the_same_moment_one_holds_and_the_others_are_told(math_session, eileen, alice):
    start = threading.Barrier(4)

    def lecturer(number: int) -> bool:
        start.wait()
        try:
            marked(
                math_session,
                eileen,
                ["present", "late"][number % 2],
                alice,
                shown=NOTHING,
                reason="x",
            )
        except StaleMarkError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as threads:
        held = list(threads.map(lecturer, range(4)))
    assert sorted(held) == [False, False, False, True]
    assert state_of(Attendance.objects.get()) == AttendanceChange.objects.get().after
