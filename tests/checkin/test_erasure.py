"""A student goes with everything that is kept, after a preview, and gets a receipt."""

from __future__ import annotations

import io

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from post_office.models import Email
from pytest_django import Settings

from accounts.models import User
from accounts.roles import ADMINISTRATOR, REGISTRAR
from checkin.models import Kiosk
from checkin.people import erasure
from checkin.people.erasure import (
    Account,
    ErasureRefusedError,
    erase_student,
    student_called,
)
from checkin.people.kinds import KINDS, Person
from roster.models import ClassSession, Student
from tests.support.school import a_student
from tests.support.traces import tables_with
from tests.support.whole_life import an_account_of, live_a_whole_life

PRIVATE = ("S-1", "Eileen Collins", "eileen@example.edu", "eileen@private.example", "eileen-there")


@pytest.fixture
def whole_life(
    eileen: Student, dmitri: Student, math_session: ClassSession, kiosk: Kiosk, admin: User
) -> Student:
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    return eileen


@pytest.fixture
def administrator(client: Client, db: None) -> Client:
    """With the role's permissions only."""
    user = User.objects.create_user("ada", "ada@example.edu", is_staff=True)
    user.groups.add(Group.objects.get(name=ADMINISTRATOR))
    client.force_login(user)
    return client


def erase_page(student: Student) -> str:
    return reverse("admin:roster_student_erase", args=[student.pk])


# The service


def test_everything_goes_and_a_search_of_every_table_finds_nothing(whole_life: Student) -> None:
    for private in PRIVATE:
        assert tables_with(private), private
    receipt = erase_student(student=whole_life, account=Account.DELETE)

    assert receipt.remaining == 0
    assert {kept.kind.name for kept in receipt.erased} == {kind.name for kind in KINDS}
    for private in PRIVATE:
        assert tables_with(private) == set(), private


def test_the_account_stays_if_it_is_only_unlinked(whole_life: Student) -> None:
    receipt = erase_student(student=whole_life, account=Account.UNLINK)
    user = User.objects.get(username="eileen")
    assert not hasattr(user, "student")
    assert user.check_password("a password of hers")
    assert receipt.account is Account.UNLINK
    assert receipt.remaining == 0
    assert not {kept.kind.name for kept in receipt.erased} & {"account", "email_addresses"}


def test_nobody_else_loses_anything_but_the_resemblance(
    whole_life: Student, dmitri: Student
) -> None:
    def rows() -> dict[str, int]:
        return {
            model._meta.label: model._default_manager.count()
            for model in apps.get_models()
            if model._meta.app_label in ("roster", "checkin", "recognition", "accounts")
        }

    before = rows()
    erase_student(student=whole_life, account=Account.DELETE)
    dmitri.refresh_from_db()
    lost = {label: count - rows()[label] for label, count in before.items()}
    assert lost == {
        **dict.fromkeys(before, 0),
        "accounts.User": 1,
        "roster.Student": 1,
        "recognition.StudentFace": 1,
        "roster.CourseEnrolment": 1,
        "roster.RosterClaim": 1,
        "recognition.Consent": 1,
        "recognition.FaceRegistration": 1,
        "recognition.RegistrationPhoto": 1,
        "recognition.PhotoImportItem": 1,
        "recognition.FaceTemplate": 1,
        "recognition.Resemblance": 2,
        "recognition.FaceMistake": 1,
        "checkin.KeptProbe": 1,
        "checkin.Appeal": 1,
        "checkin.Disowning": 1,
        "checkin.Attendance": 1,
        "checkin.AttendanceChange": 1,
        "checkin.CheckinAttempt": 1,
        "checkin.AttendanceWarning": 1,
        "checkin.RecognitionInvitation": 1,
        "checkin.NoticeChoice": 1,
        "checkin.EntryPass": 1,
        "checkin.PassUse": 1,
        "checkin.ReportColumns": 1,
        "checkin.ReportExport": 1,
        "checkin.Alert": 1,
        "checkin.ClassPhoto": 1,
    }


def test_the_receipt_is_mailed_with_the_counts(
    whole_life: Student, mailoutbox: list[EmailMessage]
) -> None:
    erase_student(student=whole_life, account=Account.DELETE)
    (mail,) = mailoutbox
    assert mail.to == ["eileen@private.example"]
    assert "1  attendance\n" in mail.body
    assert "A search afterwards found 0 records" in mail.body
    assert "Eileen" not in mail.body


def test_of_all_mails_only_the_receipt_is_left(whole_life: Student, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    assert erase_student(student=whole_life, account=Account.UNLINK).remaining == 0
    assert "was erased" in Email.objects.get().subject


def test_a_student_without_anything_is_erased_too(db: None, mailoutbox: list[EmailMessage]) -> None:
    receipt = erase_student(student=a_student("S-9", "Nobody Knows"), account=Account.DELETE)
    assert [(kept.kind.name, kept.count) for kept in receipt.erased] == [("roster_entry", 1)]
    assert mailoutbox == []


def test_the_account_of_staff_is_not_deleted_with_the_student(eileen: Student) -> None:
    user = an_account_of(eileen, "eileen")
    user.is_staff = True
    user.save()
    with pytest.raises(ErasureRefusedError, match="member of staff"):
        erase_student(student=eileen, account=Account.DELETE)
    assert Student.objects.filter(pk=eileen.pk).exists()

    erase_student(student=eileen, account=Account.UNLINK)
    assert User.objects.filter(pk=user.pk).exists()


def test_a_row_that_is_forgotten_is_found_by_the_search(
    monkeypatch: pytest.MonkeyPatch, whole_life: Student
) -> None:
    """The search must be able to fail: here it looks before anything was erased."""
    assert erasure.traces_of(Person.of(whole_life), Account.DELETE) > len(KINDS)


def test_half_an_erasure_is_none(monkeypatch: pytest.MonkeyPatch, whole_life: Student) -> None:
    def no_mail(**_anything: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(erasure, "send_notice", no_mail)
    with pytest.raises(OSError, match="full"):
        erase_student(student=whole_life, account=Account.DELETE)
    assert whole_life.attendance.count() == 1


def test_logs_name_nobody(whole_life: Student, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    pk = whole_life.pk
    erase_student(student=whole_life, account=Account.DELETE)
    assert f"student {pk} was erased" in caplog.text
    for private in PRIVATE:
        assert private not in caplog.text


# By number and name


@pytest.mark.parametrize("name", ["Eileen Collins", "eileen  collins "])
def test_number_and_name_together_tell_a_student(eileen: Student, name: str) -> None:
    assert student_called(student_id=" S-1", name=name) == eileen


@pytest.mark.parametrize(
    ("student_id", "name", "refusal"),
    [
        ("S-2", "Eileen Collins", "No student has the number “S-2”"),
        ("S-1", "Dmitri Mendeleev", "“S-1” is not called “Dmitri Mendeleev”"),
        ("S-1", "", "is not called"),
    ],
)
def test_one_of_them_alone_does_not(
    eileen: Student, student_id: str, name: str, refusal: str
) -> None:
    with pytest.raises(ErasureRefusedError, match=refusal):
        student_called(student_id=student_id, name=name)


def command(*options: str) -> str:
    told = io.StringIO()
    call_command(
        "erase_student", "--student-id", "S-1", "--name", "Eileen Collins", *options, stdout=told
    )
    return told.getvalue()


def test_the_command_tells_what_would_go_and_leaves_it(whole_life: Student) -> None:
    told = command("--dry-run")
    assert "attendance: 1 would go" in told
    assert "e-mail addresses" not in told
    assert "e-mail addresses of the account: 1 would go" in command("--dry-run", "--delete-account")
    assert Student.objects.filter(pk=whole_life.pk).exists()


def test_the_command_erases(whole_life: Student) -> None:
    told = command("--delete-account")
    assert "attendance: 1 erased" in told
    assert "found 0 rows" in told
    assert not Student.objects.filter(pk=whole_life.pk).exists()
    assert not User.objects.filter(username="eileen").exists()


def test_the_command_refuses_a_number_with_another_name(eileen: Student) -> None:
    with pytest.raises(CommandError, match="is not called"):
        call_command("erase_student", "--student-id", "S-1", "--name", "Dmitri")
    assert Student.objects.filter(pk=eileen.pk).exists()


# The desk


def test_the_page_shows_what_goes_and_the_receipt_follows(
    administrator: Client, whole_life: Student
) -> None:
    page = administrator.get(erase_page(whole_life)).content.decode()
    assert "Check-in attempts" in page
    assert "Delete the account too" in page
    assert Student.objects.filter(pk=whole_life.pk).exists()

    response = administrator.post(erase_page(whole_life), {"number": "S-1", "account": "delete"})
    receipt = response.content.decode()
    assert "found nothing of this student" in receipt
    assert "eileen@private.example" in receipt
    assert "no-store" in response.headers["Cache-Control"]
    assert not Student.objects.filter(pk=whole_life.pk).exists()
    assert not User.objects.filter(username="eileen").exists()


@pytest.mark.parametrize("number", ["", "S-2", "s-1"])
def test_without_the_right_number_nothing_happens(
    administrator: Client, whole_life: Student, number: str
) -> None:
    response = administrator.post(erase_page(whole_life), {"number": number, "account": "delete"})
    assert response.status_code == 200
    assert Student.objects.filter(pk=whole_life.pk).exists()


def test_that_somebody_was_erased_and_by_whom_stays_known_but_not_who(
    administrator: Client, whole_life: Student
) -> None:
    pk = whole_life.pk
    administrator.post(erase_page(whole_life), {"number": "S-1", "account": "unlink"})
    entry = LogEntry.objects.get(object_id=str(pk))
    assert (entry.user.username, entry.object_repr) == ("ada", "erased student")


def test_django_s_own_way_to_delete_leads_to_this_page(
    administrator: Client, eileen: Student
) -> None:
    address = reverse("admin:roster_student_delete", args=[eileen.pk])
    for response in (administrator.get(address), administrator.post(address, {"post": "yes"})):
        assert response.headers["Location"] == erase_page(eileen)
    change_list = administrator.get(reverse("admin:roster_student_changelist")).content.decode()
    assert "delete_selected" not in change_list
    administrator.post(
        reverse("admin:roster_student_changelist"),
        {"action": "delete_selected", "_selected_action": [eileen.pk], "post": "yes"},
    )
    assert Student.objects.filter(pk=eileen.pk).exists()


def test_the_student_s_page_has_the_link_and_no_delete_button(
    administrator: Client, eileen: Student
) -> None:
    page = administrator.get(
        reverse("admin:roster_student_change", args=[eileen.pk])
    ).content.decode()
    assert erase_page(eileen) in page
    assert 'class="deletelink"' not in page


def test_a_lecturer_cannot_erase_the_own_student(as_alice: Client, eileen: Student) -> None:
    for response in (
        as_alice.get(erase_page(eileen)),
        as_alice.post(erase_page(eileen), {"number": "S-1", "account": "unlink"}),
    ):
        assert response.status_code == 403
    page = as_alice.get(reverse("admin:roster_student_change", args=[eileen.pk])).content.decode()
    assert erase_page(eileen) not in page
    assert Student.objects.filter(pk=eileen.pk).exists()


def test_a_lecturer_is_not_told_that_a_foreign_student_exists(
    as_alice: Client, dmitri: Student
) -> None:
    assert as_alice.get(erase_page(dmitri)).status_code == 404


def test_a_registrar_cannot_erase(client: Client, eileen: Student) -> None:
    user = User.objects.create_user("rita", "rita@example.edu", is_staff=True)
    user.groups.add(Group.objects.get(name=REGISTRAR))
    client.force_login(user)
    assert client.post(erase_page(eileen), {"number": "S-1"}).status_code == 403
    assert Student.objects.filter(pk=eileen.pk).exists()


def test_an_account_that_may_do_more_is_not_offered_for_deletion(
    administrator: Client, eileen: Student
) -> None:
    user = an_account_of(eileen, "eileen")
    user.is_staff = user.is_superuser = True
    user.save()
    assert "Delete the account too" not in administrator.get(erase_page(eileen)).content.decode()
    administrator.post(erase_page(eileen), {"number": "S-1", "account": "delete"})
    assert User.objects.filter(pk=user.pk).exists()
    assert Student.objects.filter(pk=eileen.pk).exists()


# Correcting


def test_a_number_that_is_taken_is_refused_in_plain_words(
    administrator: Client, eileen: Student, dmitri: Student
) -> None:
    page = administrator.post(
        reverse("admin:roster_student_change", args=[eileen.pk]),
        {"student_id": "S-2", "name": "Eileen Collins", "email": ""},
    ).content.decode()
    assert "Another student has this number already" in page
    eileen.refresh_from_db()
    assert eileen.student_id == "S-1"


def test_number_and_name_can_be_corrected(administrator: Client, eileen: Student) -> None:
    administrator.post(
        reverse("admin:roster_student_change", args=[eileen.pk]),
        {"student_id": "S-10", "name": "Eileen M. Collins", "email": "e@example.edu"},
    )
    eileen.refresh_from_db()
    assert (eileen.student_id, eileen.name) == ("S-10", "Eileen M. Collins")
    assert "Name" in LogEntry.objects.get(object_id=str(eileen.pk)).get_change_message()
