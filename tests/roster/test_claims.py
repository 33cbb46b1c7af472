"""An account says which student it is: linked at once, or decided by a lecturer."""

from __future__ import annotations

import pytest
from django.core import mail
from django.urls import reverse

from roster.models import RosterClaim
from roster.services import ClaimRefusedError, approve_claim, claim_student, reject_claim
from tests.support.school import a_student, an_account

CLAIMS = "/admin/roster/rosterclaim/"


def decide(client, action, *claims):
    chosen = [claim.pk for claim in claims]
    return client.post(CLAIMS, {"action": action, "_selected_action": chosen}, follow=True)


def status_of(claim):
    return RosterClaim.objects.get(pk=claim.pk).status


@pytest.fixture
def eve(db):
    """Her address is confirmed, and not on the roster."""
    return an_account("eve")


@pytest.fixture
def eves_claim(eve, eileen):
    return claim_student(user=eve, student_id=eileen.student_id)


# Claiming


def test_an_account_with_the_confirmed_address_is_linked_at_once(eileen):
    account = an_account("eileen")
    assert claim_student(user=account, student_id="S-1") is None
    eileen.refresh_from_db()
    assert eileen.user == account


def test_an_address_that_was_only_typed_does_not_link(eileen):
    account = an_account("eileen", confirmed=False)
    claim = claim_student(user=account, student_id="S-1")
    eileen.refresh_from_db()
    assert claim is not None
    assert claim.status == RosterClaim.Status.WAITING
    assert eileen.user is None


def test_a_student_without_an_address_is_linked_to_nobody_at_once(eve, eileen):
    eileen.email = ""
    eileen.save()
    eve.emailaddress_set.update(email="")
    assert claim_student(user=eve, student_id="S-1") is not None


def test_an_unknown_number_is_refused_with_what_to_do(eve):
    with pytest.raises(ClaimRefusedError, match="No student has the number “S-404”"):
        claim_student(user=eve, student_id="S-404")


def test_a_number_that_is_taken_is_refused(eve, eileen):
    eileen.user = an_account("eileen")
    eileen.save()
    with pytest.raises(ClaimRefusedError, match="belongs to another account"):
        claim_student(user=eve, student_id="S-1")


def test_an_account_has_one_student(eve, eileen, dmitri):
    eileen.user = eve
    eileen.save()
    with pytest.raises(ClaimRefusedError, match="linked to the student number S-1 already"):
        claim_student(user=eve, student_id="S-2")


def test_a_second_claim_corrects_the_first(eve, eves_claim, dmitri):
    again = claim_student(user=eve, student_id="S-2")
    assert again == eves_claim
    assert RosterClaim.objects.get().student == dmitri


# Deciding


def test_of_two_accounts_that_claim_one_student_only_one_is_linked(as_alice, eileen, eves_claim):
    other = claim_student(user=an_account("mallory"), student_id="S-1")
    decide(as_alice, "approve", eves_claim)
    decide(as_alice, "approve", other)
    eileen.refresh_from_db()
    assert eileen.user == eves_claim.user
    assert status_of(other) != RosterClaim.Status.APPROVED


def test_a_claim_is_decided_once(alice, eves_claim, eileen):
    reject_claim(claim=eves_claim, decided_by=alice)
    with pytest.raises(ClaimRefusedError, match="decided already"):
        approve_claim(claim=eves_claim, decided_by=alice)
    with pytest.raises(ClaimRefusedError, match="decided already"):
        reject_claim(claim=eves_claim, decided_by=alice)
    eileen.refresh_from_db()
    assert eileen.user is None


@pytest.mark.parametrize(
    ("action", "subject", "text"),
    [
        ("approve", "is linked", "Register your face here"),
        ("reject", "was not linked", "This was not approved"),
    ],
)
def test_the_decision_is_kept_and_mailed(as_alice, alice, eves_claim, action, subject, text):
    page = decide(as_alice, action, eves_claim)
    eves_claim.refresh_from_db()
    assert f"1 claim was {action}" in page.text
    assert eves_claim.decided_by == alice
    assert eves_claim.decided_at is not None
    (told,) = mail.outbox
    assert told.to == ["eve@example.edu"]
    assert subject in told.subject
    assert text in told.body
    assert "S-1" in told.body


def test_one_that_cannot_be_approved_is_told_and_stops_no_other(as_alice, math, eves_claim, eileen):
    ada = a_student("S-3", "Ada Lovelace", math)
    adas_claim = claim_student(user=an_account("ada"), student_id="S-3")
    eileen.user = an_account("somebody")
    eileen.save()
    page = decide(as_alice, "approve", eves_claim, adas_claim)
    ada.refresh_from_db()
    assert ada.user == adas_claim.user
    assert status_of(eves_claim) == RosterClaim.Status.WAITING
    assert "“eve”: The student number S-1 belongs to another account" in page.text
    assert "1 claim was approved" in page.text


# Looking


def test_the_list_shows_both_addresses_and_those_that_wait_first(as_alice, alice, eves_claim):
    decided = claim_student(user=an_account("mallory", confirmed=False), student_id="S-1")
    reject_claim(claim=decided, decided_by=alice)
    page = as_alice.get(CLAIMS)
    assert [row.pk for row in page.context["cl"].result_list] == [eves_claim.pk, decided.pk]
    for shown in ("eve@example.edu", "eileen@example.edu", "Eileen Collins (S-1)", "none"):
        assert shown in page.text
    assert "mallory@example.edu" not in page.text


def test_charlie_neither_sees_nor_decides_a_claim_to_alices_student(client, charlie, eves_claim):
    client.force_login(charlie)
    assert "eve" not in client.get(CLAIMS, {"status__exact": "waiting"}).text.split("<main")[-1]
    page = reverse("admin:roster_rosterclaim_change", args=[eves_claim.pk])
    assert client.get(page).status_code == 302
    for action in ("approve", "reject"):
        decide(client, action, eves_claim)
    assert status_of(eves_claim) == RosterClaim.Status.WAITING


def test_claims_are_neither_added_nor_changed_nor_deleted_by_hand(as_admin, eves_claim):
    page = reverse("admin:roster_rosterclaim_change", args=[eves_claim.pk])
    assert as_admin.get(page).status_code == 200
    assert as_admin.post(page, {"status": "approved"}).status_code == 403
    assert as_admin.get(f"{CLAIMS}add/").status_code == 403
    assert as_admin.post(f"{CLAIMS}{eves_claim.pk}/delete/").status_code == 403
