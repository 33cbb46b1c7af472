"""Visits of strangers gathered into people."""

from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.clustering import cluster_trials, joined, nearest
from recognition.engine.types import Embedding
from tests.support.face_samples import an_embedding


def along(*numbers: float) -> Embedding:
    vector = np.array(numbers, np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def test_nobody_is_nearest_to_nobody() -> None:
    assert nearest(along(1, 0), {}, similarity=0.0) is None


def test_the_nearest_of_those_who_are_near_enough_is_found() -> None:
    people = {7: along(1, 1), 8: along(3, 1), 9: along(0, 1)}
    assert nearest(along(1, 0), people, similarity=0.9) == 8  # 3 / √10 = 0.949
    assert nearest(along(1, 0), people, similarity=0.95) is None


def test_a_mean_weighs_each_visit_alike_and_has_unit_length() -> None:
    mean = joined(along(1, 0), along(0, 1), seen=3)
    assert mean == pytest.approx(along(3, 1))
    assert np.linalg.norm(mean) == pytest.approx(1.0)


def test_visits_that_are_all_alike_are_gathered_without_an_error() -> None:
    people = {
        str(person): np.stack([an_embedding(person, noise=0.05, seed=seed) for seed in range(4)])
        for person in range(6)
    }
    trials = cluster_trials(people, strangers=5, visits=4, similarity=0.9, draws=3, seed=1)
    assert (trials.people, trials.later_visits) == (15, 45)
    assert (trials.split, trials.missed) == (0.0, 0.0)


def test_errors_are_counted_of_those_who_are_split_and_of_those_who_are_missed() -> None:
    turning = {"turns": np.stack([along(1, 0), along(0, 1), along(-1, 0)])}
    split = cluster_trials(turning, strangers=1, visits=3, similarity=0.9, draws=2, seed=1)
    assert split.split == 1.0
    twins = {name: np.stack([along(1, 0), along(1, 0)]) for name in ("one", "other")}
    missed = cluster_trials(twins, strangers=2, visits=2, similarity=0.9, draws=2, seed=1)
    assert missed.missed == 0.5


def test_too_few_people_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0 people with 3 pictures"):
        cluster_trials(
            {"one": np.stack([along(1, 0)])},
            strangers=1,
            visits=3,
            similarity=0.9,
            draws=1,
            seed=1,
        )
