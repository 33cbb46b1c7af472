"""What a template learns from, how much, and what it never becomes."""

from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.template_update_trials import intrusion_trials, update_trials
from recognition.engine.template_updates import TemplateParts
from recognition.engine.thresholds import TEMPLATE_UPDATES, TemplateUpdateThresholds

LIMITS = TemplateUpdateThresholds(similarity=0.96, margin=0.02, learned_share=0.4, most_learned=2)


def at(degrees: float) -> np.ndarray:
    """A unit vector in the plane; two of them are as alike as the cosine of the angle between."""
    angle = np.radians(degrees)
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def enrolled(*degrees: float) -> TemplateParts:
    return TemplateParts.of_enrolment(np.stack([at(one) for one in degrees]))


def direction_of(vector: np.ndarray) -> float:
    return float(np.degrees(np.arctan2(vector[1], vector[0])))


def test_before_anything_is_learned_the_template_is_the_mean_of_the_pictures():
    assert direction_of(enrolled(-10, 10).vector(LIMITS)) == pytest.approx(0, abs=1e-4)


def test_one_check_in_weighs_its_share_alone():
    parts = enrolled(0).learned_from(at(90), LIMITS)
    # 0.8 to the east and 0.4 / 2 = 0.2 to the north.
    assert direction_of(parts.vector(LIMITS)) == pytest.approx(
        np.degrees(np.arctan2(0.2, 0.8)), abs=1e-3
    )


def test_whatever_is_learned_the_enrolment_keeps_most_of_the_weight():
    parts = enrolled(0)
    for _check_in in range(50):
        parts = parts.learned_from(at(90), LIMITS)
    assert len(parts.learned) == LIMITS.most_learned
    assert len(parts.enrolment) == 1
    assert direction_of(parts.vector(LIMITS)) < 45


def test_the_oldest_check_in_goes_first():
    parts = enrolled(0)
    for degrees in (1, 2, 3):
        parts = parts.learned_from(at(degrees), LIMITS)
    assert [round(direction_of(row)) for row in parts.learned] == [2, 3]


@pytest.mark.parametrize(
    ("degrees", "runner_up", "learns"),
    [
        (15, None, True),  # cos 15° = 0.966
        (17, None, False),  # 0.956
        (15, 0.94, True),
        (15, 0.95, False),  # leads by 0.016 only
    ],
)
def test_only_a_face_that_is_surely_the_same_is_learned(degrees, runner_up, learns):
    assert enrolled(0).may_learn(at(degrees), runner_up=runner_up, limits=LIMITS) is learns


def test_no_chain_of_faces_leads_away_from_the_enrolment():
    parts, degrees = enrolled(0), 0.0
    for _check_in in range(100):
        if parts.may_learn(at(degrees + 1), runner_up=None, limits=LIMITS):
            degrees += 1
        parts = parts.learned_from(at(degrees), LIMITS)
    assert degrees == 16  # the cosine of 16° is the last above 0.96
    assert parts.vector(LIMITS) @ at(0) > 0.98


def test_brought_back_it_is_the_enrolment_again():
    learned = enrolled(-10, 10).learned_from(at(15), LIMITS)
    assert np.array_equal(learned.as_enrolled().vector(), enrolled(-10, 10).vector())


@pytest.mark.parametrize("shape", [(0, 2), (2,)])
def test_parts_without_a_picture_are_refused(shape):
    with pytest.raises(ValueError, match="k from 1"):
        TemplateParts(np.zeros(shape, np.float32), np.zeros((0, 2), np.float32))


def some_people(count: int, pictures: int) -> dict[str, np.ndarray]:
    """People whose pictures lie in a small cloud around a random direction."""
    random = np.random.default_rng(7)
    people = {}
    for number in range(count):
        rows = random.normal(size=16) + 0.35 * random.normal(size=(pictures, 16))
        people[f"P-{number}"] = (rows / np.linalg.norm(rows, axis=1)[:, None]).astype(np.float32)
    return people


def test_trials_search_the_same_pictures_before_and_after():
    trials = update_trials(
        some_people(12, 8), gallery_size=6, enrol=1, check_ins=3, draws=5, seed=1,
        limits=TemplateUpdateThresholds(0.5, 0.0, 0.4, 3),
    )  # fmt: skip
    # 6 people with 8 - 1 - 3 pictures each in 5 draws.
    assert len(trials.before.mated) == len(trials.after.mated) == 6 * 4 * 5
    assert trials.learned > 2
    assert np.mean(trials.after.mated) > np.mean(trials.before.mated)


def test_trials_need_people_enough():
    with pytest.raises(ValueError, match="12 people with more than 3 pictures of 12"):
        update_trials(some_people(12, 8), gallery_size=12, enrol=1, check_ins=3, draws=1, seed=1)


def test_an_intruder_who_is_learned_all_the_same_leaves_the_owner_in_force():
    people = some_people(10, 6)
    people["twin"] = people["P-0"].copy()
    trials = intrusion_trials(people, threshold=0.7, enrol=2, draws=3, seed=1)
    assert trials.comparisons == 11 * (10 * 6) * 3
    assert trials.matched > trials.learned
    assert trials.owners[1] >= 0.9 * trials.owners[0] > 0
    assert trials.least_to_enrolment > TEMPLATE_UPDATES.similarity - 0.1
