"""After a decision a search of the database and the storage finds no photo, and no template
after a withdrawal: every table, every column, every file."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from accounts.models import User
from recognition.models import Consent, FaceRegistration, FaceTemplate, RegistrationPhoto
from recognition.registration import (
    add_photo,
    approve_registration,
    cancel_registration,
    reject_registration,
    submit_registration,
)
from recognition.selectors import open_registration
from recognition.services import record_consent, withdraw_consent
from roster.models import Student
from tests.support import pictures
from tests.support.traces import files_with, pieces_of, stored_files, tables_with

pytestmark = pytest.mark.django_db(transaction=True)

on_sqlite = connection.vendor == "sqlite"


@pytest.fixture
def pending(eileen: Student) -> FaceRegistration:
    """A real picture, registered the way a student does it."""
    record_consent(student=eileen, given_via=Consent.GivenVia.WEB)
    verdict = add_photo(student=eileen, content=pictures.portrait(), added_by=None)
    assert verdict.accepted, verdict.message
    registration = open_registration(eileen)
    assert registration is not None
    submit_registration(registration)
    registration.refresh_from_db()
    return registration


def approve(registration: FaceRegistration, admin: User) -> None:
    approve_registration(registration=registration, decided_by=admin)


def reject(registration: FaceRegistration, admin: User) -> None:
    reject_registration(registration=registration, decided_by=admin, reason="Take off the hat.")


def cancel(registration: FaceRegistration, _admin: User) -> None:
    cancel_registration(registration)


def withdraw(registration: FaceRegistration, _admin: User) -> None:
    withdraw_consent(student=registration.student)


def kept_of_photos() -> list[bytes]:
    """What is stored of each picture, encrypted, and what it decrypts to."""
    kept = []
    for photo in RegistrationPhoto.objects.select_related("registration"):
        kept += [bytes(photo.sealed_picture), bytes(photo.sealed_vector)]
        kept += [photo.picture(), photo.vector().tobytes()]
    return kept


def found(content: bytes) -> set[str]:
    """Where any piece of it is: in which tables, and in which files once they are tidied up."""
    in_tables = tables_with(*pieces_of(content))
    if on_sqlite:
        call_command("purge_expired", verbosity=0)
        return in_tables | files_with(content)
    return in_tables


@pytest.mark.parametrize("end", [approve, reject, cancel, withdraw])
def test_no_photo_is_found_after_the_end_of_a_registration(
    pending: FaceRegistration, admin: User, end: Callable[[FaceRegistration, User], None]
) -> None:
    sealed_picture, sealed_vector, jpeg, vector = kept_of_photos()
    assert "recognition_registrationphoto" in found(sealed_picture)
    assert "recognition_registrationphoto" in found(sealed_vector)
    if on_sqlite:
        assert files_with(sealed_picture)

    end(pending, admin)

    for content in (sealed_picture, sealed_vector, jpeg, vector):
        assert found(content) == set()
    assert stored_files() == []


def test_no_template_is_found_after_the_withdrawal(
    pending: FaceRegistration, eileen: Student, admin: User
) -> None:
    approve(pending, admin)
    sealed = bytes(FaceTemplate.objects.get().sealed_vector)
    vector = FaceTemplate.objects.get().vector().tobytes()
    assert "recognition_facetemplate" in found(sealed)

    withdraw_consent(student=eileen)

    assert found(sealed) == set()
    assert found(vector) == set()


def test_a_picture_that_waits_is_stored_encrypted_only(pending: FaceRegistration) -> None:
    _sealed_picture, _sealed_vector, jpeg, vector = kept_of_photos()
    assert found(jpeg) == set()
    assert found(vector) == set()


def test_no_page_of_the_student_holds_the_picture_after_the_decision(
    pending: FaceRegistration, admin: User, client: Client
) -> None:
    photo = pending.photos.get()
    approve(pending, admin)
    client.force_login(admin)
    assert client.get(f"/face/photos/{photo.pk}/").status_code == 404
