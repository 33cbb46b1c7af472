"""MediaPipe's Face Landmarker, and its mesh as 68 landmarks."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.geometry import eye_aspect_ratios, head_pose
from recognition.engine.models import FaceModels, ModelChoice, load_models
from recognition.engine.models.mediapipe_landmarks import (
    MESH_POINTS,
    MediapipeLandmarker,
    ibug_landmarks,
    load_mediapipe,
)
from recognition.engine.models.weights import weights_folder
from recognition.engine.synthesis import eyes_closed
from recognition.engine.types import Box, EngineError, Face, Points
from tests.support.portraits import astronaut
from tests.support.shared import MODELS, lfw_pictures, needs_faces, needs_models

FILE = "face_landmarker.task"
BOX = Box(179, 83, 267, 171)


@pytest.fixture(scope="module")
def landmarker_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("mediapipe")
    folder = weights_folder(directory)
    folder.mkdir(parents=True)
    shutil.copy(MODELS / FILE, folder / FILE)
    return directory


@pytest.fixture(scope="module")
def landmarker(landmarker_dir: Path) -> MediapipeLandmarker:
    return load_mediapipe(weights_folder(landmarker_dir))


def differences(points: Points, others: Points) -> Points:
    """Of each landmark, over the distance between the eyes."""
    eyes = others[36:42].mean(axis=0) - others[42:48].mean(axis=0)
    return np.hypot(*(points - others).T) / np.hypot(*eyes)


@needs_models
def test_the_mesh_is_that_of_litert(landmarker: MediapipeLandmarker) -> None:
    """What LiteRT 2.3 gives for the same crop of the astronaut, in pixels of the picture."""
    mesh = landmarker.mesh(astronaut(), BOX)
    expected = {
        1: (224.65, 130.90),  # tip of the nose
        33: (195.87, 100.80),  # outer corner of the right eye
        263: (254.64, 103.75),  # of the left
        13: (223.49, 142.99),  # upper lip
        14: (222.69, 149.81),  # lower lip
        152: (221.11, 175.51),  # chin
        473: (245.65, 103.54),  # left pupil
    }

    assert (mesh.points.shape, mesh.points.dtype) == ((MESH_POINTS, 2), np.float32)
    for point, place in expected.items():
        np.testing.assert_allclose(mesh.points[point], place, atol=0.05)
    assert mesh.presence > 0.99


@needs_models
def test_blink_scores_are_those_of_litert_and_rise_with_closed_eyes(
    landmarker: MediapipeLandmarker, astronaut_face: Face
) -> None:
    closed = eyes_closed(astronaut(), astronaut_face.landmarks, 1.0)

    open_scores = landmarker.blink_scores(landmarker.mesh(astronaut(), BOX))
    closed_scores = landmarker.blink_scores(landmarker.mesh(closed, BOX))

    assert open_scores == pytest.approx((0.0183, 0.0181), abs=0.002)
    assert min(closed_scores) > max(open_scores) + 0.2


@needs_models
def test_the_ear_falls_further_than_with_dlibs_landmarks(
    landmarker: MediapipeLandmarker, models: FaceModels, astronaut_face: Face
) -> None:
    closed = eyes_closed(astronaut(), astronaut_face.landmarks, 1.0)

    def fall(landmarks: MediapipeLandmarker | None) -> float:
        used = landmarks or models.landmarker
        before, after = (
            np.mean(eye_aspect_ratios(used.landmarks(picture, BOX)))
            for picture in (astronaut(), closed)
        )
        return float(after / before)

    assert fall(landmarker) < 0.5
    assert fall(landmarker) < fall(None)


@needs_models
def test_one_eye_closes_on_its_own_side(
    landmarker: MediapipeLandmarker, astronaut_face: Face
) -> None:
    both = eyes_closed(astronaut(), astronaut_face.landmarks, 1.0)
    middle = round(float(astronaut_face.landmarks[27, 0]))
    right_closed = astronaut()
    right_closed[:, :middle] = both[:, :middle]

    left, right = eye_aspect_ratios(landmarker.landmarks(right_closed, BOX))

    assert right < 0.6 * left


@needs_models
@needs_faces
def test_landmarks_lie_where_dlib_has_them(
    landmarker: MediapipeLandmarker, models: FaceModels
) -> None:
    """Pictures that the table of points was not fitted on are among them."""
    found = []
    for pictures in list(lfw_pictures().values())[:40]:
        image = cv2.cvtColor(cv2.imread(str(pictures[0])), cv2.COLOR_BGR2RGB)
        faces = [d for d in models.detector.detect(image) if d.confidence > 0.5]
        if len(faces) == 1:
            dlibs = models.landmarker.landmarks(image, faces[0].box)
            found.append(differences(landmarker.landmarks(image, faces[0].box), dlibs))
    medians = np.median(np.array(found), axis=0)

    assert len(found) > 25
    assert medians[36:48].max() < 0.05  # eyes
    assert medians[48:].max() < 0.07  # lips
    assert medians[27:36].max() < 0.05  # nose
    assert medians[17:27].max() < 0.08  # brows
    assert medians[:17].max() < 0.14  # jaw


@needs_models
@pytest.mark.parametrize("degrees", [-30, -15, 15, 30])
def test_a_head_that_leans_keeps_its_landmarks(
    landmarker: MediapipeLandmarker, degrees: float
) -> None:
    """Its crop is made upright."""
    turn = cv2.getRotationMatrix2D(BOX.centre, -degrees, 1.0)
    leaning = cv2.warpAffine(astronaut(), turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    upright = landmarker.landmarks(astronaut(), BOX)

    landmarks = landmarker.landmarks(leaning, BOX)

    expected = (upright @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    assert differences(landmarks, expected).mean() < 0.03
    assert head_pose(landmarks).roll - head_pose(upright).roll == pytest.approx(degrees, abs=2)


@needs_models
def test_templates_stay_valid_with_it(
    landmarker_dir: Path, model_cache_dir: Path, astronaut_face: Face
) -> None:
    shutil.copytree(model_cache_dir, landmarker_dir, dirs_exist_ok=True)
    ours = load_models(ModelChoice(landmarker="mediapipe"), model_cache_dir=landmarker_dir)

    face = Analyser(ours).analyse_photo(astronaut()).main_face

    assert face is not None
    assert face.embedding is not None
    assert astronaut_face.embedding is not None
    assert float(face.embedding @ astronaut_face.embedding) > 0.99


def test_the_landmarks_of_a_mesh_are_points_of_it_or_between_two() -> None:
    mesh = np.stack([np.arange(MESH_POINTS), 1000.0 - np.arange(MESH_POINTS)], axis=1)

    landmarks = ibug_landmarks(mesh.astype(np.float32))

    assert landmarks[36].tolist() == [33, 967]  # outer corner of the right eye
    assert landmarks[45].tolist() == [263, 737]  # of the left
    assert landmarks[0].tolist() == [198, 802]  # half-way from 162 to 234
    assert landmarks[28].tolist() == [6 + 0.75 * 191, 994 - 0.75 * 191]


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"is missing.*storage\.googleapis\.com") as refusal:
        load_mediapipe(weights_folder(tmp_path))

    assert refusal.value.code == "model_missing"


@needs_models
def test_a_truncated_file_is_refused_at_the_start(tmp_path: Path) -> None:
    path = weights_folder(tmp_path) / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes((MODELS / FILE).read_bytes()[:1_000_000])

    with pytest.raises(EngineError, match=r"\(1000000 bytes\) cannot be used: it holds no"):
        load_mediapipe(path.parent)


def test_a_zip_without_the_graphs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("readme.txt", "no graph")

    with pytest.raises(EngineError, match="it holds no graphs of this kind") as refusal:
        MediapipeLandmarker(path)

    assert refusal.value.code == "broken_weights"


@needs_models
def test_graphs_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE
    with zipfile.ZipFile(MODELS / FILE) as original, zipfile.ZipFile(path, "w") as bundle:
        for name in ("face_landmarks_detector.tflite", "face_blendshapes.tflite"):
            bundle.writestr(name, original.read("face_detector.tflite"))

    with pytest.raises(EngineError, match="cannot be used") as refusal:
        MediapipeLandmarker(path)

    assert refusal.value.code == "broken_weights"
