"""A template does not match again a face that was said not to be its person's."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from cryptography.fernet import Fernet
from django.utils import timezone
from pytest_django import Settings

from recognition.engine.gallery import fuse
from recognition.engine.mistake_trials import held_back, mistake_trials
from recognition.engine.thresholds import IdentificationThresholds, MistakeThresholds
from recognition.engine.types import Embedding
from recognition.mistakes import forget_mistake, is_mistaken, is_nearly, remember_mistake
from recognition.models import FaceMistake, FaceTemplate
from recognition.services import revoke_template, withdraw_consent
from recognition.workers import worker_pool
from roster.models import Student
from tests.support.face_samples import an_embedding
from tests.support.school import a_template
from tests.support.shared import lfw_pictures, needs_faces

OWN, OTHER = an_embedding(1), an_embedding(2)


@pytest.fixture
def template(eileen: Student) -> FaceTemplate:
    return a_template(eileen, OWN)


def mistaken(template: FaceTemplate, embedding: Embedding) -> FaceMistake:
    mistake = remember_mistake(template=template, embedding=embedding, at=timezone.now())
    assert mistake is not None
    return mistake


def between(one: Embedding, other: Embedding, share: float) -> Embedding:
    mixed = (1 - share) * one + share * other
    return (mixed / np.linalg.norm(mixed)).astype(np.float32)


def test_without_a_pair_nobody_is_mistaken(template: FaceTemplate) -> None:
    assert not is_mistaken(template_id=template.pk, embedding=OTHER)
    assert not is_mistaken(template_id=template.pk, embedding=OWN)


def test_the_face_of_a_pair_is_mistaken_and_the_owners_is_not(template: FaceTemplate) -> None:
    mistaken(template, OTHER)
    assert is_mistaken(template_id=template.pk, embedding=OTHER)
    assert is_mistaken(template_id=template.pk, embedding=between(OTHER, OWN, 0.05))
    assert not is_mistaken(template_id=template.pk, embedding=OWN)
    assert not is_mistaken(template_id=template.pk, embedding=between(OTHER, OWN, 0.95))


def test_a_pair_says_nothing_of_another_students_template(
    template: FaceTemplate, dmitri: Student
) -> None:
    mistaken(template, OTHER)
    dmitris = a_template(dmitri, OTHER)
    assert not is_mistaken(template_id=dmitris.pk, embedding=OTHER)


def test_the_rule_needs_likeness_and_a_lead_over_the_template() -> None:
    own, face = np.array([1, 0, 0], np.float32), np.array([0.8, 0.6, 0], np.float32)
    probe = np.array([0.96, 0.28, 0], np.float32)
    # To the mistaken face 0.768 + 0.168 = 0.936, to the template 0.96.
    assert not is_nearly(probe, mistaken=face, own=own)
    # To the mistaken face 1, to the template 0.8.
    assert is_nearly(face, mistaken=face, own=own)
    # Far from both: 0.6 and 0.
    assert not is_nearly(np.array([0, 1, 0], np.float32), mistaken=face, own=own)
    # 0.9969 to the mistaken face and 0.9928 to the template: a lead of 0.004 is none.
    close = np.array([0.98, 0.199, 0], np.float32)
    halfway = np.array([0.9928, 0.12, 0], np.float32)
    assert not is_nearly(halfway, mistaken=close, own=own)


def test_a_pair_that_is_taken_back_counts_no_more(template: FaceTemplate) -> None:
    forget_mistake(mistaken(template, OTHER))
    assert not is_mistaken(template_id=template.pk, embedding=OTHER)
    assert not FaceMistake.objects.exists()


def test_a_revoked_template_takes_its_pairs_along_and_gets_no_new_one(
    template: FaceTemplate,
) -> None:
    mistaken(template, OTHER)
    revoke_template(template)
    assert not FaceMistake.objects.exists()
    assert remember_mistake(template=template, embedding=OTHER, at=timezone.now()) is None
    assert not is_mistaken(template_id=template.pk, embedding=OTHER)


def test_a_withdrawn_consent_takes_the_pairs_along_and_counts_templates_only(
    template: FaceTemplate,
) -> None:
    mistaken(template, OTHER)
    erasure = withdraw_consent(student=template.student)
    assert (erasure.templates, erasure.remaining) == (1, 0)
    assert not FaceMistake.objects.exists()


def test_the_face_is_encrypted_and_a_lost_key_locks_nobody_out(
    template: FaceTemplate, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    mistake = mistaken(template, OTHER)
    assert OTHER.astype("<f4").tobytes() not in bytes(mistake.sealed_vector)
    settings.TEMPLATE_KEYS = [Fernet.generate_key().decode()]
    with caplog.at_level(logging.ERROR):
        assert not is_mistaken(template_id=template.pk, embedding=OTHER)
    assert f"mistaken face {mistake.pk} was left out" in caplog.text
    assert "Eileen" not in caplog.text


@needs_faces
def test_on_real_faces_the_other_person_is_held_back_and_the_owner_is_not(eileen: Student) -> None:
    # Three pictures of Kim Dae-jung pass the threshold of a class of one for Yoko Ono.
    own, other = faces_of("Yoko_Ono"), faces_of("Kim_Dae-jung")
    vector = fuse(own[:3])
    threshold = IdentificationThresholds().similarity_for(1)
    taken = [face for face in other if float(face @ vector) >= threshold]
    assert len(taken) == 3
    template = a_template(eileen, vector)
    mistaken(template, taken[0])
    assert all(is_mistaken(template_id=template.pk, embedding=face) for face in taken[1:])
    assert len(own) > 3
    assert not any(is_mistaken(template_id=template.pk, embedding=face) for face in own[3:])


def faces_of(person: str) -> list[Embedding]:
    futures = [worker_pool().analyse_photo(path.read_bytes()) for path in lfw_pictures()[person]]
    faces = [future.result().main_face for future in futures]
    return [
        face.embedding / np.linalg.norm(face.embedding)
        for face in faces
        if face is not None and face.embedding is not None
    ]


# What was measured


def test_trials_of_two_people_worked_out_by_hand() -> None:
    # Whichever picture is enrolled, Ann's template is (1, 0) and Bob's (0.8, 0.6): 0.8 alike.
    people = {
        "Ann": np.array([(1, 0)] * 3, np.float32),
        "Bob": np.array([(0.8, 0.6)] * 2, np.float32),
    }
    trials = mistake_trials(people, threshold=0.7, enrol=1, draws=1, seed=1)
    # Bob's two pictures pass for Ann and her three for Bob; each meets the others of its person.
    assert trials.mistakes == 5
    assert trials.others == pytest.approx(np.array([(1, 0.8)] * (2 + 6)))
    # Ann has two pictures left against Bob's two, Bob has one left against her three.
    assert trials.owners == pytest.approx(np.array([(0.8, 1)] * (4 + 3)))
    assert trials.deniers == pytest.approx(np.array([(1, 1)] * 2))
    limits = MistakeThresholds()
    shares = [held_back(pairs, limits) for pairs in (trials.others, trials.owners, trials.deniers)]
    assert shares == [1.0, 0.0, 0.0]
    nobody = mistake_trials(people, threshold=0.9, enrol=1, draws=1, seed=1)
    assert (nobody.mistakes, held_back(nobody.others, limits)) == (0, 0.0)


@pytest.mark.parametrize(("names", "enrol"), [(["Ann"], 1), (["Ann", "Bob"], 3)])
def test_trials_need_somebody_to_enrol_and_somebody_else(names: list[str], enrol: int) -> None:
    people = {name: np.eye(3, dtype=np.float32) for name in names}
    with pytest.raises(ValueError, match="enrol fewer pictures"):
        mistake_trials(people, threshold=0.7, enrol=enrol, draws=1, seed=1)
