"""A student questions a record, the lecturer decides, and both are told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.roles import REGISTRAR
from checkin.appeals.evidence import liveness_in_words
from checkin.appeals.models import MAX_TEXT_LENGTH, Appeal
from checkin.appeals.not_me import disown, keep_probe
from checkin.appeals.services import (
    MOST_QUESTIONS,
    AppealRefusedError,
    accept_appeal,
    deadline_of,
    open_appeal,
    open_appeals,
    refuse_appeal,
    withdraw_appeal,
)
from checkin.marking import MarkRefusedError, StaleMarkError, key_of, mark, state_of
from checkin.models import Attendance, AttendanceChange, CheckinAttempt, Kiosk, Outcome
from checkin.retention import purge
from checkin.sessions.services import close_session
from roster.models import ClassSession, Course, Student
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_member,
    a_session,
    a_student,
    a_template,
    an_account_of,
    an_attempt,
    an_attendance,
    utc,
)
from tests.support.terms import a_held_session, a_status

DAY = date(2026, 3, 2)
LATER = utc(2026, 3, 3, 12)
TRACE = {"challenge": "blink_once", "frames": 5, "blink": {"reaction_ms": 420, "closed_ms": 120}}


@pytest.fixture
def held(math: Course, eileen: Student) -> ClassSession:
    """Eileen is written as absent."""
    session = a_held_session(math, DAY)
    an_attendance(session, eileen, status="absent", method="closing", arrived_at=None)
    return session


@pytest.fixture
def appeal(held: ClassSession, eileen: Student) -> Appeal:
    return asked(held, eileen)


@pytest.fixture
def as_eileen(client: Client, eileen: Student) -> Client:
    client.force_login(an_account_of(eileen))
    return client


def asked(
    session: ClassSession, student: Student, text: str = "I sat in row 3", at: datetime = LATER
) -> Appeal:
    return open_appeal(session=session, student=student, text=text, at=at)


def shown(session: ClassSession, student: Student) -> str:
    return key_of(state_of(Attendance.objects.filter(session=session, student=student).first()))


def accepted(appeal: Appeal, by: User, status: str = "present", answer: str = "You are right"):
    accept_appeal(
        appeal=appeal,
        by=by,
        at=LATER,
        status=status,
        answer=answer,
        shown=shown(appeal.session, appeal.student),
    )


# Opening


def test_an_absence_is_questioned_and_both_are_told(
    held: ClassSession, eileen: Student, mailoutbox: list[mail.EmailMessage]
) -> None:
    appeal = asked(held, eileen, "  I sat in row 3\n\nwith Ada.  ")
    assert (appeal.status, appeal.kind, appeal.opened_at) == ("open", "question", LATER)
    assert appeal.text == "I sat in row 3\n\nwith Ada."
    to_student, to_lecturer = mailoutbox
    assert to_student.to == ["eileen@example.edu"]
    assert f"/me/attendance/{held.pk}/" in to_student.body
    assert to_lecturer.to == ["alice@example.edu"]
    assert f"/admin/checkin/appeal/{appeal.pk}/change/" in to_lecturer.body
    # What is wrong is read at the desk: a mail passes many servers.
    assert "row 3" not in to_lecturer.body


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Write what is wrong"),
        (" \n ", "Write what is wrong"),
        ("x" * (MAX_TEXT_LENGTH + 1), "1001 characters, at most 1000"),
        ("a\0b", "cannot be stored"),
    ],
)
def test_a_text_that_cannot_be_kept_is_refused(
    held: ClassSession, eileen: Student, text: str, sentence: str
) -> None:
    with pytest.raises(AppealRefusedError, match=sentence):
        asked(held, eileen, text)
    assert not Appeal.objects.exists()


@pytest.mark.parametrize(
    ("zone", "last_moment"),
    [
        # Seven whole days after the 2nd: the end of the 9th where the course is held.
        ("UTC", utc(2026, 3, 9, 23, 59)),
        ("Asia/Shanghai", utc(2026, 3, 9, 15, 59)),
        # Clocks went forward on the 8th: midnight comes an hour earlier in UTC.
        ("America/New_York", utc(2026, 3, 10, 3, 59)),
    ],
)
def test_the_deadline_is_the_end_of_a_day_on_the_courses_clocks(
    alice: User, eileen: Student, zone: str, last_moment: datetime
) -> None:
    course = Course.objects.create(code="ZONE", title="Zone", timezone=zone, appeal_days=7)
    session = a_held_session(course, DAY, time(9))
    a_status(session, eileen, "late", minutes=12)
    assert deadline_of(session) == last_moment + timedelta(minutes=1)
    with pytest.raises(AppealRefusedError, match="it ended with 2026-03-09"):
        asked(session, eileen, at=last_moment + timedelta(minutes=1))
    assert asked(session, eileen, at=last_moment).is_open


def test_a_course_without_a_deadline_takes_no_appeals(
    math: Course, held: ClassSession, eileen: Student
) -> None:
    Course.objects.filter(pk=math.pk).update(appeal_days=None)
    with pytest.raises(AppealRefusedError, match="takes no appeals"):
        asked(held, eileen)


def test_locked_records_are_not_questioned(
    math: Course, held: ClassSession, eileen: Student
) -> None:
    Course.objects.filter(pk=math.pk).update(locks_after_days=2)
    with pytest.raises(AppealRefusedError, match="locks them 2 days after"):
        asked(held, eileen, at=utc(2026, 3, 5))


def test_where_nothing_is_recorded_there_is_nothing_to_question(
    math_session: ClassSession, eileen: Student
) -> None:
    with pytest.raises(AppealRefusedError, match="Nothing is recorded"):
        asked(math_session, eileen, at=timezone.now())


def test_there_is_one_open_appeal_on_a_record(appeal: Appeal, eileen: Student) -> None:
    with pytest.raises(AppealRefusedError, match="open already"):
        asked(appeal.session, eileen)
    with pytest.raises(IntegrityError), transaction.atomic():
        Appeal.objects.create(session=appeal.session, student=eileen, kind="question", text="x")


def test_a_decided_record_is_not_questioned_again(appeal: Appeal, alice: User) -> None:
    refuse_appeal(appeal=appeal, by=alice, at=LATER, answer="No")
    with pytest.raises(AppealRefusedError, match="was decided"):
        asked(appeal.session, appeal.student)


def test_who_withdraws_may_ask_again_but_not_for_ever(held: ClassSession, eileen: Student) -> None:
    for _time in range(MOST_QUESTIONS):
        withdraw_appeal(appeal=asked(held, eileen), at=LATER)
    assert set(Appeal.objects.values_list("status", flat=True)) == {"withdrawn"}
    with pytest.raises(AppealRefusedError, match="You withdrew 3 appeals"):
        asked(held, eileen)


def test_a_not_me_is_not_withdrawn_by_the_student(
    math_session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    appeal = disown(
        attempt=an_arrival(math_session, eileen, kiosk), at=timezone.now(), at_kiosk=True
    )
    assert appeal is not None
    with pytest.raises(AppealRefusedError, match="only your lecturer"):
        withdraw_appeal(appeal=appeal, at=timezone.now())
    appeal.refresh_from_db()
    assert appeal.is_open


# Deciding


def test_accepted_the_record_becomes_what_the_lecturer_chose_and_the_reason_is_kept(
    appeal: Appeal, alice: User, mailoutbox: list[mail.EmailMessage]
) -> None:
    mailoutbox.clear()
    accepted(appeal, alice, "late", "The list of the seminar has you")
    appeal.refresh_from_db()
    assert (appeal.status, appeal.decided_by, appeal.decided_at) == ("accepted", alice, LATER)
    row = Attendance.objects.get()
    assert (row.status, row.method) == ("late", "manual")
    change = AttendanceChange.objects.get()
    assert (change.by, change.reason) == (alice, "The list of the seminar has you")
    (told,) = mailoutbox
    assert told.to == ["eileen@example.edu"]
    assert "was accepted. What stands there now: late." in told.body
    assert "The list of the seminar has you" in told.body


def test_refused_the_record_stays_and_the_student_reads_why(
    appeal: Appeal, alice: User, mailoutbox: list[mail.EmailMessage]
) -> None:
    mailoutbox.clear()
    with pytest.raises(AppealRefusedError, match="Say why"):
        refuse_appeal(appeal=appeal, by=alice, at=LATER, answer="  ")
    refuse_appeal(appeal=appeal, by=alice, at=LATER, answer="You were not\nthere")
    appeal.refresh_from_db()
    assert (appeal.status, appeal.answer) == ("refused", "You were not there")
    assert Attendance.objects.get().status == "absent"
    assert not AttendanceChange.objects.exists()
    (told,) = mailoutbox
    assert "was refused. What stands there: absent." in told.body


@pytest.mark.parametrize(
    ("status", "answer", "error", "sentence"),
    [
        ("", "You are right", AppealRefusedError, "Choose what is right"),
        ("absent", "You are right", MarkRefusedError, "stands there already"),
        ("asleep", "You are right", MarkRefusedError, "Choose present"),
        ("present", "", MarkRefusedError, "Give a reason"),
        ("present", "x" * 301, AppealRefusedError, "301 characters, at most 300"),
        ("present", "a\0b", AppealRefusedError, "cannot be stored"),
    ],
)
def test_a_decision_that_says_nothing_new_leaves_the_appeal_open(
    appeal: Appeal,
    alice: User,
    status: str,
    answer: str,
    error: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(error, match=sentence):
        accepted(appeal, alice, status, answer)
    appeal.refresh_from_db()
    assert appeal.is_open
    assert Attendance.objects.get().status == "absent"


def test_what_changed_while_the_page_was_open_is_said_instead(
    appeal: Appeal, alice: User, admin: User
) -> None:
    seen = shown(appeal.session, appeal.student)
    mark(
        session=appeal.session,
        student=appeal.student,
        status="excused",
        by=admin,
        reason="Was ill",
        at=LATER,
        shown=seen,
    )
    with pytest.raises(StaleMarkError, match="“excused” by now"):
        accept_appeal(appeal=appeal, by=alice, at=LATER, status="present", answer="Yes", shown=seen)
    appeal.refresh_from_db()
    assert appeal.is_open


def test_an_appeal_is_decided_once(appeal: Appeal, alice: User) -> None:
    accepted(appeal, alice)
    with pytest.raises(AppealRefusedError, match="“accepted” already"):
        refuse_appeal(appeal=appeal, by=alice, at=LATER, answer="No")
    with pytest.raises(AppealRefusedError, match="“accepted” already"):
        withdraw_appeal(appeal=appeal, at=LATER)


def test_only_who_may_mark_in_the_course_decides(appeal: Appeal, charlie: User) -> None:
    for stranger in (charlie, a_member(REGISTRAR, "registrar")):
        with pytest.raises(AppealRefusedError, match="not yours"):
            accepted(appeal, stranger)
        with pytest.raises(AppealRefusedError, match="not yours"):
            refuse_appeal(appeal=appeal, by=stranger, at=LATER, answer="No")
    assert not open_appeals(charlie).exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_the_same_moment_one_holds(
    appeal: Appeal, alice: User, admin: User
) -> None:
    start = threading.Barrier(2)

    def decide(lecturer: User) -> bool:
        start.wait(30)
        try:
            if lecturer == alice:
                accepted(appeal, alice)
            else:
                refuse_appeal(appeal=appeal, by=admin, at=LATER, answer="No")
        except AppealRefusedError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as threads:
        held = list(threads.map(decide, [alice, admin]))
    assert sorted(held) == [False, True]
    appeal.refresh_from_db()
    expected = {"accepted": "present", "refused": "absent"}[appeal.status]
    assert Attendance.objects.get().status == expected


@pytest.mark.django_db(transaction=True)
def test_an_appeal_sent_twice_at_the_same_moment_is_open_once(
    held: ClassSession, eileen: Student
) -> None:
    start = threading.Barrier(4)

    def ask(_number: int) -> bool:
        start.wait(30)
        try:
            asked(held, eileen)
        except AppealRefusedError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(ask, range(4))) == [False, False, False, True]
    assert Appeal.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_beside_the_closing_a_late_mark_that_was_accepted_stays(
    math: Course, eileen: Student, alice: User
) -> None:
    session = a_session(math, starts_at=utc(2026, 3, 2, 9))
    a_status(session, eileen, "late", minutes=12)
    appeal = asked(session, eileen, at=utc(2026, 3, 2, 10))
    start = threading.Barrier(2)

    def close() -> None:
        start.wait(30)
        close_session(session, session.ends_at)
        connection.close()

    def decide() -> None:
        start.wait(30)
        accepted(appeal, alice)
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(close), threads.submit(decide)]:
            done.result(60)
    assert Attendance.objects.get().status == "present"


def test_appeals_are_kept_as_long_as_the_records(appeal: Appeal, settings: object) -> None:
    over = appeal.session.ends_at + timedelta(days=1826)
    purge(over)
    assert Appeal.objects.exists()
    purge(over + timedelta(seconds=1))
    assert not Appeal.objects.exists()


# The student's pages


def an_arrival(session: ClassSession, student: Student, kiosk: Kiosk) -> CheckinAttempt:
    at = session.starts_at + timedelta(minutes=2)
    an_attendance(session, student, kiosk=kiosk, arrived_at=at)
    template = a_template(student, an_embedding(1))
    attempt = an_attempt(
        kiosk,
        session,
        at=at,
        student=student,
        template=template,
        outcome=Outcome.PRESENT,
        similarity=0.9712,
        runner_up=0.8123,
        threshold=0.9531,
        liveness=TRACE,
    )
    keep_probe(attempt=attempt, embedding=an_embedding(2))
    return attempt


def record_page(client: Client, session: ClassSession) -> HttpResponse:
    return client.get(reverse("own_record", args=[session.pk]))


def post(client: Client, name: str, session: ClassSession, **sent: object) -> HttpResponse:
    return client.post(reverse(name, args=[session.pk]), sent, follow=True)


def test_the_page_of_a_record_shows_what_it_rests_on(
    as_eileen: Client, math_session: ClassSession, eileen: Student, kiosk: Kiosk, alice: User
) -> None:
    an_arrival(math_session, eileen, kiosk)
    mark(
        session=math_session,
        student=eileen,
        status="late",
        by=alice,
        reason="Came after the roll",
        at=timezone.now(),
        shown=shown(math_session, eileen),
    )
    text = record_page(as_eileen, math_session).text
    for seen in ("Door of 101", "0.971, needed 0.953", "eyes closed for 0.12 s"):
        assert seen in text
    assert "Came after the roll" in text
    assert "your lecturer" in text
    # Nothing of anybody else: no next best, no name of staff, no picture.
    for hidden in ("0.812", "alice", "Alice", "<img"):
        assert hidden not in text


def test_the_list_leads_to_every_record_and_says_where_an_appeal_stands(
    as_eileen: Client, appeal: Appeal
) -> None:
    text = as_eileen.get(reverse("own_attendance")).text
    assert reverse("own_record", args=[appeal.session_id]) in text
    assert "Appeal: open" in text


def test_a_record_of_another_student_does_not_exist(
    as_eileen: Client, math: Course, math_session: ClassSession, kiosk: Kiosk, dmitri: Student
) -> None:
    other = a_student("S-9", "Other Person", math)
    attempt = an_arrival(math_session, other, kiosk)
    assert record_page(as_eileen, math_session).status_code == 404
    for name, sent in [
        ("appeal", {"text": "Mine"}),
        ("appeal_withdraw", {}),
        ("not_me", {"attempt": attempt.pk}),
    ]:
        assert post(as_eileen, name, math_session, **sent).status_code == 404
    assert not Appeal.objects.exists()
    assert Attendance.objects.get().student == other
    missing = as_eileen.get(reverse("own_record", args=[999_999]))
    assert missing.status_code == 404


def test_with_a_record_of_ones_own_another_students_check_in_cannot_be_disowned(
    as_eileen: Client, math: Course, math_session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    an_attendance(math_session, eileen)
    other = a_student("S-9", "Other Person", math)
    attempt = an_arrival(math_session, other, kiosk)
    for sought in (attempt.pk, "", "x", "9" * 40):
        answer = post(as_eileen, "not_me", math_session, attempt=sought)
        assert answer.status_code == 404
    assert Attendance.objects.count() == 2


def test_an_appeal_is_sent_read_and_withdrawn_on_the_page(
    as_eileen: Client, math: Course, eileen: Student
) -> None:
    session = a_session(math)
    a_status(session, eileen, "late", minutes=12)
    empty = post(as_eileen, "appeal", session, text=" ")
    assert "Write what is wrong" in empty.text
    too_long = post(as_eileen, "appeal", session, text="y" * 1001)
    assert "y" * 1001 in too_long.text
    assert not Appeal.objects.exists()
    answer = post(as_eileen, "appeal", session, text="<b>I was there</b>")
    assert "Your appeal was sent" in answer.text
    assert "&lt;b&gt;I was there&lt;/b&gt;" in answer.text
    assert "Send the appeal" not in answer.text
    again = post(as_eileen, "appeal", session, text="Once more")
    assert "open already" in again.text
    assert "is withdrawn" in post(as_eileen, "appeal_withdraw", session).text
    assert post(as_eileen, "appeal_withdraw", session).status_code == 404


def test_after_the_deadline_the_page_says_so_plainly(as_eileen: Client, held: ClassSession) -> None:
    text = record_page(as_eileen, held).text
    assert "it ended with 2026-03-09" in text
    assert "Send the appeal" not in text
    assert "it ended with 2026-03-09" in post(as_eileen, "appeal", held, text="Late").text
    assert not Appeal.objects.exists()


def test_not_me_on_the_page_undoes_the_mark_and_the_list_still_leads_there(
    as_eileen: Client, math_session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    attempt = an_arrival(math_session, eileen, kiosk)
    assert "That was not me" in record_page(as_eileen, math_session).text
    answer = post(as_eileen, "not_me", math_session, attempt=attempt.pk)
    assert "The check-in was undone" in answer.text
    assert "That was not me" not in answer.text
    assert "Withdraw" not in answer.text
    assert not Attendance.objects.exists()
    listed = as_eileen.get(reverse("own_attendance")).text
    assert reverse("own_record", args=[math_session.pk]) in listed


def test_no_browser_keeps_the_page_and_strangers_log_in_first(
    client: Client, as_eileen: Client, held: ClassSession, alice: User
) -> None:
    assert "no-store" in record_page(as_eileen, held).headers["Cache-Control"]
    as_eileen.logout()
    assert reverse("account_login") in record_page(client, held).headers["Location"]
    client.force_login(alice)
    assert record_page(client, held).headers["Location"] == reverse("roster_claim")
    assert client.get(reverse("appeal", args=[held.pk])).status_code == 405


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        ({}, ""),
        ({"challenge": "blink_once", "frames": 2}, "not proven live"),
        (TRACE, "blinked 0.42 s after being asked, eyes closed for 0.12 s, 5 pictures compared"),
        ({"blink": {}}, "blinked ? s after being asked, eyes closed for ? s"),
        (
            {
                "challenge": "turn_left open_mouth",
                "actions": [
                    {"action": "turn_left", "reaction_ms": 640},
                    {"action": "open_mouth", "reaction_ms": 1210},
                ],
            },
            "turned left 0.64 s after being asked, opened the mouth 1.21 s after being asked",
        ),
        (
            {
                "challenge": "turn_left open_mouth",
                "actions": [{"action": "turn_left", "reaction_ms": 640}],
            },
            "not proven live",
        ),
        (
            {
                "challenge": "blink_once",
                "actions": [{"action": "blink_once", "reaction_ms": 420, "closed_ms": 120}],
                "frames": 1,
            },
            "blinked 0.42 s after being asked, eyes closed for 0.12 s, 1 picture compared",
        ),
    ],
)
def test_liveness_is_told_in_words(trace: dict[str, object], words: str) -> None:
    assert liveness_in_words(trace) == words


# The desk


def decision_page(appeal: Appeal) -> str:
    return reverse("admin:checkin_appeal_change", args=[appeal.pk])


def test_the_desk_counts_what_waits_and_leads_to_it(
    as_alice: Client, appeal: Appeal, charlie: User
) -> None:
    desk = as_alice.get(reverse("admin:index")).text
    assert reverse("admin:checkin_appeal_changelist") in desk
    assert "appeal waits" in desk
    listed = as_alice.get(reverse("admin:checkin_appeal_changelist"))
    assert list(listed.context["cl"].result_list) == [appeal]
    as_alice.force_login(charlie)
    assert "appeal waits" not in as_alice.get(reverse("admin:index")).text


def test_the_page_has_the_record_the_text_and_the_evidence(
    as_alice: Client, math_session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    an_arrival(math_session, eileen, kiosk)
    appeal = asked(math_session, eileen, "<i>Not late</i>", at=timezone.now())
    text = as_alice.get(decision_page(appeal)).text
    for seen in ("&lt;i&gt;Not late&lt;/i&gt;", "0.971, needed 0.953", "Door of 101", "Accept"):
        assert seen in text
    assert "leave it as it is" not in text


def test_a_lecturer_decides_at_the_desk(as_alice: Client, appeal: Appeal) -> None:
    sent = {
        "decision": "accept",
        "status": "present",
        "answer": "You are right",
        "shown": shown(appeal.session, appeal.student),
    }
    refused = as_alice.post(decision_page(appeal), {**sent, "answer": ""})
    assert "Give a reason" in refused.text
    answer = as_alice.post(decision_page(appeal), sent, follow=True)
    assert "The appeal of Eileen Collins was accepted." in answer.text
    assert Attendance.objects.get().status == "present"
    decided = as_alice.get(decision_page(appeal)).text
    assert "Your decision" not in decided
    again = as_alice.post(decision_page(appeal), {**sent, "status": "late"}, follow=True)
    assert "“accepted” already" in again.text
    assert Attendance.objects.get().status == "present"


def test_of_a_not_me_the_page_says_what_refusing_brings_back(
    as_alice: Client, math_session: ClassSession, eileen: Student, kiosk: Kiosk
) -> None:
    attempt = an_arrival(math_session, eileen, kiosk)
    appeal = disown(attempt=attempt, at=timezone.now(), at_kiosk=True)
    assert appeal is not None
    text = as_alice.get(decision_page(appeal)).text
    assert "The person at the kiosk said “not me”." in text
    assert "leave it as it is" in text
    assert "If you refuse, the mark comes back: present." in text
    answer = as_alice.post(
        decision_page(appeal), {"decision": "refuse", "answer": "I saw you"}, follow=True
    )
    assert "was refused" in answer.text
    assert Attendance.objects.get().arrived_at == attempt.at
    live = as_alice.get(
        reverse("admin:checkin_attendance_live_student", args=[math_session.pk, eileen.pk])
    ).text
    assert "the person at the kiosk" in live
    assert "a former account" not in live


def test_a_foreign_lecturer_finds_nothing(client: Client, charlie: User, appeal: Appeal) -> None:
    client.force_login(charlie)
    for answer in (
        client.get(decision_page(appeal)),
        client.post(decision_page(appeal), {"decision": "refuse", "answer": "No"}),
    ):
        assert answer.status_code in (302, 404)
    assert not client.get(reverse("admin:checkin_appeal_changelist")).context["cl"].result_count
    appeal.refresh_from_db()
    assert appeal.is_open


def test_a_registrar_does_not_read_appeals(client: Client, appeal: Appeal) -> None:
    client.force_login(a_member(REGISTRAR, "registrar"))
    assert client.get(decision_page(appeal)).status_code == 403
    assert client.get(reverse("admin:checkin_appeal_changelist")).status_code == 403


def test_after_a_decision_the_next_that_waits_is_shown(
    as_alice: Client, appeal: Appeal, math: Course
) -> None:
    other = a_student("S-9", "Other Person", math)
    a_status(appeal.session, other, "absent")
    following = asked(appeal.session, other, at=LATER + timedelta(minutes=1))
    answer = as_alice.post(decision_page(appeal), {"decision": "refuse", "answer": "No"})
    assert answer.headers["Location"] == decision_page(following)
