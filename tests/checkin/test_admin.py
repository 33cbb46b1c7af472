"""The desk's lists: fast however long they are, filterable, and closed to other lecturers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from checkin.models import Attendance, Kiosk
from roster.models import ClassSession, Course, Room
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_consent,
    a_session,
    a_student,
    a_template,
    an_attempt,
    an_attendance,
)

MODELS = [
    "roster_student",
    "roster_course",
    "roster_classsession",
    "recognition_studentface",
    "recognition_facetemplate",
    "recognition_consent",
    "checkin_attendance",
    "checkin_checkinattempt",
    "checkin_kiosk",
]
#: Those that a lecturer sees.
LECTURERS_MODELS = [
    "roster_student",
    "roster_course",
    "roster_classsession",
    "recognition_studentface",
    "checkin_attendance",
    "checkin_checkinattempt",
]


def list_of(model: str) -> str:
    return reverse(f"admin:{model}_changelist")


def rows(client: Client, model: str, **query: object) -> list:
    return list(client.get(list_of(model), query).context["cl"].queryset)


@pytest.fixture
def more_of_everything(math: Course, alice: User, room_101: Room) -> Callable[[int], None]:
    """Adds so many rows to each list."""

    def add(count: int) -> None:
        start = Kiosk.objects.count()
        for number in range(start, start + count):
            course = Course.objects.create(code=f"C-{number}", title="Another course")
            course.lecturers.add(alice)
            student = a_student(f"N-{number}", f"Student {number}", math, course)
            a_template(student, an_embedding(number))
            session = a_session(course, room=room_101)
            kiosk = Kiosk.objects.create(name=f"Kiosk {number}", room=room_101)
            an_attendance(session, student, kiosk=kiosk)
            an_attempt(kiosk, session, student=student, similarity=0.97, threshold=0.94)

    return add


# Fast


@pytest.mark.parametrize("model", MODELS)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(as_admin, more_of_everything, model):
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert as_admin.get(list_of(model)).status_code == 200
        return len(captured)

    more_of_everything(2)
    few = queries()
    more_of_everything(15)
    assert queries() == few
    assert few <= 15


@pytest.mark.parametrize("model", LECTURERS_MODELS)
def test_a_lecturers_list_takes_as_many_queries_for_many_rows_as_for_few(
    as_alice, more_of_everything, model
):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert as_alice.get(list_of(model)).status_code == 200
        return len(captured)

    more_of_everything(2)
    few = queries()
    more_of_everything(15)
    assert queries() == few
    assert few <= 18


# Readable and filterable


def test_attendance_is_shown_in_the_courses_time_zone(as_admin, math, eileen):
    math.timezone = "Asia/Tokyo"
    math.save()
    session = a_session(math, starts_at=timezone.now().replace(hour=0, minute=5))
    an_attendance(session, eileen)
    page = as_admin.get(list_of("checkin_attendance")).text
    assert f"{session.starts_at:%Y-%m-%d} 09:05" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status__exact": "late"}, ["late"]),
        ({"status__exact": "present"}, ["present"]),
        ({"method__exact": "manual"}, ["late"]),
        ({"q": "Eileen"}, ["present"]),
        ({"q": "S-3"}, ["late"]),
        ({"q": "nobody"}, []),
        ({}, ["late", "present"]),
    ],
)
def test_attendance_is_filtered_and_searched(as_admin, math, math_session, eileen, query, found):
    an_attendance(math_session, eileen)
    an_attendance(
        math_session, a_student("S-3", "Late Riser", math), status="late", method="manual"
    )
    assert sorted(row.status for row in rows(as_admin, "checkin_attendance", **query)) == found


def test_attendance_is_filtered_by_course(as_admin, math_session, chem_session, eileen, dmitri):
    an_attendance(math_session, eileen)
    an_attendance(chem_session, dmitri)
    found = rows(as_admin, "checkin_attendance", session__course__id__exact=chem_session.course_id)
    assert [row.student for row in found] == [dmitri]


def test_attempts_are_filtered_by_outcome_reason_and_kiosk(as_admin, kiosk, math_session):
    spoof = an_attempt(kiosk, math_session, outcome="spoof", reason="no_blink")
    an_attempt(kiosk, math_session, outcome="unknown")
    for query in ({"outcome__exact": "spoof"}, {"reason": "no_blink"}):
        assert rows(as_admin, "checkin_checkinattempt", **query) == [spoof]
    assert len(rows(as_admin, "checkin_checkinattempt", kiosk__id__exact=kiosk.pk)) == 2


def test_an_attempt_shows_its_figures_and_its_trace(as_admin, kiosk, math_session):
    attempt = an_attempt(
        kiosk,
        math_session,
        similarity=0.9712,
        threshold=0.94,
        liveness={"challenge": "blink_once"},
    )
    assert "0.971 / 0.940" in as_admin.get(list_of("checkin_checkinattempt")).text
    page = as_admin.get(reverse("admin:checkin_checkinattempt_change", args=[attempt.pk])).text
    assert "blink_once" in page


def test_an_attempt_without_a_session_has_its_place_in_the_list(as_admin, kiosk):
    attempt = an_attempt(kiosk, None, outcome="spoof")
    assert rows(as_admin, "checkin_checkinattempt") == [attempt]


@pytest.mark.parametrize(
    "query",
    [{"revoked_at__isempty": "1"}, {"revoked_at__isempty": "0"}, {"room__id__exact": "1"}],
)
def test_kiosks_are_filtered(as_admin, kiosk, query):
    assert as_admin.get(list_of("checkin_kiosk"), query).status_code == 200


def test_sessions_tell_whether_they_are_open(as_admin, math, math_session):
    a_session(math, starts_at=timezone.now() - timedelta(days=1))
    a_session(math, starts_at=timezone.now() + timedelta(days=1))
    page = as_admin.get(list_of("roster_classsession")).text
    for sign, word in (("●", "open"), ("✓", "closed"), ("○", "planned")):
        assert page.count(f'<span aria-hidden="true">{sign}</span> {word}') == 1


def test_sessions_are_closed_and_opened_again(as_admin, math_session):
    address = list_of("roster_classsession")
    as_admin.post(address, {"action": "close_now", "_selected_action": [math_session.pk]})
    assert not ClassSession.objects.get().is_open(timezone.now())
    again = {"action": "reopen", "_selected_action": [math_session.pk]}
    assert "Reason" in as_admin.post(address, again).text
    assert not ClassSession.objects.get().is_open(timezone.now())
    as_admin.post(address, again | {"reason": "The wrong button", "minutes": "30"})
    assert ClassSession.objects.get().is_open(timezone.now())


# Nobody writes past the services


@pytest.mark.parametrize("model", ["checkin_attendance", "checkin_checkinattempt"])
def test_rows_of_the_kiosk_are_read_only(as_admin, kiosk, math_session, eileen, model):
    row = (
        an_attendance(math_session, eileen)
        if model == "checkin_attendance"
        else an_attempt(kiosk, math_session)
    )
    assert as_admin.get(reverse(f"admin:{model}_change", args=[row.pk])).status_code == 200
    assert as_admin.post(reverse(f"admin:{model}_change", args=[row.pk])).status_code == 403
    assert as_admin.post(reverse(f"admin:{model}_delete", args=[row.pk])).status_code == 403
    assert as_admin.get(reverse(f"admin:{model}_add")).status_code == 403
    assert "delete_selected" not in as_admin.get(list_of(model)).text


# Alice's and Charlie's


@pytest.fixture
def both_classes(kiosk, math_session, chem_session, eileen, dmitri):
    """Something of everything in MATH (Alice's) and in CHEM (Charlie's)."""
    for student, session in ((eileen, math_session), (dmitri, chem_session)):
        a_consent(student)
        an_attendance(session, student, kiosk=kiosk)
        an_attempt(kiosk, session, student=student, outcome="present")


@pytest.mark.parametrize("model", LECTURERS_MODELS)
def test_charlie_lists_nothing_of_alices(client, charlie, both_classes, model):
    client.force_login(charlie)
    assert len(rows(client, model)) == 1
    page = client.get(list_of(model)).text
    for hers in ("Eileen", "S-1", "MATH", "Linear Algebra"):
        assert hers not in page


@pytest.mark.parametrize("model", LECTURERS_MODELS)
def test_charlie_opens_nothing_of_alices_by_its_number(
    client, admin, charlie, math, both_classes, model
):
    client.force_login(admin)
    everything = {row.pk: row for row in rows(client, model)}
    client.force_login(charlie)
    his = {row.pk for row in rows(client, model)}
    assert len(everything) == 2
    for number in everything:
        for page in ("change", "history"):
            answer = client.get(reverse(f"admin:{model}_{page}", args=[number]))
            assert (answer.status_code == 200) is (number in his), (page, answer.status_code)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("roster_classsession", "course__id__exact"),
        ("roster_student", "course"),
        ("recognition_studentface", "course"),
        ("checkin_attendance", "session__course__id__exact"),
    ],
)
def test_charlie_filters_for_nothing_of_alices(client, charlie, math, both_classes, model, path):
    """A filter that offers no choice is not applied: then the list is just as without it."""
    client.force_login(charlie)
    assert set(rows(client, model, **{path: math.pk})) <= set(rows(client, model))
    assert "MATH" not in client.get(list_of(model), {path: math.pk}).text


@pytest.mark.parametrize("model", LECTURERS_MODELS)
def test_charlie_searches_for_nothing_of_alices(client, charlie, both_classes, model):
    client.force_login(charlie)
    for hers in ("Eileen", "S-1", "MATH", "Linear"):
        assert set(rows(client, model, q=hers)) <= set(rows(client, model))
        assert "Collins" not in client.get(list_of(model), {"q": hers}).text


@pytest.mark.parametrize("source", [("courseenrolment", "student"), ("kiosk", "courses")])
def test_charlie_is_suggested_nothing_of_alices(client, charlie, both_classes, source):
    client.force_login(charlie)
    model_name, field_name = source
    app_label = "roster" if model_name == "courseenrolment" else "checkin"
    answer = client.get(
        reverse("admin:autocomplete"),
        {"app_label": app_label, "model_name": model_name, "field_name": field_name, "term": ""},
    )
    assert "Eileen" not in answer.text
    assert "MATH" not in answer.text
    own = "Dmitri Mendeleev (S-2)" if model_name == "courseenrolment" else "CHEM Organic Chemistry"
    assert [found["text"] for found in answer.json()["results"]] == [own]


def session_form(course: Course) -> dict[str, object]:
    return {
        "course": course.pk,
        "starts_at_0": "2026-03-02",
        "starts_at_1": "09:00",
        "ends_at_0": "2026-03-02",
        "ends_at_1": "10:30",
        "opens_early_min": 15,
        "late_after_min": 10,
    }


def test_alice_opens_a_session_of_her_course(as_alice, math):
    as_alice.post(reverse("admin:roster_classsession_add"), session_form(math))
    assert ClassSession.objects.get().course == math


def test_charlie_opens_no_session_of_alices_course(client, charlie, chem, math):
    client.force_login(charlie)
    address = reverse("admin:roster_classsession_add")
    assert "Linear Algebra" not in client.get(address).text
    answer = client.post(address, session_form(math))
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.text
    assert ClassSession.objects.count() == 0


def test_charlie_moves_no_session_into_alices_course(client, charlie, chem_session, math):
    client.force_login(charlie)
    address = reverse("admin:roster_classsession_change", args=[chem_session.pk])
    client.post(address, session_form(math))
    chem_session.refresh_from_db()
    assert chem_session.course.code == "CHEM"


def test_charlie_closes_no_session_of_alices(client, charlie, chem_session, math_session):
    client.force_login(charlie)
    client.post(
        list_of("roster_classsession"),
        {"action": "close_now", "_selected_action": [math_session.pk, chem_session.pk]},
    )
    math_session.refresh_from_db()
    chem_session.refresh_from_db()
    assert math_session.closed_at is None
    assert chem_session.closed_at is not None


def test_charlie_changes_no_student_and_no_course(client, charlie, chem, dmitri):
    client.force_login(charlie)
    for model, row in (("roster_student", dmitri), ("roster_course", chem)):
        assert client.post(reverse(f"admin:{model}_change", args=[row.pk])).status_code == 403
        assert client.get(reverse(f"admin:{model}_add")).status_code == 403
        delete = client.get(reverse(f"admin:{model}_delete", args=[row.pk]), follow=True)
        assert delete.status_code == 403


@pytest.mark.parametrize("model", ["accounts_user", "roster_room", "recognition_facetemplate"])
def test_charlie_adds_nothing_that_is_the_administrators(client, charlie, model):
    client.force_login(charlie)
    assert client.get(reverse(f"admin:{model}_add")).status_code == 403


def test_who_teaches_nothing_sees_nothing(client, both_classes, alice, math):
    math.lecturers.clear()
    client.force_login(alice)
    for model in LECTURERS_MODELS:
        assert rows(client, model) == []


def test_a_student_in_both_classes_is_listed_once(as_admin, alice, math, chem, client):
    chem.lecturers.add(alice)
    student = a_student("S-9", "Ada Lovelace", math, chem)
    client.force_login(alice)
    assert rows(client, "roster_student") == [student]
    assert rows(client, "recognition_studentface") == [student]


def test_an_attendance_list_of_a_deleted_kiosk_is_kept(as_admin, kiosk, math_session, eileen):
    an_attendance(math_session, eileen, kiosk=kiosk)
    kiosk.delete()
    assert [row.kiosk for row in rows(as_admin, "checkin_attendance")] == [None]
    assert Attendance.objects.count() == 1
