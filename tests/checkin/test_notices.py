"""Who wants to know is told who came: once, in time, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from post_office.models import Email

from accounts.mail_delivery import deliver_due_mails
from accounts.models import User
from checkin.marking import key_of, mark, state_of
from checkin.models import Attendance, Kiosk
from checkin.notices.models import DigestMarker, HowOften, NoticeChoice
from checkin.notices.services import (
    LONGEST_BACK,
    NAMED_PER_COURSE,
    SETTLES_WITHIN,
    choose_notices,
    course_choices,
    last_due,
    send_due_notices,
)
from checkin.people.erasure import Account, erase_student
from checkin.services import Evidence, record_attendance
from checkin.sessions import clock as session_clock
from roster.models import ClassSession, Course, Student
from tests.support.face_samples import an_embedding
from tests.support.letterbox import mail_server
from tests.support.live_server import free_port
from tests.support.school import (
    a_course,
    a_lecturer,
    a_session,
    a_student,
    a_template,
    an_account_of,
    an_attendance,
    enrol_in,
    utc,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NINE = utc(2026, 3, 2, 9)
SIX = utc(2026, 3, 2, 18)
PAGE = "/me/notices/"
SEEN = Evidence(model_id="dlib-resnet-v1", gallery_size=1, similarity=0.97, threshold=0.94)

Letters = list[EmailMessage]


@pytest.fixture
def session(math: Course, room_101: Any) -> ClassSession:
    """09:00 to 11:00 on a Monday."""
    return a_session(math, room=room_101, starts_at=NINE)


@pytest.fixture
def eileens_account(eileen: Student) -> User:
    return an_account_of(eileen)


def wants(user: User, how_often: str, course: Course | None = None, **fields: Any) -> NoticeChoice:
    return NoticeChoice.objects.create(
        user=user, course=course, how_often=how_often, **{"chosen_at": NINE - DAY, **fields}
    )


def tells(course: Course, whom: str) -> None:
    course.entry_notices_to = whom
    course.save()


def by_face(student: Student, kiosk: Kiosk, session: ClassSession, at: datetime) -> str:
    template = student.face_templates.first() or a_template(student, an_embedding(student.pk))
    result = record_attendance(
        kiosk=kiosk, sessions=[session], template_id=template.pk, evidence=SEEN, at=at
    )
    return result.outcome.value


def a_class(course: Course, count: int) -> list[Student]:
    return [
        a_student(f"C-{number}", f"Person{number} Of Class", course, email=f"c{number}@example.edu")
        for number in range(count)
    ]


# At once, to the student


def test_the_student_is_told_at_once_where_when_and_how(
    eileen: Student,
    eileens_account: User,
    kiosk: Kiosk,
    session: ClassSession,
    mailoutbox: Letters,
) -> None:
    tells(session.course, "student")
    wants(eileens_account, "at_once")
    Course.objects.filter(pk=session.course_id).update(timezone="Asia/Tokyo")
    session = ClassSession.objects.get(pk=session.pk)
    assert by_face(eileen, kiosk, session, NINE + 2 * MINUTE) == "present"
    (mail,) = mailoutbox
    assert mail.to == ["eileen@example.edu"]
    assert mail.subject.endswith("You were marked present in MATH at 18:02")
    assert "When: 2026-03-02 18:02 (Asia/Tokyo)" in mail.body
    assert "Where: room 101, kiosk “Door of 101”" in mail.body
    assert "How: face\n" in mail.body
    assert "Not you? Say so on your page: http://localhost:8000/me/attendance/" in mail.body
    assert "http://localhost:8000/me/notices/" in mail.body


def test_nobody_is_told_who_did_not_ask_for_it(
    eileen: Student,
    eileens_account: User,
    kiosk: Kiosk,
    session: ClassSession,
    mailoutbox: Letters,
) -> None:
    by_face(eileen, kiosk, session, NINE)
    send_due_notices(NINE + DAY)
    assert mailoutbox == []


@pytest.mark.parametrize("reason", ["course", "never", "daily", "switched_off"])
def test_nothing_is_sent_at_once_where_it_is_not_wanted(
    reason: str,
    eileen: Student,
    eileens_account: User,
    kiosk: Kiosk,
    session: ClassSession,
    mailoutbox: Letters,
) -> None:
    wants(eileens_account, reason if reason in ("never", "daily") else "at_once")
    if reason == "course":
        tells(session.course, "nobody")
    if reason == "switched_off":
        eileens_account.is_active = False
        eileens_account.save()
    assert by_face(eileen, kiosk, session, NINE) == "present"
    assert mailoutbox == []


def test_a_second_scan_is_not_told(
    eileen: Student,
    eileens_account: User,
    kiosk: Kiosk,
    session: ClassSession,
    mailoutbox: Letters,
) -> None:
    wants(eileens_account, "at_once")
    by_face(eileen, kiosk, session, NINE)
    assert by_face(eileen, kiosk, session, NINE + MINUTE) == "already"
    assert len(mailoutbox) == 1


def test_an_arrival_that_is_rolled_back_is_not_told(
    eileen: Student,
    eileens_account: User,
    kiosk: Kiosk,
    session: ClassSession,
    mailoutbox: Letters,
    settings: Any,
) -> None:
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    wants(eileens_account, "at_once")
    with transaction.atomic():
        by_face(eileen, kiosk, session, NINE)
        assert Email.objects.count() == 1
        transaction.set_rollback(True)
    assert not Email.objects.exists()


def test_a_real_mail_server_receives_it(
    eileen: Student,
    eileens_account: User,
    kiosk: Kiosk,
    session: ClassSession,
    settings: Any,
) -> None:
    port = free_port()
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    settings.MAIL_TRANSPORT = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    wants(eileens_account, "at_once")
    by_face(eileen, kiosk, session, NINE)
    with mail_server(port) as box:
        deliver_due_mails()
        mail = box.wait_for("You were marked present in MATH at 09:00")
    assert mail["To"] == "eileen@example.edu"
    assert "you were marked present in MATH Linear Algebra." in mail.get_content()


# Once a day


def test_the_day_is_told_in_one_mail_at_the_hour_of_the_course(
    eileen: Student, eileens_account: User, session: ClassSession, mailoutbox: Letters
) -> None:
    wants(eileens_account, "daily")
    later = a_session(session.course, starts_at=NINE + 3 * HOUR)
    an_attendance(session, eileen, arrived_at=NINE + MINUTE, method="face_pass")
    an_attendance(later, eileen, arrived_at=NINE + 3 * HOUR, status="late", method="pass")
    assert send_due_notices(SIX + SETTLES_WITHIN - timedelta(seconds=1)) == 0
    assert send_due_notices(SIX + SETTLES_WITHIN) == 1
    (mail,) = mailoutbox
    assert mail.to == ["eileen@example.edu"]
    assert mail.subject.endswith("Your entries")
    assert (
        "- 2026-03-02 09:01  MATH Linear Algebra, room 101: present, by face and pass\n"
        "- 2026-03-02 12:00  MATH Linear Algebra: late, by pass\n" in mail.body
    )
    assert mail.body.startswith("Hello Eileen Collins,\n")
    assert "Say so on your page: http://localhost:8000/me/attendance/" in mail.body
    assert "All times are those of UTC. You chose to be told once a day." in mail.body


def test_it_is_told_once_however_often_one_looks(
    eileen: Student, eileens_account: User, session: ClassSession, mailoutbox: Letters
) -> None:
    wants(eileens_account, "daily")
    an_attendance(session, eileen)
    told = [send_due_notices(SIX + hours * HOUR) for hours in (1, 2, 23, 24, 25, 48)]
    assert told == [1, 0, 0, 0, 0, 0]
    assert len(mailoutbox) == 1


def test_what_came_while_no_server_ran_is_told_afterwards(
    eileen: Student, eileens_account: User, session: ClassSession, mailoutbox: Letters
) -> None:
    wants(eileens_account, "daily")
    send_due_notices(NINE)
    an_attendance(session, eileen)
    assert send_due_notices(SIX + 2 * DAY) == 1


def test_what_is_older_than_three_days_is_not_told(
    eileen: Student, eileens_account: User, session: ClassSession
) -> None:
    wants(eileens_account, "daily")
    an_attendance(session, eileen)
    just_after = SIX + LONGEST_BACK + HOUR
    assert send_due_notices(just_after) == 0


def test_a_round_that_breaks_is_told_in_full_the_next_time(
    eileen: Student,
    eileens_account: User,
    session: ClassSession,
    mailoutbox: Letters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wants(eileens_account, "daily")
    an_attendance(session, eileen)

    def broken(_messages: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("checkin.notices.services.send_together", broken)
        with pytest.raises(OSError, match="full"):
            send_due_notices(SIX + HOUR)
    assert not DigestMarker.objects.filter(how_often="daily").exists()
    assert send_due_notices(SIX + HOUR) == 1
    assert len(mailoutbox) == 1


def test_each_course_has_the_hour_of_its_own_clocks(
    alice: User, eileen: Student, eileens_account: User, mailoutbox: Letters
) -> None:
    tokyo = a_course("JPN", alice, timezone="Asia/Tokyo")
    york = a_course("USA", alice, timezone="America/New_York")
    wants(eileens_account, "daily")
    an_attendance(a_session(tokyo, starts_at=NINE - 8 * HOUR), eileen)
    an_attendance(a_session(york, starts_at=NINE + 6 * HOUR), eileen)
    in_tokyo, in_york = utc(2026, 3, 2, 9), utc(2026, 3, 2, 23)
    assert send_due_notices(in_tokyo + HOUR) == 1
    assert "- 2026-03-02 10:00  JPN" in mailoutbox[0].body
    assert "All times are those of Asia/Tokyo." in mailoutbox[0].body
    assert send_due_notices(in_york) == 0
    assert send_due_notices(in_york + HOUR) == 1
    assert "- 2026-03-02 10:00  USA" in mailoutbox[1].body


@pytest.mark.parametrize(
    ("at", "due"),
    [
        # Berlin is at UTC+1 until 2026-03-29 01:00 UTC, and again from 2026-10-25 01:00 UTC.
        (utc(2026, 3, 28, 17, 30), utc(2026, 3, 28, 17)),
        (utc(2026, 3, 29, 15, 59), utc(2026, 3, 28, 17)),
        (utc(2026, 3, 29, 16, 0), utc(2026, 3, 29, 16)),
        (utc(2026, 10, 25, 16, 59), utc(2026, 10, 24, 16)),
        (utc(2026, 10, 25, 17, 0), utc(2026, 10, 25, 17)),
    ],
)
def test_the_hour_stays_where_clocks_are_changed(at: datetime, due: datetime) -> None:
    assert last_due(HowOften.DAILY, "Europe/Berlin", at) == due


def test_an_hour_that_comes_twice_is_due_once(settings: Any) -> None:
    settings.NOTICE_DIGEST_HOUR = 2
    around = [utc(2026, 10, 24, 22) + minutes * MINUTE for minutes in range(0, 360, 10)]
    due = {last_due(HowOften.DAILY, "Europe/Berlin", at) for at in around}
    assert due == {utc(2026, 10, 24, 0), utc(2026, 10, 25, 0)}


def test_soon_is_the_full_quarter_of_an_hour() -> None:
    at = utc(2026, 3, 2, 9, 29)
    assert last_due(HowOften.SOON, "Asia/Tokyo", at) == utc(2026, 3, 2, 9, 15)
    assert last_due(HowOften.SOON, "Asia/Tokyo", at + MINUTE) == utc(2026, 3, 2, 9, 30)


def test_a_mark_that_was_undone_is_not_told(
    alice: User, eileen: Student, eileens_account: User, session: ClassSession
) -> None:
    wants(eileens_account, "daily")
    gone = an_attendance(session, eileen)
    second = a_session(session.course, starts_at=NINE + 3 * HOUR)
    row = an_attendance(second, eileen)
    gone.delete()
    mark(
        session=second,
        student=eileen,
        status="absent",
        by=alice,
        reason="It was her sister.",
        at=NINE + 4 * HOUR,
        shown=key_of(state_of(row)),
    )
    assert send_due_notices(SIX + HOUR) == 0


@pytest.mark.parametrize("method", ["photo", "manual", "closing"])
def test_what_a_lecturer_marked_is_not_told(
    method: str, eileen: Student, eileens_account: User, session: ClassSession
) -> None:
    wants(eileens_account, "daily")
    an_attendance(session, eileen, method=method)
    assert send_due_notices(SIX + HOUR) == 0


def test_what_came_before_the_choice_is_not_told(
    eileen: Student, eileens_account: User, session: ClassSession
) -> None:
    wants(eileens_account, "daily", chosen_at=NINE + MINUTE)
    an_attendance(session, eileen, arrived_at=NINE)
    assert send_due_notices(SIX + HOUR) == 0


def test_who_changes_from_at_once_to_daily_is_not_told_twice(
    eileen: Student,
    eileens_account: User,
    kiosk: Kiosk,
    session: ClassSession,
    mailoutbox: Letters,
) -> None:
    wants(eileens_account, "at_once")
    by_face(eileen, kiosk, session, NINE)
    choose_notices(user=eileens_account, own=HowOften.DAILY, by_course={}, at=NINE + HOUR)
    send_due_notices(SIX + HOUR)
    assert len(mailoutbox) == 1


# Who else came


def test_lecturers_are_told_who_came_under_the_name_of_the_door(
    alice: User, eileen: Student, session: ClassSession, math: Course, mailoutbox: Letters
) -> None:
    math.shown_name = Course.ShownName.SHORT
    tells(math, "lecturers")
    wants(alice, "soon", math)
    an_attendance(session, eileen, arrived_at=NINE + MINUTE, method="pass")
    assert send_due_notices(NINE + 15 * MINUTE) == 0
    assert send_due_notices(NINE + 16 * MINUTE) == 1
    (mail,) = mailoutbox
    assert mail.to == ["alice@example.edu"]
    assert mail.subject.endswith("Entries in MATH")
    assert "1 person came to MATH Linear Algebra:\n- 2026-03-02 09:01  Eileen C.\n" in mail.body
    assert "Collins" not in mail.body
    assert "pass" not in mail.body  # it would say who gave no consent
    assert "You chose to be told every quarter of an hour." in mail.body


@pytest.mark.parametrize(
    ("whom", "told"),
    [
        ("nobody", set()),
        ("student", set()),
        ("lecturers", {"alice@example.edu"}),
        ("registered", {"alice@example.edu", "grace@example.edu"}),
    ],
)
def test_the_course_says_who_may_be_told(
    whom: str,
    told: set[str],
    alice: User,
    eileen: Student,
    math: Course,
    session: ClassSession,
    mailoutbox: Letters,
) -> None:
    grace = an_account_of(a_student("S-8", "Grace Hopper", math, email="grace@example.edu"))
    tells(math, whom)
    for user in (alice, grace):
        wants(user, "daily", math)
    an_attendance(session, eileen)
    send_due_notices(SIX + HOUR)
    assert {mail.to[0] for mail in mailoutbox} == told


def test_nobody_is_told_of_a_course_that_is_not_theirs(
    alice: User, charlie: User, admin: User, eileen: Student, math: Course, session: ClassSession
) -> None:
    """A choice that was written nevertheless tells nothing."""
    tells(math, "registered")
    stranger = an_account_of(a_student("S-8", "Grace Hopper", email="grace@example.edu"))
    gone = a_student("S-9", "Ada Lovelace", email="ada@example.edu")
    enrol_in(math, gone, left_on=NINE.date())
    coming = a_student("S-10", "Mary Jackson", email="mary@example.edu")
    enrol_in(math, coming, joined_on=(NINE + DAY).date())
    for user in (charlie, admin, stranger, an_account_of(gone), an_account_of(coming)):
        wants(user, "daily", math)
    an_attendance(session, eileen)
    assert send_due_notices(SIX + HOUR) == 0


def test_who_has_no_address_is_not_counted(
    alice: User, eileen: Student, math: Course, session: ClassSession
) -> None:
    tells(math, "lecturers")
    User.objects.filter(pk=alice.pk).update(email="")
    wants(alice, "daily", math)
    an_attendance(session, eileen)
    assert send_due_notices(SIX + HOUR) == 0


def test_the_own_entry_is_no_other_persons(
    eileen: Student, eileens_account: User, math: Course, session: ClassSession
) -> None:
    tells(math, "registered")
    wants(eileens_account, "daily", math)
    an_attendance(session, eileen)
    assert send_due_notices(SIX + HOUR) == 0


def test_the_own_and_the_others_entries_come_in_one_mail(
    alice: User, eileen: Student, eileens_account: User, mailoutbox: Letters
) -> None:
    courses = [a_course(code, alice, entry_notices_to="registered") for code in ("ONE", "TWO")]
    ada = a_student("S-9", "Ada Lovelace", *courses)
    wants(eileens_account, "daily")
    for course in courses:
        enrol_in(course, eileen)
        wants(eileens_account, "daily", course)
        session = a_session(course, starts_at=NINE)
        an_attendance(session, eileen)
        an_attendance(session, ada)
    assert send_due_notices(SIX + HOUR) == 1
    (mail,) = mailoutbox
    assert mail.subject.endswith("Entries in ONE, TWO")
    assert mail.body.count("Ada Lovelace") == 2
    assert "- 2026-03-02 09:00  ONE About ONE: present, by face\n" in mail.body


def test_an_erased_student_is_told_to_nobody(
    alice: User, eileen: Student, math: Course, session: ClassSession
) -> None:
    tells(math, "lecturers")
    wants(alice, "daily", math)
    an_attendance(session, eileen)
    erase_student(student=eileen, account=Account.DELETE)
    assert send_due_notices(SIX + HOUR) == 0


@pytest.fixture
def hall(alice: User) -> Course:
    """Everybody wants to know of everybody."""
    course = a_course("HALL", alice, entry_notices_to="registered")
    students = a_class(course, 60)
    session = a_session(course, starts_at=NINE)
    accounts = User.objects.bulk_create(
        User(username=student.student_id, email=student.email) for student in students
    )
    for student, account in zip(students, accounts, strict=True):
        student.user = account
    Student.objects.bulk_update(students, ["user"])
    NoticeChoice.objects.bulk_create(
        NoticeChoice(user=account, course=course, how_often="soon", chosen_at=NINE - DAY)
        for account in accounts
    )
    Attendance.objects.bulk_create(
        Attendance(session=session, student=one, status="present", method="face", arrived_at=NINE)
        for one in students
    )
    return course


def test_a_class_that_all_wants_to_know_gets_a_mail_each_and_not_one_of_each(
    hall: Course, mailoutbox: Letters
) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert send_due_notices(NINE + 16 * MINUTE) == 60
    assert len(queries) < 30
    assert len(mailoutbox) == 60
    assert "59 people came to HALL" in mailoutbox[0].body
    assert mailoutbox[0].body.count("\n- 2026-03-02 09:00  Person") == NAMED_PER_COURSE
    assert f"and {59 - NAMED_PER_COURSE} more." in mailoutbox[0].body


def test_looking_when_nothing_is_due_asks_two_questions(hall: Course) -> None:
    send_due_notices(NINE + 16 * MINUTE)
    with CaptureQueriesContext(connection) as queries:
        assert send_due_notices(NINE + 17 * MINUTE) == 0
    assert len(queries) == 2


@pytest.mark.django_db(transaction=True)
def test_of_many_processes_one_tells(settings: Any) -> None:
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    course = a_course("MANY", a_lecturer("dora"), entry_notices_to="lecturers")
    lecturer = course.lecturers.get()
    wants(lecturer, "daily", course)
    an_attendance(a_session(course, starts_at=NINE), a_student("M-1", "Somebody", course))
    together = Barrier(4)

    def look() -> int:
        try:
            together.wait(timeout=10)
            return send_due_notices(SIX + HOUR)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        told = [future.result() for future in [threads.submit(look) for _ in range(4)]]
    assert sum(told) == 1
    assert Email.objects.count() == 1


# The clock


def test_a_job_that_fails_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def fails(_at: datetime) -> int:
        raise ValueError("S-1 Eileen Collins")

    def works(_at: datetime) -> int:
        done.append("worked")
        return 1

    monkeypatch.setattr(session_clock, "JOBS", (("it does not work", fails), ("this", works)))
    monkeypatch.setattr(session_clock, "close_old_connections", lambda: None)
    session_clock.do_what_is_due(NINE)
    assert done == ["worked"]
    assert "it does not work: ValueError" in caplog.text
    assert "Eileen" not in caplog.text


def test_the_clock_closes_sessions_and_tells_entries(
    alice: User,
    eileen: Student,
    math: Course,
    session: ClassSession,
    mailoutbox: Letters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tells(math, "lecturers")
    wants(alice, "daily", math)
    an_attendance(session, eileen)
    monkeypatch.setattr(session_clock, "close_old_connections", lambda: None)
    session_clock.do_what_is_due(SIX + HOUR)
    session.refresh_from_db()
    assert session.closed_at is not None
    assert len(mailoutbox) == 1


def test_the_command_does_what_the_clock_does(
    alice: User, eileen: Student, math: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    tells(math, "lecturers")
    now = timezone.now()
    wants(alice, "soon", math, chosen_at=now - DAY)
    an_attendance(a_session(math, starts_at=now - HOUR), eileen)
    call_command("send_notices")
    assert capsys.readouterr().out == "1 notices of entry and 0 alerts were queued.\n"


# The page


def test_a_student_chooses_on_the_own_page(
    client: Client, eileens_account: User, math: Course
) -> None:
    client.force_login(eileens_account)
    page = client.get(PAGE)
    assert "never" in page.content.decode()
    assert f"course-{math.pk}" not in page.content.decode()
    assert client.post(PAGE, {"own": "at_once"}).status_code == 302
    kept = NoticeChoice.objects.get()
    assert (kept.user, kept.course, kept.how_often) == (eileens_account, None, "at_once")
    assert '<option value="at_once" selected>' in client.get(PAGE).content.decode()


def test_a_lecturer_chooses_by_course_and_finds_the_page_from_the_account(
    as_alice: Client, alice: User, math: Course, chem: Course
) -> None:
    tells(math, "lecturers")
    tells(chem, "lecturers")
    assert PAGE in as_alice.get("/me/").content.decode()
    page = as_alice.get(PAGE).content.decode()
    assert "MATH Linear Algebra" in page
    assert "CHEM" not in page
    assert "Your own entries" not in page
    as_alice.post(PAGE, {f"course-{math.pk}": "soon", f"course-{chem.pk}": "soon", "own": "daily"})
    assert [(one.course, one.how_often) for one in NoticeChoice.objects.all()] == [(math, "soon")]


def test_a_choice_that_is_not_offered_is_refused(
    client: Client, eileens_account: User, math: Course
) -> None:
    client.force_login(eileens_account)
    page = client.post(PAGE, {"own": "soon"})
    assert page.status_code == 200
    assert "Nothing was kept" in page.content.decode()
    assert not NoticeChoice.objects.exists()


def test_who_has_nothing_to_choose_is_told_why(as_admin: Client) -> None:
    assert "There is nothing to choose yet" in as_admin.get(PAGE).content.decode()


def test_nobody_chooses_without_an_account(client: Client) -> None:
    assert client.get(PAGE).headers["Location"] == f"/accounts/login/?next={PAGE}"


def test_a_course_stays_on_the_page_only_while_it_may_tell(
    eileens_account: User, math: Course
) -> None:
    def offered() -> list[str]:
        return [one.course.code for one in course_choices(eileens_account, at=timezone.now())]

    assert offered() == []
    tells(math, "registered")
    assert offered() == ["MATH"]
    math.enrolments.update(left_on=timezone.localdate())
    assert offered() == []


def test_saving_the_same_choice_again_does_not_lose_what_waits(alice: User, math: Course) -> None:
    tells(math, "lecturers")
    keep: Callable[[datetime], None] = lambda at: choose_notices(  # noqa: E731
        user=alice, own=None, by_course={math.pk: HowOften.DAILY}, at=at
    )
    keep(NINE)
    keep(NINE + HOUR)
    assert NoticeChoice.objects.get().chosen_at == NINE


@pytest.mark.parametrize(
    ("of_course", "how_often"), [(True, "at_once"), (False, "soon"), (True, "hourly")]
)
def test_the_database_knows_which_choices_there_are(
    of_course: bool, how_often: str, alice: User, math: Course
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        wants(alice, how_often, math if of_course else None)
    wants(alice, "never")
    with pytest.raises(IntegrityError), transaction.atomic():
        wants(alice, "daily")
