"""1:N identification: one probe against the templates of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.engine.thresholds import COHORT, CohortThresholds
from recognition.engine.types import Embedding, EngineError


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """The templates that a probe is searched in.

    ``ids`` names the rows of ``matrix``, ``(n, d)`` float32 with rows of unit length; all of them
    were made by the model ``model_id``.
    """

    ids: tuple[int, ...]
    matrix: npt.NDArray[np.float32]
    model_id: str

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or len(self.ids) != len(self.matrix):
            raise ValueError(
                f"got {len(self.ids)} ids and a matrix of shape {self.matrix.shape}, "
                "expected (number of ids, dimensions)"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, vectors: dict[int, Embedding], *, model_id: str, dimensions: int) -> Gallery:
        """A gallery of the embeddings by id. Each is brought to unit length.

        Raises:
            EngineError: a vector has another length than the model's, or holds NaN or only zeros.
        """
        matrix = np.empty((len(vectors), dimensions), dtype=np.float32)
        for row, (template_id, vector) in enumerate(vectors.items()):
            matrix[row] = _checked(vector, dimensions, f"template {template_id}", model_id)
        return cls(tuple(vectors), matrix, model_id)


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """People outside the gallery, with whom a probe is compared besides.

    A face that is like many is like those of the gallery too, without being one of them. How like,
    the cohort tells. ``counted``, ``(c,)``, says which rows of ``people`` belong to it.
    ``gallery_size`` is of the gallery that it stands beside.
    """

    people: Gallery
    counted: npt.NDArray[np.bool_]
    gallery_size: int

    def __len__(self) -> int:
        return int(np.count_nonzero(self.counted))

    @classmethod
    def beside(cls, gallery: Gallery, people: Gallery) -> Cohort:
        """All of these people but those of the gallery, and those who seem to be among them.

        Somebody with a second account would otherwise be compared with themselves.

        Raises:
            EngineError: they were made by another model.
        """
        if people.model_id != gallery.model_id:
            raise EngineError(
                "wrong_model",
                f"the cohort was made by {people.model_id}, expected {gallery.model_id} of the "
                "gallery: templates of two models are never compared",
            )
        counted = ~np.isin(people.ids, gallery.ids)
        if len(gallery):
            counted &= _nearest_in(gallery, people) < COHORT.same_person_similarity
        return cls(people, counted, len(gallery))

    def similarity(self, probe: Embedding, thresholds: CohortThresholds = COHORT) -> float | None:
        """The mean cosine of the probe, ``(d,)``, to those of the cohort who are most like it.

        None where the cohort is too small to help.

        The probe's half of adaptive symmetric score normalisation (Cumani et al. 2011), without
        the division by the deviation.

        Raises:
            EngineError: the probe has another length than the templates, or holds NaN or only
                zeros.
        """
        if not thresholds.suffices(len(self), self.gallery_size):
            return None
        people = self.people
        unit = _checked(probe, people.matrix.shape[1], "the probe", people.model_id)
        similarities = (people.matrix @ unit)[self.counted]
        return float(most_alike_mean(similarities[None], thresholds.share)[0])


#: Rows of a cohort that are compared with a gallery at once, so that ten thousand need no gigabyte.
_ROWS_AT_ONCE = 256


def _nearest_in(gallery: Gallery, people: Gallery) -> npt.NDArray[np.float32]:
    """How like the nearest of the gallery each of the people is, ``(c,)``."""
    nearest = np.empty(len(people), np.float32)
    for first in range(0, len(people), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        nearest[rows] = (people.matrix[rows] @ gallery.matrix.T).max(axis=1)
    return nearest


def most_alike_mean(similarities: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    """The mean of the highest ``share`` of each row, at least one; ``(n, c)`` to ``(n,)``.

    >>> most_alike_mean(np.array([[0.25, 0.75, 0.5, 0.25]], np.float32), 0.5).tolist()
    [0.625]
    """
    count = max(1, round(share * similarities.shape[1]))
    highest = np.partition(similarities, -count, axis=1)[:, -count:]
    return np.asarray(highest.mean(axis=1), np.float32)


class Decision(StrEnum):
    MATCH = "match"
    UNCERTAIN = "uncertain"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Identification:
    """The nearest template and what was decided. Similarities are cosines, -1 to 1.

    ``template_id`` is set for a match only. ``runner_up`` is None in a gallery of one,
    ``similarity`` also in an empty one. ``candidates`` are the templates that the probe may show,
    nearest first: the one of a match, or those that are too near to each other.
    """

    decision: Decision
    template_id: int | None
    similarity: float | None
    runner_up: float | None
    threshold: float
    gallery_size: int
    candidates: tuple[int, ...] = ()

    def as_ambiguous(self) -> Identification:
        """The same search where something else says that it may be another person."""
        return replace(self, decision=Decision.AMBIGUOUS, template_id=None, candidates=())


def identify(
    gallery: Gallery, probe: Embedding, *, threshold: float, margin: float, band: float = 0.0
) -> Identification:
    """Search a probe, ``(d,)`` float32, in a gallery.

    A match is at least ``threshold`` alike and ``margin`` more alike than anybody else. Less than
    ``band`` below the threshold it is uncertain: another look may decide, a guess may not.

    >>> gallery = Gallery((7, 8), np.eye(2, dtype=np.float32), "example")
    >>> identify(gallery, np.array([3.0, 0.0], np.float32), threshold=0.9, margin=0.05).template_id
    7

    Raises:
        EngineError: the probe has another length than the templates, or holds NaN or only zeros.
    """
    unit = _checked(probe, gallery.matrix.shape[1], "the probe", gallery.model_id)
    similarities = gallery.matrix @ unit
    best = int(np.argmax(similarities)) if len(gallery) else None
    similarity = float(similarities[best]) if best is not None else None
    runner_up = float(np.partition(similarities, -2)[-2]) if len(gallery) > 1 else None
    candidates: tuple[int, ...] = ()

    if similarity is None or similarity < threshold - band:
        decision = Decision.UNKNOWN
    elif similarity < threshold:
        decision = Decision.UNCERTAIN
    else:
        candidates = _nearest_by(gallery, similarities, margin)
        decision = Decision.MATCH if len(candidates) == 1 else Decision.AMBIGUOUS
    return Identification(
        decision=decision,
        template_id=candidates[0] if decision is Decision.MATCH else None,
        similarity=similarity,
        runner_up=runner_up,
        threshold=threshold,
        gallery_size=len(gallery),
        candidates=candidates,
    )


def _nearest_by(
    gallery: Gallery, similarities: npt.NDArray[np.float32], margin: float
) -> tuple[int, ...]:
    """The nearest template, and those that it leads by less than the margin, nearest first."""
    best = int(np.argmax(similarities))
    rows = np.flatnonzero(similarities[best] - similarities < margin)
    rivals = sorted((row for row in rows if row != best), key=lambda row: -similarities[row])
    return (gallery.ids[best], *(gallery.ids[row] for row in rivals))


def fuse(embeddings: Sequence[Embedding], weights: Sequence[float] | None = None) -> Embedding:
    """The unit-length mean of several embeddings of one person, ``(d,)`` float32.

    ``weights``, one for each, are those of `quality.fusion_weight`; without them all count alike.

    >>> east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    >>> fuse([east, north], weights=[1, 0]).tolist()
    [1.0, 0.0]

    Raises:
        ValueError: there is no embedding, not one weight for each, or no weight above zero.
    """
    if not embeddings:
        raise ValueError("got no embedding to fuse, expected at least one")
    if weights is None:
        return unit_length(np.mean(np.stack(embeddings), axis=0))
    shares = np.asarray(weights, np.float64)
    usable = np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0
    if shares.shape != (len(embeddings),) or not usable:
        raise ValueError(
            f"got the weights {list(weights)} for {len(embeddings)} embeddings, expected one "
            "number for each, none below zero and some above"
        )
    return unit_length(np.average(np.stack(embeddings), axis=0, weights=shares))


def unit_length(vector: npt.NDArray[np.floating[Any]]) -> Embedding:
    """The vector, ``(d,)``, divided by its Euclidean norm."""
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def similarity(first: Embedding, second: Embedding) -> float:
    """Cosine similarity of two embeddings of unit length."""
    return float(first @ second)


def _checked(vector: Embedding, dimensions: int, whose: str, model_id: str) -> Embedding:
    if vector.shape != (dimensions,):
        raise EngineError(
            "wrong_dimensions",
            f"{whose} has shape {vector.shape}, expected ({dimensions},) of the model {model_id}: "
            "it was made by another model; ask the student to re-enrol",
        )
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm == 0:
        raise EngineError(
            "broken_vector",
            f"{whose} holds NaN, infinity or only zeros: it cannot be compared; "
            "ask the student to re-enrol",
        )
    return (vector / norm).astype(np.float32)
