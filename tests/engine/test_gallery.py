from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.gallery import Decision, Gallery, fuse, identify
from recognition.engine.types import EngineError

EAST, NORTH = np.array([1, 0], np.float32), np.array([0, 1], np.float32)


def towards(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def a_gallery(*degrees: float) -> Gallery:
    vectors = {10 + i: towards(angle) for i, angle in enumerate(degrees)}
    return Gallery.of(vectors, model_id="example", dimensions=2)


def test_the_nearest_template_matches() -> None:
    found = identify(a_gallery(0, 90), towards(30), threshold=0.8, margin=0.1)

    assert (found.decision, found.template_id) == (Decision.MATCH, 10)
    assert found.similarity == pytest.approx(np.cos(np.radians(30)))
    assert found.runner_up == pytest.approx(np.cos(np.radians(60)))


def test_a_stranger_is_unknown_and_nobody_is_named() -> None:
    found = identify(a_gallery(0, 90), towards(45), threshold=0.8, margin=0.0)

    assert (found.decision, found.template_id) == (Decision.UNKNOWN, None)


def test_two_near_templates_are_ambiguous_and_nobody_is_named() -> None:
    found = identify(a_gallery(0, 10), towards(4), threshold=0.8, margin=0.05)

    assert (found.decision, found.template_id) == (Decision.AMBIGUOUS, None)


def test_an_empty_gallery_knows_nobody() -> None:
    found = identify(a_gallery(), EAST, threshold=0.8, margin=0.1)

    assert (found.decision, found.similarity, found.runner_up) == (Decision.UNKNOWN, None, None)


def test_a_gallery_of_one_has_no_runner_up() -> None:
    found = identify(a_gallery(0), EAST, threshold=0.8, margin=0.1)

    assert (found.decision, found.runner_up) == (Decision.MATCH, None)


def test_the_length_of_a_vector_does_not_matter() -> None:
    gallery = Gallery.of({1: EAST * 7, 2: NORTH}, model_id="example", dimensions=2)

    assert identify(gallery, EAST * 3, threshold=0.99, margin=0.1).template_id == 1


def test_fused_embeddings_lie_between() -> None:
    assert fuse([towards(0), towards(90)]) == pytest.approx(towards(45))


@pytest.mark.parametrize(
    ("vector", "code"),
    [
        (np.ones(3, np.float32), "wrong_dimensions"),
        (np.array([np.nan, 1], np.float32), "broken_vector"),
        (np.zeros(2, np.float32), "broken_vector"),
    ],
)
def test_a_vector_that_cannot_be_compared_is_refused(vector: np.ndarray, code: str) -> None:
    with pytest.raises(EngineError) as as_template:
        Gallery.of({1: vector}, model_id="example", dimensions=2)
    with pytest.raises(EngineError) as as_probe:
        identify(a_gallery(0), vector, threshold=0.5, margin=0)

    assert (as_template.value.code, as_probe.value.code) == (code, code)


def test_ids_and_rows_must_go_together() -> None:
    with pytest.raises(ValueError, match="got 2 ids"):
        Gallery((1, 2), np.ones((1, 2), np.float32), "example")
