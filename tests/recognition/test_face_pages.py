"""The student's pages, from consent to withdrawal."""

from __future__ import annotations

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from recognition.models import Consent, FaceRegistration, FaceTemplate, RegistrationPhoto
from recognition.registration import approve_registration, reject_registration
from recognition.selectors import has_consent
from tests.support import pictures
from tests.support.school import a_student, an_account_of

JSON = {"headers": {"accept": "application/json"}}


def a_file(content: bytes = b"", name: str = "me.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content or pictures.portrait(), "image/jpeg")


def upload(client: Client, *files: SimpleUploadedFile, **extra):
    return client.post("/face/photos/", {"photos": list(files)}, **extra)


@pytest.mark.parametrize("path", ["/face/", "/face/consent/", "/face/photos/", "/face/withdraw/"])
def test_strangers_are_asked_to_log_in(client, db, path):
    assert client.get(path).url == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", ["/face/", "/face/consent/", "/face/photos/", "/face/withdraw/"])
def test_an_account_without_a_student_is_linked_first(client, db, path):
    client.force_login(User.objects.create_user("nobody", "nobody@example.edu"))
    assert client.get(path).url == "/me/student-number/"


def test_before_anything_else_the_student_reads_how_the_face_is_used(as_eileen):
    assert as_eileen.get("/face/photos/").url == "/face/consent/"
    page = as_eileen.get("/face/consent/").text
    assert "What is kept." in page
    assert "30 days after your last course ends" in page


def test_agreeing_is_kept_with_the_version_and_leads_to_the_pictures(as_eileen, eileen):
    assert as_eileen.post("/face/consent/", {"answer": "agree"}).url == "/face/photos/"
    consent = Consent.objects.get()
    assert (consent.student, consent.policy_version, consent.given_via) == (
        eileen,
        "2026-11",
        "web",
    )


def test_declining_is_an_answer_too(as_eileen, eileen):
    page = as_eileen.post("/face/consent/", {"answer": "decline"}, follow=True).text
    assert "You do not use your face" in page
    assert not has_consent(eileen)


def test_an_answer_that_is_none_changes_nothing(as_eileen):
    assert as_eileen.post("/face/consent/", {"answer": "maybe"}).status_code == 200
    assert not Consent.objects.exists()


def test_each_picture_gets_its_verdict_at_once(as_eileen, willing):
    answer = upload(as_eileen, a_file(), a_file(pictures.nobody()), **JSON).json()
    assert [verdict["accepted"] for verdict in answer["verdicts"]] == [True, False]
    assert answer["verdicts"][1]["message"].startswith("No face was found.")
    photo = RegistrationPhoto.objects.get()
    assert f"/face/photos/{photo.pk}/" in answer["pictures"]


def test_without_scripts_the_verdict_is_on_the_next_page(as_eileen, willing):
    page = upload(as_eileen, a_file(pictures.two_people()), follow=True).text
    assert "More than one face was found." in page


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"\xff\xd8\xff\xe0 but no picture",
    ],
    ids=["svg", "html", "pdf", "half a jpeg"],
)
def test_what_is_no_picture_is_refused_by_its_content(as_eileen, willing, content):
    answer = upload(as_eileen, a_file(content, "holiday.jpg"), **JSON).json()
    assert not answer["verdicts"][0]["accepted"]
    assert not FaceRegistration.objects.exists()


def test_no_file_and_six_files_are_told(as_eileen, willing):
    (none,) = upload(as_eileen, **JSON).json()["verdicts"]
    assert none["message"] == "Choose at least one picture."
    (six,) = upload(as_eileen, *[a_file() for _ in range(6)], **JSON).json()["verdicts"]
    assert six["message"] == "Got 6 pictures, expected 1 to 5."


def test_pictures_are_counted_so_that_nobody_keeps_the_workers_busy(as_eileen, willing, settings):
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "face_photo": "1/10m/user"}
    upload(as_eileen, a_file(pictures.nobody()), **JSON)
    (verdict,) = upload(as_eileen, a_file(), **JSON).json()["verdicts"]
    assert "Try again in ten minutes" in verdict["message"]


def test_handing_in_shows_that_it_waits(as_eileen, draft):
    page = as_eileen.post("/face/submit/", follow=True).text
    assert "Waiting. Your pictures were sent" in page
    assert as_eileen.get("/face/photos/").url == "/face/"


def test_cancelling_deletes_the_pictures(as_eileen, pending):
    assert "Cancelled" in as_eileen.post("/face/cancel/", follow=True).text
    assert not RegistrationPhoto.objects.exists()
    assert "no registration" in as_eileen.post("/face/cancel/", follow=True).text


def test_the_status_page_tells_the_decision(as_eileen, pending, alice):
    approve_registration(registration=pending, decided_by=alice)
    assert "Registered since" in as_eileen.get("/face/").text


def test_a_rejection_is_told_with_its_reason_and_a_way_to_try_again(as_eileen, pending, alice):
    reject_registration(registration=pending, decided_by=alice, reason="Wear no hat.")
    page = as_eileen.get("/face/").text
    assert "Wear no hat." in page
    assert "Try again" in page
    assert as_eileen.get("/face/photos/").status_code == 200


def test_a_new_model_asks_for_new_pictures(as_eileen, pending, alice):
    approve_registration(registration=pending, decided_by=alice)
    FaceTemplate.objects.update(model_id="older")
    assert "send pictures once more" in as_eileen.get("/face/").text


def test_a_new_policy_is_offered_for_reading(as_eileen, willing, settings):
    settings.CONSENT_POLICY_VERSION = "2027-01"
    assert "Read the new version" in as_eileen.get("/face/").text
    as_eileen.post("/face/consent/", {"answer": "agree"})
    assert Consent.objects.get(withdrawn_at=None).policy_version == "2027-01"


def test_a_withdrawal_is_answered_with_the_receipt(as_eileen, pending, alice):
    approve_registration(registration=pending, decided_by=alice)
    assert "erased at once" in as_eileen.get("/face/withdraw/").text
    assert FaceTemplate.objects.exists(), "looking is not withdrawing"
    page = as_eileen.post("/face/withdraw/").text
    assert "1 erased" in page
    assert "found nothing of your face" in page
    assert not FaceTemplate.objects.exists()
    assert mail.outbox[-1].subject == "[Rollcall] Your consent is withdrawn"


# Whose picture


def test_the_student_and_the_lecturer_see_the_picture(as_eileen, pending, alice):
    path = f"/face/photos/{pending.photos.get().pk}/"
    for viewer in (pending.student.user, alice):
        as_eileen.force_login(viewer)
        answer = as_eileen.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
        assert "no-store" in answer["Cache-Control"]


def test_nobody_else_sees_the_picture(client, pending, charlie, math):
    path = f"/face/photos/{pending.photos.get().pk}/"
    classmate = an_account_of(a_student("S-7", "Gil Classmate", math, email="gil@example.edu"))
    for stranger in (charlie, classmate):
        client.force_login(stranger)
        assert client.get(path).status_code == 404
    client.logout()
    assert client.get(path).url.startswith("/accounts/login/")


def test_nobody_removes_anothers_picture(client, draft, math):
    classmate = an_account_of(a_student("S-7", "Gil Classmate", math, email="gil@example.edu"))
    client.force_login(classmate)
    photo = draft.photos.get()
    assert client.post(f"/face/photos/{photo.pk}/remove/").status_code == 404
    assert draft.photos.exists()


def test_the_own_picture_can_be_removed(as_eileen, draft):
    as_eileen.post(f"/face/photos/{draft.photos.get().pk}/remove/")
    assert not draft.photos.exists()
