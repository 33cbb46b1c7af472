"""Pictures on their way to a template. Each function that writes is one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.language import in_language_of
from accounts.mail import send_notice
from accounts.models import User
from recognition.engine.gallery import fuse
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import Embedding, EngineError, Face, PortraitAnalysis
from recognition.events import registration_became
from recognition.models import Consent, FaceRegistration, FaceTemplate, RegistrationPhoto
from recognition.photos import MAX_PHOTOS, PhotoVerdict, agreement_of, outliers, verdict_on
from recognition.sealing import seal_picture, seal_vector
from recognition.selectors import has_consent, open_registration
from recognition.services import note_resemblances, record_consent, store_template
from recognition.workers import active_model_id, require_models, worker_pool
from roster.models import Student
from roster.selectors import address_of

logger = logging.getLogger(__name__)

Status = FaceRegistration.Status


class RegistrationRefusedError(Exception):
    """What was asked of a registration is not possible; the text is for the person."""


#: What goes wrong between us and a picture: said on the page, with what was done so far kept.
REFUSALS = (RegistrationRefusedError, EngineError, WorkerLostError)


def add_photo(*, student: Student, content: bytes, added_by: User | None) -> PhotoVerdict:
    """Look at one picture and, if it can be used, keep it in the student's draft.

    Kept are the head alone and the embedding, both encrypted; nothing else of the file.

    Raises:
        RegistrationRefusedError: no consent, enough pictures, or a registration that waits.
        EngineError: the models cannot be loaded.
        WorkerLostError: a worker died; try again.
    """
    if not has_consent(student):
        raise RegistrationRefusedError(_("Read how your face is used and agree first."))
    found = portrait_of(content, embed=True)
    verdict = verdict_on(found if isinstance(found, EngineError) else found.analysis)
    if not verdict.accepted or isinstance(found, EngineError):
        return verdict
    return _keep_in_draft(student, found, added_by)


def portrait_of(content: bytes, *, embed: bool) -> PortraitAnalysis | EngineError:
    """What a worker finds in one picture; what is wrong with the picture is an answer.

    Raises:
        EngineError: the models cannot be loaded.
        WorkerLostError: a worker died; try again.
    """
    require_models()
    try:
        return worker_pool().analyse_portrait(content, embed=embed).result()
    except EngineError as error:
        return error


@transaction.atomic
def _keep_in_draft(
    student: Student, found: PortraitAnalysis, added_by: User | None
) -> PhotoVerdict:
    # The lock orders uploads of one student; consent may have ended while the picture was read.
    Student.objects.select_for_update().get(pk=student.pk)
    if not has_consent(student):
        raise RegistrationRefusedError(_("Your consent was withdrawn. Nothing was kept."))
    registration = open_registration(student) or FaceRegistration.objects.create(
        student=student, created_by=added_by
    )
    if registration.status != Status.DRAFT:
        raise RegistrationRefusedError(
            _("Your pictures wait for a decision. To send others, cancel the registration first.")
        )
    photos = list(registration.photos.select_related("registration"))
    if len(photos) >= MAX_PHOTOS:
        raise RegistrationRefusedError(
            _("There are %(most)d pictures already, which is enough. Remove one to add another.")
            % {"most": MAX_PHOTOS}
        )
    face = found.analysis.main_face
    assert face is not None and face.embedding is not None  # noqa: S101, PT018
    others = {photo.pk: photo.vector() for photo in photos if photo.model_id == active_model_id()}
    if 0 in outliers({0: face.embedding, **others}):
        return PhotoVerdict.unlike_others()
    keep_photo(registration, found)
    return PhotoVerdict(True)


def keep_photo(registration: FaceRegistration, found: PortraitAnalysis) -> RegistrationPhoto:
    """Encrypt the head of a picture, and its embedding if one was made."""
    face = found.analysis.main_face
    assert face is not None and found.portrait_jpeg is not None  # noqa: S101, PT018
    return RegistrationPhoto.objects.create(
        registration=registration,
        sealed_picture=seal_picture(found.portrait_jpeg, student_pk=registration.student_id),
        **_sealed_vector(registration.student_id, face),
        face_height_px=face.quality.face_height_px,
        sharpness=face.quality.sharpness,
        brightness=face.quality.brightness,
    )


def _sealed_vector(student_pk: int, face: Face) -> dict[str, Any]:
    if face.embedding is None:
        return {}
    model_id = active_model_id()
    return {
        "model_id": model_id,
        "sealed_vector": seal_vector(face.embedding, student_pk=student_pk, model_id=model_id),
    }


@transaction.atomic
def remove_photo(photo: RegistrationPhoto) -> None:
    """Take a picture out of a draft.

    Raises:
        RegistrationRefusedError: the registration is no draft any more.
    """
    registration = _locked(photo.registration)
    if registration.status != Status.DRAFT:
        raise RegistrationRefusedError(
            _("Your pictures wait for a decision. To send others, cancel the registration first.")
        )
    photo.delete()


@transaction.atomic
def cancel_registration(registration: FaceRegistration) -> None:
    """The student's own way back: the pictures are deleted, nothing is decided.

    Raises:
        RegistrationRefusedError: it is decided already.
    """
    registration = _locked(registration)
    if not registration.is_open:
        raise _decided_already(registration)
    _close(registration, Status.CANCELLED, decided_by=None)


def submit_registration(registration: FaceRegistration) -> None:
    """Hand the draft's pictures in for approval.

    Raises:
        RegistrationRefusedError: there is no picture, or it was handed in already.
        EngineError: the models cannot be loaded.
        WorkerLostError: a worker died; try again.
    """
    bring_vectors_up_to_date(registration)
    with transaction.atomic():
        registration = _locked(registration)
        if registration.status != Status.DRAFT:
            raise RegistrationRefusedError(_("These pictures were handed in already."))
        embeddings = _embeddings_of(registration)
        if not embeddings:
            raise RegistrationRefusedError(_("Add at least one picture first."))
        _hand_in(registration, embeddings)
        _tell(registration, gettext_lazy("We have your pictures"), "registration_received")


def approve_registration(*, registration: FaceRegistration, decided_by: User) -> FaceTemplate:
    """Make the template in force of the pictures, which are deleted with this decision.

    Raises:
        RegistrationRefusedError: it is decided already, or the consent was withdrawn.
        EngineError: the models cannot be loaded.
        WorkerLostError: a worker died; try again.
    """
    bring_vectors_up_to_date(registration)
    with transaction.atomic():
        registration = _locked(registration)
        if registration.status != Status.PENDING:
            raise _decided_already(registration)
        if not has_consent(registration.student):
            raise RegistrationRefusedError(
                _("%(student)s has withdrawn the consent.") % {"student": registration.student}
            )
        embeddings = _embeddings_of(registration)
        if not embeddings:
            raise RegistrationRefusedError(
                _(
                    "The recognition was renewed and finds no face in these pictures. Reject them "
                    "and ask for new ones."
                )
            )
        template = store_template(
            student=registration.student, embeddings=embeddings, created_by=decided_by
        )
        _close(registration, Status.APPROVED, decided_by=decided_by)
        _tell(registration, gettext_lazy("Your face is registered"), "registration_approved")
    return template


@transaction.atomic
def reject_registration(*, registration: FaceRegistration, decided_by: User, reason: str) -> None:
    """Refuse the pictures and tell the student why. Nothing of them is kept.

    Raises:
        RegistrationRefusedError: it is decided already, or there is no reason.
    """
    if not reason.strip():
        raise RegistrationRefusedError(_("Give a reason: the student has to know what to change."))
    registration = _locked(registration)
    if registration.status != Status.PENDING:
        raise _decided_already(registration)
    registration.reason = reason.strip()
    _close(registration, Status.REJECTED, decided_by=decided_by)
    if not registration.student.face_templates.filter(revoked_at=None).exists():
        registration.student.resemblances.all().delete()
    _tell(registration, gettext_lazy("Your registration was not accepted"), "registration_rejected")


@transaction.atomic
def hold_for_consent(
    *, student: Student, portraits: Sequence[PortraitAnalysis], added_by: User | None
) -> FaceRegistration:
    """Keep pictures of somebody who has not agreed yet, without making a template of them.

    Raises:
        RegistrationRefusedError: a registration of this student is open already.
    """
    Student.objects.select_for_update().get(pk=student.pk)
    if open_registration(student) is not None:
        raise RegistrationRefusedError(_("A registration of this student is open already."))
    registration = FaceRegistration.objects.create(
        student=student,
        status=Status.AWAITING_CONSENT,
        origin=FaceRegistration.Origin.IMPORT,
        created_by=added_by,
    )
    for portrait in portraits:
        keep_photo(registration, portrait)
    _tell(
        registration, gettext_lazy("May your picture be used for attendance?"), "registration_held"
    )
    return registration


def agree_to_held_photos(registration: FaceRegistration) -> None:
    """The student's consent to pictures that the institution brought in.

    They are handed in like the student's own. Pictures that are unlike the others are dropped.

    Raises:
        RegistrationRefusedError: it does not wait for consent any more.
        EngineError: the models cannot be loaded.
        WorkerLostError: a worker died; try again.
    """
    with transaction.atomic():
        registration = _locked(registration)
        if registration.status != Status.AWAITING_CONSENT:
            raise RegistrationRefusedError(_("These pictures were handed in already."))
        record_consent(student=registration.student, given_via=Consent.GivenVia.WEB)
        registration.status = Status.DRAFT
        registration.save(update_fields=["status"])
    submit_registration(registration)


def bring_vectors_up_to_date(registration: FaceRegistration) -> None:
    """Make the embeddings that are missing or of another model, from the pictures kept.

    Raises:
        EngineError: the models cannot be loaded.
        WorkerLostError: a worker died; try again.
    """
    model_id = active_model_id()
    for photo in registration.photos.exclude(model_id=model_id).select_related("registration"):
        found = portrait_of(photo.picture(), embed=True)
        face = None if isinstance(found, EngineError) else found.analysis.main_face
        if face is None or face.embedding is None:
            logger.warning("photo %s has no face for the model %s", photo.pk, model_id)
            continue
        sealed = _sealed_vector(registration.student_id, face)
        RegistrationPhoto.objects.filter(pk=photo.pk).update(**sealed)


def _locked(registration: FaceRegistration) -> FaceRegistration:
    """The row as it is now, held until the transaction ends: one decision wins.

    The student's row is locked first, as everywhere, so that nobody waits for each other.
    """
    Student.objects.select_for_update().get(pk=registration.student_id)
    return FaceRegistration.objects.select_related("student__user").get(pk=registration.pk)


def _embeddings_of(registration: FaceRegistration) -> list[Embedding]:
    photos = registration.photos.filter(model_id=active_model_id()).select_related("registration")
    embeddings = {photo.pk: photo.vector() for photo in photos}
    for unlike in outliers(embeddings):
        del embeddings[unlike]
    return list(embeddings.values())


def _hand_in(registration: FaceRegistration, embeddings: Sequence[Embedding]) -> None:
    registration.status = Status.PENDING
    now = timezone.now()
    registration.submitted_at = now
    registration.agreement = agreement_of(embeddings)
    registration.save(update_fields=["status", "submitted_at", "agreement"])
    registration_became(registration, Status.PENDING, at=now)
    note_resemblances(student=registration.student, vector=fuse(embeddings))


def _close(
    registration: FaceRegistration, status: FaceRegistration.Status, *, decided_by: User | None
) -> None:
    """The pictures go with the decision, in its transaction."""
    registration.photos.all().delete()
    registration.status = status
    now = timezone.now()
    registration.decided_at = now
    registration.decided_by = decided_by
    registration.save(update_fields=["status", "decided_at", "decided_by", "reason"])
    if registration.submitted_at is not None:
        registration_became(registration, status, at=now)
    logger.info("registration %s: %s", registration.pk, status)


def _decided_already(registration: FaceRegistration) -> RegistrationRefusedError:
    return RegistrationRefusedError(
        _("The registration of %(student)s is not waiting any more: %(status)s.")
        % {"student": registration.student, "status": registration.get_status_display()}
    )


def _tell(registration: FaceRegistration, subject: Promise, template: str) -> None:
    student = registration.student
    with in_language_of(student.user):
        send_notice(
            to=address_of(student),
            subject=str(subject),
            template=template,
            context={"registration": registration, "student": student},
        )
