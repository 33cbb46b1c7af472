"""From pictures to a template: what is kept on the way, and what is not."""

from __future__ import annotations

import io

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from PIL import Image

from recognition.engine.types import Embedding
from recognition.models import FaceRegistration, FaceTemplate, RegistrationPhoto, Resemblance
from recognition.photos import MAX_PHOTOS
from recognition.registration import (
    RegistrationRefusedError,
    add_photo,
    agree_to_held_photos,
    approve_registration,
    cancel_registration,
    hold_for_consent,
    portrait_of,
    reject_registration,
    remove_photo,
    submit_registration,
)
from recognition.selectors import has_consent, open_registration
from recognition.services import decline_consent, enrol_face, withdraw_consent
from tests.support import pictures
from tests.support.face_samples import an_embedding
from tests.support.portraits import as_file, astronaut
from tests.support.school import a_consent, a_student, a_template
from tests.support.shared import needs_faces

Status = FaceRegistration.Status


def add(student, content=None):
    return add_photo(student=student, content=content or pictures.portrait(), added_by=student.user)


# Pictures


def test_a_usable_picture_is_kept_as_an_encrypted_head_without_metadata(draft):
    kept = draft.photos.get()
    assert b"\xff\xd8\xff" not in bytes(kept.sealed_picture)
    picture = Image.open(io.BytesIO(kept.picture()))
    assert (picture.format, picture.info.get("exif")) == ("JPEG", None)
    assert max(picture.size) <= 720
    assert kept.vector().shape == (128,)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (pictures.nobody, "no_face"),
        (pictures.two_people, "several_faces"),
        (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_picture"),
        (pictures.png_bomb, "photo_too_many_pixels"),
    ],
    ids=["nobody", "two people", "svg", "huge"],
)
def test_a_picture_that_cannot_be_used_is_told_why_and_not_kept(willing, content, code):
    verdict = add(willing, content())
    assert (verdict.accepted, verdict.code) == (False, code)
    assert verdict.message
    assert not RegistrationPhoto.objects.exists()


def test_a_heic_picture_of_a_phone_is_taken(willing):
    assert add(willing, pictures.heic(Image.fromarray(astronaut()))).accepted


def test_without_consent_no_picture_is_looked_at(eileen):
    with pytest.raises(RegistrationRefusedError, match="agree first"):
        add(eileen)


def test_a_sixth_picture_is_refused(draft):
    for _number in range(MAX_PHOTOS - 1):
        assert add(draft.student).accepted
    with pytest.raises(RegistrationRefusedError, match="5 pictures already"):
        add(draft.student)


@needs_faces
def test_somebody_elses_picture_among_ones_own_is_refused(draft):
    verdict = add(draft.student, pictures.pictures_of("Aaron_Tippin", 1)[0])
    assert verdict.code == "does_not_match_others"
    assert draft.photos.count() == 1


def test_a_picture_can_be_taken_out_of_a_draft(draft):
    remove_photo(draft.photos.get())
    assert not draft.photos.exists()


def test_nothing_is_added_or_removed_while_the_lecturer_decides(pending):
    with pytest.raises(RegistrationRefusedError, match="wait for a decision"):
        add(pending.student)
    with pytest.raises(RegistrationRefusedError, match="wait for a decision"):
        remove_photo(pending.photos.get())


# Handing in


def test_handing_in_tells_the_student_by_mail(pending):
    assert pending.status == Status.PENDING
    assert [sent.to for sent in mail.outbox] == [["eileen@example.edu"]]
    assert "we have your pictures" in mail.outbox[0].body


def test_nothing_is_handed_in_without_a_picture(draft):
    draft.photos.all().delete()
    with pytest.raises(RegistrationRefusedError, match="Add at least one picture"):
        submit_registration(draft)


def test_handing_in_twice_is_refused(pending):
    with pytest.raises(RegistrationRefusedError, match="handed in already"):
        submit_registration(pending)


def test_there_is_never_a_second_open_registration(pending):
    with pytest.raises(IntegrityError), transaction.atomic():
        FaceRegistration.objects.create(student=pending.student)


def test_a_cancelled_registration_keeps_no_picture(pending):
    cancel_registration(pending)
    pending.refresh_from_db()
    assert pending.status == Status.CANCELLED
    assert not RegistrationPhoto.objects.exists()
    assert add(pending.student).accepted, "and a new one can be begun"


# Deciding


def test_approval_makes_the_template_and_deletes_the_pictures(
    pending, alice, astronaut_embedding: Embedding
):
    template = approve_registration(registration=pending, decided_by=alice)
    pending.refresh_from_db()
    assert (pending.status, pending.decided_by) == (Status.APPROVED, alice)
    assert not RegistrationPhoto.objects.exists()
    assert float(template.vector() @ astronaut_embedding) > 0.99
    assert template.created_by == alice
    assert "your face is registered" in mail.outbox[-1].body


def test_approval_replaces_the_template_in_force(pending, alice):
    before = a_template(pending.student, an_embedding(1))
    after = approve_registration(registration=pending, decided_by=alice)
    before.refresh_from_db()
    assert (before.revoked_at is None, bytes(before.sealed_vector)) == (False, b"")
    assert list(pending.student.face_templates.filter(revoked_at=None)) == [after]


def test_only_one_of_two_decisions_counts(pending, alice, admin):
    approve_registration(registration=pending, decided_by=alice)
    with pytest.raises(RegistrationRefusedError, match="not waiting any more: approved"):
        reject_registration(registration=pending, decided_by=admin, reason="Too late")
    pending.refresh_from_db()
    assert (pending.decided_by, pending.reason) == (alice, "")


def test_a_draft_cannot_be_approved(draft, alice):
    with pytest.raises(RegistrationRefusedError, match="being prepared"):
        approve_registration(registration=draft, decided_by=alice)


def test_rejection_leaves_its_reason_and_nothing_else(pending, alice):
    reject_registration(registration=pending, decided_by=alice, reason="  Wear no hat. ")
    pending.refresh_from_db()
    assert (pending.status, pending.reason) == (Status.REJECTED, "Wear no hat.")
    assert not RegistrationPhoto.objects.exists()
    assert not FaceTemplate.objects.exists()
    assert "Wear no hat." in mail.outbox[-1].body


def test_a_rejection_needs_a_reason(pending, alice):
    with pytest.raises(RegistrationRefusedError, match="Give a reason"):
        reject_registration(registration=pending, decided_by=alice, reason="  ")


def test_after_a_withdrawal_there_is_nothing_left_to_approve(pending, alice):
    erasure = withdraw_consent(student=pending.student)
    assert (erasure.photos, erasure.remaining) == (1, 0)
    with pytest.raises(RegistrationRefusedError, match="not waiting any more: cancelled"):
        approve_registration(registration=pending, decided_by=alice)
    assert not FaceTemplate.objects.exists()


def test_the_receipt_of_a_withdrawal_is_mailed(pending, alice):
    approve_registration(registration=pending, decided_by=alice)
    withdraw_consent(student=pending.student)
    receipt = mail.outbox[-1]
    assert receipt.to == ["eileen@example.edu"]
    assert "templates of your face   1" in receipt.body
    assert "found 0 records" in receipt.body


def test_who_declines_is_on_record_and_nothing_of_the_face_is(pending):
    decline_consent(student=pending.student)
    assert not has_consent(pending.student)
    assert pending.student.consents.filter(given_at=None).count() == 1
    assert not RegistrationPhoto.objects.exists()


def test_pictures_of_an_older_model_are_read_again_before_the_decision(pending, alice):
    pending.photos.update(model_id="older", sealed_vector=b"")
    template = approve_registration(registration=pending, decided_by=alice)
    assert template.model_id == "dlib-resnet-v1"


# Doubles


def test_the_same_face_under_another_account_is_flagged(
    willing, math, astronaut_embedding: Embedding
):
    double = a_student("S-9", "Second Account", math)
    a_template(double, astronaut_embedding)
    add(willing)
    submit_registration(open_registration(willing))
    found = Resemblance.objects.get(student=willing)
    assert (found.other, found.kind) == (double, "same_face")


def test_two_registrations_that_both_wait_are_compared(pending, math):
    double = a_student("S-9", "Second Account", math, email="second@example.edu")
    a_consent(double)
    add(double)
    submit_registration(open_registration(double))
    assert Resemblance.objects.get(student=double).other == pending.student


def test_a_face_enrolled_by_the_lecturer_is_compared_too(pending, alice, math):
    double = a_student("S-9", "Second Account", math)
    a_consent(double)
    enrol_face(student=double, photos=[pictures.portrait()], enrolled_by=alice)
    assert Resemblance.objects.get(student=double).other == pending.student


def test_other_faces_and_the_own_template_are_no_resemblance(willing, math, astronaut_embedding):
    a_template(willing, astronaut_embedding)
    a_template(a_student("S-9", "Somebody Else", math), an_embedding(1))
    add(willing)
    submit_registration(open_registration(willing))
    assert not Resemblance.objects.exists()


def test_a_rejected_face_leaves_no_note_of_whom_it_resembles(
    willing, math, alice, astronaut_embedding
):
    a_template(a_student("S-9", "Second Account", math), astronaut_embedding)
    add(willing)
    registration = open_registration(willing)
    submit_registration(registration)
    reject_registration(registration=registration, decided_by=alice, reason="Another account's")
    assert not Resemblance.objects.exists()


# Pictures that the institution brought in


@pytest.fixture
def held(eileen, alice):
    portrait = portrait_of(as_file(Image.fromarray(astronaut()), "PNG"), embed=False)
    return hold_for_consent(student=eileen, portraits=[portrait], added_by=alice)


def test_no_template_is_made_of_held_pictures_before_the_student_agrees(held):
    kept = held.photos.get()
    assert (kept.model_id, bytes(kept.sealed_vector)) == ("", b"")
    assert kept.picture().startswith(b"\xff\xd8")
    assert "May your picture be used" in mail.outbox[0].subject


def test_agreeing_hands_the_held_pictures_in(held, eileen):
    agree_to_held_photos(held)
    held.refresh_from_db()
    assert held.status == Status.PENDING
    assert has_consent(eileen)
    assert held.photos.get().vector().shape == (128,)


def test_declining_deletes_the_held_pictures(held, eileen):
    decline_consent(student=eileen)
    assert not RegistrationPhoto.objects.exists()
    with pytest.raises(RegistrationRefusedError):
        agree_to_held_photos(held)


def test_pictures_are_not_held_beside_an_open_registration(pending):
    with pytest.raises(RegistrationRefusedError, match="open already"):
        hold_for_consent(student=pending.student, portraits=[], added_by=None)
