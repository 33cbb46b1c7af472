"""What the database itself refuses, also when thirty-two threads try at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from checkin.models import Attendance, CheckinAttempt, Kiosk
from checkin.services import Evidence, record_attendance
from recognition.models import FaceTemplate
from roster.models import ClassSession
from tests.support.face_samples import an_embedding
from tests.support.school import a_template, an_attempt, an_attendance

THREADS = 32


def test_a_student_has_one_row_in_a_session(math_session, eileen):
    an_attendance(math_session, eileen)
    with pytest.raises(IntegrityError):
        an_attendance(math_session, eileen)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "asleep"},
        {"method": "rumour"},
        {"status": "present", "arrived_at": None},
        {"status": "late", "arrived_at": None},
    ],
)
def test_a_row_that_makes_no_sense_is_refused(math_session, eileen, fields):
    with pytest.raises(IntegrityError):
        an_attendance(math_session, eileen, **fields)


def test_nobody_leaves_before_arriving(math_session, eileen):
    now = timezone.now()
    with pytest.raises(IntegrityError):
        an_attendance(math_session, eileen, arrived_at=now, left_at=now - timedelta(seconds=1))


@pytest.mark.parametrize("status", ["absent", "excused"])
def test_who_did_not_come_has_no_arrival(math_session, eileen, status):
    an_attendance(math_session, eileen, status=status, method="manual", arrived_at=None)


def test_an_attempt_has_a_known_outcome(kiosk, math_session):
    with pytest.raises(IntegrityError):
        an_attempt(kiosk, math_session, outcome="perhaps")


@pytest.mark.django_db(transaction=True)
def test_many_scans_at_once_write_one_row(kiosk: Kiosk, math_session: ClassSession, eileen) -> None:
    template: FaceTemplate = a_template(eileen, an_embedding(1))
    at = timezone.now()
    together = Barrier(THREADS)

    def scan(_number: int) -> str:
        try:
            together.wait()
            return record_attendance(
                kiosk=kiosk,
                sessions=[math_session],
                template_id=template.pk,
                evidence=Evidence(model_id="m", gallery_size=1),
                at=at,
            ).outcome
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as threads:
        outcomes = list(threads.map(scan, range(THREADS)))

    assert sorted(outcomes) == ["already"] * (THREADS - 1) + ["present"]
    assert Attendance.objects.count() == 1
    assert CheckinAttempt.objects.count() == THREADS
