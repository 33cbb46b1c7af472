"""Nobody's face is used without their word, and not a moment longer."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from recognition.models import Consent, FaceTemplate
from recognition.selectors import templates_in_force
from recognition.services import record_consent, revoke_template, withdraw_consent
from tests.support.face_samples import an_embedding
from tests.support.school import MODEL_ID, a_consent, a_template

IN_PERSON = Consent.GivenVia.IN_PERSON


def test_consent_names_the_policy_in_force_and_who_recorded_it(settings, eileen, alice):
    settings.CONSENT_POLICY_VERSION = "2027-01"
    consent = record_consent(student=eileen, given_via=IN_PERSON, recorded_by=alice)
    assert (consent.policy_version, consent.given_via, consent.recorded_by) == (
        "2027-01",
        "in_person",
        alice,
    )


def test_consenting_twice_to_the_same_policy_is_one_consent(eileen):
    first = record_consent(student=eileen, given_via=IN_PERSON)
    assert record_consent(student=eileen, given_via=Consent.GivenVia.WEB) == first
    assert Consent.objects.count() == 1


def test_consent_to_a_new_policy_replaces_the_older_one(settings, eileen):
    older = record_consent(student=eileen, given_via=IN_PERSON)
    settings.CONSENT_POLICY_VERSION = "2027-01"
    newer = record_consent(student=eileen, given_via=IN_PERSON)
    older.refresh_from_db()
    assert older.withdrawn_at is not None
    assert newer.withdrawn_at is None


def test_consent_to_a_new_policy_keeps_the_template(settings, eileen):
    a_template(eileen, an_embedding(1))
    settings.CONSENT_POLICY_VERSION = "2027-01"
    record_consent(student=eileen, given_via=IN_PERSON)
    assert templates_in_force(model_id=MODEL_ID).count() == 1


def test_withdrawing_consent_erases_every_template(eileen):
    revoke_template(a_template(eileen, an_embedding(1)))
    a_template(eileen, an_embedding(1))
    a_template(eileen, an_embedding(1), model_id="older-model")
    assert withdraw_consent(student=eileen).templates == 3
    assert FaceTemplate.objects.count() == 0
    assert Consent.objects.get().withdrawn_at is not None


def test_withdrawing_consent_leaves_other_students_alone(eileen, dmitri):
    a_template(eileen, an_embedding(1))
    kept = a_template(dmitri, an_embedding(2))
    withdraw_consent(student=eileen)
    assert list(templates_in_force(model_id=MODEL_ID)) == [kept]


def test_withdrawing_what_was_never_given_is_harmless(eileen):
    assert withdraw_consent(student=eileen).templates == 0


def test_consent_can_be_given_again(eileen):
    first = record_consent(student=eileen, given_via=IN_PERSON)
    withdraw_consent(student=eileen)
    assert record_consent(student=eileen, given_via=IN_PERSON) != first


def test_a_template_without_consent_is_not_in_force(eileen):
    template = a_template(eileen, an_embedding(1))
    assert list(templates_in_force(model_id=MODEL_ID)) == [template]
    Consent.objects.all().delete()
    assert list(templates_in_force(model_id=MODEL_ID)) == []


def test_revoking_a_template_erases_the_vector_and_keeps_the_row(eileen):
    template = a_template(eileen, an_embedding(1))
    revoke_template(template)
    template.refresh_from_db()
    assert template.revoked_at is not None
    assert bytes(template.sealed_vector) == b""


def test_a_student_has_one_consent_in_force(eileen):
    a_consent(eileen)
    with pytest.raises(IntegrityError):
        a_consent(eileen)


def test_a_student_has_one_template_of_a_model_in_force(eileen):
    a_template(eileen, an_embedding(1))
    a_template(eileen, an_embedding(1), model_id="another-model")
    with pytest.raises(IntegrityError):
        a_template(eileen, an_embedding(1))


def test_consent_is_given_in_a_known_way(eileen):
    with pytest.raises(IntegrityError):
        Consent.objects.create(student=eileen, policy_version="1", given_via="telepathy")
