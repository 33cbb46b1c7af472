"""Two people send the same file at the same moment: each row is written once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from recognition.cohort.models import PhotoImportItem
from recognition.cohort.services import receive_photos, students_done
from recognition.models import FaceTemplate
from roster.models import Course, CourseEnrolment, Student
from tests.roster.by_file import confirm, preview_list
from tests.support import pictures
from tests.support.archives import a_zip
from tests.support.school import a_consent, a_student

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 4


def test_the_same_class_list_at_once_is_on_the_list_once(alice: User, math: Course) -> None:
    rows = [f"S-5{number:03},Student {number},s{number}@example.edu" for number in range(300)]
    class_list = "\n".join(["student_id,name,email", *rows])
    clients = [Client(raise_request_exception=False) for _ in range(AT_ONCE)]
    for client in clients:
        client.force_login(alice)
    # In turn: what a response was made of is known to one thread only.
    previews = [preview_list(client, math, class_list) for client in clients]
    ready = threading.Barrier(AT_ONCE)

    def send(number: int) -> int:
        try:
            ready.wait(60)
            return confirm(clients[number], previews[number]).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        statuses = list(threads.map(send, range(AT_ONCE)))
    assert set(statuses) <= {200, 302}, statuses
    assert 302 in statuses
    assert Student.objects.count() == len(rows)
    listed = CourseEnrolment.objects.filter(course=math).values_list("student__student_id")
    assert set(Counter(listed).values()) == {1}
    assert len(listed) == len(rows)


def test_the_same_photos_at_once_make_one_template_of_each_student(math: Course) -> None:
    students = [a_student(f"S-{number}", f"Student {number}", math) for number in range(3)]
    for student in students:
        a_consent(student)
    files = {f"{student.student_id}.jpg": pictures.portrait() for student in students}
    imports = [
        receive_photos(course=math, archive=a_zip(files), archive_name="cohort.zip")
        for _ in range(2)
    ]
    ready = threading.Barrier(2)

    def work(number: int) -> None:
        try:
            ready.wait(60)
            for _student in students_done(imports[number].pk):
                pass
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))
    assert Counter(FaceTemplate.objects.values_list("student", flat=True)) == {
        student.pk: 1 for student in students
    }
    states = Counter(PhotoImportItem.objects.values_list("state", flat=True))
    assert states == {"used": 3, "refused": 3}
    refused = PhotoImportItem.objects.filter(state="refused")
    assert set(refused.values_list("verdict", flat=True)) == {
        "This student can be recognised already."
    }
