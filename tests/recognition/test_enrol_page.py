"""The desk's page that enrols a face, and what lecturers may see of faces."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from recognition.models import Consent, FaceTemplate
from roster.models import Student
from tests.support import pictures
from tests.support.face_samples import an_embedding
from tests.support.school import a_consent, a_student, a_template

LIST = reverse("admin:recognition_studentface_changelist")


def page_of(student: Student) -> str:
    return reverse("admin:recognition_studentface_change", args=[student.pk])


def a_file(content: bytes, name: str = "photo.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, "image/jpeg")


def test_the_page_asks_for_photos_and_consent(as_alice, eileen):
    page = as_alice.get(page_of(eileen))
    assert page.status_code == 200
    assert "Eileen Collins" in page.text
    assert 'name="consent"' in page.text
    assert "Policy version" in page.text


def test_consent_that_is_on_record_is_not_asked_again(as_alice, eileen):
    a_consent(eileen)
    page = as_alice.get(page_of(eileen))
    assert "Consent is on record" in page.text
    assert 'name="consent"' not in page.text


def test_a_photo_and_consent_enrol_the_student(as_alice, alice, eileen):
    answer = as_alice.post(
        page_of(eileen), {"photos": [a_file(pictures.portrait())], "consent": "on"}
    )
    assert "Enrolled from 1 of 1 pictures." in answer.text
    assert "can be recognised" in answer.text
    assert FaceTemplate.objects.get().created_by == alice
    consent = Consent.objects.get()
    assert (consent.student, consent.recorded_by, consent.given_via) == (
        eileen,
        alice,
        "in_person",
    )


def test_each_photo_gets_its_verdict(as_alice, eileen):
    photos = [a_file(pictures.portrait()), a_file(pictures.nobody()), a_file(b"rubbish", "x.png")]
    answer = as_alice.post(page_of(eileen), {"photos": photos, "consent": "on"})
    assert "Enrolled from 1 of 3 pictures." in answer.text
    assert "✓ used" in answer.text
    assert "✗ No face was found." in answer.text
    assert "✗ The file is not a JPEG, PNG, WebP or HEIC picture" in answer.text


def test_without_consent_nothing_is_stored(as_alice, eileen):
    answer = as_alice.post(page_of(eileen), {"photos": [a_file(pictures.portrait())]})
    assert "There is no consent of this student." in answer.text
    assert FaceTemplate.objects.count() == Consent.objects.count() == 0


def test_six_photos_are_refused_before_they_are_read(as_alice, eileen):
    photos = [a_file(pictures.nobody()) for _ in range(6)]
    answer = as_alice.post(page_of(eileen), {"photos": photos, "consent": "on"})
    assert "Got 6 pictures, expected 1 to 5." in answer.text
    assert Consent.objects.count() == 0


def test_a_form_without_photos_asks_for_them(as_alice, eileen):
    answer = as_alice.post(page_of(eileen), {"consent": "on"})
    assert "Choose at least one picture." in answer.text
    assert Consent.objects.count() == 0


def test_a_hostile_picture_leaves_the_page_usable(as_alice, eileen):
    answer = as_alice.post(
        page_of(eileen), {"photos": [a_file(pictures.png_bomb(), "bomb.png")], "consent": "on"}
    )
    assert answer.status_code == 200
    assert "megapixels are accepted" in answer.text
    assert "Eileen Collins" in as_alice.get(page_of(eileen)).text


def test_charlie_has_no_access_to_alices_students(client, charlie, eileen, dmitri):
    client.force_login(charlie)
    listed = client.get(LIST).text
    assert "Dmitri" in listed
    assert "Eileen" not in listed
    assert client.get(page_of(eileen)).status_code == 404
    post = client.post(page_of(eileen), {"photos": [a_file(pictures.portrait())], "consent": "on"})
    assert post.status_code == 404
    assert FaceTemplate.objects.count() == Consent.objects.count() == 0


def test_charlie_cannot_withdraw_the_consent_of_alices_student(client, charlie, eileen):
    a_template(eileen, an_embedding(1))
    client.force_login(charlie)
    client.post(LIST, {"action": "withdraw", "_selected_action": [eileen.pk]})
    assert FaceTemplate.objects.count() == 1
    assert Consent.objects.get().withdrawn_at is None


@pytest.mark.parametrize("page", ["add", "delete"])
def test_students_are_neither_added_nor_deleted_here(as_admin, eileen, page):
    arguments = [eileen.pk] if page == "delete" else []
    address = reverse(f"admin:recognition_studentface_{page}", args=arguments)
    assert as_admin.get(address).status_code == 403
    assert as_admin.post(address, {"post": "yes"}).status_code == 403
    assert Student.objects.filter(pk=eileen.pk).exists()


def test_somebody_without_a_role_sees_nothing(client, django_user_model, eileen):
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert client.get(LIST).status_code == 403
    assert client.get(page_of(eileen)).status_code == 404


def test_a_stranger_is_sent_to_the_login(client, eileen):
    assert client.get(page_of(eileen)).status_code == 302


@pytest.mark.parametrize("guess", ["0", "999999", "x", "1e9", "99999999999999999999"])
def test_a_guessed_number_finds_nobody(as_alice, guess):
    address = reverse("admin:recognition_studentface_change", args=[guess])
    assert as_alice.get(address).status_code == 404


def test_the_list_tells_who_can_be_recognised(as_alice, math, eileen):
    a_template(eileen, an_embedding(1))
    a_template(a_student("S-3", "Old Model", math), an_embedding(2), model_id="older")
    a_consent(a_student("S-4", "No Photo", math))
    a_student("S-5", "No Consent", math)
    listed = as_alice.get(LIST).text
    for text in ("can be recognised", "must enrol again", "no photo yet", "not asked yet"):
        assert text in listed


@pytest.mark.parametrize(
    ("value", "name"),
    [("ready", "Eileen Collins"), ("no_consent", "No Consent"), ("bogus", None)],
)
def test_the_list_is_filtered_by_who_can_be_recognised(as_alice, math, eileen, value, name):
    a_template(eileen, an_embedding(1))
    a_student("S-5", "No Consent", math)
    found = as_alice.get(LIST, {"recognition": value}).context["cl"].queryset
    assert [student.name for student in found] == ([name] if name else [])


@pytest.mark.parametrize("value", ["x", "", "99999999999999999999"])
def test_a_nonsense_course_filter_is_harmless(as_alice, eileen, value):
    assert as_alice.get(LIST, {"course": value}).status_code == 200


def test_the_course_filter_opens_no_foreign_course(as_alice, eileen, dmitri, chem):
    found = as_alice.get(LIST, {"course": chem.pk}).context["cl"].queryset
    assert list(found) == []


def test_the_action_withdraws_consent_and_erases_the_template(as_alice, eileen):
    a_template(eileen, an_embedding(1))
    as_alice.post(LIST, {"action": "withdraw", "_selected_action": [eileen.pk]})
    assert FaceTemplate.objects.count() == 0
    assert Consent.objects.get().withdrawn_at is not None


def test_the_action_leads_to_the_page_of_one_student(as_alice, math, eileen):
    other = a_student("S-3", "Somebody Else", math)
    one = as_alice.post(LIST, {"action": "enrol", "_selected_action": [eileen.pk]})
    assert one.url == page_of(eileen)
    both = as_alice.post(
        LIST, {"action": "enrol", "_selected_action": [eileen.pk, other.pk]}, follow=True
    )
    assert "Choose one student" in both.text


def test_the_vector_is_shown_to_nobody(as_admin, eileen):
    template = a_template(eileen, an_embedding(1))
    page = as_admin.get(reverse("admin:recognition_facetemplate_change", args=[template.pk]))
    assert page.status_code == 200
    assert bytes(template.sealed_vector).decode() not in page.text
    assert "sealed" not in page.text.lower()


def test_an_administrator_revokes_templates(as_admin, eileen):
    template = a_template(eileen, an_embedding(1))
    as_admin.post(
        reverse("admin:recognition_facetemplate_changelist"),
        {"action": "revoke", "_selected_action": [template.pk]},
    )
    template.refresh_from_db()
    assert template.revoked_at is not None
    assert bytes(template.sealed_vector) == b""
