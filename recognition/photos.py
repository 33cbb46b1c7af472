"""What is said of a picture before a face is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext as _

from recognition.engine.thresholds import EnrolmentThresholds
from recognition.engine.types import Embedding, EngineError, FrameAnalysis, Problem
from recognition.texts import DOES_NOT_MATCH_OTHERS, PROBLEM_TEXTS

MAX_PHOTOS = 5


@dataclass(frozen=True, slots=True)
class PhotoVerdict:
    """Whether one picture was used. ``code`` is stable, ``message`` is for the person."""

    accepted: bool
    code: str = ""
    message: str = ""

    @classmethod
    def unlike_others(cls) -> PhotoVerdict:
        return cls(False, "does_not_match_others", str(DOES_NOT_MATCH_OTHERS))


def verdict_on(analysis: FrameAnalysis | EngineError) -> PhotoVerdict:
    """What the engine says of one picture, in words."""
    if isinstance(analysis, EngineError):
        return PhotoVerdict(False, analysis.code, str(analysis))
    face = analysis.main_face
    if face is None:
        problem = Problem.NO_FACE
    elif face.quality.problems:
        problem = face.quality.problems[0]
    else:
        return PhotoVerdict(True)
    return PhotoVerdict(False, problem, str(PROBLEM_TEXTS[problem]))


def wrong_number_of_photos(count: int) -> str:
    return _("Got %(count)d pictures, expected 1 to %(most)d.") % {
        "count": count,
        "most": MAX_PHOTOS,
    }


def outliers(embeddings: Mapping[int, Embedding]) -> list[int]:
    """The keys of the pictures that are unlike more than half of the others."""
    if len(embeddings) < 2:
        return []
    keys = list(embeddings)
    similarities = _similarities(list(embeddings.values()))
    least = EnrolmentThresholds().same_person_similarity
    return [
        key
        for row, key in enumerate(keys)
        if np.quantile(np.delete(similarities[row], row), 0.5, method="higher") < least
    ]


def agreement_of(embeddings: Sequence[Embedding]) -> float | None:
    """The smallest cosine similarity between two of them; None for a single one."""
    if len(embeddings) < 2:
        return None
    return round(float(_similarities(embeddings).min()), 4)


def _similarities(embeddings: Sequence[Embedding]) -> np.ndarray:
    matrix = np.stack(embeddings)
    similarities: np.ndarray = matrix @ matrix.T
    return similarities
