"""Thirty-two clients at one moment: nobody is recorded twice, and nobody is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Model, QuerySet, UniqueConstraint

from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from checkin.services import Evidence, record_attendance
from recognition.models import FaceTemplate
from roster.models import ClassSession, Course
from tests.support.face_samples import an_embedding
from tests.support.school import a_session, a_student, a_template, utc

NINE = utc(2026, 3, 2, 9)
EVIDENCE = Evidence(model_id="dlib-resnet-v1", gallery_size=4)
CLIENTS = 32
STUDENTS = 4


@pytest.fixture
def session(math: Course) -> ClassSession:
    return a_session(math, starts_at=NINE, ends_at=NINE + timedelta(minutes=90))


@pytest.fixture
def templates(math: Course) -> list[FaceTemplate]:
    students = [a_student(f"S-9{number}", f"Nine {number}", math) for number in range(STUDENTS)]
    return [a_template(student, an_embedding(student.pk)) for student in students]


def everybody_at_once(
    kiosk: Kiosk, session: ClassSession, templates: list[FaceTemplate]
) -> Counter[Outcome]:
    """Each client records each student: four groups start with another one, then all meet.

    Between two students the clients wait for each other, so that they do collide.
    """
    ready = threading.Barrier(CLIENTS)

    def client(number: int) -> list[Outcome]:
        outcomes = []
        try:
            for turn in range(STUDENTS):
                apart = turn < STUDENTS // 2
                template = templates[(turn + number * apart) % STUDENTS]
                ready.wait(60)
                # Where there are doubles already, the outcome is missing and so tells of it.
                with suppress(Attendance.MultipleObjectsReturned):
                    result = record_attendance(
                        kiosk=kiosk,
                        sessions=[session],
                        template_id=template.pk,
                        evidence=EVIDENCE,
                        at=NINE,
                    )
                    outcomes.append(result.outcome)
        finally:
            connection.close()
        return outcomes

    with ThreadPoolExecutor(CLIENTS) as threads:
        return Counter(outcome for told in threads.map(client, range(CLIENTS)) for outcome in told)


def rows_of_a_student() -> set[int]:
    return set(Counter(Attendance.objects.values_list("student", flat=True)).values())


@contextmanager
def without(model: type[Model], name: str) -> Iterator[None]:
    constraint = next(one for one in model._meta.constraints if one.name == name)
    assert isinstance(constraint, UniqueConstraint)
    with connection.schema_editor() as editor:
        editor.remove_constraint(model, constraint)
    try:
        yield
    finally:
        model._base_manager.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(model, constraint)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, *args, **kwargs: rows.all())


@pytest.mark.django_db(transaction=True)
def test_thirty_two_clients_record_each_student_once_and_lose_none(kiosk, session, templates):
    outcomes = everybody_at_once(kiosk, session, templates)
    assert rows_of_a_student() == {1}
    assert Attendance.objects.count() == STUDENTS
    assert outcomes == {Outcome.PRESENT: STUDENTS, Outcome.ALREADY: (CLIENTS - 1) * STUDENTS}
    assert CheckinAttempt.objects.count() == CLIENTS * STUDENTS


# SQLite has one writer at a time, so nothing collides there, whatever is missing.
if connection.vendor == "postgresql":

    @pytest.mark.django_db(transaction=True)
    def test_the_constraint_alone_is_enough(kiosk, session, templates, without_locks):
        outcomes = everybody_at_once(kiosk, session, templates)
        assert rows_of_a_student() == {1}
        assert outcomes[Outcome.PRESENT] == STUDENTS
        assert outcomes.total() == CLIENTS * STUDENTS

    @pytest.mark.django_db(transaction=True)
    def test_control_without_constraint_and_lock_the_same_clients_record_students_twice(
        kiosk, session, templates, without_locks
    ):
        with without(Attendance, "checkin_attendance_once_per_session"):
            everybody_at_once(kiosk, session, templates)
            assert max(rows_of_a_student()) > 1
