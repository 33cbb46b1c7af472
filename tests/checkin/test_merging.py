"""Two records of one person become one; nothing is lost and nothing is doubled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.roles import ADMINISTRATOR, REGISTRAR
from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from checkin.people.merging import MergeRefusedError, merge_students, plan_merge
from recognition.cohort.models import PhotoImport
from recognition.models import Consent, FaceRegistration, FaceTemplate, Resemblance
from recognition.selectors import has_consent, templates_in_force
from recognition.services import decline_consent, withdraw_consent
from roster.models import ClassSession, Course, RosterClaim, Student
from tests.support.face_samples import an_embedding
from tests.support.school import (
    MODEL_ID,
    a_consent,
    a_session,
    a_student,
    a_template,
    an_attempt,
    an_attendance,
    enrol_in,
    utc,
)
from tests.support.traces import tables_with
from tests.support.whole_life import JPEG, a_registration, an_account_of, an_imported_picture

PENDING = FaceRegistration.Status.PENDING


@pytest.fixture
def double(chem: Course) -> Student:
    """Eileen once more, by another office."""
    return a_student("D-77", "Eileen M. Collins", chem, email="double@example.edu")


def merge(keep: Student, other: Student) -> Student:
    merge_students(keep=keep, other=other)
    return Student.objects.get(pk=keep.pk)


def in_force(student: Student) -> list[FaceTemplate]:
    return list(templates_in_force(model_id=MODEL_ID).filter(student=student))


def assert_template_is(student: Student, seed: int) -> None:
    (template,) = in_force(student)
    np.testing.assert_allclose(template.vector(), an_embedding(seed), atol=1e-6)


def consents_given(student: Student, *, at: Any) -> None:
    student.consents.update(given_at=at)


# Rows


def test_everything_moves_and_nothing_of_the_other_remains(
    eileen: Student,
    double: Student,
    dmitri: Student,
    chem: Course,
    chem_session: ClassSession,
    kiosk: Kiosk,
    admin: User,
) -> None:
    user = an_account_of(double, "eileen")
    RosterClaim.objects.create(user=user, student=double)
    template = a_template(double, an_embedding(2))
    attempt = an_attempt(
        kiosk, chem_session, student=double, template=template, outcome=Outcome.PRESENT
    )
    attendance = an_attendance(chem_session, double)
    registration = a_registration(double, status=PENDING, seed=2)
    photo_import = PhotoImport.objects.create(
        course=chem, archive_name="class.zip", replaces_known=False
    )
    item = an_imported_picture(double, photo_import)
    Resemblance.objects.create(student=double, other=dmitri, similarity=0.9, kind="look_alike")
    Resemblance.objects.create(student=dmitri, other=double, similarity=0.9, kind="look_alike")
    LogEntry.objects.create(
        user=admin,
        content_type=ContentType.objects.get_for_model(Student),
        object_id=str(double.pk),
        object_repr=str(double),
        action_flag=CHANGE,
    )
    before = {model: model._default_manager.count() for model in personal_models()}

    kept = merge(eileen, double)

    after = {model: model._default_manager.count() for model in personal_models()}
    assert after == {**before, Student: before[Student] - 1}
    assert kept.user == user
    assert {course.code for course in kept.courses.all()} == {"MATH", "CHEM"}
    for row in (attempt, attendance, registration, item):
        row.refresh_from_db()
        assert row.student == kept
    assert attempt.template in in_force(kept)
    assert_template_is(kept, 2)
    (photo,) = registration.photos.all()
    assert photo.picture() == item.picture() == JPEG
    np.testing.assert_allclose(photo.vector(), an_embedding(2), atol=1e-6)
    assert has_consent(kept)
    assert kept.claims.count() == 1
    assert Resemblance.objects.filter(student=kept, other=dmitri).count() == 1
    assert Resemblance.objects.filter(student=dmitri, other=kept).count() == 1
    assert LogEntry.objects.get().object_id == str(kept.pk)
    assert tables_with("Eileen M. Collins") == set()
    item.delete()  # its file was named after the old number, and so it stays in the report
    assert tables_with("D-77") == set()


def personal_models() -> list[Any]:
    return [
        model
        for model in apps.get_models()
        if model._meta.app_label in ("roster", "recognition", "checkin") and not model._meta.proxy
    ]


def test_in_a_shared_course_the_place_is_one_from_the_first_day_to_the_last(
    eileen: Student, double: Student, math: Course
) -> None:
    own = eileen.enrolments.get()
    own.joined_on, own.left_on = utc(2026, 3, 1).date(), utc(2026, 5, 1).date()
    own.save()
    enrol_in(math, double, joined_on=utc(2026, 1, 1).date(), left_on=utc(2026, 4, 1).date())
    merge(eileen, double)
    own.refresh_from_db()
    assert (own.joined_on, own.left_on) == (utc(2026, 1, 1).date(), utc(2026, 5, 1).date())


def test_a_place_that_never_ended_stays_without_an_end(
    eileen: Student, double: Student, math: Course
) -> None:
    eileen.enrolments.update(left_on=utc(2026, 5, 1).date())
    enrol_in(math, double)
    merge(eileen, double)
    assert eileen.enrolments.get(course=math).left_on is None


@pytest.mark.parametrize(
    ("own_min", "double_min", "stays"), [(5, 9, "own"), (9, 5, "double"), (None, 9, "double")]
)
def test_in_a_shared_session_the_earlier_arrival_stays(
    eileen: Student,
    double: Student,
    math_session: ClassSession,
    own_min: int | None,
    double_min: int | None,
    stays: str,
) -> None:
    def row(student: Student, minutes: int | None) -> Attendance:
        if minutes is None:
            return an_attendance(math_session, student, status="absent", arrived_at=None)
        arrived_at = math_session.starts_at + timedelta(minutes=minutes)
        return an_attendance(math_session, student, arrived_at=arrived_at)

    rows = {"own": row(eileen, own_min), "double": row(double, double_min)}
    merge(eileen, double)
    assert Attendance.objects.get() == rows[stays]
    assert Attendance.objects.get().student == eileen


def test_having_an_excuse_beats_being_absent(
    eileen: Student, double: Student, math_session: ClassSession
) -> None:
    an_attendance(math_session, eileen, status="absent", arrived_at=None)
    an_attendance(math_session, double, status="excused", arrived_at=None)
    merge(eileen, double)
    assert Attendance.objects.get().status == "excused"


def test_attendance_in_different_sessions_is_all_kept(
    eileen: Student, double: Student, math: Course, math_session: ClassSession
) -> None:
    an_attendance(math_session, eileen)
    an_attendance(a_session(math), double)
    merge(eileen, double)
    assert eileen.attendance.count() == 2


def test_the_address_is_taken_over_only_where_there_is_none(
    eileen: Student, double: Student
) -> None:
    assert merge(eileen, double).email == "eileen@example.edu"


def test_a_missing_address_is_taken_over(dmitri: Student, double: Student) -> None:
    Student.objects.filter(pk=dmitri.pk).update(email="")
    assert merge(dmitri, double).email == "double@example.edu"


# Faces


def test_the_staying_record_keeps_its_own_template(
    eileen: Student, double: Student, kiosk: Kiosk
) -> None:
    a_template(eileen, an_embedding(1))
    dropped = a_template(double, an_embedding(2))
    an_attempt(kiosk, None, student=double, template=dropped, outcome=Outcome.PRESENT)
    kept = merge(eileen, double)
    assert_template_is(kept, 1)
    dropped.refresh_from_db()
    assert dropped.revoked_at is not None
    assert bytes(dropped.sealed_vector) == b""
    assert CheckinAttempt.objects.get().template == dropped
    assert kept.consents.filter(withdrawn_at=None).count() == 1


def test_a_template_that_moves_is_sealed_for_its_new_owner(
    eileen: Student, double: Student
) -> None:
    moving = a_template(double, an_embedding(2))
    sealed = bytes(moving.sealed_vector)
    kept = merge(eileen, double)
    assert_template_is(kept, 2)
    (template,) = in_force(kept)
    assert template.pk != moving.pk  # a gallery that holds the same ids holds the same vectors
    assert template.created_at == moving.created_at
    assert tables_with(sealed) == set()


def test_consent_is_that_of_the_record_whose_template_is_kept(
    eileen: Student, double: Student
) -> None:
    own = a_consent(eileen)
    a_template(double, an_embedding(2))
    kept = merge(eileen, double)
    own.refresh_from_db()
    assert own.withdrawn_at is not None
    assert kept.consents.get(withdrawn_at=None) != own


@pytest.mark.parametrize("refuse", [withdraw_consent, decline_consent])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_later_refusal_under_the_other_number_holds(
    eileen: Student, double: Student, refuse: Any, swapped: bool
) -> None:
    sealed = bytes(a_template(eileen, an_embedding(1)).sealed_vector)
    a_registration(eileen, status=PENDING)
    a_consent(double)
    Consent.objects.update(given_at=timezone.now() - timedelta(days=9))
    refuse(student=double)
    kept = merge(double, eileen) if swapped else merge(eileen, double)
    assert not has_consent(kept)
    assert not FaceTemplate.objects.exists()
    assert not kept.face_registrations.get().photos.exists()
    assert tables_with(sealed) == set()


def test_consent_given_after_a_refusal_under_the_other_number_holds(
    eileen: Student, double: Student
) -> None:
    decline_consent(student=double)
    a_template(eileen, an_embedding(1))
    kept = merge(double, eileen)
    assert has_consent(kept)
    assert_template_is(kept, 1)


def test_with_pictures_waiting_under_both_numbers_those_of_the_staying_record_stay(
    eileen: Student, double: Student
) -> None:
    for student in (eileen, double):
        a_consent(student)
        a_registration(student, status=PENDING)
    plan = plan_merge(keep=eileen, other=double)
    assert plan.drops_registration
    kept = merge(eileen, double)
    assert sorted(kept.face_registrations.values_list("status", flat=True)) == [
        "cancelled",
        "pending",
    ]
    assert kept.face_registrations.get(status=PENDING).photos.count() == 1
    assert kept.face_registrations.get(status="cancelled").photos.count() == 0


def test_pictures_held_for_consent_still_wait_for_it(eileen: Student, double: Student) -> None:
    held = a_registration(double, status=FaceRegistration.Status.AWAITING_CONSENT)
    kept = merge(eileen, double)
    assert not has_consent(kept)
    assert kept.face_registrations.get() == held
    held.refresh_from_db()
    assert held.photos.get().picture() == JPEG


def test_the_two_records_do_not_resemble_themselves_and_others_only_once(
    eileen: Student, double: Student, dmitri: Student
) -> None:
    for student, other in ((eileen, double), (double, eileen), (eileen, dmitri), (double, dmitri)):
        Resemblance.objects.create(student=student, other=other, similarity=1, kind="same_face")
    merge(eileen, double)
    (kept,) = Resemblance.objects.all()
    assert (kept.student, kept.other) == (eileen, dmitri)


def test_a_face_that_no_key_opens_stops_the_merge(
    eileen: Student, double: Student, settings: Any
) -> None:
    a_template(double, an_embedding(2))
    settings.TEMPLATE_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(MergeRefusedError, match="cannot be decrypted"):
        merge_students(keep=eileen, other=double)
    assert double.face_templates.count() == 1
    assert double.courses.get().code == "CHEM"


# Refusals


def test_two_accounts_are_not_made_one(eileen: Student, double: Student) -> None:
    an_account_of(eileen, "eileen")
    an_account_of(double, "eileen2")
    with pytest.raises(MergeRefusedError, match="account of their own"):
        merge_students(keep=eileen, other=double)
    assert Student.objects.filter(pk=double.pk).exists()


def test_a_record_is_not_merged_with_itself(eileen: Student) -> None:
    with pytest.raises(MergeRefusedError, match="two different"):
        merge_students(keep=eileen, other=eileen)


def test_a_record_that_is_gone_meanwhile_is_told(eileen: Student, double: Student) -> None:
    Student.objects.filter(pk=double.pk).delete()
    with pytest.raises(MergeRefusedError, match="is gone"):
        merge_students(keep=eileen, other=double)


# The desk


@pytest.fixture
def administrator(client: Client, db: None) -> Client:
    user = User.objects.create_user("ada", "ada@example.edu", is_staff=True)
    user.groups.add(Group.objects.get(name=ADMINISTRATOR))
    client.force_login(user)
    return client


def merge_page(keep: Student, other: Student) -> str:
    return f"{reverse('admin:roster_student_merge')}?keep={keep.pk}&other={other.pk}"


def choose(client: Client, *students: Student) -> Any:
    return client.post(
        reverse("admin:roster_student_changelist"),
        {"action": "merge", "_selected_action": [student.pk for student in students]},
        follow=True,
    )


def test_the_record_with_the_account_is_proposed_to_stay(
    administrator: Client, eileen: Student, double: Student
) -> None:
    an_account_of(double, "eileen")
    page = choose(administrator, eileen, double)
    assert page.redirect_chain[-1][0] == merge_page(double, eileen)
    assert merge_page(eileen, double).replace("&", "&amp;") in page.content.decode()


def test_one_or_three_students_cannot_be_merged(
    administrator: Client, eileen: Student, double: Student, dmitri: Student
) -> None:
    for chosen in ([eileen], [eileen, double, dmitri]):
        assert "Choose exactly two students" in choose(administrator, *chosen).content.decode()


def test_the_page_tells_what_will_happen_and_does_it_when_asked(
    administrator: Client, eileen: Student, double: Student, math_session: ClassSession
) -> None:
    an_attendance(math_session, eileen)
    an_attendance(math_session, double)
    page = administrator.get(merge_page(eileen, double)).content.decode()
    assert "1 session has attendance on both records" in page
    assert "D-77 is free again" in page
    assert Student.objects.filter(pk=double.pk).exists()

    response = administrator.post(merge_page(eileen, double), follow=True)
    assert "The two records are one now" in response.content.decode()
    assert not Student.objects.filter(pk=double.pk).exists()
    entry = LogEntry.objects.get(object_id=str(eileen.pk))
    assert "Merged" in entry.get_change_message()


def test_a_refusal_is_told_on_the_list(
    administrator: Client, eileen: Student, double: Student
) -> None:
    an_account_of(eileen, "eileen")
    an_account_of(double, "eileen2")
    page = administrator.get(merge_page(eileen, double), follow=True).content.decode()
    assert "account of their own" in page


@pytest.mark.parametrize("numbers", ["", "?keep=x&other=1", "?keep=999999&other=999998"])
def test_numbers_that_lead_nowhere_are_not_found(administrator: Client, numbers: str) -> None:
    address = reverse("admin:roster_student_merge") + numbers
    assert administrator.get(address).status_code == 404


def test_a_lecturer_cannot_merge(as_alice: Client, eileen: Student, math: Course) -> None:
    double = a_student("S-8", "Eileen Again", math)
    assert as_alice.get(merge_page(eileen, double)).status_code == 403
    assert as_alice.post(merge_page(eileen, double)).status_code == 403
    choose(as_alice, eileen, double)
    assert Student.objects.filter(pk=double.pk).exists()


def test_a_registrar_cannot_merge(client: Client, eileen: Student, double: Student) -> None:
    user = User.objects.create_user("rita", "rita@example.edu", is_staff=True)
    user.groups.add(Group.objects.get(name=REGISTRAR))
    client.force_login(user)
    assert client.post(merge_page(eileen, double)).status_code == 403
    assert Student.objects.filter(pk=double.pk).exists()
