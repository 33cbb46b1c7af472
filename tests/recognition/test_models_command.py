"""`manage.py models`, `manage.py check`, and the start, with other models than the default."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from recognition import workers
from recognition.engine.models.catalogue import Part
from recognition.engine.models.measuring import fnmr_at
from recognition.engine.models.weights import weights_folder
from tests.support.face_samples import an_embedding
from tests.support.school import a_template, enrol_in
from tests.support.shared import LFW, MODELS, needs_faces, needs_models
from tests.support.small_graphs import EMBEDDER_GRAPHS, embedder_graph, put_weights

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def cache(settings, tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.delenv("DEEPFACE_HOME", raising=False)
    settings.MODEL_CACHE_DIR = tmp_path
    return tmp_path


def models(*arguments: str) -> str:
    output = io.StringIO()
    call_command("models", *arguments, stdout=output)
    return output.getvalue()


def row(printed: str, name: str) -> list[str]:
    """The cells of a model's row."""
    line = next(line for line in printed.splitlines() if line.strip().startswith(f"{name} "))
    return re.split(r"\s{2,}", line.strip())


def warnings_of_check() -> dict[str | None, str]:
    found = run_checks(tags=["recognition"], databases=["default"])
    return {message.id: message.msg for message in found}


def test_the_table_says_what_is_in_use_and_installed(settings, cache):
    put_weights(cache, Part.EMBEDDER, "Facenet", embedder_graph(EMBEDDER_GRAPHS["Facenet"]))
    settings.RECOGNITION_PREVIOUS_MODEL = "Facenet"

    printed = models()

    assert row(printed, "hog") == ["hog", "active", "yes", "yes", "Boost"]
    assert row(printed, "dlib68")[1:4] == ["active", "yes", "no"]
    assert row(printed, "dlib-resnet-v1")[1:3] == ["active", "yes"]
    assert row(printed, "Facenet")[1:4] == ["previous", "yes", "unclear"]
    assert row(printed, "ArcFace")[1:3] == ["no", "no"]
    assert row(printed, "mtcnn")[1] == "no package"


def test_a_damaged_file_is_seen_in_the_table(cache):
    path = put_weights(cache, Part.EMBEDDER, "SFace", b"")
    assert row(models(), "SFace")[1] == "damaged"
    path.unlink()
    assert row(models(), "SFace")[1] == "no"


def test_templates_are_counted_by_their_model(eileen, dmitri):
    a_template(eileen, an_embedding(1))
    a_template(dmitri, an_embedding(2), model_id="Facenet")
    a_template(dmitri, an_embedding(3), model_id="gone-v1")

    printed = models()

    assert row(printed, "dlib-resnet-v1")[4] == "1"
    assert row(printed, "Facenet")[3] == "1"
    assert "1 templates are by 'gone-v1', a model that there is not." in printed


def test_before_a_switch_it_says_who_would_have_to_enrol_again(eileen, dmitri, math, chem):
    enrol_in(chem, eileen)
    a_template(eileen, an_embedding(1))
    a_template(dmitri, an_embedding(2))
    a_template(dmitri, an_embedding(2), model_id="SFace")

    printed = models("--if", "SFace")

    assert "With RECOGNITION_MODEL=SFace, 1 students must enrol again:" in printed
    assert re.search(r"MATH +1 must enrol again, 0 are known already", printed)
    assert re.search(r"CHEM +1 must enrol again, 1 are known already", printed)
    assert "RECOGNITION_PREVIOUS_MODEL=dlib-resnet-v1" in printed
    assert "No thresholds are known for the model SFace" in printed


def test_with_the_active_model_nobody_enrols_again(eileen):
    a_template(eileen, an_embedding(1))

    printed = models("--if", "dlib-resnet-v1")

    assert "0 students must enrol again" in printed
    assert "No thresholds" not in printed


def test_an_unknown_candidate_is_refused():
    with pytest.raises(CommandError, match="No embedder is called 'Facenet1024'; known are"):
        models("--if", "Facenet1024")


@needs_models
@needs_faces
def test_measuring_keeps_the_figures_for_the_table(cache, tmp_path):
    folder = weights_folder(cache)
    folder.mkdir(parents=True)
    for name in ("face_detection_yunet_2026may.onnx", "face_landmarker.task"):
        shutil.copy(MODELS / name, folder / name)
    faces = tmp_path / "faces"
    people = [path for path in sorted(LFW.iterdir()) if len(list(path.glob("*.jpg"))) > 5][:4]
    for person in people:
        shutil.copytree(person, faces / person.name)

    measured = models("--measure", "--faces", str(faces), "--most", "16")
    printed = models()

    figures = json.loads((cache / "measured.json").read_text())
    assert figures["detector yunet"]["found_share"] == 1
    assert 0 < figures["landmarker mediapipe"]["difference"] < 0.1
    assert figures["landmarker dlib68"]["difference"] == pytest.approx(0)
    assert figures["embedder dlib-resnet-v1"]["fnmr"] <= 0.5
    assert figures["embedder dlib-resnet-v1"]["milliseconds"] > 0
    assert "16 pictures of " in measured
    assert "found 100.0% of 16" in row(printed, "yunet")
    assert row(printed, "yunet")[3].endswith(" ms")


def test_the_fnmr_is_counted_over_pairs():
    """Two people, two pictures each: both own pairs at 0.8 and 0.0, the others at 0.6 at most."""
    embeddings = np.array([(1, 0), (0.8, 0.6), (0, 1), (1, 0)], np.float32)
    assert fnmr_at(embeddings[:3], ["a", "a", "b"], fmr=0.0) == 0
    assert fnmr_at(embeddings[[0, 2, 1]], ["a", "a", "b"], fmr=0.0) == 1
    assert fnmr_at(embeddings[:1], ["a"]) is None
    assert fnmr_at(embeddings[:2], ["a", "a"]) is None


def test_a_folder_without_faces_is_told(tmp_path):
    (tmp_path / "somebody").mkdir()
    with pytest.raises(CommandError, match="holds no pictures as DIR"):
        models("--measure", "--faces", str(tmp_path))


def test_faces_alone_are_not_measured(tmp_path):
    with pytest.raises(CommandError, match="give both"):
        models("--faces", str(tmp_path))


# ---------------------------------------------------------------- at the start


def test_the_default_passes_the_check():
    assert warnings_of_check() == {}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("RECOGNITION_DETECTOR", "haar"),
        ("RECOGNITION_LANDMARKER", "dlib5"),
        ("RECOGNITION_MODEL", "Facenet1024"),
        ("RECOGNITION_PREVIOUS_MODEL", "mine"),
    ],
)
def test_an_unknown_name_stops_the_start(settings, setting, value):
    setattr(settings, setting, value)

    assert f"is called {value!r}; known are" in warnings_of_check()["recognition.unknown_model"]
    with pytest.raises(ImproperlyConfigured, match=f"is called '{value}'; known are"):
        workers.start_workers()


def test_a_missing_file_and_missing_thresholds_are_seen_by_the_check(settings):
    settings.RECOGNITION_MODEL = "ArcFace"

    found = warnings_of_check()

    assert "arcface_weights.onnx" in found["recognition.model_missing"]
    assert "No thresholds are known for the model ArcFace" in found["recognition.no_thresholds"]


def test_a_missing_package_is_seen_by_the_check(settings):
    settings.RECOGNITION_DETECTOR = "fastmtcnn"
    assert "needs the package facenet_pytorch" in warnings_of_check()["recognition.package_missing"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [("missing", "is missing. Run `manage.py fetch_models Facenet`"), ("truncated", "cannot be")],
)
def test_the_workers_tell_at_the_start_what_is_wrong(cache, damage, told):
    """In a process of their own, with the settings from the environment."""
    if damage == "truncated":
        graph = embedder_graph(EMBEDDER_GRAPHS["Facenet"])
        put_weights(cache, Part.EMBEDDER, "Facenet", graph[: len(graph) // 2])
    started = subprocess.run(
        [sys.executable, "-c", START],
        env=os.environ | {"RECOGNITION_MODEL": "Facenet", "DEEPFACE_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )

    assert started.returncode == 0, started.stderr
    assert "no face can be recognised: " in started.stderr
    assert told in started.stderr


START = """
import os, time
os.environ["DJANGO_SETTINGS_MODULE"] = "attendance_site.settings"
import django
django.setup()
from recognition.workers import start_workers, worker_pool
if __name__ == "__main__":
    start_workers()
    worker_pool().warm_up().exception(100)
    time.sleep(0.2)
"""


def test_the_settings_choose_the_models(settings):
    settings.RECOGNITION_DETECTOR = "yunet"
    settings.RECOGNITION_LANDMARKER = "mediapipe"
    settings.RECOGNITION_MODEL = "SFace"
    settings.RECOGNITION_PREVIOUS_MODEL = "dlib-resnet-v1"
    settings.ANTI_SPOOFING = "advisory"

    choice = workers.model_choice()

    assert [part.name for part in choice.parts()] == [
        "yunet",
        "mediapipe",
        "SFace",
        "dlib-resnet-v1",
        "Fasnet",
    ]
    assert (workers.active_model_id(), workers.previous_model_id()) == ("SFace", "dlib-resnet-v1")


def test_without_a_previous_model_there_is_none():
    assert workers.previous_model_id() is None
