"""A template learns from check-ins where the policy allows it, and goes back on demand.

Rows are never rewritten: each update is a new row that names the one before it, so the log of a
face is its rows. What was learned is kept apart from the enrolment, which always stays.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounts.models import User
from recognition.engine.template_updates import TemplateParts
from recognition.engine.types import Embedding
from recognition.mistakes import hand_over_mistakes
from recognition.models import Consent, FaceTemplate, Resemblance
from recognition.sealing import TemplateUnreadableError
from recognition.selectors import in_force_after
from recognition.services import sealed
from recognition.workers import active_model_id
from roster.models import Student

logger = logging.getLogger(__name__)

Origin = FaceTemplate.Origin

#: A template learns at most once in this time, and rests as long after it was brought back.
UPDATE_EVERY = timedelta(days=7)


@transaction.atomic
def learn_from_check_in(
    *, template: FaceTemplate, embedding: Embedding, runner_up: float | None, at: datetime
) -> FaceTemplate | None:
    """Let the template learn from the live face, ``(d,)``, of a check-in that it matched.

    ``runner_up`` is the similarity to the nearest other template of the gallery. The template that
    is in force from now on; None where nothing was learned, which is the rule: the policy must
    allow it, the student must have agreed to that, the last update must be a week old, nobody may
    look alike or have been taken for this student, and the face must be surely theirs.
    """
    if not settings.TEMPLATE_UPDATES or template.model_id != active_model_id():
        return None
    # The lock orders this with enrolments and withdrawals.
    student = Student.objects.select_for_update().get(pk=template.student_id)
    in_force = FaceTemplate.objects.filter(pk=template.pk, revoked_at=None).first()
    if in_force is None or not _may_learn_now(student, in_force, at):
        return None
    parts = _parts_of(in_force)
    if parts is None or not parts.may_learn(embedding, runner_up=runner_up):
        return None
    similarity = round(float(parts.vector() @ embedding), 4)
    return _succeed(
        in_force, parts.learned_from(embedding), Origin.CHECK_IN, at=at, similarity=similarity
    )


@transaction.atomic
def bring_back(
    template: FaceTemplate, *, at: datetime, by: User | None = None
) -> FaceTemplate | None:
    """Take back whatever a template has learned: as it was enrolled it is in force again.

    None where it is not in force, has learned nothing, or cannot be decrypted.
    """
    Student.objects.select_for_update().get(pk=template.student_id)
    in_force = FaceTemplate.objects.filter(pk=template.pk, revoked_at=None).first()
    parts = _parts_of(in_force) if in_force is not None else None
    if in_force is None or parts is None or not len(parts.learned):
        return None
    return _succeed(in_force, parts.as_enrolled(), Origin.REVERTED, at=at, by=by)


def bring_back_if_learned(template: FaceTemplate, *, since: datetime) -> FaceTemplate | None:
    """Bring back what came of a template that learned from a check-in at that moment.

    Later updates go with it: they were made by comparison with what may be somebody else.
    """
    learned = FaceTemplate.objects.filter(
        previous=template, origin=Origin.CHECK_IN, created_at=since
    ).first()
    current = in_force_after(learned.pk) if learned is not None else None
    return bring_back(current, at=since) if current is not None else None


def _may_learn_now(student: Student, template: FaceTemplate, at: datetime) -> bool:
    # The version says whether the text that was agreed to told of updates.
    agreed = Consent.objects.filter(
        student=student, withdrawn_at=None, policy_version=settings.CONSENT_POLICY_VERSION
    )
    lately = FaceTemplate.objects.filter(
        student=student,
        origin__in=[Origin.CHECK_IN, Origin.REVERTED],
        created_at__gt=at - UPDATE_EVERY,
    )
    alike = Resemblance.objects.filter(Q(student=student) | Q(other=student))
    doubtful = template.mistakes.exists() or alike.exists() or lately.exists()
    return agreed.exists() and not doubtful


def _parts_of(template: FaceTemplate) -> TemplateParts | None:
    try:
        return template.parts()
    except TemplateUnreadableError as error:
        logger.error("template %s stays as it is: %s", template.pk, error)
        return None


def _succeed(
    template: FaceTemplate,
    parts: TemplateParts,
    origin: FaceTemplate.Origin,
    *,
    at: datetime,
    similarity: float | None = None,
    by: User | None = None,
) -> FaceTemplate:
    """Put a row of these parts in place of the template, with the faces it must not match."""
    owner_pk, model_id = template.student_id, template.model_id
    FaceTemplate.objects.filter(pk=template.pk).update(
        revoked_at=at, sealed_vector=b"", sealed_parts=b""
    )
    successor = FaceTemplate.objects.create(
        student_id=owner_pk,
        model_id=model_id,
        **sealed(parts, student_pk=owner_pk, model_id=model_id),
        origin=origin,
        previous=template,
        similarity=similarity,
        photo_count=template.photo_count,
        agreement=template.agreement,
        created_at=at,
        created_by=by,
    )
    hand_over_mistakes(template=template, adopted=successor)
    logger.info("template %s was replaced by %s: %s", template.pk, successor.pk, origin)
    return successor
