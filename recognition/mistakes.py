"""Faces that a template matched by mistake, and must not match again.

A pair of a template and a mistaken face counts from the moment it is stored. Whether it was right
is decided by a person later: `forget_mistake` takes it back.
"""

from __future__ import annotations

import logging
from datetime import datetime

import numpy as np
from django.db import transaction

from recognition.engine.thresholds import MistakeThresholds
from recognition.engine.types import Embedding
from recognition.models import FaceMistake, FaceTemplate
from recognition.sealing import TemplateUnreadableError, seal_vector
from recognition.selectors import in_force_after
from roster.models import Student

logger = logging.getLogger(__name__)


def is_mistaken(*, template_id: int, embedding: Embedding) -> bool:
    """Whether this probe, ``(d,)``, was said not to be the person of this template.

    It is, when it is nearly the same as a face that was said so, and nearer to it than to the
    template: the template's own person is seldom both.
    """
    mistakes = FaceMistake.objects.filter(template=template_id).select_related("template")
    return any(_is_the_same(mistake, embedding) for mistake in mistakes)


def _is_the_same(mistake: FaceMistake, embedding: Embedding) -> bool:
    template = mistake.template
    if template.revoked_at is not None or template.model_id != mistake.model_id:
        return False
    try:
        mistaken, own = mistake.vector(), template.vector()
    except TemplateUnreadableError as error:
        logger.error("mistaken face %s was left out: %s", mistake.pk, error)
        return False
    return is_nearly(embedding, mistaken=mistaken, own=own)


def is_nearly(probe: Embedding, *, mistaken: Embedding, own: Embedding) -> bool:
    """The rule of `is_mistaken` on embeddings, each ``(d,)``, of any length.

    >>> probe, other = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    >>> is_nearly(probe, mistaken=probe, own=other), is_nearly(probe, mistaken=other, own=probe)
    (True, False)
    """
    return MistakeThresholds().is_mistaken(
        to_mistaken=_cosine(probe, mistaken), to_own=_cosine(probe, own)
    )


def _cosine(one: Embedding, other: Embedding) -> float:
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))


@transaction.atomic
def remember_mistake(
    *, template: FaceTemplate, embedding: Embedding, at: datetime
) -> FaceMistake | None:
    """Keep, encrypted, that this face is not the person of the template.

    A template that was updated since is followed. None where it has been revoked or deleted
    meanwhile: it matches nobody any more.
    """
    # Locked as by enrolments and updates, which would put another row in its place meanwhile.
    Student.objects.select_for_update().get(pk=template.student_id)
    template_now = in_force_after(template.pk)
    if template_now is None:
        return None
    return FaceMistake.objects.create(
        template=template_now,
        model_id=template_now.model_id,
        sealed_vector=seal_vector(
            embedding, student_pk=template_now.student_id, model_id=template_now.model_id
        ),
        made_at=at,
    )


def forget_mistake(mistake: FaceMistake) -> None:
    """Take a pair back: the template may match this face again."""
    FaceMistake.objects.filter(pk=mistake.pk).delete()


def hand_over_mistakes(*, template: FaceTemplate, adopted: FaceTemplate) -> None:
    """Seal the pairs of a template for the one that takes its place with another student.

    Raises:
        TemplateUnreadableError: none of the keys opens one of them.
    """
    for mistake in template.mistakes.select_related("template"):
        mistake.sealed_vector = seal_vector(
            mistake.vector(), student_pk=adopted.student_id, model_id=mistake.model_id
        )
        mistake.template = adopted
        mistake.save(update_fields=["sealed_vector", "template"])
