"""Days of which no attendance is changed any more, whichever way is tried."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.roles import ADMINISTRATOR, REGISTRAR
from checkin.appeals.models import Appeal
from checkin.appeals.services import AppealRefusedError, accept_appeal, open_appeal
from checkin.class_photo.services import why_not_now
from checkin.marking import MarkRefusedError, key_of, mark, state_of, undo
from checkin.models import Attendance, AttendanceChange, Kiosk, Outcome
from checkin.people.merging import MergeRefusedError, merge_students
from checkin.period_locks.services import (
    LockRefusedError,
    lock_period,
    locks_of,
    unlock_period,
)
from checkin.services import Evidence, record_attendance
from checkin.sessions.services import SessionRefusedError, close_session, reopen_session
from recognition.models import FaceTemplate
from roster.models import ClassSession, Course, PeriodLock, Student
from tests.support.school import a_course, a_member, a_student
from tests.support.terms import a_held_session, a_status

DAY = date(2026, 3, 2)
NOW = timezone.make_aware(datetime(2026, 4, 1, 12))


@pytest.fixture
def registrar(db: None) -> User:
    return a_member(REGISTRAR, "rita")


@pytest.fixture
def administrator(db: None) -> User:
    return a_member(ADMINISTRATOR, "ada")


@pytest.fixture
def held(math: Course, eileen: Student) -> ClassSession:
    Course.objects.filter(pk=math.pk).update(appeal_days=365)
    math.refresh_from_db()
    session = a_held_session(math, DAY)
    a_status(session, eileen, "present")
    return session


def lock(by: User, *, course: Course | None = None, day: date = DAY) -> PeriodLock:
    return lock_period(
        first_day=day, last_day=day, course=course, by=by, reason="Paid in March", at=NOW
    )


def marked(session: ClassSession, student: Student, by: User) -> Attendance:
    row = Attendance.objects.filter(session=session, student=student).first()
    return mark(
        session=session,
        student=student,
        status="absent",
        by=by,
        reason="Was not there",
        at=NOW,
        shown=key_of(state_of(row)),
    )


def states() -> list[tuple[object, ...]]:
    return list(Attendance.objects.order_by("pk").values_list())


def test_marking_and_undoing_are_refused_and_said_why(
    held: ClassSession, eileen: Student, alice: User, registrar: User
) -> None:
    marked(held, eileen, alice)
    lock(registrar)
    before = states()
    with pytest.raises(MarkRefusedError, match="2026-03-02 to 2026-03-02 are settled"):
        marked(held, eileen, alice)
    with pytest.raises(MarkRefusedError, match="settled"):
        undo(change=AttendanceChange.objects.get(), by=alice, at=NOW)
    assert states() == before


def test_even_an_administrator_changes_nothing_while_it_is_locked(
    held: ClassSession, eileen: Student, administrator: User
) -> None:
    lock(administrator)
    with pytest.raises(MarkRefusedError, match="settled"):
        marked(held, eileen, administrator)


def test_appeals_are_neither_made_nor_accepted(
    held: ClassSession, eileen: Student, alice: User, registrar: User
) -> None:
    lock(registrar)
    with pytest.raises(AppealRefusedError, match="settled"):
        open_appeal(session=held, student=eileen, text="I was there", at=NOW)
    appeal = Appeal.objects.create(session=held, student=eileen, kind="question", text="Wrong")
    row = Attendance.objects.get()
    with pytest.raises(MarkRefusedError, match="settled"):
        accept_appeal(
            appeal=appeal,
            by=alice,
            at=NOW,
            status="late",
            answer="Yes",
            shown=key_of(state_of(row)),
        )


def test_a_session_is_neither_opened_again_nor_closed_nor_photographed(
    held: ClassSession, alice: User, registrar: User
) -> None:
    lock(registrar)
    with pytest.raises(SessionRefusedError, match="settled"):
        reopen_session(held, NOW, by=alice, reason="More", until=NOW + timedelta(hours=1))
    # However it came to be open.
    ClassSession.objects.filter(pk=held.pk).update(closed_at=None)
    held.refresh_from_db()
    before = states()
    with pytest.raises(SessionRefusedError, match="settled"):
        close_session(held, NOW, by=alice)
    assert close_session(held, NOW) is None
    assert "settled" in why_not_now(held, NOW)
    assert states() == before


def test_a_kiosk_records_nobody_in_it(
    held: ClassSession,
    eileen: Student,
    eileens_template: FaceTemplate,
    kiosk: Kiosk,
    registrar: User,
) -> None:
    lock(registrar)
    Attendance.objects.all().delete()
    ClassSession.objects.filter(pk=held.pk).update(
        closed_at=None, reopened_until=NOW + timedelta(hours=1)
    )
    held.refresh_from_db()
    assert held.is_open(NOW)
    result = record_attendance(
        kiosk=kiosk,
        sessions=[held],
        template_id=eileens_template.pk,
        evidence=Evidence(model_id=eileens_template.model_id, gallery_size=1),
        at=NOW,
    )
    assert result.outcome == Outcome.SESSION_CLOSED
    assert not Attendance.objects.exists()


def test_records_in_it_are_not_moved_to_another_number(
    held: ClassSession, math: Course, eileen: Student, registrar: User
) -> None:
    twin = a_student("S-99", "E. Collins", math)
    lock(registrar)
    with pytest.raises(MergeRefusedError, match="Keep that record"):
        merge_students(keep=twin, other=eileen)
    merge_students(keep=eileen, other=twin)
    assert Attendance.objects.get().student == eileen


def test_the_session_itself_is_neither_moved_nor_deleted(
    held: ClassSession, as_admin: Client, admin: User
) -> None:
    lock(admin)
    page = reverse("admin:roster_classsession_change", args=[held.pk])
    form = {
        "course": held.course_id,
        "starts_at_0": "2026-03-05",
        "starts_at_1": "09:00",
        "ends_at_0": "2026-03-05",
        "ends_at_1": "10:30",
        "opens_early_min": 15,
        "late_after_min": 10,
    }
    assert "nothing in them is changed" in as_admin.post(page, form).text
    as_admin.post(reverse("admin:roster_classsession_delete", args=[held.pk]), {"post": "yes"})
    as_admin.post(
        reverse("admin:roster_classsession_changelist"),
        {"action": "delete_selected", "_selected_action": [held.pk], "post": "yes"},
    )
    assert ClassSession.objects.get(pk=held.pk).starts_at == held.starts_at


def test_no_session_is_put_into_locked_days(as_admin: Client, admin: User, math: Course) -> None:
    lock(admin)
    form = {
        "course": math.pk,
        "starts_at_0": "2026-03-02",
        "starts_at_1": "15:00",
        "ends_at_0": "2026-03-02",
        "ends_at_1": "16:00",
    }
    answer = as_admin.post(reverse("admin:roster_classsession_add"), form)
    assert "nothing in them is changed" in answer.text
    assert not ClassSession.objects.exists()


def test_a_lock_of_a_course_leaves_the_others_alone(
    held: ClassSession, eileen: Student, alice: User, charlie: User, registrar: User
) -> None:
    chem = a_course("CHEM", charlie)
    lock(registrar, course=chem)
    assert marked(held, eileen, alice).status == "absent"


def test_other_days_are_free(
    math: Course, held: ClassSession, eileen: Student, alice: User, registrar: User
) -> None:
    lock(registrar, day=DAY - timedelta(days=1))
    assert marked(held, eileen, alice).status == "absent"


def test_a_day_is_that_of_the_courses_clocks(alice: User, registrar: User) -> None:
    """Seven in the morning in Shanghai is the day before in UTC."""
    shanghai = a_course("SH", alice, timezone="Asia/Shanghai")
    session = a_held_session(shanghai, DAY, time(7))
    assert session.starts_at.astimezone(UTC).date() == DAY - timedelta(days=1)
    lock(registrar, day=DAY - timedelta(days=1))
    assert not session.is_locked(NOW)
    lock(registrar, day=DAY)
    assert session.is_locked(NOW)


def test_days_are_locked_only_when_they_are_over_everywhere(
    alice: User, math: Course, registrar: User
) -> None:
    a_course("LA", alice, timezone="America/Los_Angeles")
    at = timezone.make_aware(datetime(2026, 3, 3, 5))  # still the second in Los Angeles
    with pytest.raises(LockRefusedError, match="not over yet in America/Los_Angeles"):
        lock_period(first_day=DAY, last_day=DAY, course=None, by=registrar, reason="x", at=at)
    lock_period(first_day=DAY, last_day=DAY, course=math, by=registrar, reason="x", at=at)


def test_days_with_a_session_that_is_not_closed_are_not_locked(
    math: Course, registrar: User
) -> None:
    a_held_session(math, DAY, closed=False)
    with pytest.raises(LockRefusedError, match="1 session of these days is not closed: MATH"):
        lock(registrar)


def test_a_lock_needs_a_reason_and_somebody_who_may(
    alice: User, math: Course, registrar: User
) -> None:
    for by in (alice, a_member(REGISTRAR, "other")):
        with pytest.raises(LockRefusedError):
            lock_period(first_day=DAY, last_day=DAY, course=math, by=by, reason="  ", at=NOW)
    with pytest.raises(LockRefusedError, match="not yours"):
        lock(alice, course=math)


def test_unlocking_keeps_who_did_what_and_why(
    held: ClassSession, eileen: Student, alice: User, registrar: User, administrator: User
) -> None:
    locked = lock(registrar)
    with pytest.raises(LockRefusedError, match="not yours"):
        unlock_period(lock=locked, by=registrar, reason="Oops", at=NOW)
    unlock_period(lock=locked, by=administrator, reason="Wrong hours", at=NOW)
    with pytest.raises(LockRefusedError, match="already"):
        unlock_period(lock=locked, by=administrator, reason="Again", at=NOW)
    locked.refresh_from_db()
    assert (locked.locked_by, locked.reason) == (registrar, "Paid in March")
    assert (locked.unlocked_by, locked.unlock_reason) == (administrator, "Wrong hours")
    assert marked(held, eileen, alice).status == "absent"


def test_a_lecturer_sees_the_locks_that_concern_them(
    alice: User, charlie: User, math: Course, chem: Course, registrar: User
) -> None:
    everybody, own = lock(registrar), lock(registrar, course=math)
    lock(registrar, course=chem)
    assert set(locks_of(alice)) == {everybody, own}


def test_the_desk_locks_and_unlocks_with_reasons(
    held: ClassSession, as_admin: Client, admin: User
) -> None:
    form = {"first_day": "2026-03-01", "last_day": "2026-03-31", "reason": "Paid"}
    as_admin.post(reverse("admin:roster_periodlock_add"), form)
    locked = PeriodLock.objects.get()
    assert (locked.locked_by, held.period_lock()) == (admin, locked)
    page = reverse("admin:roster_periodlock_changelist")
    asked = {"action": "unlock", "_selected_action": [locked.pk]}
    assert "Leave them locked" in as_admin.post(page, asked).text
    as_admin.post(page, asked | {"reason": "Wrong hours"})
    assert held.period_lock() is None
    assert "Wrong hours" in as_admin.get(page, {"state": "unlocked"}).text
    assert "Wrong hours" not in as_admin.get(page, {"state": "locked"}).text


@pytest.mark.django_db(transaction=True)
def test_a_mark_at_the_same_moment_comes_before_the_lock_or_not_at_all(
    held: ClassSession, eileen: Student, alice: User, registrar: User
) -> None:
    """Whichever is first: a mark is never written after the lock."""
    begin = threading.Barrier(2)
    told: dict[str, str] = {}

    def work(name: str, task: Callable[[], object]) -> None:
        try:
            begin.wait(timeout=60)
            task()
            told[name] = "done"
        except MarkRefusedError as refusal:
            told[name] = str(refusal)
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=work, args=("mark", lambda: marked(held, eileen, alice))),
        threading.Thread(target=work, args=("lock", lambda: lock(registrar))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert told["lock"] == "done"
    changed = AttendanceChange.objects.exists()
    assert changed == (told["mark"] == "done")
    assert changed or "settled" in told["mark"]
