"""Identification and double accounts: by hand, then `manage.py evaluate` on real pictures."""

from __future__ import annotations

import json
import shutil
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from recognition.engine.evaluation import (
    DoubleTrials,
    VerificationTrials,
    double_trials,
    verification_trials,
)
from recognition.models import IdentificationSetting
from recognition.selectors import thresholds_in_force
from tests.support import pictures
from tests.support.shared import LFW, needs_faces

pytestmark = pytest.mark.django_db


def rows(*vectors: tuple[float, ...]) -> np.ndarray:
    return np.array(vectors, np.float32)


#: Ann's two pictures are 0.6 alike, and both at least 0.8 like Bob's: whichever of hers is
#: enrolled, the other is nearer to Bob. The stranger is 0.5 like Bob, 0.4 and 0.48 like Ann.
ANN = rows((1, 0, 0), (0.6, 0.8, 0))
BOB = rows((0.8, 0.6, 0), (0.8, 0.6, 0))
STRANGER = rows((0.4, 0.3, 0.75**0.5))


def test_doubles_of_three_people_worked_out_by_hand():
    """Ann twice, 0.6 alike; Bob twice, 1.0; Ann's accounts are 0.8 and 0.96 like Bob's."""
    people = {"Ann": ANN, "Bob": BOB, "stranger": STRANGER}
    trials = double_trials(people, accounts=3, enrol=1, draws=4, seed=1)
    assert sorted(trials.doubles) == pytest.approx([0.6] * 4 + [1.0] * 4)
    assert len(trials.singles) == 12
    assert set(trials.singles.round(3)) <= {np.float32(x) for x in (0.8, 0.96, 0.5)}
    assert np.count_nonzero(trials.singles.round(3) == 0.5) == 4


def test_those_with_fewer_pictures_only_fill_up():
    people = {"Ann": np.concatenate([ANN, BOB]), "Bob": BOB, "stranger": STRANGER}
    trials = double_trials(people, accounts=3, enrol=2, draws=3, seed=1)
    assert (len(trials.doubles), len(trials.singles)) == (3, 6)


def test_figures_of_given_doubles_worked_out_by_hand():
    trials = DoubleTrials(
        doubles=np.array([0.9, 0.7, 0.95, 0.97], np.float32),
        singles=np.array([0.1, 0.6, 0.8, 0.2], np.float32),
        accounts=4,
    )
    assert trials.found_at(0.8) == 0.75
    assert trials.falsely_flagged_at(0.7) == 0.25
    assert 0.6 < trials.threshold_at(0.25) < 0.601
    assert 0.8 < trials.threshold_at(0.2) < 0.801


@pytest.mark.parametrize(("accounts", "enrol"), [(4, 1), (2, 2), (1, 1)])
def test_doubles_need_people_enough_and_pictures_for_two_accounts(accounts, enrol):
    people = {"Ann": ANN, "Bob": BOB, "stranger": STRANGER}
    with pytest.raises(ValueError, match="choose fewer accounts or pictures"):
        double_trials(people, accounts=accounts, enrol=enrol, draws=1, seed=1)


def test_verifications_of_three_people_worked_out_by_hand():
    """Ann's pictures are 0.6 alike, Bob's the same; the stranger has one picture, no template."""
    people = {"Ann": ANN, "Bob": BOB, "stranger": STRANGER}
    trials = verification_trials(people, enrol=1, draws=3, seed=1)
    assert sorted(trials.mated) == pytest.approx([0.6] * 3 + [1.0] * 3)
    of_bob = trials.non_mated[trials.owners == 1]
    assert sorted(of_bob) == pytest.approx([0.5] * 3 + [0.8] * 3 + [0.96] * 3)
    assert len(trials.non_mated) == 18
    assert list(trials.non_mated) == sorted(trials.non_mated, reverse=True)
    strangers = trials.probers[trials.owners == 1][trials.non_mated[trials.owners == 1] < 0.6]
    assert list(strangers) == [2, 2, 2]


@pytest.fixture
def verifications():
    return VerificationTrials(
        mated=np.array([0.9, 0.5], np.float32),
        mated_owners=np.array([0, 1], np.int16),
        non_mated=np.array([0.8, 0.4, 0.3, 0.2], np.float32),
        owners=np.array([0, 0, 1, 1], np.int16),
        probers=np.array([1, 2, 0, 2], np.int16),
        people=3,
    )


def test_figures_of_given_verifications_worked_out_by_hand(verifications):
    assert verifications.fmr_at(0.4) == 0.5
    assert verifications.fnmr_at(0.6) == 0.5
    assert 0.4 < verifications.threshold_at(0.25) < 0.401
    assert verifications.fmr_at(verifications.threshold_at(0.25)) == 0.25


def test_people_drawn_again_give_thresholds_that_some_of_them_give(verifications):
    again = verifications.resampled(fmrs=(0.0, 0.25), times=200, seed=1)
    assert again.thresholds.shape == again.fnmrs.shape == (200, 2)
    # 0.3 is of the same two people as 0.8, the other way round.
    assert set(again.thresholds.round(3).ravel()) == {0.8, 0.4, 0.2}
    assert (again.thresholds[:, 0] >= again.thresholds[:, 1]).all()
    assert again.threshold_interval(0) == pytest.approx((0.2, 0.8))
    # At most the second person twice and the first once: two of three are refused.
    assert again.fnmr_interval(0) == pytest.approx((0, 2 / 3))


def test_the_same_people_again_and_again_leave_no_doubt():
    alone = VerificationTrials(
        mated=np.array([0.9, 0.7], np.float32),
        mated_owners=np.zeros(2, np.int16),
        non_mated=np.array([0.5], np.float32),
        owners=np.zeros(1, np.int16),
        probers=np.zeros(1, np.int16),
        people=1,
    )
    again = alone.resampled(fmrs=(0.0,), times=20, seed=1)
    assert again.threshold_interval(0) == pytest.approx((0.5, 0.5))
    assert again.fnmr_interval(0) == (0.0, 0.0)


@pytest.mark.parametrize(("people", "enrol"), [({"Ann": ANN}, 1), ({"Ann": ANN, "Bob": BOB}, 2)])
def test_verification_needs_somebody_else_and_a_picture_that_is_not_enrolled(people, enrol):
    with pytest.raises(ValueError, match="enrol fewer pictures"):
        verification_trials(people, enrol=enrol, draws=1, seed=1)


def evaluate(*arguments: object) -> str:
    out = StringIO()
    call_command("evaluate", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def test_it_refuses_what_is_no_folder(tmp_path):
    with pytest.raises(CommandError, match=r"is no folder: expected DIR/<person>/<picture>"):
        evaluate("--faces", tmp_path / "nowhere")


def test_it_refuses_a_folder_without_pictures(tmp_path):
    (tmp_path / "Ann").mkdir()
    (tmp_path / "Ann" / "notes.txt").write_text("no picture")
    with pytest.raises(CommandError, match="holds no pictures"):
        evaluate("--faces", tmp_path)


@pytest.mark.parametrize("option", ["--enrol", "--draws", "--gallery"])
def test_it_refuses_counts_below_one(tmp_path, option):
    with pytest.raises(CommandError, match=f"{option} is 0, expected at least 1"):
        evaluate("--faces", tmp_path, option, 0)


def test_it_needs_faces_or_the_own_templates_and_not_both(tmp_path):
    with pytest.raises(CommandError, match="one of the arguments --faces --own is required"):
        evaluate("--gallery", 3)
    with pytest.raises(CommandError, match="not allowed with argument"):
        evaluate("--faces", tmp_path, "--own")


def test_only_identification_can_be_applied(tmp_path):
    with pytest.raises(CommandError, match="--apply goes with identification"):
        evaluate("--faces", tmp_path, "--doubles", "--apply", "why not")


def test_it_tells_when_everybody_has_one_picture(tmp_path):
    for person in ("Ann", "Bob", "Cy", "Di"):
        (tmp_path / person).mkdir()
        (tmp_path / person / "1.jpg").write_bytes(pictures.portrait())
    with pytest.raises(CommandError, match="got 0 people with 4 pictures or more and 2 others"):
        evaluate("--faces", tmp_path, "--gallery", 1)


def test_it_tells_when_there_are_too_few_people(tmp_path):
    for number in range(3):
        (tmp_path / "Ann").mkdir(exist_ok=True)
        (tmp_path / "Ann" / f"{number}.jpg").write_bytes(pictures.portrait())
    with pytest.raises(CommandError, match="choose a smaller gallery"):
        evaluate("--faces", tmp_path, "--gallery", 2, "--enrol", 1)


@pytest.fixture
def four_people(tmp_path):
    """Three pictures each, of people of LFW."""
    faces = tmp_path / "faces"
    for person in ("Calista_Flockhart", "Cameron_Diaz", "Donald_Rumsfeld", "Hillary_Clinton"):
        (faces / person).mkdir(parents=True)
        for path in sorted((LFW / person).glob("*.jpg"))[:3]:
            shutil.copy(path, faces / person)
    return faces


@needs_faces
def test_it_finds_double_accounts(four_people, tmp_path):
    out = evaluate(
        *("--faces", four_people, "--doubles", "--gallery", 4, "--enrol", 1, "--draws", 5),
        *("--json", tmp_path / "figures.json"),
    )

    assert "4 accounts of 1 pictures: 20 doubles and 20 accounts without one" in out
    assert "same face (0.9600):" in out
    (figures,) = json.loads((tmp_path / "figures.json").read_text())
    same_face, look_alike, at_one_percent = figures["operating_points"]
    assert same_face["falsely_flagged"] == 0
    assert 0 < same_face["found"] <= look_alike["found"]
    assert at_one_percent["found"] == 1


@needs_faces
def test_it_prints_and_writes_the_figures(four_people, tmp_path):
    faces = four_people
    (faces / "Cameron_Diaz" / "nobody.jpg").write_bytes(pictures.nobody())
    (faces / "Cameron_Diaz" / "broken.jpg").write_bytes(b"no picture")

    out = evaluate(
        *("--faces", faces, "--gallery", 1, "--enrol", 1, "--draws", 5),
        *("--json", tmp_path / "figures.json", "--html", tmp_path / "report.html"),
    )

    assert "12 pictures of 4 people, 2 left out without a single face" in out
    assert "gallery of 1: 20 mated and 30 non-mated probes" in out
    assert "rank-1 100.00%" in out
    assert "FNIR 0.00% (0.00% to 0.00%) at FPIR 0.1%" in out
    (figures,) = json.loads((tmp_path / "figures.json").read_text())
    assert figures["rank_1"] == 1.0
    assert [at["target_fpir"] for at in figures["alone"]] == [0.01, 0.003, 0.001]
    assert figures["beside_cohort"] is None
    assert figures["in_force"]["threshold"] == 0.938
    report = (tmp_path / "report.html").read_text()
    assert report.count("<svg") == 2
    assert "12 pictures" in out
    assert "<script" not in report
    assert str(tmp_path) not in report


@needs_faces
def test_what_was_measured_can_be_put_in_force(four_people):
    asked = ("--faces", four_people, "--gallery", 1, "--enrol", 1, "--draws", 2)
    evaluate(*asked, "--apply", "Our own cameras")

    setting = IdentificationSetting.objects.get()
    assert (setting.model_id, setting.reason) == ("dlib-resnet-v1", "Our own cameras")
    assert thresholds_in_force(model_id="dlib-resnet-v1") == setting.thresholds()


@needs_faces
def test_a_reason_of_blanks_puts_nothing_in_force(four_people):
    asked = ("--faces", four_people, "--gallery", 1, "--enrol", 1, "--draws", 2)
    with pytest.raises(CommandError, match="Say why"):
        evaluate(*asked, "--apply", " ")
    assert not IdentificationSetting.objects.exists()


@needs_faces
def test_pairs_are_told_and_reported(four_people, tmp_path):
    file = tmp_path / "pairs.txt"
    file.write_text(
        "2 1\nCameron_Diaz 1 2\nCameron_Diaz 1 Hillary_Clinton 1\n"
        "Donald_Rumsfeld 1 2\nDonald_Rumsfeld 1 Calista_Flockhart 1\n"
    )
    out = evaluate(
        *("--faces", four_people, "--pairs", file),
        *("--json", tmp_path / "figures.json", "--html", tmp_path / "report.html"),
    )

    assert "4 pairs in 2 folds" in out
    (figures,) = json.loads((tmp_path / "figures.json").read_text())
    assert 0.5 <= figures["accuracy"] <= 1
    assert "accuracy" in (tmp_path / "report.html").read_text()


@needs_faces
def test_rates_by_group_say_when_a_group_is_too_small(four_people, tmp_path):
    groups = tmp_path / "groups.csv"
    groups.write_text("person,group\nCameron_Diaz,a\nHillary_Clinton,a\nDonald_Rumsfeld,b\n")

    out = evaluate(
        *("--faces", four_people, "--gallery", 1, "--enrol", 1, "--draws", 8),
        *("--groups", groups),
    )

    assert "group a: FNIR 0.00%" in out
    assert "of 2 people" in out
    assert out.count("(fewer than 20 people: says little)") == 2


@needs_faces
def test_it_tells_what_each_part_helps(four_people, tmp_path):
    """Five frames need eight pictures of somebody."""
    for person in ("Cameron_Diaz", "Hillary_Clinton", "Donald_Rumsfeld", "Calista_Flockhart"):
        for path in sorted((LFW / person).glob("*.jpg"))[3:]:
            shutil.copy(path, four_people / person)

    out = evaluate(
        *("--faces", four_people, "--compare", "--gallery", 1, "--enrol", 1, "--draws", 2),
        *("--json", tmp_path / "figures.json"),
    )

    (figures,) = json.loads((tmp_path / "figures.json").read_text())
    ways = [(row["way"].strip(), row["frames"]) for row in figures["ways"]]
    assert ways[0] == ("Euclidean, one crop, nearest picture (usual)", 1)
    assert ("cosine, mirrored crops, fused template", 1) in ways
    assert ways[-1] == ("and the whole cohort (in force)", 5)
    assert "Euclidean, one crop, mean of the pictures, 5 frames" in out


@needs_faces
def test_it_compares_with_one_person_at_a_time(four_people, tmp_path):
    out = evaluate(
        *("--faces", four_people, "--verification", "--enrol", 1, "--draws", 5),
        *("--json", tmp_path / "figures.json"),
    )

    assert "40 mated and 180 other comparisons" in out
    assert "at the threshold in force, 0.9510" in out
    (figures,) = json.loads((tmp_path / "figures.json").read_text())
    points = figures["operating_points"]
    assert [point["fmr"] for point in points] == [0.01, 0.001, 0.0001]
    for point in points:
        low, high = point["fnmr_interval"]
        assert 0 <= low <= point["fnmr"] <= high <= 1
    assert figures["in_force"]["fmr"] == 0
