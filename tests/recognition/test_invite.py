"""Students are asked by mail to enrol again for another model."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from post_office.models import Email

from roster.models import Student
from tests.support.face_samples import an_embedding
from tests.support.school import a_registration, a_student, a_template

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _switched(settings) -> None:
    settings.RECOGNITION_MODEL = "SFace"
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"


def invite(*arguments: str) -> str:
    output = io.StringIO()
    call_command("invite_reenrolment", *arguments, stdout=output)
    return output.getvalue()


def known(student: Student, *, person: int = 1, model_id: str = "dlib-resnet-v1") -> None:
    a_template(student, an_embedding(person), model_id=model_id)


def test_who_is_known_by_another_model_only_is_asked(eileen, dmitri):
    known(eileen)
    known(dmitri, model_id="SFace")

    printed = invite()

    (mail,) = Email.objects.all()
    assert mail.to == ["eileen@example.edu"]
    assert "register your face again" in mail.subject
    assert "/face/" in mail.message
    assert "the doors do not recognise you" in mail.message
    assert "1 students were invited to enrol again for SFace" in printed


def test_who_is_still_recognised_by_the_model_before_is_told_so(settings, eileen):
    settings.RECOGNITION_PREVIOUS_MODEL = "dlib-resnet-v1"
    known(eileen)

    invite()

    assert "still recognise you" in Email.objects.get().message


def test_nobody_is_asked_twice(eileen, dmitri):
    known(eileen)
    invite()
    known(dmitri, person=2)

    printed = invite()

    assert sorted(mail.to[0] for mail in Email.objects.all()) == [
        "dmitri@example.edu",
        "eileen@example.edu",
    ]
    assert "1 students were invited" in printed
    assert "1 had been already" in printed


def test_another_switch_asks_again(settings, eileen):
    known(eileen)
    invite()
    settings.RECOGNITION_MODEL = "ArcFace"

    invite()

    assert Email.objects.count() == 2


def test_whoever_withdrew_or_has_a_registration_waiting_is_left_alone(eileen, dmitri):
    known(eileen)
    eileen.consents.update(withdrawn_at="2026-01-01T00:00:00Z")
    known(dmitri, person=2)
    a_registration(dmitri, an_embedding(2))

    assert "0 students were invited" in invite()
    assert not Email.objects.exists()


def test_who_has_left_every_course_is_left_alone(eileen):
    known(eileen)
    eileen.enrolments.update(left_on="2020-01-02")

    assert "0 students were invited" in invite()


def test_who_has_no_address_is_counted(math):
    known(a_student("S-9", "Nobody Known", math))

    assert "1 have no address" in invite()
    assert not Email.objects.exists()


def test_a_dry_run_mails_nobody(eileen):
    known(eileen)

    assert "1 students must enrol again for SFace. Nobody was mailed." in invite("--dry-run")
    assert not Email.objects.exists()
