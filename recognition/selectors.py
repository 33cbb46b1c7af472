"""Questions about who can be recognised, and the galleries that answer them at the door."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, CharField, Exists, OuterRef, Q, QuerySet, Value, When

from recognition.engine.gallery import Gallery
from recognition.engine.types import Embedding
from recognition.models import Consent, FaceTemplate, StudentFace
from recognition.sealing import TemplateUnreadableError
from roster.models import ClassSession
from roster.selectors import students_in

logger = logging.getLogger(__name__)


def templates_in_force(*, model_id: str) -> QuerySet[FaceTemplate]:
    """The templates that may be searched: not revoked, of this model, with consent."""
    return FaceTemplate.objects.filter(
        Exists(Consent.objects.filter(student=OuterRef("student"), withdrawn_at=None)),
        model_id=model_id,
        revoked_at=None,
    )


def with_recognisability(
    students: QuerySet[StudentFace], *, model_id: str
) -> QuerySet[StudentFace]:
    """Students annotated with ``recognisability``: ready, re_enrol, no_photo or no_consent."""
    in_force = FaceTemplate.objects.filter(student=OuterRef("pk"), revoked_at=None)
    consent = Consent.objects.filter(student=OuterRef("pk"), withdrawn_at=None)
    return students.annotate(
        recognisability=Case(
            When(~Q(Exists(consent)), then=Value("no_consent")),
            When(Exists(in_force.filter(model_id=model_id)), then=Value("ready")),
            When(Exists(in_force), then=Value("re_enrol")),
            default=Value("no_photo"),
            output_field=CharField(),
        )
    )


@dataclass(frozen=True, slots=True)
class _Cached:
    checked_at_s: float
    template_ids: frozenset[int]
    gallery: Gallery


class GalleryCache:
    """Decrypted galleries of the open sessions, in this process's memory only.

    A cached gallery is trusted for `fresh_s` seconds. Then the ids of the templates in force are
    read again: rows are never rewritten, so the same ids mean the same gallery, and only new ids
    are decrypted. Enrolment, revocation, withdrawn consent and changes of the class list thus
    reach every process within that time, without a message that could be missed.
    """

    def __init__(self, *, fresh_s: float = 1.0, keep: int = 64) -> None:
        self._fresh_s = fresh_s
        self._keep = keep
        self._cached: OrderedDict[tuple[Any, ...], _Cached] = OrderedDict()
        self._lock = threading.Lock()

    def gallery_for(
        self, sessions: Sequence[ClassSession], *, model_id: str, dimensions: int
    ) -> Gallery:
        """One gallery of everybody on the class lists of these sessions."""
        key = (model_id, *sorted(session.pk for session in sessions))
        now_s = time.monotonic()
        with self._lock:
            cached = self._cached.get(key)
        if cached is not None and now_s - cached.checked_at_s < self._fresh_s:
            return cached.gallery

        rows = templates_in_force(model_id=model_id).filter(_on_a_list_of(sessions))
        ids = frozenset(rows.values_list("pk", flat=True))
        if cached is not None and cached.template_ids == ids:
            gallery = cached.gallery
        else:
            known = _rows_of(cached.gallery) if cached is not None else {}
            vectors = {pk: known[pk] for pk in ids & known.keys()}
            vectors |= _decrypted(rows.filter(pk__in=ids - known.keys()))
            gallery = Gallery.of(vectors, model_id=model_id, dimensions=dimensions)
        with self._lock:
            self._cached[key] = _Cached(now_s, ids, gallery)
            self._cached.move_to_end(key)
            while len(self._cached) > self._keep:
                self._cached.popitem(last=False)
        return gallery


def _on_a_list_of(sessions: Sequence[ClassSession]) -> Q:
    on_a_list = Q(pk__in=[])
    for session in sessions:
        on_a_list |= Q(student__in=students_in(session))
    return on_a_list


def _rows_of(gallery: Gallery) -> dict[int, Embedding]:
    return dict(zip(gallery.ids, gallery.matrix, strict=True))


def _decrypted(templates: QuerySet[FaceTemplate]) -> dict[int, Embedding]:
    vectors = {}
    for template in templates:
        try:
            vectors[template.pk] = template.vector()
        except TemplateUnreadableError as error:
            logger.error("template %s was left out of a gallery: %s", template.pk, error)
    return vectors
