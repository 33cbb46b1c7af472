from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.gallery import Cohort, Decision, Gallery, fuse, identify
from recognition.engine.thresholds import CohortThresholds, IdentificationThresholds
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


def test_a_little_below_the_threshold_is_uncertain_and_nobody_is_named() -> None:
    gallery, limits = a_gallery(0, 90), {"threshold": 0.9, "margin": 0.1, "band": 0.05}

    # cos 29° is 0.875, cos 32° 0.848, cos 25° 0.906.
    uncertain, unknown, match = (identify(gallery, towards(x), **limits) for x in (29, 32, 25))

    assert (uncertain.decision, uncertain.template_id) == (Decision.UNCERTAIN, None)
    assert unknown.decision is Decision.UNKNOWN
    assert match.decision is Decision.MATCH


def test_those_who_are_too_near_to_each_other_are_told_nearest_first() -> None:
    found = identify(a_gallery(0, 90, 10), towards(6), threshold=0.8, margin=0.05)

    assert (found.decision, found.candidates) == (Decision.AMBIGUOUS, (12, 10))


def test_a_match_is_its_only_candidate_and_who_is_below_has_none() -> None:
    gallery = a_gallery(0, 90)

    assert identify(gallery, EAST, threshold=0.8, margin=0.1).candidates == (10,)
    assert identify(gallery, towards(45), threshold=0.8, margin=0.1).candidates == ()


def test_what_something_else_makes_ambiguous_names_nobody() -> None:
    found = identify(a_gallery(0, 90), EAST, threshold=0.8, margin=0.1).as_ambiguous()

    assert (found.decision, found.template_id) == (Decision.AMBIGUOUS, None)
    assert found.candidates == ()


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


def test_the_heavier_embedding_draws_the_fused_one_to_it() -> None:
    assert fuse([towards(0), towards(90)], weights=[3, 4]) == pytest.approx(np.array([0.6, 0.8]))


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, np.nan], [1, 1, 1]])
def test_weights_that_say_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="for 2 embeddings, expected one number for each"):
        fuse([EAST, NORTH], weights=weights)


def test_a_cohort_is_everybody_else_but_who_seems_to_be_in_the_gallery() -> None:
    """Of four templates one is in the gallery, and one, at 10°, is 0.985 like it."""
    people = Gallery.of(
        {10: towards(0), 21: towards(10), 22: towards(60), 23: towards(90)},
        model_id="example",
        dimensions=2,
    )
    cohort = Cohort.beside(a_gallery(0), people)

    assert cohort.counted.tolist() == [False, False, True, True]
    assert len(cohort) == 2


def test_the_most_alike_of_a_cohort_say_how_like_everybody_a_probe_is() -> None:
    people = Gallery.of(
        {20: towards(0), 21: towards(60), 22: towards(90), 23: towards(180)},
        model_id="example",
        dimensions=2,
    )
    cohort = Cohort.beside(a_gallery(), people)
    two_of_four = CohortThresholds(share=0.5, least_people=4)

    assert cohort.similarity(EAST * 5, two_of_four) == pytest.approx((1 + 0.5) / 2)


def test_a_cohort_of_one_is_not_asked() -> None:
    people = Gallery.of({20: NORTH}, model_id="example", dimensions=2)

    assert Cohort.beside(a_gallery(0), people).similarity(EAST) is None


def test_a_cohort_that_does_not_outnumber_the_gallery_is_not_asked() -> None:
    vectors = {number: towards(number) for number in range(20, 24)}
    people = Gallery.of(vectors, model_id="example", dimensions=2)
    twice = CohortThresholds(share=0.5, least_people=1, least_times_gallery=2)

    beside_two, beside_three = (
        Cohort.beside(a_gallery(*range(90, 90 + 20 * size, 20)), people) for size in (2, 3)
    )

    assert (len(beside_two), len(beside_three)) == (4, 4)
    assert beside_two.similarity(EAST, twice) is not None
    assert beside_three.similarity(EAST, twice) is None


def test_a_cohort_beside_an_empty_gallery_is_everybody() -> None:
    people = Gallery.of({20: NORTH, 21: EAST}, model_id="example", dimensions=2)

    assert len(Cohort.beside(a_gallery(), people)) == 2


def test_an_empty_cohort_is_no_cohort() -> None:
    nobody = Gallery.of({}, model_id="example", dimensions=2)

    assert Cohort.beside(a_gallery(0), nobody).similarity(EAST) is None


def test_a_cohort_of_another_model_is_refused() -> None:
    people = Gallery.of({20: NORTH}, model_id="another", dimensions=2)

    with pytest.raises(EngineError, match="made by another, expected example"):
        Cohort.beside(a_gallery(0), people)


def test_a_large_cohort_is_compared_in_parts_with_the_same_result() -> None:
    random = np.random.default_rng(1)
    vectors = {i: random.normal(size=8).astype(np.float32) for i in range(600)}
    people = Gallery.of(vectors, model_id="example", dimensions=8)
    gallery = Gallery.of({900: vectors[599]}, model_id="example", dimensions=8)

    assert Cohort.beside(gallery, people).counted.tolist() == [True] * 599 + [False]


def test_a_probe_that_is_like_everybody_must_be_nearer_to_one() -> None:
    limits = IdentificationThresholds(
        similarity_at_size=((1, 0.9), (100, 0.96)), above_cohort_at_size=((1, 0.5), (100, 0.56))
    )

    assert limits.similarity_beside(None, 10) == limits.similarity_for(10) == 0.93
    assert limits.similarity_beside(0.8, 10) == pytest.approx(0.53 + 0.8 / 2)
    assert limits.similarity_beside(0.9, 10) == pytest.approx(0.53 + 0.9 / 2)


def test_without_a_curve_for_it_a_cohort_changes_nothing() -> None:
    limits = IdentificationThresholds(above_cohort_at_size=())

    assert limits.similarity_beside(0.9, 30) == limits.similarity_for(30)


def test_one_size_alone_serves_for_all() -> None:
    limits = IdentificationThresholds(similarity_at_size=((30, 0.95),))

    assert limits.similarity_for(1) == limits.similarity_for(1000) == 0.95


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
