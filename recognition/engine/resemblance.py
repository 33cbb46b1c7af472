"""Whose faces are so alike that a person should look: one person twice, look-alikes, twins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recognition.engine.gallery import Gallery
from recognition.engine.thresholds import ResemblanceThresholds
from recognition.engine.types import Embedding

Kind = Literal["same_face", "look_alike"]


@dataclass(frozen=True, slots=True)
class FaceLike:
    """A face of the gallery that resembles another one.

    ``same_face``: most probably one person twice. ``look_alike``: a kiosk may take one for the
    other.
    """

    id: int
    similarity: float
    kind: Kind


def resemblances(
    vector: Embedding, others: Gallery, thresholds: ResemblanceThresholds
) -> list[FaceLike]:
    """Those of the others who resemble the face ``vector``, ``(d,)`` of unit length, nearest first.

    >>> others = Gallery((7, 8, 9), np.array([[1, 0], [0.92, 0.392], [0, 1]], np.float32), "any")
    >>> limits = ResemblanceThresholds(same_face_similarity=0.95, look_alike_similarity=0.9)
    >>> [(face.id, face.kind) for face in resemblances(others.matrix[0], others, limits)]
    [(7, 'same_face'), (8, 'look_alike')]
    """
    similarities = others.matrix @ vector
    return [
        FaceLike(
            id=others.ids[row],
            similarity=float(similarities[row]),
            kind=_kind(float(similarities[row]), thresholds),
        )
        for row in np.argsort(-similarities, kind="stable")
        if similarities[row] >= thresholds.look_alike_similarity
    ]


def _kind(similarity: float, thresholds: ResemblanceThresholds) -> Kind:
    return "same_face" if similarity >= thresholds.same_face_similarity else "look_alike"
