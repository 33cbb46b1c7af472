"""A student in two classes shows neither lecturer the other's; no guess finds a foreign student."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_registration,
    a_student,
    an_attempt,
    an_attendance,
)

LISTS = [
    "roster_student",
    "roster_rosterclaim",
    "roster_course",
    "roster_courseenrolment",
    "roster_classsession",
    "recognition_studentface",
    "recognition_faceregistration",
    "recognition_photoimport",
    "checkin_attendance",
    "checkin_checkinattempt",
]


def list_of(model: str) -> str:
    return reverse(f"admin:{model}_changelist")


@pytest.fixture
def in_both(math_session, chem_session, kiosk, math, chem):
    """Ada studies with Alice and with Charlie, and was in both of today's sessions."""
    ada = a_student("S-9", "Ada Lovelace", math, chem)
    a_registration(ada, an_embedding(9))
    for session in (math_session, chem_session):
        an_attendance(session, ada, kiosk=kiosk)
        an_attempt(kiosk, session, student=ada)
    return ada


@pytest.mark.parametrize("model", LISTS)
def test_a_shared_student_names_no_foreign_course(client, charlie, alice, in_both, model):
    for lecturer, foreign in ((charlie, "Linear Algebra"), (alice, "Organic Chemistry")):
        client.force_login(lecturer)
        page = client.get(list_of(model)).text
        assert foreign not in page
        assert ("MATH" if lecturer == charlie else "CHEM") not in page


@pytest.mark.parametrize("model", ["roster_student", "recognition_studentface"])
def test_a_filter_by_a_foreign_course_tells_nothing(client, charlie, in_both, math, chem, model):
    """Also not that a student of his is in it."""
    client.force_login(charlie)
    foreign = client.get(list_of(model), {"course": math.pk}).context["cl"].result_list
    own = client.get(list_of(model), {"course": chem.pk}).context["cl"].result_list
    assert [row.pk for row in foreign] == []
    assert [row.pk for row in own] == [in_both.pk]


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("roster_student", "courses__id__exact"),
        ("roster_student", "student__courses__id__exact"),
        ("roster_student", "enrolments__course"),
        ("roster_student", "enrolments__id__exact"),
        ("roster_student", "user__password__startswith"),
        ("roster_student", "user__email__contains"),
        ("roster_student", "face_templates__sealed_vector"),
        ("roster_student", "consents__id__exact"),
        ("roster_courseenrolment", "student__courses__id__exact"),
        ("roster_courseenrolment", "student__user__password__startswith"),
        ("roster_course", "lecturers__password__startswith"),
        ("roster_rosterclaim", "user__password__startswith"),
        ("roster_classsession", "course__lecturers__password__startswith"),
        ("recognition_studentface", "courses__id__exact"),
        ("recognition_faceregistration", "student__user__password__startswith"),
        ("checkin_attendance", "student__courses__id__exact"),
        ("checkin_attendance", "kiosk__token_hash__startswith"),
        ("checkin_checkinattempt", "template__sealed_vector"),
    ],
)
def test_only_what_a_filter_offers_can_be_asked_for(as_alice, in_both, model, lookup):
    assert as_alice.get(list_of(model), {lookup: "1"}).status_code == 400


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("checkin_kiosk", "token_hash__startswith"),
        ("recognition_facetemplate", "sealed_vector"),
        ("mfa_authenticator", "data__secret__startswith"),
        ("accounts_user", "password__startswith"),
    ],
)
def test_nobody_guesses_a_secret_by_its_beginning(as_admin, model, lookup):
    assert as_admin.get(list_of(model), {lookup: "a"}).status_code == 400


@pytest.mark.parametrize("model", LISTS)
@pytest.mark.parametrize("guess", ["0", "999999999999999999999999", "abc", "%00"])
def test_a_guessed_number_is_answered_as_an_unknown_one(as_alice, math, model, guess):
    for page in ("change", "history", "delete"):
        answer = as_alice.get(f"{list_of(model)}{guess}/{page}/")
        assert answer.status_code in (302, 403, 404)


@pytest.mark.parametrize("model", LISTS)
@pytest.mark.parametrize("guess", ["0", "999999999999999999999999", "abc"])
def test_an_action_on_nonsense_does_nothing_and_fails_not(as_alice, math_session, model, guess):
    for action in ("close_now", "withdraw", "approve"):
        answer = as_alice.post(list_of(model), {"action": action, "_selected_action": [guess]})
        assert answer.status_code in (200, 302)
    math_session.refresh_from_db()
    assert math_session.closed_at is None


@pytest.mark.parametrize(
    "query",
    [
        {"_to_field": "user"},
        {"_to_field": "user__password"},
        {"_popup": "1"},
        {"_popup": "1", "_to_field": "id"},
        {"all": ""},
        {"_facets": "True"},
        {"o": "99.-1.x"},
        {"p": "9999"},
    ],
)
def test_no_trick_in_the_address_lists_a_foreign_student(client, charlie, eileen, dmitri, query):
    client.force_login(charlie)
    for address in (list_of("roster_student"), f"{list_of('roster_student')}{eileen.pk}/change/"):
        answer = client.get(address, query)
        assert answer.status_code in (200, 302, 400)
        assert "Eileen" not in answer.text
    assert "Dmitri" in client.get(list_of("roster_student")).text


def test_every_row_at_once_means_every_row_of_ones_own(client, charlie, math_session, chem_session):
    client.force_login(charlie)
    client.post(
        list_of("roster_classsession"),
        {
            "action": "close_now",
            "select_across": "1",
            "_selected_action": [math_session.pk, chem_session.pk],
        },
    )
    math_session.refresh_from_db()
    chem_session.refresh_from_db()
    assert math_session.closed_at is None
    assert chem_session.closed_at is not None


def test_recent_actions_are_ones_own(client, alice, charlie, math_session, room_102):
    client.force_login(alice)
    client.post(
        reverse("admin:roster_classsession_change", args=[math_session.pk]),
        {
            "course": math_session.course_id,
            "room": room_102.pk,
            "starts_at_0": "2026-03-02",
            "starts_at_1": "09:00",
            "ends_at_0": "2026-03-02",
            "ends_at_1": "10:30",
            "opens_early_min": 15,
            "late_after_min": 10,
        },
    )
    assert "MATH 2026-03-02" in client.get("/admin/").text
    client.force_login(charlie)
    assert "MATH" not in client.get("/admin/").text
