"""The lecturer's queue: who waits, and what is decided."""

from __future__ import annotations

import pytest
from django.core import mail

from recognition.models import FaceRegistration, FaceTemplate, RegistrationPhoto
from recognition.registration import add_photo, reject_registration, submit_registration
from recognition.selectors import open_registration
from tests.support import pictures
from tests.support.face_samples import an_embedding
from tests.support.school import a_consent, a_student, a_template

LIST = "/admin/recognition/faceregistration/"
Status = FaceRegistration.Status


def page_of(registration: FaceRegistration) -> str:
    return f"{LIST}{registration.pk}/change/"


@pytest.fixture
def second(pending, math) -> FaceRegistration:
    """Another student of MATH waits; so that it is no double, the first one's face is another."""
    for photo in pending.photos.all():
        photo.delete()
    student = a_student("S-7", "Gil Later", math, email="gil@example.edu")
    a_consent(student)
    add_photo(student=student, content=pictures.portrait(), added_by=None)
    registration = open_registration(student)
    submit_registration(registration)
    registration.refresh_from_db()
    return registration


def test_the_list_shows_who_waits_and_hides_who_is_decided(as_alice, pending, alice):
    assert "Eileen Collins" in as_alice.get(LIST).text
    reject_registration(registration=pending, decided_by=alice, reason="No")
    assert "Eileen Collins" not in as_alice.get(LIST).text
    assert "Eileen Collins" in as_alice.get(f"{LIST}?state=rejected").text
    assert "Eileen Collins" in as_alice.get(f"{LIST}?state=all").text


def test_drafts_are_nobodys_business(as_alice, draft):
    for state in ("", "?state=all"):
        assert "Eileen Collins" not in as_alice.get(f"{LIST}{state}").text


def test_the_pictures_stand_beside_the_roster_entry(as_alice, pending):
    page = as_alice.get(page_of(pending)).text
    assert f"/face/photos/{pending.photos.get().pk}/" in page
    for text in ("Eileen Collins", "S-1", "eileen@example.edu", "MATH", "one picture only"):
        assert text in page


def test_approving_leads_to_the_next_that_waits(as_alice, pending, second, alice):
    answer = as_alice.post(page_of(second), {"decision": "approve"})
    assert answer.url == page_of(pending)
    second.refresh_from_db()
    assert (second.status, second.decided_by) == (Status.APPROVED, alice)
    assert FaceTemplate.objects.get().student == second.student


def test_rejecting_needs_a_reason_and_tells_it(as_alice, pending):
    page = as_alice.post(page_of(pending), {"decision": "reject", "reason": ""}, follow=True).text
    assert "Give a reason" in page
    answer = as_alice.post(page_of(pending), {"decision": "reject", "reason": "Too dark"})
    assert answer.url == LIST
    assert "Too dark" in mail.outbox[-1].body
    assert not RegistrationPhoto.objects.exists()


def test_a_second_decision_is_told_and_changes_nothing(as_alice, pending):
    as_alice.post(page_of(pending), {"decision": "reject", "reason": "Too dark"})
    page = as_alice.post(page_of(pending), {"decision": "approve"}, follow=True).text
    assert "not waiting any more: rejected" in page
    assert not FaceTemplate.objects.exists()


def test_the_page_of_a_decided_one_is_its_history(as_alice, pending):
    as_alice.post(page_of(pending), {"decision": "reject", "reason": "Too dark"})
    page = as_alice.get(page_of(pending)).text
    assert "Too dark" in page
    assert "alice" in page
    assert "The pictures were deleted with the decision." in page
    assert 'value="approve"' not in page


def in_bulk(client, action: str, *registrations: FaceRegistration, **fields: str):
    chosen = [registration.pk for registration in registrations]
    return client.post(LIST, {"action": action, "_selected_action": chosen, **fields}, follow=True)


def test_many_are_approved_at_once(as_alice, second):
    assert "1 were approved." in in_bulk(as_alice, "approve", second).text
    second.refresh_from_db()
    assert second.status == Status.APPROVED


def test_who_resembles_another_is_not_approved_in_bulk(
    as_alice, willing, chem, astronaut_embedding
):
    a_template(a_student("S-9", "Double Account", chem), astronaut_embedding)
    add_photo(student=willing, content=pictures.portrait(), added_by=None)
    registration = open_registration(willing)
    submit_registration(registration)
    page = in_bulk(as_alice, "approve", registration).text
    assert "1 resemble another account: open each and decide." in page
    registration.refresh_from_db()
    assert registration.status == Status.PENDING
    shown = as_alice.get(page_of(registration)).text
    assert "The same face twice?" in shown
    assert "a student who is in none of your courses" in shown
    assert "Double Account" not in shown


def test_a_double_in_the_own_course_is_named(as_alice, willing, math, astronaut_embedding):
    a_template(a_student("S-9", "Double Account", math), astronaut_embedding)
    add_photo(student=willing, content=pictures.portrait(), added_by=None)
    registration = open_registration(willing)
    submit_registration(registration)
    assert "Double Account" in as_alice.get(page_of(registration)).text


def test_many_are_rejected_with_one_reason(as_alice, pending, second):
    assert "as they will read it" in in_bulk(as_alice, "reject", pending, second).text
    page = in_bulk(as_alice, "reject", pending, second, reason="").text
    assert "Give a reason" in page
    page = in_bulk(as_alice, "reject", pending, second, reason="Too dark").text
    assert "2 were rejected." in page
    assert not FaceRegistration.objects.filter(status=Status.PENDING).exists()


def test_a_foreign_lecturer_neither_sees_nor_decides(client, charlie, pending):
    client.force_login(charlie)
    assert "Eileen" not in client.get(f"{LIST}?state=all").text
    assert client.get(page_of(pending)).status_code == 404
    assert client.post(page_of(pending), {"decision": "approve"}).status_code == 404
    in_bulk(client, "approve", pending)
    in_bulk(client, "reject", pending, reason="No")
    pending.refresh_from_db()
    assert pending.status == Status.PENDING


def test_the_list_of_faces_tells_who_waits_and_who_declined(as_alice, pending, math):
    declined = a_student("S-8", "Ann Declined", math)
    declined.consents.create(
        policy_version="2026-11", given_via="web", given_at=None, withdrawn_at=pending.created_at
    )
    faces = "/admin/recognition/studentface/"
    assert "Eileen" in as_alice.get(f"{faces}?recognition=waiting").text
    assert "Ann Declined" in as_alice.get(f"{faces}?recognition=declined").text
    a_template(pending.student, an_embedding(1))
    assert "Eileen" in as_alice.get(f"{faces}?recognition=ready").text
