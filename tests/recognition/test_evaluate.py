"""Open-set identification: the figures by hand, then `manage.py evaluate` on real pictures."""

from __future__ import annotations

import json
import shutil
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from recognition.engine.evaluation import Trials, open_set_trials
from tests.support import pictures
from tests.support.shared import LFW, needs_faces


def rows(*vectors: tuple[float, ...]) -> np.ndarray:
    return np.array(vectors, np.float32)


#: Ann's two pictures are 0.6 alike, and both at least 0.8 like Bob's: whichever of hers is
#: enrolled, the other is nearer to Bob. The stranger is 0.5 like Bob, 0.4 and 0.48 like Ann.
ANN = rows((1, 0, 0), (0.6, 0.8, 0))
BOB = rows((0.8, 0.6, 0), (0.8, 0.6, 0))
STRANGER = rows((0.4, 0.3, 0.75**0.5))


def test_trials_of_three_people_worked_out_by_hand():
    people = {"Ann": ANN, "Bob": BOB, "stranger": STRANGER}
    trials = open_set_trials(people, gallery_size=2, enrol=1, draws=4, seed=1)
    assert sorted(trials.mated) == pytest.approx([0.6] * 4 + [1.0] * 4)
    assert trials.non_mated == pytest.approx([0.5] * 4)
    assert trials.rank_1 == 0.5
    assert 0.5 < trials.threshold_at(0.01) < 0.501
    assert trials.fnir_at(trials.threshold_at(0.01)) == 0.5
    assert trials.fnir_at(1.5) == 1.0


def test_the_same_seed_gives_the_same_trials():
    people = {"Ann": ANN, "Bob": BOB, "stranger": STRANGER}
    one, other = (
        open_set_trials(people, gallery_size=1, enrol=1, draws=5, seed=3) for _ in range(2)
    )
    np.testing.assert_array_equal(one.mated, other.mated)
    np.testing.assert_array_equal(one.non_mated, other.non_mated)


def test_a_gallery_of_one_has_no_rival():
    people = {"Bob": BOB, "stranger": STRANGER}
    trials = open_set_trials(people, gallery_size=1, enrol=1, draws=1, seed=1)
    assert trials.rivals == pytest.approx([-1])
    assert trials.rank_1 == 1.0


def test_figures_of_given_similarities_worked_out_by_hand():
    trials = Trials(
        mated=np.array([0.9, 0.7, 0.5, 0.95], np.float32),
        rivals=np.array([0.3, 0.8, 0.2, 0.94], np.float32),
        non_mated=np.array([0.1, 0.6, 0.4, 0.2], np.float32),
        gallery_size=3,
    )
    assert trials.rank_1 == 0.75
    assert trials.fpir_at(0.4) == 0.5
    assert 0.4 < trials.threshold_at(0.25) < 0.401
    assert trials.fpir_at(trials.threshold_at(0.25)) == 0.25
    assert 0.6 < trials.threshold_at(0) < 0.601
    assert trials.threshold_at(1) == -1
    assert trials.fnir_at(trials.threshold_at(0)) == 0.5
    assert trials.fnir_at(0.6, margin=0.05) == 0.75


@pytest.mark.parametrize(("gallery_size", "enrol"), [(3, 1), (1, 2)])
def test_trials_need_people_with_more_pictures_and_strangers(gallery_size, enrol):
    people = {"Ann": ANN, "Bob": BOB, "stranger": STRANGER}
    with pytest.raises(ValueError, match="choose a smaller gallery"):
        open_set_trials(people, gallery_size=gallery_size, enrol=enrol, draws=1, seed=1)


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


def test_it_tells_when_there_are_too_few_people(tmp_path):
    for number in range(3):
        (tmp_path / "Ann").mkdir(exist_ok=True)
        (tmp_path / "Ann" / f"{number}.jpg").write_bytes(pictures.portrait())
    with pytest.raises(CommandError, match="choose a smaller gallery"):
        evaluate("--faces", tmp_path, "--gallery", 2, "--enrol", 1)


@needs_faces
def test_it_prints_and_writes_the_figures(tmp_path):
    faces = tmp_path / "faces"
    for person in ("Calista_Flockhart", "Cameron_Diaz", "Donald_Rumsfeld", "Hillary_Clinton"):
        (faces / person).mkdir(parents=True)
        for path in sorted((LFW / person).glob("*.jpg"))[:3]:
            shutil.copy(path, faces / person)
    (faces / "Cameron_Diaz" / "nobody.jpg").write_bytes(pictures.nobody())
    (faces / "Cameron_Diaz" / "broken.jpg").write_bytes(b"no picture")

    out = evaluate(
        *("--faces", faces, "--gallery", 2, 3, "--enrol", 1, "--draws", 5),
        *("--json", tmp_path / "figures.json"),
    )

    assert "12 pictures of 4 people, 2 left out without a single face" in out
    assert "gallery of 2: 20 mated and 30 non-mated probes" in out
    assert "gallery of 3: 30 mated and 15 non-mated probes" in out
    assert "rank-1 100.00%" in out
    assert "FNIR 0.00% at FPIR 1.0%" in out
    of_two, of_three = json.loads((tmp_path / "figures.json").read_text())
    assert (of_two["gallery_size"], of_three["gallery_size"]) == (2, 3)
    assert of_two["rank_1"] == 1.0
    assert [at["fpir"] for at in of_two["operating_points"]] == [0.01, 0.001]
