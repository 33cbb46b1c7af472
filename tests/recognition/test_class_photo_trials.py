"""Attendance from made class photos, measured on a small folder of real faces."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from recognition.class_photo_trials import halves
from tests.support.shared import lfw_pictures, needs_faces

MEMBERS, STRANGERS = 8, 16


@pytest.fixture
def faces(tmp_path) -> Path:
    """Two halves of four people with four pictures each, and eight with one."""
    by_person = lfw_pictures()
    several = [name for name, paths in by_person.items() if len(paths) >= 4][:MEMBERS]
    single = [name for name, paths in by_person.items() if len(paths) == 1][:STRANGERS]
    for name in several + single:
        (tmp_path / "faces" / name).mkdir(parents=True)
        for path in by_person[name][:4]:
            shutil.copy(path, tmp_path / "faces" / name)
    return tmp_path / "faces"


def evaluate(*arguments: object) -> str:
    out = StringIO()
    call_command("evaluate", "--class-photos", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


@needs_faces
def test_it_takes_attendance_from_class_photos_of_a_folder_of_faces(faces, tmp_path):
    out = evaluate(
        "--faces", faces, "--gallery", 3, "--draws", 2, "--json", tmp_path / "figures.json"
    )

    assert "class of 3: 2 class photos" in out
    assert "each face alone: precision" in out
    (figures,) = json.loads((tmp_path / "figures.json").read_text())
    assert figures["faces"] == 2 * (2 + 6)
    assert figures["faces_found"] >= 14
    assert figures["global_optimum"]["precision"] == 1.0
    assert figures["global_optimum"]["recall"] >= 0.5


@needs_faces
def test_a_class_that_is_too_large_for_the_folder_is_refused(faces):
    with pytest.raises(CommandError, match="choose a smaller gallery"):
        evaluate("--faces", faces, "--gallery", 5, "--draws", 1)


def test_nobody_is_in_both_halves():
    pictures = {f"person {number}": [None] * (1 + number % 5) for number in range(30)}
    one, other = halves(pictures, enrol=3, seed=1)  # type: ignore[arg-type]

    assert not set(one) & set(other)
    assert set(one) | set(other) == set(pictures)
    for enrol in (0, 3):
        counts = [sum(len(rows) > enrol for rows in half.values()) for half in (one, other)]
        assert abs(counts[0] - counts[1]) <= 1
