from __future__ import annotations

from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest

from recognition.engine import dlib_resnet, hog
from recognition.engine.models import (
    EMBEDDED_MODEL_ID,
    DlibResnetEmbedder,
    FaceModels,
    ModelChoice,
    load_models,
)
from recognition.engine.types import Box, EngineError, Face
from tests.support.portraits import astronaut


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ModelChoice(embedder="facenet1024"), r"'facenet1024'; .*dlib-resnet-v1, .*SFace"),
        (ModelChoice(previous_embedder="mine"), r"embedder is called 'mine'; known are: "),
        (ModelChoice(detector="haar"), r"detector is called 'haar'; .*hog, yunet, retinaface"),
        (ModelChoice(landmarker="dlib5"), r"landmarker is called 'dlib5'; .*dlib68, mediapipe\."),
    ],
)
def test_an_unknown_model_is_refused_with_the_known_ones(
    choice: ModelChoice, told: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=told) as refusal:
        load_models(choice, model_cache_dir=tmp_path)

    assert refusal.value.code == "unknown_model"


def test_a_model_does_not_replace_itself() -> None:
    with pytest.raises(EngineError, match="name the model that the old templates are from"):
        ModelChoice(embedder="SFace", previous_embedder="SFace").parts()


def test_the_embedding_is_of_unit_length_and_names_its_model(
    models: FaceModels, astronaut_face: Face
) -> None:
    embedding = models.embedder.embed(astronaut(), astronaut_face.landmarks)

    assert (embedding.shape, embedding.dtype) == ((models.embedder.dimensions,), np.float32)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
    assert models.embedder.model_id == EMBEDDED_MODEL_ID


def test_the_embedding_is_the_mean_of_the_crop_and_its_mirror_image(
    models: FaceModels, astronaut_face: Face, model_cache_dir: Path
) -> None:
    embedder = models.embedder
    assert isinstance(embedder, DlibResnetEmbedder)
    chip = embedder.aligned_crop(astronaut(), astronaut_face.landmarks)
    network = dlib.face_recognition_model_v1(str(dlib_resnet.weights_file()))
    crop = np.array(network.compute_face_descriptor(chip))
    mirrored = np.array(network.compute_face_descriptor(np.ascontiguousarray(chip[:, ::-1])))
    mean = (crop + mirrored) / 2

    embedding = embedder.embed(astronaut(), astronaut_face.landmarks)

    np.testing.assert_allclose(embedding, mean / np.linalg.norm(mean), atol=1e-5)


def test_the_aligned_crop_equals_dlibs_own(models: FaceModels, astronaut_face: Face) -> None:
    embedder = models.embedder
    assert isinstance(embedder, DlibResnetEmbedder)
    predictor = dlib.shape_predictor(
        str(dlib_resnet.model_file("shape_predictor_68_face_landmarks.dat"))
    )
    shape = predictor(astronaut(), dlib.get_frontal_face_detector()(astronaut(), 0)[0])
    landmarks = np.array([(point.x, point.y) for point in shape.parts()], np.float32)

    assert np.array_equal(
        embedder.aligned_crop(astronaut(), landmarks), dlib.get_face_chip(astronaut(), shape)
    )


def test_images_that_are_not_contiguous_give_the_same(
    models: FaceModels, astronaut_face: Face
) -> None:
    bgr = np.ascontiguousarray(astronaut()[:, :, ::-1])
    rgb_view = bgr[:, :, ::-1]
    box = Box(179, 83, 267, 171)

    assert models.detector.detect(rgb_view) == models.detector.detect(astronaut())
    np.testing.assert_array_equal(
        models.landmarker.landmarks(rgb_view, box), models.landmarker.landmarks(astronaut(), box)
    )
    np.testing.assert_array_equal(
        models.embedder.embed(rgb_view, astronaut_face.landmarks),
        models.embedder.embed(astronaut(), astronaut_face.landmarks),
    )


def test_grey_images_are_searched_too(models: FaceModels) -> None:
    grey = np.ascontiguousarray(astronaut()[:, :, 1])

    assert len(models.detector.detect(grey)) >= 1


def test_the_quick_search_finds_the_same_frontal_face(models: FaceModels) -> None:
    quick, thorough = models.detector.detect_main(astronaut()), models.detector.detect(astronaut())

    assert max(quick, key=lambda d: d.confidence) == max(thorough, key=lambda d: d.confidence)


def test_the_quick_search_finds_a_head_that_leans_as_well(models: FaceModels) -> None:
    """The first of the detector's five filters alone would not."""
    turn = cv2.getRotationMatrix2D((223, 127), 35, 1.0)
    leaning = cv2.warpAffine(astronaut(), turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    straight_only = hog.first_direction(dlib.get_frontal_face_detector())

    assert len(straight_only(cv2.cvtColor(leaning, cv2.COLOR_RGB2GRAY))) == 0
    assert len(models.detector.detect_main(leaning)) == 1


def test_another_version_of_dlibs_detector_is_refused() -> None:
    class Other:
        def save(self, path: str) -> None:
            Path(path).write_bytes(bytes(range(1, 200)) * 40)

    with pytest.raises(EngineError, match="filters of") as refusal:
        hog.first_direction(Other())

    assert refusal.value.code == "broken_weights"
