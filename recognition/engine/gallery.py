"""1:N identification: one probe against the templates of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

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


class Decision(StrEnum):
    MATCH = "match"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Identification:
    """The nearest template and what was decided. Similarities are cosines, -1 to 1.

    ``template_id`` is set for a match only. ``runner_up`` is None in a gallery of one,
    ``similarity`` also in an empty one.
    """

    decision: Decision
    template_id: int | None
    similarity: float | None
    runner_up: float | None
    threshold: float
    gallery_size: int


def identify(
    gallery: Gallery, probe: Embedding, *, threshold: float, margin: float
) -> Identification:
    """Search a probe, ``(d,)`` float32, in a gallery.

    A match is at least ``threshold`` alike and ``margin`` more alike than anybody else.

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

    if similarity is None or similarity < threshold:
        decision = Decision.UNKNOWN
    elif runner_up is not None and similarity - runner_up < margin:
        decision = Decision.AMBIGUOUS
    else:
        decision = Decision.MATCH
    return Identification(
        decision=decision,
        template_id=gallery.ids[best] if best is not None and decision is Decision.MATCH else None,
        similarity=similarity,
        runner_up=runner_up,
        threshold=threshold,
        gallery_size=len(gallery),
    )


def fuse(embeddings: Sequence[Embedding]) -> Embedding:
    """The unit-length mean of several embeddings of one person, ``(d,)`` float32."""
    if not embeddings:
        raise ValueError("got no embedding to fuse, expected at least one")
    return unit_length(np.mean(np.stack(embeddings), axis=0))


def unit_length(vector: npt.NDArray[np.float32]) -> Embedding:
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
