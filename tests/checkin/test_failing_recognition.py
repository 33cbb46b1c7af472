"""Whom the kiosk fails to recognise is listed, with the reason, and can be invited."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from post_office.models import Email

from accounts.models import User
from accounts.roles import REGISTRAR
from checkin.appeals.not_me import disown
from checkin.marking import key_of, mark, state_of, undo
from checkin.models import Attendance, AttendanceChange, Kiosk
from checkin.notices.models import RecognitionInvitation
from checkin.reports.failing_recognition import (
    THRESHOLDS,
    Failing,
    Figures,
    failing_recognition,
    invite_to_register_again,
)
from checkin.reports.rates import attendance_in
from checkin.retention import purge
from recognition.models import FaceRegistration, FaceTemplate
from recognition.services import revoke_template, withdraw_consent
from roster.models import ClassSession, Course, Student
from tests.support.face_samples import an_embedding
from tests.support.school import (
    MODEL_ID,
    a_course,
    a_lecturer,
    a_member,
    a_registration,
    a_session,
    a_student,
    a_template,
    an_attempt,
    an_attendance,
    enrol_in,
)

DAY, WEEK = timedelta(days=1), timedelta(days=7)
PAGE = "/admin/checkin/recognitioninvitation/"
BARELY = THRESHOLDS.barely_above

Letters = list[EmailMessage]


@pytest.fixture
def sessions(math: Course, ada: Student) -> list[ClassSession]:
    """Six within six weeks, to each of which Ada came by face."""
    found = [a_session(math, starts_at=timezone.now() - days * 5 * DAY) for days in range(1, 7)]
    for session in found:
        an_attendance(session, ada)
    return found


@pytest.fixture
def ada(math: Course) -> Student:
    """Everybody recognises her."""
    return with_template(a_student("S-7", "Ada Lovelace", math, email="ada@example.edu"))


@pytest.fixture
def known(eileen: Student) -> Student:
    """Eileen, who can be recognised since long."""
    return with_template(eileen)


def with_template(student: Student, *, since: timedelta = 100 * DAY) -> Student:
    template = a_template(student, an_embedding(student.pk))
    FaceTemplate.objects.filter(pk=template.pk).update(created_at=timezone.now() - since)
    return student


def came(student: Student, sessions: list[ClassSession], *methods: str) -> None:
    for session, method in zip(sessions, methods, strict=False):
        an_attendance(session, student, method=method)


def accepted(
    student: Student, kiosk: Kiosk, sessions: list[ClassSession], *leads: float, **fields: Any
) -> None:
    for session, lead in zip(sessions, leads, strict=False):
        an_attempt(
            kiosk,
            session,
            **{
                "student": student,
                "template": student.face_templates.get(revoked_at=None),
                "outcome": "present",
                "at": session.starts_at,
                "model_id": MODEL_ID,
                "similarity": 0.95 + lead,
                "threshold": 0.95,
                **fields,
            },
        )


def found(*, at: datetime | None = None, model_id: str = MODEL_ID) -> list[Failing]:
    return failing_recognition(Course.objects.all(), model_id=model_id, at=at or timezone.now())


def names() -> list[str]:
    return [one.student.name for one in found()]


# By what it is measured


def test_who_comes_without_the_face_where_others_come_by_face_is_listed(
    known: Student, sessions: list[ClassSession]
) -> None:
    came(known, sessions, "face", "manual", "pass", "face_pass")
    (failing,) = found()
    assert failing.student == known
    assert failing.figures == Figures(came=4, without_face=2)
    assert failing.reasons == ["Came 2 of 4 times without the face, where others came by face."]
    assert [course.code for course in failing.courses] == ["MATH"]


@pytest.mark.parametrize(
    "methods",
    [
        ("manual", "manual", "manual"),  # too few to say anything
        ("face", "face", "face", "manual", "manual"),  # most of them by face
        ("photo", "photo", "photo", "photo", "photo"),  # the lecturer took the photo of all
    ],
)
def test_who_is_recognised_often_enough_is_not_listed(
    methods: tuple[str, ...], known: Student, sessions: list[ClassSession]
) -> None:
    came(known, sessions, *methods)
    assert names() == []


def test_sessions_without_a_kiosk_say_nothing(known: Student, sessions: list[ClassSession]) -> None:
    attendance_in(ClassSession.objects.all()).update(method="manual")
    came(known, sessions, *["manual"] * 6)
    assert names() == []


def test_only_the_last_weeks_count(known: Student, ada: Student, math: Course) -> None:
    old = [a_session(math, starts_at=timezone.now() - (50 + day) * DAY) for day in range(4)]
    for session in old:
        an_attendance(session, ada)
    came(known, old, *["manual"] * 4)
    assert names() == []


def test_who_registers_again_starts_anew(known: Student, sessions: list[ClassSession]) -> None:
    came(known, sessions, *["manual"] * 6)
    assert names() == ["Eileen Collins"]
    revoke_template(known.face_templates.get())
    assert names() == []
    with_template(known, since=DAY)
    assert names() == []


@pytest.mark.parametrize("without", ["template", "consent", "model", "list"])
def test_who_cannot_be_recognised_is_not_listed(
    without: str, known: Student, sessions: list[ClassSession]
) -> None:
    came(known, sessions, *["manual"] * 6)
    if without == "template":
        revoke_template(known.face_templates.get())
    elif without == "consent":
        withdraw_consent(student=known)
    elif without == "model":
        FaceTemplate.objects.filter(student=known).update(model_id="another-model")
    else:
        known.enrolments.update(left_on=timezone.localdate())
    assert names() == []


def test_not_me_in_two_sessions_is_listed(
    known: Student, kiosk: Kiosk, sessions: list[ClassSession], math: Course
) -> None:
    math.appeal_days = 60
    math.save()
    came(known, sessions, "face", "face", "face")
    accepted(known, kiosk, sessions, *[0.03] * 3)
    first, second, _third = known.attempts.order_by("pk")
    disown(attempt=first, at=timezone.now(), at_kiosk=True)
    assert names() == []
    disown(attempt=second, at=timezone.now(), at_kiosk=False)
    (failing,) = found()
    assert failing.figures.mistaken == 2
    assert failing.reasons == ["Recognised in 2 sessions although it was somebody else."]


def test_an_arrival_by_face_that_a_lecturer_took_back_counts_until_it_is_undone(
    alice: User, known: Student, sessions: list[ClassSession]
) -> None:
    came(known, sessions, "face", "face", "manual")
    for row in list(known.attendance.all()):
        mark(
            session=row.session,
            student=known,
            status="absent",
            by=alice,
            reason="It was her sister.",
            at=timezone.now(),
            shown=key_of(state_of(row)),
        )
    (failing,) = found()
    assert failing.figures.mistaken == 2  # that by hand was no mistake of the kiosk
    last = AttendanceChange.objects.filter(before__method="face").latest("pk")
    undo(change=last, by=alice, at=timezone.now())
    assert names() == []


def test_an_arrival_that_left_nothing_behind_counts_as_well(
    known: Student, sessions: list[ClassSession]
) -> None:
    for session in sessions[:2]:
        AttendanceChange.objects.create(
            session=session,
            student=known,
            at=timezone.now(),
            before={"method": "face", "status": "present"},
            after=None,
        )
    assert [one.figures.mistaken for one in found()] == [2]


def test_who_is_recognised_by_a_hair_is_listed(
    known: Student, ada: Student, kiosk: Kiosk, sessions: list[ClassSession]
) -> None:
    accepted(known, kiosk, sessions, BARELY / 2, BARELY / 2, BARELY * 2, BARELY * 2)
    accepted(ada, kiosk, sessions, BARELY / 2, BARELY * 2, BARELY * 2, BARELY * 2)
    (failing,) = found()
    assert failing.student == known
    assert failing.figures == Figures(accepted=4, barely=2)
    assert failing.reasons == ["Recognised 2 of 4 times only by a hair."]


def test_refusals_name_nobody_and_count_for_nobody(
    known: Student, kiosk: Kiosk, sessions: list[ClassSession]
) -> None:
    for session in sessions:
        an_attempt(kiosk, session, similarity=0.949, threshold=0.95, model_id=MODEL_ID)
    assert names() == []


def test_the_figures_of_other_courses_are_not_counted(
    known: Student, chem: Course, sessions: list[ClassSession]
) -> None:
    enrol_in(chem, known)
    came(known, sessions, *["manual"] * 6)
    only_chem = Course.objects.filter(pk=chem.pk)
    assert failing_recognition(only_chem, model_id=MODEL_ID, at=timezone.now()) == []


def test_the_number_of_questions_does_not_grow_with_the_class(
    known: Student, math: Course, sessions: list[ClassSession]
) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert found()
        return len(queries)

    came(known, sessions, *["manual"] * 6)
    before = questions()
    for number in range(5):
        student = with_template(a_student(f"N-{number}", "New", math, a_course(f"C{number}")))
        came(student, sessions, *["manual"] * 6)
    assert questions() == before


# Inviting


def invite(course: Course, user: User, *students: Student) -> int:
    return invite_to_register_again(
        Course.objects.filter(pk=course.pk),
        chosen=[str(student.pk) for student in students],
        model_id=MODEL_ID,
        user=user,
    )


def test_an_invitation_says_why_and_where_and_is_kept(
    alice: User,
    known: Student,
    math: Course,
    sessions: list[ClassSession],
    mailoutbox: Letters,
) -> None:
    came(known, sessions, *["manual"] * 5, "face")
    assert invite(math, alice, known) == 1
    (mail,) = mailoutbox
    assert mail.to == ["eileen@example.edu"]
    assert mail.subject.endswith("Please register your face again")
    assert "- Came 5 of 6 times without the face" in mail.body
    assert "http://localhost:8000/face/" in mail.body
    kept = RecognitionInvitation.objects.get()
    assert (kept.student, kept.sent_by, kept.came, kept.without_face) == (known, alice, 6, 5)


def test_nobody_is_invited_twice_in_a_week(
    alice: User,
    known: Student,
    math: Course,
    sessions: list[ClassSession],
    mailoutbox: Letters,
) -> None:
    came(known, sessions, *["manual"] * 6)
    assert [invite(math, alice, known), invite(math, alice, known)] == [1, 0]
    RecognitionInvitation.objects.update(sent_at=timezone.now() - WEEK)
    assert invite(math, alice, known) == 1
    assert len(mailoutbox) == 2


@pytest.mark.parametrize("reason", ["not chosen", "not failing", "no address", "pictures wait"])
def test_who_cannot_be_invited_gets_no_mail(
    reason: str,
    alice: User,
    ada: Student,
    known: Student,
    math: Course,
    sessions: list[ClassSession],
    mailoutbox: Letters,
) -> None:
    came(known, sessions, *["manual"] * 6)
    if reason == "no address":
        known.email = ""
        known.save()
    if reason == "pictures wait":
        a_registration(known, an_embedding(1))
        assert FaceRegistration.objects.filter(status="pending").exists()
    chosen = {"not chosen": [], "not failing": [ada]}.get(reason, [known])
    assert invite(math, alice, *chosen) == 0
    assert mailoutbox == []
    assert not RecognitionInvitation.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_lecturers_at_once_send_one_mail(settings: Any) -> None:
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    lecturers = [a_lecturer("dora"), a_lecturer("emil")]
    courses = [a_course(f"C{number}", one) for number, one in enumerate(lecturers)]
    failing = with_template(a_student("F-1", "Fay", *courses, email="fay@example.edu"))
    by_face = a_student("F-2", "Guy", *courses)
    for course in courses:
        sessions = [a_session(course, starts_at=timezone.now() - day * DAY) for day in range(4)]
        came(by_face, sessions, *["face"] * 4)
        came(failing, sessions, *["manual"] * 4)
    together = Barrier(2)

    def press(course: Course, lecturer: User) -> int:
        try:
            together.wait(timeout=10)
            return invite(course, lecturer, failing)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        sent = list(threads.map(press, courses, lecturers))
    assert sorted(sent) == [0, 1]
    assert Email.objects.count() == 1


def test_invitations_go_with_the_attempts_behind_them(
    alice: User, failing: Student, math: Course, settings: Any
) -> None:
    settings.ATTEMPT_RETENTION_DAYS = 90
    invite(math, alice, failing)
    purge(timezone.now() + 89 * DAY)
    assert RecognitionInvitation.objects.exists()
    purge(timezone.now() + 91 * DAY)
    assert not RecognitionInvitation.objects.exists()


# The page


@pytest.fixture
def failing(known: Student, sessions: list[ClassSession]) -> Student:
    came(known, sessions, *["manual"] * 6)
    return known


def text(client: Client, address: str = PAGE) -> str:
    return " ".join(client.get(address).content.decode().split())


def test_a_lecturer_sees_why_and_invites_from_the_page(
    as_alice: Client, failing: Student, mailoutbox: Letters
) -> None:
    page = text(as_alice)
    assert "Eileen Collins" in page
    assert "Came 6 of 6 times without the face, where others came by face." in page
    assert "Ada Lovelace" not in page
    answer = as_alice.post(PAGE, {"student": [failing.pk]}, follow=True)
    assert "1 student was mailed." in answer.content.decode()
    assert len(mailoutbox) == 1
    page = text(as_alice)
    assert f"sent {timezone.now():%Y-%m-%d}</span>" in page
    assert "There is nobody left to invite." in page


def test_a_foreign_lecturer_neither_sees_nor_invites(
    client: Client, charlie: User, chem: Course, failing: Student, mailoutbox: Letters
) -> None:
    client.force_login(charlie)
    assert "Eileen" not in text(client)
    of_alice = text(client, f"{PAGE}?course={failing.enrolments.get().course_id}")
    assert "Eileen" not in of_alice
    assert "This is none of your courses." in of_alice
    answer = client.post(PAGE, {"student": [failing.pk]}, follow=True)
    assert "Nobody was mailed" in answer.content.decode()
    assert mailoutbox == []


def test_a_registrar_reads_and_does_not_invite(
    client: Client, failing: Student, mailoutbox: Letters
) -> None:
    client.force_login(a_member(REGISTRAR, "rita"))
    page = text(client)
    assert "Eileen Collins" in page
    assert "Invite" not in page.split('id="how"')[0].split('id="failing"')[1].replace("Invited", "")
    assert client.post(PAGE, {"student": [failing.pk]}).status_code == 403
    assert mailoutbox == []


def test_students_and_strangers_are_kept_out(client: Client, failing: Student) -> None:
    assert client.get(PAGE).status_code == 302
    client.force_login(User.objects.create_user("mallory", is_staff=True))
    assert client.get(PAGE).status_code == 403


def test_one_course_can_be_chosen(
    as_alice: Client, alice: User, failing: Student, math: Course
) -> None:
    empty = a_course("PHYS", alice)
    assert "Eileen Collins" in text(as_alice, f"{PAGE}?course={math.pk}")
    assert "Nobody." in text(as_alice, f"{PAGE}?course={empty.pk}")


@pytest.mark.parametrize("student", ["", "x", "0", "9" * 40, "²", "-1", "1 OR 1"])
def test_a_nonsense_choice_invites_nobody(
    student: str, as_alice: Client, failing: Student, mailoutbox: Letters
) -> None:
    assert as_alice.post(PAGE, {"student": [student]}).status_code == 302
    assert mailoutbox == []


def test_the_entry_page_counts_them_and_leads_to_the_list(
    as_alice: Client, failing: Student
) -> None:
    page = text(as_alice, "/admin/")
    assert f'<a href="{PAGE}">1 student is recognised badly</a>' in page
    Attendance.objects.filter(student=failing).delete()
    assert "recognised badly" not in text(as_alice, "/admin/")
