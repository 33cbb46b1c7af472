"""Consent, enrolment and revocation. Each function that writes is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.language import in_language_of
from accounts.mail import send_notice
from accounts.models import User
from recognition.cohort.models import PhotoImportItem
from recognition.engine.gallery import fuse
from recognition.engine.template_updates import TemplateParts
from recognition.engine.types import Embedding, EngineError, FrameAnalysis
from recognition.events import consent_withdrawn, registration_became
from recognition.models import (
    Consent,
    FaceMistake,
    FaceRegistration,
    FaceTemplate,
    RegistrationPhoto,
    Resemblance,
)
from recognition.photos import (
    MAX_PHOTOS,
    PhotoVerdict,
    agreement_of,
    outliers,
    verdict_on,
    wrong_number_of_photos,
)
from recognition.sealing import seal_parts, seal_vector
from recognition.selectors import faces_like, has_consent
from recognition.workers import active_model_id, require_models, worker_pool
from roster.models import Student
from roster.selectors import address_of


@dataclass(frozen=True, slots=True)
class EnrolmentResult:
    """The new template, or None with the reason in ``message``; a verdict for each picture."""

    template: FaceTemplate | None
    verdicts: tuple[PhotoVerdict, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """The receipt of a withdrawal: what was erased, and what a search still finds."""

    templates: int
    photos: int
    resemblances: int
    remaining: int


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
def decline_consent(*, student: Student, recorded_by: User | None = None) -> Erasure:
    """Keep that a student does not want their face to be used; what there is of it is erased."""
    erasure = withdraw_consent(student=student)
    Consent.objects.create(
        student=student,
        policy_version=settings.CONSENT_POLICY_VERSION,
        given_via=Consent.GivenVia.WEB,
        recorded_by=recorded_by,
        given_at=None,
        withdrawn_at=timezone.now(),
    )
    return erasure


@transaction.atomic
def withdraw_consent(*, student: Student) -> Erasure:
    """End the consent and erase whatever was made of the student's face.

    Templates, pending pictures and resemblances go; that there was a registration stays on
    record. The receipt is mailed to the student.
    """
    # The lock orders this with enrolments, which could otherwise add a template meanwhile.
    Student.objects.select_for_update().get(pk=student.pk)
    now = timezone.now()
    had_consent = Consent.objects.filter(student=student, withdrawn_at=None).update(
        withdrawn_at=now
    )
    photos, _by_model = RegistrationPhoto.objects.filter(registration__student=student).delete()
    photos += _waiting_uploads_of(student).update(
        state=PhotoImportItem.State.REFUSED,
        verdict=_("The student does not agree to the use of their face."),
        sealed_picture=b"",
    )
    # Mistaken faces and kept probes go with their template; the receipt counts templates.
    _count, deleted = FaceTemplate.objects.filter(student=student).delete()
    templates = deleted.get(FaceTemplate._meta.label, 0)
    resemblances, _by_model = _resemblances_of(student).delete()
    _cancel_registrations(student, now)
    erasure = Erasure(templates, photos, resemblances, remaining=_kept_of_face(student))
    if had_consent:
        consent_withdrawn(student, at=now)
        with in_language_of(student.user):
            send_notice(
                to=address_of(student),
                subject=_("Your consent is withdrawn"),
                template="consent_withdrawn",
                context={"student": student, "erasure": erasure, "at": now},
            )
    return erasure


def _cancel_registrations(student: Student, at: datetime) -> None:
    cancelled = FaceRegistration.Status.CANCELLED
    registrations = FaceRegistration.objects.filter(
        student=student, status__in=FaceRegistration.OPEN
    )
    handed_in = list(registrations.filter(submitted_at__isnull=False).select_related("student"))
    registrations.update(status=cancelled, decided_at=at)
    for registration in handed_in:
        registration.decided_at = at
        registration_became(registration, cancelled, at=at)


def _resemblances_of(student: Student) -> QuerySet[Resemblance]:
    return Resemblance.objects.filter(Q(student=student) | Q(other=student))


def _waiting_uploads_of(student: Student) -> QuerySet[PhotoImportItem]:
    return PhotoImportItem.objects.filter(student=student, state=PhotoImportItem.State.WAITING)


def _kept_of_face(student: Student) -> int:
    """Everything made of the student's face that a search of the database finds."""
    return (
        FaceTemplate.objects.filter(student=student).count()
        + RegistrationPhoto.objects.filter(registration__student=student).count()
        + _waiting_uploads_of(student).count()
        + _resemblances_of(student).count()
    )


@transaction.atomic
def revoke_template(template: FaceTemplate) -> None:
    """Take a template out of every gallery. The vector goes, the row stays as a record."""
    FaceMistake.objects.filter(template=template).delete()
    FaceTemplate.objects.filter(pk=template.pk, revoked_at=None).update(
        revoked_at=timezone.now(), sealed_vector=b"", sealed_parts=b""
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
        return EnrolmentResult(None, (), wrong_number_of_photos(len(photos)))
    if not has_consent(student):
        return EnrolmentResult(
            None, (), _("There is no consent of this student. Record it first, then enrol.")
        )
    analyses = _analyse(photos)
    verdicts = [verdict_on(analysis) for analysis in analyses]
    embeddings = {
        index: analysis.main_face.embedding
        for index, analysis in enumerate(analyses)
        if verdicts[index].accepted
        and isinstance(analysis, FrameAnalysis)
        and analysis.main_face is not None
        and analysis.main_face.embedding is not None
    }
    for index in outliers(embeddings):
        verdicts[index] = PhotoVerdict.unlike_others()
        del embeddings[index]
    if not embeddings:
        return EnrolmentResult(
            None, tuple(verdicts), _("No picture could be used. Nothing was changed.")
        )
    return _enrol(student, list(embeddings.values()), tuple(verdicts), enrolled_by)


@transaction.atomic
def _enrol(
    student: Student,
    embeddings: list[Embedding],
    verdicts: tuple[PhotoVerdict, ...],
    enrolled_by: User | None,
) -> EnrolmentResult:
    # The lock orders enrolments of one student; consent may have ended while pictures were read.
    Student.objects.select_for_update().get(pk=student.pk)
    if not has_consent(student):
        return EnrolmentResult(
            None, verdicts, _("The student's consent was withdrawn meanwhile. Nothing was kept.")
        )
    template = store_template(student=student, embeddings=embeddings, created_by=enrolled_by)
    note_resemblances(student=student, vector=fuse(embeddings))
    return EnrolmentResult(
        template,
        verdicts,
        _("Enrolled from %(used)d of %(sent)d pictures.")
        % {"used": len(embeddings), "sent": len(verdicts)},
    )


@transaction.atomic
def store_template(
    *, student: Student, embeddings: Sequence[Embedding], created_by: User | None
) -> FaceTemplate:
    """Keep the fused template of the active model in place of the one in force."""
    model_id = active_model_id()
    previous = FaceTemplate.objects.filter(
        student=student, model_id=model_id, revoked_at=None
    ).first()
    if previous is not None:
        revoke_template(previous)
    parts = TemplateParts.of_enrolment(np.stack(embeddings))
    return FaceTemplate.objects.create(
        student=student,
        model_id=model_id,
        **sealed(parts, student_pk=student.pk, model_id=model_id),
        previous=previous,
        photo_count=len(embeddings),
        agreement=agreement_of(embeddings),
        created_by=created_by,
    )


def sealed(parts: TemplateParts, *, student_pk: int, model_id: str) -> dict[str, bytes]:
    """What a row keeps of these parts: the template that they make, and each of them."""
    return {
        "sealed_vector": seal_vector(parts.vector(), student_pk=student_pk, model_id=model_id),
        "sealed_parts": seal_parts(parts, student_pk=student_pk, model_id=model_id),
    }


@transaction.atomic
def note_resemblances(*, student: Student, vector: Embedding) -> None:
    """Keep which other students this face could be taken for, in place of what was kept before."""
    Resemblance.objects.filter(student=student).delete()
    Resemblance.objects.bulk_create(
        Resemblance(
            student=student, other_id=found.id, similarity=found.similarity, kind=found.kind
        )
        for found in faces_like(vector, besides=student, model_id=active_model_id())
    )


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
