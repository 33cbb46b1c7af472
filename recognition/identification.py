"""Who a live face is, among the classes of the open sessions: the same way wherever it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recognition.engine.dialogue import LiveProbe
from recognition.engine.gallery import Decision, Identification, identify
from recognition.engine.types import Embedding
from recognition.selectors import GalleryCache, look_alikes_of, thresholds_in_force
from recognition.workers import active_model_id, previous_model_id
from roster.models import ClassSession


@dataclass(frozen=True, slots=True)
class Found:
    """What one search ended in, by the model ``model_id``, whose probe is ``embedding``, ``(d,)``.

    ``look_alikes`` are the other templates of the gallery that are known to resemble the nearest
    one: a face that leads there may be any of them.
    """

    identification: Identification
    model_id: str
    embedding: Embedding
    look_alikes: tuple[int, ...] = ()

    @property
    def decision(self) -> Decision:
        return self.identification.decision

    @property
    def nearest_template_id(self) -> int | None:
        """The template that matched, or the nearest of several that are too near to each other."""
        return next(iter(self.identification.candidates), None)

    @property
    def is_one_of_look_alikes(self) -> bool:
        """Whether everybody whom the face may show is known to resemble the nearest one."""
        others = self.identification.candidates[1:]
        return bool(self.look_alikes) and set(others) <= set(self.look_alikes)


def find(cache: GalleryCache, sessions: Sequence[ClassSession], probe: LiveProbe) -> Found:
    """Search a live face among the class lists of these sessions.

    Where two models serve, who has no template of the active one yet is searched with the other.
    A face that leads to somebody with each of them is ambiguous: the two are different people.

    Raises:
        EngineError: no thresholds are known for a model, or it made no such embedding.
    """
    found = _search(cache, sessions, probe.embedding, model_id=active_model_id())
    previous_id = previous_model_id()
    if previous_id is None or probe.previous is None:
        return found
    other = _search(
        cache, sessions, probe.previous, model_id=previous_id, unless_model=active_model_id()
    )
    return _surer(found, other)


_SURENESS = (Decision.UNKNOWN, Decision.UNCERTAIN, Decision.AMBIGUOUS, Decision.MATCH)


def _surer(found: Found, other: Found) -> Found:
    if found.decision is other.decision is Decision.MATCH:
        return Found(found.identification.as_ambiguous(), found.model_id, found.embedding)
    if _SURENESS.index(other.decision) > _SURENESS.index(found.decision):
        return other
    return found


def _search(
    cache: GalleryCache,
    sessions: Sequence[ClassSession],
    embedding: Embedding,
    *,
    model_id: str,
    unless_model: str | None = None,
) -> Found:
    dimensions = len(embedding)
    gallery = cache.gallery_for(
        sessions, model_id=model_id, dimensions=dimensions, unless_model=unless_model
    )
    thresholds = thresholds_in_force(model_id=model_id)
    cohort = cache.cohort_beside(gallery, dimensions=dimensions)
    identification = identify(
        gallery,
        embedding,
        threshold=thresholds.similarity_beside(cohort.similarity(embedding), len(gallery)),
        margin=thresholds.margin,
        band=thresholds.band,
    )
    nearest = next(iter(identification.candidates), None)
    alike = look_alikes_of(nearest, among=gallery) if nearest is not None else []
    return Found(identification, model_id, embedding, tuple(alike))
