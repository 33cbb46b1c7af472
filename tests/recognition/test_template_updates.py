"""Templates that learn from check-ins: when, what is kept of it, and the way back."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from cryptography.fernet import Fernet
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from checkin.appeals.not_me import disown
from checkin.models import Kiosk, Outcome
from checkin.people.merging import merge_students
from checkin.services import Evidence, record_attendance
from recognition.engine.template_updates import TemplateParts
from recognition.engine.thresholds import TEMPLATE_UPDATES
from recognition.engine.types import Embedding
from recognition.mistakes import is_mistaken, remember_mistake
from recognition.models import FaceTemplate, Resemblance
from recognition.sealing import TemplateUnreadableError, open_parts, open_vector, seal_parts
from recognition.selectors import in_force_after
from recognition.services import (
    record_consent,
    revoke_template,
    store_template,
    withdraw_consent,
)
from recognition.template_updates import UPDATE_EVERY, bring_back, learn_from_check_in
from recognition.workers import active_model_id
from roster.models import ClassSession, Student
from tests.support.face_samples import an_embedding
from tests.support.school import a_student, an_account_of

OWN, OTHER = an_embedding(1), an_embedding(2)
NOW = timezone.now()
ALLOWED = {"TEMPLATE_UPDATES": True, "CONSENT_POLICY_VERSION": "2026-11+updates"}


def near(embedding: Embedding, seed: int, similarity: float = 0.98) -> Embedding:
    """Another face this alike to it: a cosine."""
    random = np.random.default_rng(seed).normal(size=embedding.shape)
    across = random - (random @ embedding) * embedding
    across /= np.linalg.norm(across)
    mixed = similarity * embedding + np.sqrt(1 - similarity**2) * across
    return mixed.astype(np.float32)


FACE = near(OWN, 9)


@pytest.fixture
def updates(settings: Settings) -> None:
    for name, value in ALLOWED.items():
        setattr(settings, name, value)


@pytest.fixture
def template(updates: None, eileen: Student) -> FaceTemplate:
    """Enrolled from three pictures."""
    record_consent(student=eileen, given_via="web")
    pictures = [near(OWN, seed, 0.99) for seed in (1, 2, 3)]
    return store_template(student=eileen, embeddings=pictures, created_by=None)


def learn(template: FaceTemplate, embedding: Embedding, **how) -> FaceTemplate | None:
    how = {"runner_up": None, "at": NOW, **how}
    return learn_from_check_in(template=template, embedding=embedding, **how)


def learned(template: FaceTemplate, embedding: Embedding, **how) -> FaceTemplate:
    successor = learn(template, embedding, **how)
    assert successor is not None
    return successor


# Enrolment


def test_the_single_pictures_are_kept_encrypted(template: FaceTemplate, eileen: Student) -> None:
    parts = template.parts()
    assert parts.enrolment.shape == (3, 128)
    assert np.allclose(parts.enrolment[1], near(OWN, 2, 0.99))
    assert np.array_equal(parts.vector(), template.vector())
    assert near(OWN, 1, 0.99).tobytes() not in bytes(template.sealed_parts)


def test_parts_open_for_their_owner_and_model_only(template: FaceTemplate) -> None:
    sealed = bytes(template.sealed_parts)
    with pytest.raises(TemplateUnreadableError, match="another student or model"):
        open_parts(sealed, student_pk=template.student_id + 1, model_id=template.model_id)
    with pytest.raises(TemplateUnreadableError, match="another student or model"):
        open_parts(sealed, student_pk=template.student_id, model_id="other")
    with pytest.raises(TemplateUnreadableError, match="another student or model"):
        open_vector(sealed, student_pk=template.student_id, model_id=template.model_id)


def test_parts_open_after_the_keys_were_rotated(template: FaceTemplate, settings: Settings) -> None:
    settings.TEMPLATE_KEYS = [Fernet.generate_key().decode(), *settings.TEMPLATE_KEYS]
    assert template.parts().enrolment.shape == (3, 128)
    settings.TEMPLATE_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(TemplateUnreadableError, match="none of the 1 TEMPLATE_KEYS"):
        template.parts()


def test_parts_that_hold_nan_are_not_sealed() -> None:
    broken = TemplateParts.of_enrolment(np.full((1, 4), np.nan, np.float32))
    with pytest.raises(ValueError, match="NaN"):
        seal_parts(broken, student_pk=1, model_id="m")


def test_parts_go_with_the_template(template: FaceTemplate, eileen: Student) -> None:
    revoke_template(template)
    template.refresh_from_db()
    assert bytes(template.sealed_parts) == b""
    withdraw_consent(student=eileen)
    assert not FaceTemplate.objects.exists()


def test_a_template_of_which_only_the_mean_was_kept_learns_too(template: FaceTemplate) -> None:
    FaceTemplate.objects.update(sealed_parts=b"")
    template.refresh_from_db()
    assert learned(template, near(OWN, 9)).parts().enrolment.shape == (1, 128)


# Learning


def test_a_confident_check_in_makes_a_new_row(template: FaceTemplate) -> None:
    now = learned(template, near(OWN, 9))
    template.refresh_from_db()
    assert (now.origin, now.previous, now.revoked_at) == ("check_in", template, None)
    assert now.similarity == pytest.approx(0.98, abs=0.02)
    assert (template.revoked_at, bytes(template.sealed_vector)) == (NOW, b"")
    assert bytes(template.sealed_parts) == b""
    assert [len(now.parts().enrolment), len(now.parts().learned)] == [3, 1]
    assert now.vector() @ near(OWN, 9) > 0.98


def test_without_the_setting_nothing_is_learned(template: FaceTemplate, settings: Settings) -> None:
    settings.TEMPLATE_UPDATES = False
    assert learn(template, near(OWN, 9)) is None
    assert FaceTemplate.objects.count() == 1


def test_who_agreed_to_an_older_text_is_not_concerned(
    template: FaceTemplate, eileen: Student
) -> None:
    eileen.consents.update(policy_version="2026-11")
    assert learn(template, near(OWN, 9)) is None


def test_switching_updates_on_makes_another_version_of_the_policy() -> None:
    from attendance_site import settings as project

    assert project.TEMPLATE_UPDATES is False
    assert not project.CONSENT_POLICY_VERSION.endswith("+updates")


@pytest.mark.parametrize(
    ("embedding", "runner_up"),
    [(near(OWN, 9, 0.955), None), (near(OWN, 9), 0.97), (OTHER, None)],
)
def test_a_face_that_is_not_surely_the_same_teaches_nothing(
    template: FaceTemplate, embedding: Embedding, runner_up: float | None
) -> None:
    assert learn(template, embedding, runner_up=runner_up) is None


def test_once_a_week_is_enough(template: FaceTemplate) -> None:
    first = learned(template, near(OWN, 8))
    assert learn(first, near(OWN, 9), at=NOW + UPDATE_EVERY - timedelta(seconds=1)) is None
    second = learned(first, near(OWN, 9), at=NOW + UPDATE_EVERY + timedelta(seconds=1))
    assert len(second.parts().learned) == 2


def test_only_so_many_check_ins_are_kept(template: FaceTemplate) -> None:
    for week in range(6):
        template = learned(template, near(OWN, 10 + week), at=NOW + timedelta(days=8 * week))
    parts = template.parts()
    assert [len(parts.enrolment), len(parts.learned)] == [3, TEMPLATE_UPDATES.most_learned]
    assert np.allclose(parts.learned[-1], near(OWN, 15))


def test_who_resembles_somebody_learns_nothing(
    template: FaceTemplate, eileen: Student, dmitri: Student
) -> None:
    Resemblance.objects.create(student=dmitri, other=eileen, similarity=0.95, kind="look_alike")
    assert learn(template, near(OWN, 9)) is None


def test_who_was_taken_for_another_learns_nothing(template: FaceTemplate) -> None:
    assert remember_mistake(template=template, embedding=OTHER, at=NOW)
    assert learn(template, near(OWN, 9)) is None


def test_a_template_that_was_replaced_meanwhile_is_left_alone(
    template: FaceTemplate, eileen: Student
) -> None:
    store_template(student=eileen, embeddings=[OWN], created_by=None)
    assert learn(template, near(OWN, 9)) is None
    assert in_force_after(template.pk) is None


def test_without_the_key_the_template_stays(template: FaceTemplate, settings: Settings) -> None:
    settings.TEMPLATE_KEYS = [Fernet.generate_key().decode()]
    assert learn(template, near(OWN, 9)) is None
    assert FaceTemplate.objects.get().revoked_at is None


# The way back


def test_brought_back_the_template_is_as_it_was_enrolled(
    template: FaceTemplate, alice: User
) -> None:
    enrolled = template.vector()
    now = learned(template, near(OWN, 9))
    back = bring_back(now, at=NOW, by=alice)
    assert back is not None
    assert (back.origin, back.previous, back.created_by) == ("reverted", now, alice)
    assert np.allclose(back.vector(), enrolled)
    assert in_force_after(template.pk) == back
    # What was just doubted is not learned again at once.
    assert learn(back, near(OWN, 9), at=NOW + timedelta(days=1)) is None


def test_there_is_nothing_to_bring_back_of_what_never_learned(template: FaceTemplate) -> None:
    assert bring_back(template, at=NOW) is None


def test_mistaken_faces_stay_with_what_takes_the_templates_place(template: FaceTemplate) -> None:
    now = learned(template, near(OWN, 9))
    assert remember_mistake(template=template, embedding=OTHER, at=NOW)
    back = bring_back(now, at=NOW)
    assert back is not None
    assert is_mistaken(template_id=back.pk, embedding=OTHER)


def test_the_desk_brings_templates_back(
    template: FaceTemplate, client: Client, admin: User
) -> None:
    now = learned(template, near(OWN, 9))
    client.force_login(admin)
    page = client.post(
        reverse("admin:recognition_facetemplate_changelist"),
        {"action": "bring_back", "_selected_action": [now.pk, template.pk]},
        follow=True,
    )
    assert "1 of 2 templates had learned" in page.text
    assert FaceTemplate.objects.get(revoked_at=None).origin == "reverted"


# At the door


@pytest.fixture
def arrive(template: FaceTemplate, math_session: ClassSession, kiosk: Kiosk):
    def come(embedding: Embedding = FACE, **how):
        evidence = Evidence(model_id=active_model_id(), gallery_size=1, similarity=0.98)
        how = {"kiosk": kiosk, "sessions": [math_session], "at": NOW, **how}
        return record_attendance(
            template_id=template.pk, evidence=evidence, embedding=embedding, **how
        )

    return come


def test_an_arrival_by_face_teaches_the_template(
    template: FaceTemplate, arrive, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert arrive().outcome == Outcome.PRESENT
    assert FaceTemplate.objects.get(revoked_at=None).previous == template


def test_a_second_visit_and_the_own_device_teach_nothing(
    template: FaceTemplate, arrive, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert arrive(kiosk=None).outcome == Outcome.PRESENT
        assert arrive().outcome == Outcome.ALREADY
    assert FaceTemplate.objects.get() == template


def test_who_was_found_just_before_the_update_is_recorded_all_the_same(
    template: FaceTemplate, arrive
) -> None:
    learned(template, near(OWN, 9))
    assert arrive().outcome == Outcome.PRESENT


def test_a_not_me_takes_back_what_was_learned_and_remembers_the_face(
    template: FaceTemplate, arrive, django_capture_on_commit_callbacks
) -> None:
    enrolled, face = template.vector(), near(OWN, 9)
    with django_capture_on_commit_callbacks(execute=True):
        attempt = arrive(face).attempt
    disown(attempt=attempt, at=NOW + timedelta(seconds=5), at_kiosk=True)
    back = FaceTemplate.objects.get(revoked_at=None)
    assert (back.origin, len(back.parts().learned)) == ("reverted", 0)
    assert np.allclose(back.vector(), enrolled)
    assert is_mistaken(template_id=back.pk, embedding=face)


def test_a_not_me_of_another_day_takes_back_later_updates_too(
    template: FaceTemplate, arrive, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        attempt = arrive().attempt
    first = FaceTemplate.objects.get(revoked_at=None)
    learned(first, near(OWN, 10), at=NOW + timedelta(days=8))
    disown(attempt=attempt, at=NOW + timedelta(seconds=5), at_kiosk=True)
    assert len(FaceTemplate.objects.get(revoked_at=None).parts().learned) == 0


def test_merging_records_keeps_the_parts(template: FaceTemplate, eileen: Student) -> None:
    learned(template, near(OWN, 9))
    keep = a_student("S-9", "Eileen M. Collins")
    merge_students(keep=keep, other=eileen)
    parts = keep.face_templates.get(revoked_at=None).parts()
    assert [len(parts.enrolment), len(parts.learned)] == [3, 1]


# What people are told


def test_the_text_to_agree_to_says_so_where_it_is_allowed(
    client: Client, eileen: Student, math_session: ClassSession, settings: Settings
) -> None:
    client.force_login(an_account_of(eileen))
    assert "It learns slowly" not in client.get(reverse("face_consent")).text
    settings.TEMPLATE_UPDATES = True
    assert "It learns slowly" in client.get(reverse("face_consent")).text


def test_the_own_data_tell_counts_and_no_numbers(
    template: FaceTemplate, eileen: Student, client: Client
) -> None:
    learned(template, near(OWN, 9))
    client.force_login(an_account_of(eileen))
    tables = client.post(reverse("own_data_json")).json()
    rows = {row["made_by"]: row for row in tables["face_templates"]}
    assert rows["check_in"]["pictures_kept_as_numbers"] == 3
    assert rows["check_in"]["check_ins_learned_from"] == 1
    assert rows["enrolment"]["check_ins_learned_from"] is None
