"""Attendance from class photos, from the picture to the confirmed rows."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from checkin.class_photo.models import ClassPhoto, FoundFace
from checkin.class_photo.services import (
    ClassPhotoRefusedError,
    add_class_photo,
    class_photos_before,
    confirm_class_photos,
    review_of,
)
from checkin.marking import undo
from checkin.models import Attendance, AttendanceChange
from recognition.engine.types import Embedding
from recognition.sealing import TemplateUnreadableError
from recognition.services import withdraw_consent
from roster.models import ClassSession, Course, Student
from tests.support import pictures
from tests.support.portraits import as_jpeg, astronaut
from tests.support.school import a_member, a_session, a_student, a_template, an_attendance

#: Eileen's head alone: a pattern on her suit is now and then taken for a second face.
HEAD = as_jpeg(astronaut()[:300])
NOT_HERS = np.eye(1, 128, dtype=np.float32)[0]


@pytest.fixture
def eileen_enrolled(eileen: Student, astronaut_embedding: Embedding) -> Student:
    a_template(eileen, astronaut_embedding)
    return eileen


@pytest.fixture
def wernher(math: Course) -> Student:
    """In the class, recognisable, and in no picture."""
    student = a_student("S-7", "Wernher Braun", math)
    a_template(student, NOT_HERS)
    return student


@pytest.fixture
def ada(math: Course) -> Student:
    """In the class, without consent."""
    return a_student("S-8", "Ada Lovelace", math)


def page_of(session: ClassSession) -> str:
    return reverse("admin:checkin_classphoto_review", args=[session.pk])


def to(session: ClassSession, what: str) -> str:
    names = {"add": "add_to", "confirm": "confirm", "discard": "discard"}
    return reverse(f"admin:checkin_classphoto_{names[what]}", args=[session.pk])


def send(client: Client, session: ClassSession, *contents: bytes) -> str:
    files = [SimpleUploadedFile(f"{number}.jpg", one) for number, one in enumerate(contents, 1)]
    answer = client.post(to(session, "add"), {"pictures": files}, follow=True)
    return answer.content.decode()


def confirm_as_shown(client: Client, session: ClassSession, **instead: object) -> str:
    """Press the button of the page without a correction, or with some."""
    html = client.get(page_of(session)).content.decode()
    fields: dict[str, object] = {
        "shown": re.findall(r'name="shown" value="(\d+)"', html),
        "present": re.findall(r'name="present" value="(\d+)" checked', html),
    }
    for name, options in re.findall(r'<select id="[^"]+" name="([^"]+)"(.*?)</select>', html, re.S):
        chosen = re.search(r'value="(\d+)" selected', options)
        fields[name] = chosen.group(1) if chosen else ""
    answer = client.post(to(session, "confirm"), {**fields, **instead}, follow=True)
    return answer.content.decode()


def a_photo(session: ClassSession, *students: Student | None, digest: str = "a") -> ClassPhoto:
    """It waits, with a face for each of the students."""
    photo = ClassPhoto(session=session, digest=digest, width=800, height=600)
    photo.seal(
        picture_jpeg=b"a JPEG",
        faces=[
            FoundFace(
                left=100 * number,
                top=50,
                right=100 * number + 80,
                bottom=130,
                student=student.pk if student else None,
                doubtful=False,
                similarity=0.97 if student else 0.8,
                similar=(),
            )
            for number, student in enumerate(students)
        ],
    )
    photo.save()
    return photo


# From the picture to the page


def test_who_is_in_the_picture_is_present_and_the_others_are_absent(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student, wernher: Student
):
    html = send(as_alice, math_session, pictures.portrait())

    assert '<strong id="count-present">1</strong>' in html
    assert '<strong id="count-absent">1</strong>' in html
    review = review_of(math_session)
    assert [line.student for line in review.present] == [eileen_enrolled]
    assert [line.student for line in review.absent] == [wernher]


def test_nothing_is_recorded_before_the_confirmation(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    send(as_alice, math_session, pictures.portrait())

    assert not Attendance.objects.exists()
    assert not AttendanceChange.objects.exists()


def test_the_confirmation_records_who_is_present_and_deletes_the_pictures(
    as_alice: Client,
    alice: User,
    math_session: ClassSession,
    eileen_enrolled: Student,
    wernher: Student,
):
    send(as_alice, math_session, pictures.portrait())
    photo = ClassPhoto.objects.get()
    html = confirm_as_shown(as_alice, math_session)

    row = Attendance.objects.get()
    assert (row.student, row.status, row.method) == (eileen_enrolled, "present", "photo")
    assert row.arrived_at == photo.uploaded_at
    assert not ClassPhoto.objects.exists()
    assert "1 student was recorded" in html
    assert AttendanceChange.objects.get().by == alice


def test_a_mark_from_a_picture_can_be_undone(
    as_alice: Client, alice: User, math_session: ClassSession, eileen_enrolled: Student
):
    send(as_alice, math_session, pictures.portrait())
    confirm_as_shown(as_alice, math_session)
    undo(change=AttendanceChange.objects.get(), by=alice, at=timezone.now())

    assert not Attendance.objects.exists()


def test_everybody_is_absent_is_said_plainly(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    html = send(as_alice, math_session, pictures.nobody())

    assert 'id="everybody-absent"><strong>Everybody is absent.</strong>' in html
    assert "1.jpg: no face was found in it." in html
    assert "Nobody was added" in confirm_as_shown(as_alice, math_session)
    assert not Attendance.objects.exists()


def test_a_stranger_has_a_face_and_no_name(
    as_alice: Client, math_session: ClassSession, wernher: Student
):
    html = send(as_alice, math_session, HEAD)

    assert '<strong id="count-unknown">1</strong>' in html
    assert "Everybody is absent." in html


def test_several_pictures_count_together(
    as_alice: Client,
    math_session: ClassSession,
    eileen_enrolled: Student,
    wernher: Student,
):
    a_photo(math_session, wernher)
    send(as_alice, math_session, pictures.portrait())
    confirm_as_shown(as_alice, math_session)

    assert {row.student for row in Attendance.objects.all()} == {eileen_enrolled, wernher}


def test_the_best_match_of_a_student_is_shown(math_session: ClassSession, eileen_enrolled: Student):
    a_photo(math_session, None, eileen_enrolled)
    better = ClassPhoto(session=math_session, digest="b", width=10, height=10)
    better.seal(
        picture_jpeg=b"",
        faces=[
            FoundFace(
                left=0,
                top=0,
                right=5,
                bottom=5,
                student=eileen_enrolled.pk,
                doubtful=False,
                similarity=0.99,
                similar=(),
            )
        ],
    )
    better.save()
    (line,) = review_of(math_session).lines

    assert (line.photo, line.similarity) == (2, 0.99)


# What counts and what does not


def test_an_earlier_arrival_is_kept(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    earlier = an_attendance(math_session, eileen_enrolled)
    html = send(as_alice, math_session, pictures.portrait())
    confirm_as_shown(as_alice, math_session, present=[eileen_enrolled.pk])

    assert "recorded before: present, face" in html
    row = Attendance.objects.get()
    assert (row.method, row.arrived_at) == ("face", earlier.arrived_at)
    assert not AttendanceChange.objects.exists()


def test_an_excuse_is_kept(as_alice: Client, math_session: ClassSession, eileen_enrolled: Student):
    an_attendance(math_session, eileen_enrolled, status="excused", arrived_at=None)
    send(as_alice, math_session, pictures.portrait())
    confirm_as_shown(as_alice, math_session, present=[eileen_enrolled.pk])

    assert Attendance.objects.get().status == "excused"


def test_late_is_told_by_the_time_at_which_the_picture_arrived(
    as_alice: Client, math: Course, eileen_enrolled: Student
):
    session = a_session(math, starts_at=timezone.now() - timedelta(minutes=30))
    send(as_alice, session, pictures.portrait())
    confirm_as_shown(as_alice, session)

    assert Attendance.objects.get().status == "late"


def test_of_two_pictures_the_first_that_shows_somebody_tells_when_they_came(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student, wernher: Student
):
    first = a_photo(math_session, eileen_enrolled, digest="a")
    second = a_photo(math_session, eileen_enrolled, wernher, digest="b")
    ClassPhoto.objects.filter(pk=second.pk).update(
        uploaded_at=math_session.late_from + timedelta(minutes=1)
    )
    confirm_as_shown(as_alice, math_session)

    came = {row.student: row for row in Attendance.objects.all()}
    assert (came[eileen_enrolled].status, came[wernher].status) == ("present", "late")
    assert came[eileen_enrolled].arrived_at == first.uploaded_at


def test_without_consent_a_student_can_be_marked_by_hand_only(
    as_alice: Client, math_session: ClassSession, ada: Student
):
    html = send(as_alice, math_session, pictures.portrait())
    confirm_as_shown(as_alice, math_session, present=[ada.pk])

    assert "cannot be recognised: mark by hand" in html
    assert Attendance.objects.get().method == "manual"


def test_a_withdrawn_consent_takes_the_name_off_the_face(
    math_session: ClassSession, eileen_enrolled: Student
):
    a_photo(math_session, eileen_enrolled)
    withdraw_consent(student=eileen_enrolled)
    review = review_of(math_session)

    assert review.unknown_faces == 1
    assert not review.present


def test_a_face_given_to_another_student_records_that_one(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student, ada: Student
):
    photo = a_photo(math_session, eileen_enrolled)
    corrected = {f"face-{photo.pk}-1": str(ada.pk), "present": [ada.pk]}
    confirm_as_shown(as_alice, math_session, **corrected)

    row = Attendance.objects.get()
    assert (row.student, row.method) == (ada, "photo")


def test_nobody_has_two_faces_in_one_picture(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    photo = a_photo(math_session, eileen_enrolled, None)
    html = confirm_as_shown(
        as_alice, math_session, **{f"face-{photo.pk}-2": str(eileen_enrolled.pk)}
    )

    assert "Somebody has two faces in one picture" in html
    assert not Attendance.objects.exists()


def test_a_student_of_another_course_is_not_recorded(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student, dmitri: Student
):
    a_photo(math_session, eileen_enrolled)
    confirm_as_shown(as_alice, math_session, present=[dmitri.pk])

    assert not Attendance.objects.exists()


def test_pictures_that_came_meanwhile_are_looked_at_first(
    alice: User, math_session: ClassSession, eileen_enrolled: Student
):
    seen = a_photo(math_session, eileen_enrolled)
    a_photo(math_session, digest="meanwhile")
    with pytest.raises(ClassPhotoRefusedError, match="not the same any more"):
        confirm_class_photos(
            math_session,
            by=alice,
            at=timezone.now(),
            shown=[seen.pk],
            present={eileen_enrolled.pk},
            faces={},
        )

    assert not Attendance.objects.exists()


def test_a_second_confirmation_changes_nothing(
    alice: User, math_session: ClassSession, eileen_enrolled: Student
):
    photo = a_photo(math_session, eileen_enrolled)
    words = {"shown": [photo.pk], "present": {eileen_enrolled.pk}, "faces": {}}
    confirm_class_photos(math_session, by=alice, at=timezone.now(), **words)
    with pytest.raises(ClassPhotoRefusedError):
        confirm_class_photos(math_session, by=alice, at=timezone.now(), **words)

    assert Attendance.objects.count() == 1


# When


def test_before_the_session_opens_no_picture_is_taken(
    as_alice: Client, math: Course, eileen_enrolled: Student
):
    session = a_session(math, starts_at=timezone.now() + timedelta(days=1))
    html = send(as_alice, session, pictures.portrait())

    assert "The session opens at" in html
    assert not ClassPhoto.objects.exists()


def test_after_the_end_a_picture_counts_until_the_absences_are_written(
    as_alice: Client, math: Course, eileen_enrolled: Student
):
    now = timezone.now()
    over = a_session(math, starts_at=now - timedelta(hours=2), ends_at=now - timedelta(minutes=1))
    send(as_alice, over, pictures.portrait())
    confirm_as_shown(as_alice, over)

    assert Attendance.objects.get().student == eileen_enrolled


def test_a_closed_session_takes_no_picture_and_says_what_to_do(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    a_photo(math_session, eileen_enrolled)
    math_session.closed_at = timezone.now()
    math_session.save()
    html = send(as_alice, math_session, pictures.portrait())
    refused = confirm_as_shown(as_alice, math_session)

    assert "Open it again to take attendance from a picture" in html
    assert "Confirm attendance" not in html
    assert "Open it again" in refused
    assert not Attendance.objects.exists()
    assert ClassPhoto.objects.count() == 1


# Bad input


def test_what_is_no_picture_is_refused_and_the_others_go_on(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    html = send(as_alice, math_session, pictures.NO_PHOTOS["PDF"], pictures.portrait())

    assert "1.jpg: The file is not a JPEG, PNG, WebP or HEIC picture: it is a PDF document" in html
    assert ClassPhoto.objects.count() == 1


def test_a_picture_that_is_too_large_is_refused_with_what_is_accepted(
    as_alice: Client, math_session: ClassSession
):
    html = send(as_alice, math_session, pictures.png_bomb(9000, 7200))

    assert "at most 64 megapixels are accepted" in html
    assert not ClassPhoto.objects.exists()


def test_the_same_picture_is_taken_once(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    html = send(as_alice, math_session, pictures.portrait(), pictures.portrait())

    assert "2.jpg: This picture is here already." in html
    assert ClassPhoto.objects.count() == 1


@pytest.mark.parametrize("count", [0, 5])
def test_the_number_of_pictures_at_once_is_limited(
    as_alice: Client, math_session: ClassSession, count: int
):
    html = send(as_alice, math_session, *[b"a picture"] * count)

    assert f"Got {count} pictures, expected 1 to 4" in html


def test_the_number_of_waiting_pictures_is_limited(math_session: ClassSession):
    for number in range(8):
        a_photo(math_session, digest=str(number))
    with pytest.raises(ClassPhotoRefusedError, match="At most 8 pictures wait"):
        add_class_photo(math_session, pictures.portrait(), timezone.now())


def test_words_instead_of_numbers_are_no_fault(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    a_photo(math_session, eileen_enrolled)
    answer = as_alice.post(
        to(math_session, "confirm"), {"shown": ["x"], "present": ["y", "²"]}, follow=True
    )

    assert answer.status_code == 200
    assert not Attendance.objects.exists()


# Who


@pytest.mark.parametrize("what", ["add", "confirm", "discard"])
def test_another_lecturer_cannot_see_or_touch_the_pictures(
    client: Client, charlie: User, math_session: ClassSession, eileen_enrolled: Student, what: str
):
    photo = a_photo(math_session, eileen_enrolled)
    client.force_login(charlie)
    picture = reverse("admin:checkin_classphoto_picture", args=[math_session.pk, photo.pk])

    assert client.get(page_of(math_session)).status_code == 404
    assert client.get(picture).status_code == 404
    assert client.post(to(math_session, what), {"shown": [photo.pk]}).status_code == 404
    assert ClassPhoto.objects.count() == 1


def test_a_picture_of_another_session_is_not_shown_under_the_own(
    client: Client, charlie: User, chem_session: ClassSession, math_session: ClassSession
):
    photo = a_photo(math_session)
    client.force_login(charlie)
    other = reverse("admin:checkin_classphoto_picture", args=[chem_session.pk, photo.pk])

    assert client.get(other).status_code == 404


def test_a_registrar_cannot_take_attendance(client: Client, math_session: ClassSession):
    client.force_login(a_member("Registrar", "rita"))

    assert client.get(page_of(math_session)).status_code == 403
    assert client.post(to(math_session, "discard")).status_code == 403


# What is kept


def test_the_picture_and_what_was_found_are_encrypted(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    send(as_alice, math_session, pictures.portrait())
    photo = ClassPhoto.objects.get()

    assert b"\xff\xd8" not in bytes(photo.sealed_picture)
    assert b"student" not in bytes(photo.sealed_faces)
    assert photo.picture().startswith(b"\xff\xd8")


def test_a_row_moved_to_another_session_does_not_open(
    math_session: ClassSession, chem_session: ClassSession
):
    photo = a_photo(math_session)
    photo.session = chem_session
    with pytest.raises(TemplateUnreadableError, match="sealed for another session"):
        photo.picture()


def test_the_picture_is_shown_to_the_lecturer_and_kept_by_no_cache(
    as_alice: Client, math_session: ClassSession
):
    photo = a_photo(math_session)
    answer = as_alice.get(
        reverse("admin:checkin_classphoto_picture", args=[math_session.pk, photo.pk])
    )

    assert (answer.content, answer["Content-Type"]) == (b"a JPEG", "image/jpeg")
    assert "no-store" in answer["Cache-Control"]


def test_discarding_deletes_the_pictures_and_records_nothing(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    first = a_photo(math_session, eileen_enrolled)
    second = a_photo(math_session, digest="b")
    as_alice.post(to(math_session, "discard"), {"photo": first.pk})
    assert list(ClassPhoto.objects.all()) == [second]

    as_alice.post(to(math_session, "discard"))
    assert not ClassPhoto.objects.exists()
    assert not Attendance.objects.exists()


def test_pictures_that_nobody_confirmed_are_found_by_their_age(math_session: ClassSession):
    old, new = a_photo(math_session, digest="a"), a_photo(math_session, digest="b")
    ClassPhoto.objects.filter(pk=old.pk).update(uploaded_at=timezone.now() - timedelta(days=3))

    assert list(class_photos_before(timezone.now() - timedelta(days=2))) == [old]
    assert new in class_photos_before(timezone.now() + timedelta(seconds=1))
    call_command("purge_expired", stdout=io.StringIO())
    assert list(ClassPhoto.objects.all()) == [new]


def test_the_page_asks_the_database_as_often_for_many_faces_as_for_one(
    as_alice: Client,
    math: Course,
    math_session: ClassSession,
    eileen_enrolled: Student,
    django_assert_max_num_queries,
):
    students = [a_student(f"M-{number}", f"Student {number}", math) for number in range(30)]
    a_photo(math_session, eileen_enrolled, *[None] * 20)
    with django_assert_max_num_queries(25):
        html = as_alice.get(page_of(math_session)).content.decode()

    assert students[29].name in html


def test_two_faces_of_one_student_in_one_picture_are_one_face(
    as_alice: Client, math_session: ClassSession, eileen_enrolled: Student
):
    """The astronaut twice: one of the two is her, or neither can be told."""
    head = astronaut()[:300, 80:380]
    html = send(as_alice, math_session, as_jpeg(np.hstack([head, head[:, ::-1]])))

    selected = re.findall(rf'value="{eileen_enrolled.pk}" selected', html)
    assert len(selected) <= 1


def test_a_lecture_hall_of_two_hundred_faces_can_be_confirmed(
    as_alice: Client, math: Course, math_session: ClassSession, eileen_enrolled: Student
):
    """Every face of every picture is a field of the form."""
    for digest in range(8):
        a_photo(math_session, eileen_enrolled, *[None] * 199, digest=str(digest))
    confirm_as_shown(as_alice, math_session)

    assert Attendance.objects.get().student == eileen_enrolled
