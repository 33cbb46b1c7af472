"""Open-set trials: draws, searches and figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.open_set import (
    Shown,
    Trials,
    TwoHalves,
    by_cosine,
    draw_galleries,
    fused,
    halves_of,
    open_set_trials,
    search,
    templates_of,
)


def rows(*vectors: tuple[float, ...]) -> np.ndarray:
    return np.array(vectors, np.float32)


#: Ann's two pictures are 0.6 alike, and both at least 0.8 like Bob's: whichever of hers is
#: enrolled, the other is nearer to Bob. The stranger is 0.5 like Bob, 0.4 and 0.48 like Ann.
ANN = rows((1, 0, 0), (0.6, 0.8, 0))
BOB = rows((0.8, 0.6, 0), (0.8, 0.6, 0))
STRANGER = rows((0.4, 0.3, 0.75**0.5))
THREE = {"Ann": ANN, "Bob": BOB, "stranger": STRANGER}


def trials_of(
    mated: list[float],
    strangers: list[float],
    *,
    rivals: list[float] | None = None,
    mated_names: str = "",
    stranger_names: str = "",
) -> Trials:
    return Trials(
        np.array(mated, np.float32),
        np.array(rivals or [-1] * len(mated), np.float32),
        np.array(strangers, np.float32),
        gallery_size=3,
        mated_names=np.array(list(mated_names or "a" * len(mated))),
        non_mated_names=np.array(list(stranger_names or "z" * len(strangers))),
    )


def test_trials_of_three_people_worked_out_by_hand():
    trials = open_set_trials(THREE, gallery_size=2, enrol=1, draws=4, seed=1)
    assert sorted(trials.mated) == pytest.approx([0.6] * 4 + [1.0] * 4)
    assert trials.non_mated == pytest.approx([0.5] * 4)
    assert set(trials.non_mated_names) == {"stranger"}
    assert sorted(trials.mated_names) == ["Ann"] * 4 + ["Bob"] * 4
    assert trials.rank_1 == 0.5
    assert 0.5 < trials.threshold_at(0.01) < 0.501
    assert trials.fnir_at(trials.threshold_at(0.01)) == 0.5
    assert trials.fnir_at(1.5) == 1.0


def test_the_same_seed_gives_the_same_trials():
    one, other = (
        open_set_trials(THREE, gallery_size=1, enrol=1, draws=5, seed=3) for _ in range(2)
    )
    np.testing.assert_array_equal(one.mated, other.mated)
    np.testing.assert_array_equal(one.non_mated, other.non_mated)


def test_a_gallery_of_one_has_no_rival():
    people = {"Bob": BOB, "stranger": STRANGER}
    trials = open_set_trials(people, gallery_size=1, enrol=1, draws=1, seed=1)
    assert trials.rivals == pytest.approx([-1])
    assert trials.rank_1 == 1.0


def test_figures_of_given_similarities_worked_out_by_hand():
    trials = trials_of([0.9, 0.7, 0.5, 0.95], [0.1, 0.6, 0.4, 0.2], rivals=[0.3, 0.8, 0.2, 0.94])
    assert trials.rank_1 == 0.75
    assert trials.fpir_at(0.4) == 0.5
    assert 0.4 < trials.threshold_at(0.25) < 0.401
    assert trials.fpir_at(trials.threshold_at(0.25)) == 0.25
    assert 0.6 < trials.threshold_at(0) < 0.601
    assert trials.threshold_at(1) == -1
    assert trials.fnir_at(trials.threshold_at(0)) == 0.5
    assert trials.fnir_at(0.6, margin=0.05) == 0.75


def test_the_curve_goes_from_where_all_are_let_in_to_where_nobody_is_found():
    curve = np.array(trials_of([0.9, 0.5], [0.2, 0.4, 0.6, 0.8]).curve(points=3))
    np.testing.assert_allclose(curve[:, 0], [-1, 0.4, 0.6, 0.7, 0.8, 0.9], atol=1e-3)
    assert curve[:, 1].tolist() == [1.0, 0.5, 0.25, 0.25, 0.25, 0.0]
    assert curve[:, 2].tolist() == [0.0, 0.0, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(("gallery_size", "enrol"), [(3, 1), (1, 2)])
def test_trials_need_people_with_more_pictures_and_strangers(gallery_size, enrol):
    with pytest.raises(ValueError, match="choose a smaller gallery"):
        open_set_trials(THREE, gallery_size=gallery_size, enrol=enrol, draws=1, seed=1)


def test_who_has_no_picture_left_only_fills_up():
    counts = {"Ann": 2, "Cy": 1, "Di": 1}
    (draw,) = draw_galleries(counts, gallery_size=2, enrol=1, draws=1, seed=1)
    assert [shown.name for shown in draw.mated] == ["Ann"]
    assert {shown.name for shown in draw.enrolled} - {"Ann"} < {"Cy", "Di"}
    assert not {shown.name for shown in draw.non_mated} & {shown.name for shown in draw.enrolled}


def test_a_probe_of_several_frames_takes_none_of_the_enrolled_pictures():
    counts = {"Ann": 4, "Bob": 4, "Cy": 2}
    for draw in draw_galleries(counts, gallery_size=1, enrol=2, draws=10, seed=1, frames=2):
        (enrolled,), (mated,) = draw.enrolled, draw.mated
        assert mated.name == enrolled.name
        assert not set(mated.pictures) & set(enrolled.pictures)
        assert all(len(shown.pictures) == 2 for shown in draw.non_mated)
        # Half of those who have enough pictures stay outside, and give as many probes as pictures.
        assert [shown.name for shown in draw.non_mated].count("Cy") == 2
        assert len(draw.non_mated) == 6


def test_nobody_with_frames_enough_outside_is_told():
    draws = draw_galleries({"Ann": 3, "Cy": 1}, gallery_size=1, enrol=1, draws=1, seed=1, frames=2)
    with pytest.raises(ValueError, match="1 mated and 0 non-mated probes"):
        search(draws, by_cosine({"Ann": np.concatenate([ANN, ANN[:1]]), "Cy": STRANGER}))


def test_a_cohort_takes_away_half_of_what_is_like_everybody():
    """The one of the cohort is 0.8 like each picture of Bob's: 1.0 becomes 1.0 - 0.8 / 2."""
    people = {"Bob": BOB, "stranger": STRANGER}
    draws = draw_galleries({"Bob": 2, "stranger": 1}, gallery_size=1, enrol=1, draws=1, seed=1)
    trials = search(draws, by_cosine(people, cohort=rows((1, 0, 0))))
    assert trials.mated == pytest.approx([0.6])
    assert trials.non_mated == pytest.approx([0.5 - 0.4 / 2])


def test_weights_say_which_picture_counts():
    shown = [Shown("Ann", np.array([0, 1]))]
    assert fused({"Ann": ANN}, shown, {"Ann": np.array([1, 0])}) == pytest.approx(ANN[:1])


def test_the_halves_share_nobody_and_both_can_be_enrolled():
    people = {str(number): np.ones((1 + number % 2, 3), np.float32) for number in range(10)}
    first, second = halves_of(people, enrol=1, seed=1)
    assert not first.keys() & second.keys()
    assert first.keys() | second.keys() == people.keys()
    assert {sum(len(rows) > 1 for rows in half.values()) for half in (first, second)} == {2, 3}


def test_a_cohort_has_one_template_of_everybody():
    templates = templates_of({"Bob": BOB, "stranger": STRANGER}, enrol=2)
    np.testing.assert_allclose(templates, [BOB[0], STRANGER[0]], atol=1e-6)


def test_each_half_is_reported_at_the_threshold_of_the_other():
    """Nobody may be let in. The first chooses 0.4, at which one of two of the second is found and
    one of two strangers let in; the second chooses 0.6, at which one of two of the first is found.
    """
    halves = TwoHalves(
        trials_of([0.9, 0.5], [0.4, 0.1], mated_names="ab", stranger_names="cd"),
        trials_of([0.5, 0.3], [0.6, 0.2], mated_names="ef", stranger_names="gh"),
    )
    (point,) = halves.points([0.0], times=20, seed=1)
    assert 0.6 < point.threshold < 0.601
    assert point.fnir == 0.5
    assert point.fpir == 0.25


def test_people_drawn_again_give_thresholds_that_some_of_them_give():
    trials = trials_of([0.9, 0.5], [0.8, 0.3], mated_names="ab", stranger_names="cd")
    thresholds, fnirs = trials.resampled(fpirs=[0.0], times=200, seed=1)
    assert set(thresholds.round(2).ravel()) == {0.8, 0.3}
    assert set(fnirs.round(3).ravel()) >= {0.0, 0.5, 1.0}


def test_the_same_person_again_and_again_leaves_no_doubt():
    trials = trials_of([0.9, 0.7], [0.5], mated_names="aa", stranger_names="a")
    thresholds, fnirs = trials.resampled(fpirs=[0.0], times=20, seed=1)
    assert thresholds.ravel() == pytest.approx([0.5] * 20)
    assert not fnirs.any()


def test_only_those_who_are_asked_for_are_left():
    trials = trials_of([0.9, 0.5], [0.4, 0.1], mated_names="ab", stranger_names="cd")
    assert trials.of(["b", "c"]).mated == pytest.approx([0.5])
    assert trials.of(["b", "c"]).non_mated == pytest.approx([0.4])
    assert len(trials.of(["nobody"]).mated) == 0
