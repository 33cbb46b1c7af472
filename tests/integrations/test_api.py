"""What other systems read and write, and how they are told what is wrong."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.roles import ADMINISTRATOR
from checkin.models import Attendance, AttendanceChange, Kiosk
from checkin.retention import purge
from integrations.api.models import KeptAnswer
from integrations.api.pagination import cursor_after, position_of
from integrations.api.views.me import Me
from recognition.models import FaceRegistration, Resemblance
from roster.models import ClassSession, Course, CourseEnrolment, Room, Student
from tests.support.api import Api, all_pages, api_of
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_course,
    a_member,
    a_registration,
    a_session,
    a_student,
    an_attendance,
    utc,
)

pytestmark = pytest.mark.django_db


def problem(answer: Any) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["type"] == f"urn:rollcall:problem:{told['code']}"
    assert told["title"]
    assert told["detail"]
    return answer.status_code, told["code"]


def codes_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row["student"]["student_id"] for row in rows]


# Who sees what


def test_a_lecturers_system_sees_the_lecturers_courses_alone(
    as_alice_api: Api,
    math_session: ClassSession,
    chem_session: ClassSession,
    eileen: Student,
    dmitri: Student,
) -> None:
    an_attendance(math_session, eileen)
    an_attendance(chem_session, dmitri)
    own, foreign = math_session.course_id, chem_session.course_id
    assert [row["code"] for row in all_pages(as_alice_api, "courses/")] == ["MATH"]
    assert [row["student_id"] for row in all_pages(as_alice_api, "students/")] == ["S-1"]
    assert [row["id"] for row in all_pages(as_alice_api, "sessions/")] == [math_session.pk]
    assert codes_of(all_pages(as_alice_api, "attendance/")) == ["S-1"]
    for path in (
        f"courses/{foreign}/",
        f"courses/{foreign}/students/",
        f"students/{dmitri.pk}/",
        f"sessions/{chem_session.pk}/",
        f"sessions/{chem_session.pk}/attendance/{dmitri.pk}/",
        f"sessions/{math_session.pk}/attendance/{dmitri.pk}/",
        f"reports/courses/{foreign}/",
        f"reports/students/{dmitri.pk}/",
        f"reports/sessions/{chem_session.pk}/",
    ):
        assert problem(as_alice_api.get(path)) == (404, "not_found"), path
    assert all_pages(as_alice_api, "students/", course=foreign) == []
    assert as_alice_api.get(f"courses/{own}/").json()["lecturers"] == ["alice"]


def test_no_answer_has_what_logs_a_kiosk_in(
    as_administrator_api: Api, kiosk: Kiosk, token: str
) -> None:
    answer = as_administrator_api.get(f"kiosks/{kiosk.pk}/")
    told = answer.json()
    assert (told["name"], told["has_token"], told["is_online"]) == ("Door of 101", True, False)
    kiosk.refresh_from_db()
    assert token not in answer.text
    assert str(kiosk.token_hash) not in answer.text
    Kiosk.objects.update(last_seen_at=timezone.now())
    assert all_pages(as_administrator_api, "kiosks/")[0]["is_online"] is True


def test_registrations_are_told_without_pictures_and_drafts(
    as_alice_api: Api, eileen: Student, dmitri: Student, math: Course
) -> None:
    pending = a_registration(eileen, an_embedding(1))
    a_registration(dmitri, an_embedding(2))
    draft = a_registration(
        a_student("S-3", "Dora Draft", math), an_embedding(3), status="draft", submitted_at=None
    )
    rows = all_pages(as_alice_api, "registrations/")
    assert [row["id"] for row in rows] == [pending.pk]
    assert set(rows[0]) == {
        *("id", "student", "status", "origin", "is_double"),
        *("created_at", "submitted_at", "decided_at", "reason"),
    }
    assert as_alice_api.get(f"registrations/{draft.pk}/").status_code == 404


# Filters and pages


def test_pages_follow_each_other_while_rows_come_and_go(
    as_registrar_api: Api, math: Course
) -> None:
    students = [a_student(f"P-{at}", f"Person {at}", math) for at in range(5)]
    in_order = [student.pk for student in students]
    first = as_registrar_api.get("students/", {"limit": 2}).json()
    students[0].delete()
    late = a_student("P-9", "Late Comer", math)
    second = as_registrar_api.get("students/", {"limit": 2, "cursor": first["next_cursor"]}).json()
    third = as_registrar_api.get("students/", {"limit": 2, "cursor": second["next_cursor"]}).json()
    seen = [row["id"] for page in (first, second, third) for row in page["results"]]
    assert seen == [*in_order, late.pk]
    assert (third["next"], third["next_cursor"]) == (None, None)
    assert first["next"].startswith("http://testserver/api/v1/students/?limit=2&cursor=c")


def test_a_cursor_is_its_place() -> None:
    assert position_of(cursor_after(255)) == 255


def test_today_is_the_day_on_the_clocks_of_the_course(as_registrar_api: Api) -> None:
    far_east = a_course("EAST", timezone="Pacific/Auckland")
    student = a_student("S-5", "Kiri", far_east)
    session = a_session(far_east, starts_at=utc(2026, 3, 2, 20))  # 3 March, 9:00 there
    an_attendance(session, student)
    assert len(all_pages(as_registrar_api, "attendance/", day="2026-03-03")) == 1
    assert all_pages(as_registrar_api, "attendance/", day="2026-03-02") == []
    assert len(all_pages(as_registrar_api, "sessions/", since="2026-03-03")) == 1
    assert all_pages(as_registrar_api, "sessions/", until="2026-03-02") == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"status": "late"}, ["S-2"]),
        ({"student_id": "S-1"}, ["S-1"]),
        ({"course": "chem"}, ["S-2"]),
        ({"session": "math"}, ["S-1"]),
        ({"student": "dmitri"}, ["S-2"]),
    ],
    ids=lambda value: str(value),
)
def test_attendance_is_narrowed(
    as_registrar_api: Api,
    math_session: ClassSession,
    chem_session: ClassSession,
    eileen: Student,
    dmitri: Student,
    asked: dict[str, Any],
    found: list[str],
) -> None:
    an_attendance(math_session, eileen)
    an_attendance(chem_session, dmitri, status="late")
    ids = {"chem": chem_session.course_id, "math": math_session.pk, "dmitri": dmitri.pk}
    named = {name: ids.get(value, value) for name, value in asked.items()}
    assert codes_of(all_pages(as_registrar_api, "attendance/", **named)) == found


def test_the_class_list_of_a_day(as_alice_api: Api, math: Course, eileen: Student) -> None:
    left = a_student("S-3", "Left Early", math)
    CourseEnrolment.objects.filter(student=left).update(left_on="2026-03-01")
    path = f"courses/{math.pk}/students/"
    assert codes_of(all_pages(as_alice_api, path)) == ["S-1", "S-3"]
    assert codes_of(all_pages(as_alice_api, path, on="2026-03-01")) == ["S-1"]
    assert codes_of(all_pages(as_alice_api, path, on="2026-02-28")) == ["S-1", "S-3"]


# ETags


def test_what_is_known_is_not_sent_again(as_alice_api: Api, eileen: Student) -> None:
    path = f"students/{eileen.pk}/"
    first = as_alice_api.get(path)
    again = as_alice_api.get(path, if_none_match=first.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    Student.objects.update(name="Eileen M. Collins")
    assert as_alice_api.get(path, if_none_match=first.headers["ETag"]).status_code == 200


def test_a_change_of_what_somebody_else_changed_is_refused(
    as_administrator_api: Api, eileen: Student
) -> None:
    path = f"students/{eileen.pk}/"
    seen = as_administrator_api.get(path).headers["ETag"]
    first = as_administrator_api.write("PATCH", path, {"name": "A"}, if_match=seen)
    assert (first.status_code, first.json()["name"]) == (200, "A")
    late = as_administrator_api.write("PATCH", path, {"name": "B"}, if_match=seen)
    assert problem(late) == (412, "changed_meanwhile")
    eileen.refresh_from_db()
    assert eileen.name == "A"
    assert "name" in LogEntry.objects.get().get_change_message()


# Marks


def mark_path(session: ClassSession, student: Student) -> str:
    return f"sessions/{session.pk}/attendance/{student.pk}/"


def test_a_mark_is_kept_with_who_made_it(
    as_alice_api: Api, alice: User, math_session: ClassSession, eileen: Student
) -> None:
    path = mark_path(math_session, eileen)
    assert as_alice_api.get(path).json()["status"] is None
    marked = as_alice_api.write("PUT", path, {"status": "present"})
    assert (marked.status_code, marked.json()["method"]) == (200, "manual")
    assert AttendanceChange.objects.get().by == alice
    assert as_alice_api.get(path).json() == marked.json()


def test_a_mark_does_not_overwrite_what_a_kiosk_recorded_meanwhile(
    as_alice_api: Api, math_session: ClassSession, eileen: Student
) -> None:
    path = mark_path(math_session, eileen)
    seen = as_alice_api.get(path).headers["ETag"]
    an_attendance(math_session, eileen)
    answer = as_alice_api.write("PUT", path, {"status": "excused", "reason": "Ill"}, if_match=seen)
    assert problem(answer) == (412, "changed_meanwhile")
    assert Attendance.objects.get().status == "present"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "gone"}, (400, "invalid_request")),
        ({"status": "excused"}, (409, "not_possible")),
        ({"status": "present", "note": "x"}, (400, "invalid_request")),
        ({}, (400, "invalid_request")),
        ([], (400, "invalid_request")),
    ],
    ids=str,
)
def test_a_mark_that_is_not_possible_says_why(
    as_alice_api: Api,
    math_session: ClassSession,
    eileen: Student,
    body: Any,
    expected: tuple[int, str],
) -> None:
    assert problem(as_alice_api.write("PUT", mark_path(math_session, eileen), body)) == expected
    assert not Attendance.objects.exists()


def test_a_registrar_reads_and_does_not_mark(
    as_registrar_api: Api, math_session: ClassSession, eileen: Student
) -> None:
    answer = as_registrar_api.write("PUT", mark_path(math_session, eileen), {"status": "present"})
    assert problem(answer) == (403, "not_permitted")


# Registrations


def decide(api: Api, registration: FaceRegistration, **body: str) -> Any:
    return api.write("POST", f"registrations/{registration.pk}/decision/", body)


def test_a_registration_is_approved_and_makes_a_template(
    as_alice_api: Api, eileen: Student
) -> None:
    registration = a_registration(eileen, an_embedding(1))
    answer = decide(as_alice_api, registration, decision="approve")
    assert (answer.status_code, answer.json()["status"]) == (200, "approved")
    assert eileen.face_templates.filter(revoked_at=None).count() == 1
    assert problem(decide(as_alice_api, registration, decision="approve")) == (409, "not_possible")


def test_a_rejection_needs_a_reason(as_alice_api: Api, eileen: Student) -> None:
    registration = a_registration(eileen, an_embedding(1))
    assert decide(as_alice_api, registration, decision="reject").status_code == 409
    answer = decide(as_alice_api, registration, decision="reject", reason="Too dark")
    assert (answer.json()["status"], answer.json()["reason"]) == ("rejected", "Too dark")


def test_a_face_like_another_accounts_is_decided_at_the_desk(
    as_alice_api: Api, eileen: Student, dmitri: Student
) -> None:
    registration = a_registration(eileen, an_embedding(1))
    Resemblance.objects.create(student=eileen, other=dmitri, similarity=0.99, kind="same_face")
    assert problem(decide(as_alice_api, registration, decision="approve"))[0] == 409
    assert decide(as_alice_api, registration, decision="reject", reason="No").status_code == 200


def test_foreign_registrations_are_not_decided(as_alice_api: Api, dmitri: Student) -> None:
    registration = a_registration(dmitri, an_embedding(1))
    assert decide(as_alice_api, registration, decision="approve").status_code == 404


# Class lists


def roster_row(number: str, name: str, email: str = "") -> dict[str, str]:
    return {"student_id": number, "name": name, "email": email}


def upload(api: Api, course: Course, rows: list[dict[str, Any]], **more: Any) -> Any:
    return api.write("PUT", f"courses/{course.pk}/students/", {"students": rows, **more})


def test_the_same_class_list_twice_changes_nothing(
    as_alice_api: Api, math: Course, eileen: Student
) -> None:
    rows = [roster_row("S-1", "Eileen Collins"), roster_row("S-7", "Ada", "ada@example.edu")]
    assert upload(as_alice_api, math, rows).json() == {
        "created": 1, "changed": 0, "unchanged": 1, "ended": 0,
    }  # fmt: skip
    assert upload(as_alice_api, math, rows).json()["unchanged"] == 2
    assert Student.objects.get(student_id="S-1").email == "eileen@example.edu"
    assert LogEntry.objects.count() == 1


def test_who_is_missing_leaves_only_if_asked(
    as_alice_api: Api, math: Course, eileen: Student
) -> None:
    rows = [roster_row("S-7", "Ada")]
    upload(as_alice_api, math, rows)
    assert math.enrolments.filter(left_on=None).count() == 2
    assert upload(as_alice_api, math, rows, end_missing=True).json()["ended"] == 1
    assert math.enrolments.get(left_on=None).student.student_id == "S-7"


def test_one_wrong_row_keeps_all_out_and_each_is_told_with_its_place(
    as_alice_api: Api, math: Course, dmitri: Student
) -> None:
    rows = [
        roster_row("S-7", "Ada", "ada@example.edu"),
        roster_row("S-2", "Somebody Else"),
        roster_row("S-8", "=SUM(A1)", "not an address"),
        roster_row("S-9", "Bob", "not an address"),
    ]
    answer = upload(as_alice_api, math, rows)
    assert problem(answer) == (422, "rows_refused")
    told = [(error["row"], error["column"], error["pointer"]) for error in answer.json()["errors"]]
    assert told == [
        (1, "name", "/students/1/name"),
        (2, "name", "/students/2/name"),
        (3, "email", "/students/3/email"),
    ]
    assert not Student.objects.filter(student_id="S-7").exists()
    assert math.enrolments.count() == 0


def test_a_foreign_class_list_is_not_there(as_alice_api: Api, chem: Course) -> None:
    assert upload(as_alice_api, chem, [roster_row("S-7", "Ada")]).status_code == 404


# Keys that make a repetition harmless


def test_the_same_key_is_answered_as_before_and_nothing_is_done_twice(
    as_alice_api: Api, math_session: ClassSession, eileen: Student
) -> None:
    path, key = mark_path(math_session, eileen), str(uuid4())
    first = as_alice_api.write("PUT", path, {"status": "present"}, idempotency_key=key)
    Attendance.objects.update(status="late")
    again = as_alice_api.write("PUT", path, {"status": "present"}, idempotency_key=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert AttendanceChange.objects.count() == 1


def test_a_key_is_good_for_one_request_of_one_client(
    as_alice_api: Api, alice: User, math_session: ClassSession, eileen: Student
) -> None:
    path = mark_path(math_session, eileen)
    as_alice_api.write("PUT", path, {"status": "present"}, idempotency_key="k")
    other = as_alice_api.write("PUT", path, {"status": "late", "reason": "x"}, idempotency_key="k")
    assert problem(other) == (422, "key_used_before")
    of_another_client = api_of(alice).write(
        "PUT", path, {"status": "late", "reason": "x"}, idempotency_key="k"
    )
    assert of_another_client.status_code == 200


def test_a_refused_write_may_be_tried_again_with_its_key(
    as_alice_api: Api, math_session: ClassSession, eileen: Student
) -> None:
    path, body = mark_path(math_session, eileen), {"status": "present"}
    tomorrow = timezone.now() + timedelta(days=1)
    ClassSession.objects.update(starts_at=tomorrow, ends_at=tomorrow + timedelta(hours=1))
    assert as_alice_api.write("PUT", path, body, idempotency_key="k").status_code == 409
    ClassSession.objects.update(starts_at=timezone.now())
    answer = as_alice_api.write("PUT", path, body, idempotency_key="k")
    assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (200, False)


@pytest.mark.parametrize("key", ["", "x" * 256, "with space"])
def test_what_is_no_key_is_refused(as_administrator_api: Api, eileen: Student, key: str) -> None:
    answer = as_administrator_api.write(
        "PATCH", f"students/{eileen.pk}/", {"name": "A"}, idempotency_key=key
    )
    assert problem(answer) == (400, "invalid_request")


def test_keys_and_answers_cannot_be_read_in_the_database_and_end_after_a_day(
    as_administrator_api: Api, eileen: Student
) -> None:
    path, key = f"students/{eileen.pk}/", "a-key-of-mine"
    as_administrator_api.write("PATCH", path, {"name": "Private Name"}, idempotency_key=key)
    kept = KeptAnswer.objects.get()
    assert kept.student == eileen
    assert key not in repr(vars(kept))
    assert b"Private Name" not in bytes(kept.sealed_body)

    KeptAnswer.objects.update(at=timezone.now() - timedelta(hours=25))
    other = as_administrator_api.write("PATCH", path, {"name": "B"}, idempotency_key=key)
    assert other.json()["name"] == "B"
    purge(timezone.now() + timedelta(hours=25))
    assert not KeptAnswer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_with_one_key_make_one_change(
    math_session: ClassSession, eileen: Student, alice: User
) -> None:
    api, path = api_of(alice), mark_path(math_session, eileen)
    start, answers = threading.Barrier(8), []

    def send() -> None:
        own = Api(api.token)
        start.wait()
        answers.append(own.write("PUT", path, {"status": "present"}, idempotency_key="k"))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert AttendanceChange.objects.count() == 1


# Events


def test_events_are_read_on_from_a_cursor_and_only_those_of_the_own_courses(
    as_alice_api: Api,
    math_session: ClassSession,
    chem_session: ClassSession,
    eileen: Student,
    dmitri: Student,
    charlie: User,
) -> None:
    start = as_alice_api.get("events/").json()["next_cursor"]
    as_alice_api.write("PUT", mark_path(math_session, eileen), {"status": "present"})
    api_of(charlie).write("PUT", mark_path(chem_session, dmitri), {"status": "present"})
    page = as_alice_api.get("events/", {"cursor": start, "limit": 1}).json()
    told = [event["data"]["student_id"] for event in page["results"]]
    assert (told, page["more"]) == (["S-1"], False)
    again = as_alice_api.get("events/", {"cursor": page["next_cursor"]}).json()
    assert (again["results"], again["next_cursor"]) == ([], page["next_cursor"])


def test_a_cursor_of_events_that_were_deleted_or_never_came_says_what_to_do(
    registrar: User, math_session: ClassSession, eileen: Student, as_alice_api: Api
) -> None:
    for status in ("present", "late", "absent"):
        as_alice_api.write(
            "PUT", mark_path(math_session, eileen), {"status": status, "reason": "x"}
        )
    ahead = api_of(registrar).get("events/", {"cursor": "cffff"})
    assert problem(ahead) == (422, "out_of_range")
    api_of(registrar).get("events/")
    purge(timezone.now() + timedelta(days=4000))
    late = api_of(registrar).get("events/", {"cursor": "c1"})
    assert problem(late) == (410, "cursor_expired")


# Bad input


@pytest.mark.parametrize(
    "asked",
    [
        {"cursor": "x"},
        {"cursor": "c"},
        {"cursor": "cffffffffffffffff"},
        {"cursor": "C1"},
        {"limit": 0},
        {"limit": 501},
        {"limit": "many"},
        {"course": 0},
        {"course": 2**63},
        {"name": "Ada"},
        {"student_id": "\x00"},
    ],
    ids=str,
)
def test_addresses_that_ask_for_what_is_not_there_are_refused(
    as_registrar_api: Api, asked: dict[str, Any]
) -> None:
    answer = as_registrar_api.get("students/", asked)
    assert problem(answer) == (400, "invalid_request")
    assert [error["parameter"] for error in answer.json()["errors"]] == list(asked)


@pytest.mark.parametrize("path", ["students/99999999999999999999999999/", "students/x/", "x", ""])
def test_addresses_that_lead_nowhere_are_problems_too(as_registrar_api: Api, path: str) -> None:
    assert problem(as_registrar_api.get(path)) == (404, "not_found")


def test_a_page_beyond_the_last_row_is_empty(as_registrar_api: Api) -> None:
    page = as_registrar_api.get("students/", {"cursor": "c" + "f" * 15}).json()
    assert page == {"results": [], "next": None, "next_cursor": None}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": ' + b"[" * 100_000,
        b'{"name": ' + b"9" * 10_000 + b"}",
        b'{"name": ["a"]}',
        b'{"name": "  "}',
        b'{"name": null}',
        b'{"email": "no address"}',
        b'{"student_id": "S-8"}',
        b"[]",
        b'"name"',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_bodies_that_are_not_as_described_are_refused(
    as_administrator_api: Api, eileen: Student, body: bytes
) -> None:
    answer = as_administrator_api.write("PATCH", f"students/{eileen.pk}/", body)
    assert problem(answer) == (400, "invalid_request")
    eileen.refresh_from_db()
    assert eileen.name == "Eileen Collins"


def test_a_body_of_50_mb_is_refused(as_administrator_api: Api, eileen: Student) -> None:
    body = b'{"name": "' + b"x" * 50_000_000 + b'"}'
    answer = as_administrator_api.write("PATCH", f"students/{eileen.pk}/", body)
    assert problem(answer) == (413, "too_large")


def test_a_body_that_does_not_say_its_size_is_refused(
    as_administrator_api: Api, eileen: Student
) -> None:
    answer = as_administrator_api.write(
        "PATCH", f"students/{eileen.pk}/", {"name": "A"}, transfer_encoding="chunked"
    )
    assert problem(answer) == (400, "invalid_request")


def test_too_many_rows_are_refused(as_alice_api: Api, math: Course) -> None:
    rows = [roster_row(f"N-{at}", "Ada") for at in range(5001)]
    assert problem(upload(as_alice_api, math, rows)) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"since": "2016-01-01", "until": "2026-01-01"}, (422, "out_of_range")),
        ({"since": "2026-03-02", "until": "2026-03-01"}, (422, "out_of_range")),
        ({"until": "0001-01-01"}, (422, "out_of_range")),
        ({"since": "9999-12-31"}, (422, "out_of_range")),
        ({"since": "yesterday"}, (400, "invalid_request")),
        ({"since": "2025-01-01", "until": "2026-02-04"}, None),
    ],
    ids=str,
)
def test_a_report_covers_400_days(
    as_registrar_api: Api, asked: dict[str, str], expected: tuple[int, str] | None
) -> None:
    answer = as_registrar_api.get("reports/term/", asked)
    assert (problem(answer) if expected else answer.status_code) == (expected or 200)


def test_other_forms_of_bodies_and_answers_are_refused(
    as_administrator_api: Api, eileen: Student
) -> None:
    path = f"students/{eileen.pk}/"
    asked = as_administrator_api.get(path, accept="text/html")
    assert problem(asked) == (406, "not_acceptable")
    sent = as_administrator_api.write("PATCH", path, b"<name/>", content_type="text/xml")
    assert problem(sent) == (415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"])
def test_methods_that_an_address_has_not_are_refused(
    as_administrator_api: Api, eileen: Student, method: str
) -> None:
    answer = as_administrator_api.write(method, f"students/{eileen.pk}/", {})
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, PATCH"


def test_a_fault_of_ours_is_a_problem_without_its_details(
    as_registrar_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(view: Me, request: HttpRequest) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(Me, "get", broken)
    answer = as_registrar_api.get("me/")
    assert problem(answer) == (500, "server_error")
    assert "disk" not in answer.text
    assert "the disk is full" in caplog.text


def test_a_client_that_calls_too_often_is_told_when_to_go_on(
    as_registrar_api: Api, as_administrator_api: Api, settings: Settings
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 2
    # The minute may turn over once between the calls.
    answers = [as_registrar_api.get("me/") for _ in range(6)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert problem(refused[-1]) == (429, "too_many_requests")
    assert 1 <= int(refused[-1].headers["Retry-After"]) <= 60
    assert as_administrator_api.get("me/").status_code == 200


def test_answers_are_for_the_one_who_asked(as_registrar_api: Api) -> None:
    headers = as_registrar_api.get("me/").headers
    assert headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in headers["Vary"]


# How much the database is asked


def a_school(students: int) -> tuple[Course, ClassSession]:
    """Everything that the lists show, so many times."""
    course = a_course("BIG", a_member(ADMINISTRATOR, "big-lecturer"))
    room = Room.objects.create(name="Hall")
    sessions = [a_session(course, room=room) for _ in range(students)]
    ClassSession.objects.filter(pk__in=[one.pk for one in sessions[1:]]).update(
        closed_at=timezone.now()
    )
    for at in range(students):
        student = a_student(f"B-{at}", f"Person {at}", course)
        an_attendance(sessions[0], student)
        an_attendance(sessions[-1], student)
        a_registration(student, an_embedding(at))
        Kiosk.objects.create(name=f"Kiosk {at}", room=room).courses.add(course)
        a_course(f"C-{at}").lecturers.add(course.lecturers.get())
    return course, sessions[0]


#: Path and how many queries it takes, whatever the number of rows: one for the token, one for its
#: account's own permissions and one for those of its roles, and those of the answer.
QUERIES = {
    "me/": 3,
    "students/": 4,
    "students/{student}/": 4,
    "courses/": 5,
    "courses/{course}/": 5,
    "courses/{course}/students/": 5,
    "rooms/": 4,
    "sessions/": 4,
    "sessions/{session}/": 4,
    "sessions/{session}/attendance/{student}/": 5,
    "attendance/": 4,
    "attendance/?day=2026-03-02": 5,
    "registrations/": 4,
    "registrations/{registration}/": 4,
    "events/": 6,
    "kiosks/": 5,
    "kiosks/{kiosk}/": 5,
    "reports/term/": 10,
    "reports/courses/{course}/": 11,
    "reports/students/{student}/": 6,
    "reports/sessions/{session}/": 6,
}


@pytest.mark.parametrize("size", [2, 12])
def test_each_address_asks_the_database_equally_often_whatever_it_answers(
    as_administrator_api: Api, size: int
) -> None:
    course, session = a_school(size)
    student = Student.objects.earliest("pk")
    ids = {
        "course": course.pk,
        "session": session.pk,
        "student": student.pk,
        "registration": FaceRegistration.objects.earliest("pk").pk,
        "kiosk": Kiosk.objects.earliest("pk").pk,
    }
    as_administrator_api.get("me/")  # its use is noted once a minute
    asked = {}
    for path in QUERIES:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = as_administrator_api.get(path.format(**ids))
        assert answer.status_code == 200, (path, answer.text)
        asked[path] = len(queries)
    assert asked == QUERIES
