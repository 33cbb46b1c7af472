from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.gallery import Gallery
from recognition.engine.resemblance import resemblances
from recognition.engine.thresholds import ResemblanceThresholds
from recognition.engine.types import Embedding

LIMITS = ResemblanceThresholds(same_face_similarity=0.9, look_alike_similarity=0.6)
MODEL = "example"


def at_cosine(cosine: float) -> Embedding:
    """A unit vector with this similarity to ``(1, 0)``."""
    return np.array([cosine, (1 - cosine**2) ** 0.5], np.float32)


def others(*cosines: float) -> Gallery:
    vectors = {number: at_cosine(cosine) for number, cosine in enumerate(cosines, start=1)}
    return Gallery.of(vectors, model_id=MODEL, dimensions=2)


def test_the_most_alike_come_first_and_the_rest_not_at_all() -> None:
    found = resemblances(at_cosine(1), others(0.7, 0.95, 0.2, 0.8, -1), LIMITS)

    assert [(face.id, face.kind) for face in found] == [
        (2, "same_face"),
        (4, "look_alike"),
        (1, "look_alike"),
    ]
    assert [face.similarity for face in found] == pytest.approx([0.95, 0.8, 0.7])


@pytest.mark.parametrize(
    ("cosine", "kind"), [(0.9001, "same_face"), (0.8999, "look_alike"), (0.6001, "look_alike")]
)
def test_the_threshold_decides_the_kind(cosine: float, kind: str) -> None:
    (face,) = resemblances(at_cosine(1), others(cosine), LIMITS)

    assert face.kind == kind


def test_nobody_resembles_a_face_that_is_alone() -> None:
    assert resemblances(at_cosine(1), Gallery.of({}, model_id=MODEL, dimensions=2), LIMITS) == []
    assert resemblances(at_cosine(1), others(0.5999), LIMITS) == []
