"""Photos of a whole cohort: whom they show, what becomes of them, and what is left afterwards."""

from __future__ import annotations

import csv
import io
import os
import signal
import threading
import time
import zipfile
from concurrent.futures import Future
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connections, transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from post_office.models import Email

from accounts.models import User
from recognition.cohort import archive as cohort_archive
from recognition.cohort import services as cohort
from recognition.cohort.archive import ArchiveRefusedError
from recognition.cohort.coverage import coverage_of
from recognition.cohort.models import PhotoImport, PhotoImportItem
from recognition.cohort.services import (
    CLAIM,
    RECEIVED_WITHIN,
    TRIES,
    finished_imports_before,
    receive_photos,
    stop_broken_uploads,
    stop_import,
    students_done,
    unfinished_imports_before,
)
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import PortraitAnalysis
from recognition.models import Consent, FaceRegistration, FaceTemplate, RegistrationPhoto
from recognition.registration import agree_to_held_photos
from recognition.services import decline_consent, withdraw_consent
from roster.models import Course, Student
from tests.support import pictures
from tests.support.archives import (
    a_link,
    a_zip,
    claiming,
    in_code_page,
    uploaded,
    with_password,
)
from tests.support.face_samples import an_embedding
from tests.support.live_server import running_server
from tests.support.school import a_consent, a_course, a_student, a_template
from tests.support.shared import lfw_pictures, needs_faces

pytestmark = pytest.mark.django_db

ADD = "admin:recognition_photoimport_add"
Files = dict[str, bytes]


def received(course: Course, files: Files | io.BytesIO, **options: object) -> PhotoImport:
    archive = files if isinstance(files, io.BytesIO) else a_zip(files)
    return receive_photos(course=course, archive=archive, archive_name="cohort.zip", **options)  # type: ignore[arg-type]


def imported(course: Course, files: Files | io.BytesIO, **options: object) -> PhotoImport:
    photo_import = received(course, files, **options)
    for _student in students_done(photo_import.pk):
        pass
    photo_import.refresh_from_db()
    assert photo_import.status == PhotoImport.Status.FINISHED
    return photo_import


def states(photo_import: PhotoImport) -> dict[str, str]:
    return dict(photo_import.items.values_list("file_name", "state"))


def verdict(photo_import: PhotoImport, name: str) -> str:
    return photo_import.items.get(file_name=name).verdict


def standings(photo_import: PhotoImport) -> dict[str, str]:
    return {row.student.student_id: row.standing for row in coverage_of(photo_import)}


@pytest.fixture
def portrait() -> bytes:
    return pictures.portrait()


@pytest.fixture
def agreed(math: Course) -> Student:
    student = a_student("S-1001", "Ada Lovelace", math, email="ada@example.edu")
    a_consent(student)
    return student


# Whom a photo shows


@pytest.mark.parametrize(
    "name",
    [
        "S-1001.jpg",
        "S-1001.HEIC",
        "S-1001_1.jpg",
        "S-1001-2.png",
        "S-1001 (3).heic",
        "S-1001(4).jpg",
        "2026/autumn/S-1001.jpg",
        "S-1001/anything.jpg",
        "S-1001/phone/IMG_7.jpg",
        "photos\\S-1001.jpg",
    ],
)
def test_a_photo_is_found_by_the_student_number(math, agreed, portrait, name):
    item = received(math, {name: portrait}).items.get()
    assert (item.student, item.state) == (agreed, "waiting")


def test_a_number_of_another_course_is_no_count_of_pictures(math, chem, agreed, portrait):
    a_student("S-1001-2", "Somebody Else", chem)
    photo_import = received(math, {"S-1001-2.jpg": portrait, "S-1001-3.jpg": portrait})
    assert states(photo_import) == {"S-1001-2.jpg": "refused", "S-1001-3.jpg": "waiting"}


def test_a_name_that_stands_for_two_students_is_refused(math, agreed, portrait):
    a_student("S-1002", "Grace Hopper", math)
    photo_import = received(math, {"S-1001/S-1002.jpg": portrait})
    assert "S-1001 + S-1002" in verdict(photo_import, "S-1001/S-1002.jpg")


def test_a_foreign_number_is_told_in_the_same_words_as_an_unknown_one(math, dmitri, portrait):
    photo_import = received(math, {"S-2.jpg": portrait, "S-9.jpg": portrait})
    foreign, unknown = verdict(photo_import, "S-2.jpg"), verdict(photo_import, "S-9.jpg")
    assert foreign == "Nobody on the class list of MATH has the number “S-2”."
    assert unknown == foreign.replace("S-2", "S-9")
    assert not photo_import.items.exclude(student=None).exists()


def test_who_has_left_the_class_is_not_imported(math, agreed, portrait):
    agreed.enrolments.update(left_on=timezone.localdate())
    assert states(received(math, {"S-1001.jpg": portrait})) == {"S-1001.jpg": "refused"}


@pytest.mark.parametrize("where", ["in the ZIP", "beside it"])
def test_a_list_says_which_file_shows_whom(math, agreed, portrait, where):
    table = b"file;student_id\r\nIMG_1.jpg;S-1001\r\nb\\IMG_2.jpg;S-1001\r\nIMG_3.jpg;S-9\r\n"
    files = {f"IMG_{n}.jpg": portrait for n in (1, 3, 4)} | {"b/IMG_2.jpg": portrait}
    if where == "in the ZIP":
        photo_import = received(math, {**files, "cohort/list.csv": table})
    else:
        photo_import = received(math, files, list_of_students=table)
    assert states(photo_import) == {
        "IMG_1.jpg": "waiting",
        "b/IMG_2.jpg": "waiting",
        "IMG_3.jpg": "refused",
        "IMG_4.jpg": "refused",
    }
    assert verdict(photo_import, "IMG_4.jpg") == "The list does not name this file."


def test_a_file_that_the_list_gives_to_two_students_is_refused(math, agreed, portrait):
    a_student("S-1002", "Grace Hopper", math)
    table = b"file,student_id\nclass.jpg,S-1001\nclass.jpg,S-1002\n"
    photo_import = received(math, {"class.jpg": portrait}, list_of_students=table)
    assert "S-1001, S-1002" in verdict(photo_import, "class.jpg")


def test_a_base_name_that_several_folders_have_is_refused(math, agreed, portrait):
    table = b"file,student_id\nIMG_1.jpg,S-1001\n"
    photo_import = received(
        math, {"a/IMG_1.jpg": portrait, "b/IMG_1.jpg": portrait}, list_of_students=table
    )
    assert set(states(photo_import).values()) == {"refused"}


def test_a_file_that_is_on_the_list_only_is_told(math, agreed, portrait):
    table = b"file,student_id\na.jpg,S-1001\ngone.jpg,S-1001\n"
    photo_import = received(math, {"a.jpg": portrait}, list_of_students=table)
    assert "not in the ZIP" in verdict(photo_import, "gone.jpg")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"name,number\na,b\n", "expected file, student_id"),
        (b"file,student_id\n", "no rows"),
        (b"%PDF-1.7", "PDF"),
        (b"file,student_id\na,b,c\n", "Row 2 has 3 cells"),
    ],
)
def test_a_list_that_cannot_be_read_refuses_the_whole(math, portrait, table, words):
    with pytest.raises(ArchiveRefusedError, match=words):
        received(math, {"a.jpg": portrait}, list_of_students=table)
    assert not PhotoImport.objects.exists()


def test_two_lists_in_a_zip_are_refused(math, portrait):
    with pytest.raises(ArchiveRefusedError, match="2 CSV files"):
        received(math, {"a.csv": b"x", "b.csv": b"y", "S-1.jpg": portrait})


# Archives that were not packed by a friend


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (io.BytesIO(b""), "no ZIP file"),
        (io.BytesIO(b"rubbish" * 1000), "no ZIP file"),
        (io.BytesIO(a_zip({"a.jpg": b"x" * 5000}).getvalue()[:3000]), "no ZIP file"),
        (io.BytesIO(pictures.portrait()), "no ZIP file"),
        (a_zip({}), "There is no file in this ZIP"),
        (a_zip({"folder/": b"", "__MACOSX/._a.jpg": b"x", ".DS_Store": b"x"}), "There is no file"),
        (with_password(a_zip({"S-1.jpg": b"secret"})), "protected by a password"),
    ],
)
def test_an_archive_that_cannot_be_used_is_refused_in_words(math, archive, words):
    with pytest.raises(ArchiveRefusedError, match=words):
        received(math, archive)
    assert not PhotoImport.objects.exists()


def test_what_systems_leave_behind_is_ignored(math, agreed, portrait):
    debris = ["__MACOSX/._S-1001.jpg", "._S-1001.jpg", ".DS_Store", "a/Thumbs.db", "desktop.ini"]
    files = {"S-1001.jpg": portrait, "photos/": b""} | dict.fromkeys(debris, b"debris")
    assert states(received(math, files)) == {"S-1001.jpg": "waiting"}


@pytest.mark.parametrize(
    "name",
    [
        "../S-1001.jpg",
        "a/../../S-1001.jpg",
        "/etc/S-1001.jpg",
        "C:/S-1001.jpg",
        "C:\\photos\\S-1001.jpg",
        "..\\S-1001.jpg",
    ],
)
def test_a_name_that_leads_out_is_refused_and_nothing_is_written(
    math, agreed, portrait, tmp_path, monkeypatch, name
):
    inside = tmp_path / "deep" / "deeper"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    before = _stored_files()
    photo_import = received(math, {name: portrait})
    assert "leads out of the ZIP" in photo_import.items.get().verdict
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert _stored_files() == before


def _stored_files() -> set[Path]:
    return set(Path(default_storage.location).rglob("*"))  # type: ignore[attr-defined]


def test_a_link_is_not_followed(math, agreed):
    photo_import = received(math, a_link("S-1001.jpg", "/etc/passwd"))
    assert "a link and no picture" in photo_import.items.get().verdict


def test_the_second_file_of_a_name_is_refused(math, agreed, portrait):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = a_zip([("S-1001.jpg", portrait), ("S-1001.jpg", pictures.nobody())])
    photo_import = received(math, archive)
    assert list(photo_import.items.values_list("state", flat=True)) == ["waiting", "refused"]


def test_a_file_that_unpacks_to_too_much_is_read_no_further(math, agreed, monkeypatch):
    monkeypatch.setattr(cohort_archive, "MAX_PHOTO_BYTES", 100_000)
    bomb = a_zip({"S-1001.jpg": bytes(50_000_000)}, method=zipfile.ZIP_DEFLATED)
    assert len(bomb.getvalue()) < 100_000
    photo_import = received(math, bomb)
    assert "Choose a smaller picture" in photo_import.items.get().verdict


def test_many_files_are_bounded_by_what_really_comes_out(math, agreed, monkeypatch):
    monkeypatch.setattr(cohort_archive, "MAX_UNPACKED_BYTES", 5_000_000)
    files = {f"S-1001/{n}.jpg": bytes(2_000_000) for n in range(4)}
    with pytest.raises(ArchiveRefusedError, match="Divide the photos"):
        received(math, a_zip(files, method=zipfile.ZIP_DEFLATED))
    assert not PhotoImport.objects.exists()
    assert not PhotoImportItem.objects.exists()


def test_a_file_that_is_larger_than_it_says_is_refused(math, agreed, portrait):
    packed = a_zip({"S-1001.jpg": portrait}, method=zipfile.ZIP_DEFLATED)
    photo_import = received(math, claiming(packed, unpacked_bytes=10))
    assert "damaged" in photo_import.items.get().verdict


def test_a_file_that_is_smaller_than_it_says_takes_no_room_for_more(math, agreed, portrait):
    packed = a_zip({"S-1001.jpg": portrait}, method=zipfile.ZIP_DEFLATED)
    item = received(math, claiming(packed, unpacked_bytes=900_000_000)).items.get()
    assert item.picture() == portrait


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_unusual_packing_is_not_opened(math, agreed, method):
    photo_import = received(math, a_zip({"S-1001.jpg": bytes(9_000_000)}, method=method))
    assert "packed in an unusual way" in photo_import.items.get().verdict


def test_a_zip_in_the_zip_is_no_picture(math, agreed, portrait):
    nested = a_zip({"S-1001.jpg": portrait}).getvalue()
    photo_import = imported(math, {"S-1001.zip": nested})
    assert "it is a ZIP file" in verdict(photo_import, "S-1001.zip")


def test_too_many_files_are_refused(math, monkeypatch):
    monkeypatch.setattr(cohort_archive, "MAX_ENTRIES", 10)
    with pytest.raises(ArchiveRefusedError, match="more than 10 files"):
        received(math, {f"{n}.jpg": b"x" for n in range(11)})


def test_a_directory_too_large_for_memory_is_not_read(math, monkeypatch):
    monkeypatch.setattr(cohort_archive, "MAX_DIRECTORY_BYTES", 70_000)
    with pytest.raises(ArchiveRefusedError, match="more than 5,000 files"):
        received(math, {f"{n}-{'x' * 200}.jpg": b"" for n in range(400)})


def test_names_in_an_unknown_code_page_are_told_as_well_as_possible(math, agreed, portrait):
    packed = a_zip({"S-1001/abcd.jpg": portrait})
    gbk = in_code_page(packed, "S-1001/abcd.jpg", "S-1001/张伟.jpg".encode("gbk"))
    assert received(math, gbk).items.get().student == agreed


def test_utf8_that_no_flag_tells_of_is_read_as_such(math, portrait):
    student = a_student("Z-Ü1", "Zoë", math)
    packed = in_code_page(a_zip({"Z-__1.jpg": portrait}), "Z-__1.jpg", "Z-Ü1.jpg".encode())
    item = received(math, packed).items.get()
    assert (item.student, item.file_name) == (student, "Z-Ü1.jpg")


def test_names_that_are_no_utf8_although_the_flag_says_so_are_refused(math):
    packed = in_code_page(a_zip({"äbc.jpg": b"x"}), "äbc.jpg", b"\xff\xfebc.jpg")
    with pytest.raises(ArchiveRefusedError, match="damaged"):
        received(math, packed)


def test_signs_that_steer_a_terminal_are_shown_as_unknown(math):
    item = received(math, {"\x1b[2Jx.jpg": b"x"}).items.get()
    assert item.file_name == "�[2Jx.jpg"


# What becomes of the photos


def test_who_has_agreed_is_enrolled(math, alice, agreed, portrait):
    photo_import = imported(math, {"S-1001.jpg": portrait}, added_by=alice)
    assert states(photo_import) == {"S-1001.jpg": "used"}
    template = FaceTemplate.objects.get(student=agreed)
    assert (template.created_by, template.photo_count) == (alice, 1)
    assert standings(photo_import) == {"S-1001": "ready"}


def test_who_was_not_asked_is_asked_first(math, alice, eileen, portrait):
    photo_import = imported(math, {"S-1.jpg": portrait}, added_by=alice)
    assert states(photo_import) == {"S-1.jpg": "held"}
    assert standings(photo_import) == {"S-1": "held"}
    assert not FaceTemplate.objects.exists()
    held = RegistrationPhoto.objects.get()
    assert (bytes(held.sealed_vector), held.model_id) == (b"", "")

    registration = FaceRegistration.objects.get()
    agree_to_held_photos(registration)
    registration.refresh_from_db()
    assert registration.status == FaceRegistration.Status.PENDING
    assert not FaceTemplate.objects.exists()
    assert standings(photo_import) == {"S-1": "waiting"}


def test_who_was_not_asked_gets_one_mail(math, eileen, portrait, settings):
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    imported(math, {"S-1_1.jpg": portrait, "S-1_2.jpg": portrait})
    assert [mail.to for mail in Email.objects.all()] == [["eileen@example.edu"]]


def test_photos_of_who_declined_are_not_even_stored(math, eileen, portrait):
    decline_consent(student=eileen)
    photo_import = received(math, {"S-1.jpg": portrait})
    item = photo_import.items.get()
    assert (item.state, bytes(item.sealed_picture)) == ("refused", b"")
    assert "does not agree" in item.verdict
    assert standings(photo_import) == {"S-1": "declined"}


def test_who_has_an_open_registration_keeps_it(math, eileen, portrait):
    registration = FaceRegistration.objects.create(student=eileen)
    photo_import = imported(math, {"S-1.jpg": portrait}, replaces_known=True)
    assert "open already" in verdict(photo_import, "S-1.jpg")
    assert FaceRegistration.objects.get() == registration


def test_who_can_be_recognised_stays_as_they_are(math, agreed, portrait):
    template = a_template(agreed, an_embedding(1))
    photo_import = imported(math, {"S-1001.jpg": portrait})
    assert "recognised already" in verdict(photo_import, "S-1001.jpg")
    assert FaceTemplate.objects.get() == template


def test_who_can_be_recognised_is_enrolled_anew_on_request(math, agreed, portrait):
    old = a_template(agreed, an_embedding(1))
    photo_import = imported(math, {"S-1001.jpg": portrait}, replaces_known=True)
    assert states(photo_import) == {"S-1001.jpg": "used"}
    assert FaceTemplate.objects.get(revoked_at=None) != old


def test_only_five_pictures_of_a_student_are_used(math, agreed, portrait):
    photo_import = received(math, {f"S-1001/{n}.jpg": portrait for n in range(7)})
    assert list(states(photo_import).values()) == ["waiting"] * 5 + ["refused"] * 2
    assert "more than 5 pictures" in verdict(photo_import, "S-1001/6.jpg")


def test_each_photo_gets_its_verdict(math, agreed, portrait):
    photo_import = imported(
        math,
        {
            "S-1001/good.jpg": portrait,
            "S-1001/coffee.jpg": pictures.nobody(),
            "S-1001/drawing.jpg": pictures.NO_PHOTOS["SVG"],
            "S-1001/bomb.png": pictures.png_bomb(),
        },
    )
    assert FaceTemplate.objects.get().photo_count == 1
    assert "No face was found" in verdict(photo_import, "S-1001/coffee.jpg")
    assert "SVG drawing" in verdict(photo_import, "S-1001/drawing.jpg")
    assert "megapixels" in verdict(photo_import, "S-1001/bomb.png")


def test_a_student_without_a_usable_photo_is_told_of_with_the_reason(math, agreed):
    photo_import = imported(math, {"S-1001.jpg": pictures.nobody()})
    (row,) = coverage_of(photo_import)
    assert row.standing == "refused"
    assert row.reasons[0].startswith("S-1001.jpg: No face was found.")
    assert not FaceTemplate.objects.exists()


def test_after_the_end_no_picture_is_left(math, agreed, eileen, portrait):
    before = _stored_files()
    photo_import = received(math, {"S-1001.jpg": portrait, "S-1.jpg": portrait, "x.jpg": portrait})
    waiting = photo_import.items.filter(state="waiting")
    assert {item.picture() for item in waiting} == {portrait}
    assert all(portrait[:64] not in bytes(item.sealed_picture) for item in waiting)
    for _student in students_done(photo_import.pk):
        pass
    assert {bytes(item.sealed_picture) for item in photo_import.items.all()} == {b""}
    assert _stored_files() == before


def test_the_database_keeps_no_picture_of_a_photo_that_was_decided(math, agreed, portrait):
    item = received(math, {"S-1001.jpg": portrait}).items.get()
    item.state = PhotoImportItem.State.USED
    with pytest.raises(IntegrityError), transaction.atomic():
        item.save()


@needs_faces
def test_twelve_students_with_a_mix_of_everything(math, chem, alice):
    people = [name for name, photos in lfw_pictures().items() if len(photos) >= 4]
    students = [a_student(f"S-{n}", f"Student {n}", math) for n in range(1, 13)]
    for student in students[:6]:
        a_consent(student)
    decline_consent(student=students[9])
    a_template(students[5], an_embedding(5))
    files: Files = {}
    for n, person in enumerate(people[:10], 1):
        for count, photo in enumerate(pictures.pictures_of(person, 2), 1):
            files[f"S-{n}_{count}.jpg"] = photo
    for count, photo in enumerate(pictures.pictures_of(people[0], 4), 1):
        files[f"S-1_{count}.jpg"] = photo
    files["S-1_5.jpg"] = pictures.portrait()
    files["S-2_2.jpg"] = pictures.nobody()
    files["S-11.jpg"] = b"no picture"
    files["S-77.jpg"] = pictures.portrait()
    photo_import = imported(math, files, added_by=alice)
    assert standings(photo_import) == {
        **{f"S-{n}": "ready" for n in range(1, 7)},
        **{f"S-{n}": "held" for n in range(7, 10)},
        "S-10": "declined",
        "S-11": "refused",
        "S-12": "no_photo",
    }
    assert "does not look like" in verdict(photo_import, "S-1_5.jpg")
    assert "recognised already" in verdict(photo_import, "S-6_1.jpg")
    assert set(FaceTemplate.objects.values_list("student", flat=True)) == {
        student.pk for student in students[:6]
    }
    assert not RegistrationPhoto.objects.exclude(sealed_vector=b"").exists()
    assert not PhotoImportItem.objects.exclude(sealed_picture=b"").exists()


# Once, whatever happens


def test_an_import_that_was_left_is_gone_on_with(math, agreed, eileen, portrait):
    photo_import = received(math, {"S-1001.jpg": portrait, "S-1.jpg": portrait})
    with closing(students_done(photo_import.pk)) as students:
        next(students)
    assert list(states(photo_import).values()) == ["used", "waiting"]
    for _student in students_done(photo_import.pk):
        pass
    assert list(states(photo_import).values()) == ["used", "held"]
    photo_import.refresh_from_db()
    assert photo_import.status == PhotoImport.Status.FINISHED


def test_a_student_at_whom_somebody_works_is_left_alone(
    math, agreed, eileen, portrait, monkeypatch
):
    """The other process shares the import: it takes the next student instead."""
    photo_import = received(math, {"S-1001.jpg": portrait, "S-1.jpg": portrait})
    look, seen = cohort._looked_at, []

    def interrupted(item: PhotoImportItem, *, embed: bool) -> object:
        seen.append(item.file_name)
        if len(seen) == 1:
            assert len(list(students_done(photo_import.pk))) == 1
        return look(item, embed=embed)

    monkeypatch.setattr(cohort, "_looked_at", interrupted)
    for _student in students_done(photo_import.pk):
        pass
    assert sorted(seen) == ["S-1.jpg", "S-1001.jpg"]
    assert PhotoImport.objects.get().status == PhotoImport.Status.FINISHED


def test_a_student_whose_process_was_killed_is_taken_up_when_the_claim_has_run_out(
    math, agreed, portrait
):
    photo_import = received(math, {"S-1001.jpg": portrait})
    assert cohort._Claim.on_next_student(photo_import.pk) is not None  # and killed
    assert list(students_done(photo_import.pk)) == []
    assert states(photo_import) == {"S-1001.jpg": "waiting"}
    PhotoImportItem.objects.update(claimed_until=F("claimed_until") - CLAIM)
    assert len(list(students_done(photo_import.pk))) == 1
    assert states(photo_import) == {"S-1001.jpg": "used"}


def test_who_is_overtaken_after_the_claim_has_run_out_decides_nothing(math, agreed, portrait):
    photo_import = received(math, {"S-1001.jpg": portrait})
    slow = cohort._Claim.on_next_student(photo_import.pk)
    assert slow is not None
    PhotoImportItem.objects.update(claimed_until=F("claimed_until") - CLAIM)
    fast = cohort._Claim.on_next_student(photo_import.pk)
    assert fast is not None
    assert fast.renewed()
    assert not slow.renewed()
    assert slow.items() == []


def test_what_was_begun_twice_counts_once(math, agreed, portrait, monkeypatch):
    """A process that was held up comes back after another one has done its student."""
    photo_import = received(math, {"S-1001.jpg": portrait})
    look, is_second = cohort._looked_at, []

    def overtaken(item: PhotoImportItem, *, embed: bool) -> object:
        found = look(item, embed=embed)
        if not is_second:
            is_second.append(True)
            PhotoImportItem.objects.update(claimed_until=None)
            assert len(list(students_done(photo_import.pk))) == 1
        return found

    monkeypatch.setattr(cohort, "_looked_at", overtaken)
    monkeypatch.setattr(cohort._Claim, "renewed", lambda claim: True)
    for _student in students_done(photo_import.pk):
        pass
    assert FaceTemplate.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_processes_at_once_do_each_student_once(math, portrait):
    for number in range(6):
        a_consent(a_student(f"S-{number}", f"Student {number}", math))
    photo_import = received(math, {f"S-{number}.jpg": portrait for number in range(6)})
    start = threading.Barrier(2)

    def work() -> None:
        try:
            start.wait()
            while PhotoImport.objects.get().is_unfinished:
                for _student in students_done(photo_import.pk):
                    PhotoImportItem.objects.update(claimed_until=None)  # as if each were too slow
                time.sleep(0.01)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert FaceTemplate.objects.count() == 6
    assert set(states(photo_import).values()) == {"used"}


def test_consent_that_ends_while_the_photo_is_looked_at_counts(math, agreed, portrait, monkeypatch):
    look = cohort._looked_at

    def withdrawn(item: PhotoImportItem, *, embed: bool) -> object:
        found = look(item, embed=embed)
        withdraw_consent(student=agreed)
        return found

    monkeypatch.setattr(cohort, "_looked_at", withdrawn)
    photo_import = imported(math, {"S-1001.jpg": portrait})
    assert "does not agree" in verdict(photo_import, "S-1001.jpg")
    assert not FaceTemplate.objects.exists()


def test_consent_that_comes_while_the_photo_is_looked_at_counts(
    math, eileen, portrait, monkeypatch
):
    look = cohort._looked_at

    def given(item: PhotoImportItem, *, embed: bool) -> object:
        found = look(item, embed=embed)
        if not Consent.objects.exists():
            a_consent(eileen)
        return found

    monkeypatch.setattr(cohort, "_looked_at", given)
    assert states(imported(math, {"S-1.jpg": portrait})) == {"S-1.jpg": "used"}


class DeadlyPool:
    """Each picture costs a worker its life."""

    def __init__(self) -> None:
        self.lost = 0

    def analyse_portrait(self, content: bytes, *, embed: bool) -> Future[PortraitAnalysis]:
        self.lost += 1
        answer: Future[PortraitAnalysis] = Future()
        answer.set_exception(WorkerLostError("a worker process died"))
        return answer


def test_a_picture_that_ends_its_workers_is_given_up(math, agreed, portrait, monkeypatch):
    pool = DeadlyPool()
    monkeypatch.setattr(cohort, "worker_pool", lambda: pool)
    photo_import = imported(math, {"S-1001.jpg": portrait})
    assert pool.lost == TRIES
    assert "cannot be analysed" in verdict(photo_import, "S-1001.jpg")


def test_a_server_that_ends_refuses_no_picture(math, agreed, portrait, monkeypatch):
    def closed() -> None:
        raise WorkerLostError("the worker pool was closed")

    monkeypatch.setattr(cohort, "worker_pool", DeadlyPool)
    photo_import = received(math, {"S-1001.jpg": portrait})
    monkeypatch.setattr(cohort, "require_models", closed)
    with pytest.raises(WorkerLostError):
        next(students_done(photo_import.pk))
    assert states(photo_import) == {"S-1001.jpg": "waiting"}
    assert photo_import.items.get().claimed_until is None


def test_a_picture_whose_key_is_lost_is_told(math, agreed, portrait, settings):
    photo_import = received(math, {"S-1001.jpg": portrait})
    settings.TEMPLATE_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    for _student in students_done(photo_import.pk):
        pass
    assert "cannot be decrypted" in verdict(photo_import, "S-1001.jpg")


@needs_faces
@pytest.mark.flaky(reruns=2)  # the kill has to come while photos wait
@pytest.mark.django_db(transaction=True)
def test_a_server_that_was_killed_goes_on_after_the_restart(math, alice):
    people = [name for name, photos in lfw_pictures().items() if len(photos) >= 3]
    files: Files = {}
    for n in range(12):
        a_consent(a_student(f"S-{n}", f"Student {n}", math))
        for count, photo in enumerate(pictures.pictures_of(people[n], 3)):
            files[f"S-{n}/{count}.jpg"] = photo
    photo_import = received(math, files, added_by=alice)
    waiting = photo_import.items.filter(state="waiting")
    with running_server() as server:
        _wait_for(lambda: waiting.count() < len(files))
        os.kill(server.pid, signal.SIGKILL)
    assert 0 < waiting.count() < len(files)
    templates = set(FaceTemplate.objects.values_list("pk", "student"))
    assert templates
    assert not waiting.filter(student__in=[student for _pk, student in templates]).exists()

    PhotoImportItem.objects.update(claimed_until=None)  # the claim of the dead has run out
    with running_server():
        _wait_for(lambda: not PhotoImport.objects.get().is_unfinished)
    assert not waiting.exists()
    used = photo_import.items.filter(state="used").values_list("student", flat=True)
    assert sorted(FaceTemplate.objects.values_list("student", flat=True)) == sorted(set(used))
    assert templates <= set(FaceTemplate.objects.values_list("pk", "student"))
    assert not PhotoImportItem.objects.exclude(sealed_picture=b"").exists()


def _wait_for(what: object) -> None:
    give_up_s = time.monotonic() + 120
    while not what():  # type: ignore[operator]
        assert time.monotonic() < give_up_s, "waited for two minutes"
        time.sleep(0.02)


# Stopping and forgetting


def test_a_stopped_import_deletes_what_waits_and_keeps_what_is_done(math, agreed, eileen, portrait):
    photo_import = received(math, {"S-1001.jpg": portrait, "S-1.jpg": portrait})
    with closing(students_done(photo_import.pk)) as students:
        next(students)
        stop_import(photo_import)
        assert list(students) == []
    assert list(states(photo_import).values()) == ["used", "refused"]
    assert not PhotoImportItem.objects.exclude(sealed_picture=b"").exists()
    assert PhotoImport.objects.get().status == PhotoImport.Status.STOPPED


def test_an_upload_that_broke_off_is_stopped(math, agreed, portrait):
    broken = received(math, {"S-1001.jpg": portrait})
    running = received(math, {"S-1001.jpg": portrait})
    PhotoImport.objects.update(status=PhotoImport.Status.RECEIVING)
    PhotoImport.objects.filter(pk=broken.pk).update(created_at=timezone.now() - RECEIVED_WITHIN)
    stop_broken_uploads()
    assert states(broken) == {"S-1001.jpg": "refused"}
    assert states(running) == {"S-1001.jpg": "waiting"}


def test_imports_are_forgotten_with_their_pictures(math, agreed, portrait):
    finished = imported(math, {"nobody.jpg": portrait})
    unfinished = received(math, {"S-1001.jpg": portrait})
    now = timezone.now() + timedelta(seconds=1)
    assert list(unfinished_imports_before(now)) == [unfinished]
    assert list(finished_imports_before(now)) == [finished]
    assert not unfinished_imports_before(now - timedelta(days=1)).exists()
    assert not finished_imports_before(now - timedelta(days=1)).exists()
    unfinished_imports_before(now).delete()
    assert not PhotoImportItem.objects.exclude(sealed_picture=b"").exists()


# The desk


def page(name: str, photo_import: PhotoImport) -> str:
    return reverse(f"admin:recognition_photoimport_{name}", args=[photo_import.pk])


def test_a_lecturer_uploads_a_zip_and_sees_where_it_stands(as_alice, alice, math, agreed, portrait):
    archive = uploaded(a_zip({"S-1001.jpg": portrait, "x.jpg": portrait}))
    sent = as_alice.post(
        reverse(ADD), {"course": math.pk, "archive": archive, "known": "skip"}, follow=True
    )
    assert "0 of 1 students can be recognised" in sent.text.replace("student ", "students ")
    photo_import = PhotoImport.objects.get()
    assert (photo_import.created_by, photo_import.archive_name) == (alice, "cohort.zip")
    progress = as_alice.get(page("progress", photo_import)).json()
    assert (progress["done"], progress["total"], progress["finished"]) == (1, 2, False)

    for _student in students_done(photo_import.pk):
        pass
    assert as_alice.get(page("progress", photo_import)).json()["finished"] is True
    shown = as_alice.get(page("change", photo_import)).text
    assert "1 photo used" in shown
    assert "Nobody on the class list of MATH has the number “x”." in shown
    listed = as_alice.get(reverse("admin:recognition_photoimport_changelist")).text
    assert "cohort.zip" in listed


def test_the_list_of_faces_leads_to_the_import(as_alice, math):
    assert reverse(ADD) in as_alice.get(reverse("admin:recognition_studentface_changelist")).text


def test_a_list_beside_the_zip_and_replacing_are_understood(as_alice, math, agreed, portrait):
    a_template(agreed, an_embedding(1))
    as_alice.post(
        reverse(ADD),
        {
            "course": math.pk,
            "archive": uploaded(a_zip({"IMG.jpg": portrait})),
            "students": uploaded(io.BytesIO(b"file,student_id\nIMG.jpg,S-1001\n"), "list.csv"),
            "known": "replace",
        },
    )
    assert states(PhotoImport.objects.get()) == {"IMG.jpg": "waiting"}


def test_a_zip_that_cannot_be_used_is_told_in_the_form(as_alice, math):
    sent = as_alice.post(
        reverse(ADD),
        {"course": math.pk, "archive": uploaded(io.BytesIO(b"x")), "known": "skip"},
    )
    assert "This is no ZIP file" in sent.text


def test_a_zip_that_is_too_large_is_told_in_the_form(as_alice, math, portrait, monkeypatch):
    monkeypatch.setattr("recognition.admin.cohort.MAX_ARCHIVE_BYTES", 1000)
    archive = uploaded(a_zip({"S-1.jpg": portrait}))
    sent = as_alice.post(reverse(ADD), {"course": math.pk, "archive": archive, "known": "skip"})
    assert "Divide it." in sent.text
    assert not PhotoImport.objects.exists()


def test_a_large_upload_never_has_a_name_on_the_disk(
    as_alice, math, agreed, tmp_path, settings, monkeypatch
):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
    seen = []
    receive = cohort.receive_photos

    def looking(**arguments: object) -> PhotoImport:
        seen.append((type(arguments["archive"]).__name__, list(tmp_path.iterdir())))
        return receive(**arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("recognition.admin.cohort.receive_photos", looking)
    archive = uploaded(a_zip({"S-1001.jpg": pictures.portrait()}))
    as_alice.post(reverse(ADD), {"course": math.pk, "archive": archive, "known": "skip"})
    assert seen == [("UploadedFile", [])]
    assert states(PhotoImport.objects.get()) == {"S-1001.jpg": "waiting"}


def test_the_report_is_a_table_without_formulas(as_alice, math, agreed):
    a_student("S-2000", '=cmd|"/c calc"!A1', math)
    photo_import = imported(math, {"S-1001.jpg": pictures.nobody()})
    answer = as_alice.get(page("report", photo_import))
    assert answer["Content-Disposition"].startswith("attachment")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["student_id", "name", "recognition", "photos"]
    assert rows[1][:3] == ["S-2000", '\'=cmd|"/c calc"!A1', "no photo"]
    assert rows[2][2] == "the photo could not be used"
    assert rows[2][3].startswith("S-1001.jpg: No face")


def test_names_from_the_zip_are_text_on_the_page(as_alice, math):
    photo_import = received(math, {"<script>alert(1)<script>.jpg": b"x"})
    shown = as_alice.get(page("change", photo_import)).text
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown


def test_many_verdicts_are_shown_page_by_page(as_alice, math):
    photo_import = received(math, {f"x{n:03}.jpg": b"x" for n in range(130)})
    first = as_alice.get(page("change", photo_import)).text
    second = as_alice.get(page("change", photo_import), {"page": 2}).text
    assert ("x000.jpg" in first, "x129.jpg" in first) == (True, False)
    assert ("x000.jpg" in second, "x129.jpg" in second) == (False, True)


def test_a_lecturer_stops_an_import(as_alice, math, agreed, portrait):
    photo_import = received(math, {"S-1001.jpg": portrait})
    assert as_alice.get(page("stop", photo_import)).status_code == 405
    answer = as_alice.post(page("stop", photo_import), follow=True)
    assert "photos that waited are deleted" in answer.text
    assert states(photo_import) == {"S-1001.jpg": "refused"}


def test_charlie_has_no_access_to_alices_imports(client, charlie, chem, math, agreed, portrait):
    photo_import = received(math, {"S-1001.jpg": portrait})
    client.force_login(charlie)
    for name in ("change", "progress", "report", "delete", "history"):
        assert client.get(page(name, photo_import)).status_code in (302, 403, 404)
        assert "S-1001" not in client.get(page(name, photo_import), follow=True).text
    assert client.post(page("stop", photo_import)).status_code == 404
    assert states(photo_import) == {"S-1001.jpg": "waiting"}
    assert "cohort.zip" not in client.get(reverse("admin:recognition_photoimport_changelist")).text


def test_charlie_cannot_import_into_alices_course(client, charlie, chem, math, agreed, portrait):
    client.force_login(charlie)
    archive = uploaded(a_zip({"S-1001.jpg": portrait}))
    sent = client.post(reverse(ADD), {"course": math.pk, "archive": archive, "known": "skip"})
    assert "Select a valid choice" in sent.text
    assert "MATH" not in client.get(reverse(ADD)).text
    assert not PhotoImport.objects.exists()


def test_an_administrator_sees_every_import(as_admin, math, portrait):
    photo_import = received(math, {"S-1001.jpg": portrait})
    assert as_admin.get(page("change", photo_import)).status_code == 200


def test_who_has_no_right_to_import_is_refused(client, math, portrait):
    photo_import = received(math, {"S-1001.jpg": portrait})
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(reverse(ADD)).status_code == 403
    assert client.post(reverse(ADD)).status_code == 403
    for name in ("change", "progress", "report"):
        assert client.get(page(name, photo_import)).status_code == 403
    assert client.post(page("stop", photo_import)).status_code == 403


@pytest.mark.parametrize("guess", ["0", "999999", "x", "99999999999999999999"])
def test_a_guessed_number_finds_no_import(as_alice, math, guess):
    address = reverse("admin:recognition_photoimport_changelist")
    assert as_alice.get(f"{address}{guess}/change/").status_code == 404
    assert as_alice.get(f"{address}{guess}/progress/").status_code in (302, 404)


# The command line


def test_the_command_tells_progress_verdicts_and_coverage(math, agreed, portrait, tmp_path, capsys):
    archive = tmp_path / "photos.zip"
    archive.write_bytes(a_zip({"S-1001.jpg": portrait, "x.jpg": portrait}).getvalue())
    call_command("import_photos", str(archive), "--course", "MATH")
    told = capsys.readouterr().out
    assert "2 of 2 photos done" in told
    assert "✗ x.jpg: Nobody on the class list of MATH" in told
    assert "✓ can be recognised: 1 of 1" in told


def test_the_command_takes_a_list(math, agreed, portrait, tmp_path, capsys):
    archive, table = tmp_path / "photos.zip", tmp_path / "list.csv"
    archive.write_bytes(a_zip({"IMG.jpg": portrait}).getvalue())
    table.write_text("file,student_id\nIMG.jpg,S-1001\n")
    call_command("import_photos", str(archive), "--course", "MATH", "--csv", str(table))
    assert "✓ can be recognised: 1 of 1" in capsys.readouterr().out


def test_the_command_says_what_it_cannot_use(math, tmp_path):
    wrong = tmp_path / "photos.zip"
    with pytest.raises(CommandError, match=r"photos\.zip: No such file"):
        call_command("import_photos", str(wrong), "--course", "MATH")
    wrong.write_bytes(b"x")
    with pytest.raises(CommandError, match="no ZIP file"):
        call_command("import_photos", str(wrong), "--course", "MATH")
    with pytest.raises(CommandError, match="No course has the code 'BIO'"):
        call_command("import_photos", str(wrong), "--course", "BIO")


def test_a_course_without_students_is_told(as_alice, alice):
    empty = a_course("EMPTY", alice)
    photo_import = received(empty, {"a.jpg": b"x"})
    assert "The class list is empty." in as_alice.get(page("change", photo_import)).text
