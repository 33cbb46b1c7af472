"""`manage.py enrol`: the same as the desk, from the command line."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from recognition.models import Consent, FaceTemplate
from tests.support import pictures
from tests.support.school import a_consent


@pytest.fixture
def portrait(tmp_path):
    path = tmp_path / "portrait.jpg"
    path.write_bytes(pictures.portrait())
    return path


def enrol(*arguments: object) -> str:
    out = StringIO()
    call_command("enrol", *map(str, arguments), stdout=out)
    return out.getvalue()


def failed(*arguments: object) -> str:
    with pytest.raises(CommandError) as failure:
        enrol(*arguments)
    assert failure.value.returncode == 1
    return str(failure.value)


def test_it_enrols_and_tells_about_each_picture(eileen, portrait, tmp_path):
    a_consent(eileen)
    coffee = tmp_path / "coffee.jpg"
    coffee.write_bytes(pictures.nobody())
    out = enrol("--student-id", "S-1", portrait, coffee)
    assert out.splitlines() == [
        f"{portrait}: used",
        f"{coffee}: No face was found. Look straight into the camera, with good light.",
        "Enrolled from 1 of 2 pictures.",
    ]
    assert FaceTemplate.objects.get().student_id == eileen.pk


def test_it_can_record_consent_that_was_given_in_person(eileen, portrait):
    enrol("--student-id", "S-1", "--consent-in-person", portrait)
    assert Consent.objects.get().given_via == "in_person"
    assert FaceTemplate.objects.count() == 1


def test_it_refuses_without_consent(eileen, portrait):
    assert "no consent of this student" in failed("--student-id", "S-1", portrait)
    assert FaceTemplate.objects.count() == 0


def test_it_fails_when_no_picture_can_be_used(eileen, tmp_path):
    a_consent(eileen)
    coffee = tmp_path / "coffee.jpg"
    coffee.write_bytes(pictures.nobody())
    assert "No picture could be used" in failed("--student-id", "S-1", coffee)


def test_it_names_the_number_that_is_not_on_the_roster(eileen, portrait):
    assert failed("--student-id", "S-99", portrait) == (
        "No student has the number 'S-99': add one to the roster first."
    )


def test_it_names_the_file_that_is_not_there(eileen, portrait):
    assert failed("--student-id", "S-1", portrait, "/nowhere.jpg") == (
        "/nowhere.jpg: No such file or directory"
    )


def test_it_records_no_consent_when_a_file_is_missing(eileen):
    failed("--student-id", "S-1", "--consent-in-person", "/nowhere.jpg")
    assert Consent.objects.count() == 0


def test_it_takes_at_most_five_pictures(eileen, portrait):
    assert failed("--student-id", "S-1", *[portrait] * 6) == "Got 6 pictures, expected 1 to 5."
