"""OpenCV's YuNet as the detector."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.models import FaceModels, ModelChoice, load_models
from recognition.engine.models.boxes import square_of_points, square_of_rectangle
from recognition.engine.models.weights import weights_folder
from recognition.engine.models.yunet import YunetDetector, load_yunet
from recognition.engine.types import Box, EngineError, FrameRequest
from tests.support.portraits import as_jpeg, astronaut, astronaut_frame
from tests.support.shared import MODELS, needs_models

FILE = "face_detection_yunet_2026may.onnx"


@pytest.fixture(scope="module")
def yunet_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models that holds YuNet."""
    directory = tmp_path_factory.mktemp("yunet")
    folder = weights_folder(directory)
    folder.mkdir(parents=True)
    shutil.copy(MODELS / FILE, folder / FILE)
    return directory


@pytest.fixture(scope="module")
def yunet(yunet_dir: Path) -> YunetDetector:
    return load_yunet(weights_folder(yunet_dir))


@needs_models
def test_it_finds_the_face_in_the_box_that_dlib_finds(
    yunet: YunetDetector, models: FaceModels
) -> None:
    (found,) = yunet.detect(astronaut())
    dlibs = max(models.detector.detect(astronaut()), key=lambda d: d.confidence)

    assert found.box.iou(dlibs.box) > 0.65
    assert np.hypot(*np.subtract(found.box.centre, dlibs.box.centre)) < 5
    assert found.confidence > 0.9


@needs_models
def test_a_head_that_leans_is_found_where_hog_finds_none(
    yunet: YunetDetector, models: FaceModels
) -> None:
    turn = cv2.getRotationMatrix2D((223, 127), 50, 1.0)
    leaning = cv2.warpAffine(astronaut(), turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)

    (found,) = yunet.detect(leaning)

    assert found.confidence >= yunet.confidence_to_follow
    x, y = found.box.centre
    assert np.hypot(x - 223, y - 127) < 15
    hogs = models.detector.detect_main(leaning)
    assert not [one for one in hogs if one.confidence >= models.detector.confidence_to_find]


@needs_models
def test_grey_pictures_and_views_are_searched_too(yunet: YunetDetector) -> None:
    backwards = np.ascontiguousarray(astronaut()[:, :, ::-1])
    assert yunet.detect(backwards[:, :, ::-1]) == yunet.detect(astronaut())
    assert len(yunet.detect(np.ascontiguousarray(astronaut()[:, :, 1]))) == 1


@needs_models
def test_nothing_is_found_where_nobody_is(yunet: YunetDetector) -> None:
    assert yunet.detect(np.full((240, 320, 3), 127, np.uint8)) == []


@needs_models
def test_the_engine_recognises_the_same_person_with_it(
    yunet_dir: Path, model_cache_dir: Path, analyser: Analyser
) -> None:
    """Another detector needs no new templates."""
    shutil.copytree(model_cache_dir, yunet_dir, dirs_exist_ok=True)
    ours = Analyser(load_models(ModelChoice(detector="yunet"), model_cache_dir=yunet_dir))
    frame = as_jpeg(astronaut_frame(640, 480, face_share=0.4))
    followed = FrameRequest(near=Box(224, 144, 416, 336), count_faces=False, embed=True)

    for request in (FrameRequest(embed=True), FrameRequest(embed=True, fine=True), followed):
        face = ours.analyse_frame(frame, request).main_face
        dlibs = analyser.analyse_frame(frame, request).main_face
        assert face is not None
        assert dlibs is not None
        assert face.embedding is not None
        assert dlibs.embedding is not None
        assert float(face.embedding @ dlibs.embedding) > 0.99


def test_a_missing_file_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"{FILE}.*is missing.*fetch_models yunet") as refusal:
        load_yunet(weights_folder(tmp_path))

    assert refusal.value.code == "model_missing"
    assert str(weights_folder(tmp_path) / FILE) in str(refusal.value)


@needs_models
@pytest.mark.parametrize("damage", ["truncated", "empty", "other"])
def test_a_damaged_file_is_refused_at_the_start(tmp_path: Path, damage: str) -> None:
    content = (MODELS / FILE).read_bytes()
    path = weights_folder(tmp_path) / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes({"truncated": content[:100_000], "empty": b"", "other": b"x" * 50_000}[damage])

    with pytest.raises(EngineError, match=rf"\({path.stat().st_size} bytes\) cannot be used") as e:
        load_yunet(path.parent)

    assert e.value.code == "broken_weights"


def test_the_square_of_five_points() -> None:
    """Eyes 100 px apart, 100 px above the mouth: side 1.196 * 200, middle 55.4 px below."""
    points = np.array([(100, 100), (200, 100), (150, 150), (110, 200), (190, 200)], np.float32)
    assert square_of_points(points) == Box(30, 36, 270, 275)


def test_the_square_of_a_rectangle() -> None:
    """75 x 100 at (0, 0): side 0.975 * 86.6, middle 6.3 px below the rectangle's."""
    assert square_of_rectangle(0, 0, 75, 100) == Box(-5, 14, 80, 99)
