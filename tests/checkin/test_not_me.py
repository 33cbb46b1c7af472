"""“Not me”: the check-in is undone, the face is not taken for this student again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from django.core import mail
from django.db import connection
from pytest_django import Settings

from accounts.models import User
from checkin.appeals.models import Appeal, Disowning, KeptProbe
from checkin.appeals.not_me import (
    ChangedSinceError,
    NobodyAcceptedError,
    TooLateError,
    disown,
    is_undone_by_it,
    keep_probe,
    not_me_until,
)
from checkin.appeals.services import accept_appeal, refuse_appeal
from checkin.marking import key_of, mark, state_of
from checkin.models import Attendance, AttendanceChange, CheckinAttempt, Kiosk, Outcome
from checkin.people.merging import merge_students
from checkin.retention import purge
from checkin.sessions.services import close_session, reopen_session
from recognition.mistakes import is_mistaken
from recognition.models import FaceMistake
from recognition.services import revoke_template, withdraw_consent
from roster.models import ClassSession, Course, Student
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_session,
    a_student,
    a_template,
    an_account_of,
    an_attempt,
    an_attendance,
    utc,
)

NINE = utc(2026, 3, 2, 9)
OWN, STRANGER = an_embedding(1), an_embedding(2)
SOON = NINE + timedelta(minutes=3)
AFTER = NINE + timedelta(hours=5)


@pytest.fixture
def session(math: Course) -> ClassSession:
    return a_session(math, starts_at=NINE, ends_at=NINE + timedelta(minutes=90))


@pytest.fixture
def attempt(session: ClassSession, eileen: Student, kiosk: Kiosk) -> CheckinAttempt:
    """Somebody was taken for Eileen at two past nine."""
    return taken_for(eileen, session, kiosk, NINE + timedelta(minutes=2))


def taken_for(
    student: Student, session: ClassSession, kiosk: Kiosk | None, at: datetime
) -> CheckinAttempt:
    template = student.face_templates.filter(revoked_at=None).first() or a_template(student, OWN)
    an_attendance(session, student, arrived_at=at, kiosk=kiosk)
    attempt = an_attempt(
        kiosk, session, at=at, student=student, template=template, outcome=Outcome.PRESENT
    )
    keep_probe(attempt=attempt, embedding=STRANGER)
    return attempt


def leaves(student: Student, session: ClassSession, kiosk: Kiosk, at: datetime) -> CheckinAttempt:
    Attendance.objects.filter(session=session, student=student).update(left_at=at)
    template = student.face_templates.get()
    return an_attempt(
        kiosk, session, at=at, student=student, template=template, outcome=Outcome.CHECKED_OUT
    )


def locked_out(student: Student) -> bool:
    """Whether the stranger is no longer taken for this student."""
    return is_mistaken(template_id=student.face_templates.get().pk, embedding=STRANGER)


# What is undone


def test_at_the_kiosk_the_mark_goes_and_that_is_kept(
    attempt: CheckinAttempt, eileen: Student, kiosk: Kiosk
) -> None:
    before = state_of(Attendance.objects.get())
    appeal = disown(attempt=attempt, at=SOON, at_kiosk=True)
    assert not Attendance.objects.exists()
    change = AttendanceChange.objects.get()
    assert (change.before, change.after, change.by, change.at) == (before, None, None, SOON)
    assert change.reason == "“Not me” at the kiosk"
    assert appeal is not None
    assert (appeal.student, appeal.kind, appeal.status) == (eileen, "not_me", "open")
    disowning = Disowning.objects.get()
    assert (disowning.appeal, disowning.attempt, disowning.change) == (appeal, attempt, change)


def test_the_face_is_not_taken_for_this_student_again(
    attempt: CheckinAttempt, eileen: Student
) -> None:
    assert not locked_out(eileen)
    disown(attempt=attempt, at=SOON, at_kiosk=True)
    assert locked_out(eileen)
    assert not is_mistaken(template_id=eileen.face_templates.get().pk, embedding=OWN)
    assert not KeptProbe.objects.exists()


def test_on_the_own_page_the_account_is_named(attempt: CheckinAttempt, eileen: Student) -> None:
    account = an_account_of(eileen)
    attempt = CheckinAttempt.objects.get(pk=attempt.pk)
    disown(attempt=attempt, at=AFTER, at_kiosk=False)
    change = AttendanceChange.objects.get()
    assert (change.by, change.reason) == (account, "“Not me” on the own page")


def test_said_twice_it_counts_once(attempt: CheckinAttempt) -> None:
    assert disown(attempt=attempt, at=SOON, at_kiosk=True) is not None
    assert disown(attempt=attempt, at=SOON, at_kiosk=True) is None
    assert disown(attempt=attempt, at=SOON, at_kiosk=False) is None
    counts = [m.objects.count() for m in (Appeal, AttendanceChange, FaceMistake, Disowning)]
    assert counts == [1, 1, 1, 1]


def test_the_rightful_student_can_check_in_afterwards(
    attempt: CheckinAttempt, session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    disown(attempt=attempt, at=SOON, at_kiosk=True)
    row = an_attendance(session, eileen, arrived_at=SOON)
    close_session(session, AFTER)
    row.refresh_from_db()
    assert (row.status, row.arrived_at) == ("present", SOON)


def test_a_check_out_that_was_somebody_else_is_taken_back_alone(
    attempt: CheckinAttempt, session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    arrived = state_of(Attendance.objects.get())
    out = leaves(eileen, session, kiosk, NINE + timedelta(minutes=20))
    disown(attempt=out, at=NINE + timedelta(minutes=20, seconds=5), at_kiosk=True)
    assert state_of(Attendance.objects.get()) == arrived
    assert not FaceMistake.objects.exists()  # no probe was kept of it


def test_in_a_closed_session_the_absence_stands_as_the_closing_writes_it(
    attempt: CheckinAttempt, session: ClassSession
) -> None:
    close_session(session, session.ends_at)
    disown(attempt=attempt, at=AFTER, at_kiosk=False)
    row = Attendance.objects.get()
    assert (row.status, row.method, row.arrived_at, row.kiosk) == ("absent", "closing", None, None)
    assert AttendanceChange.objects.get().after == state_of(row)


def test_reopening_takes_that_absence_back_so_that_the_student_can_come(
    attempt: CheckinAttempt, session: ClassSession, alice: User
) -> None:
    close_session(session, session.ends_at)
    disown(attempt=attempt, at=AFTER, at_kiosk=False)
    reopen_session(session, AFTER, by=alice, reason="Exam", until=AFTER + timedelta(hours=1))
    assert not Attendance.objects.exists()


def test_a_stay_that_a_strangers_check_out_made_too_short_is_whole_again(
    math: Course, session: ClassSession, attempt: CheckinAttempt, eileen: Student, kiosk: Kiosk
) -> None:
    Course.objects.filter(pk=math.pk).update(present_from_percent=75)
    ClassSession.objects.filter(pk=session.pk).update(check_out=True)
    out = leaves(eileen, session, kiosk, NINE + timedelta(minutes=20))
    close_session(session, session.ends_at)
    assert Attendance.objects.get().reason == "short_stay"
    disown(attempt=out, at=AFTER, at_kiosk=False)
    row = Attendance.objects.get()
    assert (row.status, row.reason, row.left_at) == ("present", "", None)


def test_who_was_recorded_already_loses_nothing_but_the_face_is_kept_apart(
    attempt: CheckinAttempt, session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    template = eileen.face_templates.get()
    again = an_attempt(
        kiosk, session, at=SOON, student=eileen, template=template, outcome=Outcome.ALREADY
    )
    keep_probe(attempt=again, embedding=STRANGER)
    appeal = disown(attempt=again, at=SOON, at_kiosk=True)
    assert appeal is not None
    assert Attendance.objects.get().arrived_at == attempt.at
    assert not AttendanceChange.objects.exists()
    assert locked_out(eileen)


def test_two_strangers_in_one_session_make_two_pairs_and_one_appeal(
    attempt: CheckinAttempt, session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    first = disown(attempt=attempt, at=SOON, at_kiosk=True)
    another = taken_for(eileen, session, kiosk, SOON + timedelta(minutes=1))
    second = disown(attempt=another, at=SOON + timedelta(minutes=1), at_kiosk=True)
    assert first == second
    assert FaceMistake.objects.count() == Disowning.objects.count() == 2


# What is refused


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.SPOOF, Outcome.SECOND_FACTOR])
def test_where_nobody_was_let_in_there_is_nothing_to_undo(
    session: ClassSession, kiosk: Kiosk, eileen: Student, outcome: Outcome
) -> None:
    refused = an_attempt(kiosk, session, outcome=outcome, student=eileen)
    with pytest.raises(NobodyAcceptedError, match="Nobody was recorded"):
        disown(attempt=refused, at=SOON, at_kiosk=True)
    assert not Appeal.objects.exists()


@pytest.mark.parametrize("at_kiosk", [True, False])
def test_a_locked_period_stays_as_it_is(
    math: Course, attempt: CheckinAttempt, at_kiosk: bool
) -> None:
    Course.objects.filter(pk=math.pk).update(locks_after_days=2)
    with pytest.raises(TooLateError, match="locks them 2 days after"):
        disown(attempt=attempt, at=NINE + timedelta(days=3), at_kiosk=at_kiosk)
    assert Attendance.objects.get().status == "present"
    assert not Appeal.objects.exists()
    assert not FaceMistake.objects.exists()


def test_on_the_page_the_deadline_is_a_midnight_of_the_courses_clocks(
    math: Course, attempt: CheckinAttempt, session: ClassSession
) -> None:
    Course.objects.filter(pk=math.pk).update(timezone="Asia/Shanghai", appeal_days=2)
    session.course.refresh_from_db()
    # It ends at 18:30 of the 2nd in Shanghai: two whole days later is the end of the 4th there.
    assert not_me_until(session) == utc(2026, 3, 4, 16)
    with pytest.raises(TooLateError, match="is over"):
        disown(attempt=attempt, at=utc(2026, 3, 4, 16), at_kiosk=False)
    assert disown(attempt=attempt, at=utc(2026, 3, 4, 15, 59), at_kiosk=False) is not None


def test_without_appeals_in_the_course_there_is_one_day(
    math: Course, attempt: CheckinAttempt, session: ClassSession
) -> None:
    Course.objects.filter(pk=math.pk).update(appeal_days=None, timezone="UTC")
    session.course.refresh_from_db()
    assert not_me_until(session) == utc(2026, 3, 4)
    assert disown(attempt=attempt, at=utc(2026, 3, 3, 23), at_kiosk=False) is not None


def test_what_a_lecturer_marked_since_stays(
    attempt: CheckinAttempt, session: ClassSession, eileen: Student, alice: User
) -> None:
    shown = key_of(state_of(Attendance.objects.get()))
    mark(
        session=session,
        student=eileen,
        status="late",
        by=alice,
        reason="I saw her come",
        at=SOON,
        shown=shown,
    )
    assert not is_undone_by_it(attempt)
    with pytest.raises(ChangedSinceError, match="was changed since"):
        disown(attempt=attempt, at=AFTER, at_kiosk=False)
    assert Attendance.objects.get().status == "late"
    # At the kiosk the person there is still not to be taken for her again.
    disown(attempt=attempt, at=SOON, at_kiosk=True)
    assert Attendance.objects.get().status == "late"
    assert locked_out(eileen)


# The kept face


def test_only_an_accepted_face_is_kept_and_encrypted(
    attempt: CheckinAttempt, session: ClassSession, kiosk: Kiosk, eileen: Student
) -> None:
    probe = KeptProbe.objects.get()
    assert probe.expires_at == not_me_until(session)
    assert STRANGER.astype("<f4").tobytes() not in bytes(probe.sealed_vector)
    template = eileen.face_templates.get()
    unknown = an_attempt(kiosk, session, outcome=Outcome.UNKNOWN)
    by_pass = an_attempt(kiosk, session, student=eileen, outcome=Outcome.PRESENT)
    elsewhere = an_attempt(kiosk, None, student=eileen, template=template, outcome="present")
    for other in (unknown, by_pass, elsewhere):
        keep_probe(attempt=other, embedding=STRANGER)
    assert KeptProbe.objects.get() == probe


def test_it_goes_when_nobody_can_say_not_me_any_more_and_then_makes_no_pair(
    attempt: CheckinAttempt, session: ClassSession, eileen: Student
) -> None:
    until = not_me_until(session)
    purge(until - timedelta(seconds=1))
    assert KeptProbe.objects.exists()
    purge(until)
    assert not KeptProbe.objects.exists()
    appeal = disown(attempt=attempt, at=until - timedelta(seconds=1), at_kiosk=False)
    assert appeal is not None
    assert not Attendance.objects.exists()
    assert not FaceMistake.objects.exists()
    assert Disowning.objects.get().mistake is None


def test_a_withdrawn_consent_takes_it_along(attempt: CheckinAttempt, eileen: Student) -> None:
    erasure = withdraw_consent(student=eileen)
    assert erasure.templates == 1
    assert not KeptProbe.objects.exists()


def test_of_a_revoked_template_it_goes_with_the_next_purge_and_makes_no_pair(
    attempt: CheckinAttempt, eileen: Student
) -> None:
    revoke_template(eileen.face_templates.get())
    assert disown(attempt=attempt, at=SOON, at_kiosk=True) is not None
    assert not FaceMistake.objects.exists()


def test_a_lost_key_undoes_the_mark_all_the_same(
    attempt: CheckinAttempt, settings: Settings
) -> None:
    settings.TEMPLATE_KEYS = [Fernet.generate_key().decode()]
    disown(attempt=attempt, at=SOON, at_kiosk=True)
    assert not Attendance.objects.exists()
    assert not FaceMistake.objects.exists()


def test_merging_two_records_seals_the_pair_to_the_one_that_stays(
    attempt: CheckinAttempt, eileen: Student, chem: Course
) -> None:
    disown(attempt=attempt, at=SOON, at_kiosk=True)
    keep = a_student("D-77", "Eileen M. Collins", chem)
    merge_students(keep=keep, other=eileen)
    assert locked_out(keep)
    assert Appeal.objects.get().student == keep


def test_merging_joins_two_open_appeals_on_one_session(
    attempt: CheckinAttempt, session: ClassSession, eileen: Student, math: Course, kiosk: Kiosk
) -> None:
    disown(attempt=attempt, at=SOON, at_kiosk=True)
    double = a_student("D-77", "Eileen M. Collins", math)
    others = taken_for(double, session, kiosk, SOON)
    disown(attempt=others, at=SOON, at_kiosk=True)
    kept_probe = taken_for(double, session, kiosk, SOON + timedelta(minutes=1))
    merge_students(keep=eileen, other=double)
    standing = Appeal.objects.get(status="open")
    assert standing.student == eileen
    assert standing.disownings.count() == 2
    assert not KeptProbe.objects.filter(attempt=kept_probe).exists()


def test_the_attempt_goes_after_its_time_the_pair_after_that_of_the_records(
    attempt: CheckinAttempt, eileen: Student
) -> None:
    disown(attempt=attempt, at=SOON, at_kiosk=True)
    purge(SOON + timedelta(days=91))
    assert Disowning.objects.get().attempt is None
    assert locked_out(eileen)
    purge(SOON + timedelta(days=1826))
    assert FaceMistake.objects.exists()
    purge(SOON + timedelta(days=1826, seconds=1))
    assert not FaceMistake.objects.exists()
    assert eileen.face_templates.filter(revoked_at=None).exists()


# The decision


def test_who_said_it_untruly_is_recognised_again_once_the_lecturer_refuses(
    attempt: CheckinAttempt, eileen: Student, alice: User
) -> None:
    as_it_was = state_of(Attendance.objects.get())
    appeal = disown(attempt=attempt, at=SOON, at_kiosk=True)
    assert appeal is not None
    refuse_appeal(appeal=appeal, by=alice, at=AFTER, answer="I saw you there")
    assert not locked_out(eileen)
    assert not FaceMistake.objects.exists()
    assert state_of(Attendance.objects.get()) == as_it_was
    undone = AttendanceChange.objects.latest("pk")
    assert (undone.by, undone.reason) == (alice, "I saw you there")
    assert undone.undoes == Disowning.objects.get().change


def test_refused_after_the_close_the_mark_comes_back_in_place_of_the_absence(
    attempt: CheckinAttempt, session: ClassSession, alice: User
) -> None:
    appeal = disown(attempt=attempt, at=SOON, at_kiosk=True)
    assert appeal is not None
    close_session(session, session.ends_at)
    assert Attendance.objects.get().status == "absent"
    refuse_appeal(appeal=appeal, by=alice, at=AFTER, answer="I saw you there")
    row = Attendance.objects.get()
    assert (row.status, row.method, row.arrived_at) == ("present", "face", attempt.at)


def test_refused_after_the_student_came_again_the_newer_arrival_stays(
    attempt: CheckinAttempt, session: ClassSession, eileen: Student, alice: User
) -> None:
    appeal = disown(attempt=attempt, at=SOON, at_kiosk=True)
    assert appeal is not None
    an_attendance(session, eileen, status="late", arrived_at=NINE + timedelta(minutes=30))
    refuse_appeal(appeal=appeal, by=alice, at=AFTER, answer="I saw you there")
    assert Attendance.objects.get().status == "late"


def test_accepted_the_pair_stays_for_good(
    attempt: CheckinAttempt, eileen: Student, alice: User
) -> None:
    appeal = disown(attempt=attempt, at=SOON, at_kiosk=True)
    assert appeal is not None
    accept_appeal(appeal=appeal, by=alice, at=AFTER, status="", answer="", shown=key_of(None))
    assert locked_out(eileen)
    assert not Attendance.objects.exists()


def test_both_sides_are_told_that_it_was_the_person_at_the_kiosk(
    attempt: CheckinAttempt, mailoutbox: list[mail.EmailMessage]
) -> None:
    disown(attempt=attempt, at=SOON, at_kiosk=True)
    to_student, to_lecturer = mailoutbox
    assert to_student.to == ["eileen@example.edu"]
    assert "the person there said “not me”" in to_student.body
    assert to_lecturer.to == ["alice@example.edu"]
    assert "took somebody for Eileen Collins" in to_lecturer.body


# At one moment


@pytest.mark.django_db(transaction=True)
def test_of_four_not_me_at_the_same_moment_one_counts(attempt: CheckinAttempt) -> None:
    start = threading.Barrier(4)

    def say(number: int) -> bool:
        start.wait(30)
        try:
            return disown(attempt=attempt, at=SOON, at_kiosk=number % 2 == 0) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        counted = list(threads.map(say, range(4)))
    assert sorted(counted) == [False, False, False, True]
    counts = [m.objects.count() for m in (Appeal, AttendanceChange, FaceMistake, Disowning)]
    assert counts == [1, 1, 1, 1]
    assert not Attendance.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_beside_the_closing_the_student_ends_as_absent_whoever_is_first(
    math: Course, kiosk: Kiosk, eileen: Student
) -> None:
    for day in range(6):
        session = a_session(math, starts_at=NINE + timedelta(days=day))
        attempt = taken_for(eileen, session, kiosk, session.starts_at)
        start = threading.Barrier(2)

        def close(session: ClassSession = session, start: threading.Barrier = start) -> None:
            start.wait(30)
            close_session(session, session.ends_at)
            connection.close()

        def say(
            attempt: CheckinAttempt = attempt, start: threading.Barrier = start
        ) -> Appeal | None:
            start.wait(30)
            try:
                return disown(attempt=attempt, at=attempt.at, at_kiosk=True)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            closing, saying = threads.submit(close), threads.submit(say)
            closing.result(60)
            assert saying.result(60) is not None
        row = Attendance.objects.get(session=session)
        assert (row.status, row.method) == ("absent", "closing")
