"""Consent, enrolment and revocation. Each function that writes is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from recognition.engine.gallery import fuse
from recognition.engine.thresholds import EnrolmentThresholds
from recognition.engine.types import Embedding, EngineError, FrameAnalysis, Problem
from recognition.models import Consent, FaceTemplate
from recognition.sealing import seal_vector
from recognition.texts import DOES_NOT_MATCH_OTHERS, PROBLEM_TEXTS
from recognition.workers import active_model_id, require_models, worker_pool
from roster.models import Student

MAX_PHOTOS = 5


@dataclass(frozen=True, slots=True)
class PhotoVerdict:
    """Whether one picture was used. ``code`` is stable, ``message`` is for the person."""

    accepted: bool
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class EnrolmentResult:
    """The new template, or None with the reason in ``message``; a verdict for each picture."""

    template: FaceTemplate | None
    verdicts: tuple[PhotoVerdict, ...]
    message: str


@transaction.atomic
def record_consent(
    *, student: Student, given_via: Consent.GivenVia, recorded_by: User | None = None
) -> Consent:
    """Keep a student's consent to the policy in force; an older consent in force is replaced."""
    in_force = (
        Consent.objects.select_for_update().filter(student=student, withdrawn_at=None).first()
    )
    if in_force is not None:
        if in_force.policy_version == settings.CONSENT_POLICY_VERSION:
            return in_force
        in_force.withdrawn_at = timezone.now()
        in_force.save(update_fields=["withdrawn_at"])
    return Consent.objects.create(
        student=student,
        policy_version=settings.CONSENT_POLICY_VERSION,
        given_via=given_via,
        recorded_by=recorded_by,
    )


@transaction.atomic
def withdraw_consent(*, student: Student) -> int:
    """End the consent and erase every template of the student; returns how many were erased."""
    Consent.objects.filter(student=student, withdrawn_at=None).update(withdrawn_at=timezone.now())
    erased, _by_model = FaceTemplate.objects.filter(student=student).delete()
    return erased


@transaction.atomic
def revoke_template(template: FaceTemplate) -> None:
    """Take a template out of every gallery. The vector goes, the row stays as a record."""
    FaceTemplate.objects.filter(pk=template.pk, revoked_at=None).update(
        revoked_at=timezone.now(), sealed_vector=b""
    )


def enrol_face(
    *, student: Student, photos: Sequence[bytes], enrolled_by: User | None = None
) -> EnrolmentResult:
    """Make the student's template from 1 to 5 pictures, replacing the one in force.

    Pictures that cannot be used are told why and left out; the others must show one person.
    Nothing of a picture is kept.

    Raises:
        EngineError: the models cannot be loaded.
        WorkerLostError: a worker died; try again.
    """
    if not 1 <= len(photos) <= MAX_PHOTOS:
        return EnrolmentResult(
            None,
            (),
            _("Got %(count)d pictures, expected 1 to %(most)d.")
            % {"count": len(photos), "most": MAX_PHOTOS},
        )
    if not _has_consent(student):
        return EnrolmentResult(
            None, (), _("There is no consent of this student. Record it first, then enrol.")
        )
    analyses = _analyse(photos)
    verdicts = [_verdict(analysis) for analysis in analyses]
    embeddings = {
        index: analysis.main_face.embedding
        for index, analysis in enumerate(analyses)
        if verdicts[index].accepted
        and isinstance(analysis, FrameAnalysis)
        and analysis.main_face is not None
        and analysis.main_face.embedding is not None
    }
    for index in _outliers(embeddings):
        verdicts[index] = PhotoVerdict(False, "does_not_match_others", str(DOES_NOT_MATCH_OTHERS))
        del embeddings[index]
    if not embeddings:
        return EnrolmentResult(
            None, tuple(verdicts), _("No picture could be used. Nothing was changed.")
        )
    return _store(student, list(embeddings.values()), tuple(verdicts), enrolled_by)


@transaction.atomic
def _store(
    student: Student,
    embeddings: list[Embedding],
    verdicts: tuple[PhotoVerdict, ...],
    enrolled_by: User | None,
) -> EnrolmentResult:
    # The lock orders enrolments of one student; consent may have ended while pictures were read.
    Student.objects.select_for_update().get(pk=student.pk)
    if not _has_consent(student):
        return EnrolmentResult(
            None, verdicts, _("The student's consent was withdrawn meanwhile. Nothing was kept.")
        )
    model_id = active_model_id()
    for template in FaceTemplate.objects.filter(
        student=student, model_id=model_id, revoked_at=None
    ):
        revoke_template(template)
    template = FaceTemplate.objects.create(
        student=student,
        model_id=model_id,
        sealed_vector=seal_vector(fuse(embeddings), student_pk=student.pk, model_id=model_id),
        photo_count=len(embeddings),
        agreement=_agreement(embeddings),
        created_by=enrolled_by,
    )
    return EnrolmentResult(
        template,
        verdicts,
        _("Enrolled from %(used)d of %(sent)d pictures.")
        % {"used": len(embeddings), "sent": len(verdicts)},
    )


def _has_consent(student: Student) -> bool:
    return Consent.objects.filter(student=student, withdrawn_at=None).exists()


def _analyse(photos: Sequence[bytes]) -> list[FrameAnalysis | EngineError]:
    """Analyse the pictures side by side; what is wrong with a picture is an answer, not a fault."""
    require_models()
    futures = [worker_pool().analyse_photo(photo) for photo in photos]
    answers: list[FrameAnalysis | EngineError] = []
    for future in futures:
        try:
            answers.append(future.result())
        except EngineError as error:
            answers.append(error)
    return answers


def _verdict(analysis: FrameAnalysis | EngineError) -> PhotoVerdict:
    if isinstance(analysis, EngineError):
        return PhotoVerdict(False, analysis.code, str(analysis))
    face = analysis.main_face
    if face is None:
        problem = Problem.NO_FACE
    elif face.quality.problems:
        problem = face.quality.problems[0]
    else:
        return PhotoVerdict(True)
    return PhotoVerdict(False, problem, str(PROBLEM_TEXTS[problem]))


def _outliers(embeddings: dict[int, Embedding]) -> list[int]:
    """The pictures that are unlike more than half of the others."""
    if len(embeddings) < 2:
        return []
    indices = list(embeddings)
    similarities = _similarities(list(embeddings.values()))
    least = EnrolmentThresholds().same_person_similarity
    return [
        index
        for row, index in enumerate(indices)
        if np.quantile(np.delete(similarities[row], row), 0.5, method="higher") < least
    ]


def _agreement(embeddings: list[Embedding]) -> float | None:
    if len(embeddings) < 2:
        return None
    return round(float(_similarities(embeddings).min()), 4)


def _similarities(embeddings: list[Embedding]) -> np.ndarray:
    matrix = np.stack(embeddings)
    similarities: np.ndarray = matrix @ matrix.T
    return similarities
